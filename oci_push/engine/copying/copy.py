"""Many images copied in one run: each is one push, all by one `Pusher`, with what refers to them.

Another command, or the library, calls it with values alone::

    items = [CopyItem(f"docker://{source}:1.2", (UnitTarget(repository, ("1.2",)),))]
    items += select(context, lists, Selection(source, globs=("2.*",)), (UnitTarget(repository, ()),))
    copied = copy(context, pusher, items, emit, CopyOptions(), lists=lists)

`CopyItem` names one image and where it goes. `selection.select` makes items of a repository's tags, before
anything is written; `lists` (a `TagLists` of the same pusher) keeps what was read for that. `copy` asks each source tag
once what it names, so that one image under many tags is one push; tags that name it at the target already cost the
question and no more. What becomes of each tag is a row, told as an event (`TagCopied`) where there are several images,
and returned in the order of the items. The failure of one image is its row's `error`; the exit code is
`errors.exit_code` of `Copied.errors`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from msgspec import Struct
from msgspec.structs import replace

from oci_push.engine.copying.items import Copied, CopyItem, CopyOptions, CopyRow, Wish, row_of, take_apart
from oci_push.engine.copying.referrers import ReferrerCopy
from oci_push.engine.copying.tag_lists import Side, TagLists
from oci_push.engine.pusher import Pusher
from oci_push.engine.unit import Act, PushUnit, UnitResult, UnitTarget, perform
from oci_push.errors import NotFoundError, OciPushError
from oci_push.events import CopyStarted, Emit, TagCopied, discreet
from oci_push.forms import encode
from oci_push.model.digest import Digest
from oci_push.model.outcomes import CopyOutcome
from oci_push.model.reference import Reference, Repository
from oci_push.runtime.context import Context
from oci_push.runtime.tasks import run_all
from oci_push.sources.table import GRAMMAR

_ASK_AT_ONCE = 32
"""How many tags are asked for at once where a registry is far; nearby its own limit is lower (`transport.limits`)."""
_LIST_FROM = 8
"""From how many tags of a repository on its list is read: it tells of a thousand in one request."""


class _Image(Struct, frozen=True):
    """One image that is pushed, and what is wanted of it. `digest` is known where it is in a registry."""

    source: str
    origin: Side | None
    digest: Digest | None
    media_type: str
    wishes: tuple[Wish, ...]

    @property
    def item(self) -> CopyItem:
        return self.wishes[0].item


def copy(
    context: Context,
    pusher: Pusher,
    items: Sequence[CopyItem],
    emit: Emit,
    options: CopyOptions | None = None,
    *,
    lists: TagLists | None = None,
    act: Act = perform,
) -> Copied:
    """Copy images; raises `ConfigError` before anything is done where two go to one tag.

    `act` does the push of each image, or what is done in its place (`copying.forecast`).
    """
    run = _Copying(pusher, emit, options or CopyOptions(), lists or TagLists(pusher), act)
    return run.copy(context, items)


class _Copying:
    def __init__(self, pusher: Pusher, emit: Emit, options: CopyOptions, lists: TagLists, act: Act) -> None:
        self._pusher = pusher
        self._emit = discreet(emit)
        self._options = options
        self._lists = lists
        self._act = act
        self._is_alone = False
        self._context: Context | None = None
        self._rows: dict[int, CopyRow] = {}
        self._referrers = ReferrerCopy(pusher, lists, options.push, self._emit)

    def copy(self, context: Context, items: Sequence[CopyItem]) -> Copied:
        """Do all of it."""
        wishes = take_apart(items)
        self._context = context
        self._is_alone = len({one.item.source for one in wishes}) <= 1
        if not self._is_alone:
            self._emit(CopyStarted(len(wishes)))
        self._read_lists(context, wishes)
        left = self._without_present(wishes) if self._options.only_missing else wishes
        images = self._images(context, left)
        jobs = [partial(self._copy_image, image=image) for image in images]
        for image, outcome in zip(images, run_all(context, jobs, limit=self._options.at_once), strict=True):
            if isinstance(outcome.error, OciPushError):
                self._end(image.wishes, CopyOutcome.FAILED, error=outcome.error)
            elif outcome.error is not None:
                raise outcome.error
        rows = tuple(self._rows[number] for number in range(len(wishes)))
        return Copied(rows, self._referrers.total())

    def _read_lists(self, context: Context, wishes: Sequence[Wish]) -> None:
        """Read the tags of targets where many of them are wanted, or where what is there is not to be asked for."""
        counts: dict[tuple[Repository, str], int] = {}
        for one in wishes:
            key = (one.target.repository, one.target.registry)
            counts[key] = counts.get(key, 0) + bool(one.tag)
        for (repository, registry), count in counts.items():
            if self._options.only_missing and count:
                self._lists.names(context, self._lists.target(repository, registry), must=True)
            elif count >= _LIST_FROM:
                self._lists.names(context, self._lists.target(repository, registry))

    def _without_present(self, wishes: Sequence[Wish]) -> list[Wish]:
        left = []
        for one in wishes:
            names = self._lists.known(self._lists.target(one.target.repository, one.target.registry))
            if one.tag and names is not None and one.tag in names:
                self._end([one], CopyOutcome.THERE)
            else:
                left.append(one)
        return left

    def _images(self, context: Context, wishes: Sequence[Wish]) -> list[_Image]:
        """Ask what each source names, once, and put together what names the same image."""
        sources = dict.fromkeys((one.item.source, one.item.registry) for one in wishes)
        jobs = [partial(self._look, source=source, registry=registry) for source, registry in sources]
        outcomes = dict(zip(sources, run_all(context, jobs, limit=_ASK_AT_ONCE), strict=True))
        images: dict[tuple[object, ...], _Image] = {}
        wanted: dict[tuple[object, ...], list[Wish]] = {}
        for one in wishes:
            outcome = outcomes[one.item.source, one.item.registry]
            if isinstance(outcome.error, OciPushError):
                self._end([one], CopyOutcome.FAILED, error=outcome.error)
                continue
            found = outcome.get()
            key = (found.source, one.item.registry, one.item.platform, encode(one.item.changes))
            images.setdefault(key, found)
            wanted.setdefault(key, []).append(one)
        return [
            _Image(one.source, one.origin, one.digest, one.media_type, tuple(wanted[key]))
            for key, one in images.items()
        ]

    def _look(self, context: Context, source: str, registry: str) -> _Image:
        spec = GRAMMAR.parse(source)
        if spec.kind != "registry":
            return _Image(source, None, None, "", ())
        reference = Reference.parse(spec.path)
        origin = self._lists.source(reference.repository, registry)
        there = origin.client.head(context, reference.target)
        if there is None or there.digest is None:
            raise NotFoundError(f"{reference}: does not exist", hint="see what there is with oci-push tags")
        # A digest that was given is kept in its own algorithm; a registry may name a tag's by another.
        digest = reference.digest or there.digest
        return _Image(f"docker://{reference.repository}@{digest}", origin, digest, there.media_type, ())

    def _copy_image(self, context: Context, image: _Image) -> None:
        if self._options.newer_than is not None:
            from oci_push.engine.copying.age import made_before  # few copies ask for it

            with self._pusher.open(image.source, context, given=self._pusher.named(image.item.registry)) as reader:
                if made_before(context, reader, self._options.newer_than):
                    self._end(image.wishes, CopyOutcome.OLDER, image.digest)
                    return
        wishes, before = self._left(context, image)
        left = {one.number for one in wishes}
        copied = [one for one in image.wishes if one.number not in left and not self._has_failed(one)]
        manifests: tuple[Digest, ...] = ()
        if wishes:
            unit = self._unit(image, wishes, before)
            done = self._act(unit, self._pusher, context, self._emit)
            copied += self._end_pushed(unit, done, wishes, image.digest)
            manifests = done.manifests
        if self._options.referrers and copied:
            targets = dict.fromkeys((one.target.repository, one.target.registry) for one in copied)
            sides = [self._lists.target(*one) for one in targets]
            try:
                if image.origin is None or image.digest is None:
                    self._referrers.copy_stored(context, self._emit, image.source, sides, manifests)
                    return
                known = manifests or self._referrers.manifests_of(context, image.origin, image.digest, image.media_type)
                self._referrers.copy(context, self._emit, image.origin, sides, known)
            except OciPushError as error:  # a stop as well: the image is there, and what belongs to it may not be
                self._referrers.fail(error)

    def _left(self, context: Context, image: _Image) -> tuple[list[Wish], dict[int, Digest | None]]:
        """Return what of an image is not there under its tag, and what those tags name, by the number of the wish."""
        if image.digest is None or not image.item.is_whole:
            return list(image.wishes), {}
        tagged = [one for one in image.wishes if one.tag]
        outcomes = run_all(context, [partial(self._where, wish=one) for one in tagged], limit=_ASK_AT_ONCE)
        before: dict[int, Digest | None] = {}
        failed: set[int] = set()
        for one, outcome in zip(tagged, outcomes, strict=True):
            context.check()
            if isinstance(outcome.error, OciPushError):  # of this target alone: the others get the image
                self._end([one], CopyOutcome.FAILED, image.digest, outcome.error)
                failed.add(one.number)
            else:
                before[one.number] = outcome.get()
        left: list[Wish] = []
        for one in image.wishes:
            if one.number in failed:
                continue
            if before.get(one.number) == image.digest:
                self._end([one], CopyOutcome.UNCHANGED, image.digest)
            else:
                left.append(one)
        return left, before

    def _where(self, context: Context, wish: Wish) -> Digest | None:
        """Ask what a tag names at the target; one that is not listed names nothing."""
        target = self._lists.target(wish.target.repository, wish.target.registry)
        names = self._lists.known(target)
        if names is not None and wish.tag not in names:
            return None
        head = target.client.head(context, wish.tag, push=True)
        return head.digest if head else None

    def _unit(self, image: _Image, wishes: Sequence[Wish], before: Mapping[int, Digest | None]) -> PushUnit:
        targets: dict[tuple[Repository, str], list[Wish]] = {}
        for one in wishes:
            targets.setdefault((one.target.repository, one.target.registry), []).append(one)
        return PushUnit(
            image.source,
            tuple(
                UnitTarget(
                    repository,
                    tuple(one.tag for one in wanted if one.tag),
                    registry,
                    {one.tag: before[one.number] for one in wanted if one.number in before},
                )
                for (repository, registry), wanted in targets.items()
            ),
            image.item.registry,
            image.item.platform,
            served_in=self._options.served_in,
            is_final=True,
            options=replace(self._options.push, tells_what_stays=False),
            changes=image.item.changes,
        )

    def _end_pushed(
        self, unit: PushUnit, done: UnitResult, wishes: Sequence[Wish], digest: Digest | None
    ) -> list[Wish]:
        """Make rows of a push's results; return what is there now. `digest` is what the source names."""
        copied: list[Wish] = []
        before = done.changed.before if done.changed is not None else digest
        results = dict(zip(((t.repository, t.registry) for t in unit.targets), done.results, strict=False))
        counted: set[int] = set()
        for one in wishes:
            result = results.get((one.target.repository, one.target.registry))
            row = row_of(one, result, done)
            row = replace(row, before=before) if before != row.digest is not None else row
            if result is not None and id(result) not in counted:
                counted.add(id(result))
                row = replace(row, bytes_sent=sum(blob.bytes_sent for blob in result.blobs))
            self._put(one.number, row)
            if row.error is None:
                copied.append(one)
        return copied

    def _end(
        self,
        wishes: Sequence[Wish],
        outcome: CopyOutcome,
        digest: Digest | None = None,
        error: OciPushError | None = None,
    ) -> None:
        for one in wishes:
            if one.number not in self._rows:
                self._put(one.number, one.row(outcome, digest, error))

    def _has_failed(self, wish: Wish) -> bool:
        row = self._rows.get(wish.number)
        return row is not None and row.error is not None

    def _put(self, number: int, row: CopyRow) -> None:
        is_over = row.outcome is CopyOutcome.FAILED and self._context is not None and self._context.is_cancelled
        self._rows[number] = row = replace(row, outcome=CopyOutcome.NOT_REACHED) if is_over else row
        if not (self._is_alone or is_over):
            error = str(row.error or "")
            self._emit(TagCopied(row.source, row.repository, row.tag, row.digest, row.outcome, error))
