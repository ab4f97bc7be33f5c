"""The examples of docs/push-step.md: what stands there must work."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest

from oci_push.language.parse import read_pipeline

PAGE = (Path(__file__).parents[2] / "docs" / "push-step.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
PARTS = [example for example in EXAMPLES if not example.lstrip("# ").startswith(("yaml-language", "version"))]


def test_the_whole_pipeline_is_valid_without_a_warning() -> None:
    reading = read_pipeline(EXAMPLES[0], "p.yml")
    assert (reading.errors, reading.warnings) == ((), ())


FIRST = "version: '1.0'\nsteps:\n  test: {type: push, candidate: x}\n"
STEP = FIRST + "  p:\n    type: push\n    candidate: x\n"
GROUP = (
    FIRST + "  fan:\n    type: parallel\n    steps: {a: {type: push, candidate: x}, b: {type: push, candidate: x}}\n"
)
PLACES = {"success_criteria": GROUP}


@pytest.mark.parametrize("part", PARTS, ids=[part.split(":")[0] for part in PARTS])
def test_a_part_is_valid_where_it_belongs(part: str) -> None:
    start = PLACES.get(part.split(":")[0], STEP)
    reading = read_pipeline(start + textwrap.indent(part, "    "), "p.yml")
    assert (reading.errors, reading.warnings) == ((), ())
