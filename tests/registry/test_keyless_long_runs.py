"""Signing without a key in long runs: clocks that jump, many threads, places that hang, and who is stopped."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cloudendpoints import Answered, Asked, Endpoint
from identityrun import running
from sigstoreservers import FULCIO, REKOR, SigstoreServers

from oci_push.errors import Cancelled, NetworkError, ProtocolViolationError, UnavailableError
from oci_push.runtime.clock import FakeClock


@pytest.mark.parametrize(("path", "what"), [(FULCIO, "Fulcio"), (REKOR, "log")])
def test_an_answer_that_does_not_end_is_not_waited_for(path: str, what: str, tmp_path: Path) -> None:
    """The clock goes on while the answer is under way."""

    def late(asked: Asked) -> Answered:
        run.clock.time += 301
        over.wait(20)
        return good(asked)

    over = threading.Event()
    with SigstoreServers() as servers, running(servers, tmp_path) as run:
        good = servers.answers[path]
        servers.answers[path] = late
        with pytest.raises(NetworkError, match=f"{what} {servers.url}: gave no whole answer in 300 s"):
            run.sign("a")
        over.set()


def test_a_fulcio_that_gives_nothing_is_asked_once_for_many_images(tmp_path: Path) -> None:
    with SigstoreServers() as servers, running(servers, tmp_path) as run:
        good = servers.answers[FULCIO]
        servers.answers[FULCIO] = lambda _: Answered(503, "")
        for name in ("a", "b", "c"):
            with pytest.raises(UnavailableError, match=f"Fulcio {servers.url}: POST answered 503"):
                run.sign(name)
        assert servers.paths() == [FULCIO]
        servers.answers[FULCIO] = good
        run.clock.time += 31
        run.sign("a")


def test_a_log_whose_entries_do_not_count_is_given_no_more_of_them(tmp_path: Path) -> None:
    """They would stay there for ever, one for each image."""
    with SigstoreServers() as servers, running(servers, tmp_path) as run:
        servers.late_s = 3600
        for name in ("a", "b", "c"):
            with pytest.raises(ProtocolViolationError, match=f"log {servers.url}: its answer does not count"):
                run.sign(name)
        assert servers.paths() == [FULCIO, REKOR]
        servers.late_s = 0
        run.clock.time += 31
        run.sign("b")


def test_who_is_stopped_while_fulcio_is_waited_for_takes_nobody_along(tmp_path: Path) -> None:
    with SigstoreServers() as servers, running(servers, tmp_path) as run:
        one = run.context.child()
        good = servers.answers[FULCIO]

        def stopped(asked: Asked) -> Answered:
            one.cancel(Cancelled("stopped"))
            return Answered(503, "")

        servers.answers[FULCIO] = stopped
        with pytest.raises(Cancelled):
            run.job.prepare(one)
        servers.answers[FULCIO] = good
        run.sign("a")


class _Watch(FakeClock):
    """Two clocks: one may be set, the other may stand still while the machine sleeps."""

    set_s = asleep_s = 0.0

    def now(self) -> float:
        return self.time + self.set_s

    def monotonic(self) -> float:
        return self.time - self.asleep_s


@pytest.mark.parametrize(
    ("passed", "is_renewed"),
    [
        ({"set_s": 3600.0}, True),
        ({"set_s": -3600.0}, False),
        ({"set_s": -3600.0, "time": 560.0}, True),
        ({"asleep_s": 3600.0, "time": 3600.0}, True),
    ],
    ids=["set on", "set back", "set back, and time passes", "asleep"],
)
def test_a_certificate_is_as_old_as_the_clock_says_that_went_further(
    passed: dict[str, float], is_renewed: bool, tmp_path: Path
) -> None:
    with SigstoreServers() as servers, running(servers, tmp_path, clock=_Watch()) as run:
        run.job.prepare(run.context)
        for name, seconds in passed.items():
            setattr(run.clock, name, getattr(run.clock, name) + seconds)
        run.job.prepare(run.context)
        assert servers.paths() == [FULCIO] * (1 + is_renewed)


def test_many_threads_have_one_certificate(tmp_path: Path) -> None:
    with SigstoreServers() as servers, running(servers, tmp_path) as run, ThreadPoolExecutor(8) as pool:
        bundles = list(pool.map(run.sign, [str(number // 2) for number in range(60)]))
        assert len(set(bundles)) == 30
        assert servers.paths().count(FULCIO) == 1
        assert servers.paths().count(REKOR) == 30


def test_an_entry_that_the_log_has_and_shows_nowhere_is_made_anew_with_another_signature(tmp_path: Path) -> None:
    """And nobody goes where a log says that it is, to another host above all."""
    with SigstoreServers() as servers, running(servers, tmp_path) as run, Endpoint({}) as stranger:
        elsewhere = [{"Location": f"{stranger.url}{REKOR}/{'a' * 64}"}, {"Location": "../../../../x"}, {}]
        servers.answers[REKOR] = lambda asked: (
            Answered(409, "", elsewhere.pop(0)) if len(elsewhere) > 1 else servers.enter(asked)
        )
        run.sign("a")
        bodies = [one.body for one in servers.asked if (one.method, one.path) == ("POST", REKOR)]
        assert len(set(bodies)) == 3
        assert stranger.asked == []
