"""Units of work against two docker-registries: by processes, with a registry that is killed, with workers that are."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from images import LayoutWriter, layer
from program import program, until, workers_of
from registries import DebianRegistry, Mode
from skopeo import Skopeo

ROOT = Path(__file__).parents[2]
PROGRAM = Path(sys.executable).with_name("oci-push")
COUNT = 8


@pytest.fixture
def registries(make_registry: Callable[[Mode], DebianRegistry]) -> tuple[DebianRegistry, DebianRegistry]:
    return make_registry(Mode()), make_registry(Mode())


@pytest.fixture
def digests(tmp_path: Path, registries: tuple[DebianRegistry, DebianRegistry]) -> dict[str, str]:
    """Write images with a layer in common, lay out their pushes to both registries, and return what each must be."""
    base, made = layer(1000, 1_600_000), {}
    steps = ["version: '1.0'", "mode: parallel", "steps:"]
    for number in range(COUNT):
        writer = LayoutWriter(tmp_path / f"i{number}")
        digest = writer.close(writer.image(base, layer(number))).digest
        for place, registry in enumerate(registries):
            made[f"{registry.host}/work/i{number}:1"] = digest
            steps.append(
                f"  s{number}_{place}: {{type: push, candidate: 'oci:i{number}', image_name: work/i{number},"
                f" tag: '1', registry: '{registry.host}'}}"
            )
    (tmp_path / "p.yml").write_text("\n".join(steps))
    program("plan", "p.yml", "--units", "u.jsonl", cwd=tmp_path)
    return made


def start(*words: str, cwd: Path) -> subprocess.Popen[str]:
    env = {"PATH": os.environ["PATH"], "HOME": str(cwd / "home"), "PYTHONPATH": str(ROOT)}
    pipe = subprocess.PIPE
    return subprocess.Popen([PROGRAM, *words], cwd=cwd, env=env, stdout=pipe, stderr=pipe, text=True)


def results(folder: Path) -> list[dict]:
    path = folder / "r.jsonl"
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


def test_all_is_there_and_the_common_layer_went_once(
    tmp_path: Path, registries: tuple[DebianRegistry, DebianRegistry], digests: dict[str, str], skopeo: Skopeo
) -> None:
    program("work", "u.jsonl", "--on", "local:2", "--no-memory", "--results", "r.jsonl", cwd=tmp_path)
    assert {name: skopeo.digest(f"docker://{name}") for name in digests} == digests
    for registry in registries:
        requests = registry.requests()
        puts = sum(one.method == "PUT" for one in requests)
        # A manifest, a configuration and a small layer of each image, and what all have in common.
        assert puts == 3 * COUNT + 1


def test_a_registry_that_was_killed_keeps_nobody_and_is_gone_on_with(
    tmp_path: Path, registries: tuple[DebianRegistry, DebianRegistry], digests: dict[str, str], skopeo: Skopeo
) -> None:
    other, killed = registries
    work = ("work", "u.jsonl", "--results", "r.jsonl", "--on", "local:2", "-j", "1", "--retries", "0")
    killed.kill()
    program(*work, cwd=tmp_path, code=6)
    assert {one for one in digests if one.startswith(other.host)} == {
        one["name"].rpartition(" to ")[2] for one in results(tmp_path) if one["result"]["error"] is None
    }
    killed.start()
    killed.forget()
    other.forget()
    program(*work, cwd=tmp_path)
    assert other.requests() == []
    assert {name: skopeo.digest(f"docker://{name}") for name in digests} == digests


def test_workers_that_are_killed_lose_nothing(tmp_path: Path, digests: dict[str, str], skopeo: Skopeo) -> None:
    with start("work", "u.jsonl", "--results", "r.jsonl", "--on", "local:2", "-j", "1", cwd=tmp_path) as driver:
        for done in (1, 4, 8):
            until(lambda most=done: len(results(tmp_path)) >= most or driver.poll() is not None)
            for worker in workers_of(driver.pid):
                with suppress(ProcessLookupError):  # it has ended by itself
                    os.kill(worker, signal.SIGKILL)
        _, said = driver.communicate(timeout=100)
    assert driver.returncode == 0, said
    assert {name: skopeo.digest(f"docker://{name}") for name in digests} == digests
    assert len({one["key"] for one in results(tmp_path)}) == len(results(tmp_path)) == len(digests)
