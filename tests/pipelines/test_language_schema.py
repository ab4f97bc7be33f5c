"""The JSON Schema for editors: valid itself, and of one mind with `validate` wherever a schema can say it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
from parsing import to_plain
from validating import read_cases

from oci_push.errors import ConfigError
from oci_push.language.document import load
from oci_push.language.language_schema import language_schema

PROGRAM = Path(sys.executable).with_name("oci-push")
STEPS_TOGETHER = "names and stages of several steps are compared"
EXCEPTIONS = {
    "push-tags-flow-unquoted-variable": "no YAML, so there is nothing to compare",
    "push-scale-rejected": "the vendor alone refuses it",
    "push-type-versioned": "the vendor alone accepts it",
    "par-grandchildren-unchecked": "the vendor alone accepts it",
    "args-in-parallel-child": "the vendor alone refuses it",
    "args-override-root": "which of two keys wins is no matter of form",
    "push-stage-no-stages-list": STEPS_TOGETHER,
    "push-stage-variable": STEPS_TOGETHER,
    "par-child-stage-undeclared": STEPS_TOGETHER,
    "par-duplicate-parent-child": STEPS_TOGETHER,
    "par-duplicate-across": STEPS_TOGETHER,
}
CASES = {str(case["id"]): case for case in read_cases("schema")}
VALIDATOR = jsonschema.Draft7Validator(language_schema())


def accepts(text: str) -> bool:
    """Say whether the schema accepts a pipeline."""
    return VALIDATOR.is_valid(to_plain(load(text, "p.yml").root))


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft7Validator.check_schema(language_schema())


@pytest.mark.parametrize("name", [name for name in CASES if name not in EXCEPTIONS])
def test_a_case_is_judged_by_the_schema_too(name: str) -> None:
    assert accepts(str(CASES[name]["yaml"])) == CASES[name]["valid"]


def test_every_exception_is_one() -> None:
    def differs(name: str) -> bool:
        try:
            return accepts(str(CASES[name]["yaml"])) != CASES[name]["valid"]
        except ConfigError:
            return True

    assert [name for name in EXCEPTIONS if not differs(name)] == []


@pytest.mark.parametrize(
    "step",
    [
        "{type: push, candidate: a, scale: {one: {registry: x}}}",
        "{type: push, candidate: a, matrix: {registry: [x, y]}}",
        "{type: push, scale: {one: {candidate: x}}}",
        "{type: push, candidate: a, hooks: {on_success: {exec: [echo], annotations: {set: [{annotations: [a]}]}}}}",
        "{type: build, image-name: a}",
        "{image: a, commands: [echo], debug: {phases: {override: true}}}",
        "{type: my/step:1.0.0, anything: [1]}",
        "{type: push, candidate: a, aws_duration_seconds: '9e2', fail_fast: OFF}",
    ],
)
def test_the_schema_accepts_what_validate_accepts(step: str) -> None:
    assert accepts(f"version: '1.0'\nsteps: {{p: {step}}}")


@pytest.mark.parametrize(
    "step",
    [
        "{type: push, candidate: a, scale: {one: {registri: x}}}",
        "{type: push, candidate: a, arguments: {tag: 5}}",
        "{type: PUSH, candidate: a}",
        "{type: push, candidate: a, fail-fast: true, fail_fast: true}",
        "{type: push, candidate: a, hooks: {on_fail: {type: push, candidate: b, stage: s}}}",
        "{type: push, candidate: a, on_fail: {}, hooks: {on_fail: [echo]}}",
    ],
)
def test_the_schema_refuses_what_validate_refuses(step: str) -> None:
    assert not accepts(f"version: '1.0'\nsteps: {{p: {step}}}")


def test_every_key_of_a_push_step_is_explained() -> None:
    push = VALIDATOR.schema["$defs"]["push"]["properties"]
    silent = [key for key, about in push.items() if "description" not in about and key != "type" and "-" not in key]
    assert silent == []
    assert push["tag"]["default"] == "latest"
    assert push["strict_fail_fast"]["default"] is False


def test_the_command_prints_the_schema(tmp_path: Path) -> None:
    done = subprocess.run([PROGRAM, "schema"], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=True)
    assert json.loads(done.stdout) == language_schema()
