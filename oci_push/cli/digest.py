"""`oci-push digest` and `exists`: what a reference names, and whether it names anything, without reading it."""

from __future__ import annotations

from typing import Annotated

from oci_push.cli import looking
from oci_push.cli.command import run_command, takes
from oci_push.cli.conversion import OnePlatform, read_platform
from oci_push.cli.looking import Access
from oci_push.cli.options import AsJson, Quiet
from oci_push.cli.output import say, say_form
from oci_push.cli.words import Argument
from oci_push.library import naming
from oci_push.library.looks import existence, named_digest
from oci_push.runtime.context import Context
from oci_push.sources.table import GRAMMAR


@takes(Access)
def digest(
    source: Annotated[str, Argument(metavar="REF", help=f"{GRAMMAR.known}.")],
    platform: OnePlatform = "",
    as_json: AsJson = False,
    *,
    access: Access,
) -> None:
    """Print the digest of what a reference names; a registry is asked by HEAD alone, unless --platform is given."""

    def work(context: Context) -> int:
        wanted = read_platform(platform)
        with looking.looking(context, access, sources=[source]) as look:
            found = named_digest(look, source, wanted)
        if as_json:
            say_form(found)
        else:
            say(str(found.digest))
        return 0

    run_command(work, what="digest", timeout_s=access.timeout_s)


@takes(Access)
def exists(
    references: Annotated[list[str], Argument(metavar="REF...", help="HOST[:PORT]/REPO[:TAG|@DIGEST]")],
    as_json: AsJson = False,
    quiet: Quiet = False,
    *,
    access: Access,
) -> None:
    """Tell whether images exist: the exit code is 0 where all do, 1 where one does not, and of an error its own.

    Registries are asked by HEAD; nothing is read.
    """

    def work(context: Context) -> int:
        wanted = [naming.reference(text) for text in dict.fromkeys(references)]
        with looking.looking(context, access, repositories=[one.repository for one in wanted]) as look:
            found, errors = existence(look, wanted)
        told = [(one.name, str(one.digest or "does not exist")) for one in found.images]
        return looking.say_found(found, told, errors, as_json=as_json, quiet=quiet)

    run_command(work, what="exists", timeout_s=access.timeout_s)
