"""`oci-push blob`: single blobs of a repository, read, written, asked for and deleted by their digests."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Annotated

from oci_push.api import this_environment
from oci_push.cli import looking
from oci_push.cli.asking import check_answerable, is_agreed
from oci_push.cli.command import run_command, show_error, takes
from oci_push.cli.looking import Access
from oci_push.cli.options import AsJson, Quiet
from oci_push.cli.output import lost_results, say, say_bytes, say_form, shows_results, tell
from oci_push.cli.words import OUTPUT, SAFETY, Argument, Option
from oci_push.engine import raw
from oci_push.errors import ConfigError, OciPushError, exit_code
from oci_push.forms import VERSION
from oci_push.library import naming
from oci_push.library.looking import Looker
from oci_push.library.single import (
    BLOB_FORM,
    blob_of,
    blobs_deleted,
    digest_in,
    find_blobs,
    heads_of,
    store_blob,
)
from oci_push.model.digest import Digest
from oci_push.model.reference import Reference
from oci_push.runtime.context import Context
from oci_push.runtime.files import check_writable, result_file
from oci_push.sources.files import SpoolSpace
from oci_push.sources.given import open_given
from oci_push.sources.settings import SourceSettings


@takes(Access)
def get(
    blob: Annotated[str, Argument(metavar="REPO@DIGEST", help=BLOB_FORM)],
    output: Annotated[str, Option("File to write to; - is stdout.", short="-o", metavar="FILE", under=OUTPUT)] = "",
    as_json: AsJson = False,
    *,
    access: Access,
) -> None:
    """Read a blob. Its bytes are checked as they come, and a file has its name only when all of them are right.

    Where the connection breaks, it goes on from there.
    """

    def work(context: Context) -> int:
        named = blob_of(blob)
        if not output and shows_results():
            raise ConfigError("a blob may hold anything, and stdout is a terminal", hint="give -o FILE, or -o -")
        if as_json and output in ("", "-"):
            raise ConfigError("--json and the blob cannot both go to stdout", hint="give -o FILE")
        path = Path(output) if output not in ("", "-") else None
        check_writable(path, "-o")
        with looking.looking(context, access, repositories=[named.repository]) as look:
            blocks = raw.read_blob(context, look.client(named.repository), digest_in(named))
            if path is None:
                for block in blocks:
                    say_bytes(bytes(block))
                    if lost_results() is not None:
                        return 1
                return 0
            count = 0
            with result_file(path, f"-o {path}") as file:
                for block in blocks:
                    file.write(block)
                    count += len(block)
        if as_json:
            say_form(raw.BlobSaved(VERSION, named.repository, digest_in(named), count, str(path)))
        return 0

    run_command(work, what="blob get", timeout_s=access.timeout_s)


@takes(Access)
def put(
    repository: Annotated[str, Argument(metavar="REPO", help="HOST[:PORT]/REPO")],
    file: Annotated[str, Argument(metavar="FILE", help="What is stored; - is stdin.")],
    digest: Annotated[
        str, Option("What it must be; nothing is sent where it is not.", metavar="DIGEST", under=SAFETY)
    ] = "",
    as_json: AsJson = False,
    *,
    access: Access,
) -> None:
    """Store a file as a blob and print its digest. What is there is not sent; a broken upload is gone on with.

    A registry clears away what no manifest names: store the manifest soon.
    """

    def work(context: Context) -> int:
        target = naming.repository(repository)
        wanted = _wanted(digest)
        with (
            looking.looking(context, access, sources=["-"] if file == "-" else (), repositories=[target]) as look,
            closing(SpoolSpace(None, SourceSettings().spool_bytes)) as spool,
        ):
            body = open_given(context, file, this_environment().stdin, spool)
            done = store_blob(look, target, body, wanted, body.what)
        if as_json:
            say_form(done)
        else:
            say(str(done.digest))
            if done.outcome == "exists":
                tell(f"{target}: the blob was there already")
        return 0

    run_command(work, what="blob put", timeout_s=access.timeout_s)


@takes(Access)
def head(
    blobs: Annotated[list[str], Argument(metavar="REPO@DIGEST...", help=BLOB_FORM)],
    as_json: AsJson = False,
    quiet: Quiet = False,
    *,
    access: Access,
) -> None:
    """Tell whether blobs exist, and their sizes: the exit code is 0 where all do, 1 where one does not.

    Where it could not be found out, the exit code is that of the error. Registries are asked by HEAD; nothing is read.
    """

    def work(context: Context) -> int:
        wanted = [blob_of(text) for text in dict.fromkeys(blobs)]
        with looking.looking(context, access, repositories=[one.repository for one in wanted]) as look:
            found, errors = find_blobs(look, wanted)
        told = [(one.name, _size(one.size) if one.exists else "does not exist") for one in found.blobs]
        return looking.say_found(found, told, errors, as_json=as_json, quiet=quiet)

    run_command(work, what="blob head", timeout_s=access.timeout_s)


@takes(Access)
def delete(
    blobs: Annotated[list[str], Argument(metavar="REPO@DIGEST...", help=BLOB_FORM)],
    yes: Annotated[bool, Option("Do not ask; needed where there is no terminal.", short="-y", under=SAFETY)] = False,
    dry_run: Annotated[bool, Option("Show what would go, and delete nothing.", under=SAFETY)] = False,
    as_json: AsJson = False,
    *,
    access: Access,
) -> None:
    """Delete blobs, whatever needs them: an image that does cannot be pulled any more. All are looked up first.

    Usually this is not what frees space: a registry clears away itself what no manifest names any more.
    """

    def work(context: Context) -> int:
        wanted = [blob_of(text) for text in dict.fromkeys(blobs)]
        check_answerable("blob delete", is_needed=not (yes or dry_run))
        errors: list[OciPushError | None] = []
        with looking.looking(context, access, repositories=[one.repository for one in wanted]) as look:
            heads = heads_of(look, wanted)
            for one, there in zip(wanted, heads, strict=True):
                if not as_json or not (yes or dry_run):
                    (say if dry_run else tell)(f"{one}  {_size(there.size)}")
            if not (yes or dry_run) and not is_agreed(context, len(wanted)):
                tell("nothing was deleted")
                return 1
            try:
                for one in wanted:
                    errors.append(None if dry_run else _delete(look, one, is_told=not as_json))
                    context.check()
            finally:  # what was deleted until a stop is told, too
                if as_json:
                    say_form(blobs_deleted(wanted, errors, is_tried=dry_run))
        return exit_code(errors)

    run_command(work, what="blob delete", timeout_s=access.timeout_s)


def _wanted(text: str) -> Digest | None:
    try:
        return Digest.parse(text) if text else None
    except ValueError as problem:
        raise ConfigError(f"--digest: {problem}", hint="such as sha256:…, with 64 digits") from problem


def _size(size: int | None) -> str:
    return "exists, of a size that the registry does not tell" if size is None else f"{size} bytes"


def _delete(look: Looker, named: Reference, *, is_told: bool) -> OciPushError | None:
    try:
        raw.delete_blob(look.context, look.client(named.repository), digest_in(named))
    except OciPushError as error:
        show_error(error, before=f"{named}: ")
        return error
    if is_told:
        say(f"deleted {named}")
    return None
