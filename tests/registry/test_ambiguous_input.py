"""What is not clear is an error before anybody is contacted."""

from __future__ import annotations

from pathlib import Path

import pytest
from equipment.sandbox import Sandbox
from images import layer, make_layout
from program import program
from running import Running, step

from oci_push.errors import ConfigError

PIPELINE = """
version: '1.0'
steps:
  build: {{type: build, image_name: team/app}}
  p: {{type: push, candidate: "{candidate}", registry: "{registry}", image_name: team/app, tag: '1'}}
"""


NOBODY = "http://127.0.0.1:9"


@pytest.fixture
def cwd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder with an empty home, and with a proxy that nobody may reach."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, NOBODY)
    return tmp_path


@pytest.mark.parametrize(
    "arguments",
    [
        ("push", "build/image", "{host}/app:1"),
        ("push", "alpine:3", "{host}/app:1"),
        ("push", "docker-daemon:app:1", "{host}/app:1"),
        ("push", "image", "localhost:5000"),
        ("push", "image", "team/app:1"),
        ("push", "image", "{host}/app:1", "team/app:1"),
        ("doctor", "team/app"),
        ("doctor", "clud"),
        ("auth", "explain", "team/app"),
    ],
)
def test_what_names_no_registry_is_refused_and_nobody_is_asked(arguments: tuple[str, ...], cwd: Path) -> None:
    make_layout(cwd / "image", layer(1))
    with Sandbox() as sandbox:
        words = (one.format(host=sandbox.address) for one in arguments)
        done = program(*words, cwd=cwd, code=2, HTTP_PROXY=NOBODY, HTTPS_PROXY=NOBODY)
        assert "connect" not in done.stderr
        assert not sandbox.traffic.requests


@pytest.mark.parametrize("candidate", ["docker-daemon:app:1", "dir:x", "https://reg.example/app"])
def test_a_pipeline_is_told_of_schemes_that_are_not_known(candidate: str, cwd: Path) -> None:
    with Sandbox() as sandbox:
        for running, text in (
            (Running(), candidate),
            (Running(candidates={"build": candidate}), "${{build}}"),
        ):
            with pytest.raises(ConfigError, match="is no form that is known"):
                running.run(PIPELINE.format(candidate=text, registry=sandbox.address))
        assert not sandbox.traffic.requests


def test_a_candidate_on_the_command_line_is_a_source_and_never_docker_hubs(cwd: Path) -> None:
    with Sandbox() as sandbox:
        running = Running(candidates={"build": "build/image"})
        report = running.run(PIPELINE.format(candidate="${{build}}", registry=sandbox.address))
        assert "no such file or folder" in str(step(report, "p").error)
        assert not sandbox.traffic.requests


def test_a_candidate_that_is_a_folder_and_an_image_of_docker_hub_is_not_guessed(cwd: Path) -> None:
    make_layout(cwd / "team" / "app", layer(1))
    with Sandbox() as sandbox:
        with pytest.raises(ConfigError, match="is a path that exists, and a name of an image too") as caught:
            Running().run(PIPELINE.format(candidate="team/app", registry=sandbox.address))
        assert "./team/app" in str(caught.value.hint)
        assert Running().run(PIPELINE.format(candidate="./team/app", registry=sandbox.address)).exit_code == 0
