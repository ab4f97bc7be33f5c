"""The options of transfers on the command line: what they do, and what is no value for them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from equipment.faults import Answer, Fault, FaultScript
from equipment.sandbox import Sandbox
from images import layer, make_layout
from program import program

PIPELINE = "version: '1.0'\nsteps: {p: {type: push, candidate: 'oci:image', image_name: a, registry: REG, tag: '1'}}\n"


@pytest.mark.parametrize("command", ["push", "run"])
def test_verify_reads_back_what_was_pushed(command: str, tmp_path: Path) -> None:
    make_layout(tmp_path / "image", layer(1))
    with Sandbox() as sandbox:
        (tmp_path / "p.yml").write_text(PIPELINE.replace("REG", sandbox.address))
        words = ["push", "oci:image", f"{sandbox.address}/a:1"] if command == "push" else ["run", "p.yml"]
        program(*words, "--verify", "--report", "r.json", cwd=tmp_path)
        report = json.loads((tmp_path / "r.json").read_text())
        (target,) = report["targets"] if command == "push" else report["steps"][0]["targets"]
        assert target["verified"] is True
        assert sandbox.traffic.count(method="GET", path_pattern="/manifests/1$") >= 1


def test_all_or_nothing_takes_back_the_tags_that_were_set(tmp_path: Path) -> None:
    make_layout(tmp_path / "image", layer(1))
    refused = Fault(method="PUT", path="/b/manifests/", times=0, action=Answer(403))
    with Sandbox(faults=FaultScript([refused])) as sandbox:
        places = [f"{sandbox.address}/a:1", f"{sandbox.address}/b:1"]
        done = program("push", "oci:image", *places, "--all-or-nothing", cwd=tmp_path, code=1)
        assert (tuple(sandbox.store.tags("a")), tuple(sandbox.store.tags("b"))) == ((), ())
    assert done.stdout == ""


@pytest.mark.parametrize("rate", ["fast", "0", "-1", "10X"])
def test_what_is_no_rate_is_refused(rate: str, tmp_path: Path) -> None:
    make_layout(tmp_path / "image", layer(1))
    done = program("push", "oci:image", "localhost:1/a:1", f"--limit-rate={rate}", cwd=tmp_path, code=2)
    assert f"--limit-rate '{rate}' is no rate" in done.stderr
    assert "10M" in done.stderr


@pytest.mark.parametrize("rate", ["500k", "10M", "1.5G"])
def test_a_rate_is_taken_with_its_unit(rate: str, tmp_path: Path) -> None:
    make_layout(tmp_path / "image", layer(1))
    with Sandbox() as sandbox:
        program("push", "oci:image", f"{sandbox.address}/a:1", "--limit-rate", rate, cwd=tmp_path)
        assert tuple(sandbox.store.tags("a")) == ("1",)
