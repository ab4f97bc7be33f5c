"""Pipelines done by processes: what is decided, reported and exported is what one process would."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from equipment.faults import Answer, Fault, FaultScript, Stall
from equipment.options import SandboxOptions
from equipment.sandbox import Sandbox
from program import program
from test_work_processes import ROOT, images, pipeline, requests

from oci_push.secret import Secret

GUARDED = SandboxOptions(auth="basic", username="robot", password=Secret("word"))
NAMED = ("hub", "myazureregistry", "dead")
FIXTURES = ("integration", "parallel", "several-tags", "fields", "inline-credentials")
PUSH = "type: push, tag: v1, registry: hub"
OWN = {
    "names of steps before": f"""
  first: {{{PUSH}, candidate: 'oci:i0', image_name: t/first}}
  second: {{{PUSH}, candidate: 'oci:i1', image_name: 't/${{{{steps.first.result}}}}'}}
  third: {{{PUSH}, candidate: '${{{{first}}}}', image_name: t/third}}
""",
    "a failure that ends the run": f"""
  first: {{{PUSH}, candidate: 'oci:nowhere', image_name: t/first}}
  second: {{{PUSH}, candidate: 'oci:i1', image_name: t/second}}
""",
    "a failure that does not, and a condition on it": f"""
  first: {{{PUSH}, candidate: 'oci:i0', image_name: t/denied, fail_fast: false}}
  second: {{{PUSH}, candidate: 'oci:i1', image_name: t/second}}
  third: {{{PUSH}, candidate: 'oci:i0', image_name: t/third,
    when: {{condition: {{all: {{failed: steps.first.result == 'failure'}}}}}}}}
""",
    "a registry that is gone, tried twice": f"""
  first: {{{PUSH.replace("hub", "dead")}, candidate: 'oci:i0', image_name: t/first, fail_fast: false,
    retry: {{maxAttempts: 2, delay: 0.01}}}}
  second: {{{PUSH}, candidate: 'oci:i1', image_name: t/second}}
""",
    "a step whose time is over": f"""
  first: {{{PUSH}, candidate: 'oci:i0', image_name: t/stalled, timeout: 1s, fail_fast: false}}
  second: {{{PUSH}, candidate: 'oci:i1', image_name: t/second}}
""",
    "hooks": f"""
  first: {{{PUSH}, candidate: 'oci:i0', image_name: t/first, hooks: {{on_success: ['echo pushed'],
    on_finish: {{annotations: {{set: [{{entity_type: image, annotations: [{{branch: main}}]}}]}}}}}}}}
  second: {{{PUSH}, candidate: 'oci:i1', image_name: t/second, hooks: {{on_success: ['exit 3']}}}}
""",
    "a build step and what waits for it": f"""
  build: {{type: build, image_name: t/built}}
  first: {{{PUSH}, candidate: '${{{{build}}}}', image_name: t/first, when: {{steps: [{{name: build, on: [success]}}]}}}}
  second: {{{PUSH}, candidate: 'oci:i1', image_name: t/second, when: {{steps: [{{name: first, on: [failure]}}]}}}}
""",
}
ANYTHING_ELSE = re.compile(
    r"phases|seconds|_s$|cost|bytes|requests|retries|started|ended|outcome|counts|resent|entity_id|mounted"
)


def pipelines(folder: Path) -> dict[str, Path]:
    """Write pipelines that push to the registry of the test alone."""
    found = {}
    for name in FIXTURES:
        text = (ROOT / f"fixtures/pipelines/{name}.yml").read_text().replace("dtr.example.com", "hub")
        found[name] = folder / f"{name}.yml"
        found[name].write_text(re.sub(r"\n +credentials:(\n +(?:username|password):.*)+", "", text))
    for name, steps in OWN.items():
        found[name] = folder / f"{len(found)}.yml"
        found[name].write_text(f"version: '1.0'\nsteps:{steps}")
    return found


@contextmanager
def registry(folder: Path) -> Iterator[Sandbox]:
    """Give a registry that all names lead to, but for one that nobody listens at."""
    refusing = [
        Fault("PUT", "/t/denied/manifests/v1", action=Answer(403, code="DENIED"), times=0),
        Fault("POST", "/t/stalled/blobs/uploads/", action=Stall(300), times=0),
    ]
    with Sandbox() as gone:
        nobody = gone.address
    with Sandbox(options=GUARDED, faults=FaultScript(refusing)) as sandbox:
        places = {name: nobody if name == "dead" else sandbox.address for name in NAMED}
        (folder / "oci-push.yaml").write_text(
            json.dumps(
                {
                    "registries": [
                        {"name": name, "domain": place, "username": "robot", "password": "${PASSWORD}"}
                        for name, place in places.items()
                    ],
                    "candidates": {"build": "oci:i0"},
                    "variables": dict.fromkeys(
                        ("CF_BRANCH", "CF_REVISION", "CF_SHORT_REVISION", "CF_BRANCH_TAG_NORMALIZED"), "main"
                    ),
                }
            )
        )
        yield sandbox


def decided(value: object) -> object:
    """Return a report without what is another one each time: times, sizes, and what was there already."""
    if isinstance(value, dict):
        return {name: decided(item) for name, item in value.items() if not ANYTHING_ELSE.search(name)}
    if isinstance(value, list):
        return [decided(item) for item in value]
    return re.sub(r"127\.0\.0\.1:\d+|\d+\.\d s", "…", value) if isinstance(value, str) else value


def test_events_of_all_processes_are_whole_and_those_of_one_process(tmp_path: Path) -> None:
    images(tmp_path, 8)
    ends = []
    for where in ((), ("--on", "local:2")):
        with Sandbox() as sandbox:
            pipeline(tmp_path, 8, sandbox.address)
            words = ("run", "p.yml", "--progress", "json", "--json", "--no-memory")
            done = program(*words, *where, cwd=tmp_path)
        events = [json.loads(line) for line in done.stderr.splitlines()]
        assert json.loads(done.stdout)["build_status"] == "success"
        ends.append({text for one in events for text in re.findall(r"team/i\d|s\d_0", json.dumps(one))})
    assert ends[0] == ends[1]
    assert len(ends[0]) == 16


@pytest.mark.parametrize("name", [*FIXTURES, *OWN])
def test_processes_come_to_what_one_process_does(tmp_path: Path, name: str) -> None:
    images(tmp_path, 2)
    file = pipelines(tmp_path)[name]
    ends = []
    for where in ((), ("--on", "local:2")):
        with registry(tmp_path) as sandbox:
            words = (
                "run",
                file.name,
                "--config",
                "oci-push.yaml",
                "--json",
                "--allow-exec",
                "--retries",
                "0",
                "--no-memory",
            )
            done = program(*words, "--export", "out.env", *where, cwd=tmp_path, code=None, PASSWORD="word")
            tags = {one.path for one in requests(sandbox) if one.method == "PUT" and "/manifests/" in one.path}
        exports = sorted(str(decided((tmp_path / "out.env").read_text())).splitlines())
        ends.append(
            (done.returncode, json.dumps(decided(json.loads(done.stdout)), indent=1).splitlines(), tags, exports)
        )
        assert "word" not in done.stderr + done.stdout
    for here, away in zip(*ends, strict=True):
        assert away == here
    assert ends[0][2] or "fail" in name
