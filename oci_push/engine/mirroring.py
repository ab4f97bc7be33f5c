"""Mirroring: what the jobs of a file mean in images, and all of it copied in one run that goes on after failures.

`find` lists repositories and tags, each once, and makes a copy of each image and target; what cannot be listed is a
failure beside them. `look` tells what `mirror` would do, without writing anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Literal

from msgspec import Struct

from oci_push.engine.copying.copy import copy
from oci_push.engine.copying.items import Copied, CopyItem, CopyOptions, CopyRow
from oci_push.engine.copying.referrers import Referred, together
from oci_push.engine.copying.report import CopiedReferrers, CopiedTag, CopyReport
from oci_push.engine.copying.tag_lists import TagLists
from oci_push.engine.editing.change import tag as tag_image
from oci_push.engine.looking.attached import is_referrer_tag
from oci_push.engine.looking.listing import Wanted, by_version, list_repositories
from oci_push.engine.looking.tree import AT_ONCE, top
from oci_push.engine.pusher import Pusher
from oci_push.engine.unit import UnitTarget
from oci_push.errors import ConfigError, NotFoundError, OciPushError, exit_code
from oci_push.events import Emit
from oci_push.forms import VERSION, ErrorForm, Version
from oci_push.model.changes import NOTHING, Changes
from oci_push.model.digest import Digest
from oci_push.model.mirroring import MirrorFile, MirrorJob, MirrorSource, Pattern, filled
from oci_push.model.outcomes import CopyOutcome
from oci_push.model.reference import Reference, Repository
from oci_push.model.versions import version_key
from oci_push.runtime.context import Context
from oci_push.runtime.costs import Cost
from oci_push.runtime.single_flight import SingleFlight
from oci_push.runtime.tasks import run_all

_LIST_FROM = 8
"""From how many tags of a target on its list is read at once, as copies do."""


class MirrorCopy(Struct, frozen=True):
    """One image and one place that it goes to; no tag where it goes by its digest alone."""

    source: Reference
    repository: Repository
    tag: str
    job: MirrorJob

    @property
    def name(self) -> str:
        """Return the target's name."""
        return f"{self.repository}:{self.tag}" if self.tag else f"{self.repository}@{self.source.digest}"

    @property
    def item(self) -> CopyItem:
        """Return it as it is copied."""
        is_one = len(self.job.platforms) == 1 and not self.job.is_sparse
        platform = self.job.platforms[0] if is_one else None
        changes = NOTHING if is_one else Changes(platforms=self.job.platforms, is_sparse=self.job.is_sparse)
        target = UnitTarget(self.repository, (self.tag,) if self.tag else ())
        return CopyItem(f"docker://{self.source}", (target,), platform=platform, changes=changes)


class MirrorFailure(Struct, frozen=True):
    """What could not even be begun: `name` is a source or a target, `place` where the file speaks of it."""

    name: str
    place: str
    error: OciPushError


class Found(Struct, frozen=True):
    """What a file means now: copies in its order, what failed, and notes on sources of which nothing is wanted."""

    copies: tuple[MirrorCopy, ...]
    failures: tuple[MirrorFailure, ...]
    notes: tuple[str, ...]


class Mirrored(Struct, frozen=True):
    """What became of all of it."""

    copied: Copied
    failures: tuple[MirrorFailure, ...]

    @property
    def errors(self) -> tuple[OciPushError | None, ...]:
        """Return the errors, and nothing for each tag without, for `errors.exit_code`."""
        return (*self.copied.errors, *(one.error for one in self.failures))


class FailedSource(Struct, frozen=True):
    """A source or a target that failed before its images were known."""

    name: str
    place: str
    error: ErrorForm

    @classmethod
    def of(cls, one: MirrorFailure) -> FailedSource:
        """Return a failure as it is published."""
        return cls(one.name, one.place, ErrorForm.of(one.error))


class MirrorReport(Struct, frozen=True):
    """What ``mirror --json`` prints; `form` is whose form the file has, `notes` what of it is not honoured."""

    version: Version
    file: str
    form: str
    status: Literal["success", "failure"]
    exit_code: int
    counts: Mapping[str, int]
    bytes_sent: int
    seconds: float
    tags: tuple[CopiedTag, ...]
    referrers: CopiedReferrers | None
    failures: tuple[FailedSource, ...]
    notes: tuple[str, ...]
    requests: int = 0
    retries: int = 0
    waited_s: float = 0.0
    phases: Mapping[str, float] = {}

    @classmethod
    def of(cls, path: str, read: MirrorFile, done: Mirrored, seconds: float, cost: Cost) -> MirrorReport:
        """Return the report of a run, and what it cost."""
        tags = CopyReport.of(done.copied, seconds, with_referrers=True, cost=cost)
        code = exit_code(done.errors)
        return cls(
            VERSION,
            path,
            read.form,
            "failure" if code else "success",
            code,
            tags.counts,
            tags.bytes_sent,
            tags.seconds,
            tags.tags,
            tags.referrers,
            tuple(map(FailedSource.of, done.failures)),
            tuple(map(str, read.notes)),
            tags.requests,
            tags.retries,
            tags.waited_s,
            tags.phases,
        )


class PlannedTag(Struct, frozen=True):
    """What would become of one tag: ``copy`` of a new one, ``move``, ``unchanged``, ``there`` (and let be), ``failed``.

    `before` is what the target names now. Where the image is changed on its way, its digest is not known before.
    """

    source: str
    repository: Repository
    tag: str | None
    digest: Digest | None
    before: Digest | None
    outcome: str
    error: ErrorForm | None


class MirrorPlan(Struct, frozen=True):
    """What ``mirror --plan --json`` prints."""

    version: Version
    file: str
    form: str
    tags: tuple[PlannedTag, ...]
    failures: tuple[FailedSource, ...]
    notes: tuple[str, ...]


class Mirroring:
    """One run over what a file says, by one pusher, with one memory of what is where."""

    def __init__(self, pusher: Pusher, *, only_missing: bool, referrers: bool, at_once: int) -> None:
        self._pusher = pusher
        self._lists = TagLists(pusher)
        self._only_missing = only_missing
        self._referrers = referrers
        self._at_once = at_once
        self._catalogs: SingleFlight[str, tuple[str, ...]] = SingleFlight()
        self._copies: dict[tuple[Repository, str], MirrorCopy] = {}

    def find(self, context: Context, jobs: Sequence[MirrorJob]) -> Found:
        """List what the sources of all jobs are now, and where each image goes."""
        self._copies = {}
        failures: list[MirrorFailure] = []
        notes: list[str] = []
        pairs = [(job, source) for job in jobs for source in job.sources]
        lists = run_all(
            context, [partial(self._repositories, job=job, source=one) for job, one in pairs], limit=AT_ONCE
        )
        wanted: list[tuple[MirrorJob, MirrorSource, Repository]] = []
        for (job, source), outcome in zip(pairs, lists, strict=True):
            if isinstance(outcome.error, OciPushError):
                failures.append(MirrorFailure(str(source), job.place, outcome.error))
                continue
            repositories = outcome.get()
            if not repositories:
                notes.append(f"{source}: no repository matches")
            wanted += [(job, source, one) for one in repositories]
        context.check()
        asked = [partial(self._images, job=job, source=source, repository=one) for job, source, one in wanted]
        for (job, source, repository), found in zip(wanted, run_all(context, asked, limit=AT_ONCE), strict=True):
            if isinstance(found.error, OciPushError):
                failures.append(MirrorFailure(str(repository), job.place, found.error))
                continue
            if not found.get() and not source.is_glob:
                notes.append(f"{repository}: no tag is wanted of what is there")
            for image in found.get():
                failures += filter(None, (self._place(image, template, job) for template in job.targets))
        context.check()
        once = {(one.name, one.place, str(one.error)): one for one in reversed(failures)}
        return Found(tuple(self._copies.values()), tuple(reversed(once.values())), tuple(notes))

    def look(self, context: Context, found: Found) -> tuple[PlannedTag, ...]:
        """Tell what would be done, asking both sides and writing nothing."""
        jobs = [partial(self._planned, one=one) for one in found.copies]
        planned = []
        for one, outcome in zip(found.copies, run_all(context, jobs, limit=AT_ONCE), strict=True):
            context.check()
            if isinstance(outcome.error, OciPushError):
                error = ErrorForm.of(outcome.error)
                planned.append(_plan_of(one, None, None, "failed", error))
            else:
                planned.append(outcome.get())
        return tuple(planned)

    def mirror(self, context: Context, found: Found, emit: Emit) -> Mirrored:
        """Copy all of it; what fails is a row or a failure, and the rest goes on."""
        lost = self._out_of_reach(context, found.copies)
        if not self._only_missing:
            lost |= self._keep(context, [(n, one) for n, one in enumerate(found.copies) if n not in lost])
        rows: dict[int, CopyRow] = {}
        referred: list[Referred] = []
        for with_referrers in (True, False):
            wanted = [
                number
                for number, one in enumerate(found.copies)
                if number not in lost and (self._referrers and one.job.referrers is not False) is with_referrers
            ]
            if not wanted:
                continue
            options = CopyOptions(self._at_once, referrers=with_referrers, only_missing=self._only_missing)
            items = [found.copies[number].item for number in wanted]
            copied = copy(context, self._pusher, items, emit, options, lists=self._lists)
            rows.update(zip(wanted, copied.rows, strict=True))
            referred.append(copied.referrers)
        for number, error in lost.items():
            one = found.copies[number]
            source = f"docker://{one.source}"
            rows[number] = CopyRow(source, one.repository, one.tag, None, CopyOutcome.FAILED, error=error)
        return Mirrored(Copied(tuple(rows[number] for number in sorted(rows)), together(referred)), found.failures)

    def _images(
        self, context: Context, job: MirrorJob, source: MirrorSource, repository: Repository
    ) -> list[Reference]:
        if source.references:
            return [_reference(repository, one) for one in source.references]
        names = self._lists.names(context, self._lists.source(repository), must=True) or frozenset()
        if not names and not source.is_glob:
            raise NotFoundError(
                f"{repository}: has no tags", hint=f"see what there is: oci-push repos {repository.host}"
            )
        tags = job.wanted(sorted(name for name in names if not is_referrer_tag(name)))
        if job.newest:
            tags = by_version(tag for tag in tags if version_key(tag))[: job.newest]
        return [Reference(repository, tag) for tag in tags]

    def _repositories(self, context: Context, job: MirrorJob, source: MirrorSource) -> list[Repository]:
        if not source.is_glob:
            return [Repository(source.host, source.path)]
        glob = Pattern("glob", source.path)
        paths = [
            one for one in self._catalog(context, source.host) if glob.matches(one) and job.repositories.matches(one)
        ]
        found: list[Repository] = []
        for path in paths:
            with suppress(ValueError):  # a name that the specification does not know would become a part of a URL
                found.append(Repository(source.host, path))
        return found

    def _place(self, image: Reference, template: str, job: MirrorJob) -> MirrorFailure | None:
        """Note where an image goes; return why it cannot go there."""
        try:
            goes = filled(template, image.repository, image.target)
        except ValueError as problem:
            # About all tags of a repository alike, and told once.
            name = str(image.repository)
            error = ConfigError(
                f"{name}: cannot go to {template!r}: {problem}",
                hint="name another target; a host with a port cannot be a part of a name",
            )
            return MirrorFailure(name, job.place, error)
        made = MirrorCopy(image, goes.repository, goes.tag, job)
        if goes == image and goes.digest is None:
            return MirrorFailure(str(image), job.place, ConfigError(f"{image}: would be copied to itself"))
        known = self._copies.setdefault((goes.repository, goes.tag or str(goes.digest)), made)
        if known.item == made.item:
            return None
        error = ConfigError(
            f"{made.name}: {known.source} goes there already, and {image} cannot", hint="give each a place of its own"
        )
        return MirrorFailure(str(image), job.place, error)

    def _catalog(self, context: Context, host: str) -> tuple[str, ...]:
        def read() -> tuple[str, ...]:
            session = self._lists.source(Repository(host, "oci-push-repos")).client.session
            return list_repositories(context, session, host, Wanted()).repositories

        return self._catalogs.get(host, read)

    def _planned(self, context: Context, one: MirrorCopy) -> PlannedTag:
        target = self._lists.target(one.repository)
        if self._only_missing and one.tag:
            names = self._lists.names(context, target, must=True)
            if names is not None and one.tag in names:
                return _plan_of(one, None, None, "there")
        digest = self._digest(context, one)
        names = self._lists.names(context, target) if one.tag else None
        is_new = names is not None and one.tag not in names  # the list says so of a thousand tags at once
        there = None if is_new else target.client.head(context, one.tag or str(one.source.digest))
        before = there.digest if there else None
        is_same = before is not None and digest == before
        return _plan_of(one, digest, before, "unchanged" if is_same else "move" if before else "copy")

    def _digest(self, context: Context, one: MirrorCopy) -> Digest | None:
        """Return what the target will name; ``None`` where the image is changed on its way."""
        item = one.item
        if item.platform is not None:
            with self._pusher.open(item.source, context) as image:
                return top(context, image, item.platform).digest
        side = self._lists.source(one.source.repository)
        there = side.client.head(context, one.source.target)
        if there is None:
            raise NotFoundError(f"{one.source}: does not exist", hint="see what there is with oci-push tags")
        return None if one.job.platforms and not one.job.is_sparse else one.source.digest or there.digest

    def _out_of_reach(self, context: Context, copies: Sequence[MirrorCopy]) -> dict[int, OciPushError]:
        """Return which copies cannot even begin, as their target cannot be reached: others go on without them."""
        counts: dict[Repository, int] = {}
        for one in copies:
            counts[one.repository] = counts.get(one.repository, 0) + 1
        outcomes = run_all(
            context, [partial(self._reach, repository=one, count=count) for one, count in counts.items()], limit=AT_ONCE
        )
        context.check()
        errors = {repository: outcome.error for repository, outcome in zip(counts, outcomes, strict=True)}
        lost: dict[int, OciPushError] = {}
        for number, one in enumerate(copies):
            error = errors[one.repository]
            if isinstance(error, OciPushError):
                lost[number] = error
        return lost

    def _reach(self, context: Context, repository: Repository, count: int) -> None:
        target = self._lists.target(repository)
        if self._only_missing or count >= _LIST_FROM:
            self._lists.names(context, target, must=self._only_missing)

    def _keep(self, context: Context, copies: Sequence[tuple[int, MirrorCopy]]) -> dict[int, OciPushError]:
        """Give another tag to what would be overwritten, where that is wanted; return what could not be kept."""
        wanted = [(number, one) for number, one in copies if one.job.backup and one.tag]
        outcomes = run_all(context, [partial(self._back_up, one=one) for _, one in wanted], limit=AT_ONCE)
        context.check()
        lost: dict[int, OciPushError] = {}
        for (number, _), outcome in zip(wanted, outcomes, strict=True):
            if isinstance(outcome.error, OciPushError):
                lost[number] = outcome.error.with_more("; nothing was overwritten, as it could not be kept")
            else:
                outcome.get()
        return lost

    def _back_up(self, context: Context, one: MirrorCopy) -> None:
        client = self._lists.target(one.repository).client
        there = client.head(context, one.tag, push=True)
        if there is None or there.digest is None or there.digest == self._digest(context, one):
            return
        name = one.job.backup.replace("{tag}", one.tag)
        _, errors = tag_image(context, client, str(there.digest), [name])
        for error in errors.values():
            raise error


def _reference(repository: Repository, text: str) -> Reference:
    return Reference(repository, "", Digest.parse(text)) if ":" in text else Reference(repository, text)


def _plan_of(
    one: MirrorCopy, digest: Digest | None, before: Digest | None, outcome: str, error: ErrorForm | None = None
) -> PlannedTag:
    return PlannedTag(f"docker://{one.source}", one.repository, one.tag or None, digest, before, outcome, error)
