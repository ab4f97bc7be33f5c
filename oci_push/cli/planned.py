"""What ``--plan`` prints: what would be done, as it is laid out here alone, or with what the registries say."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from oci_push.cli.command import show_error
from oci_push.cli.output import say, say_form
from oci_push.cli.wording import counted, familiar, short, size
from oci_push.engine.forecast import BlobForecast, TagForecast, TargetForecast
from oci_push.engine.plan import PushPlan, RepositoryPlan
from oci_push.errors import exit_code
from oci_push.model.digest import Digest
from oci_push.model.outcomes import BlobWay, TagMove
from oci_push.runner.image_plan import ImagePlan, PlannedAmount, PlannedAmounts

Shown: TypeAlias = Callable[[Digest], str]
_INDENT = " " * 11
_ALLOWED = {
    True: "allowed, says the token",
    False: "not allowed, says the token",
    None: "not known before it is tried",
}


class Planned(Struct, frozen=True):
    """A push that was laid out; `found` is ``None`` where no registry was asked. `columns`: of a terminal, if it is."""

    source: str
    plan: PushPlan
    found: tuple[TargetForecast, ...] | None
    columns: int | None

    def show(self, report: Path | None, *, as_json: bool) -> int:
        """Print it, and write it as the report; return the exit code."""
        form = ImagePlan.of(self.plan, self.found)
        if as_json:
            say_form(form)
        else:
            for line in lines_of(self.plan, self.found, self.columns):
                say(line)
        if report:
            from oci_push.runner.report import write_report

            write_report(report, replace(form, source=self.source, status="planned"))
        errors = [one.error for one in self.found or () if one.error is not None]
        for error in errors:
            show_error(error)
        return exit_code([one.error for one in self.found or ()])


def lines_of(plan: PushPlan, found: Sequence[TargetForecast] | None, columns: int | None) -> Iterator[str]:
    """Return a plan as lines; digests are whole unless one would not fit into so many `columns`."""
    graph = plan.graph
    yield from _fitting(lambda shown: [f"image {shown(graph.root.digest)}"], columns)
    what = f"{counted(len(graph.nodes), 'manifest')}, {counted(len(graph.blobs), 'blob')}, {size(graph.size_bytes)}"
    first = f"  {graph.root.media_type}"
    if columns is None or len(first) + 2 + len(what) <= columns:
        yield f"{first}, {what}"
    else:
        yield from (first, f"  {what}")
    if plan.attached:
        yield from _fitting(lambda shown: _attached(plan, shown), columns)
    if found is None:
        yield from _fitting(lambda shown: _unasked(plan, shown), columns)
        return
    yield from _fitting(lambda shown: _asked(plan, found, shown), columns)
    if len(found) > 1:
        yield ""
        known = sum(one.error is None for one in found)
        of = "" if known == len(found) else f"{known} of "
        yield f"in all, {of}{counted(len(found), 'repository', 'repositories')}"
        yield from amount_lines(PlannedAmounts.of(found))


def amount_lines(amounts: PlannedAmounts) -> Iterator[str]:
    """Return sums as lines, one for each way that a blob takes."""
    for name, amount in (("there", amounts.there), ("mount", amounts.mount), ("send", amounts.send)):
        yield _amount(name, amount)
    tags = [f"{amounts.tags_new} new"] if amounts.tags_new else []
    tags += [f"{amounts.tags_moved} moved"] if amounts.tags_moved else []
    yield f"  store    {counted(amounts.manifests, 'manifest')}" + (f"; tags: {', '.join(tags)}" if tags else "")


def _amount(name: str, amount: PlannedAmount) -> str:
    unless = "  unless the registry refuses" if name == "mount" and amount.blobs else ""
    return f"  {name:<7}  {counted(amount.blobs, 'blob'):<9}  {size(amount.bytes):>8}{unless}"


def _asked(plan: PushPlan, found: Sequence[TargetForecast], shown: Shown) -> Iterator[str]:
    for work, one in zip(plan.repositories, found, strict=True):
        yield ""
        yield familiar(one.repository)
        if one.error is not None:
            yield f"  failed   see below; {counted(len(work.target.tags), 'tag')} would be set"
        else:
            yield from _target(plan, one, shown)
            yield from _signatures(plan, work)


def _target(plan: PushPlan, one: TargetForecast, shown: Shown) -> Iterator[str]:
    amounts = PlannedAmounts.of([one])
    if one.has_image:
        yield f"  image    there, all of it ({counted(amounts.there.blobs, 'blob')}, {size(amounts.there.bytes)})"
    else:
        yield f"  image    not there; {counted(one.manifests, 'manifest')} to store"
    longest = max((len(tag.tag) for tag in one.tags), default=0)
    for number, tag in enumerate(one.tags):
        yield _tag("" if number else "tags", tag, longest, shown)
    for artifact, is_there in zip(plan.attached, one.attached, strict=True):
        yield f"  attach   {artifact.name}: {'there' if is_there else f'new, {size(artifact.size)}'}"
    yield f"  write    {_ALLOWED[one.may_push]}"
    if one.has_image:
        return
    yield _amount("there", amounts.there)
    for name, way, amount in (("mount", BlobWay.MOUNT, amounts.mount), ("send", BlobWay.SEND, amounts.send)):
        if not amount.blobs and name == "mount":
            continue
        yield _amount(name, amount)
        for blob in sorted((b for b in one.blobs if b.way is way), key=lambda blob: -blob.size):
            yield _blob(blob, shown)


def _tag(name: str, tag: TagForecast, longest: int, shown: Shown) -> str:
    start = f"  {name:<7}  {tag.tag:<{longest}}  {tag.move}"
    if tag.move is TagMove.MOVES and tag.now is not None:
        return f"{start} from {shown(tag.now)}" + (", but is immutable" if tag.immutable else "")
    return f"{start}: {tag.error}" if tag.error else start


def _blob(blob: BlobForecast, shown: Shown) -> str:
    text = f"{_INDENT}{shown(blob.digest)}  {size(blob.size):>8}  {blob.kind}"
    if blob.mount_from is not None:
        text += f"  {blob.mount_from.path}"
    return text + ("  goes on with an earlier upload" if blob.resumes else "")


def _attached(plan: PushPlan, shown: Shown) -> Iterator[str]:
    for one in plan.attached:
        yield f"  attach   {one.name} as {shown(one.top.digest)} ({one.top.artifact_type})  {size(one.size)}"


def _unasked(plan: PushPlan, shown: Shown) -> Iterator[str]:
    for work in plan.repositories:
        after = f", after {plan.repositories[work.after].target.repository}" if work.after is not None else ""
        yield ""
        yield familiar(work.target.repository)
        yield f"  tags     {', '.join(work.target.tags) or '-'}{after}"
        for blob in work.blobs:
            text = f"  blob     {shown(blob.digest)}  {size(blob.size):>8}"
            if blob.digest in work.expected:
                text += "  there after an earlier run"
            elif blob.digest in work.mount_candidates:
                text += f"  mount from {', '.join(one.path for one in work.mount_candidates[blob.digest])}"
            yield text
        yield from _signatures(plan, work)


def _fitting(make: Callable[[Shown], Iterable[str]], columns: int | None) -> list[str]:
    """Return lines with whole digests, or with short ones where one of them would be wider than the window."""
    whole = list(make(str))
    return whole if columns is None or max(map(len, whole), default=0) <= columns else list(make(short))


def _signatures(plan: PushPlan, work: RepositoryPlan) -> Iterator[str]:
    listed = len(plan.graph.nodes) - 1
    for one in work.target.signers:
        also = f", and {counted(listed, 'manifest')} that it lists" if listed and one in work.target.recursive else ""
        yield f"  sign     with {one.rule.name} ({', '.join(one.rule.written)}){also}, unless that is there"
