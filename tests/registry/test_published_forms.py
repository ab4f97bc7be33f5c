"""What commands publish as JSON: its schema, its version, and that it can be read back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import pytest
from equipment.sandbox import Sandbox
from images import LayoutWriter, layer
from msgspec import Struct
from program import program
from published import SCHEMAS, check_events, check_json

from oci_push import events
from oci_push.errors import OciPushError
from oci_push.forms import ErrorForm, decode, encode
from oci_push.model.digest import Digest
from oci_push.model.outcomes import (
    BlobKind,
    BlobOutcome,
    CopyOutcome,
    ManifestOutcome,
    ReplicaOutcome,
    Status,
    TagOutcome,
)
from oci_push.model.reference import Reference, Repository
from oci_push.runner.image_plan import ImagePlan
from oci_push.runner.report import PipelineReport, PushReport

APP, DIGEST = Repository("registry.example", "team/app"), Digest.of(b"")
EVENTS = (
    events.LogMessage("text", "warning"),
    events.SourceOpened("image.tar", DIGEST, 1, 2, 3),
    events.LayerReading(DIGEST, 1, 3, True),
    events.LayerCompressed(DIGEST, DIGEST, 3, True),
    events.ImageChanged("image.tar", DIGEST, Digest.of(b"other"), ("converted to OCI", "annotated")),
    events.TargetStarted(APP, ("1", "latest")),
    events.BlobStarted(APP, DIGEST, 2, BlobKind.CONFIG),
    events.BlobProgress(APP, DIGEST, 1, 2),
    events.UploadResumed(APP, DIGEST, 1, 2),
    events.BlobDone(APP, DIGEST, 2, BlobOutcome.MOUNTED, "registry.example/other"),
    events.ManifestDone(APP, DIGEST, ManifestOutcome.PUSHED),
    events.TagDone(APP, "1", DIGEST, 2, TagOutcome.UNCHANGED),
    events.TargetFinished(APP, DIGEST, "it broke"),
    events.ReplicaDone(APP, DIGEST, ReplicaOutcome.COPIED),
    events.CopyStarted(3),
    events.TagCopied("docker://registry.example/other:1", APP, "1", DIGEST, CopyOutcome.FAILED, "it broke"),
    events.SaveStarted("images", "1"),
    events.SaveProgress("images", DIGEST, 1, 2, BlobKind.LAYER),
    events.BlobSaved("images", DIGEST, 2, True),
    events.SaveFinished("images", "1", None, "it broke"),
    events.RetryScheduled("HEAD", "503", 1, 0.5),
    events.StepStarted("p", "Push", "ship", timeout_s=3.5),
    events.StepFinished("p", "Push", Status.SUCCESS, seconds=1.5),
    events.Within("p", events.Within("q", events.LogMessage("inner"))),
)


def test_every_kind_of_event_is_read_back_as_it_was() -> None:
    assert {type(event) for event in EVENTS} == set(get_args(events.Event))
    check_events(EVENTS)


@pytest.mark.parametrize("kind", sorted((*OciPushError.__subclasses__(), OciPushError), key=str))
def test_every_error_is_read_back_with_its_class_text_and_exit_code(kind: type[OciPushError]) -> None:
    error = kind("it broke").with_hint("mend it").with_attempts(3)
    again = decode(encode(error), OciPushError)
    assert (type(again), str(again), again.hint, again.exit_code) == (kind, str(error), "mend it", error.exit_code)


def test_an_error_of_a_later_version_is_an_error_all_the_same() -> None:
    error = ErrorForm("QuotaError", "full", None, 9).error()
    assert (type(error), str(error), error.exit_code) == (OciPushError, "full", 9)


@pytest.mark.parametrize("text", ['"sha256:0"', "5", "null", "{}"])
def test_what_is_no_digest_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode(text, Digest)


@pytest.mark.parametrize("text", ["localhost/app:1", "name/app", "registry.example:5000/a/b@" + str(DIGEST)])
def test_a_reference_is_read_without_rules_for_short_names(text: str) -> None:
    reference = decode(json.dumps(text), Reference)
    assert isinstance(reference, Reference)
    assert str(reference) == text


@pytest.mark.parametrize("kind", SCHEMAS, ids=lambda kind: kind.__name__)
def test_a_schema_refuses_another_version(kind: type[Struct]) -> None:
    schema = SCHEMAS[kind]()
    parts = schema["$defs"]
    assert isinstance(parts, dict)
    assert parts[kind.__name__]["properties"]["version"] == {"enum": [1]}


def test_a_push_prints_and_writes_the_form_of_its_schema(tmp_path: Path) -> None:
    writer = LayoutWriter(tmp_path / "image")
    writer.close(writer.image(layer(1), layer(2)))
    with Sandbox() as sandbox:
        where = (f"oci:{tmp_path / 'image'}", f"{sandbox.address}/app:1", "--no-memory", "--json")
        planned = program("push", *where, "--plan", "--report", "plan.json", cwd=tmp_path)
        pushed = program("push", *where, "--report", "report.json", cwd=tmp_path)
        failed = program(
            "push", where[0], f"{sandbox.address}/app:1", "localhost:1/app:1", "--json", code=1, cwd=tmp_path
        )
    for text in (planned.stdout, (tmp_path / "plan.json").read_text()):
        check_json(text, ImagePlan)
    for text in (pushed.stdout, (tmp_path / "report.json").read_text(), failed.stdout):
        check_json(text, PushReport)
    assert json.loads((tmp_path / "plan.json").read_text())["status"] == "planned"
    assert list(json.loads(pushed.stdout)) == [
        *("version", "source", "status", "exit_code", "targets", "seconds", "totals")
    ]


def test_a_run_prints_and_writes_the_form_of_its_schema(tmp_path: Path) -> None:
    writer = LayoutWriter(tmp_path / "image")
    writer.close(writer.image(layer(1)))
    text = (
        "version: '1.0'\nsteps:\n  p: {type: push, candidate: 'oci:image', image_name: team/app, registry: r.example}\n"
    )
    (tmp_path / "p.yml").write_text(text)
    done = program("run", "p.yml", "--sandbox", "--no-memory", "--json", "--report", "report.json", cwd=tmp_path)
    check_json(done.stdout, PipelineReport)
    assert json.loads(done.stdout) == json.loads((tmp_path / "report.json").read_text())
