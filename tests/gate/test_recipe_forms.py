"""The recipes of `docs/recipes` have the form that their CI reads, keep secrets hidden, and are what the page shows.

GitHub's, GitLab's and Buildkite's files are checked against the schemas that check-jsonschema brings along,
Codefresh's by `oci-push validate`. For Kubernetes, Tekton, Argo and Jenkins there is no schema of a fitting size: what
is checked of them is written here.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from program import program

ROOT = Path(__file__).parents[2]
RECIPES = ROOT / "docs" / "recipes"
PAGE = ROOT / "docs" / "recipes.md"
FILES = sorted(path for path in RECIPES.rglob("*") if path.is_file())
IMAGE = "registry.example.com/ci/oci-push:0.2"
CONTAINER_KEYS = {
    *("name", "image", "command", "args", "workingDir", "env", "resources", "securityContext", "volumeMounts"),
    *("script", "computeResources"),  # Tekton's
}
SECURITY_KEYS = {
    *("runAsNonRoot", "runAsUser", "runAsGroup", "readOnlyRootFilesystem", "allowPrivilegeEscalation"),
    *("capabilities", "seccompProfile", "appArmorProfile"),
}
POD_SECURITY_KEYS = {"runAsNonRoot", "runAsUser", "runAsGroup", "fsGroup", "seccompProfile"}


def text(name: str) -> str:
    return (RECIPES / name).read_text()


def documents(name: str) -> list[Any]:
    return list(yaml.safe_load_all(text(name)))


def check(schema: str, path: Path, *more: str) -> None:
    """Check a file against one of the schemas that check-jsonschema brings along."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", *more, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("schema", "name", "more"),
    [
        ("github-actions", "github-actions/action.yml", ()),
        ("github-workflows", "github-actions/workflow.yml", ()),
        ("gitlab-ci", "gitlab/gitlab-ci.yml", ("--data-transform", "gitlab-ci")),
        ("buildkite", "buildkite/pipeline.yml", ()),
    ],
)
def test_a_file_is_valid_by_its_cis_schema(schema: str, name: str, more: tuple[str, ...]) -> None:
    check(schema, RECIPES / name, *more)


def test_gitlabs_component_is_valid_with_its_inputs_filled_in(tmp_path: Path) -> None:
    header, separator, body = text("gitlab/templates/push.yml").partition("\n---\n")
    assert separator
    inputs = yaml.safe_load(header)["spec"]["inputs"]
    used = set(re.findall(r"\$\[\[ inputs\.(\w+) \]\]", body))
    assert used == set(inputs)
    assert all(about.get("type", "string") in ("string", "array", "number", "boolean") for about in inputs.values())
    for name, about in inputs.items():
        value = '["build"]' if about.get("type") == "array" else about.get("default", "value")
        body = body.replace(f"$[[ inputs.{name} ]]", value)
    (tmp_path / "header.yml").write_text(header)
    (tmp_path / "job.yml").write_text(body)
    for name in ("header", "job"):
        check("gitlab-ci", tmp_path / f"{name}.yml", "--data-transform", "gitlab-ci")


@pytest.mark.parametrize("name", ["freestyle", "typed"])
def test_codefreshs_pipelines_are_valid(name: str, tmp_path: Path) -> None:
    said = program("validate", str(RECIPES / "codefresh" / f"{name}.yml"), cwd=tmp_path)
    assert "0 errors, 0 warnings" in said.stdout + said.stderr


def pods() -> Iterator[tuple[str, dict[str, Any], list[dict[str, Any]], set[str]]]:
    """Give every pod that a recipe makes: its recipe, its own settings, its containers, and its volumes."""
    (job,) = documents("kubernetes/job.yaml")
    pod = job["spec"]["template"]["spec"]
    yield "kubernetes", pod, pod["initContainers"] + pod["containers"], {one["name"] for one in pod["volumes"]}
    (pod,) = documents("jenkins/pod.yaml")
    yield "jenkins", pod["spec"], pod["spec"]["containers"], {one["name"] for one in pod["spec"]["volumes"]}
    (task,) = documents("tekton/task.yaml")
    yield "tekton", {}, task["spec"]["steps"], {one["name"] for one in task["spec"]["volumes"]}
    (run,) = documents("tekton/pipelinerun.yaml")
    for one in run["spec"]["pipelineSpec"]["tasks"]:
        yield "tekton", {}, one.get("taskSpec", {}).get("steps", []), set()
    (template,) = documents("argo/workflowtemplate.yaml")
    spec = template["spec"]
    volumes = {one["name"] for one in spec["volumes"]} | {
        one["metadata"]["name"] for one in spec["volumeClaimTemplates"]
    }
    containers = [one["container"] for one in spec["templates"] if "container" in one]
    yield "argo", {"securityContext": spec["securityContext"]}, containers, volumes
    (pipeline,) = documents("buildkite/pipeline.yml")
    patch = pipeline["steps"][1]["plugins"][0]["kubernetes"]["podSpecPatch"]
    yield "buildkite", patch, patch["containers"], {one["name"] for one in patch["volumes"]}


def test_pods_and_containers_have_only_keys_that_kubernetes_knows() -> None:
    for recipe, pod, containers, volumes in pods():
        assert set(pod.get("securityContext", {})) <= POD_SECURITY_KEYS, recipe
        for container in containers:
            assert set(container) <= CONTAINER_KEYS, recipe
            assert set(container.get("securityContext", {})) <= SECURITY_KEYS, recipe
            assert {one["name"] for one in container.get("volumeMounts", [])} <= volumes, recipe
            for one in container.get("env", []):
                assert isinstance(one["value"], str), recipe


def pushing() -> list[tuple[str, dict[str, Any], dict[str, Any]]]:
    image = {"$(params.image)", IMAGE}
    return [(recipe, pod, one) for recipe, pod, ones, _ in pods() for one in ones if one["image"] in image]


@pytest.mark.parametrize(("recipe", "pod", "container"), pushing(), ids=[recipe for recipe, _, _ in pushing()])
def test_the_push_has_no_rights(recipe: str, pod: dict[str, Any], container: dict[str, Any]) -> None:
    security = {**pod.get("securityContext", {}), **container["securityContext"]}
    assert security["runAsNonRoot"] is True
    assert security["runAsUser"] >= 1000
    assert security["readOnlyRootFilesystem"] is True
    assert security["allowPrivilegeEscalation"] is False
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    resources = container.get("resources") or container["computeResources"]
    assert set(resources["requests"]) == {"cpu", "memory"}
    assert set(resources["limits"]) == {"memory"}
    writable = [one["mountPath"] for one in container["volumeMounts"] if not one.get("readOnly")]
    env = {one["name"]: one["value"] for one in container["env"]}
    for name in ("TMPDIR", "XDG_CACHE_HOME"):
        assert any(f"{env[name]}/".startswith(f"{place}/") for place in writable), name


def test_every_ci_has_a_push_that_was_looked_at() -> None:
    assert {recipe for recipe, _, _ in pushing()} == {"argo", "buildkite", "jenkins", "kubernetes", "tekton"}


def test_no_recipe_has_a_password_on_a_command_line() -> None:
    allowed = (
        r'printf \'%s\' "\$REGISTRY_PASSWORD" \|',
        r'printf \'%s\' "\$\{REGISTRY_PASSWORD:-\}" \|',
        r'printf \'%s\' "\$CI_REGISTRY_PASSWORD" \|',
        r'\[ -n "\$(REGISTRY_PASSWORD|\{REGISTRY_PASSWORD:-\})" \]',
        r"REGISTRY_PASSWORD: \$\{\{ inputs\.password \}\}$",
        r"- REGISTRY_PASSWORD=\$\{\{password\}\}$",
        r"password: \$\{\{ ?(REGISTRY_PASSWORD|github\.token) ?\}\}$",
    )
    for path in FILES:
        for line in path.read_text().splitlines():
            rest = re.sub("|".join(allowed), "", line)
            assert not re.search(r"\$\W*(\w*PASSWORD|github\.token|inputs\.password)", rest), f"{path}: {line}"
            assert not re.search(r"--password(?!-stdin)|--creds", rest), f"{path}: {line}"


def test_shell_lines_of_the_action_hold_no_text_from_outside() -> None:
    (action,) = documents("github-actions/action.yml")
    assert [step["run"] for step in action["runs"]["steps"] if "${{" in step["run"]] == []


def test_buildkites_pipeline_names_no_variable_that_its_upload_would_replace() -> None:
    (pipeline,) = documents("buildkite/pipeline.yml")
    assert "$" not in yaml.safe_dump(pipeline)


def test_jenkins_puts_nothing_into_shell_lines_itself() -> None:
    groovy = text("jenkins/Jenkinsfile")
    assert [groovy.count(one) for one in "{[("] == [groovy.count(one) for one in "}])"]
    assert groovy.count("'''") == 2
    assert re.findall(r'\bsh\b[^\n]*"', groovy) == []


@pytest.mark.parametrize("path", [path for path in FILES if path.suffix == ".sh"], ids=lambda path: path.name)
def test_a_script_can_be_run_and_stops_at_the_first_failure(path: Path) -> None:
    assert path.stat().st_mode & 0o111
    lines = path.read_text().splitlines()
    assert lines[0] == "#!/bin/sh"
    assert re.fullmatch(r"set -euf?", next(line for line in lines if not line.startswith("#")))
    subprocess.run(["/bin/sh", "-n", path], check=True)


def test_every_file_is_on_the_page_and_every_link_leads_somewhere() -> None:
    links = set(re.findall(r"\]\(([^)#]+)\)", PAGE.read_text()))
    assert {link for link in links if not (PAGE.parent / link).exists()} == set()
    assert {str(path.relative_to(PAGE.parent)) for path in FILES} - links == set()


def test_every_block_of_the_page_is_part_of_a_recipe() -> None:
    blocks = re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert PAGE.read_text().count("```") == 2 * len(blocks)
    texts = [path.read_text() for path in FILES]
    assert [block for block in blocks if not any(block.strip() in one for one in texts)] == []
    # Each builder's script is there whole, without its first lines.
    scripts = [path.read_text().partition("set -eu\n")[2] for path in FILES if path.parent.name == "builders"]
    assert set(scripts) <= set(blocks)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_programs_image_has_one_name(path: Path) -> None:
    assert set(re.findall(r"registry\.example\.com/ci/\S+?(?=[\s\"']|$)", path.read_text())) <= {IMAGE}
