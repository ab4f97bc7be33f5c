"""Files of units and results as people and machines treat them, at the command."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from equipment.sandbox import Sandbox
from program import program
from test_work_processes import GUARDED, PLANTED, PROGRAM, ROOT, config, images, pipeline, requests, tags

from oci_push.engine.unit import PushUnit, UnitTarget
from oci_push.model.digest import Digest
from oci_push.model.reference import Repository
from oci_push.work.units import WorkUnit, write_units


def test_a_login_never_goes_where_whoever_wrote_a_unit_leads_it(tmp_path: Path) -> None:
    images(tmp_path, 1)
    root = Digest.parse(json.loads((tmp_path / "i0/index.json").read_text())["manifests"][0]["digest"])
    with Sandbox(options=GUARDED) as trusted, Sandbox(options=GUARDED) as other:
        config(tmp_path, trusted)
        login = ("login", trusted.address, "--username", "robot", "--password-stdin")
        program(*login, cwd=tmp_path, stdin=PLANTED)
        trusted.traffic.clear()
        units = [
            WorkUnit.of(PushUnit("oci:i0", (UnitTarget(Repository(host, f"x{number}"), ("v1",), name),)), root)
            for number, (host, name) in enumerate(
                [
                    (other.address, f"push inner@{trusted.address}"),
                    (other.address, f"push inner@{other.address}"),
                    (trusted.address, f"push @{other.address}"),
                ]
            )
        ]
        write_units(tmp_path / "u.jsonl", "by hand", units)
        for more in ((), ("--check",), ("--on", "local:1")):
            done = program("work", "u.jsonl", "--config", "oci-push.yaml", *more, cwd=tmp_path, code=2)
            assert "names the registry" in done.stderr
        assert not requests(trusted)
        assert not requests(other)


def test_an_image_that_is_not_there_fails_its_own_unit_alone(tmp_path: Path) -> None:
    images(tmp_path, 2)
    with Sandbox() as sandbox:
        pipeline(tmp_path, 2, sandbox.address)
        (tmp_path / "p.yml").write_text((tmp_path / "p.yml").read_text().replace("oci:i", "I"))
        for number in range(2):
            (tmp_path / f"i{number}").rename(tmp_path / f"I{number}")
        program("plan", "p.yml", "--units", "u.jsonl", cwd=tmp_path)
        (tmp_path / "I0").rename(tmp_path / "gone")
        failed = program("work", "u.jsonl", "--results", "r.jsonl", cwd=tmp_path, code=2)
        assert tags(sandbox) == 1
        assert "2 tags: 1 copied, 1 failed" in failed.stderr
        (tmp_path / "gone").rename(tmp_path / "I0")
        program("work", "u.jsonl", "--results", "r.jsonl", cwd=tmp_path)
        assert tags(sandbox) == 2


@pytest.mark.parametrize("command", ["plan", "copy"])
def test_stdin_is_no_unit(tmp_path: Path, command: str) -> None:
    pipeline(tmp_path, 1, "registry.example.com")
    (tmp_path / "p.yml").write_text((tmp_path / "p.yml").read_text().replace("'oci:i0'", "'-'"))
    words = ("p.yml",) if command == "plan" else ("-", "registry.example.com/x:1")
    refused = program(command, *words, "--units", "u.jsonl", cwd=tmp_path, code=2)
    assert "stdin can be read once" in refused.stderr


def test_results_of_other_units_are_told_of_and_count_for_nothing(tmp_path: Path) -> None:
    images(tmp_path, 2)
    with Sandbox() as sandbox, Sandbox() as gone:
        pipeline(tmp_path, 2, gone.address)
        program("plan", "p.yml", "--units", "old.jsonl", cwd=tmp_path)
        gone.stop()
        program("work", "old.jsonl", "--results", "r.jsonl", "--retries", "0", cwd=tmp_path, code=6)
        pipeline(tmp_path, 2, sandbox.address)
        program("plan", "p.yml", "--units", "new.jsonl", cwd=tmp_path)
        done = program("work", "new.jsonl", "--results", "r.jsonl", cwd=tmp_path)
        assert "r.jsonl: holds results of other units than those of new.jsonl" in done.stderr
        assert tags(sandbox) == 2
    merge = ("report", "merge", "r.jsonl")
    assert "4 units: 2 done, 2 failed" in program(*merge, cwd=tmp_path, code=6).stderr
    told = program(*merge, "--units", "new.jsonl", cwd=tmp_path).stderr
    assert "2 units: 2 done" in told
    assert "2 results of other units than those of new.jsonl: left out" in told


def test_a_limit_for_a_registry_that_no_unit_goes_to_is_refused(tmp_path: Path) -> None:
    images(tmp_path, 2)
    with Sandbox() as sandbox:
        pipeline(tmp_path, 2, sandbox.address)
        program("plan", "p.yml", "--units", "u.jsonl", cwd=tmp_path)
        refused = program("work", "u.jsonl", "--host-limit", "127.0.0.1=1", cwd=tmp_path, code=2)
        assert "--host-limit 127.0.0.1: no unit goes there" in refused.stderr
        assert f"they go to {sandbox.address}" in refused.stderr
        program("work", "u.jsonl", "--shard", "3/3", "--host-limit", f"{sandbox.address}=1", cwd=tmp_path)
        assert not requests(sandbox)


def test_a_full_disk_stops_the_work_and_what_was_noted_counts(tmp_path: Path) -> None:
    images(tmp_path, 6)
    with Sandbox() as sandbox:
        pipeline(tmp_path, 6, sandbox.address)
        program("plan", "p.yml", "--units", "u.jsonl", cwd=tmp_path)
        work = ("work", "u.jsonl", "--results", "r.jsonl", "--no-memory")
        limited = ["sh", "-c", 'ulimit -f 10; exec "$@"', "sh", PROGRAM, *work, "-j", "1"]
        env = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path / "home"),
            "PYTHONPATH": str(ROOT),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        done = subprocess.run(limited, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=100)
        assert done.returncode == 2, done.stderr
        assert "r.jsonl: the result cannot be written (File too large)" in done.stderr
        noted = (tmp_path / "r.jsonl").read_bytes().count(b"\n")
        # The one whose result did not fit was done, and none after it.
        assert tags(sandbox) == noted + 1
        again = program(*work, cwd=tmp_path)
        assert f"{noted} there and not asked for" in again.stderr
        assert tags(sandbox) == 6
