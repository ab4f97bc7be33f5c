"""Mirroring: the copies that a file means, made or forecast in one run that goes on after failures.

A target that cannot be reached costs its own copies alone. What is overwritten can be kept under another tag.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from oci_push.engine.copying.backup import Backups
from oci_push.engine.copying.copy import copy
from oci_push.engine.copying.forecast import CopyForecast, forecast, in_order
from oci_push.engine.copying.items import Copied, CopyItem, CopyOptions, CopyRow
from oci_push.engine.copying.mirror_sources import Found, MirrorCopy, MirrorFailure, find
from oci_push.engine.copying.referrers import Referred, together
from oci_push.engine.copying.tag_lists import TagLists
from oci_push.engine.forecast import Forecaster
from oci_push.engine.looking.tree import AT_ONCE, top
from oci_push.engine.pusher import Pusher
from oci_push.engine.unit import Act, perform
from oci_push.errors import NotFoundError, OciPushError
from oci_push.events import Emit
from oci_push.model.digest import Digest
from oci_push.model.mirroring import MirrorJob
from oci_push.model.outcomes import CopyOutcome
from oci_push.model.reference import Repository
from oci_push.runtime.context import Context
from oci_push.runtime.tasks import run_all

_Act: TypeAlias = Callable[[Sequence[CopyItem], CopyOptions], Copied]
_LIST_FROM = 8
"""From how many tags of a target on its list is read at once, as copies do."""


class Mirrored(Struct, frozen=True):
    """What became of all of it."""

    copied: Copied
    failures: tuple[MirrorFailure, ...]

    @property
    def errors(self) -> tuple[OciPushError | None, ...]:
        """Return the errors, and nothing for each tag without, for `errors.exit_code`."""
        return (*self.copied.errors, *(one.error for one in self.failures))


class Mirroring:
    """One run over what a file says, by one pusher, with one memory of what is where."""

    def __init__(
        self, pusher: Pusher, *, only_missing: bool, referrers: bool, at_once: int, act: Act = perform
    ) -> None:
        self._pusher = pusher
        self._lists = TagLists(pusher)
        self._only_missing = only_missing
        self._referrers = referrers
        self._at_once = at_once
        self._act = act

    @property
    def only_missing(self) -> bool:
        """Return whether tags that are there stay as they are."""
        return self._only_missing

    def find(self, context: Context, jobs: Sequence[MirrorJob]) -> Found:
        """List what the sources of all jobs are now, and where each image goes."""
        return find(context, self._lists, jobs)

    def forecast(self, context: Context, found: Found, emit: Emit) -> CopyForecast:
        """Ask what would be done, as `copy` is forecast; nothing is written."""
        parts: list[CopyForecast] = []
        forecaster = Forecaster(self._pusher.clients)

        def look(items: Sequence[CopyItem], options: CopyOptions) -> Copied:
            lists = self._lists
            parts.append(forecast(context, self._pusher, items, emit, options, lists=lists, forecaster=forecaster))
            return parts[-1].copied

        copied = self._each(found, self._out_of_reach(context, found.copies), look)
        images = in_order(image for part in parts for image in part.images)
        return CopyForecast(copied, images, any(part.with_referrers for part in parts))

    def mirror(self, context: Context, found: Found, emit: Emit) -> Mirrored:
        """Copy all of it; what fails is a row or a failure, and the rest goes on."""
        lost = self._out_of_reach(context, found.copies)
        if not self._only_missing:
            left = [(number, one) for number, one in enumerate(found.copies) if number not in lost]
            lost |= self._keep(context, left, Backups(self._pusher, emit))

        def act(items: Sequence[CopyItem], options: CopyOptions) -> Copied:
            return copy(context, self._pusher, items, emit, options, lists=self._lists, act=self._act)

        return Mirrored(self._each(found, lost, act), found.failures)

    def lay_out(self, context: Context, found: Found, emit: Emit, act: Callable[[CopyOptions], Act]) -> Mirrored:
        """Have `act` lay out each push in the place of doing it, chosen by the options that it would have."""

        def lay(items: Sequence[CopyItem], options: CopyOptions) -> Copied:
            bare = replace(options, referrers=False)
            return copy(context, self._pusher, items, emit, bare, lists=self._lists, act=act(options))

        return Mirrored(self._each(found, self._out_of_reach(context, found.copies), lay), found.failures)

    def _each(self, found: Found, lost: dict[int, OciPushError], act: _Act) -> Copied:
        """Have `act` do what is not lost, with or without referrers; return the rows in the order of the copies."""
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
            copied = act(items, options)
            rows.update(zip(wanted, copied.rows, strict=True))
            referred.append(copied.referrers)
        for number, error in lost.items():
            one = found.copies[number]
            source = f"docker://{one.source}"
            rows[number] = CopyRow(source, one.repository, one.tag, None, CopyOutcome.FAILED, error=error)
        return Copied(tuple(rows[number] for number in sorted(rows)), together(referred))

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

    def _keep(
        self, context: Context, copies: Sequence[tuple[int, MirrorCopy]], backups: Backups
    ) -> dict[int, OciPushError]:
        """Keep what would be overwritten, where that is wanted; return what could not be kept."""
        wanted = [(number, one) for number, one in copies if one.backup]
        jobs = [partial(self._back_up, one=one, backups=backups) for _, one in wanted]
        outcomes = run_all(context, jobs, limit=AT_ONCE)
        context.check()
        lost: dict[int, OciPushError] = {}
        for (number, _), outcome in zip(wanted, outcomes, strict=True):
            if isinstance(outcome.error, OciPushError):
                lost[number] = outcome.error
            else:
                outcome.get()
        return lost

    def _back_up(self, context: Context, one: MirrorCopy, backups: Backups) -> None:
        side = self._lists.target(one.repository)
        backups.keep(context, side, one.tag, one.backup, lambda: self._digest(context, one))
