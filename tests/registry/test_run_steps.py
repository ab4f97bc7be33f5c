"""Pipelines that really push: order, conditions, retries, limits, candidates and what later steps can know."""

from __future__ import annotations

import pytest
from equipment.faults import Answer, Fault, FaultScript, Stall
from equipment.sandbox import Sandbox
from images import Layout
from pushing import is_whole
from running import Running, statuses, step

from oci_push.errors import ConfigError, DeadlineError
from oci_push.events import Event, StepStarted, Within
from oci_push.runner.settings import RunSettings
from oci_push.runtime.clock import FakeClock, SystemClock
from oci_push.runtime.context import Context


def pipeline(steps: str, root: str = "") -> str:
    """Write a pipeline of push steps in flow style."""
    return f"version: '1.0'\n{root}\nsteps:\n{steps}"


def push(name: str, more: str = "", *, tag: str = "1") -> str:
    """Write a push step of the image given for ``build`` to a repository called like the step."""
    target = f"image_name: {name}, registry: '${{{{REG}}}}', tag: '{tag}'"
    return f"  {name}: {{type: push, candidate: '${{{{build}}}}', {target}{more}}}\n"


BUILD = "  build: {type: build, image_name: team/app, tag: '7'}\n"


def running(sandbox: Sandbox, image: Layout, **more: object) -> Running:
    """Prepare a run whose build step is the image."""
    return Running(candidates={"build": f"oci:{image.path}"}, values={"REG": sandbox.address}, **more)  # type: ignore[arg-type]


def test_a_skipped_step_sends_nothing_and_says_why(image: Layout) -> None:
    with Sandbox() as sandbox:
        run = running(sandbox, image)
        report = run.run(pipeline(BUILD + push("a") + push("b", ", when: {branch: {only: [main]}}")))
        assert statuses(report) == {"build": "success", "a": "success", "b": "skipped"}
        assert "main" in step(report, "b").reason
        assert is_whole(sandbox, "a", "1", image)
        assert sandbox.traffic.count(path_pattern="/v2/b/") == 0


def test_a_condition_sees_what_earlier_steps_came_to(image: Layout) -> None:
    condition = ", when: {condition: {all: {x: \"steps.a.result == 'success' && a.registry == '${{REG}}'\"}}}"
    with Sandbox() as sandbox:
        report = running(sandbox, image).run(pipeline(BUILD + push("a") + push("b", condition)))
        assert statuses(report)["b"] == "success"


def test_a_failed_step_is_tried_again_after_the_waits_of_its_block(image: Layout) -> None:
    broken = Fault(method="PUT", path="/a/manifests/", times=2, action=Answer(500))
    clock = FakeClock()
    with Sandbox(faults=FaultScript([broken])) as sandbox:
        run = running(sandbox, image, clock=clock)
        report = run.run(pipeline(BUILD + push("a", ", retry: {maxAttempts: 3, delay: 5, exponentialFactor: 2}")))
        assert is_whole(sandbox, "a", "1", image)
    done = step(report, "a")
    assert (done.status, done.attempts, done.waits_s) == ("success", 3, (25.0, 625.0))
    assert [event.attempt for event in run.events if isinstance(event, StepStarted)] == [1, 2, 3]


@pytest.mark.parametrize("attempts", [1, 2, 3])
def test_a_step_is_tried_as_often_as_it_says_and_no_more(attempts: int, image: Layout) -> None:
    broken = Fault(method="PUT", path="/a/manifests/", times=0, action=Answer(500))
    with Sandbox(faults=FaultScript([broken])) as sandbox:
        run = running(sandbox, image, clock=FakeClock())
        report = run.run(pipeline(BUILD + push("a", f", retry: {{maxAttempts: {attempts}}}")))
        assert (step(report, "a").status, step(report, "a").attempts) == ("failure", attempts)
        assert sandbox.traffic.count(method="PUT", path_pattern="/a/manifests/") == attempts
        assert len([event for event in run.events if isinstance(event, StepStarted)]) == attempts


def test_the_attempts_number_is_a_variable_of_the_step(image: Layout) -> None:
    broken = Fault(method="PUT", path="/a/manifests/", times=1, action=Answer(500))
    with Sandbox(faults=FaultScript([broken])) as sandbox:
        more = ", retry: {maxAttempts: 2}"
        running(sandbox, image).run(
            pipeline(BUILD + push("a", more, tag="n${{CF_CURRENT_ATTEMPT}}of${{CF_MAX_ATTEMPTS}}"))
        )
        assert tuple(sandbox.store.tags("a")) == ("n2of2",)


def test_what_is_wrong_with_the_configuration_is_not_tried_again(image: Layout) -> None:
    with Sandbox() as sandbox:
        run = running(sandbox, image)
        later = push("b", ", retry: {maxAttempts: 5}", tag="${{steps.a.result}} x")
        with pytest.raises(ConfigError, match="contains ' '"):
            run.run(pipeline(BUILD + push("a") + later))
        assert sandbox.traffic.count() == 0


def test_a_time_limit_ends_a_stalled_step_and_is_told_with_both_times(image: Layout) -> None:
    stalled = Fault(method="PUT", path="/a/", times=0, action=Stall(30))
    with Sandbox(faults=FaultScript([stalled])) as sandbox:
        run = running(sandbox, image, clock=SystemClock(), stall_s=30.0)
        report = run.run(pipeline(BUILD + push("a", ", timeout: 0.5s, retry: {maxAttempts: 3}, fail_fast: false")))
        done = step(report, "a")
        assert (done.status, done.attempts, report.status) == ("failure", 1, "success")
        assert isinstance(done.error, DeadlineError)
        assert "time limit of 0.5 s exceeded (ended after" in str(done.error)
        assert [text.split(". Timeout est")[0] for text in run.texts() if "erminat" in text or "countdown" in text] == [
            "Initializing 0.5s timeout countdown",
            "Timeout exceeded. Step execution will be terminated",
            "Trying to terminate step execution",
            "Step termination completed",
        ]
        assert tuple(sandbox.store.tags("a")) == ()


def test_a_failure_stops_what_comes_later(image: Layout) -> None:
    with Sandbox(faults=FaultScript([Fault(path="/a/", times=0, action=Answer(403))])) as sandbox:
        report = running(sandbox, image).run(pipeline(BUILD + push("a") + push("b")))
        assert statuses(report) == {"build": "success", "a": "failure", "b": "skipped"}
        assert (report.status, report.exit_code) == ("failure", 1)
        assert sandbox.traffic.count(path_pattern="/v2/b/") == 0


@pytest.mark.parametrize(("strict", "status"), [("false", "success"), ("true", "failure")])
def test_a_failure_that_stops_nothing_fails_the_build_only_if_strict(strict: str, status: str, image: Layout) -> None:
    with Sandbox(faults=FaultScript([Fault(path="/a/", times=0, action=Answer(403))])) as sandbox:
        more = f", fail_fast: false, strict_fail_fast: {strict}"
        report = running(sandbox, image).run(pipeline(BUILD + push("a", more) + push("b")))
        assert statuses(report)["b"] == "success"
        assert report.status == status


def test_children_of_a_parallel_step_finish_whatever_becomes_of_their_siblings(image: Layout) -> None:
    with Sandbox(faults=FaultScript([Fault(path="/a/", times=0, action=Answer(403))])) as sandbox:
        children = "".join(f"    {line}\n" for line in (push("a") + push("b")).splitlines())
        group = f"  fan:\n    type: parallel\n    steps:\n{children}"
        run = running(sandbox, image)
        report = run.run(pipeline(BUILD + group + push("c")))
        assert statuses(report) == {
            "build": "success", "fan": "failure", "a": "failure", "b": "success", "c": "skipped",
        }  # fmt: skip
        assert is_whole(sandbox, "b", "1", image)
        assert {event.step for event in run.events if isinstance(event, Within)} == {"a", "b"}


def test_in_a_parallel_pipeline_steps_wait_for_those_they_name(image: Layout) -> None:
    with Sandbox() as sandbox:
        after = ", when: {steps: [{name: a}]}"
        report = running(sandbox, image).run(pipeline(BUILD + push("b", after) + push("a"), "mode: parallel"))
        assert set(statuses(report).values()) == {"success"}
        assert step(report, "b").group > step(report, "a").group
        puts = sandbox.traffic.select(method="PUT", path_pattern="/manifests/1")
        assert [request.path.split("/")[2] for request in puts] == ["a", "b"]


def test_a_failure_in_a_parallel_pipeline_ends_what_still_runs(image: Layout) -> None:
    script = FaultScript(
        [
            Fault(method="PUT", path="/slow/", times=0, action=Stall(60)),
            Fault(path="/a/", times=0, action=Answer(403)),
        ]
    )
    with Sandbox(faults=script) as sandbox:
        run = running(sandbox, image, clock=SystemClock(), stall_s=60.0)
        report = run.run(pipeline(push("slow") + push("a") + BUILD, "mode: parallel"))
        assert (statuses(report)["a"], statuses(report)["slow"]) == ("failure", "terminated")
        assert report.exit_code == 1


def test_a_step_can_push_on_what_an_earlier_one_pushed(image: Layout) -> None:
    second = "  b: {type: push, candidate: '${{a}}', image_name: b, registry: '${{REG}}', tag: x}\n"
    with Sandbox() as sandbox:
        running(sandbox, image).run(pipeline(BUILD + push("a") + second))
        assert is_whole(sandbox, "b", "x", image)
        assert sandbox.traffic.bodies_sent(path_pattern="/v2/b/blobs/") == ()


def test_members_of_a_push_are_variables_of_later_steps(image: Layout) -> None:
    with Sandbox() as sandbox:
        run = running(sandbox, image)
        run.run(pipeline(BUILD + push("a") + push("b", tag="${{steps.a.result}}-${{a.type}}")))
        assert tuple(sandbox.store.tags("b")) == ("success-push",)
        members = run.variables.exports()["a"]
        assert members["imageRepoDigest"] == f"{sandbox.address}/a@{image.digest}"
        assert members["imageId"] in image.blobs
        assert members["imageId"] != image.digest


def test_an_image_that_cannot_be_pulled_is_pulled_from_the_fallback_registry(image: Layout) -> None:
    refused = Fault(method="GET", path="/app/manifests/", times=0, action=Answer(503))
    with Sandbox() as second, Sandbox(faults=FaultScript([refused])) as first:
        running(second, image).run(pipeline(BUILD + push("app")))
        config = {
            "registries": [
                {"name": "one", "domain": first.address, "fallback_registry": "two"},
                {"name": "two", "domain": second.address},
            ]
        }
        text = pipeline(
            f"  p: {{type: push, candidate: '{first.address}/app:1', registry: two, image_name: copy, tag: c}}\n"
        )
        run = Running(config=config)
        assert statuses(run.run(text)) == {"p": "success"}
        assert is_whole(second, "copy", "c", image)
        assert any(f"trying {second.address}/app:1" in text for text in run.texts())


@pytest.mark.parametrize(("more", "tags"), [("", ("7",)), (", disable_push: true", ())])
def test_build_steps_are_pushed_on_demand_unless_they_say_otherwise(
    more: str, tags: tuple[str, ...], image: Layout
) -> None:
    with Sandbox() as sandbox:
        config = {"registries": [{"name": "main", "domain": sandbox.address, "repositoryPrefix": "p"}]}
        run = running(sandbox, image, config=config, settings=RunSettings(auto_push=True))
        report = run.run(pipeline(f"  build: {{type: build, image_name: team/app, tag: '7'{more}}}\n"))
        assert statuses(report) == {"build": "success"}
        assert tuple(sandbox.store.tags("p/team/app")) == tags


def test_build_steps_are_not_pushed_unasked(image: Layout) -> None:
    with Sandbox() as sandbox:
        config = {"registries": [{"name": "main", "domain": sandbox.address}]}
        running(sandbox, image, config=config).run(pipeline(BUILD))
        assert sandbox.traffic.count() == 0


def test_steps_of_other_types_are_skipped_or_what_the_user_says(image: Layout) -> None:
    text = pipeline(
        BUILD + "  tests: {image: alpine, commands: [make]}\n" + push("a", ", when: {steps: [{name: tests}]}")
    )
    with Sandbox() as sandbox:
        assert statuses(running(sandbox, image).run(text))["a"] == "skipped"
        assumed = running(sandbox, image, assume=("tests=success",)).run(text)
        assert (statuses(assumed)["tests"], statuses(assumed)["a"]) == ("success", "success")


def test_a_cancel_ends_the_run_and_reports_what_was_not_reached(image: Layout) -> None:
    with Sandbox(faults=FaultScript([Fault(method="PUT", path="/a/", times=0, action=Stall(60))])) as sandbox:
        run = running(sandbox, image, clock=SystemClock(), stall_s=60.0)
        context = Context(run.clock)

        def cancel_at_the_first_event_of_a(event: Event) -> None:
            if isinstance(event, StepStarted) and event.name == "a":
                context.cancel()

        run.events = _Listening(cancel_at_the_first_event_of_a)
        report = run.run(pipeline(BUILD + push("a") + push("b")), context)
        assert (statuses(report)["a"], statuses(report)["b"]) == ("terminated", "skipped")
        assert report.exit_code == 130


class _Listening(list[Event]):
    def __init__(self, listen: object) -> None:
        super().__init__()
        self._listen = listen

    def append(self, event: Event) -> None:
        super().append(event)
        self._listen(event)  # type: ignore[operator]
