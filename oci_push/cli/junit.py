"""A report as JUnit's XML, which CI services show as tests: a case for each repository, or for each step of a run.

There is no standard; this keeps to what Jenkins' schema and GitLab, Azure and CircleCI read: ``testsuites``,
``testsuite`` with its counts, ``testcase`` with at most one of ``failure`` and ``skipped``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from xml.sax.saxutils import escape, quoteattr

from msgspec import Struct

from oci_push.cli.wording import size
from oci_push.forms import ErrorForm
from oci_push.model.display import plain
from oci_push.model.outcomes import Status
from oci_push.runner.report import PipelineReport, PushReport, ReplicaForm, StepForm, TargetForm
from oci_push.secret import masked


class _Case(Struct, frozen=True):
    """One test: it failed where `failure` has text, and was skipped where `skipped` has; `kind` is the error's."""

    name: str
    seconds: float = 0.0
    failure: str = ""
    kind: str = ""
    skipped: str = ""
    out: tuple[str, ...] = ()


def junit_of(report: PushReport | PipelineReport) -> str:
    """Return a report as XML."""
    if isinstance(report, PushReport):
        cases = [*map(_of_target, report.targets), *map(_of_replica, report.replicas or ())]
        if isinstance(report.error, ErrorForm):
            cases.append(_failed(_Case(report.source), report.error))
        return _document([(f"push {report.source}", "oci-push.push", cases)])
    stages = dict.fromkeys(step.stage for step in report.steps)
    return _document(
        [
            (stage, f"oci-push.{stage}", [_of_step(step) for step in report.steps if step.stage == stage])
            for stage in stages
        ]
    )


def _of_target(target: TargetForm) -> _Case:
    out = tuple(f"{target.repository}:{one.tag}@{target.digest}" for one in target.tags if one.outcome.is_there)
    counts = [f"{count} {outcome}" for outcome, count in target.counts.items() if count]
    if counts:
        out = (*out, f"blobs: {', '.join(counts)}; {size(target.bytes_sent)} sent")
    case = _Case(str(target.repository), target.seconds, out=out)
    return _failed(case, target.error)


def _of_replica(replica: ReplicaForm) -> _Case:
    return _failed(_Case(f"{replica.repository} ({replica.outcome})", replica.seconds), replica.error)


def _of_step(step: StepForm) -> _Case:
    out = tuple(line for target in step.targets for line in _of_target(target).out)
    case = _Case(step.title, step.seconds, out=out)
    if step.status is Status.SKIPPED:
        return _Case(step.title, skipped=step.reason or "skipped")
    if step.error is not None:
        return _failed(case, step.error)
    if step.status is Status.SUCCESS:
        return case
    return _Case(step.title, step.seconds, step.reason or str(step.status), str(step.status), out=out)


def _failed(case: _Case, error: ErrorForm | None) -> _Case:
    if error is None:
        return case
    text = f"{error.message}\nhint: {error.hint}" if error.hint else error.message
    return _Case(case.name, case.seconds, text, error.type, out=case.out)


def _document(suites: Sequence[tuple[str, str, Sequence[_Case]]]) -> str:
    every = [case for _, _, cases in suites for case in cases]
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', f"<testsuites{_attributes(name='oci-push', **_counts(every))}>"]
    for name, class_name, cases in suites:
        lines.append(f"  <testsuite{_attributes(name=name, **_counts(cases))}>")
        lines += [f"    {line}" for case in cases for line in _lines(case, class_name)]
        lines.append("  </testsuite>")
    return "\n".join([*lines, "</testsuites>", ""])


def _lines(case: _Case, class_name: str) -> Iterator[str]:
    yield f"<testcase{_attributes(classname=class_name, name=case.name, time=f'{case.seconds:.3f}')}>"
    if case.skipped:
        yield f"  <skipped{_attributes(message=case.skipped)}/>"
    if case.failure:
        first = case.failure.split("\n", 1)[0]
        yield f"  <failure{_attributes(message=first, type=case.kind)}>{_text(case.failure)}</failure>"
    if case.out:
        yield f"  <system-out>{_text(chr(10).join(case.out))}</system-out>"
    yield "</testcase>"


def _counts(cases: Sequence[_Case]) -> dict[str, str]:
    return {
        "tests": str(len(cases)),
        "failures": str(sum(bool(case.failure) for case in cases)),
        "errors": "0",
        "skipped": str(sum(bool(case.skipped) for case in cases)),
        "time": f"{sum(case.seconds for case in cases):.3f}",
    }


def _attributes(**values: str) -> str:
    return "".join(f" {name}={quoteattr(plain(masked(value)))}" for name, value in values.items())


def _text(text: str) -> str:
    """Return text that XML may hold: control characters are escaped, since it knows no way to write them."""
    return "\n".join(escape(plain(masked(line))) for line in text.split("\n"))
