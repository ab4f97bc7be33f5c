"""`oci-push init`: what it writes is valid, can be planned and rehearsed, and is made from what was found."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
from pathlib import Path

import jsonschema
import pytest
import yaml
from images import config_of, docker_archive, layer, make_layout
from program import program

from oci_push.language.config_schema import config_schema

GITHUB = {"GITHUB_ACTIONS": "true", "GITHUB_REPOSITORY": "Acme/Shop", "GITHUB_SHA": "1" * 40, "GITHUB_REF_NAME": "main"}
GITLAB = {
    "GITLAB_CI": "true",
    "CI_PROJECT_NAMESPACE": "acme/web",
    "CI_PROJECT_NAME": "shop",
    "CI_COMMIT_SHA": "2" * 40,
    "CI_COMMIT_BRANCH": "main",
    "CI_REGISTRY": "registry.gitlab.example:5050",
}
LOGINS = {
    "auths": {"ghcr.io": {"auth": "bWU6Z2VoZWlt"}, "reg.example:5000/team": {}, "https://index.docker.io/v1/": {}}
}
GIT = shutil.which("git")


def git(folder: Path, *words: str) -> None:
    env = {"HOME": str(folder), "PATH": "/usr/bin:/bin", "GIT_CONFIG_NOSYSTEM": "1"}
    who = ("-c", "user.name=me", "-c", "user.email=me@example.com")
    subprocess.run(["git", *who, *words], cwd=folder, env=env, check=True, capture_output=True)


def nothing(folder: Path) -> dict[str, str]:
    return {}


def a_recipe(folder: Path) -> dict[str, str]:
    (folder / "Containerfile").touch()
    (folder / "docker").mkdir()
    (folder / "docker" / "Dockerfile.test").touch()
    return {}


def a_layout(folder: Path) -> dict[str, str]:
    make_layout(folder / "build" / "image", layer(1))
    return {}


def archives(folder: Path) -> dict[str, str]:
    content = docker_archive(("l.tar", layer(2)), config=config_of(layer(2)), paths=["l.tar"])
    (folder / "one.tar").write_bytes(content)
    (folder / "two of it.tar").write_bytes(content)
    (folder / "broken.tar").write_bytes(b"no tar")
    (folder / "App.TAR").write_bytes(content)
    return {}


def names_that_no_source_can_have(folder: Path) -> dict[str, str]:
    make_layout(folder / "a:b", layer(1))
    make_layout(folder / "${X}", layer(1))
    make_layout(folder / "true", layer(1))
    return {}


def several_in_one_layout(folder: Path) -> dict[str, str]:
    make_layout(folder / "image", layer(1))
    index = json.loads((folder / "image" / "index.json").read_text())
    (entry,) = index["manifests"]
    index["manifests"] = [
        {**entry, "annotations": {"org.opencontainers.image.ref.name": name}} for name in ("1.0", "latest")
    ]
    (folder / "image" / "index.json").write_text(json.dumps(index))
    return {}


def github(folder: Path) -> dict[str, str]:
    a_recipe(folder)
    return GITHUB


def gitlab(folder: Path) -> dict[str, str]:
    a_layout(folder)
    return GITLAB


def logins(folder: Path) -> dict[str, str]:
    (folder / "docker").mkdir()
    (folder / "docker" / "config.json").write_text(json.dumps(LOGINS))
    return {"DOCKER_CONFIG": str(folder / "docker")}


def broken_logins(folder: Path) -> dict[str, str]:
    return {"DOCKER_AUTH_CONFIG": '{"auths": geheim'}


def a_clone(folder: Path) -> dict[str, str]:
    assert GIT, "git is not installed"
    (folder / "Dockerfile").touch()
    git(folder, "init", "-q", "-b", "main")
    git(folder, "remote", "add", "origin", "https://me:geheim@github.com/Acme/Shop.git")
    git(folder, "commit", "-q", "--allow-empty", "-m", "begin")
    return {}


SITUATIONS = (
    nothing,
    a_recipe,
    a_layout,
    archives,
    names_that_no_source_can_have,
    several_in_one_layout,
    github,
    gitlab,
    logins,
    broken_logins,
    a_clone,
)


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda one: one.__name__)
def test_what_is_written_validates_and_can_be_planned(situation, tmp_path: Path) -> None:
    env = situation(tmp_path)
    done = program("init", cwd=tmp_path, **env)
    jsonschema.validate(yaml.safe_load((tmp_path / "oci-push.yaml").read_text()), config_schema())
    validated = program("validate", "pipeline.yml", cwd=tmp_path, **env)
    assert validated.stdout == "0 errors, 0 warnings\n"
    planned = program("plan", "pipeline.yml", "--json", cwd=tmp_path, **env)
    steps = json.loads(planned.stdout)["steps"]
    assert [step["type"] for step in steps] == ["build", "push"] * (len(steps) // 2)
    assert "warning:" not in planned.stderr
    written = "".join((tmp_path / name).read_text() for name in ("oci-push.yaml", "pipeline.yml"))
    for secret in ("geheim", "bWU6Z2VoZWlt"):
        assert secret not in written + done.stdout + done.stderr


@pytest.mark.parametrize("situation", [a_layout, archives, several_in_one_layout, gitlab], ids=lambda one: one.__name__)
def test_images_that_were_found_can_be_pushed(situation, tmp_path: Path) -> None:
    env = situation(tmp_path)
    program("init", cwd=tmp_path, **env)
    done = program("run", "pipeline.yml", "--sandbox", cwd=tmp_path, **env)
    assert "Build finished: success" in done.stderr


def written(folder: Path, situation) -> tuple[dict, dict]:
    env = situation(folder)
    program("init", "--output-dir", "new/ci", cwd=folder, **env)
    texts = [(folder / "new" / "ci" / name).read_text() for name in ("oci-push.yaml", "pipeline.yml")]
    config, pipeline = map(yaml.safe_load, texts)
    return config, pipeline


def test_github_means_its_registry_revision_and_name(tmp_path: Path) -> None:
    config, pipeline = written(tmp_path, github)
    assert config["registries"] == [
        {
            "name": "ghcr-io",
            "domain": "ghcr.io",
            "default": True,
            "username": "${GITHUB_ACTOR}",
            "password": "${GITHUB_TOKEN}",
        }
    ]
    assert pipeline["steps"]["push-shop"]["tags"] == ["${{CF_SHORT_REVISION}}", "${{CF_BRANCH_TAG_NORMALIZED}}"]
    assert pipeline["steps"]["build-shop"]["image_name"] == "acme/shop"


def test_gitlab_means_the_registry_that_it_names(tmp_path: Path) -> None:
    config, pipeline = written(tmp_path, gitlab)
    assert config["registries"][0]["domain"] == "registry.gitlab.example:5050"
    assert config["candidates"] == {"build-image": "oci:build/image"}
    assert pipeline["steps"]["build-image"]["image_name"] == "acme/web/shop"


def test_hosts_of_login_files_are_registries_without_their_logins(tmp_path: Path) -> None:
    config, _ = written(tmp_path, logins)
    assert [(one["domain"], one.get("repository_prefix")) for one in config["registries"]] == [
        ("docker.io", None),
        ("ghcr.io", None),
        ("reg.example:5000", "team"),
    ]
    assert not any("password" in one for one in config["registries"])


def test_each_named_image_of_a_layout_has_a_step(tmp_path: Path) -> None:
    config, _ = written(tmp_path, several_in_one_layout)
    assert list(config["candidates"].values()) == ["oci:image:1.0", "oci:image:latest"]


def test_the_git_remote_names_the_image_and_the_registry(tmp_path: Path) -> None:
    config, pipeline = written(tmp_path, a_clone)
    assert config["registries"][0]["domain"] == "ghcr.io"
    assert pipeline["steps"]["push-shop"]["tags"][0] == "${{CF_SHORT_REVISION}}"


def test_names_that_no_source_can_have_are_told_and_left_out(tmp_path: Path) -> None:
    names_that_no_source_can_have(tmp_path)
    done = program("init", "--stdout", cwd=tmp_path)
    assert done.stderr.count("is left out: a SOURCE cannot be written with this name") == 2
    assert "build-true: oci:true\n" in done.stdout


def test_nothing_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "pipeline.yml").write_text("mine")
    done = program("init", cwd=tmp_path, code=2)
    assert "error: pipeline.yml: already there" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pipeline.yml"]
    assert (tmp_path / "pipeline.yml").read_text() == "mine"


def test_a_link_that_leads_nowhere_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "oci-push.yaml").symlink_to(tmp_path / "elsewhere")
    program("init", cwd=tmp_path, code=2)
    assert not (tmp_path / "elsewhere").exists()
    assert not (tmp_path / "pipeline.yml").exists()


def test_the_commands_that_it_prints_can_be_copied(tmp_path: Path) -> None:
    done = program("init", "--output-dir", "my dir", cwd=tmp_path)
    _, plan, rehearsal, _ = done.stdout.splitlines()
    for line in (plan, rehearsal):
        assert shlex.split(line)[0] == "oci-push"
    program(*shlex.split(plan)[1:], cwd=tmp_path)


def test_a_folder_that_cannot_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = program("init", "--output-dir", "file/ci", cwd=tmp_path, code=2)
    assert "error: file/ci: cannot be written to" in done.stderr


def test_stdout_writes_nothing(tmp_path: Path) -> None:
    done = program("init", "--stdout", cwd=tmp_path)
    assert "# ---- oci-push.yaml\n" in done.stdout
    assert "# ---- pipeline.yml\n" in done.stdout
    assert list(tmp_path.iterdir()) == []
