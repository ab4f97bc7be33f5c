"""What becomes of `arguments`, `scale` and `matrix` before a pipeline is checked, and the model that comes of it."""

from __future__ import annotations

import pytest
from parsing import parse_pipeline

from oci_push.language.parse import read_pipeline
from oci_push.language.steps import ParallelStep, PushStep


def group(step: str) -> ParallelStep:
    """Read a pipeline whose step ``p`` is expanded."""
    (found,) = parse_pipeline(f"version: '1.0'\nstages: [s]\nsteps:\n  p: {step}\n", "p.yml").steps
    assert isinstance(found, ParallelStep)
    return found


def pushes(step: str) -> dict[str, PushStep]:
    return {one.name: one for one in group(step).steps if isinstance(one, PushStep)}


def refused(step: str, root: str = "") -> list[tuple[str, str]]:
    reading = read_pipeline(f"version: '1.0'\n{root}\nsteps:\n  p: {step}\n", "p.yml")
    return [(one.path, one.message) for one in reading.errors]


def test_scale_gives_a_step_for_each_entry_whose_keys_win() -> None:
    found = pushes("{type: push, candidate: a, tag: x, scale: {one: {registry: r1}, two: {registry: r2, tag: y}}}")
    assert {name: (step.registry.text, [tag.text for tag in step.tags]) for name, step in found.items()} == {
        "one": ("r1", ["x"]),
        "two": ("r2", ["y"]),
    }  # fmt: skip


def test_matrix_gives_a_step_for_each_combination() -> None:
    found = pushes("{type: push, candidate: a, matrix: {registry: [r1, r2], tags: [[one], [two, three]]}}")
    assert {name: (step.registry.text, [tag.text for tag in step.tags]) for name, step in found.items()} == {
        "p_1": ("r1", ["one"]),
        "p_2": ("r1", ["two", "three"]),
        "p_3": ("r2", ["one"]),
        "p_4": ("r2", ["two", "three"]),
    }  # fmt: skip


def test_conditions_and_titles_stay_with_the_group_and_retries_go_to_its_steps() -> None:
    found = group("{type: push, candidate: a, title: T, retry: {maxAttempts: 3}, when: {steps: []}, scale: {o: {}}}"
                  .replace(", when: {steps: []}", ", when: {branch: {only: [m]}}"))  # fmt: skip
    assert found.settings.title is not None
    assert found.settings.when.branches.only is not None
    (child,) = found.steps
    assert child.settings.retry.max_attempts == 3
    assert child.settings.when.branches.only is None


def test_an_expanded_step_points_at_what_the_author_wrote() -> None:
    text = "version: '1.0'\nsteps:\n  p:\n    type: push\n    candidate: a\n    scale:\n      one: {tagg: x}\n"
    (problem,) = read_pipeline(text, "p.yml").errors
    assert (problem.line, problem.column) == (7, 13)


@pytest.mark.parametrize(
    ("step", "path", "message"),
    [
        ("{type: push, candidate: a, scale: []}", "steps.p.scale", '"scale" must be an object'),
        ("{type: push, candidate: a, scale: {o: 1}}", "steps.p.scale.o", '"o" must be an object'),
        ("{type: push, candidate: a, matrix: {tag: x}}", "steps.p.matrix.tag", '"tag" must be an array'),
        ("{type: push, candidate: a, matrix: {tag: []}}", "steps.p.matrix.tag", '"tag" must contain at least 1 items'),
        ("{type: push, candidate: a, scale: {o: {}}, matrix: {tag: [x]}}", "steps.p",
         '"scale" and "matrix" exclude each other'),
        ("{type: push, candidate: a, matrix: {tag: [x, 5]}}", "steps.p.steps.p_2.tag",
         '"tag" must be a string. Current value: 5 '),
    ],
)  # fmt: skip
def test_expansions_that_cannot_be_made_are_refused(step: str, path: str, message: str) -> None:
    assert (path, message) in refused(step)


def test_a_matrix_has_at_most_a_thousand_steps() -> None:
    axis = "[" + ", ".join(f"v{n}" for n in range(32)) + "]"
    messages = [one for _, one in refused(f"{{type: push, candidate: a, matrix: {{tag: {axis}, registry: {axis}}}}}")]
    assert '"matrix" must give 1 to 1000 steps, not 1024' in messages


def test_a_pipeline_in_parallel_mode_cannot_be_expanded() -> None:
    assert refused("{type: push, candidate: a, scale: {o: {}}}", "mode: parallel") == [
        ("steps.p.scale", '"scale" is not allowed in a pipeline with mode: parallel')
    ]


def test_arguments_win_on_every_level_and_may_hold_the_type() -> None:
    text = """
version: '1.0'
steps:
  one: {tag: 5, arguments: {type: push, candidate: a, tag: five}}
  fan: {type: parallel, steps: {two: {type: push, arguments: {candidate: b}}}}
"""
    one, fan = parse_pipeline(text, "p.yml").steps
    assert isinstance(one, PushStep)
    assert [tag.text for tag in one.tags] == ["five"]
    assert isinstance(fan, ParallelStep)
    assert [step.candidate.text for step in fan.steps if isinstance(step, PushStep)] == ["b"]


def test_arguments_of_others_types_stay_where_they_are() -> None:
    assert refused("{type: 'acme/tool:1.0.0', arguments: []}") == []


def test_a_groups_timeout_is_the_default_of_its_steps() -> None:
    text = """
version: '1.0'
steps:
  fan:
    type: parallel
    timeout: 5m
    steps:
      one: {type: push, candidate: a}
      two: {type: push, candidate: a, timeout: 1h}
      three: {type: push, candidate: a, timeout: null}
      four: {type: push, candidate: a, timeout: 0s}
      five: {type: push, candidate: a, timeout: 1 d}
"""
    (fan,) = parse_pipeline(text, "p.yml").steps
    assert isinstance(fan, ParallelStep)
    assert [step.settings.timeout_s for step in fan.steps] == [300, 3600, None, None, 300]


def test_the_vendors_refusal_of_scale_is_known() -> None:
    reading = read_pipeline("version: '1.0'\nsteps: {p: {type: push, candidate: a, scale: {o: {}}}}", "p.yml")
    assert reading.errors == ()
    assert [one.message for one in reading.upstream] == ['"scale" is not allowed']
