"""Every case about an expression, through `oci-push eval` as a user runs it."""

from __future__ import annotations

import pytest
from evaluating import run_eval
from validating import read_cases

NO_EXPRESSIONS = {"expr-syntax-error"}
"""Cases whose text cannot be read at all: the command says false and ends with 2."""
CASES = {str(case["id"]): case for case in read_cases("expression")}


def options(case: dict[str, object]) -> list[str]:
    """Write what a case knows as options."""
    variables, steps, workflow = (case.get(key, {}) for key in ("vars", "steps", "workflow"))
    assert isinstance(variables, dict)
    assert isinstance(steps, dict)
    assert isinstance(workflow, dict)
    found = [f"--workflow={workflow['result']}"] if workflow else []
    found += [f"--var={name}={value}" for name, value in variables.items()]
    return found + [f"--step={step}.{member}={value}" for step, all_ in steps.items() for member, value in all_.items()]


@pytest.mark.parametrize("name", CASES)
def test_an_expression_gives_what_the_case_says(name: str) -> None:
    case = CASES[name]
    done = run_eval(str(case["expression"]), "--json", *options(case))
    assert done.exit_code == (2 if name in NO_EXPRESSIONS else 0)
    found = done.json()
    assert {"runs": found["value"]} == case["expect"]
    assert str(case.get("expression_error_contains", "")) in str(found["error"] or "")
    assert bool(found["error"]) == ("expression_error_contains" in case)
