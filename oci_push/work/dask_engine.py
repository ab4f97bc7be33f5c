"""``dask://HOST:PORT``: units done by the workers of a Dask cluster that runs already, wherever these are.

The scheduler finds a worker for each unit, and another where one goes. A worker that may not log in to a registry is
not asked again for units of it, as long as there are others. What happens comes back by a topic of the scheduler.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from oci_push import forms
from oci_push.errors import Cancelled, ConfigError, CredentialsError, DeniedError, NetworkError, OciPushError
from oci_push.events import LogMessage
from oci_push.runtime.clock import Clock
from oci_push.runtime.tasks import go
from oci_push.sources.table import GRAMMAR
from oci_push.work.dask_worker import TOPIC, DaskNote, DaskOrder
from oci_push.work.engine import Lost, Report, Told
from oci_push.work.here import taken
from oci_push.work.results import WorkResult
from oci_push.work.units import WorkUnit

if TYPE_CHECKING:
    from distributed import Client, Future

_CONNECT_S = 10.0
_CHECK_S = 60.0
_ANSWER_S = 10.0
"""How long a worker may take to answer a question that is no work."""
_WORKERS_S = 30.0
"""How long is waited for a cluster's first worker."""
_ALONE_S = 120.0
"""How long a cluster may be without any worker before its units are given up."""
_GRACE_S = 30.0
"""How long a worker that was told to stop a unit may take to close its upload, and to put tags back."""
_MOST_TRIED = 5
"""How many workers one unit is tried on that may not, or cannot begin it."""
_LOOK_S = 1.0
_RETRIES = 2
"""How often the scheduler tries again what our own code did not catch, such as a worker without oci-push."""


class DaskEngine:
    """The workers of a cluster. `calls` are what is run there.

    `setup` is what each of them is told first, `limits` are units at once by registry, over all runs in the cluster
    that say the same. `run` is a name that no other run in the cluster has.
    """

    def __init__(
        self, client: Client, clock: Clock, calls: Calls, run: str, setup: bytes, limits: Mapping[str, int]
    ) -> None:
        self._client = client
        self._clock = clock
        self._calls = calls
        self._setup = setup
        self._limits = dict(limits)
        self._run = run
        self._reports: SimpleQueue[Report] = SimpleQueue()
        self._lock = threading.RLock()
        self._open: dict[str, _Open] = {}
        self._refused: dict[str, set[str]] = {}
        self._workers: dict[str, int] = {}
        self._number = 0
        self._alone_since: float | None = None
        self._looked = self._clock.monotonic()
        client.subscribe_topic(TOPIC, self._hear)
        try:
            client.wait_for_workers(1, timeout=_WORKERS_S)
        except TimeoutError as problem:
            hint = "start one: dask worker ADDRESS; a cluster that adapts needs a minimum of one"
            raise NetworkError("this cluster has no workers", hint=hint) from problem
        self._check_releases()
        self._look()

    @property
    def slots(self) -> int:
        """Return how many units may be under way at once: the threads of all workers, of which some may come or go."""
        return max(1, sum(self._workers.values()))

    def submit(self, unit: WorkUnit) -> None:
        """Give a unit to the scheduler."""
        with self._lock:
            self._number += 1
            task = f"oci_push-{unit.key}-{self._run}-{self._number}"
            self._open[unit.key] = _Open(unit, task)
        self._send(unit.key)

    def wait(self, timeout_s: float) -> Sequence[Report]:
        """Return what was reported."""
        if self._clock.monotonic() - self._looked >= _LOOK_S:
            self._looked = self._clock.monotonic()
            self._look()
        return taken(self._reports, timeout_s)

    def cancel(self, key: str = "") -> None:
        """Ask a unit, or all, to stop; one that has not begun never does."""
        with self._lock:
            asked = [one for one in self._open.values() if not key or one.unit.key == key]
            for one in asked:
                one.give_up_at = self._clock.monotonic() + _GRACE_S
        if asked:
            go(partial(self._stop, asked, "" if not key else asked[0].task, key))

    def close(self) -> None:
        """Let the workers close their connections, and leave the cluster as it was."""
        with contextlib.suppress(Exception):  # a scheduler that is gone keeps nothing of ours
            if not self._is_cut_off:
                self._client.unsubscribe_topic(TOPIC)
                self._everywhere(self._calls.end, self._run)
        with self._lock:
            self._open.clear()
        self._client.close(timeout=1 if self._is_cut_off else _ANSWER_S)

    def ask_each(self, *told: bytes) -> dict[str, bytes | BaseException]:
        """Have each worker answer a question that takes a thread and a while; return answers by worker."""
        futures = {
            address: self._client.submit(self._calls.ask, self._setup, *told, workers=[address], pure=False)
            for address in self._workers
        }
        answers: dict[str, bytes | BaseException] = {}
        for address, future in futures.items():
            try:
                answers[address] = future.result(timeout=_CHECK_S)
            except Exception as problem:  # noqa: BLE001  # whatever went wrong on that worker is its answer
                answers[address] = problem
        return answers

    @property
    def _is_cut_off(self) -> bool:
        """Return whether the scheduler is gone; one that comes back knows no tasks of ours."""
        return bool(self._client.status != "running")

    def _send(self, key: str) -> None:
        if self._is_cut_off:
            self._lose(key, "the scheduler is gone")
            return
        with self._lock:
            one = self._open[key]
            refused = self._avoided(one)
            others = [address for address in self._workers if address not in refused]
            # Where all of the others go, it is for whoever is left.
            where: dict[str, Any] = {"workers": others, "allow_other_workers": True} if refused and others else {}
        order = DaskOrder(self._run, self._calls.release, from_anywhere(one.unit), self._limits)
        try:
            future = self._client.submit(
                self._calls.task, self._setup, forms.encode(order), key=one.task, pure=False, retries=_RETRIES, **where
            )
            one.future = future
            future.add_done_callback(partial(self._ended, key))
        except Exception as problem:  # noqa: BLE001  # Dask raises what it likes when its scheduler is gone
            self._lose(key, f"the scheduler does not take it ({type(problem).__name__})")

    def _avoided(self, one: _Open) -> set[str]:
        """Return workers that a unit is not for: they lack a login, or have given it back."""
        return one.tried.union(*(self._refused.get(host, ()) for host in one.unit.hosts))

    def _hear(self, event: tuple[float, Mapping[str, Any]]) -> None:
        """Take in what a worker tells; called by Dask's own thread, and for all runs of the cluster."""
        message = event[1]
        if not isinstance(message, str) or f'"run":"{self._run}"' not in message:
            return
        note: DaskNote = forms.decode(message.encode(), DaskNote)
        key = note.answer.key
        with self._lock:
            one = self._open.get(key)
            if one is None:
                return
            before, one.worker = one.worker, note.worker if not note.answer.events else one.worker
        if note.answer.events:
            self._reports.put(Told(key, note.answer.events))
        elif before:
            text = f"{one.unit.name}: its worker {before} is gone; it is done again by {note.worker}"
            self._reports.put(Told(key, (LogMessage(text, "warning"),)))

    def _ended(self, key: str, future: Future) -> None:
        """Take in the end of a task; called by a thread of Dask's."""
        with self._lock:
            one = self._open.get(key)
            if one is None or one.future is not future:
                return
        try:
            if future.status != "finished":
                self._lose(key, _why(future))
                return
            note: DaskNote = forms.decode(future.result(timeout=_CONNECT_S), DaskNote)
        except Exception as problem:  # noqa: BLE001  # a thread's boundary: nobody else would tell of it
            self._lose(key, f"its result was lost ({type(problem).__name__})")
            return
        if note.answer.events:
            self._reports.put(Told(key, note.answer.events))
        if note.answer.result is not None:
            self._take(one, note.worker, note.answer.result)

    def _take(self, one: _Open, worker: str, result: WorkResult) -> None:
        """Report a result, unless another worker may have the login that this one lacks."""
        key = one.unit.key
        with self._lock:
            one.tried.add(worker)
            one.worker = ""
            may_not = isinstance(result.error, CredentialsError | DeniedError)
            if may_not and getattr(result.error, "status", 401) == 401:
                for host in one.unit.hosts:
                    self._refused.setdefault(host, set()).add(worker)
            others = set(self._workers) - self._avoided(one)
            is_asked = one.give_up_at is not None or len(one.tried) >= _MOST_TRIED
            if (may_not or result.returned) and others and not is_asked:
                self._number += 1
                one.task = f"oci_push-{key}-{self._run}-{self._number}"
                one.future = None
            else:
                del self._open[key]
                result = replace(result, name=one.unit.name, returned=False)
                self._reports.put(result)
                return
        text = f"{one.unit.name}: {result.error}; another worker than {result.worker} is asked"
        self._reports.put(Told(key, (LogMessage(text, "warning"),)))
        self._send(key)

    def _lose(self, key: str, why: str) -> None:
        with self._lock:
            if self._open.pop(key, None) is None:
                return
        self._reports.put(Lost(key, why, is_final=True))

    def _stop(self, asked: Sequence[_Open], task: str, key: str) -> None:
        """Tell all workers; what none of them has is taken back from the scheduler."""
        with contextlib.suppress(Exception):  # what is lost with the scheduler is told by its futures
            self._everywhere(self._calls.stop, self._run, task, key)
        self._give_up([one for one in asked if not one.worker])  # the others tell when they have put things in order

    def _give_up(self, units: Sequence[_Open]) -> None:
        """Take units back from the scheduler, and report that they were stopped."""
        for one in units:
            with self._lock:
                if self._open.get(one.unit.key) is not one:
                    continue
                del self._open[one.unit.key]
            with contextlib.suppress(Exception):  # a scheduler that is gone keeps nothing of ours
                one.future.cancel()
            self._reports.put(_stopped(one.unit))

    def _everywhere(self, call: Callable[..., object], *told: object) -> dict[str, Any]:
        """Run something short in every worker, and wait no longer than it may take for those that answer."""
        answers: dict[str, Any] = self._client.sync(
            self._client._run,  # the public `run` knows no time limit, and one worker that hangs would hold all
            call,
            *told,
            on_error="return",
            callback_timeout=_ANSWER_S,
        )
        return answers

    def _look(self) -> None:
        """See which workers there are; give up where there has been none for long."""
        if self._is_cut_off:
            for key in list(self._open):
                self._lose(key, "the scheduler is gone")
            return
        try:
            info = self._client.scheduler_info(n_workers=-1)["workers"]
        except Exception:  # noqa: BLE001  # a scheduler that is gone ends the futures, which tell of it
            info = {}
        now = self._clock.monotonic()
        with self._lock:
            self._workers = {address: int(one["nthreads"]) for address, one in info.items()}
            for kept in self._refused.values():
                kept.intersection_update(self._workers)
            self._alone_since = None if self._workers else self._alone_since or now
            is_over = self._alone_since is not None and now - self._alone_since > _ALONE_S
            left = list(self._open) if is_over else []
            late = [one for one in self._open.values() if one.give_up_at is not None and now > one.give_up_at]
        self._give_up(late)
        for key in left:
            self._lose(key, f"the cluster has had no worker for {_ALONE_S:.0f} s")

    def _check_releases(self) -> None:
        """Refuse a cluster whose workers have no oci-push, or another; raises `ConfigError`."""
        wrong: list[str] = []
        for address, found in self._everywhere(self._calls.tell_release).items():
            if found != self._calls.release:
                is_missing = isinstance(found, ImportError)
                told = "has no oci-push" if is_missing else f"has oci-push {found}"
                wrong.append(f"worker {address} {told}")
        if wrong:
            more = f", and {len(wrong) - 3} more" if len(wrong) > 3 else ""
            raise ConfigError(
                f"this is oci-push {self._calls.release}, and {', '.join(wrong[:3])}{more}",
                hint=f"install oci-push {self._calls.release} where the scheduler and the workers run",
            )


class Calls(Struct, frozen=True):
    """What is run on workers, each found there by its name; `release` is that of oci-push here."""

    task: Callable[[bytes, bytes], bytes]
    ask: Callable[..., bytes]
    stop: Callable[[str, str, str], None]
    end: Callable[[str], None]
    tell_release: Callable[[], str]
    release: str


class _Open:
    """A unit that has not ended; `worker` is where it has begun."""

    def __init__(self, unit: WorkUnit, task: str) -> None:
        self.unit = unit
        self.task = task
        self.future: Any = None
        self.worker = ""
        self.tried: set[str] = set()
        self.give_up_at: float | None = None


def _why(future: Future) -> str:
    """Return why a task has no result, for people."""
    if future.status in ("cancelled", "lost"):
        return "the scheduler is gone, or has forgotten it"
    problem = future.exception(timeout=_ANSWER_S)
    if type(problem).__name__ == "KilledWorker":
        return "the workers that did it have gone, one after another"
    return f"its worker failed ({type(problem).__name__}: {str(problem)[:200]})"


def from_anywhere(unit: WorkUnit) -> WorkUnit:
    """Return a unit whose files are named from the root: a worker runs in another folder. Its key stays."""
    push = unit.push
    spec = GRAMMAR.read(push.source)
    source = push.source
    if spec is not None and spec.path and spec.text.count(spec.path) == 1 and Path(spec.path).exists():
        source = spec.text.replace(spec.path, str(Path(spec.path).absolute()))
    attach = tuple(replace(one, path=str(Path(one.path).absolute())) for one in push.attach)
    return replace(unit, push=replace(push, source=source, attach=attach))


def _stopped(unit: WorkUnit) -> WorkResult:
    from oci_push.engine.unit import UnitResult

    problem: OciPushError = Cancelled("stopped before it had ended anywhere")
    return WorkResult(unit.key, unit.name, UnitResult(error=problem))
