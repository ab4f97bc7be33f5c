"""A registry's family that the user names, where its host does not tell."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from equipment.sandbox import Sandbox
from images import Layout
from program import program

MANIFESTS = r"/manifests/"


def push(sandbox: Sandbox, image: Layout, cwd: Path, *options: str, code: int = 0) -> str:
    """Push under two tags; give what is said."""
    target = f"{sandbox.address}/app:1,2"
    return program("push", f"oci:{image.path}", target, "--no-memory", *options, cwd=cwd, code=code).stderr


def test_a_host_of_no_family_is_asked_whether_it_takes_many_tags_at_once(
    sandbox: Sandbox, image: Layout, tmp_path: Path
) -> None:
    push(sandbox, image, tmp_path)
    assert sandbox.traffic.count(method="PUT", path_pattern=MANIFESTS) == 3


def test_a_family_named_by_option_is_what_the_registry_is(sandbox: Sandbox, image: Layout, tmp_path: Path) -> None:
    push(sandbox, image, tmp_path, "--family", "harbor")
    assert sandbox.traffic.count(method="PUT", path_pattern=MANIFESTS) == 2


@pytest.mark.parametrize("key", ["family", "provider"])
def test_a_family_named_in_the_configuration_counts_as_well(
    sandbox: Sandbox, image: Layout, tmp_path: Path, key: str
) -> None:
    registry = {"name": "reg", "domain": sandbox.address, key: "harbor"}
    (tmp_path / "named.yaml").write_text(json.dumps({"registries": [registry]}))
    push(sandbox, image, tmp_path, "--config", "named.yaml")
    assert sandbox.traffic.count(method="PUT", path_pattern=MANIFESTS) == 2


def test_an_unknown_family_is_refused_before_anybody_is_asked(sandbox: Sandbox, image: Layout, tmp_path: Path) -> None:
    said = push(sandbox, image, tmp_path, "--family", "harbour", code=2)
    assert "--family 'harbour' is not known" in said
    assert "did you mean harbor?" in said
    assert not sandbox.traffic.requests


def test_an_unknown_family_in_the_configuration_is_refused_with_its_place(
    sandbox: Sandbox, image: Layout, tmp_path: Path
) -> None:
    (tmp_path / "named.yaml").write_text(f"registries:\n- name: reg\n  domain: {sandbox.address}\n  family: harbour\n")
    said = push(sandbox, image, tmp_path, "--config", "named.yaml", code=2)
    assert 'named.yaml:4:11: "family" must be one of [dockerhub, ' in said
    assert not sandbox.traffic.requests


def test_explain_and_doctor_go_by_the_family_that_is_named(sandbox: Sandbox, tmp_path: Path) -> None:
    for command in (("auth", "explain"), ("doctor",)):
        done = program(*command, f"{sandbox.address}/app", "--family", "quay", "--json", cwd=tmp_path, code=None)
        assert json.loads(done.stdout)["family"] == "quay"


def test_a_family_is_only_said_of_a_host_and_sends_nothing_elsewhere(
    sandbox: Sandbox, image: Layout, tmp_path: Path
) -> None:
    push(sandbox, image, tmp_path, "--family", "dockerhub")
    assert sandbox.traffic.count(method="PUT", path_pattern=MANIFESTS) == 2
