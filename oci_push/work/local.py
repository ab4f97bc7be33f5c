"""``local:N``: units done by processes of this machine, each with an interpreter, and so a core, of its own.

They are started anew, never forked off a process with threads. Units go to a worker's stdin, and what it tells comes
from its stdout; how it is set up is its first line. A worker that goes is replaced, and what it did is done again.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from functools import partial
from queue import SimpleQueue
from typing import IO, TYPE_CHECKING

from oci_push import forms
from oci_push.runtime.clock import Clock
from oci_push.runtime.tasks import go
from oci_push.work.engine import Lost, Report, Told
from oci_push.work.here import taken
from oci_push.work.serving import Answer, Order
from oci_push.work.units import WorkUnit

if TYPE_CHECKING:
    import subprocess

_GRACE_S = 10.0
"""How long a worker that was told to end may take to close what it holds."""
_STOPPING_S = 45.0
"""How long units may take to stop, which for putting tags back is half a minute; then their worker is killed."""
_FAILED_STARTS = 3
"""How many workers in a row may go without having done a unit before nobody is started any more."""
_LAST_WORDS = 20


class _Process:
    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.units: dict[str, bool] = {}
        self.waiting: deque[bytes] = deque()
        self.is_gone = False
        self.has_begun = False
        self.has_worked = False
        self.words: deque[str] = deque(maxlen=_LAST_WORDS)
        self.lock = threading.Lock()
        self.ended = threading.Event()
        self.heard = threading.Event()

    def send(self) -> None:
        """Write what waits, in the order in which it was put there."""
        pipe = self.process.stdin
        if pipe is not None:
            with self.lock, contextlib.suppress(OSError, ValueError):  # the reader tells of one that is gone
                while self.waiting:
                    pipe.write(self.waiting.popleft() + b"\n")
                pipe.flush()

    def keep(self, line: bytes) -> None:
        """Keep what it says beside its answers."""
        if text := line.decode(errors="replace").strip():
            self.words.append(text[:200])

    def hang_up(self) -> None:
        """Tell the worker that this is all."""
        pipe = self.process.stdin
        if pipe is not None:
            with self.lock, contextlib.suppress(OSError):
                pipe.close()


class LocalEngine:
    """`count` worker processes with `jobs` units each at once; one is started when the others have all they may.

    `command` starts a worker in `env`, `setup` is what it is told first.
    """

    def __init__(
        self, clock: Clock, command: Sequence[str], env: Mapping[str, str], setup: bytes, count: int, jobs: int
    ) -> None:
        self._clock = clock
        self._give_up_at: float | None = None
        self._command = list(command)
        self._env = dict(env)
        self._setup = setup
        self._count = count
        self._jobs = jobs
        self._reports: SimpleQueue[Report] = SimpleQueue()
        self._lock = threading.Lock()
        self._workers: list[_Process] = []
        self._failed_starts = 0
        self._last_end = ""

    @property
    def slots(self) -> int:
        """Return how many units may be under way at once."""
        return self._count * self._jobs

    def submit(self, unit: WorkUnit) -> None:
        """Give a unit to the worker that has the least to do."""
        with self._lock:
            if self._failed_starts >= _FAILED_STARTS:
                why = f"workers end as soon as they start: {self._last_end}"
                self._reports.put(Lost(unit.key, why, is_final=True))
                return
            alive = [one for one in self._workers if not one.is_gone]
            worker = min(alive, key=lambda one: len(one.units), default=None)
            if worker is None or (worker.units and len(alive) < self._count):
                try:
                    worker = self._start()
                except OSError as problem:
                    why = f"no worker can be started ({problem.strerror})"
                    self._reports.put(Lost(unit.key, why, is_final=True))
                    return
            worker.units[unit.key] = False
            worker.waiting.append(forms.encode(Order(unit)))  # before anybody can ask for its end
        worker.send()

    def wait(self, timeout_s: float) -> Sequence[Report]:
        """Return what was reported; workers that do not stop although all are to are killed."""
        if self._give_up_at is not None and self._clock.monotonic() >= self._give_up_at:
            with self._lock:
                stuck = [one for one in self._workers if one.units]
            for worker in stuck:
                worker.process.kill()
        return taken(self._reports, timeout_s)

    def cancel(self, key: str = "") -> None:
        """Ask a unit, or all, to stop."""
        with self._lock:
            asked = [one for one in self._workers if not one.is_gone and (not key or key in one.units)]
            for worker in asked:
                worker.waiting.append(forms.encode(Order(cancel=key or "*")))
            if not key:
                self._give_up_at = self._clock.monotonic() + _STOPPING_S
        for worker in asked:
            worker.send()

    def close(self) -> None:
        """End the workers; one that does not is killed."""
        with self._lock:
            workers = list(self._workers)
        for one in workers:
            one.hang_up()
        for one in workers:
            if not one.ended.wait(_GRACE_S):
                one.process.kill()
                one.ended.wait(_GRACE_S)

    def _start(self) -> _Process:
        import subprocess  # few runs have workers

        # A session of its own: Ctrl-C at a terminal is for us, and we tell the workers.
        process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self._env,
            start_new_session=True,
        )
        worker = _Process(process)
        self._workers.append(worker)
        worker.waiting.append(self._setup)
        go(partial(self._listen, worker))
        go(partial(_keep_words, worker, process.stderr))
        return worker

    def _listen(self, worker: _Process) -> None:
        """Take in what a worker tells until it has ended."""
        pipe = worker.process.stdout
        try:
            while pipe is not None and (line := pipe.readline()):
                try:
                    answer: Answer = forms.decode(line, Answer)
                except ValueError:
                    if worker.has_begun:
                        raise
                    worker.keep(line)  # what the interpreter says before it is a worker
                    continue
                if answer.result is not None:
                    worker.has_worked = True
                    with self._lock:
                        self._failed_starts = 0
                        worker.units.pop(answer.key, None)
                    self._reports.put(answer.result)
                    continue
                worker.has_begun = True
                worker.units[answer.key] = True
                if answer.events:
                    self._reports.put(Told(answer.key, answer.events))
        except (ValueError, OSError):
            worker.process.kill()  # half a line, from one that was killed, or what is none of ours
        code = worker.process.wait()
        if pipe is not None:
            pipe.close()
        worker.hang_up()
        with self._lock:
            worker.is_gone = True
        worker.heard.wait(_GRACE_S)
        why = f"its worker was killed by signal {-code}" if code < 0 else f"its worker ended with code {code}"
        said = "" if code < 0 else " ".join(list(worker.words)[-2:])
        why = f"{why}: {said}" if said else why
        with self._lock:
            left = dict(worker.units)
            self._last_end = why
            if left and code > 0 and not worker.has_worked:  # one that was killed says nothing of the next
                self._failed_starts += 1
            self._workers.remove(worker)
        worker.ended.set()
        for key, has_begun in left.items():
            self._reports.put(Lost(key, why, has_begun=has_begun))


def _keep_words(worker: _Process, pipe: IO[bytes] | None) -> None:
    """Keep the end of what a worker says beside its answers."""
    with pipe or contextlib.nullcontext(), contextlib.suppress(ValueError, OSError):
        while pipe is not None and (line := pipe.readline(4096)):
            worker.keep(line)
    worker.heard.set()


def worker_environment(env: Mapping[str, str], path: Sequence[str]) -> dict[str, str]:
    """Return the environment of a worker, which finds the same modules as this process."""
    return {**env, "PYTHONPATH": os.pathsep.join(one for one in path if one)}
