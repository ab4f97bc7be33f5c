"""What `export` writes, done shard by shard as processes, against two registries that want a login.

Each shard gets what its cluster or CI would give it: the user and the read-only root that a pod asks for, its volumes,
its variables and its index. Scheduling is not tried.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from bare import PROGRAM, BarePlace, Done, Mount
from program import program, until
from real_images import RealImage, RealImages
from registries import DebianRegistry, Mode
from skopeo import Skopeo
from workshop import filled

USER = "robot"
IMAGE = "registry.example.com/ci/oci-push:0.2"
SHARDS = 2
REPOSITORIES = ("one", "two", "three")
RUN = {"metadata.labels['batch.kubernetes.io/controller-uid']": "d2a5"}
"""What the controller labels pods of one Job with."""


Registries = tuple[DebianRegistry, DebianRegistry]


@pytest.fixture(scope="module")
def registries(tmp_path_factory: pytest.TempPathFactory, users: dict[str, str]) -> Iterator[Registries]:
    """Give two registries over http that let nobody in without a password."""
    folders = [tmp_path_factory.mktemp(name) for name in ("near", "far")]
    with DebianRegistry(folders[0], Mode(users=users)) as near, DebianRegistry(folders[1], Mode(users=users)) as far:
        yield near, far


class Site:
    """The units of three images for two registries as a file in `/data`, and what runs a shard of them."""

    def __init__(self, folder: Path, registries: Registries, image: RealImage, password: str, team: str) -> None:
        self.folder, self.hosts, self.image, self.team = folder, [one.host for one in registries], image, team
        self.password = password
        self.auth = base64.b64encode(f"{USER}:{password}".encode()).decode()
        self.login = json.dumps({"auths": {host: {"auth": self.auth} for host in self.hosts}})
        (self.place("login") / "config.json").write_text(self.login)
        shutil.copytree(image.path, self.place("data") / "image")
        for path in self.place("data").rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)
        steps = {
            f"{name}-{place}": {
                "type": "push",
                "candidate": f"oci:image:{image.tag}",
                "image_name": f"{team}/{name}",
                "tag": "1",
                "registry": host,
            }
            for name in REPOSITORIES
            for place, host in enumerate(self.hosts)
        }
        pipeline = {"version": "1.0", "steps": steps}
        (self.place("data") / "pipeline.yml").write_text(json.dumps(pipeline))
        program("plan", "pipeline.yml", "--units", "units.jsonl", cwd=self.place("data"), DOCKER_AUTH_CONFIG=self.login)

    def place(self, name: str) -> Path:
        """Return a folder that everybody may write to."""
        path = self.folder / name
        if not path.exists():
            path.mkdir(parents=True)
            path.chmod(0o777)
        return path

    def export(self, *words: str, shards: int = SHARDS) -> list[Any]:
        """Return the documents that are written; no password is among them."""
        limits = [word for host in self.hosts for word in ("--host-limit", f"{host}={SHARDS}")]
        given = ("units.jsonl", "--image", IMAGE, "--shards", str(shards), "--name", self.team, *limits, *words)
        done = program("export", *given, cwd=self.place("data"), DOCKER_AUTH_CONFIG=self.login)
        assert self.password not in done.stdout
        assert self.auth not in done.stdout
        return list(yaml.safe_load_all(done.stdout))

    def pod(
        self, pod: Mapping[str, Any], container: Mapping[str, Any], config_map: Mapping[str, Any], **index: str
    ) -> Done:
        """Run a container as the kubelet would; `index` are variables that the cluster adds."""
        bare, words, env = self._pod(pod, container, config_map, index)
        return bare.run(words, env=env, cwd=container["workingDir"])

    def started(
        self, pod: Mapping[str, Any], container: Mapping[str, Any], config_map: Mapping[str, Any], **index: str
    ) -> subprocess.Popen[str]:
        """Start a container as the kubelet would."""
        bare, words, env = self._pod(pod, container, config_map, index)
        return bare.start(words, env=env, cwd=container["workingDir"])

    def _pod(
        self, pod: Mapping[str, Any], container: Mapping[str, Any], config_map: Mapping[str, Any], index: dict[str, str]
    ) -> tuple[BarePlace, list[Any], dict[str, str]]:
        folders = {}
        for volume in pod["volumes"]:
            if "configMap" in volume:
                assert volume["configMap"]["name"] == config_map["metadata"]["name"]
                folders[volume["name"]] = self.place("units")
                for name, text in config_map.get("data", {}).items():
                    (self.place("units") / name).write_text(text)
                for name, text in config_map.get("binaryData", {}).items():
                    (self.place("units") / name).write_bytes(base64.b64decode(text, validate=True))
            elif "secret" in volume:
                (item,) = volume["secret"]["items"]
                assert (volume["secret"]["secretName"], item["path"]) == ("registry-login", "config.json")
                folders[volume["name"]] = self.place("login")
            elif "emptyDir" in volume:
                shutil.rmtree(self.place("scratch"))
                folders[volume["name"]] = self.place("scratch")
            else:
                assert volume["persistentVolumeClaim"] == {"claimName": "images"}
                folders[volume["name"]] = self.place("data")
        mounts = {
            one["mountPath"]: Mount(folders[one["name"]], is_read_only=one.get("readOnly", False))
            for one in container["volumeMounts"]
        }
        env = index.copy()
        for one in container["env"]:
            env[one["name"]] = one["value"] if "value" in one else RUN[one["valueFrom"]["fieldRef"]["fieldPath"]]
        args = [filled(one, r"\$\((\w+)\)", env.__getitem__) for one in container["args"]]
        security = pod["securityContext"] | container["securityContext"]
        bare = BarePlace(mounts=mounts, user=security["runAsUser"], group=security["runAsGroup"])
        return bare, [PROGRAM, *args], env

    def job(self, lines: list[str], env: Mapping[str, str]) -> Done:
        """Run a CI's job in the checkout."""
        bare = BarePlace(mounts={"/work": Mount(self.place("data"))}, user=65532, group=65532)
        path = f"{PROGRAM.parent}:/usr/bin:/bin"
        return bare.run(["/bin/sh", "-ec", "\n".join(lines)], env={"PATH": path, "LANG": "C", **env}, cwd="/work")


@pytest.fixture
def site(
    registries: Registries,
    real_images: RealImages,
    users: dict[str, str],
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> Site:
    team = re.sub(r"[\W_]+", "-", request.node.name)[:40].strip("-")
    return Site(tmp_path / "site", registries, real_images.layout, users[USER], team)


def check_all_there(site: Site, runs: list[Done], tmp_path: Path) -> None:
    """Check that each image is there, that a shard did not do all, and that nobody was told the password."""
    for done in runs:
        assert done.code == 0, done.said
        assert site.password not in done.out + done.said
    reader = Skopeo(tmp_path / "reader", credential=(USER, site.password))
    wanted = [f"{host}/{site.team}/{name}" for host in site.hosts for name in REPOSITORIES]
    for where in wanted:
        assert reader.tags(f"docker://{where}") == ["1"]
        assert reader.config(f"docker://{where}:1") == reader.config(site.image.reference)
    pushed = [re.findall(r"(\S+):1@sha256:", done.out) for done in runs]
    assert sorted(name for names in pushed for name in names) == sorted(wanted)
    assert all(pushed)


def check_merged(site: Site) -> None:
    """Check that the results of all shards are the whole work."""
    found = sorted(str(path.relative_to(site.place("data"))) for path in site.place("data").glob("*results-*.jsonl"))
    assert len(found) == SHARDS
    done = program("report", "merge", *found, "--units", "units.jsonl", "--json", cwd=site.place("data"))
    assert json.loads(done.stdout)["counts"]["done"] == len(REPOSITORIES) * len(site.hosts)


def test_an_indexed_job(site: Site, tmp_path: Path) -> None:
    config_map, job = site.export("--kubernetes-job", "--secret", "registry-login", "--volume", "images")
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    count = job["spec"]["completions"]
    assert count == SHARDS

    runs = [site.pod(pod, container, config_map, JOB_COMPLETION_INDEX=str(index)) for index in range(count)]

    check_all_there(site, runs, tmp_path)
    check_merged(site)
    # A pod that takes the place of one that is gone finds its results, and sends nothing.
    again = site.pod(pod, container, config_map, JOB_COMPLETION_INDEX="0")
    assert (again.code, again.out) == (0, "")


def fate(job: Mapping[str, Any], code: int) -> str:
    """Return what the controller of Jobs makes of a container's exit code."""
    if code == 0:
        return "Succeeded"
    for rule in job["spec"]["podFailurePolicy"]["rules"]:
        codes = rule.get("onExitCodes")
        if codes and codes["operator"] == "In" and code in codes["values"]:
            assert codes["containerName"] == job["spec"]["template"]["spec"]["containers"][0]["name"]
            return str(rule["action"])
    return "Retried" if job["spec"]["backoffLimitPerIndex"] else "Failed"


def test_an_index_that_is_killed_is_done_by_another_pod_which_repeats_nothing(
    site: Site, registries: Registries
) -> None:
    config_map, job = site.export("--kubernetes-job", "--secret", "registry-login", "--volume", "images", shards=1)
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    near, far = registries

    results = site.place("data") / f"{site.team}-results-d2a5-0.jsonl"
    os.kill(far.process, signal.SIGSTOP)
    killed = site.started(pod, container, config_map, JOB_COMPLETION_INDEX="0")
    try:
        until(lambda: results.exists() and results.read_text().endswith("\n"))
    finally:
        killed.kill()
        killed.communicate()
        os.kill(far.process, signal.SIGCONT)
    assert fate(job, 128 - killed.returncode) == "Retried"
    done = {json.loads(line)["name"].split(" to ")[1] for line in results.read_text().splitlines()}
    assert done
    assert all(name.startswith(near.host) for name in done)

    again = site.pod(pod, container, config_map, JOB_COMPLETION_INDEX="0")
    assert fate(job, again.code) == "Succeeded", again.said
    pushed = re.findall(r"(\S+:1)@sha256:", again.out)
    assert not done & set(pushed)
    assert len(done) + len(pushed) == len(REPOSITORIES) * len(site.hosts)


def test_a_job_again_does_not_believe_the_results_of_the_last(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tag may have been moved since, and moved back."""
    config_map, job = site.export("--kubernetes-job", "--secret", "registry-login", "--volume", "images")
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    runs = []
    for uid in ("d2a5", "77e1"):
        monkeypatch.setitem(RUN, "metadata.labels['batch.kubernetes.io/controller-uid']", uid)
        runs.append(site.pod(pod, container, config_map, JOB_COMPLETION_INDEX="0"))
    assert runs[0].out == runs[1].out != ""


@pytest.mark.parametrize(
    ("spoil", "code", "is_final"),
    [
        (lambda site: shutil.rmtree(site.place("data") / "image"), 3, True),
        (lambda site: (site.place("login") / "config.json").write_text("{"), 4, True),
        (lambda site: (site.place("login") / "config.json").write_text("{}"), 5, False),
        (lambda site: (site.place("units") / "units.jsonl").write_text(""), 2, True),
    ],
    ids=["no image", "no login that can be read", "no login", "no units"],
)
def test_a_pod_is_tried_again_where_that_may_help(spoil: Any, code: int, is_final: bool, site: Site) -> None:
    config_map, job = site.export("--kubernetes-job", "--secret", "registry-login", "--volume", "images")
    pod = job["spec"]["template"]["spec"]
    spoil(site)
    empty = {**config_map, "data": {}} if code == 2 else config_map
    done = site.pod(pod, pod["containers"][0], empty, JOB_COMPLETION_INDEX="0")
    assert done.code == code, done.said
    assert fate(job, done.code) == ("FailIndex" if is_final else "Retried")


def test_a_workflow_of_argo(site: Site, tmp_path: Path) -> None:
    config_map, workflow = site.export("--argo", "--secret", "registry-login", "--volume", "images")
    spec = workflow["spec"]
    templates = {one["name"]: one for one in spec["templates"]}
    ((step,),) = templates[spec["entrypoint"]]["steps"]
    called = templates[step["template"]]
    sequence = step["withSequence"]
    runs = []
    for item in range(int(sequence["start"]), int(sequence["end"]) + 1):
        given = filled(step["arguments"], r"\{\{(item)\}\}", lambda _, item=item: str(item))["parameters"]
        words = {f"inputs.parameters.{one['name']}": one["value"] for one in given}
        assert [one["name"] for one in called["inputs"]["parameters"]] == [one["name"] for one in given]
        container = filled(called["container"], r"\{\{([^}]+)\}\}", (words | {"workflow.uid": "d2a5"}).__getitem__)
        assert container["command"] == ["oci-push"]
        runs.append(site.pod(spec, container, config_map))

    check_all_there(site, runs, tmp_path)
    check_merged(site)


def test_jobs_of_gitlab(site: Site, tmp_path: Path) -> None:
    (jobs,) = site.export("--gitlab-matrix", "--secret", "REGISTRY_LOGIN")
    push, report = jobs[site.team], jobs[f"{site.team}-report"]
    project = {"CI_PROJECT_DIR": "/work", "GITLAB_CI": "true", "REGISTRY_LOGIN": site.login}
    variables = filled(push["variables"], r"\$(\w+)", project.__getitem__)
    count = push["parallel"]
    runs = [
        site.job(push["script"], {**project, **variables, "CI_NODE_INDEX": str(index), "CI_NODE_TOTAL": str(count)})
        for index in range(1, count + 1)
    ]

    check_all_there(site, runs, tmp_path)
    check_merged(site)
    joined = site.job(report["script"], project)
    assert (joined.code, joined.said) == (0, joined.said)
    assert "6 units: 6 done" in joined.said


def test_a_matrix_of_github(site: Site, tmp_path: Path) -> None:
    (workflow,) = site.export("--github-matrix", "--secret", "REGISTRY_LOGIN")
    jobs = workflow["jobs"]
    runs = []
    for number in jobs["work"]["strategy"]["matrix"]["shard"]:
        words = {"matrix.shard": str(number), "secrets.REGISTRY_LOGIN": site.login}
        job = filled(jobs["work"], r"\$\{\{ ([\w.]+) \}\}", words.__getitem__)
        (step,) = (one for one in job["steps"] if "run" in one)
        env = {**step["env"], "GITHUB_ACTIONS": "true", "XDG_CACHE_HOME": "/work/.cache"}
        runs.append(site.job([step["run"]], env))

    check_all_there(site, runs, tmp_path)
    check_merged(site)
    joined = site.job([step["run"] for step in jobs["report"]["steps"] if "run" in step], {})
    assert "6 units: 6 done" in joined.said
