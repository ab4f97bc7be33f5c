"""What is around every command: its options become groups, its work is run, and errors become exit codes.

The only file that exits.
"""

from __future__ import annotations

import inspect
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, get_type_hints

from msgspec import Struct

from oci_push.cli.ci import Place
from oci_push.cli.output import issue, tell
from oci_push.errors import Cancelled, ConfigError, Diagnostic, OciPushError
from oci_push.runtime.clock import SystemClock
from oci_push.runtime.context import Context
from oci_push.runtime.tasks import attend

_RESUMABLE = frozenset({"push", "run", "copy", "mirror", "work", "blob put"})
_GOES_ON = "the same command goes on where this one stopped"


def takes(*groups: type[Struct]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Declare a command; its last parameters, one for each of `groups`, become options: one for each of their fields.

    A group with a method `check` is checked before the command begins.
    """
    options = [
        {
            name: inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=hints[name])
            for name, default in zip(group.__struct_fields__, group.__struct_defaults__, strict=True)
        }
        for group in groups
        for hints in [get_type_hints(group, include_extras=True)]
    ]

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        parameters = list(inspect.signature(command, eval_str=True).parameters.values())
        own, last = parameters[: len(parameters) - len(groups)], parameters[len(parameters) - len(groups) :]

        def taking(**given: Any) -> None:
            for parameter, group, names in zip(last, groups, options, strict=True):
                made = group(**{name: given.pop(name) for name in names if name in given})
                with reported():
                    getattr(made, "check", lambda: None)()
                given[parameter.name] = made
            command(**given)

        every = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in own]
        every += [option for names in options for option in names.values()]
        taking.__signature__ = inspect.Signature(every, return_annotation=None)  # type: ignore[attr-defined]  # what `words` reads
        taking.__annotations__ = {one.name: one.annotation for one in every}
        taking.__name__, taking.__doc__ = command.__name__, command.__doc__
        return taking

    return decorate


def run_command(work: Callable[[Context], int], *, what: str, timeout_s: float | None = None) -> None:
    """Run `work` under a scope that signals and `timeout_s` end, and exit with what it returns."""
    clock = SystemClock()
    deadline = None if timeout_s is None else clock.monotonic() + timeout_s
    context = Context(clock, deadline=deadline, what=what)
    seen: list[int] = []

    def on_signal(number: int, frame: FrameType | None) -> None:
        seen.append(number)
        if len(seen) > 1:
            os._exit(128 + number)

    def on_tick() -> None:
        context.expire()
        if seen and not context.is_cancelled:
            name = signal.Signals(seen[0]).name
            tell(f"{name} received: stopping (again: stop at once)")
            stopped = Cancelled(f"stopped by {name}", signal_number=seen[0])
            context.cancel(stopped.with_hint(_GOES_ON if what in _RESUMABLE else None))

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)
    outcome = attend(lambda: work(context), on_tick)
    if outcome.error is None:
        raise SystemExit(outcome.get())
    if isinstance(outcome.error, OciPushError):
        show_error(outcome.error)
        raise SystemExit(outcome.error.exit_code)
    raise outcome.error


@contextmanager
def reported() -> Iterator[None]:
    """Turn an expected error into text and an exit code, where there is no work under way yet."""
    try:
        yield
    except OciPushError as error:
        show_error(error)
        raise SystemExit(error.exit_code) from error


def show_error(error: OciPushError, *, before: str = "") -> None:
    """Print an error, what to do, and where its code is explained; a configuration error's problems one a line.

    `before` says what the error belongs to, and is left out where the error begins with it.
    """
    help = f"{error.code} {error.link}"
    if isinstance(error, ConfigError) and len(error.problems) > 1:
        for problem in error.problems:
            is_last = problem is error.problems[-1]
            issue("error", str(problem), problem.hint, _place(problem), help if is_last else "")
        return
    before = "" if str(error).startswith((before, f"{before.removesuffix(': ')} ")) else before
    place = _place(error.problems[0]) if isinstance(error, ConfigError) else Place()
    issue("error", f"{before}{error}", error.advice, place, help)


def _place(problem: Diagnostic) -> Place:
    return Place(problem.file, problem.line, problem.column)
