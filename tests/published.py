"""Hold what the program publishes as JSON to its own schemas, and see that it can be read back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from functools import cache

import jsonschema
from msgspec import Struct

from oci_push import forms
from oci_push.cli.schema import FORMS, LOOKS
from oci_push.engine.push import PushResult
from oci_push.engine.unit import UnitResult
from oci_push.events import BlobProgress, Event
from oci_push.forms import ErrorForm, ValidationForm
from oci_push.runner.copy_plan import CopyPlan
from oci_push.runner.image_plan import ImagePlan
from oci_push.runner.report import (
    EventForm,
    PipelinePlan,
    PipelineReport,
    PushReport,
    events_schema,
    plan_schema,
    report_schema,
)
from oci_push.runner.results import RunReport

SCHEMAS: Mapping[type[Struct], Callable[[], dict[str, object]]] = {
    PushReport: report_schema,
    PipelineReport: report_schema,
    ImagePlan: plan_schema,
    CopyPlan: plan_schema,
    PipelinePlan: plan_schema,
    EventForm: events_schema,
    ValidationForm: lambda: forms.schema("validation", ValidationForm),
    **{kind: FORMS[name] for name, kind in LOOKS.items()},
}


@cache
def _validator(kind: type[Struct]) -> jsonschema.Draft202012Validator:
    schema = SCHEMAS[kind]()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def check_json(text: str, kind: type[Struct]) -> None:
    """Validate what a command has printed, and read it into its form and back."""
    value = json.loads(text)
    _validator(kind).validate(value)
    assert json.loads(forms.encode(forms.decode(text, kind))) == value


def check_form(form: Struct) -> None:
    """Validate a form, and read it back into an equal one."""
    data = forms.encode(form)
    _validator(type(form)).validate(json.loads(data))
    assert forms.decode(data, type(form)) == form


def check_events(events: Iterable[Event]) -> None:
    """Check each event; of those that come often, one."""
    seen: set[type[Event]] = set()
    for event in events:
        if not (isinstance(event, BlobProgress) and BlobProgress in seen):
            check_form(EventForm(forms.VERSION, event))
        seen.add(type(event))


def check_results(results: tuple[PushResult, ...]) -> None:
    """Check the report of a push, and read each of its errors back into one of its class, text, hint and exit code."""
    check_form(PushReport.of("a source", UnitResult(results)))
    for error in [result.error for result in results if result.error is not None]:
        assert forms.encode(forms.decode(forms.encode(error), type(error))) == forms.encode(error)
        again = ErrorForm.of(error).error()
        assert (type(again), str(again), again.hint, again.exit_code) == (
            type(error),
            str(error),
            error.hint,
            error.exit_code,
        )


def check_run(report: RunReport) -> None:
    """Check the report of a run."""
    check_form(PipelineReport.of(report))
