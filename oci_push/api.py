"""Where environment, home folder, user, randomness and stdin come in, for the command line and the library alike."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from oci_push.engine.pusher import Environment
from oci_push.errors import ConfigError
from oci_push.model.reference import Destination, check_tag, shown
from oci_push.secret import learn_logins


def _chance() -> float:
    """Return a number from 0 up to 1; what Python's `random` would give, without loading it."""
    return int.from_bytes(os.urandom(6), "big") / (1 << 48)


def this_environment() -> Environment:
    """Return this process's environment, home folder, user, randomness and stdin."""
    # Another thread of a program may take a variable away meanwhile.
    env = {name: value for name in list(os.environ) if (value := os.environ.get(name)) is not None}
    for name, value in env.items():
        if name.lower().endswith(("_proxy", "_repository_url")):  # of clones that CI services have made
            learn_logins(value)
    home = env.get("HOME")
    stdin = getattr(sys.stdin, "buffer", None)  # notebooks have a stdin of another kind
    return Environment(env, Path(home) if home else None, os.getuid(), _chance, stdin)


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
