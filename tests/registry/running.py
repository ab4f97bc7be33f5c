"""Run pipelines in this process against a sandbox registry, with a clock whose waits take no time."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from parsing import parse_pipeline
from published import check_events, check_run

from oci_push.engine.pusher import Environment, Options, Pusher
from oci_push.events import Event, Within
from oci_push.language.config import load_config
from oci_push.language.resolving import ResolveContext
from oci_push.language.steps import flatten
from oci_push.runner.results import RunReport, StepResult
from oci_push.runner.run import Runner
from oci_push.runner.settings import RunSettings
from oci_push.runner.simulated_results import SimulatedResults
from oci_push.runtime.clock import Clock, FakeClock
from oci_push.runtime.context import Context
from oci_push.runtime.retry import RetryPolicy
from oci_push.sources.table import GRAMMAR
from oci_push.transport.settings import TransportSettings
from oci_push.variables.lookup import Variables, VariableSource

ONCE = RetryPolicy(attempts=1)


@dataclass
class Running:
    """Hold what a run needs, and what it left: events, and the variables with what steps have exported."""

    clock: Clock = field(default_factory=FakeClock)
    settings: RunSettings = field(default_factory=RunSettings)
    config: object = None
    candidates: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, str] = field(default_factory=dict)
    assume: tuple[str, ...] = ()
    events: list[Event] = field(default_factory=list)
    variables: Variables = field(default_factory=Variables)
    stall_s: float = 60.0

    def run(self, text: str, context: Context | None = None) -> RunReport:
        """Run a pipeline's text; a request is sent once, so that only steps are tried again."""
        from msgspec.structs import replace

        context = context or Context(self.clock, what="test")
        pipeline = parse_pipeline(text, "p.yml")
        settings = load_config(json.dumps(self.config or {}), "oci-push.yaml", {}, Path.read_text)
        self.variables = Variables([VariableSource("--var", self.values)], secrets=settings.secrets)
        resolve_context = ResolveContext(
            settings,
            self.variables,
            pipeline.builds(),
            self.candidates,
            GRAMMAR,
            steps=frozenset(step.name for step in flatten(pipeline.steps)),
        )
        options = Options(
            remember=False,
            blob_retry=ONCE,
            transport=TransportSettings(call_retry=ONCE, stall_s=self.stall_s),
        )
        around = Environment({}, Path("/nonexistent"), 0, lambda: 0.5)
        run_settings = replace(self.settings, results=SimulatedResults.parse(self.assume, pipeline))
        with contextlib.closing(Pusher(context, options, around, self.events.append)) as pusher:
            report = Runner(pusher, resolve_context, run_settings, self.events.append).run(pipeline, context)
        check_run(report)
        check_events(self.events)
        return report

    def texts(self) -> list[str]:
        """Give the texts of notes, those of steps that run beside others included."""
        plain = [event.event if isinstance(event, Within) else event for event in self.events]
        return [event.text for event in plain if hasattr(event, "text")]


def statuses(report: RunReport) -> dict[str, str]:
    """Give every step's status by name."""
    return {step.name: step.status for step in report.steps}


def step(report: RunReport, name: str) -> StepResult:
    """Give one step's result."""
    return next(one for one in report.steps if one.name == name)
