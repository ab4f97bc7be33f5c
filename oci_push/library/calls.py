"""One call of the library: the work goes on on threads of its own, the caller's hears of it and may be interrupted.

Nothing of the process is changed: no signal handler is set, nothing is printed, no log is set up. Ctrl-C, which Python
raises on the main thread, stops the work as a cancel does.
"""

from __future__ import annotations

import contextlib
import enum
import os
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import TypeAlias, TypeVar, cast

from msgspec import Struct
from msgspec.structs import replace

from oci_push.api import this_environment
from oci_push.engine.pusher import Options, Pusher
from oci_push.errors import Cancelled, IncompleteError, OciPushError
from oci_push.events import Emit, Event, discreet, ignore
from oci_push.model.digest import Digest
from oci_push.model.platform import Platform
from oci_push.model.reference import Repository
from oci_push.runtime.clock import SystemClock
from oci_push.runtime.context import Context
from oci_push.runtime.tasks import serve
from oci_push.secret import masked

T = TypeVar("T")
S = TypeVar("S", bound=Struct)

OnEvent: TypeAlias = Callable[[Event], object]
"""What is called with each event; what it returns is ignored."""


def call(
    work: Callable[[Context, Emit], T],
    *,
    what: str,
    on_event: OnEvent | None,
    cancel: threading.Event | None,
    timeout_s: float | None = None,
) -> T:
    """Do `work` and come back with its result when all that it began has ended, its uploads closed among it.

    `on_event` is called on this thread; what it raises stops the work and is raised here.
    """
    check_timeout(timeout_s)
    check_listener(on_event)
    check_flag(cancel)
    if cancel is not None and cancel.is_set():
        raise Cancelled()
    clock = SystemClock()
    context = Context(clock, deadline=None if timeout_s is None else clock.monotonic() + timeout_s, what=what)

    def on_tick() -> None:
        context.expire()
        if cancel is not None and cancel.is_set() and not context.is_cancelled:
            context.cancel()

    def on_break() -> None:
        context.cancel(Cancelled("stopped, as what was waiting for it has ended"))

    return serve(lambda put: work(context, discreet(put)), on_event or ignore, on_tick=on_tick, on_break=on_break)


def check_timeout(timeout_s: object) -> None:
    """Refuse what is no number of seconds, with ``TypeError``, or no time at all, with ``ValueError``."""
    if timeout_s is None:
        return
    if isinstance(timeout_s, bool) or not isinstance(timeout_s, int | float):
        raise TypeError(f"timeout_s is a {type(timeout_s).__name__}: give seconds, or None for no limit")
    if not timeout_s > 0:
        raise ValueError(f"timeout_s is {timeout_s}: give seconds above 0, or None for no limit")


def check_listener(on_event: object) -> None:
    """Refuse what is no plain function, before anything is begun."""
    import inspect  # takes longer than the rest of this file

    if on_event is not None and (not callable(on_event) or inspect.iscoroutinefunction(on_event)):
        raise TypeError("on_event is called and not awaited: give a plain function")


def check_flag(cancel: object) -> None:
    """Refuse what cannot be asked whether it is set; ``multiprocessing``'s events can."""
    if cancel is not None and not callable(getattr(cancel, "is_set", None)):
        raise TypeError(f"cancel is a {type(cancel).__name__}: give a threading.Event")


def check_type(name: str, value: object, wanted: type) -> None:
    """Refuse a value of another type than `wanted`, unless it is ``None``, before anything is begun."""
    if value is not None and not isinstance(value, wanted):
        raise TypeError(f"{name} is of type {type(value).__name__}: give {wanted.__name__}")


def check_texts(name: str, values: object) -> None:
    """Refuse what is no mapping of texts to texts, unless it is ``None``."""
    if values is None:
        return
    if not isinstance(values, Mapping) or not all(isinstance(one, str) for pair in values.items() for one in pair):
        raise TypeError(f"{name} is no mapping of str to str")


def check_changes(name: str, values: object) -> None:
    """Refuse what is no mapping of texts to texts, or to ``None`` for what is taken away."""
    if values is None:
        return
    if not isinstance(values, Mapping) or not all(isinstance(one, str) for one in values):
        raise TypeError(f"{name} is no mapping of str to str or None")
    for key, value in values.items():
        if not key or not isinstance(value, str | None):
            raise TypeError(f"{name}: {key!r} is set to {value!r}: give a str, or None to take it away")


def refuse_text(name: str, values: Sequence[str]) -> None:
    """Refuse one text where several are meant, whose letters would be taken for them, and what holds no texts."""
    if isinstance(values, str):
        raise TypeError(f"{name} is a str; give a sequence: {name}=[{values!r}]")
    if not isinstance(values, Collection) or not all(isinstance(one, str) for one in values):
        raise TypeError(f"{name} is no sequence of str")


def platform_of(text: str) -> Platform | None:
    """Read ``OS/ARCH[/VARIANT]``, empty for none; raises ``ValueError``."""
    check_type("platform", text, str)
    return Platform.parse(text) if text else None


def source_of(source: str | os.PathLike[str]) -> str:
    """Return a SOURCE as text, of which a path is a path, whatever it looks like."""
    text = path_of(source, "source")
    return f"./{text}" if not isinstance(source, str) and not text.startswith((".", "/")) else text


@contextlib.contextmanager
def pusher_for(context: Context, options: Options | None, emit: Emit) -> Iterator[Pusher]:
    """Return a pusher in this process's environment, whose proxies and clouds count where `options` name no other."""
    check_type("options", options, Options)
    options, environment = options or Options(), this_environment()
    if not options.transport.env:
        options = replace(options, transport=replace(options.transport, env=environment.env))
    with contextlib.closing(Pusher(context, options, environment, emit)) as pusher:
        yield pusher


def finished(form: S, errors: Sequence[OciPushError | None], things: str, context: Context) -> S:
    """Return a form in which nothing failed; else raise what did, with the form as its report.

    `errors` has one for each of the `things`, ``None`` for those that are done.
    """
    form = discreet_form(form)
    failed = [error for error in errors if error is not None]
    if failed:
        raise of_all(failed, len(errors), things, context).with_report(form)
    return form


def of_all(errors: Sequence[OciPushError], count: int, things: str, context: Context) -> OciPushError:
    """Return the error of several things: what stopped all of them, the only one's own, or one that counts."""
    if context.reason is not None:
        return context.reason
    if count == 1:
        return errors[0]
    return IncompleteError.of(f"{len(errors)} of {count} {things} failed", errors)


def discreet_form(form: S) -> S:
    """Return a report without the secrets that its texts repeat: sources, reasons, notes."""
    return cast(S, _masked(form))  # of the same class, as every value inside it


def _masked(value: object) -> object:
    if isinstance(value, enum.Enum | Digest | Repository):
        return value
    if isinstance(value, str):
        return masked(value)
    if isinstance(value, tuple):
        return tuple(map(_masked, value))
    if isinstance(value, Mapping):
        return {key: _masked(one) for key, one in value.items()}
    if isinstance(value, Struct):
        return replace(value, **{name: _masked(getattr(value, name)) for name in value.__struct_fields__})
    return value


def path_of(path: str | os.PathLike[str], what: str) -> str:
    """Return a path as text; raises ``TypeError`` for what is none."""
    text = os.fspath(path)
    if not isinstance(text, str):
        raise TypeError(f"{what} is bytes, not text")
    return text
