"""Steps whose result is known from an image that was given: its build, and the clones that the build waits for.

Who gives an image (``--candidate``, ``candidates:``) says that it was built, and so that its sources were cloned. What
else a build waits for (tests, approvals) says nothing about the image, and a push that waits for it still does.
"""

from __future__ import annotations

from collections.abc import Collection

from msgspec.structs import replace

from oci_push.language.steps import BuildStep, Dependencies, ParallelStep, Pipeline, Step, UnsupportedStep, flatten

_CLONE = "git-clone"


def count_given(pipeline: Pipeline, given: Collection[str], assumed: Collection[str] = ()) -> Pipeline:
    """Return the pipeline with builds that wait for nothing that is not run here, and with their clones done.

    `given` are the build steps whose images are there; of `assumed` steps somebody has said what they came to.
    """
    steps = {step.name: step for step in flatten(pipeline.steps)}
    builds = [name for name in given if isinstance(steps.get(name), BuildStep)]
    if not builds:
        return pipeline
    rewriter = _Rewriter(frozenset(builds), _clones(builds, pipeline, steps) - set(assumed), _foreign(steps, assumed))
    return replace(pipeline, steps=rewriter.steps(pipeline.steps))


def _foreign(steps: dict[str, Step], assumed: Collection[str]) -> frozenset[str]:
    return frozenset(name for name, step in steps.items() if isinstance(step, UnsupportedStep) and name not in assumed)


def _clones(builds: list[str], pipeline: Pipeline, steps: dict[str, Step]) -> frozenset[str]:
    """Name the clones that builds wait for: by name, and in a sequence by standing before one of them."""
    found: set[str] = set()
    waiting, seen = list(builds), set(builds)
    while waiting:
        for name in _names(steps[waiting.pop()].settings.when.dependencies):
            if name in steps and name not in seen:
                seen.add(name)
                waiting.append(name)
    found |= {name for name in seen if _is_clone(steps[name])}
    if not pipeline.is_parallel:
        order = list(steps)
        last = max(order.index(name) for name in builds)
        found |= {name for name in order[:last] if _is_clone(steps[name])}
    return frozenset(found)


def _is_clone(step: Step) -> bool:
    return isinstance(step, UnsupportedStep) and step.type.partition(":")[0] == _CLONE


def _names(dependencies: Dependencies | None) -> tuple[str, ...]:
    return tuple(one.name.text for one in dependencies.steps) if dependencies else ()


class _Rewriter:
    def __init__(self, builds: frozenset[str], clones: frozenset[str], foreign: frozenset[str]) -> None:
        self._builds = builds
        self._clones = clones
        self._foreign = foreign

    def steps(self, steps: tuple[Step, ...]) -> tuple[Step, ...]:
        return tuple(self._step(step) for step in steps)

    def _step(self, step: Step) -> Step:
        if isinstance(step, ParallelStep):
            return replace(step, steps=self.steps(step.steps))
        is_clone = step.name in self._clones
        when = step.settings.when
        if (is_clone or step.name in self._builds) and when.dependencies is not None:
            left = tuple(one for one in when.dependencies.steps if one.name.text not in self._foreign)
            has_met = len(left) < len(when.dependencies.steps)
            met = not left or (has_met and when.dependencies.one_suffices)
            when = replace(when, dependencies=None if met else replace(when.dependencies, steps=left))
            step = replace(step, settings=replace(step.settings, when=when))
        return replace(step, is_done=True) if is_clone and isinstance(step, UnsupportedStep) else step
