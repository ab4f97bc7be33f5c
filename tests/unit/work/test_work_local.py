"""Worker processes seen from whoever starts them: what they say, and how they end."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from program import until
from test_work_files import unit

from oci_push.engine.unit import UnitResult
from oci_push.events import LogMessage
from oci_push.forms import encode
from oci_push.runtime.clock import FakeClock, SystemClock
from oci_push.work.engine import Lost, Report, Told
from oci_push.work.local import LocalEngine
from oci_push.work.results import WorkResult
from oci_push.work.serving import Answer

ONE = unit("one")
BEGUN = encode(Answer(ONE.key)).decode()
DONE = encode(Answer(ONE.key, result=WorkResult(ONE.key, ONE.name, UnitResult()))).decode()


@contextmanager
def engine(program: str, clock: FakeClock | None = None) -> Iterator[LocalEngine]:
    """Give an engine with one worker, which is a Python program."""
    made = LocalEngine(clock or SystemClock(), [sys.executable, "-c", program], {}, b"{}", 1, 1)
    try:
        yield made
    finally:
        made.close()


def told(made: LocalEngine) -> Report:
    found: list[Report] = []

    def has_any() -> bool:
        found.extend(made.wait(0.05))
        return bool(found)

    until(has_any)
    return found[-1]


def saying(*lines: str) -> str:
    """Return a program that says lines when it has its orders, and then waits for their end."""
    orders, text = "sys.stdin.readline(); sys.stdin.readline()", "\n".join(lines)
    return f"import sys; {orders}; print({text!r}, flush=True); sys.stdin.read()"


def test_what_an_interpreter_says_before_it_is_a_worker_is_no_answer() -> None:
    with engine(saying("a module says hello", BEGUN, DONE)) as made:
        made.submit(ONE)
        assert isinstance(told(made), WorkResult)


def test_a_worker_that_says_what_is_no_answer_is_ended_and_its_unit_lost() -> None:
    with engine(saying(BEGUN, "what is this")) as made:
        made.submit(ONE)
        lost = told(made)
    assert isinstance(lost, Lost)
    assert lost.has_begun
    assert not lost.is_final


def test_a_worker_that_does_not_stop_is_killed_in_the_end() -> None:
    clock = FakeClock()
    said = Answer(ONE.key, (LogMessage("I do"),))
    with engine(saying(encode(said).decode()), clock) as made:
        made.submit(ONE)
        assert told(made) == Told(ONE.key, said.events)
        made.cancel()
        assert not made.wait(0.0)
        clock.time += 60
        lost = told(made)
    assert lost == Lost(ONE.key, "its worker was killed by signal 9")


def test_workers_that_end_as_they_start_say_why_and_are_not_started_for_ever() -> None:
    with engine("import sys; sys.exit('there is no such module')") as made:
        ends = []
        for _ in range(4):
            made.submit(ONE)
            ends.append(told(made))
    why = "its worker ended with code 1: there is no such module"
    assert ends[:3] == [Lost(ONE.key, why, has_begun=False)] * 3
    assert ends[3] == Lost(ONE.key, f"workers end as soon as they start: {why}", is_final=True)


def test_no_interpreter_is_told_of_at_once() -> None:
    made = LocalEngine(SystemClock(), ["/nowhere/python"], {}, b"{}", 1, 1)
    made.submit(ONE)
    assert told(made) == Lost(ONE.key, "no worker can be started (No such file or directory)", is_final=True)
