"""Events as lines of JSON: each of them once, and those that come often no more than once a second."""

from __future__ import annotations

import io
import json
import sys

import pytest
from happenings import APP, MB, MIRROR, begun, blob, done, under_way

from oci_push import events
from oci_push.cli import output
from oci_push.cli.ndjson import JsonLines
from oci_push.cli.output import Door
from oci_push.cli.tally import Tally
from oci_push.events import Within
from oci_push.runtime.clock import FakeClock
from oci_push.secret import Secret


def told(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line)["event"] for line in stream.getvalue().splitlines()]


def test_how_far_a_blob_is_comes_once_a_second_from_each(monkeypatch: pytest.MonkeyPatch) -> None:
    stream, clock = io.StringIO(), FakeClock()
    monkeypatch.setattr(sys, "stderr", Door(stream))
    lines = JsonLines(Tally(), clock)
    for event in (*begun(1, 90 * MB, APP, MIRROR), *under_way(1, 90 * MB), *under_way(1, 90 * MB, target=MIRROR)):
        lines(event)
    before = len(told(stream))
    for number in range(1, 9):
        for target in (APP, MIRROR):
            lines(Within("s", events.BlobProgress(target, blob(1), number * MB, 90 * MB)))
        lines(events.LayerReading(blob(2), number, 9, True))
        clock.time += 0.25
    found = told(stream)[before:]
    inner = [one.get("event", one) for one in found]
    assert [one.get("sent_bytes", one.get("read_bytes")) for one in inner] == [MB, MB, 1, 5 * MB, 5 * MB, 5]  # type: ignore[attr-defined]
    assert [one["type"] for one in found] == ["within", "within", "layer_reading"] * 2


def test_what_is_counted_is_counted_whether_it_is_told_or_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Door(io.StringIO()))
    tally = Tally()
    lines = JsonLines(tally, FakeClock())
    for event in (*begun(1, MB), *done(1, MB), events.RetryScheduled(f"{APP}:1", "503", 1, 0.5)):
        lines(event)
    lines(events.RetryScheduled(f"{APP}-other: blob x", "503", 1, 0.5))
    assert (tally.went_out, tally.retries_of(APP), tally.retries) == (MB, 1, 2)


def test_lines_for_people_are_events_and_hold_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = Secret("planted-in-lines").reveal()
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", Door(stream))
    output.speak_json()
    output.tell(f"a {secret}\n::error::x")
    output.warn(f"b {secret}", "c")
    output.issue("error", "d")
    output.tell_section("e", 1.0, begins=True)
    assert [(one["level"], one["text"]) for one in told(stream)] == [
        ("info", "a ***\n::error::x"),
        ("warning", "b ***\nhint: c"),
        ("error", "d"),
    ]
