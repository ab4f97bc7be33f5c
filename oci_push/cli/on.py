"""Where the work is done: ``--on local:N`` by processes of this machine, ``--on dask://HOST:PORT`` by a cluster."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from msgspec import Struct

from oci_push.cli.options import Common
from oci_push.cli.words import SPEED, Option
from oci_push.errors import ConfigError
from oci_push.model.reference import canonical_host, check_host

if TYPE_CHECKING:
    from oci_push.engine.unit import Act
    from oci_push.language.integrations import Config
    from oci_push.runtime.context import Context
    from oci_push.work.engine import Engine

MOST_WORKERS = 256
IMAGES_IN_CLUSTER = 64
"""Images that are handed to a cluster at once: each waits here for its end."""
UNITS_AT_ONCE = 4
"""Units under way in one worker: enough to wait for answers beside one another, few enough for one interpreter."""

On = Annotated[
    str,
    Option("Have pushes done by N processes here, or by a Dask cluster.", metavar="local:N|dask://…", under=SPEED),
]
HostLimit = Annotated[
    list[str] | None,
    Option("At most N units at once for a registry, over all workers.", metavar="HOST=N", under=SPEED),
]


Units = Annotated[
    Path | None,
    Option("Write what would be pushed as units, for oci-push work, and push nothing.", metavar="FILE", under=SPEED),
]


class OnOptions(Struct, frozen=True):
    """Where pushes are done; here, if nothing is said."""

    on: On = ""
    host_limit: HostLimit = None

    def check(self) -> None:
        """Refuse what no engine is; raises `ConfigError`."""
        if self.is_cluster:
            from oci_push.work.dask_address import read_address

            read_address(self.on)
        else:
            self.count()
        if self.host_limit and not self.on:
            raise ConfigError("--host-limit has no effect without --on", hint="--jobs bounds one process")
        read_limits(self.host_limit)

    @property
    def is_cluster(self) -> bool:
        """Return whether a cluster is meant, and not processes of this machine."""
        return self.on.startswith("dask")

    def count(self) -> int:
        """Return how many processes of this machine are wanted; none for this one, or for a cluster."""
        if not self.on or self.is_cluster:
            return 0
        kind, _, number = self.on.partition(":")
        if kind != "local" or not number.isascii() or not number.isdigit() or not 1 <= int(number) <= MOST_WORKERS:
            raise ConfigError(
                f"--on {self.on!r} is not known",
                hint=f"write local:N, with N from 1 to {MOST_WORKERS}, such as local:4, or dask://HOST:PORT",
            )
        return int(number)

    @contextmanager
    def engine(
        self,
        context: Context,
        common: Common,
        *,
        pipeline: Path | None = None,
        hosts: Sequence[str] = (),
        is_run: bool = False,
        jobs: int = UNITS_AT_ONCE,
        logins: Path | None = None,
    ) -> Iterator[Engine]:
        """Give the engine that is meant, set up with these options; it is closed at the end of the block.

        `logins` is a mirror file that processes of this machine have logins of.
        """
        refuse_login(common)
        if common.create_repository and not is_run:
            raise ConfigError(
                "--create-repository has no effect with --on",
                hint="write create_repository: true for the registry in oci-push.yaml",
            )
        if self.is_cluster:
            from oci_push.cli.cluster import cluster

            with cluster(self.on, context, common, read_limits(self.host_limit), hosts, is_run=is_run) as far:
                yield far
            return
        from oci_push.api import this_environment
        from oci_push.cli.worker import setup_of
        from oci_push.work.local import LocalEngine, worker_environment

        command = [sys.executable, "-P", "-m", "oci_push.cli.worker"]
        env = worker_environment(this_environment().env, sys.path)
        count = self.count()
        setup = setup_of(common, pipeline, hosts, count, describes=not is_run, logins=logins)
        engine = LocalEngine(context.clock, command, env, setup, count, jobs)
        try:
            yield engine
        finally:
            engine.close()

    @contextmanager
    def act(
        self,
        context: Context,
        common: Common,
        *,
        config: Config | None = None,
        pipeline: Path | None = None,
        hosts: Sequence[str] = (),
        is_run: bool = False,
        logins: Path | None = None,
    ) -> Iterator[Act]:
        """Give what pushes a unit: here, or wherever it is wanted. In a run units name their registries."""
        if not self.on:
            from oci_push.engine.unit import perform

            yield perform
            return
        from oci_push.language.integrations import Config
        from oci_push.work.remote import Remote
        from oci_push.work.worker import described_by

        with self.engine(context, common, pipeline=pipeline, hosts=hosts, is_run=is_run, logins=logins) as engine:
            remote = Remote(engine, context, read_limits(self.host_limit), described_by(config or Config()))
            try:
                yield remote.perform
            finally:
                remote.close()

    def at_once(self, usual: int) -> int:
        """Return how many images are to be under way at once, `usual` where they are pushed from here."""
        return max(usual, IMAGES_IN_CLUSTER if self.is_cluster else self.count() * UNITS_AT_ONCE)


def check_units(units: Path | None, *, plan: bool, where: OnOptions) -> None:
    """Refuse what has no effect beside ``--units``; raises `ConfigError`."""
    from oci_push.runtime.files import check_writable

    if units and (plan or where.on):
        other = "--plan" if plan else "--on"
        raise ConfigError(f"--units has no effect with {other}", hint="leave out one of them")
    check_writable(units, "--units")


def refuse_login(common: Common) -> None:
    """Refuse a login of the command line, which stays in this process; raises `ConfigError`."""
    if common.username:
        raise ConfigError(
            "--username has no effect with --on: a worker has logins of its own",
            hint="log in first: oci-push login HOST; or describe the registry in oci-push.yaml",
        )


def read_limits(texts: Sequence[str] | None) -> Mapping[str, int]:
    """Read ``HOST=N``, hosts as `canonical_host` has them; raises `ConfigError`."""
    found: dict[str, int] = {}
    for text in texts or ():
        host, _, number = text.rpartition("=")
        if not _is_host(host) or not number.isascii() or not number.isdigit() or not int(number):
            raise ConfigError(f"--host-limit {text!r} is no limit", hint="write HOST=N, such as registry.example.com=8")
        found[canonical_host(host)] = int(number)
    return found


def _is_host(text: str) -> bool:
    """Return whether a text can be a registry's host."""
    try:
        check_host(text)
    except ValueError:
        return False
    return True
