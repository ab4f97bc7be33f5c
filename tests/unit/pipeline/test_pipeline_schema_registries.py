"""Pipelines against the registries and variables that are known: the vendor's numbers, and where ours are wider."""

from __future__ import annotations

import pytest

from oci_push.errors import Diagnostic
from oci_push.language.document import Location
from oci_push.language.integrations import Config, Integration
from oci_push.language.parse import Reading, read_pipeline
from oci_push.language.schema_registries import Known

PLACE = Location("c.yaml", 1, 1)
HUB = Integration("hub", "dockerhub", "docker.io", PLACE, is_default=True)
ECR = Integration("ecr", "ecr", "123456789012.dkr.ecr.us-east-1.amazonaws.com", PLACE)
HUB_TOO = Integration("hub2", "dockerhub", "docker.io", PLACE)
VARIABLES = {"R": "hub", "E": "ecr", "H": "localhost:5000", "BAD": "nope"}
ROOT_HOOK = "hooks: {{on_success: {}}}\nsteps: {{}}"
STEP_HOOK = "steps: {{p: {{type: push, candidate: a, registry: hub, hooks: {{on_fail: {}}}}}}}"
ROLE = "arn:aws:iam::123456789012:role/x"


def check(step: str, *registries: Integration) -> Reading:
    """Check a pipeline with one push step; with hub and ecr where no registries are given."""
    known = Known(Config(registries or (ECR, HUB)), VARIABLES.get)
    return read_pipeline(f"version: '1.0'\nsteps:\n  p: {{type: push, candidate: a, {step}}}\n", "p.yml", known)


def without(step: str) -> Reading:
    """Check where there are no registries at all."""
    text = f"version: '1.0'\nsteps:\n  p: {{type: push, candidate: a, {step}}}\n"
    return read_pipeline(text, "p.yml", Known(Config(()), VARIABLES.get))


def told(problems: tuple[Diagnostic, ...]) -> list[tuple[int, str]]:
    return [(one.code, one.message) for one in problems if one.code]


@pytest.mark.parametrize(
    ("step", "code", "message"),
    [
        ("registry: nope", 202, "Registry 'nope' does not exist."),
        ("registry: 'x-${{R}}'", 202, "Registry 'x-hub' does not exist."),
        ("registry: HUB", 202, "Registry 'HUB' does not exist."),
        ("registry: hub, registry_context: nope", 202, "Registry 'nope' does not exist."),
        ("registry: hub, registry_context: docker.io", 202, "Registry 'docker.io' does not exist."),
        ("registry: ecr, region: eu-west", 206, "aws region is invalid"),
        ("registry: ecr, region: EU-WEST-1", 206, "aws region is invalid"),
        ("registry: hub, region: eu-west-1", 206, "Unable to specify region with a registry of type: dockerhub"),
        ("registry: hub, provider: docker, region: eu-west-1", 206,
         "Unable to specify region with a registry of type: dockerhub"),
        (f"registry: hub, role_arn: '{ROLE}'", 206, "Unable to specify role_arn with a registry of type: dockerhub"),
        ("registry: ecr, role_arn: 'arn:aws:iam::12345678901x:role/x'", 206, "Invalid role_arn"),
        ("registry: ecr, role_arn: 'arn:aws:iam::123456789012'", 206, "Invalid role_arn"),
        ("registry: ecr, role_arn: nonsense", 206, "Invalid role_arn"),
        ("registry: ecr, aws_duration_seconds: 900", 206,
         "aws_duration_seconds is only relevant when using role chaining"),
        ("registry: ecr, aws_duration_seconds: 0", 206,
         "aws_duration_seconds is only relevant when using role chaining"),
        (f"registry: ecr, role_arn: '{ROLE}', aws_duration_seconds: 3601", 206,
         "When using role chaining, the duration of the role session must be between 15 minutes and 1 hour"),
    ],
)  # fmt: skip
def test_what_is_refused(step: str, code: int, message: str) -> None:
    assert told(check(step).errors) == [(code, message)]


@pytest.mark.parametrize(
    "step",
    [
        "registry: hub", "registry: '${{R}}'", "registry: docker.io",
        "registry: 'https://reg.example.com:444/'", "registry: 'localhost:5000'", "registry: localhost",
        "registry: '127.0.0.1:5000'", "registry: 'registry:5000'", "registry: '${{H}}'", "registry: '${{p.registry}}'",
        "registry: ecr, region: eu-south-1", "registry: ecr, region: us-gov-west-1", "registry: ecr, region: '${{X}}'",
        "registry: '${{E}}', region: eu-west-1", "registry: my.reg, region: eu-west-1, aws_duration_seconds: 5",
        "registry: ecr, role_arn: '${{ROLE}}'", "registry: ecr, role_arn: 'arn:aws-us-gov:iam::123456789012:role/a/b'",
        f"registry: ecr, role_arn: '{ROLE}', aws_duration_seconds: '3600'", "registry: hub, registry_context: ecr",
        "registry: hub, registry_context: '${{X}}'", "provider: ecr, region: eu-west-1, accessKeyId: a",
    ],
)  # fmt: skip
def test_what_is_accepted_without_a_word(step: str) -> None:
    reading = check(step)
    assert (told(reading.errors), told(reading.warnings)) == ([], [])


@pytest.mark.parametrize(
    ("step", "code", "message"),
    [
        ("tag: a", 203, "You are using the default registry integration 'hub'."),
        ("registry: '${{NOPE}}'", 201,
         "Your registry integration uses a variable 'NOPE' that is not configured and will fail without defining it."),
        ("registry: '${{BAD}}'", 202, "Registry 'nope' does not exist."),
    ],
)  # fmt: skip
def test_what_is_warned_about(step: str, code: int, message: str) -> None:
    reading = check(step)
    assert told(reading.errors) == []
    assert told(reading.warnings) == [(code, message)]


def test_the_first_registry_is_the_default_where_none_is_flagged() -> None:
    (found,) = told(check("tag: a", ECR, HUB_TOO).warnings)
    assert found == (203, "You are using the default registry integration 'ecr'.")


def test_one_registry_alone_needs_no_warning() -> None:
    assert told(check("tag: a", HUB).warnings) == []


@pytest.mark.parametrize(
    ("registries", "provider"), [((), "undefined"), ((HUB,), "dockerhub"), ((HUB, ECR), "dockerhub"), ((ECR,), "")]
)
def test_a_region_needs_a_default_registry_of_ecr(registries: tuple[Integration, ...], provider: str) -> None:
    reading = check("region: eu-west-1", *registries) if registries else without("region: eu-west-1")
    said = [(206, f"Unable to specify region with a registry of type: {provider}")] if provider else []
    assert told(reading.errors) == said
    undefined = (206, "Unable to specify region with a registry of type: undefined")
    assert (undefined in told(reading.upstream)) == (not provider)


def test_without_registries_a_name_has_no_meaning() -> None:
    message = "Registry 'hub' does not exist. You have not added a registry integration."
    assert told(without("registry: hub").errors) == [(200, message)]


@pytest.mark.parametrize("step", ["tag: a", "registry: '${{NOPE}}'"])
def test_without_registries_the_vendor_refuses_what_a_run_may_push(step: str) -> None:
    reading = without(step)
    assert told(reading.errors) == []
    assert told(reading.upstream) == [(200, "You have not added a registry integration.")]


@pytest.mark.parametrize(
    "step",
    ["registry: ghcr.io", "registry: '${{H}}'", "credentials: {username: a, password: b}", "provider: ecr"],
)
def test_without_registries_hosts_and_credentials_are_enough(step: str) -> None:
    assert told(without(step).errors) == []


def test_children_of_groups_are_checked_with_their_arguments() -> None:
    text = """
version: '1.0'
steps:
  fan:
    type: parallel
    steps:
      inner: {type: parallel, steps: {p: {type: push, arguments: {candidate: a, registry: nope, region: x}}}}
      grid: {type: push, candidate: a, matrix: {registry: [hub, nope2]}}
"""
    reading = read_pipeline(text, "p.yml", Known(Config((ECR, HUB)), VARIABLES.get))
    assert [one.path for one in reading.errors] == [
        "steps.fan.steps.inner.steps.p.registry",
        "steps.fan.steps.inner.steps.p.region",
        "steps.fan.steps.grid.steps.grid_2.registry",
    ]


@pytest.mark.parametrize(
    "hook",
    [
        "{type: push, candidate: a, registry: nope}",
        "{exec: {type: push, candidate: a, registry: nope}}",
        "{steps: {s: {type: push, candidate: a, registry: nope}}}",
        "{exec: {steps: {s: {type: push, candidate: a, registry: nope}}}, metadata: {set: []}}",
    ],
)
@pytest.mark.parametrize("place", [ROOT_HOOK, STEP_HOOK])
def test_steps_of_hooks_are_warned_about(hook: str, place: str) -> None:
    reading = read_pipeline(f"version: '1.0'\n{place.format(hook)}", "p.yml", Known(Config((ECR, HUB)), VARIABLES.get))
    assert reading.errors == ()
    assert told(reading.warnings) == [(202, "Registry 'nope' does not exist.")]


@pytest.mark.parametrize(
    ("line", "is_mixed"),
    [("# a \t", True), ("# a\t ", True), ("# a\t\tb", True), ("# a\tb", False), ("# a\t", False), ("# a\t\r", True)],
)
def test_tabs_beside_blanks_are_refused_where_registries_are_known(line: str, is_mixed: bool) -> None:
    text = f"version: '1.0'\n{line}\nsteps: {{}}\n"
    with_known, plain = read_pipeline(text, "p.yml", Known(Config((HUB,)), {}.get)), read_pipeline(text, "p.yml")
    expected = [(400, "Your YAML contains both spaces and tabs.")] if is_mixed else []
    assert told(with_known.errors) == expected
    assert plain.errors == ()


@pytest.mark.parametrize(
    ("step", "code", "message"),
    [
        ("registry: 'localhost:5000'", 202, "Registry 'localhost:5000' does not exist."),
        ("registry: ecr, region: eu-south-1", 206, "aws region is invalid"),
        ("registry: ecr, role_arn: '${{ROLE}}'", 206, "Invalid role_arn"),
        ("provider: ecr, region: us-east-1", 206, "Unable to specify region with a registry of type: undefined"),
        ("provider: ecr, registry: nope", 202, "Registry 'nope' does not exist."),
    ],
)
def test_what_the_vendor_alone_refuses_is_kept_apart(step: str, code: int, message: str) -> None:
    reading = check(step)
    assert told(reading.errors) == []
    assert told(reading.upstream) == [(code, message)]


@pytest.mark.parametrize(
    ("keys", "code", "message"),
    [
        ("registry: nope", 202, "Registry 'nope' does not exist."),
        ("registry_contexts: [hub, hub2]", 207, "Registry contexts contains registries with same domain 'docker.io'"),
        ("registry_contexts: [hub, nope, '${{X}}']", 202, "Registry 'nope' does not exist."),
    ],
)
def test_registries_of_builds_matter_to_the_vendor_alone(keys: str, code: int, message: str) -> None:
    text = f"version: '1.0'\nsteps: {{b: {{type: build, image_name: a, {keys}}}}}"
    reading = read_pipeline(text, "p.yml", Known(Config((HUB, HUB_TOO)), VARIABLES.get))
    assert reading.errors == ()
    assert told(reading.upstream) == [(code, message)]


def test_where_registries_are_not_known_aws_keys_are_warned_about() -> None:
    text = "version: '1.0'\nsteps: {p: {type: push, candidate: a, region: x, aws_duration_seconds: 5}}"
    reading = read_pipeline(text, "p.yml")
    assert reading.errors == ()
    assert [code for code, _ in told(reading.warnings)] == [206, 206]
