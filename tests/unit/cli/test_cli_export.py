"""`oci-push export`: what it refuses before anything is written, and what it says."""

from __future__ import annotations

import base64
import gzip
import json
import random
from pathlib import Path
from typing import Any

import pytest
import yaml
from program import program
from published import check_json

from oci_push import errors
from oci_push.engine.unit import PushUnit, UnitTarget
from oci_push.errors import OciPushError
from oci_push.model.changes import AnnotationChange, Changes
from oci_push.model.digest import Digest
from oci_push.model.reference import Repository
from oci_push.work.clusters import MOST_BYTES
from oci_push.work.export import FINAL_CODES, PASSING_CODES, Exported
from oci_push.work.units import WorkUnit, read_units, write_units

IMAGE = ("--image", "registry.example.com/ci/oci-push:0.2")
JOB = ("--kubernetes-job", *IMAGE)


def write(folder: Path, *sources: str, registry: str = "", is_signed: bool = False) -> None:
    """Write `units.jsonl`, each unit with a tag of its own."""
    units = []
    for number, source in enumerate(sources):
        target = UnitTarget(Repository("registry.example.com", "team/app"), (f"v{number}",), registry, {}, is_signed)
        units.append(WorkUnit.of(PushUnit(source, (target,)), Digest.of(b"")))
    write_units(folder / "units.jsonl", "a test", units)


def refused(folder: Path, *words: str) -> str:
    """Return the error and its hint; nothing is written."""
    done = program("export", "units.jsonl", *words, "-o", "made.yaml", cwd=folder, code=2)
    assert not (folder / "made.yaml").exists()
    return "\n".join(done.stderr.splitlines()[:2])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, *(f"docker://registry.example.com/team/app:{number}" for number in range(3)))
    return tmp_path


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (IMAGE, "one of --kubernetes-job, --argo, --gitlab-matrix or --github-matrix"),
        ((*JOB, "--argo"), "one of --kubernetes-job"),
        (("--argo",), "--image is missing"),
        (("--argo", "--image", "a b"), "--image 'a b' is no image"),
        ((*JOB, "--name", "Mirror"), "--name 'Mirror' is no name"),
        ((*JOB, "--name", "a" * 51), "at most 50"),
        ((*JOB, "--namespace", "a/b"), "--namespace 'a/b' is no name"),
        ((*JOB, "--volume", "images:data"), "--volume 'images:data' is no claim"),
        ((*JOB, "--volume", "images:/scratch/x"), "the pods need /scratch/x themselves"),
        (("--gitlab-matrix", *IMAGE, "--shards", "201"), "at most 200"),
        (("--github-matrix", *IMAGE, "--shards", "257"), "at most 256"),
        (("--github-matrix", *IMAGE, "--volume", "images"), "--volume has no effect with --github-matrix"),
        ((*JOB, "--host-limit", "other.example.com=4"), "no unit goes to other.example.com"),
        ((*JOB, "--host-limit", "registry.example.com=2"), "less than one unit for each of 3 shards at once"),
        (("--gitlab-matrix", *IMAGE, "--at-once", "2"), "--at-once has no effect with --gitlab-matrix"),
        (("--gitlab-matrix", *IMAGE, "--name", "default"), "no job of GitLab may be called so"),
        (("--github-matrix", *IMAGE, "--secret", "GITHUB_TOKEN"), "names that begin with GITHUB_ are GitHub's own"),
        ((*JOB, "--volume", "images:/opt"), "the pods need /opt themselves"),
        ((*JOB, "--volume", "images:/usr/share/images"), "the pods need /usr/share/images themselves"),
    ],
)
def test_what_cannot_be_is_refused(words: tuple[str, ...], told: str, folder: Path) -> None:
    assert told in refused(folder, *words)


@pytest.mark.parametrize("option", ["--secret", "--config-secret", "--service-account"])
def test_what_may_be_a_secret_is_not_shown(option: str, folder: Path) -> None:
    told = refused(folder, *JOB, option, "Hunter2!")
    assert f"what {option} was given is no name" in told
    assert "Hunter2" not in told


@pytest.mark.parametrize("token", ["ghp_hunter2hunter2", "dckr_pat_hunter2"])
def test_a_token_is_not_taken_for_the_name_of_what_holds_it(token: str, folder: Path) -> None:
    told = refused(folder, "--github-matrix", *IMAGE, "--secret", token)
    assert "what --secret was given is no name" in told
    assert "hunter2" not in told


def test_the_file_of_units_is_not_written_over(folder: Path) -> None:
    before = (folder / "units.jsonl").read_bytes()
    done = program("export", "units.jsonl", *JOB, "-o", "./units.jsonl", cwd=folder, code=2)
    assert "--output units.jsonl: is the file of units" in done.stderr
    assert (folder / "units.jsonl").read_bytes() == before


def test_a_secret_that_came_into_a_unit_goes_no_further(folder: Path) -> None:
    changes = Changes(annotations=(AnnotationChange("origin", "https://me:hunter2@git.example.com/app"),))
    target = UnitTarget(Repository("registry.example.com", "team/app"), ("1",))
    push = PushUnit("docker://registry.example.com/team/app:1", (target,), changes=changes)
    write_units(folder / "units.jsonl", "a test", [WorkUnit.of(push, Digest.of(b""))])
    told = refused(folder, *JOB)
    assert "units.jsonl: holds what looks like a secret" in told
    assert "hunter2" not in told


def test_units_that_read_files_need_a_volume_that_has_them(tmp_path: Path) -> None:
    write(tmp_path, "oci:build/image")
    assert "a pod has no build/image, which oci:build/image to " in refused(tmp_path, *JOB)
    program("export", "units.jsonl", *JOB, "--volume", "images", cwd=tmp_path)
    for source in ("oci:/srv/image", "oci:../image", "containers-storage:app"):
        write(tmp_path, source)
        assert "is not below /data" in refused(tmp_path, *JOB, "--volume", "images")
    write(tmp_path, "oci:/srv/image")
    program("export", "units.jsonl", *JOB, "--volume", "images:/srv", cwd=tmp_path)


def test_units_that_name_registries_need_their_description(tmp_path: Path) -> None:
    write(tmp_path, "docker://registry.example.com/team/app:1", registry="production")
    assert "the units name production, which an oci-push.yaml describes" in refused(tmp_path, *JOB)
    made = program("export", "units.jsonl", *JOB, "--config-secret", "registries", cwd=tmp_path).stdout
    _, job = yaml.safe_load_all(made)
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert {"name": "OCI_PUSH_CONFIG", "value": "/config/oci-push.yaml"} in container["env"]


def job_of(folder: Path, *words: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a Job, and the specification of its pods."""
    *_, job = yaml.safe_load_all(program("export", "units.jsonl", *JOB, *words, cwd=folder).stdout)
    return job, job["spec"]["template"]["spec"]


def noted(folder: Path, size: int) -> None:
    """Write a unit with a note of so many random digits, which compression makes half as large."""
    changes = Changes(annotations=(AnnotationChange("note", random.Random(1).randbytes(size // 2).hex()),))
    target = UnitTarget(Repository("registry.example.com", "team/app"), ("1",))
    push = PushUnit("docker://registry.example.com/team/app:1", (target,), changes=changes)
    write_units(folder / "units.jsonl", "a test", [WorkUnit.of(push, Digest.of(b""))])


def test_units_that_are_too_large_for_a_config_map_are_compressed(tmp_path: Path) -> None:
    noted(tmp_path, MOST_BYTES + 1000)
    made = program("export", "units.jsonl", *JOB, cwd=tmp_path).stdout
    config_map, job = yaml.safe_load_all(made)
    assert max(map(len, made.splitlines())) < 140
    ((name, text),) = config_map["binaryData"].items()
    data = base64.b64decode(text, validate=True)
    assert len(data) < MOST_BYTES
    assert read_units(data, name) == read_units((tmp_path / "units.jsonl").read_bytes(), "units.jsonl")
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["args"][:2] == ["work", "/units/units.jsonl.gz"]


@pytest.mark.parametrize("engine", ["--argo", "--gitlab-matrix"])
def test_a_file_that_is_compressed_is_the_same_file(engine: str, folder: Path) -> None:
    (folder / "units.jsonl.gz").write_bytes(gzip.compress((folder / "units.jsonl").read_bytes()))
    first, again = (
        program("export", name, engine, *IMAGE, cwd=folder).stdout for name in ("units.jsonl", "units.jsonl.gz")
    )
    assert again.replace("units.jsonl.gz", "units.jsonl") == first


def test_units_that_no_config_map_holds_are_read_from_the_volume(tmp_path: Path) -> None:
    noted(tmp_path, 3 * MOST_BYTES)
    assert "too large for a ConfigMap" in refused(tmp_path, *JOB)
    done = program("export", "units.jsonl", *JOB, "--volume", "images", cwd=tmp_path)
    assert "copy units.jsonl to /data/units.jsonl" in done.stderr
    (job,) = yaml.safe_load_all(done.stdout)
    pod = job["spec"]["template"]["spec"]
    assert [one["name"] for one in pod["volumes"]] == ["scratch", "data"]
    assert pod["containers"][0]["args"][:2] == ["work", "/data/units.jsonl"]


@pytest.mark.parametrize("source", ["oci:/srv/image", "oci:../image", "containers-storage:app"])
def test_a_ci_gets_no_units_that_read_what_is_outside_of_its_project(source: str, tmp_path: Path) -> None:
    write(tmp_path, "oci:build/image")
    program("export", "units.jsonl", "--github-matrix", *IMAGE, cwd=tmp_path)
    write(tmp_path, source)
    assert "is not in the project of the jobs" in refused(tmp_path, "--github-matrix", *IMAGE)


def test_the_image_is_pulled_with_the_same_login(folder: Path) -> None:
    _, pod = job_of(folder, "--secret", "login")
    assert pod["imagePullSecrets"] == [{"name": "login"}]
    jobs = yaml.safe_load(
        program("export", "units.jsonl", "--gitlab-matrix", *IMAGE, "--secret", "LOGIN", cwd=folder).stdout
    )
    assert [one["variables"]["DOCKER_AUTH_CONFIG"] for one in jobs.values()] == ["$LOGIN", "$LOGIN"]
    words = ("--github-matrix", "--image", "ghcr.io/team/oci-push:0.2", "--secret", "LOGIN")
    made = yaml.safe_load(program("export", "units.jsonl", *words, cwd=folder).stdout)
    assert made["permissions"] == {"contents": "read", "packages": "read"}
    assert all(one["container"]["credentials"]["password"] == "${{ github.token }}" for one in made["jobs"].values())


def test_only_the_step_that_pushes_gets_the_secret(folder: Path) -> None:
    text = program("export", "units.jsonl", "--github-matrix", *IMAGE, "--secret", "LOGIN", cwd=folder).stdout
    jobs = yaml.safe_load(text)["jobs"]
    (step,) = (one for one in jobs["work"]["steps"] if one.get("name") == "Push")
    assert step["env"]["DOCKER_AUTH_CONFIG"] == "${{ secrets.LOGIN }}"
    assert text.count("secrets.LOGIN") == 1


def test_a_login_that_a_cloud_gives_may_come_later_than_the_pod(folder: Path) -> None:
    def final(*words: str) -> list[int]:
        job, _ = job_of(folder, *words)
        return list(job["spec"]["podFailurePolicy"]["rules"][1]["onExitCodes"]["values"])

    assert 4 in final("--secret", "login")
    assert 4 not in final()
    assert 4 not in final("--secret", "login", "--service-account", "pusher")


def test_azure_is_told_whose_pods_get_an_identity(tmp_path: Path) -> None:
    label = "azure.workload.identity/use"
    write(tmp_path, "docker://team.azurecr.io/app:1")
    for words, found in (((), None), (("--service-account", "pusher"), "true")):
        job, _ = job_of(tmp_path, *words)
        assert job["spec"]["template"]["metadata"]["labels"].get(label) == found


@pytest.mark.parametrize("name", ["../units.jsonl", "$HOME.jsonl", "a b.jsonl"])
def test_a_ci_gets_only_names_that_no_shell_reads_otherwise(name: str, folder: Path) -> None:
    inner = folder / "inner"
    inner.mkdir()
    (inner / name).write_bytes((folder / "units.jsonl").read_bytes())
    done = program("export", name, "--github-matrix", *IMAGE, cwd=inner, code=2)
    assert "jobs look for the file in their project" in done.stderr


@pytest.mark.parametrize("engine", ["kubernetes-job", "argo", "gitlab-matrix", "github-matrix"])
def test_a_registrys_limit_is_divided_among_the_shards(engine: str, folder: Path) -> None:
    words = ("--shards", "3", "--host-limit", "registry.example.com=8")
    made = program("export", "units.jsonl", f"--{engine}", *IMAGE, *words, cwd=folder).stdout
    assert made.count("--host-limit=registry.example.com=2") == 1
    if engine != "gitlab-matrix":
        made = program("export", "units.jsonl", f"--{engine}", *IMAGE, *words, "--at-once", "2", cwd=folder).stdout
        assert made.count("--host-limit=registry.example.com=4") == 1


def test_units_that_are_to_be_signed_want_the_file_that_says_so(tmp_path: Path) -> None:
    write(tmp_path, "docker://registry.example.com/team/app:0", is_signed=True)
    for engine in ("--kubernetes-job", "--argo"):
        told = refused(tmp_path, engine, *IMAGE)
        assert "the units are to be signed" in told
        assert "--config-secret NAME" in told
        program("export", "units.jsonl", engine, *IMAGE, "--config-secret", "registries", cwd=tmp_path)
    for engine in ("--gitlab-matrix", "--github-matrix"):
        made = program("export", "units.jsonl", engine, *IMAGE, cwd=tmp_path).stdout
        assert made.count("work units.jsonl --shard=env --config=oci-push.yaml ") == 1


def test_shards_that_have_nothing_to_do_are_told(folder: Path) -> None:
    done = program("export", "units.jsonl", *JOB, "--shards", "5", cwd=folder)
    assert "nothing to do for 2 shards of 5: units.jsonl has 3 units" in done.stderr
    assert yaml.safe_load(done.stdout.split("---\n")[1])["spec"]["completions"] == 5


def test_other_units_make_another_job_and_the_same_the_same(folder: Path) -> None:
    first, again = (program("export", "units.jsonl", *JOB, cwd=folder).stdout for _ in range(2))
    assert first == again
    write(folder, "docker://registry.example.com/team/other:1")
    other = program("export", "units.jsonl", *JOB, cwd=folder).stdout
    names = [[one["metadata"]["name"] for one in yaml.safe_load_all(text)] for text in (first, other)]
    assert not set(names[0]) & set(names[1])


@pytest.mark.parametrize("engine", ["kubernetes-job", "argo", "gitlab-matrix", "github-matrix"])
def test_json_holds_the_text_that_is_written(engine: str, folder: Path) -> None:
    words = ("export", "units.jsonl", f"--{engine}", *IMAGE)
    printed = program(*words, "-o", "made.yaml", "--json", cwd=folder).stdout
    check_json(printed, Exported)
    told = json.loads(printed)
    assert told["text"] == (folder / "made.yaml").read_text() == program(*words, cwd=folder).stdout
    assert (told["engine"], told["units"], told["shards"]) == (engine, 3, 3)


def test_each_exit_code_is_final_or_may_pass() -> None:
    kinds = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, OciPushError)]
    codes = {one.exit_code for one in kinds}
    assert codes == {*FINAL_CODES, *PASSING_CODES}
    assert not {*FINAL_CODES} & {*PASSING_CODES}
    assert not {one.exit_code for one in kinds if one.transient} & set(FINAL_CODES)
