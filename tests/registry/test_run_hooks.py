"""Hooks of real runs: their order, what they may do, and what is noted about images and builds."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from equipment.faults import Answer, Fault, FaultScript
from equipment.options import SandboxOptions
from equipment.sandbox import Sandbox
from images import Layout
from program import program
from running import Running, statuses, step

from oci_push.model.digest import Digest
from oci_push.runner.settings import RunSettings

LEAVE = RunSettings(allow_exec=True, env={"PATH": os.environ["PATH"]})


def one(hooks: str, *, root: str = "", more: str = "") -> str:
    """Write a pipeline of one push step with hooks."""
    return f"""
version: '1.0'
{root}
steps:
  p:
    type: push
    candidate: ${{{{IMAGE}}}}
    image_name: app
    registry: ${{{{REG}}}}
    tag: t
    {more}
    {hooks}
  after: {{type: push, candidate: '${{{{IMAGE}}}}', image_name: after, registry: '${{{{REG}}}}'}}
"""


def running(sandbox: Sandbox, image: Layout, settings: RunSettings = LEAVE) -> Running:
    """Prepare a run that may execute commands."""
    return Running(values={"IMAGE": f"oci:{image.path}", "REG": sandbox.address}, settings=settings)


@pytest.mark.parametrize(("answer", "middle"), [(201, "s"), (403, "f")])
def test_hooks_run_in_their_order_round_the_step(answer: int, middle: str, image: Layout, tmp_path: Path) -> None:
    log = tmp_path / "log"
    hooks = "hooks: {" + ", ".join(
        f"{event}: ['printf {letter} >> {log}']"
        for event, letter in (("on_elected", "e"), ("on_success", "s"), ("on_fail", "f"), ("on_finish", "z"))
    ) + "}"  # fmt: skip
    faults = [Fault(path="/app/", times=0, action=Answer(answer))] if answer == 403 else []
    with Sandbox(faults=FaultScript(faults)) as sandbox:
        running(sandbox, image).run(one(hooks))
    assert log.read_text() == f"e{middle}z"


def test_commands_do_not_run_without_leave(image: Layout, tmp_path: Path) -> None:
    with Sandbox() as sandbox:
        run = running(sandbox, image, RunSettings())
        report = run.run(one(f"hooks: {{on_success: ['touch {tmp_path}/ran']}}"))
        assert step(report, "p").hooks[0].status == "skipped"
        assert report.status == "success"
        assert any("--allow-exec" in text for text in run.texts())
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("settings", [LEAVE, RunSettings()])
def test_an_elected_hook_that_fails_or_may_not_run_fails_the_pipeline(settings: RunSettings, image: Layout) -> None:
    with Sandbox() as sandbox:
        report = running(sandbox, image, settings).run(one("hooks: {on_elected: ['exit 3']}", more="fail_fast: false"))
        assert statuses(report) == {"p": "failure", "after": "skipped"}
        assert report.exit_code == 1
        assert sandbox.traffic.count() == 0


def test_an_elected_hook_whose_step_may_fail_lets_the_push_go_on(image: Layout) -> None:
    hooks = "hooks: {on_elected: {exec: {image: alpine, fail_fast: false, commands: [exit 1]}}}"
    with Sandbox() as sandbox:
        assert statuses(running(sandbox, image).run(one(hooks)))["p"] == "success"


def test_other_hooks_never_change_the_outcome(image: Layout) -> None:
    with Sandbox() as sandbox:
        report = running(sandbox, image).run(one("hooks: {on_success: ['exit 1'], on_finish: ['exit 2']}"))
        assert report.status == "success"
        assert [(hook.event, hook.status) for hook in step(report, "p").hooks] == [
            ("on_success", "failure"),
            ("on_finish", "failure"),
        ]


def test_push_steps_in_hooks_push_and_know_the_steps_of_the_pipeline(image: Layout) -> None:
    copy = "{type: push, candidate: '${{p}}', image_name: copy, registry: '${{REG}}', tag: '${{parentSteps.p.result}}'}"
    hooks = f"hooks: {{on_success: {{exec: {copy}}}}}"
    with Sandbox() as sandbox:
        running(sandbox, image, RunSettings()).run(one(hooks))
        assert tuple(sandbox.store.tags("copy")) == ("success",)


def test_commands_see_variables_and_no_terminal(image: Layout, tmp_path: Path) -> None:
    with Sandbox() as sandbox:
        run = running(sandbox, image)
        run.run(one("hooks: {on_success: ['echo ${{steps.p.result}} $REG', 'read x || echo nothing']}"))
        assert f"  success {sandbox.address}" in run.texts()
        assert "  nothing" in run.texts()


def test_a_variable_is_a_word_in_the_environment_whatever_a_stranger_wrote(image: Layout, tmp_path: Path) -> None:
    branch = f"x; touch {tmp_path}/ran $(touch {tmp_path}/ran) `touch {tmp_path}/ran` '\"\n:"
    values = {"CF_BRANCH": branch, "not-a-name": "n", "PATH": "/nowhere", "LD_PRELOAD": "/evil", "NUL": "a\0b"}
    hooks = "hooks: {on_success: ['printf %s \"$CF_BRANCH\" > $OUT', 'env > $OUT.env', 'ls / > /dev/null']}"
    with Sandbox() as sandbox:
        run = running(sandbox, image)
        run.values = {**run.values, **values, "OUT": str(tmp_path / "out"), "LONG": "x" * 200_000}
        report = run.run(one(hooks))
    assert step(report, "p").hooks[0].status == "success"
    assert (tmp_path / "out").read_text() == branch
    assert not (tmp_path / "ran").exists()
    names = {line.partition("=")[0] for line in (tmp_path / "out.env").read_text().splitlines()}
    assert not names & {"not-a-name", "LD_PRELOAD", "NUL", "LONG"}


def test_a_secret_is_in_the_environment_only_as_a_variable_that_refers_to_it(image: Layout, tmp_path: Path) -> None:
    hooks = "hooks: {on_success: ['echo \"got $MINE\"', 'env > $OUT']}"
    with Sandbox() as sandbox:
        run = running(sandbox, image)
        run.config = {"secrets": {"store": {"one": "unused-secret", "two": "wanted-secret"}}}
        run.values = {**run.values, "MINE": "${{secrets.store.two}}", "OUT": str(tmp_path / "out")}
        run.run(one(hooks))
    left = (tmp_path / "out").read_text()
    assert "MINE=wanted-secret" in left
    assert "unused-secret" not in left
    assert "  got ***" in run.texts()


NOTES = """hooks:
      on_success:
        metadata:
          set:
            - ${{p.imageId}}:
                - quality: {evaluate: "1 + 2"}
                - broken: {evaluate: "1 +"}
                - alone
        annotations:
          set:
            - {entity_type: image, annotations: [{who: "${{REG}}"}], display: who}
            - {entity_id: x, annotations: [{text: "file:FILE"}, {none: "file:/no/such/file"}]}
          unset: [{annotations: [old]}]"""


def test_notes_are_evaluated_and_kept_in_the_report_only(image: Layout, tmp_path: Path) -> None:
    with Sandbox() as sandbox:
        run = running(sandbox, image, RunSettings(read_file=lambda path: "content" if path == "FILE" else None))
        report = run.run(one(NOTES))
        members = run.variables.exports()["p"]
        assert [(n.entity_type, n.entity_id, n.key, n.value) for n in step(report, "p").notes] == [
            ("image", members["imageId"], "quality", 3.0),
            ("image", members["imageId"], "broken", None),
            ("image", members["imageId"], "alone", None),
            ("image", members["imageId"], "who", sandbox.address),
            ("build", "x", "text", "content"),
            ("build", "x", "none", "file:/no/such/file"),
            ("build", "${{CF_BUILD_ID}}", "old", None),
        ]
        assert str(Digest.of(sandbox.store.manifest("app", "t") or b"")) == image.digest
        assert tuple(sandbox.store.tags("app")) == ("t",)


@pytest.mark.parametrize("knows_referrers", [True, False])
def test_notes_are_attached_to_the_image_on_demand(knows_referrers: bool, image: Layout) -> None:
    with Sandbox(options=SandboxOptions(referrers=knows_referrers)) as sandbox:
        running(sandbox, image, RunSettings(annotate_referrer=True)).run(one(NOTES))
        tag = image.digest.replace(":", "-")
        assert (tag in tuple(sandbox.store.tags("app"))) != knows_referrers
        if not knows_referrers:
            (listed,) = json.loads(sandbox.store.manifest("app", tag) or b"")["manifests"]
            assert listed["artifactType"] == "application/vnd.oci-push.annotations.v1"
            assert listed["annotations"]["quality"] == "3"
            attached = json.loads(sandbox.store.manifest("app", listed["digest"]) or b"")
            assert attached["subject"]["digest"] == image.digest


def test_hooks_of_the_pipeline_run_once_round_all_steps(image: Layout, tmp_path: Path) -> None:
    log = tmp_path / "log"
    told = {
        "on_elected": [f"printf e >> {log}"],
        "on_success": [f"printf s >> {log}"],
        "on_finish": [f"printf z >> {log}"],
    }
    root = f"hooks: {json.dumps(told)}"
    with Sandbox() as sandbox:
        report = running(sandbox, image).run(one("", root=root))
    assert log.read_text() == "esz"
    assert [hook.event for hook in report.hooks] == ["on_elected", "on_success", "on_finish"]


@pytest.mark.parametrize(("assumed", "is_told"), [([], True), (["--assume", "on_elected=failure"], False)])
def test_a_plan_says_which_commands_it_takes_to_succeed(assumed: list[str], is_told: bool, tmp_path: Path) -> None:
    text = one("", root="hooks: {on_elected: [echo hi], on_finish: [echo bye]}")
    (tmp_path / "p.yml").write_text(text)
    given = ["--var", "IMAGE=oci:image", "--var", "REG=127.0.0.1:9", *assumed]
    done = program("plan", "p.yml", *given, cwd=tmp_path)
    note = "note: on_elected: its shell commands are taken to succeed; run does them only with --allow-exec"
    assert (note in done.stderr) == is_told
    assert "on_finish: its" not in done.stderr
