"""What `export` writes, done shard by shard as processes, against a registry that wants a login.

Each shard gets what its cluster or CI would give it: the user and the read-only root that a pod asks for, its volumes,
its variables and its index. Scheduling is not tried.
"""

from __future__ import annotations

import base64
import json
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from bare import PROGRAM, BarePlace, Done, Mount
from program import program
from real_images import RealImage, RealImages
from registries import DebianRegistry, Mode
from skopeo import Skopeo
from workshop import filled

USER = "robot"
IMAGE = "registry.example.com/ci/oci-push:0.2"
SHARDS = 2
REPOSITORIES = ("one", "two", "three")


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory, users: dict[str, str]) -> Iterator[DebianRegistry]:
    """Give a registry over http that lets nobody in without a password."""
    with DebianRegistry(tmp_path_factory.mktemp("locked"), Mode(users=users)) as locked:
        yield locked


class Site:
    """The units of three images as a file in `/data`, and what runs a shard of them."""

    def __init__(self, folder: Path, registry: DebianRegistry, image: RealImage, password: str, team: str) -> None:
        self.folder, self.host, self.image, self.team = folder, registry.host, image, team
        self.password = password
        auth = base64.b64encode(f"{USER}:{password}".encode()).decode()
        self.login = json.dumps({"auths": {registry.host: {"auth": auth}}})
        (self.place("login") / "config.json").write_text(self.login)
        shutil.copytree(image.path, self.place("data") / "image")
        for path in self.place("data").rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)
        steps = {
            name: {
                "type": "push",
                "candidate": f"oci:image:{image.tag}",
                "image_name": f"{team}/{name}",
                "tag": "1",
                "registry": registry.host,
            }
            for name in REPOSITORIES
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

    def export(self, *words: str) -> list[Any]:
        """Return the documents that are written; no password is among them."""
        limit = ("--host-limit", f"{self.host}={SHARDS}")
        given = ("units.jsonl", "--image", IMAGE, "--shards", str(SHARDS), "--name", self.team, *limit, *words)
        done = program("export", *given, cwd=self.place("data"), DOCKER_AUTH_CONFIG=self.login)
        assert self.password not in done.stdout
        assert json.loads(self.login)["auths"][self.host]["auth"] not in done.stdout
        return list(yaml.safe_load_all(done.stdout))

    def pod(
        self, pod: Mapping[str, Any], container: Mapping[str, Any], config_map: Mapping[str, Any], **index: str
    ) -> Done:
        """Run a container as the kubelet would; `index` are variables that the cluster adds."""
        folders = {}
        for volume in pod["volumes"]:
            if "configMap" in volume:
                assert volume["configMap"]["name"] == config_map["metadata"]["name"]
                folders[volume["name"]] = self.place("units")
                for name, text in config_map["data"].items():
                    (self.place("units") / name).write_text(text)
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
        env = {one["name"]: one["value"] for one in container["env"]} | index
        args = [filled(one, r"\$\((\w+)\)", env.__getitem__) for one in container["args"]]
        security = pod["securityContext"] | container["securityContext"]
        bare = BarePlace(mounts=mounts, user=security["runAsUser"], group=security["runAsGroup"])
        return bare.run([PROGRAM, *args], env=env, cwd=container["workingDir"])

    def job(self, lines: list[str], env: Mapping[str, str]) -> Done:
        """Run a CI's job in the checkout."""
        bare = BarePlace(mounts={"/work": Mount(self.place("data"))}, user=65532, group=65532)
        path = f"{PROGRAM.parent}:/usr/bin:/bin"
        return bare.run(["/bin/sh", "-ec", "\n".join(lines)], env={"PATH": path, "LANG": "C", **env}, cwd="/work")


@pytest.fixture
def site(
    registry: DebianRegistry,
    real_images: RealImages,
    users: dict[str, str],
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> Site:
    team = re.sub(r"\W|_", "-", request.node.name)
    return Site(tmp_path / "site", registry, real_images.layout, users[USER], team)


def check_all_there(site: Site, runs: list[Done], tmp_path: Path) -> None:
    """Check that each image is there, that a shard did not do all, and that nobody was told the password."""
    for done in runs:
        assert done.code == 0, done.said
        assert site.password not in done.out + done.said
    reader = Skopeo(tmp_path / "reader", credential=(USER, site.password))
    for name in REPOSITORIES:
        where = f"docker://{site.host}/{site.team}/{name}"
        assert reader.tags(where) == ["1"]
        assert reader.config(f"{where}:1") == reader.config(site.image.reference)
    pushed = [re.findall(rf"{site.team}/(\w+):1@sha256:", done.out) for done in runs]
    assert sorted(name for names in pushed for name in names) == sorted(REPOSITORIES)
    assert all(pushed)


def check_merged(site: Site) -> None:
    """Check that the results of all shards are the whole work."""
    found = sorted(str(path.relative_to(site.place("data"))) for path in site.place("data").glob("*results-*.jsonl"))
    assert len(found) == SHARDS
    done = program("report", "merge", *found, "--units", "units.jsonl", "--json", cwd=site.place("data"))
    assert json.loads(done.stdout)["counts"]["done"] == len(REPOSITORIES)


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


def test_a_pod_without_its_images_is_not_tried_again(site: Site) -> None:
    config_map, job = site.export("--kubernetes-job", "--secret", "registry-login", "--volume", "images")
    pod = job["spec"]["template"]["spec"]
    shutil.rmtree(site.place("data") / "image")
    done = site.pod(pod, pod["containers"][0], config_map, JOB_COMPLETION_INDEX="0")
    (final,) = (rule for rule in job["spec"]["podFailurePolicy"]["rules"] if rule["action"] == "FailIndex")
    assert final["onExitCodes"]["containerName"] == pod["containers"][0]["name"]
    assert final["onExitCodes"]["operator"] == "In"
    assert done.code in final["onExitCodes"]["values"], done.said


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
        container = filled(called["container"], r"\{\{([^}]+)\}\}", words.__getitem__)
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
    assert "3 units: 3 done" in joined.said


def test_a_matrix_of_github(site: Site, tmp_path: Path) -> None:
    (workflow,) = site.export("--github-matrix", "--secret", "REGISTRY_LOGIN")
    jobs = workflow["jobs"]
    runs = []
    for number in jobs["work"]["strategy"]["matrix"]["shard"]:
        words = {"matrix.shard": str(number), "secrets.REGISTRY_LOGIN": site.login}
        job = filled(jobs["work"], r"\$\{\{ ([\w.]+) \}\}", words.__getitem__)
        lines = [step["run"] for step in job["steps"] if "run" in step]
        runs.append(site.job(lines, {**job["env"], "GITHUB_ACTIONS": "true", "XDG_CACHE_HOME": "/work/.cache"}))

    check_all_there(site, runs, tmp_path)
    check_merged(site)
    joined = site.job([step["run"] for step in jobs["report"]["steps"] if "run" in step], {})
    assert "3 units: 3 done" in joined.said
