"""ECR registries in ``oci-push.yaml``: what AWS would refuse is told with its place before anything is asked."""

from __future__ import annotations

from pathlib import Path

import pytest
from parsing import parse_pipeline

from oci_push.errors import ConfigError
from oci_push.language.config import load_config
from oci_push.language.integrations import Integration
from oci_push.language.parse import read_pipeline
from oci_push.language.resolve import resolve_push
from oci_push.language.resolving import ResolveContext
from oci_push.language.schema_registries import Known
from oci_push.language.steps import PushStep
from oci_push.model.source import SourceGrammar
from oci_push.providers.ecr.identity import AwsIdentity
from oci_push.secret import masked
from oci_push.sources.table import SOURCES
from oci_push.variables.lookup import Variables

FIPS = "123456789012.dkr.ecr-fips.us-east-1.amazonaws.com"


def read(keys: str) -> Integration:
    """Read one registry, called e."""
    config = load_config(f"registries: [{{name: e, provider: ecr, {keys}}}]", "c.yaml", {}, Path.read_text)
    return config.integrations[0]


def targets(keys: str, step: str = "") -> list[str]:
    """Give the targets of a push to such a registry, and the regions it waits for after a bar."""
    (push,) = parse_pipeline(
        f"version: '1.0'\nsteps: {{p: {{type: push, candidate: a, registry: e{step}}}}}", "p"
    ).steps
    assert isinstance(push, PushStep)
    config = load_config(f"registries: [{{name: e, provider: ecr, {keys}}}]", "c.yaml", {}, Path.read_text)
    done = resolve_push(push, ResolveContext(config, Variables(), {}, {}, SourceGrammar(SOURCES, lambda _: False)))
    return [*done.references(), *(f"| {region}" for region in done.served_in or ())]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ("region: Mars", "region 'Mars' is not an AWS region"),
        ("region: eu-west-1, regions: [eu-west-1, Mars]", "region 'Mars' is not an AWS region"),
        ("region: eu-west-1, account: '12'", "account '12' is not 12 digits"),
        ("region: eu-west-1, role_arn: hello", "role_arn 'hello' is not of the form"),
        ("region: eu-west-1, aws_duration_seconds: 10", "is not between 900 and 3600"),
        ("region: eu-west-1, access_key_id: AKIA", "accessKeyId and secretAccessKey go together"),
        ("region: eu-west-1, create_repository: {mutability: sometimes}", "must be one of [MUTABLE"),
        ("region: eu-west-1, create_repository: {tags: [a]}", '"tags" must map names to values'),
        ("region: eu-west-1, create_repository: [a]", '"create_repository" must be true or false'),
        ("region: eu-west-1, replicate: maybe", '"replicate" must be true or false'),
        ("account: '123456789012'", 'needs a "region"'),
    ],
)
def test_what_aws_would_refuse_is_an_error_of_the_file(keys: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(keys)
    assert message in str(caught.value)
    assert str(caught.value).startswith("c.yaml:1:")


def test_keys_of_repositories_to_create_are_taken_in_both_spellings() -> None:
    identity = read("region: eu-west-1, createRepository: {scanOnPush: true}").identity
    assert isinstance(identity, AwsIdentity)
    assert identity.creation is not None
    assert identity.creation.scan_on_push


@pytest.mark.parametrize(
    ("keys", "step", "wanted"),
    [
        (f"domain: {FIPS}, regions: [us-west-2, us-east-1], replicate: true", "", [f"{FIPS}/a:latest", "| us-west-2"]),
        (
            "account: '123456789012', regions: [eu-west-1, us-east-1]", "",
            [f"123456789012.dkr.ecr.{region}.amazonaws.com/a:latest" for region in ("eu-west-1", "us-east-1")],
        ),
        ("region: eu-west-1", "", ["account.dkr.ecr.eu-west-1.amazonaws.com/a:latest"]),
        (
            "region: eu-west-1", ", role_arn: 'arn:aws:iam::210987654321:role/x'",
            ["210987654321.dkr.ecr.eu-west-1.amazonaws.com/a:latest"],
        ),
    ],
)  # fmt: skip
def test_targets_follow_domain_account_role_and_regions(keys: str, step: str, wanted: list[str]) -> None:
    assert targets(keys, step) == wanted


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (", region: '${{R}}'", "unresolved variable"),
        (", role_arn: 'arn:aws:iam::210987654321:role/x', aws_session_name: 'a b'", "aws_session_name 'a b' must be"),
    ],
)
def test_what_a_step_says_of_aws_is_checked_with_its_place(step: str, message: str) -> None:
    with pytest.raises(ConfigError, match=rf"^p:2:\d+: {message}"):
        targets("region: eu-west-1", step)


@pytest.mark.parametrize(
    ("registry", "step"),
    [
        ("{name: e, provider: ecr, region: eu-west-1}", "region: Mars"),
        ("{name: e, provider: ecr, region: eu-west-1}", "role_arn: nobody"),
        ("{name: e, domain: x.io}", "region: eu-west-1"),
        ("{name: e, domain: x.io}", "role_arn: 'arn:aws:iam::210987654321:role/x'"),
        ("{name: f, domain: x.io}", "tag: a"),
    ],
)
def test_a_run_refuses_in_the_words_and_with_the_number_of_validate(registry: str, step: str) -> None:
    config = load_config(f"registries: [{registry}]", "c.yaml", {}, Path.read_text)
    text = f"version: '1.0'\nsteps: {{p: {{type: push, candidate: a, registry: e, {step}}}}}"
    known = Known(config, {}.get)
    (told,) = read_pipeline(text, "p", known).errors
    (push,) = parse_pipeline(text, "p").steps
    assert isinstance(push, PushStep)
    with pytest.raises(ConfigError) as caught:
        resolve_push(push, ResolveContext(config, Variables(), {}, {}, SourceGrammar(SOURCES, lambda _: False)))
    assert [(one.message, one.code, one.hint) for one in caught.value.problems] == [
        (told.message, told.code, told.hint)
    ]


def test_reading_a_registry_makes_no_secret_of_a_word() -> None:
    read("region: eu-west-1, access_key_id: AKIAEXAMPLE, secret_access_key: planted-planted")
    assert masked("it is written where it stands") == "it is written where it stands"
