"""``dask://HOST:PORT``: units done by the workers of a Dask cluster that runs already, wherever these are.

The scheduler finds a worker for each unit, and another where one goes. A worker that may not log in to a registry is
not asked again for units of it, as long as there are others. What happens comes back by a topic of the scheduler.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from oci_push import forms
from oci_push.errors import ConfigError, CredentialsError, DeniedError, NetworkError
from oci_push.events import LogMessage
from oci_push.runtime.context import Context
from oci_push.runtime.tasks import go
from oci_push.work.dask_link import Link
from oci_push.work.dask_units import Calls, OpenUnit, from_anywhere
from oci_push.work.dask_worker import TOPIC, DaskNote, DaskOrder
from oci_push.work.engine import Lost, Report, Told
from oci_push.work.here import taken
from oci_push.work.units import WorkUnit

if TYPE_CHECKING:
    from distributed import Future

_CHECK_S = 60.0
_RESULT_S = 10.0
_WORKERS_S = 30.0
"""How long is waited for a cluster's first worker."""
_ALONE_S = 120.0
"""How long a cluster may be without any worker before its units are given up."""
_AWAY_S = 30.0
"""How long the scheduler may give no answer before its units are given up."""
_GRACE_S = 30.0
"""How long a worker that was told to stop a unit may take to close its upload, and to put tags back."""
_MOST_TRIED = 5
"""How many workers one unit is tried on that may not, or cannot begin it."""
_MOST_SENT = 20
"""How often one unit is given to a scheduler that is there again, or to another worker than one that has ended."""
_LOOK_S = 1.0
_RETRIES = 2
"""How often the scheduler tries again what our own code did not catch."""


class DaskEngine:
    """The workers of a cluster. `calls` are what is run there.

    `setup` is what each of them is told first, `limits` are units at once by registry, over all runs in the cluster
    that say the same. `run` is a name that no other run in the cluster has. The link is closed with the engine.
    """

    def __init__(
        self, link: Link, context: Context, calls: Calls, run: str, setup: bytes, limits: Mapping[str, int]
    ) -> None:
        self._link = link
        self._clock = context.clock
        self._calls = calls
        self._setup = setup
        self._limits = dict(limits)
        self._run = run
        self._reports: SimpleQueue[Report] = SimpleQueue()
        self._lock = threading.RLock()
        self._open: dict[str, OpenUnit] = {}
        self._refused: dict[str, set[str]] = {}
        self._workers: dict[str, int] = {}
        self._known: set[str] = set()
        self._unfit: dict[str, str] = {}
        self._number = 0
        self._alone_since: float | None = None
        self._heard = self._clock.monotonic()
        self._is_broken = False
        self._is_mute = False
        self._is_missed = False
        self._closed = threading.Event()
        link.subscribe(TOPIC, self._hear)
        try:
            until = self._clock.monotonic() + _WORKERS_S
            while not (found := link.workers()):
                if self._clock.monotonic() > until:
                    hint = "start one: dask worker ADDRESS; a cluster that adapts needs a minimum of one"
                    raise NetworkError("this cluster has no workers", hint=hint)
                context.sleep(_LOOK_S)
            self._know(found)
        except (OSError, TimeoutError) as problem:
            raise NetworkError(f"{link.address.scheduler}: the scheduler does not answer") from problem
        self._check_releases()
        go(self._watch)

    @property
    def slots(self) -> int:
        """Return how many units may be under way at once: the threads of all workers, of which some may come or go."""
        with self._lock:
            return max(1, sum(self._workers.values()))

    def submit(self, unit: WorkUnit) -> None:
        """Give a unit to the scheduler."""
        with self._lock:
            self._open[unit.key] = OpenUnit(unit)
        self._send(unit.key)

    def wait(self, timeout_s: float) -> Sequence[Report]:
        """Return what was reported."""
        now = self._clock.monotonic()
        with self._lock:
            late = [one for one in self._open.values() if one.give_up_at is not None and now > one.give_up_at]
        self._give_up(late)
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
        self._closed.set()
        with self._lock:
            self._open.clear()
        self._tell(self._calls.end, self._run)
        self._link.close()

    def ask_each(self, *told: bytes) -> dict[str, bytes | BaseException]:
        """Have each worker answer a question that takes a thread and a while; return answers by worker."""
        futures = {
            address: self._link.submit(self._calls.ask, self._setup, *told, workers=[address])
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
    def _is_away(self) -> bool:
        """Return whether the scheduler has given no answer for so long that nothing is expected of it."""
        return self._clock.monotonic() - self._heard > _AWAY_S

    def _send(self, key: str) -> None:
        """Give a unit to the scheduler; where that is away, it is done when it is there again."""
        with self._lock:
            one = self._open.get(key)
            if one is None:
                return
            self._number += 1
            one.task = f"oci_push-{key}-{self._run}-{self._number}"
            one.future = None
            one.worker = ""
            one.sent += 1
            if one.sent > _MOST_SENT:
                self._lose(key, "whoever was to do it has ended again and again")
                return
            refused = self._avoided(one)
            one.only = set(self._workers) - refused if refused else set()
            # Not Dask's `allow_other_workers`: it has idle ones take it back time and again while the others are busy.
            where: dict[str, Any] = {"workers": sorted(one.only)} if one.only else {}
        if self._link.is_cut_off:
            if self._is_away:
                self._lose_all()
            return
        order = DaskOrder(self._run, self._calls.release, from_anywhere(one.unit), self._limits)
        try:
            future = self._link.submit(
                self._calls.task, self._setup, forms.encode(order), key=one.task, retries=_RETRIES, **where
            )
            one.future = future
            future.add_done_callback(partial(self._ended, key))
        except Exception:  # noqa: BLE001  # Dask raises what it likes when its scheduler is gone
            self._is_broken = True

    def _avoided(self, one: OpenUnit) -> set[str]:
        """Return workers that a unit is not for: they lack a login, have given it back, or have another oci-push."""
        return one.tried.union(self._unfit, *(self._refused.get(host, ()) for host in one.unit.hosts))

    def _hear(self, event: tuple[float, Any]) -> None:
        """Take in what a worker tells; called by Dask's own thread, and for all runs of the cluster."""
        message = event[1]
        if not isinstance(message, str) or f'"run":"{self._run}"' not in message:
            return
        try:
            note: DaskNote = forms.decode(message.encode(), DaskNote)
        except ValueError:
            return  # whoever has the cluster may say anything
        key = note.answer.key
        with self._lock:
            one = self._open.get(key)
            if one is None:
                return
            before, one.worker = one.worker, note.worker if not note.answer.events else one.worker
        if note.answer.events:
            self._reports.put(Told(key, note.answer.events))
        elif before:
            self._warn(one, f"its worker {before} is gone; it is done again by {note.worker}")

    def _ended(self, key: str, future: Future) -> None:
        """Take in the end of a task; called by a thread of Dask's."""
        with self._lock:
            one = self._open.get(key)
            if one is None or one.future is not future:
                return
        try:
            if future.status in ("cancelled", "lost"):
                self._is_broken = True  # the scheduler has gone, or was made to forget everything
            elif future.status != "finished":
                self._fail(one, future.exception(timeout=_RESULT_S))
            else:
                self._take(one, forms.decode(future.result(timeout=_RESULT_S), DaskNote))
        except Exception as problem:  # noqa: BLE001  # a thread's boundary: nobody else would tell of it
            self._lose(key, f"its result was lost ({type(problem).__name__})", is_final=False)

    def _fail(self, one: OpenUnit, problem: BaseException | None) -> None:
        """Take in that a task has no result."""
        key = one.unit.key
        if type(problem).__name__ == "KilledWorker":
            self._lose(key, "the workers that did it have gone, one after another")
            return
        if isinstance(problem, ImportError):
            self._know(self._link.workers())  # a worker that has come since has no oci-push
        self._lose(key, f"its worker failed ({type(problem).__name__}: {str(problem)[:200]})", is_final=False)

    def _take(self, one: OpenUnit, note: DaskNote) -> None:
        """Report a result, unless another worker may have the login that this one lacks."""
        key, result = one.unit.key, note.answer.result
        if result is None or note.run != self._run or not key == note.answer.key == result.key:
            self._lose(key, "what its worker returned is no result of it", is_final=False)
            return
        if note.answer.events:
            self._reports.put(Told(key, note.answer.events))
        if result.is_stopped and one.give_up_at is None:
            self._warn(one, f"its worker {note.worker} has ended; it is done again")
            self._send(key)
            return
        with self._lock:
            one.tried.add(note.worker)
            may_not = isinstance(result.error, CredentialsError | DeniedError)
            if may_not and getattr(result.error, "status", 401) == 401:
                for host in one.unit.hosts:
                    self._refused.setdefault(host, set()).add(note.worker)
            others = set(self._workers) - self._avoided(one)
            is_over = one.give_up_at is not None or len(one.tried) >= _MOST_TRIED
            if is_over or not others or not (may_not or result.returned):
                if self._open.pop(key, None) is one:
                    self._reports.put(replace(result, name=one.unit.name, returned=False))
                return
        self._warn(one, f"{result.error}; another worker than {result.worker} is asked")
        self._send(key)

    def _warn(self, one: OpenUnit, text: str) -> None:
        self._reports.put(Told(one.unit.key, (LogMessage(f"{one.unit.name}: {text}", "warning"),)))

    def _lose(self, key: str, why: str, *, is_final: bool = True) -> None:
        with self._lock:
            if self._open.pop(key, None) is not None:
                self._reports.put(Lost(key, why, is_final=is_final))

    def _lose_all(self) -> None:
        """Give up everything, since the scheduler is not there."""
        why = f"the scheduler {self._link.address.scheduler} has not answered for {_AWAY_S:.0f} s"
        hint = "once it is there again, the same command does what is left"
        with self._lock:
            for key in self._open:
                self._reports.put(Lost(key, why, is_final=True, hint=hint, is_away=True))
            self._open.clear()

    def _stop(self, asked: Sequence[OpenUnit], task: str, key: str) -> None:
        """Tell all workers; what none of them has is taken back from the scheduler."""
        is_told = self._tell(self._calls.stop, self._run, task, key)
        # Those that have begun tell when they have put things in order.
        self._give_up([one for one in asked if not (is_told and one.worker)])

    def _tell(self, call: Callable[..., object], *told: object) -> bool:
        """Tell all workers something; return whether that was possible."""
        if self._is_mute or self._link.is_cut_off:
            return False
        try:
            try:
                self._link.everywhere(call, *told)
            except TimeoutError:
                self._link.workers()  # a worker hangs, and the others know; or the scheduler does
        except Exception:  # noqa: BLE001  # a scheduler that is gone keeps nothing of ours
            self._is_mute = True
            return False
        return True

    def _give_up(self, units: Sequence[OpenUnit]) -> None:
        """Take units back from the scheduler, and report that they were stopped."""
        for one in units:
            with self._lock:
                if self._open.get(one.unit.key) is not one:
                    continue
                del self._open[one.unit.key]
            if one.future is not None:
                one.future.release()
            self._reports.put(one.stopped())

    def _watch(self) -> None:
        """Look every second, and longer where the scheduler does not answer."""
        while not self._clock.wait(self._closed, _LOOK_S):
            try:
                self._look()
            except Exception:  # noqa: BLE001  # no answer, whatever Dask calls it
                self._miss()

    def _miss(self) -> None:
        """Take in that the scheduler gives no answer."""
        if self._is_away:
            self._lose_all()
        elif not self._is_missed:
            self._is_missed = True
            with self._lock:
                for one in list(self._open.values())[:1]:
                    scheduler = self._link.address.scheduler
                    self._warn(one, f"the scheduler {scheduler} does not answer; it is waited for")

    def _look(self) -> None:
        """See which workers there are; give up where there has been none for long. Raises where nobody answers."""
        is_back = self._is_broken or self._link.is_cut_off
        if is_back:
            with self._lock:
                for one in self._open.values():
                    one.future = None  # the scheduler forgets them
            self._is_broken = True  # until it has answered, which it may not do at once
            self._link.reopen()
            self._link.subscribe(TOPIC, self._hear)
            if self._closed.is_set():
                self._link.close()
                return
        found = self._link.workers()
        self._heard = now = self._clock.monotonic()
        self._is_missed = self._is_mute = False
        self._know(found)
        with self._lock:
            self._is_broken = self._is_broken and not is_back
            self._alone_since = None if self._workers else self._alone_since or now
            is_over = self._alone_since is not None and now - self._alone_since > _ALONE_S
            left = [one for one in self._open.values() if one.give_up_at is None]
        for one in left:
            if is_over:
                self._lose(one.unit.key, f"the cluster has had no worker for {_ALONE_S:.0f} s")
            elif is_back or (one.only and one.only.isdisjoint(found)):
                self._send(one.unit.key)

    def _know(self, found: Mapping[str, int]) -> None:
        """Take in the threads of workers by address. Those that have another oci-push, or none, get no units."""
        release = self._calls.release
        new = [address for address in found if address not in self._known]
        told: Mapping[str, Any] = {}
        if new:
            with contextlib.suppress(TimeoutError):  # one that hangs; a task itself looks at the release again
                told = self._link.everywhere(self._calls.tell_release, workers=new)
        with self._lock:
            self._known = set(found)
            for address, answer in told.items():
                if answer != release and not isinstance(answer, OSError):  # which is one that has gone meanwhile
                    is_missing = isinstance(answer, Exception) and "No module named" in str(answer)
                    what = "no oci-push" if is_missing else f"oci-push {answer}"
                    self._unfit[address] = f"worker {address} has {what}"
                    for one in list(self._open.values())[:1]:
                        self._warn(one, f"{self._unfit[address]}, not {release}, and gets no units")
            self._unfit = {address: why for address, why in self._unfit.items() if address in found}
            self._workers = {address: count for address, count in found.items() if address not in self._unfit}
            for kept in self._refused.values():
                kept.intersection_update(found)

    def _check_releases(self) -> None:
        """Refuse a cluster whose scheduler or workers have no oci-push, or another; raises `ConfigError`."""
        release = self._calls.release
        wrong = list(self._unfit.values())
        try:
            found = self._link.on_scheduler(self._calls.tell_release)
            if found != release:
                wrong.insert(0, f"the scheduler has oci-push {found}")
        except Exception as problem:  # noqa: BLE001  # one that runs nothing for others will tell in its own words
            if "No module named" in str(problem):
                wrong.insert(0, "the scheduler has no oci-push")
        if wrong:
            more = f", and {len(wrong) - 3} more" if len(wrong) > 3 else ""
            raise ConfigError(
                f"this is oci-push {release}, and {', '.join(wrong[:3])}{more}",
                hint=f"install oci-push {release} where the scheduler and the workers run",
            )
