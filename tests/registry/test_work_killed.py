"""Workers and drivers that are killed, twenty times each, as the registry has seen so many requests."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from equipment.sandbox import Sandbox
from program import program, until, workers_of
from test_work_processes import images, is_alive, large_bodies, pipeline, requests, start, tags

KILLS = 20
IMAGES = 40


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    images(folder, IMAGES)
    return folder


@pytest.fixture
def laid_out(tmp_path: Path, made: Path) -> Path:
    for one in made.iterdir():
        (tmp_path / one.name).symlink_to(one)
    return tmp_path


def lay_out(folder: Path, sandbox: Sandbox) -> tuple[str, ...]:
    """Write units, and return the command that does them."""
    pipeline(folder, IMAGES, sandbox.address)
    program("plan", "p.yml", "--units", "u.jsonl", cwd=folder)
    return ("work", "u.jsonl", "--results", "r.jsonl", "--no-memory")


def repositories(folder: Path) -> list[str]:
    """Return the repositories of whole results."""
    lines = (folder / "r.jsonl").read_bytes().split(b"\n")[:-1] if (folder / "r.jsonl").exists() else []
    names = []
    for line in lines:
        try:
            names.append(json.loads(line)["result"]["results"][0]["repository"].partition("/")[2])
        except ValueError:  # cut off, and ended by whoever came next
            continue
    return names


def wait_for(sandbox: Sandbox, driver: subprocess.Popen[str], count: int) -> None:
    """Wait until a registry has seen so many requests."""
    until(lambda: len(requests(sandbox)) >= count or driver.poll() is not None)
    assert driver.poll() is None, "there were too few requests for all of the kills"


def test_twenty_workers_that_are_killed_lose_nothing_and_repeat_what_they_had(laid_out: Path) -> None:
    moments = random.Random(16)
    with Sandbox() as sandbox:
        words = lay_out(laid_out, sandbox)
        with start(*words, "--on", "local:2", "-j", "1", cwd=laid_out) as driver:
            # All wait for the first, and a unit that five workers have died of is given up.
            until(lambda: tags(sandbox) > 0 or driver.poll() is not None)
            for _ in range(KILLS):
                wait_for(sandbox, driver, len(requests(sandbox)) + moments.randint(1, 7))
                alive = [one for one in workers_of(driver.pid) if is_alive(one)]
                if alive:
                    os.kill(moments.choice(alive), signal.SIGKILL)
            out, said = driver.communicate(timeout=100)
        assert driver.returncode == 0, said
        assert len(out.splitlines()) == IMAGES
        assert "its worker was killed by signal 9; it is done again" in said
        # A worker has one unit under way, so each that was killed repeats one at most.
        assert IMAGES <= tags(sandbox) <= IMAGES + KILLS
        assert large_bodies(sandbox) <= 1 + KILLS
    assert len(repositories(laid_out)) == len(set(repositories(laid_out))) == IMAGES


def test_a_driver_that_is_killed_twenty_times_does_nothing_twice_that_it_noted(laid_out: Path) -> None:
    moments = random.Random(17)
    at_once = 2
    with Sandbox() as sandbox:
        words = (*lay_out(laid_out, sandbox), "-j", str(at_once))
        for _ in range(KILLS):
            done = set(repositories(laid_out))
            before = len(requests(sandbox))
            with start(*words, cwd=laid_out) as driver:
                wait_for(sandbox, driver, before + moments.randint(1, 5))
                driver.kill()
            asked = {one.path.removeprefix("/v2/").partition("/blobs/")[0] for one in requests(sandbox)[before:]}
            assert done.isdisjoint(path.partition("/manifests/")[0] for path in asked)
        again = program(*words, cwd=laid_out)
        assert f"{IMAGES} tags:" in again.stderr
        assert all(count <= 1 + KILLS * at_once for count in Counter(repositories(laid_out)).values())
        assert IMAGES <= tags(sandbox) <= IMAGES + KILLS * at_once
    assert len(repositories(laid_out)) == len(set(repositories(laid_out))) == IMAGES
