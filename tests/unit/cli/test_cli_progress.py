"""Lines of a log: what is worth one, what is only counted, and what long work says of itself."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable, Iterator
from itertools import chain

import pytest
from happenings import APP, MB, MIRROR, begun, blob, copied, done, ended, under_way

from oci_push import events
from oci_push.cli.ci import Ci, find_ci
from oci_push.cli.output import Door
from oci_push.cli.progress import LineRenderer
from oci_push.events import Event, Within
from oci_push.model.outcomes import BlobOutcome, CopyOutcome, Status
from oci_push.runtime.clock import FakeClock
from oci_push.secret import Secret


class Log:
    """A log with a clock that is moved by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, ci: Ci | None = None, *, quiet: bool = False) -> None:
        self._stream = io.StringIO()
        monkeypatch.setattr(sys, "stderr", Door(self._stream, ci))
        self.clock = FakeClock(1_000.0)
        self.renderer = LineRenderer(quiet=quiet, clock=self.clock)

    def tell(self, *happened: Event | Iterable[Event]) -> None:
        for one in happened:
            for event in (one,) if isinstance(one, events._Event) else one:
                self.renderer(event)

    def beat(self, at: float) -> str:
        self.clock.time = 1_000.0 + at
        self.renderer.beat()
        return self.lines()[-1]

    def lines(self) -> list[str]:
        return self._stream.getvalue().splitlines()


def test_a_push_is_told_in_short_digests_and_the_config_is_no_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log(monkeypatch)
    log.tell(begun(4, 30 * MB, tags=("1", "latest")))
    log.tell(done(1, 20 * MB), done(0, 400), done(2, 6 * MB, BlobOutcome.EXISTS), done(3, 4 * MB, BlobOutcome.MOUNTED))
    log.clock.time += 12.4
    log.tell(ended(tags=("1", "latest")))
    assert log.lines() == [
        "Image sha256:4813494d137e (4 blobs, 30.0 MB) from oci:image",
        "Pushing to registry.example.com/team/app",
        "layer 6b86b273ff34: pushed 20.0 MB",
        "config 5feceb66ffc8: pushed 400 B",
        "Tagged registry.example.com/team/app:1",
        "Tagged registry.example.com/team/app:latest",
        "Pushed registry.example.com/team/app@sha256:4813494d137e: 2 sent (20.0 MB), 1 mounted, 1 there, 12 s",
    ]


def test_no_tag_is_told_of_before_it_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log(monkeypatch)
    log.tell(begun(1, MB, tags=("1", "latest")), done(1, MB))
    assert not any("latest" in line or "agg" in line for line in log.lines())


def test_an_image_of_two_hundred_layers_that_are_there_takes_four_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log(monkeypatch)
    log.tell(begun(200, 200 * MB), *(done(n, MB, BlobOutcome.EXISTS) for n in range(200)), ended())
    assert len(log.lines()) == 4
    assert log.lines()[-1].endswith(": 200 there, 0.0 s")


def test_lines_of_blobs_name_their_repository_where_there_are_several(monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log(monkeypatch)
    log.tell(begun(1, MB, APP, MIRROR), done(1, MB), done(1, MB, target=MIRROR))
    assert log.lines()[-2:] == [
        "layer 6b86b273ff34: pushed 1.0 MB to registry.example.com/team/app",
        "layer 6b86b273ff34: pushed 1.0 MB to mirror.example.com/team/app",
    ]


def test_steps_that_push_to_one_each_need_no_names(monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log(monkeypatch)
    for step, target in (("a", APP), ("b", MIRROR)):
        log.tell(*(Within(step, event) for event in (*begun(1, MB, target), *done(1, MB, target=target))))
    assert log.lines()[-1] == "[b] layer 6b86b273ff34: pushed 1.0 MB"


def test_long_work_says_how_far_it_is_with_rate_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log(monkeypatch)
    log.tell(begun(3, 100 * MB), done(0, 0, BlobOutcome.EXISTS), under_way(1, 80 * MB), under_way(2, 20 * MB))
    log.tell(events.BlobProgress(APP, blob(1), 20 * MB, 80 * MB))
    name = "registry.example.com/team/app"
    assert log.beat(10) == f"... 10 s: {name}: 1 of 3 blobs, 20.0 MB of 100.0 MB, 2.0 MB/s, 40 s left"
    log.tell(events.BlobProgress(APP, blob(1), 70 * MB, 80 * MB), events.RetryScheduled(f"{APP}: blob x", "503", 1, 1))
    assert log.beat(20) == f"... 20 s: {name}: 1 of 3 blobs, 70.0 MB of 100.0 MB, 5.0 MB/s, 6.0 s left, 1 retry"
    assert log.beat(90).startswith("... 1 min 30 s: ")


def test_a_rate_counts_what_is_sent_again_and_not_what_was_there(monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log(monkeypatch)
    log.tell(begun(1, 100 * MB), under_way(1, 100 * MB), events.UploadResumed(APP, blob(1), 50 * MB, 100 * MB))
    log.tell(*(events.BlobProgress(APP, blob(1), at * MB, 100 * MB) for at in (60, 55, 70)))
    assert "70.0 MB of 100.0 MB, 2.5 MB/s" in log.beat(10)
    assert "layer 6b86b273ff34 goes on at 50.0 MB of 100.0 MB, where an earlier run had stopped" in log.lines()


def test_before_anything_is_sent_the_beat_says_what_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log(monkeypatch)
    assert log.beat(10) == "... 10 s: reading the image"
    log.tell(*(events.LayerReading(blob(n), 10 * MB, 40 * MB, n == 1) for n in (1, 2)))
    assert log.beat(20) == "... 20 s: compressing 2 layers, 20.0 MB of 80.0 MB"
    log.tell(events.TargetStarted(APP, ("1",)), done(3, 5 * MB))
    assert log.beat(30) == "... 30 s: compressing 2 layers, 20.0 MB of 80.0 MB; 1 blob, 5.0 MB sent"
    log.tell(events.SourceOpened("a.tar", blob(9), 1, 3, 45 * MB))
    assert "1 of 3 blobs, 5.0 MB of 45.0 MB" in log.beat(40)


def test_several_repositories_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log(monkeypatch)
    log.tell(begun(1, 10 * MB, APP, MIRROR), under_way(1, 10 * MB, 5 * MB), under_way(1, 10 * MB, 5 * MB, MIRROR))
    assert log.beat(10) == "... 10 s: 2 repositories: 0 of 2 blobs, 10.0 MB of 20.0 MB, 1.0 MB/s, 10 s left"
    log.tell(ended(), ended(MIRROR))
    assert log.beat(20) == "... 20 s: at work"


def test_a_quiet_log_has_only_what_went_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log(monkeypatch, quiet=True)
    log.tell(begun(1, MB), done(1, MB), events.LogMessage("a note"), events.LogMessage("old", "warning"))
    log.tell(events.RetryScheduled("HEAD", "503", 1, 0.5), ended())
    assert log.lines() == ["warning: old", "warning: HEAD: 503; attempt 1 failed, the next follows in 0.5 s"]


def test_secrets_and_commands_of_strangers_do_not_come_through(monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log(monkeypatch)
    secret = Secret("planted-in-events").reveal()
    title = f"::error::{secret}\x1b[2J"
    log.tell(
        events.SourceOpened(title, blob(1), 1, 1, 1),
        events.TargetStarted(APP, (secret,)),
        events.LogMessage(title, "warning"),
        events.RetryScheduled(secret, title, 1, 1.0),
        events.StepStarted("s", title, secret),
        Within(secret, events.StepFinished("s", title, Status.FAILURE, secret)),
    )
    shown = "\n".join(log.lines())
    assert secret not in shown
    assert "\x1b" not in shown
    assert not any(line.startswith("::") for line in log.lines())


def steps() -> Iterator[Event]:
    yield events.StepStarted("one", "Push one", "ship")
    yield events.LogMessage("inside")
    yield events.StepFinished("one", "Push one", Status.SUCCESS)
    yield Within("two", events.StepStarted("two", "Push two", "ship"))
    yield Within("two", events.StepFinished("two", "Push two", Status.SUCCESS))


PLAIN = ["Stage: ship", "Running push step: Push one", "inside", "Successfully ran push step: Push one"]
BESIDE = ["[two] Running push step: Push two", "[two] Successfully ran push step: Push two"]
SECTIONS = {
    "nowhere": ({}, "", ""),
    "github": ({"GITHUB_ACTIONS": "true"}, "::group::Push one", "::endgroup::"),
    "azure": ({"TF_BUILD": "True"}, "##[group]Push one", "##[endgroup]"),
    "gitlab": (
        {"GITLAB_CI": "true"},
        "section_start:1000:push_one\r\x1b[0KPush one",
        "section_end:1000:push_one\r\x1b[0K",
    ),
}


@pytest.mark.parametrize("case", SECTIONS)
def test_a_step_is_a_section_where_the_ci_folds_unless_steps_run_beside_it(
    case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    env, begin, end = SECTIONS[case]
    log = Log(monkeypatch, find_ci(env))
    log.tell(steps())
    stage, *inside = PLAIN
    expected = [stage, *filter(None, [begin]), *inside, *filter(None, [end]), *BESIDE]
    assert "\n".join(log.lines()) == "\n".join(chain(*(one.splitlines() for one in expected)))


@pytest.mark.parametrize(
    ("env", "line"),
    [
        ({}, "warning: it is old"),
        ({"GITHUB_ACTIONS": "true"}, "::warning::it is old"),
        ({"TF_BUILD": "True"}, "##vso[task.logissue type=warning]it is old"),
        ({"GITLAB_CI": "true"}, "warning: it is old"),
        ({"GITHUB_ACTIONS": "false", "TF_BUILD": ""}, "warning: it is old"),
    ],
)
def test_a_warning_is_annotated_where_the_ci_reads_along(
    env: dict[str, str], line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Log(monkeypatch, find_ci(env))
    log.tell(events.LogMessage("it is old", "warning"))
    assert log.lines() == [line]


def test_some_copies_have_a_line_each_and_nothing_of_their_blobs(monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log(monkeypatch)
    log.tell(events.CopyStarted(3), begun(1, MB), done(1, MB), ended(), copied("1"))
    log.tell(copied("2", CopyOutcome.UNCHANGED), copied("3", CopyOutcome.FAILED, "it broke"))
    assert log.lines() == [
        "Copying 3 tags",
        "Copied registry.example.com/team/app:1",
        "Copying registry.example.com/team/app:3 failed",
    ]


def test_of_many_copies_only_failures_have_a_line_and_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log(monkeypatch)
    log.tell(events.CopyStarted(5000))
    assert log.beat(10) == "... 10 s: asking what 5000 tags name"
    log.tell(begun(1, MB), done(1, MB), ended(), (copied(str(n)) for n in range(200)))
    log.tell(copied("x", CopyOutcome.FAILED, "it broke"))
    assert log.beat(20) == "... 20 s: 201 of 5000 tags, 1 failed, 1.0 MB sent"
    assert log.lines()[2] == "Copying registry.example.com/team/app:x failed"
