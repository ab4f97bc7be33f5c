"""`oci-push tag`: more names for an image that is there."""

from __future__ import annotations

from typing import Annotated

from oci_push.cli import looking
from oci_push.cli.command import run_command, show_error, takes
from oci_push.cli.looking import Access
from oci_push.cli.options import AsJson
from oci_push.cli.output import say, say_form
from oci_push.cli.words import Argument
from oci_push.engine.editing.change import tag as tag_image
from oci_push.errors import OciPushError
from oci_push.library import naming
from oci_push.library.edits import tag_in
from oci_push.runtime.context import Context


@takes(Access)
def tag(
    reference: Annotated[str, Argument(metavar="REF", help="HOST[:PORT]/REPO[:TAG|@DIGEST]")],
    new: Annotated[list[str], Argument(metavar="NEW...", help="Tags in the same repository.")],
    as_json: AsJson = False,
    *,
    access: Access,
) -> None:
    """Give more tags to an image of a registry. Nothing is read but its manifest, which keeps every byte."""

    def work(context: Context) -> int:
        named = naming.reference(reference)
        wanted = [tag_in(text, named.repository) for text in new]
        with looking.looking(context, access, repositories=[named.repository]) as look:
            client = look.client(named.repository, push=True)
            found, failed = tag_image(context, client, named.target, wanted)
        if as_json:
            say_form(found)
        for one in found.tags:
            name = f"{found.repository}:{one.tag}"
            if one.tag in failed:
                show_error(failed[one.tag], before=f"{name}: ")
            elif not as_json:
                say(f"{name}  {found.digest}")
        return _code(list(failed.values()), len(found.tags))

    run_command(work, what="tag", timeout_s=access.timeout_s)


def _code(failed: list[OciPushError], count: int) -> int:
    """Return the one failure's own code, 1 where some of several have failed, as a push does."""
    if not failed:
        return 0
    return failed[0].exit_code if count == 1 else 1
