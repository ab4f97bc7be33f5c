"""Which registry a step means: `validate` and `plan` judge it by one walk, in the same words."""

from __future__ import annotations

from pathlib import Path

import pytest
from planning import Planned, plan
from validating import validate

HUB = {"name": "hub", "provider": "dockerhub"}
ECR = {"name": "ecr", "provider": "ecr", "region": "us-east-1"}
ECR_HOST = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
ROLE = "role_arn: 'arn:aws:iam::123456789012:role/x'"
VARIABLES = {"BAD": "nope", "MARS": "Mars"}
TEXT = "version: '1.0'\nsteps:\n  first: {type: push, candidate: a/b, registry: x.example}\n"


def both(folder: Path, step: str, registries: list[dict[str, str]]) -> tuple[list[object], Planned, list[object]]:
    """Return what `validate` refuses of a step, its plan, and the codes that `validate --strict` tells."""
    text = f"{TEXT}  p: {{type: push, candidate: a/b, {step}}}\n"
    planned = plan(folder, text, registries=registries, variables=VARIABLES)
    refused = [(one["message"], one["hint"]) for one in validate(folder, text).errors]
    return refused, planned, validate(folder, text, "--strict").codes()


@pytest.mark.parametrize(
    ("step", "registries", "message"),
    [
        ("registry: hob", [HUB], "Registry 'hob' does not exist."),
        ("registry: hob", [], "Registry 'hob' does not exist. You have not added a registry integration."),
        ("registry: 'https://r.example/path'", [HUB], "Registry 'https://r.example/path' does not exist."),
        ("registry: 'x-${{BAD}}'", [HUB], "Registry 'x-nope' does not exist."),
        ("registry: hub, registry_context: hob", [HUB], "Registry 'hob' does not exist."),
        ("region: eu-west-1", [HUB], "Unable to specify region with a registry of type: dockerhub"),
        ("region: eu-west-1", [], "Unable to specify region with a registry of type: undefined"),
        (ROLE, [], "Unable to specify role_arn with a registry of type: undefined"),
        (f"registry: r.example, {ROLE}", [], "role_arn needs an ECR registry, and r.example is none"),
        (f"registry: {ECR_HOST}, region: Mars", [], "aws region is invalid"),
        (f"registry: {ECR_HOST}, accessKeyId: a", [], "accessKeyId and secretAccessKey go together"),
        ("provider: ecr, region: eu-west-1, secretAccessKey: a", [], "accessKeyId and secretAccessKey go together"),
        (
            "registry: ecr, aws_duration_seconds: 900", [ECR],
            "aws_duration_seconds is only relevant when using role chaining",
        ),
        (
            f"registry: ecr, {ROLE}, aws_duration_seconds: 60", [ECR],
            "When using role chaining, the duration of the role session must be between 15 minutes and 1 hour",
        ),
        (
            f"registry: ecr, {ROLE}, aws_session_name: a b", [ECR],
            "aws_session_name 'a b' must be 2 to 64 letters, digits and characters of '_+=,.@-'",
        ),
    ],
)  # fmt: skip
def test_both_refuse_in_the_same_words(
    step: str, registries: list[dict[str, str]], message: str, tmp_path: Path
) -> None:
    (refused,), planned, _ = both(tmp_path, step, registries)
    assert isinstance(refused, tuple)
    assert refused[0] == message
    assert planned.exit_code == 2
    assert f": {message}" in planned.errors
    assert str(refused[1] or "") in planned.errors


@pytest.mark.parametrize(
    ("step", "registries", "strict"),
    [
        ("tag: x", [], [200]),
        ("region: eu-west-1", [ECR], [206]),
        ("registry: '${{first.host}}'", [], [200]),
        ("registry: '${{first.host}}'", [HUB], []),
        ("registry: 'x-${{first.host}}'", [HUB], [202]),
        (f"registry: {ECR_HOST}, region: eu-south-1", [], []),
    ],
)
def test_both_accept_what_can_be_pushed(
    step: str, registries: list[dict[str, str]], strict: list[int], tmp_path: Path
) -> None:
    refused, planned, only_the_vendor = both(tmp_path, step, registries)
    assert (refused, planned.exit_code) == ([], 0)
    assert only_the_vendor == strict


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ("registry: '${{BAD}}'", "Registry 'nope' does not exist."),
        ("registry: ecr, region: '${{MARS}}'", "aws region is invalid"),
        ("provider: ecr", "provider: ecr needs a region"),
    ],
)
def test_what_another_call_may_put_right_is_a_warning_for_validate(step: str, message: str, tmp_path: Path) -> None:
    refused, planned, _ = both(tmp_path, step, [HUB, ECR])
    assert (refused, planned.exit_code) == ([], 2)
    assert message in planned.errors
    text = f"{TEXT}  p: {{type: push, candidate: a/b, {step}}}\n"
    assert message in [one["message"] for one in validate(tmp_path, text).warnings]


def test_a_registry_that_only_a_run_knows_is_planned_as_it_is_written(tmp_path: Path) -> None:
    planned = plan(tmp_path, f"{TEXT}  p: {{type: push, candidate: a/b, registry: '${{{{first.host}}}}', tag: x}}\n")
    assert "${{first.host}}/a/b:x" in str(planned.step("p"))
