"""Every case about what a pipeline does and where it pushes, through `oci-push plan` as a user runs it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from planning import Planned, plan
from validating import read_cases

CASES: dict[str, Any] = {str(case["id"]): case for case in read_cases("resolve", "runtime")}
UNRESOLVED = "var-undefined-literal"
REFUSED = [name for name, case in CASES.items() if not case["valid"]]


def expecting(*keys: str) -> list[str]:
    """Name the cases whose expectation has one of these keys."""
    return [name for name, case in CASES.items() if set(keys) & set(case.get("expect", {}))]


def simulated_results(case: dict[str, Any]) -> list[str]:
    """Say what a case simulates as options."""
    simulated = case.get("simulate", {})
    given = [f"{name}=failure" for name in simulated.get("fail", ())]
    given += [f"{name}=timeout" for name in simulated.get("hang", ())]
    given += [f"{name}=failure" for name in simulated.get("fail_hook", ())]
    for name, count in simulated.get("fail_attempts", {}).items():
        given.append(f"{name}={','.join(['failure'] * count + ['success'])}")
    return [word for text in given for word in ("--assume", text)]


def planned(name: str, folder: Path) -> Planned:
    """Plan a case; what can be planned exits with 0."""
    case = CASES[name]
    done = plan(
        folder, case["yaml"], *simulated_results(case), registries=case.get("registries"), variables=case.get("vars")
    )
    assert done.exit_code == 0, done.errors
    return done


@pytest.mark.parametrize("name", expecting("refs"))
def test_targets_are_the_references_described(name: str, tmp_path: Path) -> None:
    assert planned(name, tmp_path).step("p")["targets"] == CASES[name]["expect"]["refs"]


@pytest.mark.parametrize("name", expecting("source"))
def test_sources_are_as_described(name: str, tmp_path: Path) -> None:
    assert planned(name, tmp_path).step("p")["source"] == CASES[name]["expect"]["source"]


@pytest.mark.parametrize("name", expecting("registry"))
def test_the_default_registry_is_the_one_flagged_or_the_first(name: str, tmp_path: Path) -> None:
    assert planned(name, tmp_path).step("p")["registry"] == CASES[name]["expect"]["registry"]


@pytest.mark.parametrize("name", ["var-lower-normalised", "var-short-revision-derived", "var-step-member"])
def test_tags_hold_variables_as_described(name: str, tmp_path: Path) -> None:
    done = planned(name, tmp_path)
    for key, tag in CASES[name]["expect"].items():
        (target,) = done.step(key.removesuffix(".tag"))["targets"]  # type: ignore[misc]  # a list of strings
        assert target.rpartition(":")[2] == tag


def test_two_logins_on_one_host_are_kept_apart(tmp_path: Path) -> None:
    done = planned("cand-two-hub-accounts", tmp_path)
    for step in ("push1", "push2"):
        wanted = CASES["cand-two-hub-accounts"]["expect"][step]
        assert done.step(step)["targets"] == wanted["refs"]
        assert done.step(step)["registry"] == wanted["credentials_of"]
        assert done.step(step)["pull_registry"] == "hub1"


def test_registry_context_only_changes_pulling(tmp_path: Path) -> None:
    step = planned("cand-registry-context-pull-only", tmp_path).step("p")
    assert (step["pull_registry"], step["registry"]) == ("hub2", "hub1")


def test_an_undefined_variable_is_told_with_its_place(tmp_path: Path) -> None:
    case = CASES[UNRESOLVED]
    done = plan(tmp_path, case["yaml"], registries=case["registries"])
    assert done.exit_code == 2
    assert "unresolved variable ${{NOPE}}" in done.errors
    assert "pipeline.yml:7:10" in done.errors


def test_a_secret_is_looked_up_and_not_shown(tmp_path: Path) -> None:
    case = CASES["var-secret-form"]
    done = plan(tmp_path, case["yaml"], registries=case["registries"], variables=case["vars"])
    assert done.exit_code == 0
    assert "s3cr3t" not in f"{done.value}{done.errors}"
    assert plan(tmp_path, case["yaml"], registries=case["registries"]).exit_code == 2


@pytest.mark.parametrize("name", expecting("runs"))
def test_conditions_decide_as_described(name: str, tmp_path: Path) -> None:
    done = planned(name, tmp_path)
    assert (done.step("p")["decision"] == "run") == CASES[name]["expect"]["runs"]
    assert bool(done.step("p")["reason"]) != CASES[name]["expect"]["runs"]


@pytest.mark.parametrize("name", expecting("order"))
def test_steps_start_in_the_order_described(name: str, tmp_path: Path) -> None:
    assert planned(name, tmp_path).order() == CASES[name]["expect"]["order"]


@pytest.mark.parametrize("name", expecting("ran", "not_run"))
def test_steps_run_as_described(name: str, tmp_path: Path) -> None:
    ran = planned(name, tmp_path).ran()
    assert set(CASES[name]["expect"].get("ran", ())) <= ran
    assert not set(CASES[name]["expect"].get("not_run", ())) & ran


@pytest.mark.parametrize("name", expecting("build_status"))
def test_builds_end_as_described(name: str, tmp_path: Path) -> None:
    done = planned(name, tmp_path)
    assert done.value["build_status"] == CASES[name]["expect"]["build_status"]
    assert done.value["exit_code"] == (0 if done.value["build_status"] == "success" else 1)


@pytest.mark.parametrize("name", expecting("second_runs"))
def test_failures_stop_as_described(name: str, tmp_path: Path) -> None:
    assert ("second" in planned(name, tmp_path).ran()) == CASES[name]["expect"]["second_runs"]


@pytest.mark.parametrize("name", expecting("p.result", "fan.result"))
def test_results_are_as_described(name: str, tmp_path: Path) -> None:
    done = planned(name, tmp_path)
    for key, result in CASES[name]["expect"].items():
        if key.endswith(".result"):
            assert done.step(key.removesuffix(".result"))["result"] == result


@pytest.mark.parametrize("name", expecting("attempts"))
def test_attempts_and_waits_are_as_described(name: str, tmp_path: Path) -> None:
    wanted, step = CASES[name]["expect"], planned(name, tmp_path).step("p")
    assert step["attempts"] == wanted["attempts"]
    assert step["waits_s"] == wanted.get("delays_seconds", step["waits_s"])


def test_a_matrix_gives_a_step_for_each_combination(tmp_path: Path) -> None:
    name = "par-matrix-expansion"
    done = planned(name, tmp_path)
    children = [step for step in done.steps() if step["type"] == "push"]
    combinations = [[c["registry"], [t.rpartition(":")[2] for t in c["targets"]]] for c in children]  # type: ignore[attr-defined]
    assert combinations == CASES[name]["expect"]["combinations"]


def test_hooks_come_in_their_order(tmp_path: Path) -> None:
    events = planned("hook-order", tmp_path).value["events"]
    assert events == ["p.on_elected", "p", "p.on_fail", "p.on_finish"]


def test_an_elected_hook_that_may_fail_lets_its_step_run(tmp_path: Path) -> None:
    assert planned("hook-elected-fail-fast-false", tmp_path).ran() == {"p"}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_pipeline_is_refused(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    done = plan(tmp_path, case["yaml"], registries=case.get("registries"))
    assert done.exit_code == 2
    assert case["error_contains"] in done.errors


def test_every_case_is_held_to() -> None:
    seen = {
        *expecting("refs", "source", "registry", "runs", "order", "ran", "not_run", "build_status", "second_runs"),
        *expecting("p.result", "fan.result", "attempts", "p.tag", "second.tag", "push1", "pull_credentials_of"),
        *expecting("p.credentials.password", "combinations", "events", "p_runs"),
        *REFUSED,
    }
    assert seen == set(CASES)
