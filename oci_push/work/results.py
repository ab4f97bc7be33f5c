"""What became of units, as lines of JSON in a file that outlives whoever writes it.

A line is on the disk before anything else is said of its unit. A process that is killed may leave a last line without
an end: it is passed over when the file is read, and ended before the next line is written.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

from msgspec import Struct, field
from msgspec.structs import replace

from oci_push import forms
from oci_push.engine.copying.referrers import Referred
from oci_push.engine.unit import UnitResult
from oci_push.errors import ConfigError, OciPushError, exit_code
from oci_push.forms import VERSION, ErrorForm, Version
from oci_push.model.digest import Digest
from oci_push.model.reference import Repository


class WorkResult(Struct, frozen=True):
    """What became of a unit. `returned`: this worker could not even begin, and another may.

    `learned` are the repositories that hold its large blobs now. `worker` says who did it: a machine and a process.
    """

    key: str
    name: str
    result: UnitResult
    referrers: Referred | None = None
    returned: bool = False
    learned: Mapping[Digest, tuple[Repository, ...]] = field(default_factory=dict)
    worker: str = ""
    version: Version = VERSION

    @property
    def error(self) -> OciPushError | None:
        """Return what went wrong first, of the image or of what refers to it."""
        if self.result.error is not None or self.referrers is None:
            return self.result.error
        return next(iter(self.referrers.errors), None)

    @property
    def is_stopped(self) -> bool:
        """Return whether it was ended from outside, so that it says nothing of the unit."""
        return self.result.error is not None and self.result.error.exit_code > 128


def stopped_for(result: UnitResult, reason: OciPushError) -> UnitResult:
    """Return a result in which whatever was stopped says why, which nobody has told who was asked to stop."""

    def why(error: OciPushError | None) -> OciPushError | None:
        return reason if error is not None and error.exit_code > 128 else error

    results = tuple(replace(one, error=why(one.error)) for one in result.results)
    replicas = tuple(replace(one, error=why(one.error)) for one in result.replicas)
    return replace(result, error=why(result.error), results=results, replicas=replicas)


class ResultsFile:
    """A file that results are added to, by threads of one process; `None` for a path keeps them nowhere."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._descriptor = -1
        self._is_cut = False

    def open(self) -> None:
        """Make the file where there is none, so that who had nothing to do leaves one, too; raises `ConfigError`."""
        if self._path is None:
            return
        with self._lock:
            try:
                self._descriptor = _opened(self._path) if self._descriptor < 0 else self._descriptor
            except OSError as problem:
                raise ConfigError(f"{self._path}: cannot be written ({problem.strerror})") from problem

    def add(self, result: WorkResult) -> None:
        """Write a line and have it on the disk; raises `ConfigError`."""
        if self._path is None:
            return
        self.open()
        line = forms.encode(result) + b"\n"
        with self._lock:
            try:
                _write(self._descriptor, b"\n" + line if self._is_cut else line)
                os.fsync(self._descriptor)
                self._is_cut = False
            except OSError as problem:
                self._is_cut = True  # half a line may be there, and must not spoil the next
                raise ConfigError(f"{self._path}: the result cannot be written ({problem.strerror})") from problem

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            if self._descriptor >= 0:
                os.close(self._descriptor)
            self._descriptor = -1


def _opened(path: Path) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    size = os.fstat(descriptor).st_size
    if size and os.pread(descriptor, 1, size - 1) != b"\n":
        _write(descriptor, b"\n")
    return descriptor


def _write(descriptor: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]


def read_results(path: Path, *, must: bool = True) -> tuple[WorkResult, ...]:
    """Read a file of results, the last of each unit; a line that a killed process left without an end is passed over.

    Raises `ConfigError` where no line is a result, where it is no file, or, if it `must` be there, where there is none.
    """
    if path.exists() and not path.is_file():
        raise ConfigError(f"{path}: is no file, and what is done must be read again", hint="name a file")
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        if not must:
            return ()
        raise ConfigError(f"{path}: there is no such file", hint="name what work --results FILE has written") from None
    except OSError as problem:
        raise ConfigError(f"{path}: cannot be read ({problem.strerror})") from problem
    found: dict[str, WorkResult] = {}
    wrong: list[int] = []
    lines = data.splitlines()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            one: WorkResult = forms.decode(line, WorkResult)
        except ValueError:
            wrong.append(number)
            continue
        known = found.get(one.key)
        if known is None or known.error is not None or one.error is None:  # what was done once stays done
            found[one.key] = one
    if wrong and not found:
        raise ConfigError(f"{path}:{wrong[0]}: this is no result", hint="name what work --results FILE has written")
    return tuple(found.values())


def together(parts: Iterable[Iterable[WorkResult]]) -> tuple[WorkResult, ...]:
    """Join results of several files: a unit that was done anywhere is done."""
    found: dict[str, WorkResult] = {}
    for part in parts:
        for one in part:
            known = found.get(one.key)
            if known is None or known.error is not None:
                found[one.key] = one
    return tuple(found.values())


def worst(errors: Iterable[OciPushError | None], missing: int = 0) -> int:
    """Return the exit code of many units: that of all failures where they agree, else 1; 1 where some are missing."""
    failed = [one for one in errors if one is not None]
    codes = {one.exit_code for one in failed} | ({1} if missing else set())
    if len(codes) == 1:
        return codes.pop()
    return exit_code([*failed, None]) if codes else 0


class WorkRow(Struct, frozen=True):
    """What became of one unit, for reports."""

    key: str
    name: str
    outcome: Literal["done", "there", "failed", "not reached"]
    root: Digest | None
    bytes_sent: int
    requests: int
    seconds: float
    worker: str
    error: ErrorForm | None

    @classmethod
    def of(cls, one: WorkResult, *, earlier: bool = False) -> WorkRow:
        """Return the row of a result; one from an `earlier` run is there."""
        error = one.error
        outcome: Literal["done", "there", "failed", "not reached"] = (
            "not reached" if one.is_stopped else "failed" if error else "there" if earlier else "done"
        )
        pushed = one.result.results
        return cls(
            one.key,
            one.name,
            outcome,
            pushed[0].root if pushed else None,
            one.result.cost.bytes_sent,
            one.result.cost.requests,
            round(one.result.seconds, 3),
            one.worker,
            ErrorForm.or_none(error),
        )


class WorkReport(Struct, frozen=True):
    """What ``work --json`` and ``report merge --json`` print; `counts` are of units by outcome."""

    version: Version
    status: Literal["success", "failure"]
    exit_code: int
    counts: Mapping[str, int]
    bytes_sent: int
    requests: int
    seconds: float
    units: tuple[WorkRow, ...]

    @classmethod
    def of(cls, rows: Iterable[WorkRow], code: int, seconds: float) -> WorkReport:
        """Return the report of these rows."""
        rows = tuple(rows)
        counts = {name: sum(row.outcome == name for row in rows) for name in ("done", "there", "failed", "not reached")}
        now = [row for row in rows if row.outcome != "there"]
        sent, requests = sum(row.bytes_sent for row in now), sum(row.requests for row in now)
        return cls(VERSION, "failure" if code else "success", code, counts, sent, requests, round(seconds, 3), rows)
