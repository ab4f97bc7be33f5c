"""The recipes of `docs/recipes`, run as their CI would run them, against a registry that wants a login.

Each is read as the CI reads it, its placeholders filled as the CI fills them, and its containers or shell lines are run
one after the other: builders are stand-ins, `oci-push` pushes, skopeo reads back. What a CI alone can do is not tried:
fetching the source, scheduling, mounting real volumes, masking.
"""

from __future__ import annotations

import base64
import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from bare import Done, Mount
from jsonschema import Draft7Validator
from real_images import RealImage, RealImages
from registries import DebianRegistry, Mode
from skopeo import Skopeo
from workshop import IMAGE, RECIPES, Workshop, filled, variables

USER = "robot"
GITHUB = r"\$\{\{\s*([^}]+?)\s*\}\}"
GITLAB = r"\$\[\[\s*inputs\.(\w+)\s*\]\]"
TEKTON = r"\$\(((?:params|results|workspaces)\.[^)]+)\)"
ARGO = r"\{\{([^}]+)\}\}"
CODEFRESH = r"\$\{\{(\w+)\}\}"
SHELL = r"\$(\w+)"
"""How each CI writes what it replaces."""

Finish = Callable[[str, list[str], RealImage, list[Done]], str]


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory, users: dict[str, str]) -> Iterator[DebianRegistry]:
    """Give a registry over http that lets nobody in without a password."""
    with DebianRegistry(tmp_path_factory.mktemp("locked"), Mode(users=users)) as locked:
        yield locked


@pytest.fixture
def workshop(registry: DebianRegistry, real_images: RealImages, tmp_path: Path) -> Workshop:
    return Workshop(tmp_path, real_images, registry.host)


@pytest.fixture
def login(workshop: Workshop, users: dict[str, str]) -> Mount:
    """Give the volume of a secret that holds docker's config.json."""
    folder = workshop.place("registry-login")
    auth = base64.b64encode(f"{USER}:{users[USER]}".encode()).decode()
    (folder / "config.json").write_text(json.dumps({"auths": {workshop.host: {"auth": auth}}}))
    return Mount(folder, is_read_only=True)


@pytest.fixture
def finish(registry: DebianRegistry, users: dict[str, str], tmp_path: Path) -> Finish:
    """Give the check at the end of each: the image is there under its tags, and the password was told nobody."""
    reader = Skopeo(tmp_path / "skopeo-home", credential=(USER, users[USER]))

    def check(repository: str, tags: list[str], image: RealImage, runs: list[Done]) -> str:
        where = f"docker://{registry.host}/{repository}"
        assert reader.tags(where) == sorted(tags)
        assert reader.config(f"{where}:{tags[0]}") == reader.config(image.reference)
        said = "".join(done.out + done.said for done in runs)
        assert users[USER] not in said
        digest = reader.digest(f"{where}:{tags[0]}")
        assert f"{registry.host}/{repository}:{tags[0]}@{digest}\n" in said
        return digest

    return check


def outputs(path: Path) -> dict[str, str]:
    """Read a file as GitHub reads it: ``NAME=value``, and ``NAME<<END``, lines, ``END``."""
    found, lines = {}, iter(path.read_text().splitlines())
    for line in lines:
        name, mark, rest = re.fullmatch(r"(\w+)(=|<<)(.*)", line).groups()  # type: ignore[union-attr]
        found[name] = rest if mark == "=" else "\n".join(iter(lambda: next(lines), rest))
    return found


def test_github_actions(workshop: Workshop, users: dict[str, str], real_images: RealImages, finish: Finish) -> None:
    (workflow,), (action,) = (workshop.documents(f"github-actions/{name}.yml") for name in ("workflow", "action"))
    words = {"github.sha": "0123abc", "github.actor": USER, "github.token": users[USER], "runner.temp": "/work"}
    steps = workflow["jobs"]["image"]["steps"]
    (push,) = (step for step in steps if step.get("uses") == "./.github/actions/oci-push")
    given = filled(push["with"], GITHUB, words.__getitem__)
    given["destinations"] = given["destinations"].replace("ghcr.io/example/", f"{workshop.host}/github/")
    inputs = {name: given.get(name, about.get("default")) for name, about in action["inputs"].items()}
    assert set(given) <= set(inputs)
    words |= {f"inputs.{name}": value for name, value in inputs.items()}
    (workshop.place("work") / "outputs").touch(mode=0o666)
    (workshop.place("work") / "outputs").chmod(0o666)

    def shell(step: dict[str, Any], **more: str) -> Done:
        env = filled(step.get("env", {}), GITHUB, lambda name: {**words, **more}[name])
        (workshop.place("work") / "script").write_text(step["run"])
        bash = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "script"]
        return workshop.run(bash, env={**env, "GITHUB_ACTIONS": "true", "GITHUB_OUTPUT": "outputs"})

    (build,) = (step for step in steps if step.get("name") == "Build")
    runs = [shell(build), *(shell(step) for step in action["runs"]["steps"])]

    digest = finish("github/app", ["0123abc", "latest"], real_images.layout, runs)
    found = {f"steps.push.outputs.{name}": value for name, value in outputs(workshop.place("work") / "outputs").items()}
    results = {name: filled(one["value"], GITHUB, found.__getitem__) for name, one in action["outputs"].items()}
    assert results == {"digest": digest, "image": f"{workshop.host}/github/app@{digest}"}
    used = shell(steps[-1], **{f"steps.push.outputs.{name}": value for name, value in results.items()})
    assert used.out == f"deploy {workshop.host}/github/app@{digest}\n"


def test_github_actions_installs_what_is_not_there(workshop: Workshop) -> None:
    (action,) = workshop.documents("github-actions/action.yml")
    (install,) = (step for step in action["runs"]["steps"] if step["name"] == "Install oci-push")
    pipx = workshop.place("own-tools") / "pipx"
    pipx.write_text('#!/bin/sh\necho "$#: $*"\n')
    pipx.chmod(0o755)
    env = {"PATH": "/own:/usr/bin:/bin", "PACKAGE": "oci-push == 0.2; id"}
    done = workshop.run(
        ["bash", "-c", install["run"]], env=env, mounts={"/own": Mount(workshop.place("own-tools"), is_read_only=True)}
    )
    assert done.out == "2: install oci-push == 0.2; id\n"


@pytest.mark.parametrize("is_own", [True, False])
def test_gitlab(
    is_own: bool, workshop: Workshop, login: Mount, users: dict[str, str], real_images: RealImages, finish: Finish
) -> None:
    ((pipeline,), (header, component)) = (
        workshop.documents(f"gitlab/{name}.yml") for name in ("gitlab-ci", "templates/push")
    )
    (include,) = pipeline["include"]
    declared = header["spec"]["inputs"]
    assert {name for name, about in declared.items() if "default" not in about} <= set(include["inputs"])
    inputs = {name: include["inputs"].get(name, about.get("default")) for name, about in declared.items()}
    assert set(include["inputs"]) <= set(inputs)
    (job,) = filled(component, GITLAB, inputs.__getitem__).values()
    # To another registry goes what DOCKER_AUTH_CONFIG says, and never the job's own password.
    other = {
        "CI_REGISTRY": "registry.gitlab.example",
        "CI_REGISTRY_PASSWORD": "job's own",
        "DOCKER_AUTH_CONFIG": (login.source / "config.json").read_text(),
    }
    project = {
        "CI_COMMIT_SHA": "0123abc",
        "CI_PROJECT_DIR": "/work",
        "CI_REGISTRY": workshop.host,
        "CI_REGISTRY_IMAGE": f"{workshop.host}/gitlab/app",
        "CI_REGISTRY_PASSWORD": users[USER],
        "CI_REGISTRY_USER": USER,
        "GITLAB_CI": "true",
        **({} if is_own else other),
    }
    env = {**project, **filled(job["variables"], SHELL, project.__getitem__)}
    # A variable may name another one that was filled in.
    env = {**env, **filled(env, SHELL, project.__getitem__)}

    runs = [
        workshop.run(["/bin/sh", "-euc", line], env=env) for one in (pipeline["build"], job) for line in one["script"]
    ]

    digest = finish("gitlab/app", ["0123abc"], real_images.archive, runs)
    assert (job["needs"], job["stage"], job["image"]["name"]) == (["build"], "deploy", IMAGE)
    dotenv = (workshop.place("work") / job["artifacts"]["reports"]["dotenv"]).read_text()
    assert f"push_imageRepoDigest={workshop.host}/gitlab/app@{digest}\n" in dotenv


def test_tekton(workshop: Workshop, login: Mount, real_images: RealImages, finish: Finish) -> None:
    ((run,), (task,)) = (workshop.documents(f"tekton/{name}.yaml") for name in ("pipelinerun", "task"))
    tasks = {one["name"]: one for one in run["spec"]["pipelineSpec"]["tasks"]}
    (build,) = filled(tasks["build"]["taskSpec"]["steps"], TEKTON, {"workspaces.work.path": "/work"}.__getitem__)
    given = {one["name"]: one["value"] for one in tasks["push"]["params"]}
    declared = {one["name"]: one.get("default") for one in task["spec"]["params"]}
    assert set(given) <= set(declared)
    bound = {one["name"] for one in tasks["push"]["workspaces"]}
    assert {one["name"] for one in task["spec"]["workspaces"] if not one.get("optional")} <= bound
    params = {**declared, **given}
    results = workshop.place("results")
    words = {
        **{f"params.{name}": value for name, value in params.items() if isinstance(value, str)},
        **{f"params.{name}[*]": value for name, value in params.items() if isinstance(value, list)},
        **{f"results.{one['name']}.path": f"/tekton/results/{one['name']}" for one in task["spec"]["results"]},
        "workspaces.source.path": "/work",
        "workspaces.registry-login.path": "/login",
    }
    (step,) = filled(task["spec"]["steps"], TEKTON, words.__getitem__)
    script = workshop.place("scripts") / "script"
    script.write_text(step["script"])
    script.chmod(0o755)
    # Tekton adds these mounts to every step, and makes the script its command.
    added = {
        "scratch": Mount(workshop.place("scratch")),
        "results": Mount(results),
        "scripts": Mount(script.parent),
        "login": login,
    }
    places = {
        "results": "/tekton/results",
        "scripts": "/tekton/scripts",
        "login": "/login",
    }
    step["volumeMounts"] += [{"name": name, "mountPath": place} for name, place in places.items()]
    step["command"] = ["/tekton/scripts/script"]

    runs = [workshop.run_container(build, {}), workshop.run_container(step, added)]

    digest = finish("tekton/app", ["1.4.2", "latest"], real_images.layout_archive, runs)
    assert (results / "IMAGE_DIGEST").read_text() == digest
    assert (results / "IMAGE_URL").read_text() == f"{workshop.host}/tekton/app:1.4.2"


def test_argo(workshop: Workshop, login: Mount, real_images: RealImages, finish: Finish) -> None:
    (template,) = workshop.documents("argo/workflowtemplate.yaml")
    spec = template["spec"]
    volumes = {
        "work": Mount(workshop.place("work")),
        "scratch": Mount(workshop.place("scratch")),
        "registry-login": login,
    }
    named = {volume["name"] for volume in spec["volumes"]}
    named |= {claim["metadata"]["name"] for claim in spec["volumeClaimTemplates"]}
    assert named == set(volumes)
    words = {f"workflow.parameters.{one['name']}": one["value"] for one in spec["arguments"]["parameters"]}
    by_name = {one["name"]: one for one in spec["templates"]}
    runs = []
    for (step,) in by_name[spec["entrypoint"]]["steps"]:
        called = by_name[step["template"]]
        given = filled(step.get("arguments", {}), ARGO, words.__getitem__).get("parameters", [])
        assert [one["name"] for one in given] == [one["name"] for one in called.get("inputs", {}).get("parameters", [])]
        own = {f"inputs.parameters.{one['name']}": one["value"] for one in given}
        container = filled(called["container"], ARGO, {**words, **own}.__getitem__)
        runs.append(workshop.run_container(container, volumes))

    digest = finish("argo/app", ["1.4.2", "latest"], real_images.layout_archive, runs)
    (output,) = by_name["oci-push"]["outputs"]["parameters"]
    report = json.loads((workshop.place("scratch") / Path(output["valueFrom"]["path"]).name).read_text())
    assert [one["digest"] for one in report["targets"]] == [digest]


def test_kubernetes(workshop: Workshop, login: Mount, real_images: RealImages, finish: Finish) -> None:
    (job,) = workshop.documents("kubernetes/job.yaml")
    pod = job["spec"]["template"]["spec"]
    volumes = {one["name"]: Mount(workshop.place(one["name"])) for one in pod["volumes"]}
    volumes["registry-login"] = login

    runs = [workshop.run_container(one, volumes, pod) for one in (*pod["initContainers"], *pod["containers"])]

    finish("kubernetes/app", ["1.4.2", "latest"], real_images.archive, runs)
    assert (workshop.place("scratch") / "cache" / "oci-push").is_dir()


def test_jenkins(workshop: Workshop, users: dict[str, str], real_images: RealImages, finish: Finish) -> None:
    text, (pod,) = workshop.recipe("jenkins/Jenkinsfile"), workshop.documents("jenkins/pod.yaml")
    lines = dict(re.findall(r"^    (\w+) = '([^']+)'$", text, re.MULTILINE))
    assert set(lines) == {"SOURCE", "DESTINATIONS"}
    secret = {"REGISTRY_USER": USER, "REGISTRY_PASSWORD": users[USER]}
    assert {name: name for name in re.findall(r"(?:username|password)Variable: '(\w+)'", text)}.keys() == secret.keys()
    parts = re.findall(r"container\('([\w-]+)'\)|sh '([^']+)'|script: '''(.*?)'''", text, re.DOTALL)
    containers = {one["name"]: one for one in pod["spec"]["containers"]}
    runs, container = [], ""
    for name, line, block in parts:
        container = name or container
        if not name:
            # Jenkins runs what `sh` gets with -xe, and shows what is said.
            ready = {**containers[container], "command": ["/bin/sh", "-xe", "-c", line or block], "args": []}
            added = {**lines, **(secret if block else {})}
            ready["env"] = [*ready.get("env", []), *({"name": key, "value": value} for key, value in added.items())]
            ready["workingDir"] = "/work"
            runs.append(workshop.run_container(ready, {"scratch": Mount(workshop.place("scratch"))}, pod["spec"]))

    assert len(runs) == 2
    finish("jenkins/app", ["1.4.2", "latest"], real_images.archive, runs)
    assert (workshop.place("work") / "push.json").exists()


def test_buildkite(workshop: Workshop, users: dict[str, str], real_images: RealImages, finish: Finish) -> None:
    (pipeline,) = workshop.documents("buildkite/pipeline.yml")
    build, push = pipeline["steps"]
    hidden = workshop.place("work") / ".buildkite"
    hidden.mkdir()
    for name in ("build.sh", "push.sh"):
        shutil.copy(RECIPES / "buildkite" / name, hidden)
    runs = [workshop.run([build["command"]], env={})]
    (artifact,) = build["artifact_paths"]
    (workshop.place("work") / artifact).rename(workshop.place("artifacts") / artifact)
    ((patch,),) = (plugin["kubernetes"]["podSpecPatch"]["containers"] for plugin in push["plugins"])
    secrets = {"REGISTRY_USER": USER, "REGISTRY_PASSWORD": users[USER]}
    assert push["secrets"] == list(secrets)
    added = {**push["env"], **secrets}
    patch["env"] += [{"name": name, "value": value} for name, value in added.items()]
    patch["volumeMounts"].append({"name": "artifacts", "mountPath": "/artifacts"})
    volumes = {name: Mount(workshop.place(name)) for name in ("scratch", "artifacts")}
    runs.append(workshop.run_container({**patch, "command": [push["command"]], "workingDir": "/work"}, volumes))

    finish("buildkite/app", ["1.4.2", "latest"], real_images.layout_archive, runs)


CODEFRESH_WORDS = {"CF_VOLUME_PATH": "/work", "CF_SHORT_REVISION": "0123abc", "main_clone": "/work"}


def run_step(workshop: Workshop, step: dict[str, Any], words: dict[str, str], secrets: dict[str, str]) -> list[Done]:
    """Run a freestyle step: its commands are lines of one shell."""
    step = filled(step, CODEFRESH, words.__getitem__)
    env = {**secrets, **variables(step.get("environment", []))}
    return [
        workshop.run(
            ["/bin/sh", "-ec", "\n".join(step["commands"])], env=env, cwd=step.get("working_directory", "/work")
        )
    ]


def test_codefresh_freestyle(
    workshop: Workshop, users: dict[str, str], real_images: RealImages, finish: Finish
) -> None:
    (pipeline,) = workshop.documents("codefresh/freestyle.yml")
    secrets = {"REGISTRY_USER": USER, "REGISTRY_PASSWORD": users[USER]}
    exported = workshop.place("work") / "env_vars_to_export"
    exported.write_text("BEFORE=1\n")
    exported.chmod(0o666)
    runs = []
    for name in ("build", "push"):
        runs += run_step(workshop, pipeline["steps"][name], CODEFRESH_WORDS, secrets)

    digest = finish("codefresh/app", ["0123abc", "latest"], real_images.several, runs)
    assert exported.read_text().startswith("BEFORE=1\n")
    assert f"push_imageRepoDigest={workshop.host}/codefresh/app@{digest}\n" in exported.read_text()


def test_codefresh_typed_step(
    workshop: Workshop, users: dict[str, str], real_images: RealImages, finish: Finish
) -> None:
    ((pipeline,), (definition,)) = (workshop.documents(f"codefresh/{name}.yml") for name in ("typed", "step-type"))
    secrets = {"REGISTRY_USER": USER, "REGISTRY_PASSWORD": users[USER]}
    runs = run_step(workshop, pipeline["steps"]["build"], CODEFRESH_WORDS, secrets)
    push, about = pipeline["steps"]["push"], definition["metadata"]
    assert push["type"] == f"{about['name']}:{about['version']}"
    schema = json.loads(definition["spec"]["arguments"])
    given = filled(push["arguments"], CODEFRESH, {**CODEFRESH_WORDS, **secrets}.__getitem__)
    Draft7Validator(schema).validate(given)
    for example in about["examples"]:
        Draft7Validator(schema).validate(example["workflow"]["push"]["arguments"])
    words = {name: given.get(name, one.get("default")) for name, one in schema["properties"].items()}
    for step in definition["spec"]["steps"].values():
        runs += run_step(workshop, step, {**words, **CODEFRESH_WORDS}, {})

    digest = finish("codefresh/app", ["0123abc", "latest"], real_images.archive, runs)
    exported = dict(
        line.split("=", 1) for line in (workshop.place("work") / "env_vars_to_export").read_text().splitlines()
    )
    Draft7Validator(json.loads(definition["spec"]["returns"])).validate(exported)
    assert exported["push_imageRepoDigest"] == f"{workshop.host}/codefresh/app@{digest}"
