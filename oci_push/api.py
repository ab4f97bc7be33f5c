"""What a library user calls, and the composition root: here environment, clock and randomness come in.

`push` is the walk of one image from file to tags: open the source, plan, execute, results. The command line has
the same `PushUnit` performed, and prints.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace

from oci_push.engine.push import PushResult, ReplicaResult
from oci_push.engine.pusher import REPLICATION_S, Environment, Options, Pusher
from oci_push.engine.unit import PushUnit, UnitTarget, perform
from oci_push.errors import ConfigError
from oci_push.events import Emit, ignore
from oci_push.model.identity import CloudIdentity, RepositoryCreation
from oci_push.model.platform import Platform
from oci_push.model.reference import Destination, check_tag, shown
from oci_push.runtime.clock import Clock, SystemClock
from oci_push.runtime.context import Context
from oci_push.secret import learn_logins


def _chance() -> float:
    """Return a number from 0 up to 1; what Python's `random` would give, without loading it."""
    return int.from_bytes(os.urandom(6), "big") / (1 << 48)


def this_environment() -> Environment:
    """Return this process's environment, home folder, user, randomness and stdin."""
    for name, value in os.environ.items():
        if name.lower().endswith(("_proxy", "_repository_url")):  # of clones that CI services have made
            learn_logins(value)
    home = os.environ.get("HOME")
    stdin = sys.stdin.buffer if sys.stdin else None
    return Environment(dict(os.environ), Path(home) if home else None, os.getuid(), _chance, stdin)


def push(
    source: str,
    *destinations: str,
    tags: Sequence[str] = (),
    platform: str = "",
    regions: Sequence[str] = (),
    create_repositories: RepositoryCreation | None = None,
    options: Options | None = None,
    emit: Emit = ignore,
    clock: Clock | None = None,
) -> tuple[PushResult, ...]:
    """Push one image to one or several repositories; each result holds its own error.

    `source` and `destinations` are written as on the command line; `regions` and `create_repositories` are for
    ECR's private registries. Raises `OciPushError` for what is wrong before any registry is written to.
    """
    context = Context(clock or SystemClock(), what="push")
    wanted = Platform.parse(platform) if platform else None
    parsed = parse_destinations(destinations, tags)
    options = options or Options()
    if regions:
        from oci_push.engine.regions import fan_out

        parsed = fan_out(parsed, regions)
    if create_repositories is not None:
        from oci_push.engine.regions import managed_endpoints

        options = replace(options, endpoints={**managed_endpoints(parsed, create_repositories), **options.endpoints})
    pusher = Pusher(context, options, this_environment(), emit)
    with contextlib.closing(pusher):
        targets = tuple(UnitTarget(one.repository, one.tags) for one in parsed)
        done = perform(PushUnit(source, targets, platform=wanted), pusher, context, emit)
    if done.error is not None and not done.results:
        raise done.error
    return done.results


def replicate(
    reference: str,
    *,
    regions: Sequence[str] = (),
    identity: CloudIdentity | None = None,
    timeout_s: float = REPLICATION_S,
    options: Options | None = None,
    emit: Emit = ignore,
    clock: Clock | None = None,
) -> tuple[ReplicaResult, ...]:
    """Wait until every region serves an image of an ECR registry; each result holds its own error.

    Without `regions` those count that the registry's replication rules name; where no rule covers one of
    `regions`, the image is copied there. Raises `OciPushError` for what concerns all of them.
    """
    from oci_push.engine.regions import follow

    context = Context(clock or SystemClock(), what="replicate")
    pusher = Pusher(context, options or Options(), this_environment(), emit)
    with contextlib.closing(pusher):
        inner = context.child(seconds=timeout_s, what="waiting for replication")
        return follow(inner, pusher, reference, identity, regions, emit)


def parse_destinations(texts: Sequence[str], tags: Sequence[str]) -> tuple[Destination, ...]:
    """Read destinations and add `tags` to each; one without any tag gets ``latest``. Raises `ConfigError`."""
    parsed = []
    for text in texts:
        try:
            destination = Destination.parse(text)
            extra = [check_tag(tag) for tag in tags]
        except ValueError as problem:
            raise ConfigError(
                f"destination {shown(text)!r}: {problem}", hint="write HOST[:PORT]/REPO[:TAG[,TAG…]]"
            ) from problem
        together = tuple(dict.fromkeys((*destination.tags, *extra))) or ("latest",)
        parsed.append(Destination(destination.repository, together))
    return tuple(parsed)
