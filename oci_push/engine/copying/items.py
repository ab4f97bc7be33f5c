"""What is copied and what becomes of it, as values: items, options, a row for each tag."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct, field

from oci_push.engine.copying.referrers import Referred
from oci_push.engine.push import PushOptions, PushResult
from oci_push.engine.unit import UnitResult, UnitTarget
from oci_push.errors import Cancelled, ConfigError, OciPushError
from oci_push.model.changes import NOTHING, Changes
from oci_push.model.digest import Digest
from oci_push.model.outcomes import CopyOutcome, TagOutcome
from oci_push.model.platform import Platform
from oci_push.model.reference import Repository

AT_ONCE = 8
"""How many images go at once where nobody says: most of an image's time is spent waiting for one answer."""


class CopyItem(Struct, frozen=True):
    """One image, and where it goes. `source` is a SOURCE as on the command line, which names one image.

    `registry` names what it is pulled from, `platform` is the only image of an index, `changes` are made on the way,
    all as in `PushUnit`. A target without tags gets the image by its digest alone.
    """

    source: str
    targets: tuple[UnitTarget, ...]
    registry: str = ""
    platform: Platform | None = None
    changes: Changes = NOTHING

    @property
    def is_whole(self) -> bool:
        """Return whether the image goes out as it is, under the digest that it has."""
        return self.platform is None and self.changes == NOTHING


class CopyOptions(Struct, frozen=True):
    """How images are copied.

    `at_once` of them go at once. `referrers` come along from one repository to another. `only_missing` leaves out tags
    that the target lists, whatever they name. `newer_than` are seconds since 1970: images made before stay. `push` are
    the options of each push, ``None``: those of the pusher; `served_in` as in `PushUnit`.
    """

    at_once: int = AT_ONCE
    referrers: bool = True
    only_missing: bool = False
    newer_than: float | None = None
    push: PushOptions = field(default_factory=PushOptions)
    served_in: tuple[str, ...] | None = None


class CopyRow(Struct, frozen=True):
    """What became of one tag of a target, or of a target without tags; `bytes_sent` are told in one row of several.

    `before` is the digest that the image had, where it went out under another.
    """

    source: str
    repository: Repository
    tag: str
    digest: Digest | None
    outcome: CopyOutcome
    bytes_sent: int = 0
    error: OciPushError | None = None
    before: Digest | None = None

    @property
    def name(self) -> str:
        """Return the target's name."""
        return f"{self.repository}:{self.tag}" if self.tag else f"{self.repository}@{self.digest or '?'}"


class Copied(Struct, frozen=True):
    """What became of all items: a row for each tag, in the order of the items, and what came along with them."""

    rows: tuple[CopyRow, ...]
    referrers: Referred

    @property
    def errors(self) -> tuple[OciPushError | None, ...]:
        """Return the error of each row, and those of referrers, for `errors.exit_code`."""
        return (*(row.error for row in self.rows), *self.referrers.errors)

    def count(self, outcome: CopyOutcome) -> int:
        """Return how many tags ended like this."""
        return sum(row.outcome is outcome for row in self.rows)


class Wish(Struct, frozen=True):
    """One tag that is wanted, or a target without tags; `number` is its place among all."""

    number: int
    item: CopyItem
    target: UnitTarget
    tag: str

    def row(self, outcome: CopyOutcome, digest: Digest | None = None, error: OciPushError | None = None) -> CopyRow:
        """Return what became of it."""
        return CopyRow(self.item.source, self.target.repository, self.tag, digest, outcome, error=error)


def take_apart(items: Sequence[CopyItem]) -> list[Wish]:
    """Take items apart; raises `ConfigError` where two images go to one tag."""
    wishes: list[Wish] = []
    taken: dict[tuple[str, Repository, str], CopyItem] = {}
    for item in items:
        for target in item.targets:
            for tag in target.tags or ("",):
                known = taken.setdefault((target.registry, target.repository, tag), item) if tag else item
                if known.source != item.source:
                    raise ConfigError(
                        f"{known.source} and {item.source} both go to {target.repository}:{tag}",
                        hint="give each a tag or a repository of its own",
                    )
                wishes.append(Wish(len(wishes), item, target, tag))
    return wishes


def row_of(wish: Wish, result: PushResult | None, done: UnitResult) -> CopyRow:
    """Return what became of one tag, from the result of the push to its repository."""
    if result is None:
        return wish.row(CopyOutcome.FAILED, error=done.error)
    if result.error is None and wish.tag == "":
        return wish.row(CopyOutcome.COPIED, result.root, _replica_error(done))
    found = next((tag for tag in result.tags if tag.tag == wish.tag), None)
    is_there = found is not None and found.outcome.is_there
    # A stop that comes when a tag is set already undoes nothing of it; another error beside tags that are is theirs.
    is_stopped = isinstance(result.error, Cancelled)
    is_beside = result.error is not None and not is_stopped and all(tag.outcome.is_there for tag in result.tags)
    if result.error is not None and (is_beside or not is_there):
        return wish.row(CopyOutcome.FAILED, result.root, result.error)
    is_same = found is not None and found.outcome is TagOutcome.UNCHANGED
    return wish.row(CopyOutcome.UNCHANGED if is_same else CopyOutcome.COPIED, result.root, _replica_error(done))


def _replica_error(done: UnitResult) -> OciPushError | None:
    """Return why a region does not serve what was pushed."""
    return next((one.error for one in done.replicas if one.error is not None), done.trouble)
