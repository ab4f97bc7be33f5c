"""The table of client behaviours: each is claimed by a test, and no test claims what is not in it."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import yaml

TESTS = Path(__file__).parents[1]
TABLE = Path(__file__).with_name("client-cases.yaml")


def cases() -> list[dict[str, object]]:
    """Read the table."""
    loaded = yaml.safe_load(TABLE.read_text())
    assert isinstance(loaded, list)
    return loaded


def claims() -> Iterator[tuple[str, str]]:
    """Find ``@pytest.mark.case("ID", …)`` on test functions; gives id and test."""
    for file in sorted(TESTS.rglob("test_*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if not isinstance(node, ast.FunctionDef) or not node.name.startswith("test_"):
                continue
            for mark in node.decorator_list:
                if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.case":
                    for argument in mark.args:
                        yield ast.literal_eval(argument), f"{file.name}::{node.name}"


def test_every_case_is_held_by_a_test() -> None:
    claimed = {name for name, _ in claims()}
    assert [case["id"] for case in cases() if case["id"] not in claimed] == []


def test_no_test_claims_a_case_that_does_not_exist() -> None:
    known = {case["id"] for case in cases()}
    assert [(name, test) for name, test in claims() if name not in known] == []


def test_the_table_is_well_formed() -> None:
    keys = {"id", "area", "level", "given", "expect", "seen_in"}
    assert [case for case in cases() if set(case) - {"instead"} != keys] == []
    assert [name for name, count in Counter(case["id"] for case in cases()).items() if count > 1] == []
    assert {case["level"] for case in cases()} == {"parity", "beat"}
