"""A worker process's side of the line to whoever started it: units come in, events and results go out.

Each is one line of JSON. The end of the input is the end of the work: whoever started this has ended, or is gone.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import BinaryIO

from msgspec import Struct

from oci_push import forms
from oci_push.engine.unit import UnitResult
from oci_push.errors import Cancelled, OciPushError
from oci_push.events import BlobProgress, Event, LayerReading
from oci_push.runtime.context import Context
from oci_push.runtime.tasks import Ticker
from oci_push.work.engine import Report, Told
from oci_push.work.here import Do, Threads
from oci_push.work.results import WorkResult
from oci_push.work.units import WorkUnit

_FLUSH_S = 0.2
_BATCH = 64


class Order(Struct, frozen=True):
    """What a worker is told: a unit to do, or the key of one that is to stop, ``*`` for all."""

    unit: WorkUnit | None = None
    cancel: str = ""


class Answer(Struct, frozen=True):
    """What a worker tells: that a unit has begun, a batch of its events, or its end."""

    key: str
    events: tuple[Event, ...] = ()
    result: WorkResult | None = None


def serve(orders: Iterable[bytes], answers: BinaryIO, make: Callable[[Context], Do], context: Context) -> None:
    """Do what is ordered until the input ends and all of it has come to an end.

    An error of `make`, which returns what does units, is the result of every unit.
    """
    lines = _Lines(answers)
    try:
        do = make(context)
    except OciPushError as problem:
        do = _refusing(problem)
    threads = Threads(do, context, lines.put)

    def tick() -> None:
        context.expire()
        lines.flush()

    ticker = Ticker(context.clock, tick, _FLUSH_S)
    ticker.start()
    for line in orders:
        try:
            order: Order = forms.decode(line, Order)
        except ValueError:
            break  # whoever wrote it was killed within the line
        if order.unit is not None:
            lines.begin(order.unit.key)
            threads.start(order.unit)
        elif order.cancel:
            threads.cancel("" if order.cancel == "*" else order.cancel)
    context.cancel(Cancelled("whoever wanted this has ended"))
    idle = threading.Event()
    while not threads.is_idle:
        context.clock.wait(idle, _FLUSH_S)
    ticker.stop()
    lines.flush()


def _refusing(problem: OciPushError) -> Do:
    def refuse(unit: WorkUnit, context: Context, emit: object) -> WorkResult:
        return WorkResult(unit.key, unit.name, UnitResult(error=problem))

    return refuse


class _Lines:
    """Write answers; events wait for one another, or for their unit's end."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._lock = threading.Lock()
        self._events: dict[str, list[Event]] = {}
        self._is_broken = False

    def begin(self, key: str) -> None:
        """Tell that a unit is under way from now on."""
        with self._lock:
            self._write(Answer(key))

    def put(self, report: Report) -> None:
        if isinstance(report, Told):
            with self._lock:
                waiting = self._events.setdefault(report.key, [])
                for event in report.events:
                    add_event(waiting, event)
                if len(waiting) >= _BATCH:
                    self._send(report.key)
        elif isinstance(report, WorkResult):
            with self._lock:
                self._send(report.key)
                self._write(Answer(report.key, result=report))

    def flush(self) -> None:
        with self._lock:
            for key in list(self._events):
                self._send(key)

    def _send(self, key: str) -> None:
        events = self._events.pop(key, [])
        if events:
            self._write(Answer(key, tuple(events)))

    def _write(self, answer: Answer) -> None:
        if self._is_broken:
            return
        try:
            self._out.write(forms.encode(answer) + b"\n")
            self._out.flush()
        except (OSError, ValueError):
            self._is_broken = True  # nobody listens any more; the end of the input ends the work


def add_event(waiting: list[Event], event: Event) -> None:
    """Add an event; of how far one body is only the last counts."""
    if waiting and _body(event) is not None and _body(event) == _body(waiting[-1]):
        waiting[-1] = event
    else:
        waiting.append(event)


def _body(event: Event) -> object:
    """Return which body's progress an event tells of, if one's."""
    if isinstance(event, BlobProgress):
        return event.repository, event.digest
    return event.diff_id if isinstance(event, LayerReading) else None
