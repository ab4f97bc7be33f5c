"""What `run` and `plan` refuse, and that it is before anything is contacted; and what a refusal tells."""

from __future__ import annotations

from pathlib import Path

import pytest
from equipment.options import SandboxOptions
from equipment.sandbox import Sandbox
from images import Layout
from planning import plan
from program import program
from validating import validate

FIRST = "  a: {type: push, candidate: 'oci:image', image_name: a, registry: '${{REG}}', tag: '1'}\n"


def write(folder: Path, steps: str, root: str = "") -> None:
    """Write ``p.yml``."""
    (folder / "p.yml").write_text(f"version: '1.0'\n{root}\nsteps:\n{FIRST}{steps}")


@pytest.mark.parametrize(
    ("steps", "options", "message"),
    [
        (
            "  b: {type: push, candidate: 'oci:image', image_name: b, registry: '${{REG}}', tag: '${{NOPE}}',"
            " when: {steps: [{name: a, on: [failure]}]}}\n",
            [],
            "unresolved variable ${{NOPE}}",
        ),
        (
            "  x: {type: build, image_name: x}\n  b: {type: push, candidate: '${{x}}', registry: '${{REG}}'}\n",
            [],
            "no image was given for it",
        ),
        ("", ["--assume", "a=failure"], "run does this itself"),
        ("", ["--report", "none/report.json"], "there is no folder none"),
        ("", ["--export", "none/e.env"], "there is no folder none"),
        ("", ["--export-format", "dotenv"], "--export-format needs --export"),
    ],
)
def test_a_mistake_is_told_before_anything_is_contacted(
    steps: str, options: list[str], message: str, image: Layout, tmp_path: Path
) -> None:
    write(tmp_path, steps)
    with Sandbox() as sandbox:
        done = program("run", "p.yml", "--var", f"REG={sandbox.address}", *options, cwd=tmp_path, code=2)
        assert message in done.stderr
        assert sandbox.traffic.count() == 0


def test_a_step_that_a_condition_guards_may_use_what_is_not_defined(image: Layout, tmp_path: Path) -> None:
    guarded = (
        "  b: {type: push, candidate: 'oci:image', image_name: b, registry: '${{REG}}', tag: '${{MAYBE}}',"
        ' when: {condition: {all: {known: \'includes("${{MAYBE}}", "{{MAYBE}}") == false\'}}}}\n'
    )
    write(tmp_path, guarded)
    with Sandbox() as sandbox:
        program("run", "p.yml", "--var", f"REG={sandbox.address}", cwd=tmp_path, code=0)
        assert tuple(sandbox.store.tags("a")) == ("1",)


def test_a_plan_whose_step_cannot_be_resolved_is_a_failed_build(tmp_path: Path) -> None:
    text = "version: '1.0'\nsteps:\n  p: {type: push, candidate: alpine, registry: r.example.com, tag: '${{NOPE}}'}\n"
    done = plan(tmp_path, text)
    assert (done.exit_code, done.value["build_status"], done.value["exit_code"]) == (2, "failure", 2)
    assert done.step("p")["result"] == "failure"
    assert "unresolved variable" in str(done.step("p")["reason"])


def test_nothing_is_assumed_of_a_parallel_step(tmp_path: Path) -> None:
    text = "version: '1.0'\nsteps: {g: {type: parallel, steps: {p: {type: push, candidate: alpine}}}}\n"
    done = plan(tmp_path, text, "--assume", "g=failure")
    assert done.exit_code == 2
    assert "assume it of its steps: p" in done.errors


def test_a_mistake_in_a_matrix_is_told_once(tmp_path: Path) -> None:
    text = "version: '1.0'\nsteps: {p: {type: push, candidate: alpine, matrix: {nope: [a, b, c]}}}\n"
    done = validate(tmp_path, text)
    assert [problem["message"] for problem in done.errors].count('"nope" is not allowed. Did you mean "type"?') <= 1
    assert len(done.errors) == 1


def test_a_refused_password_names_the_user_and_where_it_is_from(image: Layout, tmp_path: Path) -> None:
    step = (
        "  b: {type: push, candidate: 'oci:image', image_name: b, registry: '${{REG}}',"
        " credentials: {username: robot, password: planted}}\n"
    )
    (tmp_path / "p.yml").write_text(f"version: '1.0'\nsteps:\n{step}")
    with Sandbox(options=SandboxOptions(auth="basic")) as sandbox:
        done = program("run", "p.yml", "--var", f"REG={sandbox.address}", cwd=tmp_path, code=1)
    assert "user 'robot' of credentials of step 'b'" in done.stderr
    assert "planted" not in done.stderr


def test_commands_see_a_variable_as_the_pipeline_does(image: Layout, tmp_path: Path) -> None:
    write(tmp_path, "", root="hooks: {on_finish: ['echo said $WHO']}")
    with Sandbox() as sandbox:
        words = ["--var", f"REG={sandbox.address}", "--var", "WHO=option", "--var", "X=${{Y}}", "--var", "Y=${{X}}"]
        done = program("run", "p.yml", "--allow-exec", *words, cwd=tmp_path, code=0, WHO="environment")
    assert "said option" in done.stderr


def test_a_report_that_was_possible_and_is_not_any_more_hides_no_push(image: Layout, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    write(tmp_path, "", root="hooks: {on_finish: ['rmdir out']}")
    with Sandbox() as sandbox:
        options = ["--allow-exec", "--report", "out/r.json", "--export", "e.env"]
        done = program("run", "p.yml", "--var", f"REG={sandbox.address}", *options, cwd=tmp_path, code=2)
        assert done.stdout.splitlines() == [f"{sandbox.address}/a:1@{image.digest}"]
    assert "out/r.json: the report cannot be written" in done.stderr
    assert "a_result=success" in (tmp_path / "e.env").read_text()
