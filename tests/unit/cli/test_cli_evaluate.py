"""`oci-push eval`: what it prints where, and what it refuses."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from evaluating import run_eval

PROGRAM = Path(sys.executable).with_name("oci-push")


def test_a_plain_truth_is_all_that_is_printed() -> None:
    done = run_eval("steps.ok.result == 'success' && ok.result != 'failure'", "--step", "ok=success")
    assert (done.exit_code, done.stdout, done.stderr) == (0, "true\n", "")


def test_an_error_is_false_and_shown_where_it_is_with_advice() -> None:
    done = run_eval("${{CF_BRANCH}} == 'main'", "--var", "CF_BRANCH=main")
    assert (done.exit_code, done.stdout) == (0, "false\n")
    assert done.stderr.splitlines() == [
        "  main == 'main'",
        "  ^",
        "error: Invalid identifier: 'main'",
        '  hint: put a text in quotes, and a variable too: "${{NAME}}"',
    ]


@pytest.mark.parametrize(("text", "code"), [("1 +", 2), ("(1", 2), ("1 ===", 2), ("1 == 'a'", 0), ("!'a'", 0)])
def test_what_is_no_expression_has_an_exit_code_of_its_own(text: str, code: int) -> None:
    assert run_eval(text).exit_code == code


def test_the_place_of_an_error_in_a_long_expression_stays_in_sight() -> None:
    done = run_eval(f"'{'é' * 200}' == x && '{'y' * 200}' == 'y'")
    shown, mark, *_ = done.stderr.splitlines()
    assert len(shown) < 90
    assert shown[mark.index("^")] == "x"


def test_what_would_command_the_terminal_is_written_out() -> None:
    done = run_eval("'${{X}}' == y", "--var", "X=\x1b[31m\n")
    assert "\x1b" not in done.stderr
    assert done.stderr.splitlines()[0] == r"  '\x1b[31m\n' == y"


def test_a_value_that_is_no_boolean_is_shown() -> None:
    assert run_eval("length('gump') * 2.5").stderr == "result: 10\n"
    assert run_eval("'a' + 'b'").stderr == 'result: "ab"\n'
    assert run_eval("0 / 0").stderr == "result: NaN\n"


def test_an_undefined_variable_stays_and_is_told() -> None:
    done = run_eval('includes("${{X}}", "{{X}}")')
    assert done.stdout == "true\n"
    assert done.stderr == "note: X is not set and stays ${{X}}\n"


@pytest.mark.parametrize(
    ("expression", "result"),
    [("1 + 1", 2), ("0.5", 0.5), ("1e400", "Infinity"), ("null", None), ("'a'", "a"), ("!true", False)],
)
def test_json_holds_the_result(expression: str, result: object) -> None:
    done = run_eval(expression, "--json")
    assert (done.exit_code, done.stderr) == (0, "")
    found = done.json()
    assert (found["result"], found["error"], found["hint"]) == (result, None, None)


def test_json_holds_what_was_evaluated_and_why_it_is_false() -> None:
    found = run_eval("x = '${{A}}${{B}}'", "--json", "--var", "A=1").json()
    assert found == {
        "value": False,
        "result": None,
        "error": 'Unexpected "=" at character 2',
        "hint": "write == to compare",
        "expression": "x = '1${{B}}'",
        "position": 2,
        "undefined": ["B"],
    }


def test_members_of_steps_are_set_and_reach_variables() -> None:
    options = [
        "--step",
        "b.imageId=sha256:1",
        "--step",
        "b=failure",
        "--step",
        "b=success",
        "--step",
        "my-step=skipped",
    ]
    assert run_eval("b.imageId == '${{steps.b.imageId}}' && b.result == '${{b.result}}'", *options).stdout == "true\n"
    assert run_eval("Variable('my-step').result == 'skipped'", *options).stdout == "true\n"


def test_a_workflow_runs_unless_something_else_is_said() -> None:
    assert run_eval("workflow.result == 'running'").stdout == "true\n"
    assert run_eval("workflow.result == 'failure'", "--workflow", "failure").stdout == "true\n"


def test_variables_are_known_by_name_and_derived_ones_too() -> None:
    assert run_eval("CF_BRANCH_TAG_NORMALIZED == 'a_b'", "--var", "CF_BRANCH=a/b").stdout == "true\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--var", "x"], "--var 'x': expected NAME=VALUE"),
        (["--step", "x"], "--step 'x': expected NAME=RESULT or NAME.MEMBER=VALUE"),
        (["--step", ".m=1"], "--step .m=1: the step's name is missing"),
    ],
)
def test_wrong_options_are_refused(options: list[str], message: str) -> None:
    done = run_eval("'${{A}}' == 'a'", *options)
    assert (done.exit_code, done.stdout) == (2, "")
    assert message in done.stderr


def test_an_expression_may_begin_with_a_dash_behind_two() -> None:
    assert run_eval("--", "-1 < 0").stdout == "true\n"


def test_it_starts_without_loading_what_pushing_needs() -> None:
    code = (
        "import sys; sys.argv = ['oci-push', 'eval', '1 == 1']\n"
        "from oci_push.cli.app import main\n"
        "try: main()\n"
        "except SystemExit: print(sorted({'httpx', 'boto3', 'yaml', 'regex'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "true\n[]\n"


def test_half_a_character_in_a_variable_is_no_crash(tmp_path: Path) -> None:
    done = subprocess.run(
        [PROGRAM, "eval", "'${{X}}' == x", "--var", b"X=\xff"], cwd=tmp_path, capture_output=True, check=True,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LC_ALL": "C.UTF-8"},
    )  # fmt: skip
    assert done.stdout == b"false\n"
    assert rb"'\udcff' == x" in done.stderr


def test_a_value_that_looks_like_a_variable_is_one_for_nobody() -> None:
    done = run_eval("'${{A}}' == upper('x')", "--var", "A=${{B}}", "--var", "B=X")
    assert done.stdout == "false\n"
    assert "note: --var: the ${{…}} in the value of A stays as it is written" in done.stderr
