"""`oci-push diff`: what two images do not have in common."""

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
from oci_push.cli.words import OUTPUT, Argument, Option
from oci_push.engine.looking.compare import Change, Diff, PlatformDiff
from oci_push.engine.looking.inspect import Layer
from oci_push.library.looks import difference
from oci_push.runtime.context import Context
from oci_push.sources.table import GRAMMAR


@takes(Access)
def diff(
    left: Annotated[str, Argument(metavar="REF", help=f"{GRAMMAR.known}.")],
    right: Annotated[str, Argument(metavar="REF", help="What it is compared with; the same forms.")],
    platform: OnePlatform = "",
    as_json: AsJson = False,
    status: Annotated[bool, Option("End with 1 where they differ.", name="--exit-code", under=OUTPUT)] = False,
    *,
    access: Access,
) -> None:
    """Compare two images: platforms, and of each platform layers, config, annotations and size.

    Manifests and configs are read, no layers. Lines that begin with - are of the first image, with + of the second.
    """

    def work(context: Context) -> int:
        wanted = read_platform(platform)
        with looking.looking(context, access, sources=[left, right]) as look:
            found = difference(look, left, right, wanted)
        if as_json:
            say_form(found)
        else:
            for line in _lines(found):
                say(line)
        return int(status and not found.same)

    run_command(work, what="diff", timeout_s=access.timeout_s)


def _lines(found: Diff) -> Iterator[str]:
    yield f"- {found.left}  {found.left_digest}  {size(found.left_size)}"
    yield f"+ {found.right}  {found.right_digest}  {size(found.right_size)}"
    if found.same:
        yield "the same image, byte for byte"
        return
    yield from _changes(found.changes, "")
    yield from (f"- platform {name}" for name in found.left_platforms)
    yield from (f"+ platform {name}" for name in found.right_platforms)
    yield from (f"  platform {name}: the same image" for name in found.same_platforms)
    for one in found.images:
        yield from _platform(one)


def _platform(one: PlatformDiff) -> Iterator[str]:
    by = one.right_size - one.left_size
    grown = f"{'+' if by >= 0 else '-'}{size(abs(by))}"
    yield f"  platform {one.platform or 'not said'}: {size(one.left_size)} and {size(one.right_size)} ({grown})"
    shared = sum(layer.size for layer in one.shared_layers)
    count = len(one.shared_layers)
    yield f"    {count} layer{'s' * (count != 1)} of {size(shared)} in both"
    yield from _layers(one.left_layers, "-")
    yield from _layers(one.right_layers, "+")
    yield from _changes(one.changes, "  ")
    if not (one.left_layers or one.right_layers or one.changes):
        yield "    nothing that is compared here: the manifests are written in another way"


def _layers(layers: Sequence[Layer], sign: str) -> Iterator[str]:
    for layer in layers:
        by = " ".join(layer.created_by.split())
        yield f"{sign}   layer {layer.digest}  {size(layer.size)}  {by[:80]}".rstrip()


def _changes(changes: Sequence[Change], indent: str) -> Iterator[str]:
    for one in changes:
        sets = "=" if " " in one.name else " "  # a variable, a label, an annotation
        for sign, value in (("-", one.left), ("+", one.right)):
            if value is not None:
                yield f"{sign}{indent} {one.name}{sets}{value}"
