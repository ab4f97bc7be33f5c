"""`oci-push manifest`: single manifests and indexes, byte for byte."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from oci_push.cli import looking
from oci_push.cli.command import run_command, show_error, takes
from oci_push.cli.conversion import OnePlatform, read_platform
from oci_push.cli.inputs import read_bytes
from oci_push.cli.looking import Access, Looker
from oci_push.cli.options import AsJson, Quiet
from oci_push.cli.output import say, say_bytes, say_form
from oci_push.cli.words import OUTPUT, SOURCE, TARGET, Argument, Option
from oci_push.engine import raw
from oci_push.engine.looking.tree import top
from oci_push.errors import ConfigError, NotFoundError, OciPushError
from oci_push.forms import VERSION
from oci_push.model.reference import Reference
from oci_push.protocol.manifests import Head, RawManifest
from oci_push.runtime.context import Context
from oci_push.runtime.files import check_writable, written_whole

_MISSING = 1
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
        named = looking.reference(reference)
        accept = _accept(media_type)
        if accept and platform:
            raise ConfigError("--platform and --media-type do not go together", hint="give one of them")
        if as_json and output in ("", "-"):
            raise ConfigError("--json and the manifest cannot both go to stdout", hint="give -o FILE")
        path = Path(output) if output not in ("", "-") else None
        check_writable(path, "-o")
        with looking.looking(context, access, repositories=[named.repository]) as look:
            found = _read(look, named, platform, accept)
        if path is None:
            say_bytes(found.raw)
            return 0
        try:
            with written_whole(path) as file:
                file.write(found.raw)
        except OSError as problem:
            raise ConfigError(f"-o {path}: cannot be written ({problem.strerror})") from problem
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
        named = looking.reference(reference, default_tag="")
        if access.password_stdin and file == "-":
            raise ConfigError("--password-stdin and the manifest - cannot both read stdin")
        manifest = raw.check_digest(raw.manifest_of(read_bytes(Path(file)), media_type), named.digest)
        with looking.looking(context, access, repositories=[named.repository]) as look:
            raw.put_manifest(context, look.client(named.repository, push=True), manifest, named.tag)
        if as_json:
            say_form(
                raw.ManifestStored(
                    VERSION, named.repository, named.tag or None, manifest.digest, manifest.media_type, manifest.size
                )
            )
        else:
            say(str(manifest.digest))
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
        wanted = [looking.reference(text) for text in dict.fromkeys(references)]
        accept = _accept(media_type)
        found: list[tuple[Head | None, OciPushError | None]] = []
        with looking.looking(context, access, repositories=[one.repository for one in wanted]) as look:
            for one in wanted:
                try:
                    found.append((look.client(one.repository).head(context, one.target, accept=accept), None))
                except OciPushError as error:
                    context.check()
                    found.append((None, None if isinstance(error, NotFoundError) else error))
        if as_json:
            rows = zip(wanted, found, strict=True)
            say_form(raw.ManifestsFound(VERSION, tuple(raw.ManifestFound.of(str(one), *row) for one, row in rows)))
        for one, (there, failed) in zip(wanted, found, strict=True):
            if failed is not None:
                show_error(failed, before=f"{one}: ")
            elif not (quiet or as_json):
                said = f"{there.digest}  {there.media_type or '?'}  {there.size} bytes" if there else "does not exist"
                say(f"{one}  {said}")
        failures = [error for _, error in found if error is not None]
        is_missing = any(there is None for there, _ in found)
        return failures[0].exit_code if failures else _MISSING if is_missing else 0

    run_command(work, what="manifest head", timeout_s=access.timeout_s)


def _read(look: Looker, named: Reference, platform: str, accept: str) -> RawManifest:
    wanted = read_platform(platform)
    if wanted is None:
        return look.client(named.repository).read(look.context, named, accept)
    with look.image(f"docker://{named}") as (image, _):
        found = image.manifest(look.context, top(look.context, image, wanted))
    return RawManifest(found.raw, found.media_type, found.digest)


def _accept(types: list[str] | None) -> str:
    """Return the Accept header of types; raises `ConfigError` for what is none."""
    for one in types or ():
        if one.count("/") != 1 or not one.isascii() or not one.isprintable() or set(one) & set(' ,;"\\'):
            raise ConfigError(
                f"--media-type {one!r} is no media type", hint="such as application/vnd.oci.image.index.v1+json"
            )
    return ", ".join(dict.fromkeys(types or ()))
