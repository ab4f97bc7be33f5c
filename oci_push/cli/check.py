"""`oci-push check`: whether all of an image is there, and is what it is said to be."""

from __future__ import annotations

from typing import Annotated

from oci_push.cli import looking
from oci_push.cli.command import run_command, takes
from oci_push.cli.conversion import OnePlatform, read_platform
from oci_push.cli.looking import Access
from oci_push.cli.options import AsJson, Quiet
from oci_push.cli.output import say, say_form, tell
from oci_push.cli.wording import counted, size
from oci_push.cli.words import SPEED, Argument, Option
from oci_push.engine.looking.check import Checkup
from oci_push.engine.looking.check import check as check_image
from oci_push.errors import RegistryError, SourceError
from oci_push.runtime.context import Context
from oci_push.sources.table import GRAMMAR


@takes(Access)
def check(
    source: Annotated[str, Argument(metavar="REF", help=f"{GRAMMAR.known}.")],
    platform: OnePlatform = "",
    head: Annotated[
        bool, Option("Read manifests alone; ask for every blob and its size.", name="--head", under=SPEED)
    ] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
    *,
    access: Access,
) -> None:
    """Check every digest, size and diff_id of an image, in a registry, a layout or an archive; nothing is changed.

    All of it is read, once. What is damaged or missing is named, and the exit code is then 5 for a registry and 3 for
    files.
    """

    def work(context: Context) -> int:
        wanted = read_platform(platform)
        with looking.looking(context, access, sources=[source]) as look, look.image(source) as (image, client):
            found = check_image(context, image, client, platform=wanted, is_read=not head)
        if as_json:
            say_form(found)
        for one in () if as_json else found.damage:
            tell(f"error: {one.message}")
        if found.damage:
            if not as_json:
                tell(f"error: {found.name}: {len(found.damage)} thing{'s' * (len(found.damage) > 1)} wrong")
            return (RegistryError if client is not None else SourceError).exit_code
        if not (quiet or as_json):
            say(_summary(found))
        return 0

    run_command(work, what="check", timeout_s=access.timeout_s)


def _summary(found: Checkup) -> str:
    counts = f"{counted(found.manifests, 'manifest')}, {counted(found.blobs, 'blob')}"
    how = (
        f"{size(found.bytes_read)} read, {counted(found.diff_ids, 'diff_id')} compared"
        if found.is_read
        else "sizes asked for"
    )
    elsewhere = f"; {found.elsewhere} kept elsewhere, not looked at" if found.elsewhere else ""
    return f"{found.name}: whole ({counts}; {how}{elsewhere})"
