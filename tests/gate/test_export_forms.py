"""What `export` writes is valid by the schemas that Kubernetes, Argo, GitLab and GitHub publish, and has no rights."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from hera.workflows.models import Workflow
from program import program

from oci_push.engine.unit import PushUnit, UnitTarget
from oci_push.model.changes import AnnotationChange, Changes
from oci_push.model.digest import Digest
from oci_push.model.reference import Repository
from oci_push.work.units import WorkUnit, read_units, write_units

IMAGE = "registry.example.com/ci/oci-push:0.2"
POD_OPTIONS = ("--volume", "images:/srv/images", "--namespace", "ci", "--service-account", "pusher")
EVERY_OPTION = (*POD_OPTIONS, "--secret", "login", "--config-secret", "registries", "--at-once", "2", "--name", "yes")
VERSIONS = [f"1.{minor}" for minor in range(31, 38)]
"""Of Kubernetes, from the first in which a pod failure policy is stable to the last whose schema there is."""
NEWEST = VERSIONS[-1]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder with two plain units, and with odd ones: characters that YAML, or who reads it, takes otherwise."""
    plain = ("docker://registry.example.com/team/app:1", "docker://registry.example.com/team/app:2")
    odd = (
        "oci:\x7f\x85é\u2028\N{GRINNING FACE}",
        "oci:a\r\n---\nkind: 'Pod\"",
        "oci:{{workflow.uid}} ${{ a }} $(HOME) # b: c",
    )
    sources = (*plain, *odd)
    units = [
        WorkUnit.of(PushUnit(source, (UnitTarget(Repository("ghcr.io", "team/app"), (str(number),)),)), Digest.of(b""))
        for number, source in enumerate(sources)
    ]
    write_units(tmp_path / "units.jsonl", "a test", units[:2])
    write_units(tmp_path / "odd.jsonl", "a test", units)
    return tmp_path


def export(folder: Path, *words: str, file: str = "units.jsonl") -> list[Any]:
    text = program("export", file, "--image", IMAGE, *words, cwd=folder).stdout
    assert max(map(len, (line for line in text.splitlines() if '"key"' not in line))) <= 140
    return list(yaml.safe_load_all(text))


@pytest.mark.parametrize("options", [(), EVERY_OPTION], ids=["least", "every"])
@pytest.mark.parametrize("version", VERSIONS)
def test_a_job_is_valid_by_the_strict_schema(options: tuple[str, ...], version: str, folder: Path) -> None:
    config_map, job = export(folder, "--kubernetes-job", "--shards", "3", *options)
    for document in (config_map, job):
        kubernetes_validate.validate(document, version, strict=True)
    job["spec"]["template"]["spec"]["containers"][0]["misspelt"] = 1
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(job, version, strict=True)


@pytest.mark.parametrize("options", [(), EVERY_OPTION], ids=["least", "every"])
def test_a_workflow_is_valid_by_argos_schema_and_has_no_other_keys(options: tuple[str, ...], folder: Path) -> None:
    config_map, workflow = export(folder, "--argo", "--shards", "3", *options)
    kubernetes_validate.validate(config_map, NEWEST, strict=True)
    # Keys that the schema does not know are left out on reading.
    assert Workflow.model_validate(workflow).model_dump(mode="json", by_alias=True, exclude_unset=True) == workflow


@pytest.mark.parametrize("options", [(), ("--secret", "LOGIN", "--name", "yes")], ids=["least", "every"])
@pytest.mark.parametrize(
    ("engine", "schema", "more"),
    [("gitlab", "gitlab-ci", ("--data-transform", "gitlab-ci")), ("github", "github-workflows", ())],
)
def test_a_matrix_is_valid_by_its_cis_schema(
    engine: str, schema: str, more: tuple[str, ...], options: tuple[str, ...], folder: Path
) -> None:
    program(*("export", "units.jsonl", f"--{engine}-matrix", "--image", IMAGE, "-o", "made.yml", *options), cwd=folder)
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", *more, "made.yml"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("engine", ["kubernetes-job", "argo"])
def test_pods_have_no_rights(engine: str, folder: Path) -> None:
    _, document = export(folder, f"--{engine}", *EVERY_OPTION)
    spec = document["spec"]
    pod = spec if engine == "argo" else spec["template"]["spec"]
    container = spec["templates"][1]["container"] if engine == "argo" else pod["containers"][0]
    for security in (pod["securityContext"], container["securityContext"]):
        assert security["runAsNonRoot"] is True
        assert security["runAsUser"] >= 1000
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    writable = {one["mountPath"] for one in container["volumeMounts"] if not one.get("readOnly")}
    assert writable == {"/scratch", "/srv/images"}
    env = {one["name"]: one.get("value") for one in container["env"]}
    assert all(env[name].startswith("/scratch") for name in ("TMPDIR", "XDG_CACHE_HOME"))


def test_units_that_were_compressed_are_valid_data_of_a_config_map(folder: Path) -> None:
    note = Changes(annotations=(AnnotationChange("note", "1" * 1_100_000),))
    target = UnitTarget(Repository("ghcr.io", "team/app"), ("1",))
    push = PushUnit("docker://registry.example.com/team/app:1", (target,), changes=note)
    write_units(folder / "large.jsonl", "a test", [WorkUnit.of(push, Digest.of(b""))])
    config_map, _ = export(folder, "--kubernetes-job", file="large.jsonl")
    assert list(config_map["binaryData"]) == ["units.jsonl.gz"]
    kubernetes_validate.validate(config_map, NEWEST, strict=True)


@pytest.mark.parametrize("engine", ["kubernetes-job", "argo"])
def test_units_come_out_of_a_config_map_as_they_went_in(engine: str, folder: Path) -> None:
    config_map, _ = export(folder, f"--{engine}", "--volume", "images", file="odd.jsonl")
    back = read_units(config_map["data"]["units.jsonl"].encode(), "units.jsonl")
    assert back == read_units((folder / "odd.jsonl").read_bytes(), "odd.jsonl")
