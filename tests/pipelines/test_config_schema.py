"""oci-push.yaml and its JSON Schema: one table checks the file and is printed, so both judge alike."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from parsing import to_plain
from program import program

from oci_push.errors import ConfigError
from oci_push.language.config import load_config
from oci_push.language.config_schema import config_schema
from oci_push.language.document import load
from oci_push.language.replication import replication_schema

VALIDATOR = jsonschema.Draft7Validator(config_schema())


@pytest.mark.parametrize("name", ["pipeline", "config", "replication"])
def test_each_form_is_printed_as_a_schema(tmp_path: Path, name: str) -> None:
    jsonschema.Draft7Validator.check_schema(json.loads(program("schema", name, cwd=tmp_path).stdout))


def test_without_a_name_the_pipelines_schema_is_printed(tmp_path: Path) -> None:
    assert program("schema", cwd=tmp_path).stdout == program("schema", "pipeline", cwd=tmp_path).stdout


def test_a_form_that_is_none_is_refused(tmp_path: Path) -> None:
    assert "hint: pipeline, config" in program("schema", "recipe", code=2, cwd=tmp_path).stderr


def test_the_schema_of_rules_is_a_schema() -> None:
    jsonschema.Draft7Validator.check_schema(replication_schema())


@pytest.mark.parametrize(
    "text",
    [
        "registries: [{name: a, domain: x.io, account: 012345678901, insecure: yes}]",
        "registries: [{name: a, provider: ecr, region: r-1, createRepository: {scanOnPush: true, tags: {a: 1}}}]",
        "registries: [{name: a, provider: '${KIND}', domain: x.io, awsDurationSeconds: '900'}]",
        "registries: [{name: a, spec: {dockerhub: {username: u, password: '${P}'}}}]",
        "registries: [{name: a, domain: quay.io, username: a+b, oidc: auto, oidcAudience: x}]",
        "registries: [{name: a, domain: quay.io, username: a+b, oidc: {env: A}}]",
        "registries: [{name: a, domain: quay.io, username: a+b, oidc: {command: [a, 1]}}]",
        "{candidates: {a: 'oci:x'}, variables: {A: 1}, secrets: {c: {K: v}}, allow_env: [A, B@x.io]}",
    ],
)
def test_what_is_read_is_accepted_by_the_schema(text: str) -> None:
    load_config(text.replace("r-1", "eu-west-1"), "c.yaml", {"KIND": "acr"}, lambda _: "")
    assert VALIDATOR.is_valid(to_plain(load(text, "c.yaml").root))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("registries: [{nam: a}]", 'c.yaml:1:15: "nam" is not allowed. Did you mean "name"?'),
        ("registries: [{domain: x.io}]", 'c.yaml:1:14: "name" is required'),
        ("registries: [{name: a, domain: [x.io]}]", 'c.yaml:1:32: "domain" must be a string'),
        ("registries: [{name: a, provider: dokcerhub}]", "c.yaml:1:34: \"provider\" must be one of [dockerhub, "),
        ("registries: {}", 'c.yaml:1:13: "registries" must be an array'),
        ("registries: [a]", "c.yaml:1:14: a registry is a mapping"),
        ("candidates: [a]", 'c.yaml:1:13: "candidates" must map names to strings'),
        ("secrets: {c: {K: [v]}}", 'c.yaml:1:18: "K" must be a string'),
        ("allow_env: [[A]]", 'c.yaml:1:13: "0" must be a string'),
    ],
)  # fmt: skip
def test_what_is_refused_has_its_place_and_the_schema_refuses_it_too(text: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(text, "c.yaml", {}, lambda _: "")
    assert problem in str(caught.value)
    assert not VALIDATOR.is_valid(to_plain(load(text, "c.yaml").root))


@pytest.mark.parametrize("key", ["provider", "aws_duration_seconds"])
def test_a_value_from_the_environment_is_judged_and_not_shown(key: str) -> None:
    text = f"registries: [{{name: a, domain: x.io, provider: ecr, region: eu-west-1, {key}: '${{KIND}}'}}]".replace(
        "provider: ecr, region: eu-west-1, provider", "provider"
    )
    with pytest.raises(ConfigError, match=rf'"{key}" must be .*, and \$\{{KIND\}} is not') as caught:
        load_config(text, "c.yaml", {"KIND": "hunter2"}, lambda _: "")
    assert "hunter2" not in f"{caught.value} {caught.value.hint}"
