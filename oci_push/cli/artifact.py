"""`oci-push artifact`: files and folders in a registry, with names and types."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from oci_push.api import this_environment
from oci_push.cli import files, looking
from oci_push.cli.command import run_command, show_error, takes
from oci_push.cli.conversion import OnePlatform, read_platform
from oci_push.cli.edits import show_signed
from oci_push.cli.looking import Access, TransferAccess
from oci_push.cli.options import AsJson
from oci_push.cli.output import say, say_form, tell
from oci_push.cli.wording import counted, size
from oci_push.cli.words import OUTPUT, SAFETY, SOURCE, TARGET, Argument, Option
from oci_push.engine.artifacts.fetch import Wish
from oci_push.errors import ConfigError
from oci_push.library.artifacts import ArtifactWish, pull_files, push_files
from oci_push.model.reference import shown
from oci_push.runtime.context import Context
from oci_push.sources.artifact_files import FileSpec


@takes(TransferAccess)
def artifact_push(
    words: Annotated[
        list[str],
        Argument(metavar="FILE[:TYPE]... DESTINATION", help="Files and folders; HOST[:PORT]/REPO[:TAG[,TAG…]] last."),
    ],
    artifact_type: files.ArtifactType = "",
    subject: Annotated[
        str, Option("What it is about: a reference, tag or digest there.", metavar="REF", under=TARGET)
    ] = "",
    platform: Annotated[
        str,
        Option(
            "About this image of an index that --subject names.",
            name="--platform",
            metavar="OS/ARCH[/VARIANT]",
            under=TARGET,
        ),
    ] = "",
    annotation: files.Annotation = None,
    annotation_file: files.AnnotationFile = None,
    as_json: AsJson = False,
    *,
    access: TransferAccess,
) -> None:
    """Push files and folders as one artifact, each under the name that it is given by.

    A folder becomes a compressed tar: the same files always make the same bytes. With --subject the artifact refers to
    what is named, and needs no tag.
    """

    def work(context: Context) -> int:
        env = this_environment().env
        *names, last = words
        if not names:
            raise ConfigError(
                f"{shown(last)!r} alone: files and a destination are wanted", hint="the destination is last"
            )
        wanted = read_platform(platform)
        asked = ArtifactWish.of([FileSpec.parse(text) for text in names], last, subject, wanted)
        said = files.read_annotations(annotation, annotation_file)
        said.check(one.path for one in asked.files)
        kind, made = files.check_type(artifact_type), files.created(env)
        with looking.looking(context, access, repositories=[asked.destination.repository]) as look:
            done, result = push_files(look, asked, kind, said, made, "--type")
        if as_json:
            say_form(done)
        else:
            there = [one.tag for one in result.tags if one.outcome.is_there]
            for tag in there or ([""] if result.error is None else []):
                say(f"{done.repository}{tag and f':{tag}'}@{result.root}")
            show_signed(done.repository, done.digest, done.signed)
        if result.error is not None:
            show_error(result.error)
            return result.error.exit_code
        return 0

    run_command(work, what="artifact push", timeout_s=access.timeout_s)


@takes(Access)
def artifact_pull(
    source: Annotated[str, Argument(metavar="REF", help="HOST[:PORT]/REPO[:TAG|@DIGEST], or any SOURCE of push.")],
    output: Annotated[
        Path,
        Option("Folder that the files are written to; made if missing.", short="-o", metavar="FOLDER", under=OUTPUT),
    ] = Path(),
    media_type: Annotated[
        list[str] | None, Option("Only files of this media type.", name="--type", metavar="GLOB", under=SOURCE)
    ] = None,
    platform: OnePlatform = "",
    overwrite: Annotated[bool, Option("Replace files that are there.", under=SAFETY)] = False,
    no_unpack: Annotated[bool, Option("Write a folder as its archive.", under=OUTPUT)] = False,
    as_json: AsJson = False,
    *,
    access: Access,
) -> None:
    """Write the files of an artifact to a folder, under the names that it gives them.

    Every byte is checked before the first file is put in its place. Names and links that lead out of the folder are
    refused, and nothing that is there is replaced without --overwrite.
    """

    def work(context: Context) -> int:
        wanted = read_platform(platform)
        wish = Wish(media_type or (), not no_unpack, overwrite)
        with looking.looking(context, access, sources=[source]) as look:
            found = pull_files(look, source, output, wish, wanted)
        if as_json:
            say_form(found)
            return 0
        for one in found.files:
            say(f"{one.path}  {size(one.size)}  {one.media_type}")
        if found.untitled:
            tell(f"{counted(len(found.untitled), 'layer')} without a title: not written")
        return 0

    run_command(work, what="artifact pull", timeout_s=access.timeout_s)
