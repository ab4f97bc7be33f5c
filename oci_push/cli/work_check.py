"""What `work --check` asks: whether this worker may pull from and push to the registries of its units, and can sign."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Literal

from msgspec import Struct

from oci_push.cli.command import show_error
from oci_push.cli.output import say, say_form, table
from oci_push.engine.pusher import Pusher
from oci_push.engine.unit import PushUnit, UnitTarget, signers_at
from oci_push.errors import OciPushError
from oci_push.forms import VERSION, ErrorForm, Version, derive
from oci_push.model.digest import Digest
from oci_push.model.mirroring import elsewhere
from oci_push.model.reference import Repository
from oci_push.runtime.context import Context
from oci_push.runtime.tasks import run_all
from oci_push.work.results import worst
from oci_push.work.units import WorkUnit
from oci_push.work.worker import Describe, reach

_AT_ONCE = 8
_ANY_DIGEST = Digest.of(b"")


class CheckedRegistry(Struct, frozen=True):
    """What a worker may do at a registry, tried in one repository; `name` is the one that units call it by."""

    registry: str
    name: str
    repository: Repository
    act: Literal["pull", "push"]
    user: str
    units: int
    error: ErrorForm | None


class WorkCheck(Struct, frozen=True):
    """What ``work --check --json`` prints."""

    version: Version
    exit_code: int
    registries: tuple[CheckedRegistry, ...]


class _Question(Struct, frozen=True):
    act: Literal["pull", "push"]
    name: str
    repository: Repository
    target: str = ""
    signed: PushUnit | None = None


class Asked(Struct, frozen=True):
    """What came of one question; also what a worker elsewhere answers."""

    registry: str
    name: str
    repository: Repository
    act: Literal["pull", "push"]
    user: str
    units: int
    error: OciPushError | None

    def row(self) -> CheckedRegistry:
        """Return it as it is published."""
        return derive(CheckedRegistry, self, error=ErrorForm.or_none(self.error))


def check_logins(context: Context, pusher: Pusher, describe: Describe, units: Sequence[WorkUnit], as_json: bool) -> int:
    """Try each registry once as units would, print what came of it, and return the exit code."""
    rows = ask_registries(context, pusher, describe, units)
    code = worst([one.error for one in rows])
    if as_json:
        say_form(WorkCheck(VERSION, code, tuple(one.row() for one in rows)))
    else:
        cells = [(one.registry, one.act, one.user, str(one.units), "no" if one.error else "yes") for one in rows]
        for line in table(("registry", "to", "as", "units", "may"), cells):
            say(line)
    for one in rows:
        if one.error is not None:
            show_error(one.error)
    return code


def ask_registries(
    context: Context, pusher: Pusher, describe: Describe, units: Sequence[WorkUnit]
) -> tuple[Asked, ...]:
    """Try each registry once as units would, and return what came of it."""
    asked: dict[tuple[object, ...], _Question] = {}
    counts: dict[tuple[object, ...], int] = {}
    for unit in units:
        for one in _questions(unit):
            key: tuple[object, ...] = (one.act, one.name, one.repository.host)
            asked.setdefault(key, one)
            counts[key] = counts.get(key, 0) + 1
    jobs = [partial(_ask, pusher=pusher, describe=describe, question=one) for one in asked.values()]
    rows: list[Asked] = []
    for (key, one), outcome in zip(asked.items(), run_all(context, jobs, limit=_AT_ONCE), strict=True):
        context.check()
        error = outcome.error
        if error is not None and not isinstance(error, OciPushError):
            raise error
        user, host = outcome.value or "-", one.repository.host
        rows.append(Asked(host, one.name, one.repository, one.act, user, counts[key], error))
    return tuple(rows)


def _questions(unit: WorkUnit) -> list[_Question]:
    push = unit.push
    found = [
        _Question("push", one.registry, one.repository, signed=push if one.is_signed else None) for one in push.targets
    ]
    kept = elsewhere(unit.backup)
    found += [_Question("push", "", kept.repository)] if kept else []
    source = unit.origin
    if source is not None:
        found.append(_Question("pull", unit.push.registry, source.repository, source.target))
    return found


def _ask(context: Context, pusher: Pusher, describe: Describe, question: _Question) -> str:
    """Ask as a unit would; return as whom, where that worked."""
    given = reach(describe, question.name, question.repository.host) if question.name else None
    if question.act == "pull":
        endpoint = pusher.endpoint(question.repository, given)
        pusher.clients.repository(endpoint, question.repository).head(context, question.target)
    else:
        target = pusher.target(question.repository, (), given)
        endpoint = target.endpoint
        pusher.clients.want(endpoint, push=(target.repository,))
        pusher.clients.repository(endpoint, target.repository).check_push(context, _ANY_DIGEST)
        if question.signed is not None:
            known = pusher.knowing({question.name: given} if given else {})
            signers_at(question.signed, UnitTarget(question.repository, (), question.name, is_signed=True), known)
    if endpoint.credential is not None:
        return endpoint.credential.shown_user or "a token"
    return str(endpoint.identity) if endpoint.identity is not None else "nobody"
