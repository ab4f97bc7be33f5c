"""`oci-push attach`: files that say something about an image that is there."""

from __future__ import annotations

from typing import Annotated

from oci_push.api import this_environment
from oci_push.cli import files, looking
from oci_push.cli.command import run_command, show_error, takes
from oci_push.cli.conversion import OnePlatform, read_platform
from oci_push.cli.looking import TransferAccess
from oci_push.cli.options import AsJson
from oci_push.cli.output import say, say_form
from oci_push.cli.words import Argument
from oci_push.engine.artifacts.attachment import Attachment
from oci_push.errors import exit_code
from oci_push.library import naming
from oci_push.library.artifacts import attach_files
from oci_push.model.outcomes import ManifestOutcome
from oci_push.runtime.context import Context
from oci_push.sources.artifact_files import FileSpec


@takes(TransferAccess)
def attach(
    reference: Annotated[str, Argument(metavar="REF", help="HOST[:PORT]/REPO[:TAG|@DIGEST]")],
    file: Annotated[list[str], Argument(metavar="FILE[:TYPE]...", help="What is attached, each an artifact.")],
    artifact_type: files.ArtifactType = "",
    annotation: files.Annotation = None,
    annotation_file: files.AnnotationFile = None,
    platform: OnePlatform = "",
    as_json: AsJson = False,
    *,
    access: TransferAccess,
) -> None:
    """Attach files to an image: SBOMs, attestations, signatures, findings, or anything with --type.

    Each becomes an artifact of its own that refers to the image, which stays as it is. The same file attached again is
    the same artifact, and nothing is sent. See what is there with oci-push referrers.
    """

    def work(context: Context) -> int:
        env = this_environment().env
        named = naming.reference(reference)
        wanted = read_platform(platform)
        said = files.read_annotations(annotation, annotation_file)
        specs = [FileSpec.parse(text) for text in file]
        said.check(one.path for one in specs)
        kind, made = files.check_type(artifact_type), files.created(env)
        with looking.looking(context, access, repositories=[named.repository]) as look:
            asked = [
                Attachment(
                    one.path, one.media_type, kind, said.manifest, made, said.files.get(one.path, {}), said.config
                )
                for one in specs
            ]
            done, results = attach_files(look, named, wanted, asked, "--type")
        if as_json:
            say_form(done)
        for one in results:
            if one.error is not None:
                show_error(one.error, before=f"{one.file}: ")
            elif not as_json:
                was_there = "  (was there)" * (one.outcome is ManifestOutcome.EXISTS)
                say(f"{done.repository}@{one.digest}  {one.artifact_type}  {one.file}{was_there}")
        return exit_code([one.error for one in results])

    run_command(work, what="attach", timeout_s=access.timeout_s)
