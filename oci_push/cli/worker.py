"""A worker process of ``--on local:N``: it is told how to reach registries, and then what to do, on stdin.

It takes the options of whoever started it, and reads login files and oci-push.yaml itself: no login is handed over.
"""

from __future__ import annotations

import os
import platform
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import asdict, replace

from oci_push import forms
from oci_push.api import this_environment
from oci_push.cli.inputs import endpoints_at, read_config, with_logins
from oci_push.cli.options import Common
from oci_push.cli.traffic_options import bytes_per_s
from oci_push.events import ignore
from oci_push.model.traffic_words import LEAST_RATE
from oci_push.runtime.clock import SystemClock
from oci_push.runtime.context import Context
from oci_push.secret import Json
from oci_push.work.serving import serve
from oci_push.work.worker import Worker, described_by

_PATHS = ("config", "tmpdir")
_OF_THE_DRIVER = ("username", "password_stdin", "report", "export", "export_format", "timeout", "quiet", "debug")
"""Options that are about what whoever starts the workers reads and writes."""


class Setup(Struct, frozen=True):
    """How a worker is set up: the options that are not as usual, and where oci-push.yaml is looked for.

    `hosts` are the registries that are asked; with `describes` they are reached as oci-push.yaml says. `logins` is a
    mirror file that says so, too.
    """

    options: Mapping[str, Json]
    pipeline: str = ""
    hosts: tuple[str, ...] = ()
    describes: bool = True
    logins: str = ""


def setup_of(
    common: Common,
    pipeline: Path | None,
    hosts: Sequence[str],
    count: int,
    *,
    describes: bool = True,
    logins: Path | None = None,
) -> bytes:
    """Return the first line that each of `count` workers is told; rates of the whole run are divided among them."""
    if common.limit_rate:
        common = replace(common, limit_rate=f"{max(1, int(bytes_per_s(common.limit_rate) / count))}")
    if common.requests_per_second:
        rate = max(LEAST_RATE, float(common.requests_per_second) / count)
        common = replace(common, requests_per_second=f"{rate:.6f}")
    usual = asdict(Common())
    given = {
        name: str(value) if isinstance(value, Path) else value
        for name, value in asdict(common).items()
        if value != usual[name] and name not in _OF_THE_DRIVER
    }
    return forms.encode(Setup(given, str(pipeline or ""), tuple(hosts), describes, str(logins or "")))


def worker_name() -> str:
    """Return who this is, for results."""
    return f"{platform.node()}:{os.getpid()}"


def main() -> None:
    """Serve until stdin ends."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever is printed by mistake is no answer
    orders = sys.stdin.buffer
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started this tells when to stop
    ended_orders, unheard_answers = _ended_pipes()
    is_ended: list[int] = []

    def end(number: int, frame: object) -> None:
        """Go on as if whoever started this were gone: uploads are closed, and another worker does what is left."""
        is_ended.append(number)
        os.dup2(unheard_answers, answers.fileno())
        os.dup2(ended_orders, orders.fileno())

    signal.signal(signal.SIGTERM, end)
    line = orders.readline()
    if not line:
        return
    setup = msgspec.json.decode(line, type=Setup)
    context = Context(SystemClock(), what="worker")
    with ExitStack() as stack:
        serve(orders, answers, lambda inner: make_worker(setup, inner, stack).do, context)
    if is_ended:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.raise_signal(signal.SIGTERM)


def _ended_pipes() -> tuple[int, int]:
    """Return what to read from and what to write to of pipes whose other ends are closed: a root may lack /dev/null."""
    ended, ours = os.pipe()
    os.close(ours)
    theirs, unheard = os.pipe()
    os.close(theirs)
    return ended, unheard


def make_worker(setup: Setup, context: Context, stack: ExitStack) -> Worker:
    """Return a worker with the logins of this process; what it opens is closed with the stack. Raises `ConfigError`."""
    env = this_environment().env
    given: dict[str, Any] = {name: Path(str(v)) if name in _PATHS else v for name, v in setup.options.items()}
    common = Common(**given)
    config = read_config(Path(setup.pipeline) if setup.pipeline else None, common, env)
    endpoints = endpoints_at(setup.hosts if setup.describes else (), common, env)
    logins = Path(setup.logins) if setup.logins else None
    known = stack.enter_context(with_logins(logins, endpoints, common, env, ignore))
    pusher = common.pusher(context, ignore, endpoints=known, hosts=setup.hosts or None, is_lenient=not setup.describes)
    return Worker(stack.enter_context(pusher), described_by(config), worker_name())


if __name__ == "__main__":
    main()
