"""Pipelines that push to ECR: integrations with keys and with the default chain, roles, regions, inline steps."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from awsservice import ACCOUNT
from ecrfront import host_of
from ecrworld import AWAY, HOME, EcrWorld
from images import Layout

ROLE = f"arn:aws:iam::{ACCOUNT}:role/pusher"
REGISTRIES = f"""
registries:
  - name: keys
    provider: ecr
    region: {HOME}
    accessKeyId: AKIAOTHER
    secretAccessKey: "${{SECRET}}"
  - name: chain
    provider: ecr
    region: {HOME}
    getCredsFromServiceAccount: true
  - name: everywhere
    provider: ecr
    region: {HOME}
    account: "{ACCOUNT}"
    regions: [{HOME}, {AWAY}]
  - name: made
    provider: ecr
    region: {HOME}
    create_repository: {{scan_on_push: true, mutability: IMMUTABLE}}
"""


def _run(ecr: EcrWorld, image: Layout, folder: Path, step: str, code: int = 0) -> str:
    """Run a pipeline of one step and give what the program wrote."""
    (folder / "oci-push.yaml").write_text(REGISTRIES)
    pipeline = folder / "pipeline.yml"
    pipeline.write_text(
        f'version: "1.0"\nsteps:\n  p:\n    type: push\n    candidate: oci:{image.path}\n    tag: "1"\n    {step}\n'
    )
    done = ecr.run("run", str(pipeline), "--allow-env", "SECRET", code=code, more={"SECRET": "from-the-environment"})
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("keys", "registry: keys"),
        ("chain", "registry: chain"),
        ("inline", f"provider: ecr\n    region: {HOME}\n    accessKeyId: AKIAX\n    secretAccessKey: {'x' * 8}"),
    ],
)
def test_each_way_to_name_an_identity_pushes(
    ecr: EcrWorld, image: Layout, tmp_path: Path, name: str, step: str
) -> None:
    ecr.create(HOME, f"pipe/{name}")
    said = _run(ecr, image, tmp_path, f"image_name: pipe/{name}\n    {step}")

    assert f"{host_of(HOME)}/pipe/{name}:1@{image.digest}" in said
    assert ecr.digest(HOME, f"pipe/{name}", "1") == image.digest
    assert ecr.aws.named("GetAuthorizationToken") == [HOME]
    assert "from-the-environment" not in said


def test_a_steps_role_is_assumed_for_its_region(ecr: EcrWorld, image: Layout, tmp_path: Path) -> None:
    ecr.create(AWAY, "pipe/role")
    step = f"image_name: pipe/role\n    registry: keys\n    region: {AWAY}\n    role_arn: {ROLE}"
    _run(ecr, image, tmp_path, f"{step}\n    aws_session_name: deploy\n    aws_duration_seconds: 900")

    assert ecr.digest(AWAY, "pipe/role", "1") == image.digest
    (asked,) = ecr.aws.sent("AssumeRole")
    assert (asked["RoleSessionName"], asked["DurationSeconds"]) == ("deploy", "900")


def test_an_integration_with_regions_pushes_to_all(ecr: EcrWorld, image: Layout, tmp_path: Path) -> None:
    ecr.create(HOME, "pipe/all")
    ecr.create(AWAY, "pipe/all")
    _run(ecr, image, tmp_path, "image_name: pipe/all\n    registry: everywhere")

    assert [ecr.digest(region, "pipe/all", "1") for region in (HOME, AWAY)] == [image.digest] * 2


def test_an_integration_creates_what_is_missing(ecr: EcrWorld, image: Layout, tmp_path: Path) -> None:
    _run(ecr, image, tmp_path, "image_name: pipe/made\n    registry: made")

    (sent,) = ecr.aws.sent("CreateRepository")
    assert (sent["imageScanningConfiguration"], sent["imageTagMutability"]) == ({"scanOnPush": True}, "IMMUTABLE")


def test_a_missing_repository_fails_the_step_with_its_message(ecr: EcrWorld, image: Layout, tmp_path: Path) -> None:
    said = _run(ecr, image, tmp_path, "image_name: pipe/missing\n    registry: keys", code=1)
    assert f"pipe/missing: the repository does not exist in account {ACCOUNT} in {HOME}" in said


def test_a_push_with_replication_ends_when_every_region_serves_it(ecr: EcrWorld, image: Layout, tmp_path: Path) -> None:
    ecr.create(HOME, "pipe/served")
    ecr.create(AWAY, "pipe/served")
    more = f"  - {{name: served, provider: ecr, region: {HOME}, regions: [{HOME}, {AWAY}], replicate: true}}\n"
    (tmp_path / "oci-push.yaml").write_text(REGISTRIES + more)
    report = tmp_path / "report.json"
    pipeline = tmp_path / "pipeline.yml"
    step = f"{{type: push, candidate: 'oci:{image.path}', tag: '1', image_name: pipe/served, registry: served}}"
    pipeline.write_text(f'version: "1.0"\nsteps:\n  p: {step}\n')
    ecr.run("run", str(pipeline), "--report", str(report), more={"SECRET": "s"})

    assert ecr.digest(AWAY, "pipe/served", "1") == image.digest
    (done,) = json.loads(report.read_text())["steps"]
    assert [target["repository"] for target in done["targets"]] == [f"{host_of(HOME)}/pipe/served"]
    assert [(replica["region"], replica["outcome"]) for replica in done["replicas"]] == [(AWAY, "copied")]
