"""Every case about what may be written, through `oci-push validate` as a user runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from parsing import parse_pipeline
from validating import Validated, config_of, read_cases, validate

from oci_push.language.steps import PushStep, flatten

PROGRAM = Path(sys.executable).with_name("oci-push")

STRICTLY = {
    "push-tags-flow-unquoted-variable": "the documentation prints it, and it is read as text with a warning",
    "push-scale-rejected": "documented, and expanded here",
    "args-in-parallel-child": "arguments are read on every level here",
    "reg-localhost-port-not-a-host": "a name with a port is a host here",
    "reg-127-not-a-host": "a name with a port is a host here",
    "reg-region-list-gap": "every region of the usual shape is accepted",
    "reg-region-inline-ecr": "provider: ecr needs no registry, as documented",
    "reg-role-variable": "it is checked when the variable has a value",
}
"""What the vendor's validator refuses and this program runs, as each case's note recommends: --strict refuses it."""

REFUSED_HERE = {
    "push-type-versioned": '"type" must be one of [push]',
    "par-grandchildren-unchecked": '"bogus" is not allowed',
}
"""What the vendor's validator does not look at; the notes recommend to, and so it is refused."""

NOT_WARNED = {"reg-region-inline-ecr": "the default registry is not used with provider: ecr"}

CASES = {str(case["id"]): case for case in read_cases("schema", "context")}


def check(case: dict[str, object], folder: Path, *arguments: str) -> Validated:
    """Validate a case's pipeline with its context."""
    context = case.get("context")
    config = config_of(context) if isinstance(context, dict) else None
    return validate(folder, str(case["yaml"]), *arguments, config=config)


@pytest.mark.parametrize("name", [name for name in CASES if name not in REFUSED_HERE])
def test_a_case_is_judged_as_described(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    done = check(case, tmp_path, *(["--strict"] if name in STRICTLY else []))
    assert done.valid == case["valid"], done
    assert done.exit_code == (0 if done.valid else 2)
    assert str(case.get("error_contains", "")) in done.messages()
    if name not in NOT_WARNED:
        assert str(case.get("warning_contains", "")) in done.messages("warnings")
    if "error_code" in case:
        wanted = str(case["error_contains"])
        assert case["error_code"] in {one["code"] for one in done.errors if wanted in str(one["message"])}


@pytest.mark.parametrize("name", STRICTLY)
def test_what_only_the_vendor_refuses_is_accepted_unless_strict(name: str, tmp_path: Path) -> None:
    done = check(CASES[name], tmp_path)
    assert (done.exit_code, done.valid, done.errors) == (0, True, ())


@pytest.mark.parametrize("name", REFUSED_HERE)
def test_what_the_vendor_overlooks_is_refused(name: str, tmp_path: Path) -> None:
    done = check(CASES[name], tmp_path)
    assert done.exit_code == 2
    assert REFUSED_HERE[name] in done.messages()


@pytest.mark.parametrize("name", CASES)
def test_every_problem_has_a_place_and_words(name: str, tmp_path: Path) -> None:
    done = check(CASES[name], tmp_path, "--strict")
    lines = str(CASES[name]["yaml"]).count("\n") + 1
    for problem in (*done.errors, *done.warnings):
        assert list(problem) == ["file", "line", "column", "path", "code", "message", "hint"]
        assert Path(str(problem["file"])).parent == tmp_path
        assert problem["message"]
        assert isinstance(problem["line"], int)
        assert 1 <= problem["line"] <= lines


def first_push(name: str) -> PushStep:
    """Read a case's pipeline and give its push step ``p``."""
    pipeline = parse_pipeline(str(CASES[name]["yaml"]), "p.yml")
    return next(step for step in flatten(pipeline.steps) if isinstance(step, PushStep) and step.name in ("p", "b"))


@pytest.mark.parametrize(
    ("name", "tags"),
    [
        ("push-tag-semver-unquoted", ["1.0.1"]),
        ("push-tag-sexagesimal", ["12:30"]),
        ("push-tags-empty-list", []),  # `latest` is what a push without tags means
        ("push-tag-and-tags", ["one", "two"]),
        ("args-override-root", ["five"]),
    ],
)
def test_tags_are_read_as_written(name: str, tags: list[str]) -> None:
    assert [tag.text for tag in first_push(name).tags] == tags


@pytest.mark.parametrize("name", ["push-fail-fast-kebab", "push-fail-fast-string-bools"])
def test_every_spelling_of_false_is_false(name: str) -> None:
    assert first_push(name).settings.fail_fast is False


@pytest.mark.parametrize("name", [n for n, c in CASES.items() if "seconds" in dict(c.get("expect", {}))])  # type: ignore[call-overload]
def test_timeouts_are_read_as_seconds(name: str) -> None:
    assert {"seconds": first_push(name).settings.timeout_s} == CASES[name]["expect"]


@pytest.mark.parametrize("name", ["dep-array-default-on", "dep-on-key-yaml11"])
def test_dependencies_wait_for_success(name: str) -> None:
    dependencies = parse_pipeline(str(CASES[name]["yaml"]), "p.yml").steps[-1].settings.when.dependencies
    assert dependencies is not None
    assert [one.states for one in dependencies.steps] == [("success",)]


def test_an_annotation_without_an_entity_is_the_builds() -> None:
    (hook,) = first_push("ann-set-defaults").settings.hooks
    assert [(one.entity_type, one.entity_id) for one in hook.notes.annotations] == [(None, None)]
    assert [note.key for note in hook.notes.annotations[0].notes] == ["ok", "n", "s", "empty"]


@pytest.mark.parametrize("name", ["root-minimal", "push-tag-float", "reg-unknown"])
def test_the_installed_program_agrees(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    inside = check(case, tmp_path)
    done = subprocess.run(
        [PROGRAM, "validate", "pipeline.yml", "--json"], cwd=tmp_path, capture_output=True, text=True, timeout=300,
        check=False, env={"PATH": os.environ["PATH"], "HOME": str(tmp_path / "home"), "LC_ALL": "C.UTF-8"},
    )  # fmt: skip
    assert done.returncode == inside.exit_code, done.stderr
    assert done.stderr == ""
    errors = json.loads(done.stdout)["errors"]
    assert [one["message"] for one in errors] == [one["message"] for one in inside.errors]
