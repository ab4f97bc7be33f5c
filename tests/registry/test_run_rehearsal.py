"""Rehearsals need no configuration, and files that cannot be run say what is missing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from images import layer, make_layout
from program import program

STEPS = """
version: '1.0'
steps:
  BuildApp: {type: build, image_name: o/r}
  p: {type: push, candidate: '${{%s}}', registry: %s, tag: x%s}
  q: {type: push, candidate: '${{BuildApp}}', tag: y}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_layout(tmp_path / "image", layer(1))
    return tmp_path


def write(folder: Path, candidate: str = "BuildApp", registry: str = "hub", more: str = "") -> None:
    (folder / "p.yml").write_text(STEPS % (candidate, registry, more))


@pytest.mark.parametrize(
    ("registry", "more", "place"),
    [
        ("hub", "", "hub.stand-in/o/r:x"),
        ("My Registry", "", "my-registry.stand-in/o/r:x"),
        ("cfcr", "", "cfcr.stand-in/o/r:x"),
        ("hub", ", region: eu-west-1", "account.dkr.ecr.eu-west-1.amazonaws.com/o/r:x"),
    ],
)
def test_a_registry_that_nobody_describes_gets_a_stand_in(registry: str, more: str, place: str, folder: Path) -> None:
    write(folder, registry=registry, more=more)
    done = program("run", "p.yml", "--sandbox", "--candidate", "BuildApp=oci:image", cwd=folder)
    pushed = [line.partition("@")[0].partition("/")[2] for line in done.stdout.splitlines()]
    assert pushed == [place, "docker.io/o/r:y"]
    assert f"registry {registry!r} is not described in oci-push.yaml; something stands in for it" in done.stderr


def test_a_run_has_no_stand_ins(folder: Path) -> None:
    write(folder)
    done = program("run", "p.yml", "--candidate", "BuildApp=oci:image", code=2, cwd=folder)
    assert "Registry 'hub' does not exist" in done.stderr


@pytest.mark.parametrize("config", ["", "registries: [{name: a, domain: a.example}]"])
@pytest.mark.parametrize("command", ["plan", "validate"])
def test_the_vendors_own_registry_is_said_to_be_closed(command: str, config: str, folder: Path) -> None:
    write(folder, registry="cfcr")
    (folder / "oci-push.yaml").write_text(config or "registries: []")
    done = program(command, "p.yml", code=2, cwd=folder)
    assert "cfcr was the vendor's own registry, which is closed" in done.stdout + done.stderr
    assert "{name: cfcr, domain: HOST}" in done.stdout + done.stderr


def test_a_candidate_that_names_no_step_is_told_with_the_builds(folder: Path) -> None:
    write(folder, candidate="BuildImage", registry="hub.example")
    checked = program("validate", "p.yml", cwd=folder).stdout
    assert '"candidate" names no step of this pipeline' in checked
    planned = program("plan", "p.yml", code=2, cwd=folder).stderr
    for text in (checked, planned):
        assert "BuildApp" in text
    assert "unresolved variable ${{BuildImage}}" in planned


def test_a_candidate_that_is_a_known_variable_is_no_mistake(folder: Path) -> None:
    write(folder, candidate="IMAGE")
    (folder / "oci-push.yaml").write_text("registries: [{name: hub, domain: hub.example}]\nvariables: {IMAGE: 'a:1'}")
    assert "names no step" not in program("validate", "p.yml", cwd=folder).stdout


def test_a_step_whose_hook_failed_is_not_planned_to_run(folder: Path) -> None:
    write(folder, more=", hooks: {on_elected: [x]}")
    (folder / "oci-push.yaml").write_text("registries: [{name: hub, domain: hub.example}]")
    done = program("plan", "p.yml", "--json", "--assume", "p.on_elected=failure", cwd=folder)
    rows = {step["name"]: step for step in json.loads(done.stdout)["steps"]}
    assert (rows["p"]["decision"], rows["p"]["result"]) == ("skip", "failure")
    assert rows["p"]["reason"] == "hook on_elected ended with failure"


EXPORT = """
version: '1.0'
kind: pipeline
metadata: {name: o/r}
spec:
  variables: [{key: VERSION, value: '1.4'}, {key: TOKEN, value: '*', encrypted: true}]
  steps:
    p: {type: push, candidate: 'oci:image', image_name: a, registry: reg.example, tags: [v${{VERSION}}, %s]}
"""


def test_an_exported_pipeline_runs_with_its_variables(folder: Path) -> None:
    (folder / "p.yml").write_text(EXPORT % "x")
    done = program("run", "p.yml", "--sandbox", cwd=folder)
    assert [line.split("@")[0].rpartition(":")[2] for line in done.stdout.splitlines()] == ["v1.4", "x"]
    assert "${{VERSION}} has no quotes" in done.stderr
    assert ":v2" in program("plan", "p.yml", "--var", "VERSION=2", cwd=folder).stdout


def test_an_encrypted_variable_is_asked_for(folder: Path) -> None:
    (folder / "p.yml").write_text(EXPORT % "'${{TOKEN}}'")
    done = program("plan", "p.yml", code=2, cwd=folder)
    assert "variable TOKEN is encrypted in this export; give it: --var TOKEN=VALUE" in done.stderr
