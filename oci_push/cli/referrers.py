"""`oci-push referrers`: what is said of an image, and of that, as a tree."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated

from oci_push.cli import looking
from oci_push.cli.command import run_command, takes
from oci_push.cli.conversion import OnePlatform, read_platform
from oci_push.cli.looking import Access
from oci_push.cli.options import AsJson
from oci_push.cli.output import say, say_form
from oci_push.cli.wording import size
from oci_push.cli.words import SOURCE, Argument, Option
from oci_push.engine.looking.referrers import ReferrersTree, Referring
from oci_push.library import naming
from oci_push.library.looks import referring
from oci_push.model.artifact import CREATED
from oci_push.protocol.referrers import fallback_tag
from oci_push.runtime.context import Context

_LONGEST = 100
"""Some annotations are documents; ``--json`` has all of them."""


@takes(Access)
def referrers(
    reference: Annotated[str, Argument(metavar="REF", help="HOST[:PORT]/REPO[:TAG|@DIGEST]")],
    artifact_type: Annotated[
        list[str] | None, Option("Only artifacts of this type.", name="--type", metavar="GLOB", under=SOURCE)
    ] = None,
    platform: OnePlatform = "",
    as_json: AsJson = False,
    *,
    access: Access,
) -> None:
    """Show what refers to an image, and what refers to that, at any depth: SBOMs, attestations, signatures, …

    The registry's own list is asked for, else the list that clients keep under a tag; and cosign's tags.
    """

    def work(context: Context) -> int:
        named = naming.reference(reference)
        wanted = read_platform(platform)
        with looking.looking(context, access, repositories=[named.repository]) as look:
            found = referring(look, named, artifact_type or (), wanted)
        if as_json:
            say_form(found)
        else:
            for line in _lines(found):
                say(line)
        return 0

    run_command(work, what="referrers", timeout_s=access.timeout_s)


def _lines(found: ReferrersTree) -> Iterator[str]:
    tag = fallback_tag(found.digest)
    is_kept_by_clients = any(one.found_by == tag for one in found.referrers)
    yield f"{found.name}  {found.digest}" + "  (listed by clients, under a tag)" * is_kept_by_clients
    yield from _below(found.referrers, "")
    if not found.referrers:
        yield "└─ nothing refers to it" + f" of that type, and {found.total} of others" * bool(found.total)


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _below(nodes: Sequence[Referring], before: str) -> Iterator[str]:
    for node in nodes:
        is_last = node is nodes[-1]
        kind = node.artifact_type or node.media_type
        when = node.annotations.get(CREATED, "")
        said = "  ".join(filter(None, (kind, str(node.digest), size(node.size), when)))
        yield f"{before}{'└─' if is_last else '├─'} {said}"
        inner = f"{before}{'   ' if is_last else '│  '}"
        rest = [_short(f"{key}={value}") for key, value in sorted(node.annotations.items()) if key != CREATED]
        for text in [*rest, *([f"problem: {node.problem}"] if node.problem else [])]:
            yield f"{inner}{'│ ' if node.referrers else '  '} {text}"
        yield from _below(node.referrers, inner)
