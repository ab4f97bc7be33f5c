"""The pipeline as a model: what the file says, checked and typed, with no variable replaced yet."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from oci_push.pipeline.document import Mark


@dataclass(frozen=True, slots=True)
class Text:
    """Hold a string field and its place; variables are still in it."""

    text: str
    mark: Mark


@dataclass(frozen=True, slots=True)
class Retry:
    """Bound a step's attempts: `max_attempts` in all, first wait `delay_s`, each next to the power of `factor`."""

    max_attempts: int = 1
    delay_s: float = 5.0
    factor: float = 1.0


@dataclass(frozen=True, slots=True)
class PushStep:
    """Hold a ``type: push`` step. `credentials` are user and password; `tags` are in the order to push."""

    name: str
    mark: Mark
    candidate: Text
    title: str = ""
    stage: str = ""
    image_name: Text | None = None
    tags: tuple[Text, ...] = ()
    registry: Text | None = None
    credentials: tuple[Text, Text] | None = None
    registry_context: Text | None = None
    provider: str = ""
    aws: dict[str, Text] = field(default_factory=dict)
    retry: Retry = Retry()
    timeout_s: float | None = None
    fail_fast: bool | None = None


@dataclass(frozen=True, slots=True)
class BuildStep:
    """Hold what a push needs of a ``type: build`` step."""

    name: str
    mark: Mark
    image_name: Text | None = None
    tag: Text | None = None


@dataclass(frozen=True, slots=True)
class ParallelStep:
    """Hold steps that run side by side."""

    name: str
    mark: Mark
    steps: tuple[Step, ...]
    stage: str = ""
    fail_fast: bool | None = None


@dataclass(frozen=True, slots=True)
class ForeignStep:
    """Hold a step of a type that this program does not run."""

    name: str
    mark: Mark
    type: str


Step: TypeAlias = PushStep | BuildStep | ParallelStep | ForeignStep


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Hold a pipeline: steps in file order, and the root's settings."""

    path: str
    steps: tuple[Step, ...]
    stages: tuple[str, ...] = ()
    fail_fast: bool = True

    def builds(self) -> dict[str, BuildStep]:
        """Give the build steps of all levels by name."""
        return {step.name: step for step in flatten(self.steps) if isinstance(step, BuildStep)}


def flatten(steps: tuple[Step, ...]) -> list[Step]:
    """List steps of all levels, parents before their children."""
    found: list[Step] = []
    for step in steps:
        found.append(step)
        if isinstance(step, ParallelStep):
            found.extend(flatten(step.steps))
    return found
