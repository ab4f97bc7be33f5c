"""`oci-push copy`: images from registries, layouts and archives to a registry, with what refers to them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated

from msgspec import Struct
from msgspec.structs import replace

from oci_push.api import this_environment
from oci_push.cli.command import run_command, show_error, takes
from oci_push.cli.conversion import Conversion
from oci_push.cli.options import Common, Delivery, split_regions
from oci_push.cli.output import say, say_form, tell
from oci_push.cli.progress import MOST_TOLD
from oci_push.cli.reporting import Reporting
from oci_push.cli.wording import counted, duration, size
from oci_push.cli.words import SOURCE, TARGET, Argument, Option
from oci_push.engine.copying import AT_ONCE, Copied, CopyItem, CopyOptions, copy
from oci_push.engine.copying_lists import TagLists
from oci_push.engine.copying_referrers import told
from oci_push.engine.copying_report import CopyReport
from oci_push.engine.copying_selection import GLOB, Selection, select, select_names
from oci_push.engine.pusher import Pusher
from oci_push.engine.unit import UnitTarget
from oci_push.errors import ConfigError, OciPushError, exit_code
from oci_push.model.endpoint import RegistryEndpoint
from oci_push.model.outcomes import CopyOutcome
from oci_push.model.reference import Destination, Reference, Repository, is_tag, shown
from oci_push.model.source import SourceSpec
from oci_push.runtime.context import Context
from oci_push.runtime.files import write_result
from oci_push.sources.table import GRAMMAR

_AGE = r"(\d{1,6})([hdw])"
_SECONDS = {"h": 3600, "d": 24 * 3600, "w": 7 * 24 * 3600}


class Choice(Struct, frozen=True):
    """Which images are copied, where a SOURCE means several, and what of them."""

    all_tags: Annotated[bool, Option("All images of each SOURCE, which names a repository.", under=SOURCE)] = False
    tags: Annotated[list[str] | None, Option("As --all-tags, those that match.", metavar="GLOB", under=SOURCE)] = None
    exclude: Annotated[list[str] | None, Option("But not tags that match.", metavar="GLOB", under=SOURCE)] = None
    newer_than: Annotated[
        str,
        Option("Leave out images made before: 2026-05-01, or an age as 36h, 30d or 8w.", metavar="TIME", under=SOURCE),
    ] = ""
    only_missing: Annotated[
        bool, Option("Leave out tags that DESTINATION lists, whatever they name.", under=TARGET)
    ] = False
    no_referrers: Annotated[
        bool, Option("Leave signatures, attestations and other referrers behind.", under=SOURCE)
    ] = False

    @property
    def is_many(self) -> bool:
        """Return whether each SOURCE names a repository, and not an image."""
        return self.all_tags or bool(self.tags)


@takes(Choice, Conversion, Common, Delivery, Reporting)
def copy_command(
    words: Annotated[
        list[str],
        Argument(
            metavar="SOURCE... DESTINATION",
            help="HOST/REPO:GLOB, or any SOURCE of push. DESTINATION: HOST[:PORT]/REPO[:TAG[,TAG…]]; without TAG"
            " each image keeps its own.",
        ),
    ],
    *,
    choice: Choice,
    conversion: Conversion,
    common: Common,
    delivery: Delivery,
    reporting: Reporting,
) -> None:
    """Copy images, one or all of a repository, with what refers to them: signatures, attestations, SBOMs.

    What is there already is not sent again, so the same command goes on where one was stopped. --jobs is also how many
    images go at once.
    """

    def work(context: Context) -> int:
        env = this_environment().env
        reporting.check_with(common, env)
        common.export_form(env)
        sources, destinations = _read(words, choice, delivery, common)
        _check(sources, destinations, choice, common, reporting)
        targets = tuple(UnitTarget(one.repository, one.tags) for one in destinations)
        options = CopyOptions(
            common.jobs or AT_ONCE,
            referrers=not choice.no_referrers,
            only_missing=choice.only_missing,
            newer_than=_moment(choice.newer_than, context.clock.now()),
            push=replace(CopyOptions().push, verify=common.verify, all_or_nothing=common.all_or_nothing),
            served_in=split_regions(delivery.regions) if common.wait_replication else None,
        )
        is_quiet = common.quiet or delivery.as_json
        hosts = tuple(dict.fromkeys(one.repository.host for one in destinations))
        endpoints = _endpoints(sources, destinations, common, env)
        title = f"Copy {sources[0].text}"
        began = context.clock.monotonic()
        with (
            reporting.following(context.clock, env, is_quiet=is_quiet, title=title) as follower,
            common.pusher(
                context, follower.emit, endpoints=endpoints, login_host=common.login_host(hosts), hosts=hosts
            ) as pusher,
        ):
            lists = TagLists(pusher)
            items = _items(context, pusher, lists, sources, targets, choice, conversion, common)
            copied = copy(context, pusher, items, follower.emit, options, lists=lists)
        seconds = context.clock.monotonic() - began
        form = CopyReport.of(copied, seconds, with_referrers=options.referrers)
        _show(copied, seconds, is_quiet=common.quiet, as_json=form if delivery.as_json else None)
        _write(copied, form, common, reporting)
        return exit_code(copied.errors)

    run_command(work, what="copy", timeout_s=common.timeout or None)


class _Source(Struct, frozen=True):
    """One SOURCE: `selection` where it means tags of a repository, else it is read as `spec` says."""

    text: str
    selection: Selection | None = None
    spec: SourceSpec | None = None

    @property
    def repository(self) -> Repository | None:
        """Return the repository that it lies in; ``None`` for a file."""
        if self.selection is not None:
            return self.selection.repository
        is_remote = self.spec is not None and self.spec.kind == "registry"
        return Reference.parse(self.spec.path).repository if self.spec is not None and is_remote else None


def _read(
    words: Sequence[str], choice: Choice, delivery: Delivery, common: Common
) -> tuple[list[_Source], tuple[Destination, ...]]:
    """Take the words apart; raises `ConfigError`."""
    *texts, last = words
    if not texts:
        raise ConfigError(
            f"there is no DESTINATION to copy {shown(last)} to", hint="write HOST[:PORT]/REPO after what is copied"
        )
    try:
        destinations: tuple[Destination, ...] = (Destination.parse(last.removeprefix("docker://")),)
    except ValueError as problem:
        raise ConfigError(
            f"destination {shown(last)!r}: {problem}", hint="write HOST[:PORT]/REPO, or HOST[:PORT]/REPO:TAG[,TAG…]"
        ) from problem
    regions = split_regions(delivery.regions)
    if regions and not common.wait_replication:
        from oci_push.engine.regions import fan_out

        destinations = fan_out(destinations, regions)
    return [_source(text, choice) for text in texts], destinations


def _source(text: str, choice: Choice) -> _Source:
    bare = text.removeprefix("docker://")
    name, colon, tag = bare.rpartition(":")
    if colon and "/" in name and "/" not in tag and not GLOB.isdisjoint(tag) and "@" not in bare:
        if choice.is_many:
            raise ConfigError(
                f"source {shown(text)!r} says which tags are meant, and so does {_given(choice)}",
                hint=f"write {name}, or leave out the option",
            )
        try:
            repository = Repository.parse(name)
        except ValueError as problem:
            raise ConfigError(f"source {shown(text)!r}: {problem}", hint="write HOST/REPO:GLOB") from problem
        return _Source(text, Selection(repository, (tag,), tuple(choice.exclude or ())))
    spec = GRAMMAR.parse(text)
    if not choice.is_many or spec.kind != "registry":
        return _Source(text, spec=spec)
    reference = Reference.parse(spec.path, default_tag="")
    if reference.target:
        raise ConfigError(
            f"source {shown(text)!r} names one image, and {_given(choice)} means all of a repository",
            hint=f"write {reference.repository}, or leave out the option",
        )
    selection = Selection(reference.repository, tuple(choice.tags or ()), tuple(choice.exclude or ()))
    return _Source(text, selection)


def _given(choice: Choice) -> str:
    return "--all-tags" if choice.all_tags else "--tags"


def _check(
    sources: Sequence[_Source],
    destinations: Sequence[Destination],
    choice: Choice,
    common: Common,
    reporting: Reporting,
) -> None:
    """Refuse what has no effect on these sources; raises `ConfigError`."""
    is_many = choice.is_many or any(one.selection for one in sources)
    if common.password_stdin and any(one.text == "-" for one in sources):
        raise ConfigError("--password-stdin and the source - cannot both read stdin")
    if choice.exclude and not is_many:
        raise ConfigError("--exclude has no effect: each SOURCE names one image", hint="give --all-tags, or a glob")
    if is_many and destinations[0].tags:
        raise ConfigError(
            f"destination {destinations[0]} names a tag, and there may be many images",
            hint=f"write {destinations[0].repository}: each image keeps its own tag",
        )
    if common.all_or_nothing and (is_many or len(sources) > 1):
        raise ConfigError(
            "--all-or-nothing is about the tags of one image, and here are several", hint="copy each by itself"
        )
    if common.export:
        raise ConfigError("--export has no effect with copy", hint="--report FILE has every digest")
    if reporting.report_format == "junit":
        raise ConfigError("--report-format junit has no effect with copy", hint="json or markdown")
    if not all(one.repository for one in sources):
        return
    options = {"--compression": common.compression, "--compression-level": common.compression_level}
    for option in (name for name, value in options.items() if value):
        raise ConfigError(
            f"{option} has no effect: layers of a registry are as they are", hint="--recompress compresses them anew"
        )


def _moment(text: str, now: float) -> float | None:
    """Read ``--newer-than``, a date or an age, as seconds since 1970; raises `ConfigError`."""
    if not text:
        return None
    age = re.fullmatch(_AGE, text, re.ASCII)
    if age:
        return now - int(age[1]) * _SECONDS[age[2]]
    try:
        found = datetime.fromisoformat(text)
    except ValueError as problem:
        raise ConfigError(
            f"--newer-than {text!r} is neither a date nor an age", hint="such as 2026-05-01, 36h, 30d or 8w"
        ) from problem
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def _endpoints(
    sources: Sequence[_Source], destinations: Sequence[Destination], common: Common, env: Mapping[str, str]
) -> Mapping[str, RegistryEndpoint]:
    """Return how registries are reached that oci-push.yaml describes, or whose cloud is asked, by host."""
    found: dict[str, RegistryEndpoint] = {}
    if common.find(None, env)[0] is not None:
        from oci_push.cli.inputs import described_endpoints

        hosts = dict.fromkeys(one.repository.host if one.repository else "" for one in sources)
        for host in hosts:
            source = next(one for one in sources if (one.repository.host if one.repository else "") == host)
            text = f"docker://{source.repository}" if source.repository else source.text
            found |= described_endpoints(text, destinations, common, env)
    if common.create_repository or common.wait_replication:
        from oci_push.engine.regions import managed_endpoints

        found |= managed_endpoints(destinations, common.creation(), found)
    return found


def _items(
    context: Context,
    pusher: Pusher,
    lists: TagLists,
    sources: Sequence[_Source],
    targets: Sequence[UnitTarget],
    choice: Choice,
    conversion: Conversion,
    common: Common,
) -> tuple[CopyItem, ...]:
    """Return what is copied, before anything is written."""
    items: list[CopyItem] = []
    for one in sources:
        if one.selection is not None:
            items += select(context, lists, one.selection, targets)
        elif choice.is_many:
            globs, exclude = tuple(choice.tags or ()), tuple(choice.exclude or ())
            items += select_names(context, pusher, one.text, globs, exclude, targets)
        else:
            items.append(_item(one, targets))
    changes, only = conversion.changes(common), conversion.only()
    return tuple(replace(item, platform=only, changes=changes) for item in items)


def _item(one: _Source, targets: Sequence[UnitTarget]) -> CopyItem:
    """Return the item of a SOURCE that is one image, which keeps its tag where no other is given."""
    spec = one.spec or GRAMMAR.parse(one.text)
    source, name = one.text, "latest"
    if spec.kind == "registry":
        reference = Reference.parse(spec.path)
        source, name = f"docker://{reference}", reference.tag
    elif spec.ref and not spec.ref.startswith("@"):
        name = spec.ref.rpartition(":")[2]
        if not is_tag(name) and not all(target.tags for target in targets):
            raise ConfigError(
                f"source {shown(one.text)!r}: {name!r} cannot be a tag", hint="give the destination a tag"
            )
    tags = (name,) if name else ()
    return CopyItem(source, tuple(replace(target, tags=target.tags or tags) for target in targets))


def _show(copied: Copied, seconds: float, *, is_quiet: bool, as_json: CopyReport | None) -> None:
    """Print what is there now, one line each or their number, and what went wrong."""
    if as_json is not None:
        say_form(as_json)
    there = [row for row in copied.rows if row.outcome in (CopyOutcome.COPIED, CopyOutcome.UNCHANGED)]
    summary = _summary(copied, seconds)
    if as_json is None and len(copied.rows) <= MOST_TOLD:
        for row in there:
            say(f"{row.name}@{row.digest}" if row.tag else row.name)
        if not is_quiet:
            tell(summary)
    elif as_json is None:
        say(summary)
    for row in copied.rows:
        if row.error is not None and row.outcome is not CopyOutcome.NOT_REACHED:
            show_error(row.error, before=f"{row.name}: ")
    for error in _others(copied):
        show_error(error)


def _others(copied: Copied) -> list[OciPushError]:
    """Return errors that are no tag's own: of referrers, and why a run was stopped."""
    stopped = next((row.error for row in copied.rows if row.outcome is CopyOutcome.NOT_REACHED), None)
    return [*copied.referrers.errors, *([stopped] if stopped is not None else [])]


_SAID = {
    CopyOutcome.COPIED: "copied",
    CopyOutcome.UNCHANGED: "unchanged",
    CopyOutcome.THERE: "there and not asked for",
    CopyOutcome.OLDER: "left out as older",
    CopyOutcome.FAILED: "failed",
    CopyOutcome.NOT_REACHED: "not reached",
}


def _summary(copied: Copied, seconds: float) -> str:
    """Return what came of a copy in one line."""
    counts = [(copied.count(outcome), words) for outcome, words in _SAID.items()]
    ended = ", ".join(f"{count} {words}" for count, words in counts if count)
    sent = sum(row.bytes_sent for row in copied.rows)
    beside = f", with {told(copied.referrers)}" if copied.referrers.count else ""
    return f"{counted(len(copied.rows), 'tag')}: {ended}; {size(sent)} sent in {duration(seconds)}{beside}"


def _write(copied: Copied, form: CopyReport, common: Common, reporting: Reporting) -> None:
    """Write what was asked for: digests, and the report."""
    if reporting.digest_file:
        digests = dict.fromkeys(str(row.digest) for row in copied.rows if row.digest and row.error is None)
        if digests:
            write_result(reporting.digest_file, "".join(f"{one}\n" for one in digests), "the digest")
    if common.report and reporting.report_format == "markdown":
        write_result(common.report, _markdown(copied, form.seconds), "the report")
    elif common.report:
        from oci_push.runner.report import write_report

        write_report(common.report, form)


def _markdown(copied: Copied, seconds: float) -> str:
    lines = ["| tag | outcome | digest |", "|---|---|---|"]
    lines += [f"| `{row.name}` | {row.outcome} | {row.digest or '-'} |" for row in copied.rows]
    return "\n".join([_summary(copied, seconds), "", *lines, ""])
