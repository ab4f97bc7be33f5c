"""What a report says a push has cost is what the registry saw of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from equipment.faults import Answer, DropAfter, Fault, FaultScript
from equipment.options import SandboxOptions
from equipment.sandbox import Sandbox
from images import Layout, config_of, docker_archive, layer
from program import program
from pushing import LOGIN, Pushing, closing
from running import Running

from oci_push import forms
from oci_push.engine.push import PushOptions, PushResult
from oci_push.engine.unit import PushUnit, UnitResult, UnitTarget, perform
from oci_push.events import RetryScheduled
from oci_push.model import media
from oci_push.model.digest import Digest
from oci_push.model.outcomes import Status
from oci_push.model.reference import Destination, Repository
from oci_push.runner.report import PipelineReport, PushReport, TargetForm, TotalsForm
from oci_push.runtime.clock import FakeClock


def done(pushing: Pushing, source: str, *targets: str) -> tuple[UnitResult, PushReport]:
    """Perform a push as commands do."""
    wanted = tuple(UnitTarget(one.repository, one.tags) for one in map(Destination.parse, targets))
    with pushing.pusher() as pusher:
        result = perform(PushUnit(source, wanted), pusher, pusher.context, pushing.events.append)
    return result, PushReport.of(source, result)


def totals(report: PushReport) -> dict[str, object]:
    plain = forms.to_builtins(report)
    assert isinstance(plain, dict)
    found = plain["totals"]
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("auth", ["open", "basic", "bearer"])
def test_every_request_is_counted_once(image: Layout, auth: str) -> None:
    options = SandboxOptions(auth=auth)  # type: ignore[arg-type]  # one of its literals
    with Sandbox(options=options) as sandbox:
        targets = (f"{sandbox.address}/a:1,2", f"{sandbox.address}/b:1")
        result, report = done(Pushing(credential=LOGIN), f"oci:{image.path}", *targets)
        seen = len(sandbox.traffic.requests)
    assert totals(report)["requests"] == seen
    assert sum(one.cost.requests for one in result.results) == result.cost.requests == seen
    assert all(one.cost.requests for one in result.results)
    assert all(one.round_trip_s is not None for one in report.targets)


def test_a_copy_counts_what_is_asked_of_its_source(image: Layout) -> None:
    with Sandbox() as sandbox, Sandbox() as other:
        Pushing().push(image, f"{sandbox.address}/a:1")
        sandbox.traffic.clear()
        result, report = done(Pushing(), f"docker://{sandbox.address}/a:1", f"{other.address}/a:1")
        seen = len(sandbox.traffic.requests) + len(other.traffic.requests)
    assert totals(report)["requests"] == seen
    assert 0 < result.results[0].cost.requests < seen


def test_retries_are_counted_with_what_they_waited(image: Layout) -> None:
    faults = FaultScript(
        [
            Fault("HEAD", "/blobs/", times=2, action=Answer(503)),
            Fault("PUT", "/manifests/", times=1, action=Answer(503)),
        ]
    )
    with Sandbox(faults=faults) as sandbox:
        pushing = Pushing(clock=FakeClock())
        result, report = done(pushing, f"oci:{image.path}", f"{sandbox.address}/a:1")
    told = [event.wait_s for event in pushing.events if isinstance(event, RetryScheduled)]
    assert result.error is None
    assert len(told) == totals(report)["retries"] == report.targets[0].retries
    assert report.targets[0].waited_s == totals(report)["waited_s"] == round(sum(told), 3)
    assert len(told) >= 1


def test_a_wait_is_time_of_its_phase(image: Layout) -> None:
    fault = Fault("PUT", "/manifests/", times=1, action=Answer(503, {"Retry-After": "40"}))
    with Sandbox(faults=FaultScript([fault])) as sandbox:
        _, report = done(Pushing(clock=FakeClock()), f"oci:{image.path}", f"{sandbox.address}/a:1")
    phases = report.targets[0].phases
    assert phases["manifests"] >= 40
    assert sum(phases.values()) - phases["manifests"] < 1
    assert report.targets[0].waited_s >= 40


def test_bytes_of_an_upload_that_breaks_are_in_the_totals(large: Layout) -> None:
    with Sandbox() as sandbox:
        sandbox.faults.add(closing(large, DropAfter(1024 * 1024)))
        result, report = done(Pushing(), f"oci:{large.path}", f"{sandbox.address}/a:1")
    assert result.error is None
    (target,) = report.targets
    assert totals(report)["bytes_sent"] == target.bytes_sent
    assert totals(report)["bytes_resent"] == target.bytes_resent > 0
    assert target.retries == 1


def test_bytes_of_an_upload_that_fails_are_in_the_totals(large: Layout) -> None:
    with Sandbox() as sandbox:
        sandbox.faults.add(closing(large, DropAfter(1024 * 1024), times=99))
        result, report = done(Pushing(), f"oci:{large.path}", f"{sandbox.address}/a:1")
    assert result.error is not None
    assert totals(report)["failed"] == 1
    assert totals(report)["bytes_sent"] != report.targets[0].bytes_sent


def phases_of(form: TargetForm) -> set[str]:
    return set(form.phases)


def test_phases_are_those_that_were_reached(sandbox: Sandbox, image: Layout, tmp_path: Path) -> None:
    _, first = done(Pushing(), f"oci:{image.path}", f"{sandbox.address}/a:1")
    _, again = done(Pushing(), f"oci:{image.path}", f"{sandbox.address}/a:1,2")
    assert phases_of(first.targets[0]) == {"look", "blobs", "manifests", "tags"}
    assert phases_of(again.targets[0]) == {"look", "tags"}
    assert isinstance(first.totals, TotalsForm)
    assert list(first.totals.phases) == ["source", "look", "blobs", "manifests", "tags"]
    checked = Pushing(push_options=PushOptions(verify=True, all_or_nothing=True))
    _, verified = done(checked, f"oci:{image.path}", f"{sandbox.address}/c:1")
    assert "verify" in phases_of(verified.targets[0])


def test_compressing_is_time_of_the_source_and_sending_beside_it_of_blobs(sandbox: Sandbox, tmp_path: Path) -> None:
    content = layer(1, 700_000)
    (tmp_path / "a.tar").write_bytes(docker_archive(("l.tar", content), config=config_of(content), paths=["l.tar"]))
    result, report = done(Pushing(), f"docker-archive:{tmp_path / 'a.tar'}", f"{sandbox.address}/a:1")
    assert result.cost.phases["source"] > 0
    assert result.results[0].cost.phases["blobs"] > 0
    assert totals(report)["requests"] == len(sandbox.traffic.requests)


def test_what_was_there_and_mounted_is_counted(sandbox: Sandbox, image: Layout) -> None:
    Pushing().push(image, f"{sandbox.address}/a:1")
    _, report = done(Pushing(), f"oci:{image.path}", f"{sandbox.address}/a:2", f"{sandbox.address}/b:1")
    assert totals(report)["counts"] == {"exists": 3, "mounted": 3, "uploaded": 0, "skipped": 0}
    assert totals(report)["targets"] == 2


def test_a_copy_of_many_images_counts_every_request_once(image: Layout, tmp_path: Path) -> None:
    with Sandbox() as sandbox, Sandbox() as other:
        Pushing().push(image, f"{sandbox.address}/a:1,2")
        sandbox.traffic.clear()
        words = ("copy", f"{sandbox.address}/a", f"{other.address}/a", "--all-tags", "--json", "--no-memory")
        told = json.loads(program(*words, cwd=tmp_path).stdout)
        seen = len(sandbox.traffic.requests) + len(other.traffic.requests)
    assert (told["requests"], told["retries"]) == (seen, 0)
    assert {"source", "blobs"} <= set(told["phases"])


def test_a_step_counts_all_of_its_attempts(sandbox: Sandbox, image: Layout) -> None:
    sandbox.faults.add(Fault("PUT", "/manifests/", times=1, action=Answer(500)))
    running = Running(
        candidates={"b": f"oci:{image.path}"},
        config={"registries": [{"name": "r", "domain": sandbox.address, "plain_http": True}]},
    )
    text = (
        "version: '1.0'\nsteps:\n  b: {type: build, image_name: app}\n"
        "  p: {type: push, candidate: '${{b}}', registry: r, tag: '1', retry: {maxAttempts: 2, delay: 1}}\n"
    )
    report = running.run(text)
    assert (report.status, report.steps[1].attempts) == (Status.SUCCESS, 2)
    form = PipelineReport.of(report)
    assert report.steps[1].cost.requests == len(sandbox.traffic.requests)
    assert form.totals == form.steps[1].totals


def test_the_last_line_tells_of_retries_when_there_were_any(tmp_path: Path, image: Layout) -> None:
    fault = Fault("HEAD", "/manifests/", times=1, action=Answer(503, {"Retry-After": "0"}))
    words = ("push", f"oci:{image.path}")
    with Sandbox(faults=FaultScript([fault])) as sandbox:
        first = program(*words, f"{sandbox.address}/a:1", "--report", "r.json", cwd=tmp_path)
        second = program(*words, f"{sandbox.address}/b:1", cwd=tmp_path)
        quiet = program(*words, f"{sandbox.address}/c:1", "--json", cwd=tmp_path)
    assert "tried again once, after waits of" in first.stderr
    assert json.loads((tmp_path / "r.json").read_text())["totals"]["retries"] == 1
    assert "tried again" not in second.stderr + quiet.stderr


def test_a_result_that_is_made_by_hand_costs_nothing() -> None:
    result = PushResult(Repository("r.example", "a"), Digest.of(b""), 0, media.OCI_MANIFEST, (), ())
    report = PushReport.of("a", UnitResult((result,)))
    assert (report.targets[0].requests, report.targets[0].phases, totals(report)["requests"]) == (0, {}, 0)
