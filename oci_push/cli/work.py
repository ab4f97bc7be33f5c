"""`oci-push work`: the units of a file, or one shard of them, with results that outlive this process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

from msgspec.structs import replace

from oci_push.api import this_environment
from oci_push.cli import options
from oci_push.cli.command import run_command, takes
from oci_push.cli.copy_results import show, show_errors, summary_of
from oci_push.cli.inputs import described_endpoints, read_bytes, read_config, with_logins
from oci_push.cli.on import UNITS_AT_ONCE, HostLimit, On, OnOptions, read_limits
from oci_push.cli.options import Common, Connection
from oci_push.cli.output import say_form, tell
from oci_push.cli.reporting import Progress, Reporting
from oci_push.cli.words import LOGIN, OUTPUT, SAFETY, SPEED, Argument, Option
from oci_push.cli.worker import worker_name
from oci_push.engine.copying.items import Copied, CopyItem, CopyRow, Wish, row_of
from oci_push.engine.copying.referrers import Referred, together
from oci_push.engine.pusher import Pusher
from oci_push.errors import Cancelled, ConfigError
from oci_push.events import CopyStarted, Emit, TagCopied
from oci_push.model.endpoint import RegistryEndpoint
from oci_push.model.outcomes import CopyOutcome
from oci_push.model.reference import Destination, Repository, canonical_host
from oci_push.runtime.context import Context
from oci_push.runtime.files import check_writable
from oci_push.work.dispatch import Dispatcher, learn_places
from oci_push.work.engine import Engine
from oci_push.work.here import HereEngine
from oci_push.work.results import ResultsFile, WorkReport, WorkResult, WorkRow, read_results, worst
from oci_push.work.shards import read_shard, share
from oci_push.work.units import WorkUnit, hosts_asked, hosts_of, read_units
from oci_push.work.worker import Worker, described_by


class WorkAccess(Connection, frozen=True):
    """How a worker reaches registries; its logins are those of its login files and its oci-push.yaml."""

    limit_rate: options.LimitRate = ""
    no_memory: options.NoMemory = False
    retries: options.Retries = 4
    timeout: options.Timeout = 0
    quiet: options.Quiet = False


@takes(WorkAccess)
def work(
    file: Annotated[Path, Argument(metavar="FILE", help="Units, as plan, copy and mirror --units write them.")],
    shard: Annotated[
        str, Option("Do a part only; env: as Kubernetes or the CI says.", metavar="K/N|env", under=SPEED)
    ] = "",
    results: Annotated[
        Path | None, Option("Add what is done here, and skip what is done.", metavar="FILE", under=SAFETY)
    ] = None,
    check: Annotated[bool, Option("Tell which registries this worker can log in to, and do nothing.", under=SAFETY)] = (
        False
    ),
    jobs: Annotated[int, Option("Units at once, in each process.", short="-j", min=1, under=SPEED)] = UNITS_AT_ONCE,
    host_limit: HostLimit = None,
    logins: Annotated[
        Path | None, Option("Use the logins and certificates of this mirror file, too.", metavar="FILE", under=LOGIN)
    ] = None,
    on: On = "",
    progress: Progress = "auto",
    as_json: Annotated[bool, Option("Print the result as JSON.", name="--json", under=OUTPUT)] = False,
    *,
    access: WorkAccess,
) -> None:
    """Do units of work: each is one image for one registry, pinned to its digest.

    The same command goes on where one was stopped or killed. A unit whose image is another one here is refused.
    """

    def act(context: Context) -> int:
        env = this_environment().env
        began = context.clock.monotonic()
        where = OnOptions(on, host_limit if on else None)
        where.check()
        limits = read_limits(host_limit)
        check_writable(results, "--results")
        common = access.common()
        if logins and where.is_cluster:
            raise ConfigError(
                "--logins has no effect with --on dask: each worker has logins of its own",
                hint="log in on the workers, or describe the registries in their oci-push.yaml",
            )
        every = read_units(read_bytes(file), str(file))
        _check_limits(limits, every)
        units = share(every, read_shard(shard, env))
        if check and where.is_cluster:
            from oci_push.cli.cluster import check_cluster, cluster

            with cluster(on, context, common, limits, hosts_asked(units)) as engine:
                return check_cluster(engine, units, as_json)
        if check:
            from oci_push.cli.work_check import check_logins

            with _worker(context, common, units, logins, lambda _: None) as (_, pusher):
                return check_logins(context, pusher, described_by(read_config(None, common, env)), units, as_json)
        earlier = {one.key: one for one in read_results(results, must=False)} if results else {}
        if earlier and earlier.keys().isdisjoint(unit.key for unit in every):
            tell(f"{results}: holds results of other units than those of {file}, which are all done")
        there = {key for key, one in earlier.items() if one.error is None}
        left = [unit for unit in units if unit.key not in there]
        reporter = Reporting(progress=progress)
        reporter.check_with(common, env)
        done: dict[str, WorkResult] = {}
        with (
            reporter.following(context.clock, env, is_quiet=access.quiet or as_json, title="Work") as follower,
            _worker(context, common, left, logins, follower.emit) as (worker, pusher),
            _engine(where, context, common, worker, hosts_asked(left), jobs, logins) as engine,
        ):
            _do(context, engine, limits, left, results, done, pusher, follower.emit)
        seconds = context.clock.monotonic() - began
        copied = _copied(units, done, there)
        errors = [one.error for one in done.values()]
        code = worst(errors, len(left) - len(done))
        if as_json:
            now = {unit.key: done.get(unit.key) for unit in left}
            rows = [WorkRow.of(now.get(unit.key) or earlier[unit.key], earlier=unit.key in there) for unit in units]
            say_form(WorkReport.of(rows, code, seconds))
        else:
            shown = (CopyOutcome.COPIED, CopyOutcome.UNCHANGED)
            show(copied, summary_of(copied, seconds), outcomes=shown, is_quiet=access.quiet)
        show_errors(copied, kept_in="--results FILE has" if results else "--json has")
        if results is None and errors and any(errors) and not as_json:
            tell("with --results FILE the same command does only what is left")
        return code

    run_command(act, what="work", timeout_s=access.timeout or None)


def _check_limits(limits: Mapping[str, int], units: Sequence[WorkUnit]) -> None:
    """Refuse a limit that would bound nothing; raises `ConfigError`."""
    hosts = hosts_of(units)
    known = {canonical_host(host) for host in hosts}
    for host in limits:
        if units and host not in known:
            raise ConfigError(f"--host-limit {host}: no unit goes there", hint=f"they go to {', '.join(hosts)}")


@contextmanager
def _worker(
    context: Context, common: Common, units: Sequence[WorkUnit], logins: Path | None, emit: Emit
) -> Iterator[tuple[Worker, Pusher]]:
    """Give a worker in this process, and its pusher."""
    env = this_environment().env
    hosts = hosts_asked(units)
    endpoints: dict[str, RegistryEndpoint] = {}
    config = read_config(None, common, env)
    for host in hosts if config.integrations else ():
        place = Repository(host, "any")
        endpoints.update(described_endpoints(f"docker://{place}", [Destination(place)], common, env))
    with (
        with_logins(logins, endpoints, common, env, emit) as known,
        common.pusher(context, emit, endpoints=known, hosts=hosts) as pusher,
    ):
        yield Worker(pusher, described_by(config), worker_name()), pusher


@contextmanager
def _engine(
    where: OnOptions,
    context: Context,
    common: Common,
    worker: Worker,
    hosts: Sequence[str],
    jobs: int,
    logins: Path | None,
) -> Iterator[Engine]:
    if where.on:
        with where.engine(context, common, hosts=hosts, jobs=jobs, logins=logins) as engine:
            yield engine
        return
    yield HereEngine(worker.do, context, jobs)


def _do(
    context: Context,
    engine: Engine,
    limits: Mapping[str, int],
    units: Sequence[WorkUnit],
    path: Path | None,
    done: dict[str, WorkResult],
    pusher: Pusher,
    emit: Emit,
) -> None:
    """Do units; each result is on the disk before it counts."""
    file = ResultsFile(path)
    file.open()
    broken: list[ConfigError] = []

    def take(result: WorkResult) -> None:
        if not result.is_stopped:
            try:
                file.add(result)
            except ConfigError as problem:
                broken.append(problem)
                dispatcher.stop(Cancelled("the results cannot be written"))
        learn_places(result.learned, pusher.cache.remember_blob)
        done[result.key] = result

    dispatcher = Dispatcher(engine, limits, take)
    emit(CopyStarted(sum(len(_wishes(unit)) for unit in units)))

    def end(unit: WorkUnit, result: WorkResult) -> None:
        for row in _rows(unit, result):
            emit(TagCopied(row.source, row.repository, row.tag, row.digest, row.outcome, str(row.error or "")))

    try:
        for unit in units:
            dispatcher.add(unit, emit, lambda result, one=unit: end(one, result))  # type: ignore[misc]
        dispatcher.work(context)
    finally:
        file.close()
    if broken:
        raise broken[0]


def _copied(units: Sequence[WorkUnit], done: Mapping[str, WorkResult], there: set[str]) -> Copied:
    rows: list[CopyRow] = []
    referred: list[Referred] = []
    for unit in units:
        result = done.get(unit.key)
        if unit.key in there:
            rows += [wish.row(CopyOutcome.THERE, unit.root) for wish in _wishes(unit)]
        elif result is not None:
            rows += _rows(unit, result)
            referred += [result.referrers] if result.referrers is not None else []
    return Copied(tuple(rows), together(referred))


def _wishes(unit: WorkUnit) -> list[Wish]:
    item = CopyItem(unit.push.source, unit.push.targets)
    return [Wish(0, item, target, tag) for target in unit.push.targets for tag in target.tags or ("",)]


def _rows(unit: WorkUnit, result: WorkResult) -> list[CopyRow]:
    pushed = {one.repository: one for one in result.result.results}
    rows: list[CopyRow] = []
    counted: set[Repository] = set()
    for wish in _wishes(unit):
        found = pushed.get(wish.target.repository)
        row = row_of(wish, found, result.result)
        if result.is_stopped and row.outcome is CopyOutcome.FAILED:
            row = replace(row, outcome=CopyOutcome.NOT_REACHED)
        if found is not None and found.repository not in counted:
            counted.add(found.repository)
            row = replace(row, bytes_sent=sum(blob.bytes_sent for blob in found.blobs))
        rows.append(row)
    return rows
