"""Scheduling: which steps start when, which are skipped and why, and how the build ends. No clock, no threads, no I/O.

A `Schedule` is driven: `ready` gives the steps to start now, `finish` tells what became of one. The runner drives it
with real pushes, `simulate` with assumed results, so that a plan and a run cannot differ.

Rules: a sequence takes its steps in file order and stops at a failure unless that step's ``fail_fast`` is false. With
``mode: parallel`` every step whose conditions hold starts, again and again until nothing changes, and a failure ends
what still runs. The children of a parallel step start together and finish whatever becomes of their siblings.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from msgspec import Struct, field

from oci_push.language.branches import Decision
from oci_push.language.steps import Conditions, Flag, ParallelStep, Pipeline, Step, SuccessCriteria, When
from oci_push.model.outcomes import Status

_OVER = frozenset({Status.SUCCESS, Status.FAILURE, Status.SKIPPED, Status.TERMINATED})
_FAILED = frozenset({Status.FAILURE, Status.TERMINATED})


class ConditionEvaluator(Protocol):
    """Decide what depends on variables; `states` are those of all steps, `workflow` is ``workflow.result``."""

    def allows(self, when: When, states: Mapping[str, str], workflow: str) -> Decision:
        """Decide whether a step runs."""
        ...

    def holds(self, conditions: Conditions, states: Mapping[str, str], workflow: str) -> Decision:
        """Decide whether expressions are true."""
        ...

    def flag(self, flag: Flag) -> bool | None:
        """Return a switch's value, ``None`` where nothing is said."""
        ...


class Rules(Struct, frozen=True):
    """What applies to all steps together: the root's keys, or those of a hook with steps."""

    is_parallel: bool = False
    fail_fast: Flag = None
    strict_fail_fast: Flag = None
    success_criteria: SuccessCriteria | None = None

    @classmethod
    def of(cls, pipeline: Pipeline) -> Rules:
        """Take a pipeline's."""
        return cls(pipeline.is_parallel, pipeline.fail_fast, pipeline.strict_fail_fast, pipeline.success_criteria)


class Entry(Struct, eq=False):
    """One step's part in a run.

    `index` is its place among its siblings; `group` numbers what starts together, from 1, and 0 is never started.
    `is_blocked` says that not its own conditions kept it from running, and `roots` are the steps that did.
    """

    step: Step
    parent: Entry | None
    index: int
    state: Status = Status.PENDING
    reason: str = ""
    group: int = 0
    children: list[Entry] = field(default_factory=list)
    is_blocked: bool = False
    roots: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Return the step's name."""
        return self.step.name

    @property
    def is_over(self) -> bool:
        """Return whether it has a result."""
        return self.state in _OVER

    @property
    def has_failed(self) -> bool:
        """Return whether it ended badly."""
        return self.state in _FAILED

    def outermost(self) -> Entry:
        """Return the entry of the pipeline itself that it belongs to."""
        return self if self.parent is None else self.parent.outermost()

    def walk(self) -> Iterator[Entry]:
        """Return it and all entries below, parents first."""
        yield self
        for child in self.children:
            yield from child.walk()


class Schedule:
    """Decide what runs; for one thread."""

    def __init__(self, steps: tuple[Step, ...], rules: Rules, evaluator: ConditionEvaluator) -> None:
        self._rules = rules
        self._evaluator = evaluator
        self._roots = [_entry(step, None, index) for index, step in enumerate(steps)]
        self._by_name = {entry.name: entry for root in self._roots for entry in root.walk()}
        self._states = {name: entry.state for name, entry in self._by_name.items()}
        self._group = 0
        self._changes = 0
        self._failures = 0
        self._position = 0
        self._unfinished = len(self._roots)
        self._running: dict[str, Entry] = {}
        self._waiting = {entry.name: entry for entry in self._roots}
        self._to_evaluate = dict.fromkeys(self._waiting)
        self._waiters = _waiters(self._roots)
        self._newly_skipped: list[Entry] = []
        self._stopped = ""
        self._has_aborted = False
        self._is_cancelled = False

    @property
    def states(self) -> Mapping[str, str]:
        """Return the state of every step by name."""
        return self._states

    @property
    def is_over(self) -> bool:
        """Return whether every step has a result."""
        return self._unfinished == 0

    def entries(self) -> list[Entry]:
        """Return all entries in file order, parents before their children."""
        return [entry for root in self._roots for entry in root.walk()]

    def take_skipped(self) -> list[Entry]:
        """Return the steps that were skipped without having started since this was last asked, outermost ones only."""
        taken, self._newly_skipped = self._newly_skipped, []
        return taken

    def ready(self) -> list[Entry]:
        """Return the steps to start now, which are running from then on; parallel steps start by their children."""
        started: list[Entry] = []
        while self._advance(started):
            pass
        return started

    def finish(self, name: str, state: Status, reason: str = "") -> None:
        """Note a started step's result."""
        entry = self._by_name[name]
        if state == Status.SKIPPED:
            entry.is_blocked, entry.roots = True, (name,)
        self._set(entry, state, reason)
        self._conclude(entry.outermost())

    def stop(self, reason: str) -> None:
        """Begin nothing more, because the run was cancelled."""
        self._is_cancelled = True
        self._stopped = self._stopped or reason

    def abort(self, reason: str) -> None:
        """Fail the build and begin nothing more, whatever `fail_fast` says: an elected hook has failed."""
        self._has_aborted = True
        self._stopped = self._stopped or reason

    def to_cancel(self) -> list[str]:
        """Return the running steps that an abort of a parallel pipeline ends."""
        if not (self._has_aborted and self._rules.is_parallel):
            return []
        return [entry.name for entry in self.entries() if entry.state == Status.RUNNING and not entry.children]

    def status(self) -> Status:
        """Return the build status, ``success`` or ``failure``."""
        if self._has_aborted or self._is_cancelled:
            return Status.FAILURE
        criteria = self._rules.success_criteria
        if criteria is not None and self._unmet(criteria, self._roots):
            return Status.FAILURE
        return Status.FAILURE if any(self._fails_strictly(entry) for entry in self.entries()) else Status.SUCCESS

    def workflow(self, asking: Entry | None = None) -> Status:
        """Return ``workflow.result`` as a condition of the step `asking` sees it."""
        if self._is_cancelled:
            return Status.TERMINATED
        if self._failures:
            return Status.FAILURE
        if not self._rules.is_parallel:
            return Status.SUCCESS if asking is not None or self.is_over else Status.RUNNING
        others = self._unfinished - (0 if asking is None or asking.outermost().is_over else 1)
        return Status.SUCCESS if others == 0 else Status.RUNNING

    def _advance(self, started: list[Entry]) -> bool:
        """Take one round; return whether another may find more."""
        before = self._changes
        if self._rules.is_parallel:
            self._advance_by_conditions(started)
        else:
            self._advance_sequence(started)
        return before != self._changes

    def _advance_sequence(self, started: list[Entry]) -> None:
        while self._position < len(self._roots):
            entry = self._roots[self._position]
            if entry.state == Status.PENDING:
                decision = self._stop_decision() if self._stopped else self._decide(entry)
                if decision.runs:
                    self._start([entry], started)
                else:
                    self._skip(entry, decision)
            if not entry.is_over:
                return
            self._position += 1

    def _advance_by_conditions(self, started: list[Entry]) -> None:
        if self._stopped:
            for entry in list(self._waiting.values()):
                self._skip(entry, self._stop_decision())
            return
        judged = [self._waiting[name] for name in self._to_evaluate if name in self._waiting]
        self._to_evaluate = {
            name: None for name in self._to_evaluate if _asks_more(self._by_name[name].step.settings.when)
        }
        able = [entry for entry in judged if self._decide(entry).runs]
        if able:
            self._start(sorted(able, key=lambda entry: entry.index), started)
        elif not self._running:
            self._skip_all({entry.name: self._decide(entry) for entry in self._waiting.values()})

    def _start(self, entries: list[Entry], started: list[Entry], *, same_group: bool = False) -> None:
        if not entries:
            return
        if not same_group:
            self._group += 1
        for entry in entries:
            entry.group = self._group
            self._set(entry, Status.RUNNING)
        for entry in entries:
            if not isinstance(entry.step, ParallelStep):
                started.append(entry)
                continue
            decisions = [(child, self._decide(child)) for child in entry.children]
            for child, decision in decisions:
                if not decision.runs:
                    self._skip(child, decision)
            self._start([child for child, decision in decisions if decision.runs], started, same_group=True)
        for entry in () if same_group else entries:
            self._conclude(entry)  # none of a group's children may have started

    def _conclude(self, entry: Entry) -> None:
        """Draw the conclusions from what has finished of one of the pipeline's own steps."""
        if entry.state == Status.RUNNING and entry.children:
            self._settle(entry)
        if entry.is_over:
            self._running.pop(entry.name, None)
            self._abort_after(entry)

    def _settle(self, entry: Entry) -> None:
        """Set a parallel step's result once all its children have theirs."""
        for child in entry.children:
            if child.state == Status.RUNNING and child.children:
                self._settle(child)
        if not all(child.is_over for child in entry.children):
            return
        unmet = self._unmet(entry.step.success_criteria, entry.children) if isinstance(entry.step, ParallelStep) else ""
        if not unmet:
            self._set(entry, Status.SUCCESS)
        elif self._evaluator.flag(entry.step.settings.fail_fast) is False:
            self._set(entry, Status.SUCCESS, f"{unmet}, which fail_fast: false lets pass")
        elif all(child.state == Status.TERMINATED for child in entry.children if child.has_failed):
            self._set(entry, Status.TERMINATED, unmet)
        else:
            self._set(entry, Status.FAILURE, unmet)

    def _unmet(self, criteria: SuccessCriteria | None, entries: list[Entry]) -> str:
        """Return why entries do not count as successful together, or nothing."""
        for entry in entries:
            is_named = criteria is not None and criteria.only is not None and entry.name in criteria.only
            is_let_pass = not is_named and self._evaluator.flag(entry.step.settings.fail_fast) is False
            if entry.has_failed and _counts(criteria, entry) and not is_let_pass:
                return f"step {entry.name!r} ended with {entry.state}"
        if criteria is None:
            return ""
        decision = self._evaluator.holds(criteria.conditions, self._states, self.workflow())
        return "" if decision.runs else f"success_criteria: {decision.reason}"

    def _abort_after(self, entry: Entry) -> None:
        if not entry.has_failed or self._has_aborted:
            return
        if self._fails_fast(entry) and _counts(self._rules.success_criteria, entry):
            self._has_aborted = True
            self._stopped = self._stopped or f"step {entry.name!r} ended with {entry.state}"

    def _fails_fast(self, entry: Entry) -> bool:
        own = self._evaluator.flag(entry.step.settings.fail_fast)
        root = self._evaluator.flag(self._rules.fail_fast)
        return own if own is not None else root if root is not None else True

    def _fails_strictly(self, entry: Entry) -> bool:
        """Return whether a failure that stopped nothing fails the build; on a parallel step it never does."""
        parent = entry.parent.step if entry.parent else None
        criteria = parent.success_criteria if isinstance(parent, ParallelStep) else self._rules.success_criteria
        if not entry.has_failed or entry.children or self._fails_fast(entry) or not _counts(criteria, entry):
            return False
        own = self._evaluator.flag(entry.step.settings.strict_fail_fast)
        return bool(own if own is not None else self._evaluator.flag(self._rules.strict_fail_fast))

    def _decide(self, entry: Entry) -> Decision:
        return self._evaluator.allows(entry.step.settings.when, self._states, self.workflow(entry))

    def _stop_decision(self) -> Decision:
        return Decision(False, self._stopped, is_unknown=True)

    def _skip_all(self, decisions: dict[str, Decision]) -> None:
        """Skip steps that wait for each other or for nothing that will come, those first that others wait for."""
        stack = list(reversed(decisions))
        opened: set[str] = set()
        while stack:
            name = stack[-1]
            before = [one for one in decisions[name].steps if one in decisions and one not in opened]
            if name not in opened and before:
                stack += before
                opened.add(name)
                continue
            opened.add(name)
            stack.pop()
            if self._by_name[name].state == Status.PENDING:
                self._skip(self._by_name[name], decisions[name])

    def _skip(self, entry: Entry, decision: Decision) -> None:
        behind = [self._by_name[name] for name in decision.steps]
        is_blocked = decision.is_unknown or any(one.is_blocked or not one.is_over for one in behind)
        roots = tuple(dict.fromkeys(root for one in behind for root in one.roots))
        causes = [
            f"step {one.name!r} is skipped: {one.reason}"
            for one in behind
            if one.state == Status.SKIPPED and one.reason
        ]
        reason = causes[0] if len(decision.steps) == 1 and causes else "; ".join([decision.reason, *causes])
        self._newly_skipped.append(entry)
        for each in entry.walk():
            each.is_blocked, each.roots = is_blocked, roots
            self._set(each, Status.SKIPPED, reason if each is entry else f"step {entry.name!r} is skipped: {reason}")

    def _set(self, entry: Entry, state: Status, reason: str = "") -> None:
        entry.state, entry.reason = state, reason
        self._states[entry.name] = state
        self._changes += 1
        self._failures += entry.has_failed
        self._to_evaluate.update(dict.fromkeys(self._waiters.get(entry.name, ())))
        if entry.parent is None:
            self._waiting.pop(entry.name, None)
            self._unfinished -= entry.is_over
            if state == Status.RUNNING:
                self._running[entry.name] = entry


def _asks_more(when: When) -> bool:
    """Return whether a step that waits must be judged anew whatever changes, not only when a step it names does."""
    return when.dependencies is None or when.conditions != Conditions()


def _waiters(roots: list[Entry]) -> dict[str, list[str]]:
    """List, by step, the outermost steps that wait for it by name."""
    found: dict[str, list[str]] = {}
    for entry in roots:
        dependencies = entry.step.settings.when.dependencies
        for one in dependencies.steps if dependencies else ():
            found.setdefault(one.name.text, []).append(entry.name)
    return found


def _counts(criteria: SuccessCriteria | None, entry: Entry) -> bool:
    if criteria is None:
        return True
    return entry.name not in criteria.ignore and (criteria.only is None or entry.name in criteria.only)


def _entry(step: Step, parent: Entry | None, index: int) -> Entry:
    entry = Entry(step, parent, index)
    if isinstance(step, ParallelStep):
        entry.children.extend(_entry(child, entry, number) for number, child in enumerate(step.steps))
    return entry
