"""The bench's own arithmetic, table and picture; what it measures is no test's business."""

from __future__ import annotations

from xml.etree import ElementTree

import msgspec

from bench import plot, scale
from bench.kills import Killed
from bench.measuring import Cost
from bench.results import Report, Result, Runs, Traffic, table
from bench.rows import ROWS, Kind, Row


def runs(program: str, *seconds: float, is_ours: bool = False) -> Runs:
    costs = tuple(Cost(wall_s=each, cpu_s=each / 2, peak_mib=40) for each in seconds)
    return Runs(program, is_ours, costs, Traffic(requests=12, connections=2, round_trips=3))


COLD = Row(key="cold", title="cold & <typical>", kind=Kind.PUSH, goal=1.1, goals_against={"slow": 0.5})
OURS = runs("oci-push", 3.0, 1.0, 2.0, is_ours=True)
RESULT = Result(COLD, (OURS, runs("quick", 4.0, 4.0), runs("slow", 9.0)))
ALONE = Result(Row(key="steps", title="200 steps", kind=Kind.STEPS, units=200, goal_each_ms=6), (OURS,))
UNMEASURED = Result(Row(key="none", title="not measured", kind=Kind.COPY), ())


def report(*results: Result) -> Report:
    return Report(
        mode="quick",
        date="2026-01-01",
        machine={"processor": "one", "system": "other"},
        programs={"oci-push": "1", "quick": "2"},
        distance="relay (not root)",
        not_run=("crane: not on PATH",),
        results=results,
        failures=("cold: slow: exit 1",),
    )


def test_a_ratio_is_of_medians_and_against_the_best_rival() -> None:
    ratio = RESULT.ratio
    assert ratio is not None
    assert RESULT.best is not None
    assert RESULT.best.program == "quick"
    assert (ratio.least, ratio.median, ratio.most) == (0.25, 0.5, 0.75)
    assert RESULT.goal == 1.1
    assert Result(COLD, (OURS, runs("slow", 9.0))).goal == 0.5


def test_start_up_is_measured_beside_python_and_no_rival() -> None:
    row = Row(key="version", title="--version", kind=Kind.VERSION, goal=2)
    result = Result(row, (OURS, runs("quick", 0.5), runs("python -c pass", 1.0)))
    assert result.best is not None
    assert result.best.program == "python -c pass"


def test_no_rival_no_ratio() -> None:
    assert ALONE.best is None
    assert ALONE.ratio is None
    assert Result(COLD, (runs("quick", 1.0),)).ratio is None


def test_the_table_says_what_was_not_run_and_what_failed() -> None:
    lines = table(report(RESULT, ALONE)).splitlines()
    assert "- NOT RUN: crane: not on PATH" in lines
    assert "- FAILED: cold: slow: exit 1" in lines
    assert "- distance: relay (not root)" in lines
    (ours, _) = [line for line in lines if "**oci-push**" in line]
    cells = [cell.strip() for cell in ours.strip("|").split("|")]
    assert cells[2:] == ["2.000 (1.000–3.000)", "3", "0.50 of quick", "1.1", "12", "3", "1.00", "40"]
    assert any("10.00 ms each | 6 ms" in line for line in lines)


def test_goals_of_processor_time_are_for_layers_of_their_usual_size() -> None:
    row = msgspec.structs.replace(COLD, goal_cpu_s=0.3, goal_peak_mib=60)
    quick = report(Result(row, RESULT.runs))
    assert "| 1.00 | 40 (≤ 60) |" in table(quick)
    assert "| 1.00 (≤ 0.3) | 40 (≤ 60) |" in table(msgspec.structs.replace(quick, mode="full"))


def test_the_picture_is_xml_with_a_mark_for_each_row_that_has_a_ratio() -> None:
    root = ElementTree.fromstring(plot.draw(report(RESULT, ALONE, UNMEASURED)))
    words = [each.text for each in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {COLD.title, "0.50", "× quick"} <= set(words)
    assert {ALONE.row.title, "10.0", "ms each (goal 6)"} <= set(words)
    assert UNMEASURED.row.title not in words
    kinds = [each.get("class") for each in root.iter("{http://www.w3.org/2000/svg}circle")]
    assert kinds == ["reached", "missed", "reached"]  # the legend's two, and that of the row with a ratio


def test_a_goal_is_missed_by_the_ratio_or_by_the_time_for_each() -> None:
    assert RESULT.is_goal_reached
    assert not Result(msgspec.structs.replace(COLD, goal=0.4), RESULT.runs).is_goal_reached
    assert not ALONE.is_goal_reached
    assert Result(msgspec.structs.replace(ALONE.row, goal_each_ms=10), ALONE.runs).is_goal_reached


def test_every_row_has_its_own_key() -> None:
    assert len({row.key for row in ROWS}) == len(ROWS)


def test_the_picture_of_many_images_tells_what_a_kill_costs() -> None:
    about = {"processor": "a <fast> one", "system": "other", "python": "3"}
    ways = (scale.Way("run", 4.0, 3.0, 12, 1, Killed(200, 2.5, 13)), scale.Way("work", 3.0, 2.0, 12, 1))
    drawn = ElementTree.fromstring(scale.draw(scale.Scale(about, 400, ways)))
    texts = [one.text for one in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert [text for text in texts if text and text.endswith(" s")] == ["4.0 s", "3.0 s", "2.5 s", "3.0 s", "2.0 s"]
