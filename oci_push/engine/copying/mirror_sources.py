"""What the file of ``mirror`` means now: its sources listed, each once, and a copy for each image and target.

What cannot be listed, and what cannot go where it should, is a failure beside the copies.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import partial

from msgspec import Struct

from oci_push.engine.copying.items import CopyItem
from oci_push.engine.copying.tag_lists import TagLists
from oci_push.engine.looking.attached import is_referrer_tag
from oci_push.engine.looking.listing import Wanted, by_version, list_repositories
from oci_push.engine.looking.tree import AT_ONCE
from oci_push.engine.unit import UnitTarget
from oci_push.errors import ConfigError, NotFoundError, OciPushError
from oci_push.model.changes import NOTHING, Changes
from oci_push.model.digest import Digest
from oci_push.model.mirroring import MirrorJob, MirrorSource, Pattern, filled
from oci_push.model.reference import Reference, Repository
from oci_push.model.versions import version_key
from oci_push.runtime.context import Context
from oci_push.runtime.single_flight import SingleFlight
from oci_push.runtime.tasks import run_all


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
    def backup(self) -> str:
        """Return the tag that keeps what this one overwrites, if one does, or a whole reference elsewhere."""
        if not self.tag or not self.job.backup:
            return ""
        if "/" in self.job.backup:
            return str(filled(self.job.backup, self.repository, self.tag))
        return self.job.backup.replace("{tag}", self.tag)

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


def find(context: Context, lists: TagLists, jobs: Sequence[MirrorJob]) -> Found:
    """List what the sources of all jobs are now, and where each image goes; `lists` keeps what was read for that."""
    return _Finding(lists).find(context, jobs)


class _Finding:
    def __init__(self, lists: TagLists) -> None:
        self._lists = lists
        self._catalogs: SingleFlight[str, tuple[str, ...]] = SingleFlight()
        self._copies: dict[tuple[Repository, str], MirrorCopy] = {}

    def find(self, context: Context, jobs: Sequence[MirrorJob]) -> Found:
        """Do all of it."""
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


def _reference(repository: Repository, text: str) -> Reference:
    return Reference(repository, "", Digest.parse(text)) if ":" in text else Reference(repository, text)
