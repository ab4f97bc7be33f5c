"""The program as a user runs it: `oci-push run` and `plan`, rehearsed and for real against a sandbox."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from equipment.sandbox import Sandbox
from images import layer, make_layout
from program import program

PROGRAM = Path(sys.executable).with_name("oci-push")
ROOT = Path(__file__).parents[2]


def oci_push(*arguments: str, cwd: Path, code: int = 0, **env: str) -> subprocess.CompletedProcess[str]:
    """Run the program with an empty home, which is in `cwd` unless it is given."""
    return program(*arguments, cwd=cwd, code=code, **env)


def test_the_demo_runs_without_any_credentials(tmp_path: Path) -> None:
    done = oci_push("run", "fixtures/demo/pipeline.yml", "--sandbox", "--debug", cwd=ROOT, HOME=str(tmp_path))
    assert [line.split("@")[0].partition("/")[2] for line in done.stdout.splitlines()] == [
        "docker.io/demo/hello:latest",
        "docker.io/demo/hello:1.4.2",
        "registry.eu.example.com/demo/hello:1.4.2",
        "registry.us.example.com/mirror/hello:1.4.2",
    ]
    assert "Successfully ran push step: Publishing to Docker Hub" in done.stderr
    # Both tags of Docker Hub come about in one request.
    puts = re.findall(r" PUT http\S+/v2/(\S+)/manifests/", done.stderr)
    assert sorted(puts) == [
        "docker.io/demo/hello",
        "registry.eu.example.com/demo/hello",
        "registry.us.example.com/mirror/hello",
    ]


def test_the_demos_plan_contacts_nobody(tmp_path: Path) -> None:
    done = oci_push("plan", "fixtures/demo/pipeline.yml", "--json", cwd=ROOT, HOME=str(tmp_path))
    plan = json.loads(done.stdout)
    assert [step["targets"] for step in plan["steps"]][1] == [
        "docker.io/demo/hello:latest",
        "docker.io/demo/hello:1.4.2",
    ]


@pytest.fixture
def pipeline(tmp_path: Path) -> Path:
    """Write a pipeline whose second step uses what the first one exports."""
    make_layout(tmp_path / "image", layer(1))
    file = tmp_path / "pipeline.yml"
    file.write_text("""
version: '1.0'
steps:
  first: {type: push, candidate: 'oci:image', image_name: one, registry: '${{REG}}', tags: ['1', '2']}
  second: {type: push, candidate: '${{REG}}/one:1', image_name: two, registry: '${{REG}}', tag: '${{first.registry}}-x'}
""")
    file.write_text(file.read_text().replace("${{first.registry}}-x", "${{TAG}}"))
    return file


def test_a_pipeline_pushes_and_reports(pipeline: Path) -> None:
    with Sandbox() as sandbox:
        report = pipeline.parent / "report.json"
        oci_push(
            "run",
            "pipeline.yml",
            "--var",
            f"REG={sandbox.address}",
            "--report",
            str(report),
            cwd=pipeline.parent,
            TAG="t",
        )
        assert tuple(sandbox.store.tags("one")) == ("1", "2")
        assert tuple(sandbox.store.tags("two")) == ("t",)
    value = json.loads(report.read_text())
    assert [(s["name"], s["status"]) for s in value["steps"]] == [("first", "success"), ("second", "success")]
    assert value["exit_code"] == 0


def test_an_unresolved_variable_stops_before_any_request(pipeline: Path) -> None:
    with Sandbox() as sandbox:
        done = oci_push("run", "pipeline.yml", "--var", f"REG={sandbox.address}", cwd=pipeline.parent, code=2)
        assert "pipeline.yml:5:" in done.stderr
        assert "unresolved variable ${{TAG}}" in done.stderr
        assert sandbox.traffic.count() == 0


def test_a_failed_step_stops_the_rest_and_is_reported(pipeline: Path) -> None:
    report = pipeline.parent / "report.json"
    done = oci_push(
        "run", "pipeline.yml", "--var", "REG=127.0.0.1:1", "--retries", "0", "--report", str(report),
        cwd=pipeline.parent, code=1, TAG="t",
    )  # fmt: skip
    assert "cannot connect" in done.stderr
    assert [s["status"] for s in json.loads(report.read_text())["steps"]] == ["failure", "skipped"]


def test_sigterm_in_the_middle_cancels_and_exits_143(tmp_path: Path) -> None:
    from equipment.faults import Fault, FaultScript, Stall

    make_layout(tmp_path / "image", layer(1))
    with Sandbox(faults=FaultScript([Fault(method="PUT", path="/blobs/", times=0, action=Stall(60))])) as sandbox:
        child = subprocess.Popen(
            [PROGRAM, "push", "--no-memory", "oci:image", f"{sandbox.address}/a:1"],
            cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert sandbox.traffic.wait_until(lambda t: t.count(method="PUT") > 0)
        child.send_signal(signal.SIGTERM)
        _, errors = child.communicate(timeout=300)
        assert child.returncode == 143
        assert "stopped by SIGTERM" in errors
        assert tuple(sandbox.store.tags("a")) == ()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["push", "none.tar", "localhost:1/x"], 3, "none.tar: no such file or folder"),
        (["push", "oci:image", "localhost:1/X"], 2, "did you mean 'x'?"),
        (["push", "oci:image", "localhost:1/x:a/b"], 2, "is not a repository name"),
        (["push", "oci:image", "localhost:1/x", "-t", "-bad"], 2, "starts with '-'"),
        (["push", "oci:image", "localhost:1/x", "--ca-file", "none.pem"], 2, "none.pem: cannot be used"),
        (["push", "oci:image", "localhost:1/x", "--compression", "rar"], 2, "gzip, zstd or none"),
        (["push", "oci:image", "localhost:1/x", "--platform", "linux"], 2, "is not a platform"),
        (["run", "none.yml"], 2, "none.yml: cannot be read"),
        (["push", "oci:image", "localhost:1/x", "--retries", "0"], 6, "cannot connect to localhost:1"),
    ],
)
def test_bad_input_is_one_message_and_its_documented_exit_code(
    arguments: list[str], code: int, message: str, tmp_path: Path
) -> None:
    make_layout(tmp_path / "image", layer(1))
    assert message in oci_push(*arguments, cwd=tmp_path, code=code).stderr
