"""Pipelines through the library: what is read, what comes back, what is raised, and stopping."""

from __future__ import annotations

import pickle
import threading
from pathlib import Path

import pytest
from calling import FORGETFUL, crawl, is_closed
from equipment.faults import Answer, Fault
from equipment.sandbox import Sandbox
from images import Layout, layer, make_layout

import oci_push
from oci_push import Cancelled, ConfigError, IncompleteError, PipelinePlan, PipelineReport, events
from oci_push.events import Event

pytestmark = pytest.mark.usefixtures("own_home")
LOGIN = "b4Zq9-planted"


@pytest.fixture
def files(tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a pipeline, a configuration with a login, and the image of its build step."""
    make_layout(tmp_path / "image", layer(1))
    (tmp_path / "p.yml").write_text("""
version: '1.0'
steps:
  build: {type: build, image_name: team/app, tag: '${{VERSION}}'}
  one: {type: push, candidate: '${{build}}', registry: inner, tag: '${{VERSION}}'}
  two: {type: push, candidate: '${{build}}', registry: inner, image_name: other/app, tag: '${{VERSION}}'}
""")
    (tmp_path / "c.yml").write_text(
        f"registries: [{{name: inner, provider: other, domain: '{sandbox.address}', username: a, password: {LOGIN}}}]\n"
        "candidates: {build: 'oci:image'}\n"
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_run_gives_the_report_as_a_value_without_logins(files: Path, sandbox: Sandbox) -> None:
    told: list[Event] = []
    report = oci_push.run_pipeline(
        files / "p.yml", config="c.yml", variables={"VERSION": "1.4.2"}, on_event=told.append
    )
    assert (report.build_status, report.exit_code) == ("success", 0)
    assert [(step.name, step.status) for step in report.steps if step.type == "push"] == [
        ("one", "success"),
        ("two", "success"),
    ]
    assert tuple(sandbox.store.tags("team/app")) == ("1.4.2",)
    again = pickle.loads(pickle.dumps(report))
    assert again == report == oci_push.decode(oci_push.encode(report), PipelineReport)
    assert LOGIN.encode() not in oci_push.encode(report)
    finished = [event.name for event in told if isinstance(event, events.StepFinished)]
    assert finished == ["build", "one", "two"]


def test_a_plan_says_what_a_run_would_do_and_contacts_nobody(files: Path, sandbox: Sandbox) -> None:
    planned = oci_push.plan_pipeline("p.yml", config="c.yml", variables={"VERSION": "1.4.2"}, assume={"one": "failure"})
    assert sandbox.traffic.requests == ()
    assert [(step.name, step.decision) for step in planned.steps] == [
        ("build", "run"),
        ("one", "run"),
        ("two", "skip"),
    ]
    assert planned.steps[1].targets == (f"{sandbox.address}/team/app:1.4.2",)
    assert oci_push.decode(oci_push.encode(planned), PipelinePlan) == planned


def test_a_build_that_fails_is_raised_with_what_became_of_each_step(files: Path, sandbox: Sandbox) -> None:
    sandbox.faults.add(Fault("PUT", "/v2/other/app/manifests/", action=Answer(403, code="DENIED"), times=0))
    with pytest.raises(IncompleteError, match=r"^the build failed at two: ") as caught:
        oci_push.run_pipeline("p.yml", config="c.yml", variables={"VERSION": "1.4.2"})
    report = caught.value.report
    assert (caught.value.exit_code, report.exit_code) == (1, 1)
    assert [step.status for step in report.steps] == ["success", "success", "failure"]
    assert report.steps[2].error.type == "DeniedError"


def test_a_build_that_pushed_nothing_says_why(files: Path) -> None:
    (files / "q.yml").write_text("""
version: '1.0'
steps:
  test: {type: freestyle, image: alpine, commands: [make]}
  one: {type: push, candidate: 'oci:image', image_name: a, registry: inner, tag: '1', when: {steps: [{name: test}]}}
""")
    with pytest.raises(IncompleteError, match="one: ") as caught:
        oci_push.run_pipeline("q.yml", config="c.yml")
    assert caught.value.report.push_steps.ran == 0
    assert oci_push.run_pipeline("q.yml", config="c.yml", assume={"test": "success"}).push_steps.ran == 1
    assert oci_push.run_pipeline("q.yml", config="c.yml", foreign_succeeds=True).push_steps.ran == 1


def test_no_configuration_is_looked_for(files: Path, sandbox: Sandbox) -> None:
    (files / "c.yml").rename(files / "oci-push.yaml")
    with pytest.raises(ConfigError, match="'inner' does not exist"):
        oci_push.run_pipeline("p.yml", variables={"VERSION": "1.4.2"})
    assert sandbox.traffic.requests == ()


def test_a_rehearsal_sends_nothing_and_needs_no_registries(files: Path, sandbox: Sandbox) -> None:
    told: list[Event] = []
    report = oci_push.run_pipeline(
        "p.yml",
        candidates={"build": "oci:image"},
        variables={"VERSION": "1"},
        rehearse=True,
        on_event=told.append,
    )
    assert report.push_steps.ran == 2
    assert sandbox.traffic.requests == ()
    assert [event.text for event in told if isinstance(event, events.LogMessage) and "'inner'" in event.text] == [
        "registry 'inner' is not described; something stands in for it"
    ]


def test_a_cancel_gives_the_report_of_what_was_not_reached(files: Path, large: Layout, sandbox: Sandbox) -> None:
    crawl(sandbox)
    stop = threading.Event()

    def on_event(event: Event) -> None:
        if isinstance(event, events.BlobProgress) and 0 < event.sent_bytes < event.size_bytes:
            stop.set()

    with pytest.raises(Cancelled) as caught:
        oci_push.run_pipeline(
            "p.yml",
            config="c.yml",
            candidates={"build": f"oci:{large.path}"},
            variables={"VERSION": "1"},
            options=FORGETFUL,
            cancel=stop,
            on_event=on_event,
        )
    assert is_closed(sandbox)
    assert [step.status for step in caught.value.report.steps] == ["success", "terminated", "skipped"]


def test_mistakes_of_the_files_are_told_with_their_places(files: Path, sandbox: Sandbox) -> None:
    with pytest.raises(ConfigError) as caught:
        oci_push.run_pipeline("p.yml", config="c.yml")
    assert (caught.value.problems[0].file, caught.value.problems[0].line) == ("p.yml", 5)
    with pytest.raises(ConfigError, match="the pipeline has no step 'biuld'"):
        oci_push.run_pipeline("p.yml", config="c.yml", candidates={"biuld": "oci:image"})
    with pytest.raises(ConfigError, match=r"gone\.yml: cannot be read"):
        oci_push.plan_pipeline("p.yml", config="gone.yml")
    assert sandbox.traffic.requests == ()


def test_a_secret_that_is_noted_of_an_image_is_not_in_the_report(files: Path, sandbox: Sandbox) -> None:
    with (files / "c.yml").open("a") as file:
        file.write("secrets: {store: {token: t0ken-planted}}\n")
    (files / "q.yml").write_text("""
version: '1.0'
steps:
  one:
    type: push
    candidate: 'oci:image'
    registry: inner
    image_name: app
    tag: '1'
    hooks:
      on_success:
        annotations:
          set: [{entity_type: image, annotations: [{who: 'it is ${{secrets.store.token}}'}, {said: plain}]}]
""")
    report = oci_push.run_pipeline("q.yml", config="c.yml")
    assert [note.value for note in report.steps[0].notes] == ["it is ***", "plain"]
    assert "planted" not in repr(report)


def test_a_plan_with_steps_that_cannot_be_resolved_is_raised_with_the_plan(files: Path, sandbox: Sandbox) -> None:
    with pytest.raises(ConfigError, match="'inner' does not exist") as caught:
        oci_push.plan_pipeline("p.yml", variables={"VERSION": "1.4.2"})
    assert [step.name for step in caught.value.report.steps] == ["build", "one", "two"]
    assert sandbox.traffic.requests == ()


def test_a_file_that_is_no_pipeline_is_refused_with_all_that_is_wrong(files: Path) -> None:
    (files / "q.yml").write_text("steps: {one: {type: push}, two: {type: push}}\n")
    with pytest.raises(ConfigError) as caught:
        oci_push.run_pipeline("q.yml")
    assert len(caught.value.problems) > 1
    assert caught.value.report is None
