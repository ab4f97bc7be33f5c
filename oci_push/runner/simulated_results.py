"""Assumed results: what `plan --assume` and `run --assume` say about steps that do not run."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from msgspec import Struct

from oci_push.errors import ConfigError
from oci_push.language.steps import HOOK_EVENTS, ParallelStep, Pipeline, Step, UnsupportedStep, flatten
from oci_push.model.outcomes import Status


class AssumedResult(StrEnum):
    """What an attempt, or a hook, may be assumed to come to."""

    SUCCESS = "success"
    FAILURE = "failure"
    TIMEOUT = "timeout"
    TERMINATED = "terminated"

    @property
    def status(self) -> Status:
        """Return what that makes of the step: one out of time has failed."""
        return Status.FAILURE if self is AssumedResult.TIMEOUT else Status(self.value)


class SimulatedResults(Struct, frozen=True):
    """Results of attempts by step name; hooks are ``STEP.EVENT``, or ``EVENT`` for all of them."""

    results: dict[str, tuple[AssumedResult, ...]]

    @classmethod
    def parse(cls, texts: Iterable[str], pipeline: Pipeline) -> SimulatedResults:
        """Read ``STEP=RESULT[,RESULT…]``, a result for each attempt; raises `ConfigError`."""
        names = {step.name for step in flatten(pipeline.steps)}
        groups = {
            step.name: [child.name for child in step.steps]
            for step in flatten(pipeline.steps)
            if isinstance(step, ParallelStep)
        }
        hooks = {*HOOK_EVENTS, *(f"{name}.{event}" for name in names for event in HOOK_EVENTS)}
        known = {result.value: result for result in AssumedResult}
        found: dict[str, tuple[AssumedResult, ...]] = {}
        for text in texts:
            name, equals, given = text.rpartition("=")
            results = tuple(part.strip() for part in given.split(","))
            if not equals or not set(results) <= known.keys():
                hint = f"results: {', '.join(known)}; several, one for each attempt, with commas"
                raise ConfigError(f"--assume {text!r}: expected STEP=RESULT", hint=hint)
            if name in groups:
                hint = f"assume it of its steps: {', '.join(groups[name])}"
                raise ConfigError(f"--assume {text!r}: {name!r} is a parallel step", hint=hint)
            if name not in names and name not in hooks:
                raise ConfigError(f"--assume {text!r}: the pipeline has no step {name!r}", hint=_known(names))
            found[name] = tuple(known[result] for result in results)
        return cls(found)

    def check_run(self, pipeline: Pipeline) -> None:
        """Refuse to assume what a run does itself; raises `ConfigError`."""
        foreign = {step.name for step in flatten(pipeline.steps) if isinstance(step, UnsupportedStep)}
        for name in self.results:
            if name not in foreign:
                raise ConfigError(
                    f"--assume {name}: run does this itself and cannot assume it",
                    hint="assume results of steps of other types only; `oci-push plan` takes any",
                )

    def is_given(self, step: Step) -> bool:
        """Return whether something is assumed of a step."""
        return step.name in self.results

    def of(self, name: str, attempt: int = 1) -> AssumedResult:
        """Return the result of an attempt, counting from 1; the last one given holds for all that follow."""
        results = self.results.get(name, (AssumedResult.SUCCESS,))
        return results[min(attempt, len(results)) - 1]

    def of_hook(self, owner: str, event: str) -> AssumedResult:
        """Return the result of a hook; `owner` is empty for the pipeline's own."""
        name = f"{owner}.{event}" if owner else event
        return self.of(name if name in self.results else event)


def _known(names: set[str]) -> str:
    return f"steps: {', '.join(sorted(names)[:20])}"
