"""Runs in which no push step runs: said, explained, and a failure unless somebody wanted it so."""

from __future__ import annotations

from pathlib import Path

import pytest
from equipment.sandbox import Sandbox
from images import layer, make_layout
from running import Running, statuses, step

from oci_push.runner.settings import RunSettings

BUILD = "b: {type: build, image_name: o/r%s}"
PUSH = "p: {type: push, candidate: '${{b}}', registry: '%s', tag: x%s}"
TESTS = "tests: {image: alpine, commands: [x]}"
CLONE = "clone: {type: git-clone, repo: o/r, revision: main}"


def pipeline(*steps: str, parallel: bool = False) -> str:
    return f"version: '1.0'\nmode: {'parallel' if parallel else 'sequential'}\nsteps:\n  " + "\n  ".join(steps)


@pytest.fixture
def image(tmp_path: Path) -> str:
    return f"oci:{make_layout(tmp_path / 'image', layer(1)).path}"


def when(text: str) -> str:
    return f", when: {text}"


AFTER_TESTS = when("{steps: [{name: tests}]}")
IF_TESTS = when("{condition: {all: {ok: \"steps.tests.result == 'success'\"}}}")
ON_MAIN = when("{branch: {only: [main]}}")


@pytest.mark.parametrize("condition", [AFTER_TESTS, IF_TESTS])
def test_a_push_kept_back_by_steps_that_are_not_run_fails_the_build(condition: str, image: str) -> None:
    with Sandbox() as sandbox:
        done = Running(candidates={"b": image}).run(pipeline(BUILD % "", TESTS, PUSH % (sandbox.address, condition)))
        assert (done.exit_code, done.status) == (1, "failure")
        assert (done.pushes.ran, done.pushes.total) == (0, 1)
        assert "type freestyle is not run by oci-push" in step(done, "p").reason
        assert "--assume tests=success" in done.pushes.hint
        assert "--foreign" in done.pushes.hint
        assert sandbox.traffic.count() == 0


def test_a_push_on_a_branch_that_nobody_knows_fails_the_build(image: str) -> None:
    text = pipeline(BUILD % "", PUSH % ("reg.example", ON_MAIN))
    done = Running(candidates={"b": image}).run(text)
    assert done.exit_code == 1
    assert "--var CF_BRANCH=NAME" in done.pushes.hint


@pytest.mark.parametrize("unknown", ["CF_BRANCH", "CF_BRANCH_TAG_NORMALIZED", "CF_SHORT_REVISION"])
def test_so_does_a_condition_on_it(unknown: str, image: str) -> None:
    condition = when(f'{{condition: {{all: {{c: \'"${{{{{unknown}}}}}" == "main"\'}}}}}}')
    done = Running(candidates={"b": image}).run(pipeline(BUILD % "", PUSH % ("reg.example", condition)))
    assert done.exit_code == 1


OWN = [
    ON_MAIN,
    when("{condition: {all: {c: '1 == 2'}}}"),
    when('{condition: {all: {c: \'"${{CF_BRANCH}}" == "main"\'}}}'),
    when('{condition: {all: {c: \'includes("${{RELEASE}}", "{{RELEASE}}") == false\'}}}'),
    when("{steps: [{name: b, on: [failure]}]}"),
    when("{condition: {all: {c: \"steps.b.result == 'failure'\"}}}"),
]


@pytest.mark.parametrize("condition", OWN)
def test_a_push_that_says_no_itself_passes(condition: str, image: str) -> None:
    text = pipeline(BUILD % "", PUSH % ("reg.example", condition))
    done = Running(candidates={"b": image}, values={"CF_BRANCH": "other"}).run(text)
    assert statuses(done)["p"] == "skipped"
    assert (done.exit_code, done.status, done.pushes.ran) == (0, "success", 0)


def test_what_waits_for_a_step_that_said_no_itself_passes(image: str) -> None:
    first = PUSH % ("reg.example", ON_MAIN)
    second = PUSH.replace("p:", "q:") % ("reg.example", when("{steps: [{name: p}]}"))
    done = Running(candidates={"b": image}, values={"CF_BRANCH": "other"}).run(pipeline(BUILD % "", first, second))
    assert (done.exit_code, done.pushes.ran, done.pushes.total) == (0, 0, 2)


def test_one_push_that_ran_suffices(image: str) -> None:
    with Sandbox() as sandbox:
        first, second = PUSH % (sandbox.address, ""), PUSH.replace("p:", "q:") % (sandbox.address, AFTER_TESTS)
        done = Running(candidates={"b": image}).run(pipeline(BUILD % "", TESTS, first, second))
        assert (done.exit_code, done.pushes.ran, done.pushes.total) == (0, 1, 2)


@pytest.mark.parametrize(("required", "condition", "code"), [(True, ON_MAIN, 1), (False, AFTER_TESTS, 0)])
def test_the_switch_decides(required: bool, condition: str, code: int, image: str) -> None:
    running = Running(
        candidates={"b": image}, values={"CF_BRANCH": "other"}, settings=RunSettings(requires_push=required)
    )
    done = running.run(pipeline(BUILD % "", TESTS, PUSH % ("reg.example", condition)))
    assert done.exit_code == code


def test_a_run_without_push_steps_is_as_it_was() -> None:
    assert Running().run(pipeline(TESTS)).exit_code == 0


CHAIN = (CLONE, BUILD % when("{steps: [{name: clone}]}"))


@pytest.mark.parametrize("parallel", [True, False])
def test_a_given_image_stands_for_its_build_and_its_clone(parallel: bool, image: str) -> None:
    with Sandbox() as sandbox:
        push = PUSH % (sandbox.address, when("{steps: [{name: b}, {name: clone}]}"))
        done = Running(candidates={"b": image}).run(pipeline(*CHAIN, push, parallel=parallel))
        assert statuses(done) == {"clone": "success", "b": "success", "p": "success"}
        assert sandbox.store.tags("o/r") == ("x",)


def test_a_given_image_does_not_stand_for_tests(image: str) -> None:
    build = BUILD % when("{steps: [{name: tests}]}")
    push = PUSH % ("reg.example", when("{steps: [{name: b}, {name: tests}]}"))
    done = Running(candidates={"b": image}).run(pipeline(TESTS, build, push, parallel=True))
    assert statuses(done) == {"tests": "skipped", "b": "success", "p": "skipped"}
    assert done.exit_code == 1


def test_what_is_assumed_of_a_clone_goes_before(image: str) -> None:
    push = PUSH % ("reg.example", when("{steps: [{name: b}]}"))
    done = Running(candidates={"b": image}, assume=("clone=failure",)).run(pipeline(*CHAIN, push, parallel=True))
    assert statuses(done)["clone"] == "failure"
    assert done.exit_code == 1


def test_the_root_of_a_chain_is_in_every_reason(image: str) -> None:
    first = PUSH % ("reg.example", AFTER_TESTS)
    second = PUSH.replace("p:", "q:") % ("reg.example", when("{steps: [{name: p}]}"))
    done = Running(candidates={"b": image}).run(pipeline(BUILD % "", second, first, TESTS, parallel=True))
    for name in ("p", "q"):
        assert "type freestyle is not run by oci-push" in step(done, name).reason
        assert "pending" not in step(done, name).reason


def test_a_step_that_does_not_exist_keeps_nobody_quietly_waiting(image: str) -> None:
    push = PUSH % ("reg.example", when("{steps: [{name: nobody}]}"))
    done = Running(candidates={"b": image}).run(pipeline(BUILD % "", push))
    assert done.exit_code == 1
    assert "'nobody', which does not exist" in done.pushes.idle[0][1]
