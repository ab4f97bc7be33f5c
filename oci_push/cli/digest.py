"""`oci-push digest` and `exists`: what a reference names, and whether it names anything, without reading it."""

from __future__ import annotations

from typing import Annotated

from oci_push.cli import looking
from oci_push.cli.command import run_command, show_error, takes
from oci_push.cli.conversion import OnePlatform, read_platform
from oci_push.cli.looking import Access
from oci_push.cli.options import AsJson, Quiet
from oci_push.cli.output import say, say_form
from oci_push.cli.words import Argument
from oci_push.engine.looking.existence import Existence, Existing, NamedDigest, digest_of
from oci_push.engine.looking.tree import top
from oci_push.errors import NotFoundError, OciPushError
from oci_push.forms import VERSION, ErrorForm
from oci_push.model.digest import Digest
from oci_push.model.reference import Reference
from oci_push.runtime.context import Context
from oci_push.sources.table import GRAMMAR

_MISSING = 1


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
            if wanted is None and looking.repository_of(source) is not None:
                named = looking.reference(source)
                found = digest_of(context, look.client(named.repository), named)
            else:
                with look.image(source) as (image, _):
                    found = top(context, image, wanted).digest
        if as_json:
            say_form(NamedDigest(VERSION, source, found))
        else:
            say(str(found))
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
        wanted = [looking.reference(text) for text in dict.fromkeys(references)]
        there: list[Digest | None] = []
        errors: list[OciPushError | None] = []
        with looking.looking(context, access, repositories=[one.repository for one in wanted]) as look:
            for one in wanted:
                try:
                    there.append(digest_of(context, look.client(one.repository), one))
                    errors.append(None)
                except OciPushError as error:
                    context.check()
                    there.append(None)
                    errors.append(None if isinstance(error, NotFoundError) else error)
        if as_json:
            rows = zip(wanted, there, errors, strict=True)
            say_form(Existence(VERSION, tuple(_form(*row) for row in rows)))
        for name, found, failed in zip(wanted, there, errors, strict=True):
            if failed is not None:
                show_error(failed, before=f"{name}: ")
            elif not (quiet or as_json):
                say(f"{name}  {found or 'does not exist'}")
        return next((one.exit_code for one in errors if one), _MISSING if None in there else 0)

    run_command(work, what="exists", timeout_s=access.timeout_s)


def _form(name: Reference, found: Digest | None, error: OciPushError | None) -> Existing:
    return Existing(str(name), None if error else found is not None, found, ErrorForm.or_none(error))
