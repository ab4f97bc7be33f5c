"""What `oci-push copy` is told of images: which SOURCE means what, and how their registries are reached."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated

from msgspec import Struct

from oci_push.cli.options import Common, Delivery, split_regions
from oci_push.cli.words import SOURCE, TARGET, Option
from oci_push.errors import ConfigError
from oci_push.library.selecting import Choosing, Source, read_source
from oci_push.model.endpoint import RegistryEndpoint
from oci_push.model.reference import Destination, shown

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
    referrers: Annotated[
        bool, Option("Save signatures and other referrers in a layout, too; to a registry they go.", under=SOURCE)
    ] = False
    no_referrers: Annotated[
        bool, Option("Leave signatures, attestations and other referrers behind.", under=SOURCE)
    ] = False

    def check(self) -> None:
        """Refuse options that take the effect from one another."""
        if self.referrers and self.no_referrers:
            raise ConfigError("--referrers has no effect with --no-referrers", hint="leave out one of them")

    @property
    def is_many(self) -> bool:
        """Return whether each SOURCE names a repository, and not an image."""
        return self.all_tags or bool(self.tags)

    @property
    def choosing(self) -> Choosing:
        """Return which tags are wanted."""
        said_by = "--all-tags" if self.all_tags else "--tags" if self.tags else ""
        return Choosing(said_by, tuple(self.tags or ()), tuple(self.exclude or ()))


def read_words(
    words: Sequence[str], choice: Choice, delivery: Delivery, common: Common
) -> tuple[list[Source], tuple[Destination, ...]]:
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
    return [read_source(text, choice.choosing) for text in texts], destinations


def moment(text: str, now: float) -> float | None:
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


def endpoints_of(
    sources: Sequence[Source], destinations: Sequence[Destination], common: Common, env: Mapping[str, str]
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
