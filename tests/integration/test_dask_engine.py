"""What a Dask cluster may do to whoever uses it: answer what is none of its business, hang, go, or be no cluster."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from daskcluster import DaskCluster
from distributed import Client
from msgspec.structs import replace
from program import until

from oci_push import forms
from oci_push.cli import dask_worker
from oci_push.engine.unit import PushUnit, UnitResult, UnitTarget
from oci_push.errors import Cancelled, ConfigError, NetworkError, SourceError
from oci_push.model.reference import Repository
from oci_push.runtime.clock import SystemClock
from oci_push.runtime.context import Context
from oci_push.work.dask_address import read_address
from oci_push.work.dask_engine import DaskEngine
from oci_push.work.dask_link import Link
from oci_push.work.dask_units import Calls
from oci_push.work.dask_worker import DaskNote
from oci_push.work.engine import Lost, Report
from oci_push.work.results import WorkResult
from oci_push.work.serving import Answer
from oci_push.work.units import WorkUnit

pytestmark = pytest.mark.xdist_group("dask")

UNIT, OTHER = (
    WorkUnit.of(PushUnit("oci:image", (UnitTarget(Repository("registry.example.com", name), ("1",)),)))
    for name in ("one", "other")
)


class Hurried(SystemClock):
    """A clock that can be put forward."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskCluster]:
    with DaskCluster(tmp_path_factory.mktemp("dask")) as started:
        started.worker("one", {})
        started.wait_for("one")
        yield started


@contextmanager
def engine(
    cluster: DaskCluster,
    returns: Callable[[], bytes],
    context: Context | None = None,
    release: Callable[[], str] = lambda: "1",
) -> Iterator[DaskEngine]:
    """Give an engine whose workers return this for any unit, and say that they have this release of oci-push."""
    with engine_of(cluster, lambda setup, order: returns(), context, release) as made:
        yield made


@contextmanager
def engine_of(
    cluster: DaskCluster,
    task: Callable[[bytes, bytes], bytes],
    context: Context | None = None,
    release: Callable[[], str] = lambda: "1",
    stop: Callable[..., None] = lambda *_: None,
) -> Iterator[DaskEngine]:
    """Give an engine whose workers do this."""
    calls = Calls(task, task, stop, lambda *_: None, release, "1")
    context = context or Context(SystemClock(), what="test")
    link = Link(read_address(f"dask://{cluster.address}"), context)
    try:
        made = DaskEngine(link, context, calls, "run", b"", {})
    except BaseException:
        link.close()
        raise
    try:
        yield made
    finally:
        made.close()


def next_of(made: DaskEngine) -> Report:
    """Wait for what is reported next."""
    while True:
        for one in made.wait(0.05):
            return one


def result_of(unit: WorkUnit, *, key: str = "", run: str = "run") -> bytes:
    result = WorkResult(unit.key, unit.name, UnitResult())
    return forms.encode(DaskNote(run, "tcp://w", Answer(key or unit.key, result=result)))


@pytest.mark.parametrize(
    "returned",
    [
        b"junk",
        b"[" * 100_000,
        result_of(OTHER),
        result_of(OTHER, key=UNIT.key),
        result_of(UNIT, run="another"),
        forms.encode(DaskNote("run", "tcp://w", Answer(UNIT.key))),
    ],
    ids=["no-json", "deep", "of-another", "of-another-in-it", "of-another-run", "nothing"],
)
def test_what_is_no_result_of_a_unit_is_its_loss_and_nobody_elses(cluster: DaskCluster, returned: bytes) -> None:
    with engine(cluster, lambda: returned) as made:
        made.submit(UNIT)
        lost = next_of(made)
        assert isinstance(lost, Lost)
        assert lost.key == UNIT.key
        assert not lost.is_final


def test_a_unit_that_its_worker_stopped_unasked_is_done_again(cluster: DaskCluster, tmp_path: Path) -> None:
    stopped = UnitResult(error=Cancelled("the worker ends"))
    note = DaskNote("run", "tcp://w", Answer(UNIT.key, result=WorkResult(UNIT.key, UNIT.name, stopped)))
    first, then, flag = forms.encode(note), result_of(UNIT), tmp_path / "flag"

    def returns() -> bytes:
        known = flag.exists()
        flag.touch()
        return then if known else first

    with engine(cluster, returns) as made:
        made.submit(UNIT)
        told, done = next_of(made), next_of(made)
        assert "has ended; it is done again" in str(told)
        assert isinstance(done, WorkResult)
        assert done.error is None


def test_a_scheduler_that_stays_away_is_given_up_and_named(tmp_path: Path) -> None:
    clock = Hurried()
    with DaskCluster(tmp_path) as cluster:
        cluster.worker("one", {})

        def returns() -> bytes:
            import time

            time.sleep(100)  # on the worker, which is killed
            return b""

        with engine(cluster, returns, Context(clock, what="test")) as made:
            made.submit(UNIT)
            cluster.kill("scheduler")
            while not (reports := [one for one in made.wait(0.05) if isinstance(one, Lost)]):
                clock.ahead += 60
            lost = reports[0]
            assert (lost.is_final, lost.is_away) == (True, True)
            assert f"the scheduler tcp://{cluster.address} has not answered" in lost.why
            assert "same command" in lost.hint
            made.submit(replace(UNIT, key="later"))
            assert next_of(made).key == "later"


@contextmanager
def silent(heard: Callable[[], None]) -> Iterator[str]:
    """Give the address of what takes a connection, says nothing, and calls this."""
    kept: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def accept() -> None:
            kept.append(listening.accept()[0])
            heard()

        accepting = threading.Thread(target=accept)
        accepting.start()
        yield f"127.0.0.1:{listening.getsockname()[1]}"
        accepting.join()
    for one in kept:
        one.close()


def test_what_answers_and_is_no_scheduler_is_given_up() -> None:
    clock = Hurried()

    def hurry() -> None:
        clock.ahead += 60

    with silent(hurry) as address, pytest.raises(NetworkError) as refused:
        Link(read_address(f"dask://{address}"), Context(clock, what="test"))
    assert "no scheduler of Dask answers there" in str(refused.value)


def test_a_stop_ends_the_wait_for_a_scheduler() -> None:
    context = Context(SystemClock(), what="test")
    with silent(lambda: context.cancel(Cancelled("stopped"))) as address, pytest.raises(Cancelled):
        Link(read_address(f"dask://{address}"), context)


@pytest.mark.parametrize(("name", "told"), [("scheduler", "the scheduler has no oci-push"), ("one", "has no oci-push")])
def test_a_cluster_without_oci_push_is_refused_and_says_where(cluster: DaskCluster, name: str, told: str) -> None:
    pid = cluster.pid(name)

    def release() -> str:
        import os

        if os.getpid() == pid:
            raise ModuleNotFoundError("No module named 'oci_push'")
        return "1"

    with pytest.raises(ConfigError, match=told), engine(cluster, lambda: b"", release=release):
        pass


def test_a_worker_that_comes_later_with_another_oci_push_gets_no_units(cluster: DaskCluster, tmp_path: Path) -> None:
    pids, flag = {cluster.pid("one"), cluster.pid("scheduler")}, tmp_path / "flag"
    good = result_of(UNIT)

    def release() -> str:
        import os

        return "1" if os.getpid() in pids else "2"

    def returns() -> bytes:
        import os
        import threading

        while not flag.exists():
            threading.Event().wait(0.05)
        return good if os.getpid() in pids else b""

    with engine(cluster, returns, release=release) as made:
        threads = made.slots
        made.submit(UNIT)
        cluster.worker("late", {})
        assert "has oci-push 2, not 1, and gets no units" in str(next_of(made))
        flag.touch()
        done = next_of(made)
        assert isinstance(done, WorkResult)
        assert (done.key, done.error, made.slots) == (UNIT.key, None, threads)
    cluster.kill("late")


def test_what_goes_wrong_before_a_unit_is_told_without_secrets_and_not_kept_by_dask(cluster: DaskCluster) -> None:
    def task(setup: bytes, order: bytes) -> bytes:
        from oci_push.secret import Secret
        from oci_push.work.dask_worker import do_order

        def make(context: object, stack: object) -> Any:
            raise ValueError(f"no such {Secret('planted-password-7262').reveal()}")

        return do_order(order, "1", make, "me")

    with engine_of(cluster, task) as made:
        made.submit(UNIT)
        done = next_of(made)
    assert isinstance(done, WorkResult)
    assert "me: internal error: ValueError" in str(done.error)
    assert "planted-password-7262" not in f"{done.error}{cluster.texts()}"


def test_what_one_worker_gives_back_is_for_the_others_even_if_they_are_busy(
    cluster: DaskCluster, tmp_path: Path
) -> None:
    busy, flag = cluster.pid("one"), tmp_path / "flag"
    ends = {unit.key: result_of(unit) for unit in (UNIT, OTHER)}
    missing = UnitResult(error=SourceError("not here"))
    answers = [Answer(key, result=WorkResult(key, "", missing, returned=True)) for key in ends]
    backs = {one.key: forms.encode(DaskNote("run", "WHO", one)) for one in answers}

    def task(setup: bytes, order: bytes) -> bytes:
        import os
        import threading

        from distributed import get_worker

        key = next(key for key in ends if key.encode() in order)
        if os.getpid() != busy:
            return backs[key].replace(b"WHO", get_worker().address.encode())
        while not flag.exists():
            threading.Event().wait(0.05)
        return ends[key]

    def bound(dask_scheduler: Any) -> list[bool]:
        tasks = [one for one in dask_scheduler.tasks.values() if one.worker_restrictions]
        return [len(one.worker_restrictions) == 1 and not one.loose_restrictions for one in tasks]

    with Client(f"tcp://{cluster.address}", set_as_default=False) as client:
        cluster.worker("other", {})
        cluster.wait_for("other")
        with engine_of(cluster, task) as made:
            for unit in (UNIT, OTHER):
                made.submit(unit)
            assert "not here; another worker than" in str(next_of(made))
            until(lambda: client.run_on_scheduler(bound) == [True])
            flag.touch()
            assert {next_of(made).key, next_of(made).key} == set(ends)
    cluster.kill("other")


def test_a_stop_while_a_worker_still_logs_in_neither_holds_it_nor_is_forgotten(
    cluster: DaskCluster, tmp_path: Path
) -> None:
    begun, flag, did = (tmp_path / name for name in ("begun", "flag", "did"))
    done = WorkResult(UNIT.key, UNIT.name, UnitResult())

    def task(setup: bytes, order: bytes) -> bytes:
        import threading

        from oci_push.work.dask_worker import do_order

        def make(context: object, stack: object) -> Any:
            begun.touch()
            while not flag.exists():
                threading.Event().wait(0.05)
            return lambda unit, context, emit: did.touch() or done

        return do_order(order, "1", make, "me")

    link = Client(f"tcp://{cluster.address}", set_as_default=False)
    with link as client, engine_of(cluster, task, stop=dask_worker.stop) as made:
        made.submit(UNIT)
        until(begun.exists)
        made.cancel()
        until(lambda: "Run out-of-band function 'stop'" in cluster.texts()["one"])
        assert list(client.run(lambda: "here").values()) == ["here"]
        flag.touch()
        stopped = next_of(made)
        assert isinstance(stopped, WorkResult)
        assert stopped.is_stopped
    assert not did.exists()
