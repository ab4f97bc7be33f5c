"""A worker process's line: what comes in, what goes out, and what ends it."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator

from program import until
from test_work_files import unit

from oci_push.engine.unit import UnitResult
from oci_push.errors import ConfigError
from oci_push.events import Emit, LogMessage
from oci_push.forms import decode, encode
from oci_push.runtime.clock import SystemClock
from oci_push.runtime.context import Context
from oci_push.work.here import Do
from oci_push.work.results import WorkResult
from oci_push.work.serving import Answer, Order, serve
from oci_push.work.units import WorkUnit


def told(context: Context, emit: Emit, unit: WorkUnit) -> WorkResult:
    emit(LogMessage(f"doing {unit.push.source}"))
    return WorkResult(unit.key, unit.name, UnitResult())


def until_stopped(context: Context, emit: Emit, unit: WorkUnit) -> WorkResult:
    context.sleep(600)
    return told(context, emit, unit)


def broken(context: Context, emit: Emit, unit: WorkUnit) -> WorkResult:
    raise KeyError("a mistake of ours")


class Orders:
    """Lines that end when so many results were told."""

    def __init__(self, lines: bytes, out: io.BytesIO, results: int) -> None:
        self._lines = lines.splitlines(keepends=True)
        self._out = out
        self._results = results

    def __iter__(self) -> Iterator[bytes]:
        yield from self._lines
        until(lambda: self._out.getvalue().count(b'"result":{') >= self._results)


def answers(
    orders: bytes, act: Callable[[Context, Emit, WorkUnit], WorkResult] | ConfigError, results: int = 0
) -> list[Answer]:
    """Serve orders to their end, after so many results, and return what was told."""
    out = io.BytesIO()

    def make(context: Context) -> Do:
        if isinstance(act, ConfigError):
            raise act
        return lambda unit, inner, emit: act(inner, emit, unit)

    serve(Orders(orders, out, results), out, make, Context(SystemClock()))
    return [decode(line, Answer) for line in out.getvalue().splitlines()]


def ordered(*units: WorkUnit) -> bytes:
    return b"".join(encode(Order(one)) + b"\n" for one in units)


def test_a_unit_is_told_of_as_it_begins_and_by_its_end() -> None:
    one = unit("one")
    began, *middle, last = answers(ordered(one), told, 1)
    assert began == Answer(one.key)
    assert [answer.events for answer in middle] == [(LogMessage("doing oci:one"),)]
    assert last.result is not None
    assert last.result.key == one.key


def test_the_end_of_the_orders_stops_what_is_under_way() -> None:
    units = unit("one"), unit("two")
    ends = [one.result for one in answers(ordered(*units), until_stopped) if one.result is not None]
    assert sorted(one.key for one in ends) == sorted(one.key for one in units)
    assert all(one.is_stopped for one in ends)


def test_half_an_order_is_the_end_of_the_orders() -> None:
    one = unit("one")
    ends = [a.result.key for a in answers(ordered(one, unit("two"))[:-30], until_stopped) if a.result is not None]
    assert ends == [one.key]


def test_a_unit_can_be_stopped_by_its_key_alone() -> None:
    one = unit("one")
    stopped = answers(ordered(one) + encode(Order(cancel=one.key)) + b"\n", until_stopped)
    assert [str(a.result.error) for a in stopped if a.result is not None] == ["stopped by whoever wanted it"]


def test_what_breaks_in_a_worker_is_the_result_of_its_unit() -> None:
    [error] = [a.result.error for a in answers(ordered(unit("one")), broken, 1) if a.result is not None]
    assert "internal error: KeyError: 'a mistake of ours'" in str(error)


def test_a_worker_that_cannot_be_set_up_says_so_of_every_unit() -> None:
    problem = ConfigError("oci-push.yaml: is not good", hint="mend it")
    ends = [one.result for one in answers(ordered(unit("one"), unit("two")), problem, 2)]
    said = [(str(one.error), one.error and one.error.hint) for one in ends if one is not None]
    assert said == [("oci-push.yaml: is not good", "mend it")] * 2
