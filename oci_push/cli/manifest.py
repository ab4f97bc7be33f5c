"""`oci-push manifest`: single manifests and indexes, byte for byte."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from oci_push.cli import looking
from oci_push.cli.command import run_command, takes
from oci_push.cli.conversion import OnePlatform, read_platform
from oci_push.cli.inputs import read_bytes
from oci_push.cli.looking import Access
from oci_push.cli.options import AsJson, Quiet
from oci_push.cli.output import say, say_bytes, say_form
from oci_push.cli.words import OUTPUT, SOURCE, TARGET, Argument, Option
from oci_push.engine import raw
from oci_push.errors import ConfigError
from oci_push.forms import VERSION
from oci_push.library import naming
from oci_push.library.single import accept_of, find_manifests, read_manifest, store_manifest
from oci_push.runtime.context import Context
from oci_push.runtime.files import check_writable, result_file

_REF = "HOST[:PORT]/REPO[:TAG|@DIGEST]"
MediaTypes = Annotated[
    list[str] | None,
    Option("Ask for this type alone, also one that is not known here; may be repeated.", metavar="TYPE", under=SOURCE),
]


@takes(Access)
def get(
    reference: Annotated[str, Argument(metavar="REF", help=_REF)],
    output: Annotated[str, Option("File to write to; - is stdout.", short="-o", metavar="FILE", under=OUTPUT)] = "",
    platform: OnePlatform = "",
    media_type: MediaTypes = None,
    as_json: AsJson = False,
    *,
    access: Access,
) -> None:
    """Read a manifest or an index, byte for byte, so that its digest is the one that the registry has."""

    def work(context: Context) -> int:
        named = naming.reference(reference)
        accept = accept_of(media_type or ())
        if accept and platform:
            raise ConfigError("--platform and --media-type do not go together", hint="give one of them")
        if as_json and output in ("", "-"):
            raise ConfigError("--json and the manifest cannot both go to stdout", hint="give -o FILE")
        path = Path(output) if output not in ("", "-") else None
        check_writable(path, "-o")
        with looking.looking(context, access, repositories=[named.repository]) as look:
            found = read_manifest(look, named, read_platform(platform), accept)
        if path is None:
            say_bytes(found.raw)
            return 0
        with result_file(path, f"-o {path}") as file:
            file.write(found.raw)
        if as_json:
            form = raw.ManifestSaved(VERSION, str(named), found.digest, found.media_type, len(found.raw), str(path))
            say_form(form)
        return 0

    run_command(work, what="manifest get", timeout_s=access.timeout_s)


@takes(Access)
def put(
    reference: Annotated[
        str, Argument(metavar="REF", help="HOST[:PORT]/REPO[:TAG][@DIGEST]; without a tag it is stored by its digest")
    ],
    file: Annotated[str, Argument(metavar="FILE", help="The manifest; - is stdin.")],
    media_type: Annotated[str, Option("Its type, where it does not say so itself.", metavar="TYPE", under=TARGET)] = "",
    as_json: AsJson = False,
    *,
    access: Access,
) -> None:
    """Store a file as a manifest, byte for byte, and print its digest.

    What it names must be there; where a registry refuses it for that, it is said what is missing.
    """

    def work(context: Context) -> int:
        named = naming.reference(reference, default_tag="")
        if access.password_stdin and file == "-":
            raise ConfigError("--password-stdin and the manifest - cannot both read stdin")
        manifest = raw.check_digest(raw.manifest_of(read_bytes(Path(file)), media_type), named.digest)
        with looking.looking(context, access, repositories=[named.repository]) as look:
            done = store_manifest(look, named, manifest)
        if as_json:
            say_form(done)
        else:
            say(str(done.digest))
        return 0

    run_command(work, what="manifest put", timeout_s=access.timeout_s)


@takes(Access)
def head(
    references: Annotated[list[str], Argument(metavar="REF...", help=_REF)],
    media_type: MediaTypes = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    *,
    access: Access,
) -> None:
    """Tell what manifests are: digest, type and size. The exit code is 0 where all are there, 1 where one is not.

    Where it could not be found out, the exit code is that of the error. Registries are asked by HEAD; nothing is read.
    """

    def work(context: Context) -> int:
        wanted = [naming.reference(text) for text in dict.fromkeys(references)]
        accept = accept_of(media_type or ())
        with looking.looking(context, access, repositories=[one.repository for one in wanted]) as look:
            found, errors = find_manifests(look, wanted, accept)
        told = [
            (one.name, f"{one.digest}  {one.media_type or '?'}  {one.size} bytes" if one.exists else "does not exist")
            for one in found.manifests
        ]
        return looking.say_found(found, told, errors, as_json=as_json, quiet=quiet)

    run_command(work, what="manifest head", timeout_s=access.timeout_s)
