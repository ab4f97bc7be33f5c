"""What goes through a Dask cluster, whose workers run in other folders and on other machines: calls, and units."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from oci_push.engine.unit import UnitResult
from oci_push.errors import Cancelled
from oci_push.sources.table import GRAMMAR
from oci_push.work.results import WorkResult
from oci_push.work.units import WorkUnit


class Calls(Struct, frozen=True):
    """What is run on workers, each found there by its name; `release` is that of oci-push here."""

    task: Callable[[bytes, bytes], bytes]
    ask: Callable[..., bytes]
    stop: Callable[[str, str, str], None]
    end: Callable[[str], None]
    tell_release: Callable[[], str]
    release: str


class OpenUnit:
    """A unit that has not ended. `task` is what the scheduler calls it, `sent` how often it was given to it.

    `worker` is where it has begun, `tried` are workers that could not do it, and `only` those that it was given for, if
    not for all. `give_up_at` is set once it is to stop.
    """

    def __init__(self, unit: WorkUnit) -> None:
        self.unit = unit
        self.task = ""
        self.sent = 0
        self.future: Any = None
        self.worker = ""
        self.tried: set[str] = set()
        self.only: set[str] = set()
        self.give_up_at: float | None = None

    def stopped(self) -> WorkResult:
        """Return what is reported of it where nobody has told of its end."""
        problem = Cancelled("stopped before it had ended anywhere")
        return WorkResult(self.unit.key, self.unit.name, UnitResult(error=problem))


def from_anywhere(unit: WorkUnit) -> WorkUnit:
    """Return a unit whose files are named from the root: a worker runs in another folder. Its key stays."""
    push = unit.push
    spec = GRAMMAR.read(push.source)
    source = push.source
    if spec is not None and spec.path and spec.text.count(spec.path) == 1 and Path(spec.path).exists():
        source = spec.text.replace(spec.path, str(Path(spec.path).absolute()))
    attach = tuple(replace(one, path=str(Path(one.path).absolute())) for one in push.attach)
    return replace(unit, push=replace(push, source=source, attach=attach))


def missing_file(unit: WorkUnit) -> str:
    """Return the file or folder that a unit needs and that is not on this machine; nothing if all are."""
    spec = GRAMMAR.read(unit.push.source)
    paths = [spec.path if spec is not None else "", *(one.path for one in unit.push.attach)]
    return next((one for one in paths if one.startswith("/") and not Path(one).exists()), "")
