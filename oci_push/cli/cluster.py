"""A Dask cluster for ``--on dask://HOST:PORT`` as a command sets it up, and what its workers may do at registries."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from oci_push import forms
from oci_push.cli.command import show_error
from oci_push.cli.dask_worker import CALLS, WorkerAnswer
from oci_push.cli.options import Common
from oci_push.cli.output import say, say_form, table
from oci_push.cli.work_check import CheckedRegistry
from oci_push.cli.worker import setup_of
from oci_push.errors import ConfigError, OciPushError
from oci_push.forms import VERSION, ErrorForm, Version
from oci_push.runtime.context import Context
from oci_push.work.dask_address import read_address
from oci_push.work.dask_engine import DaskEngine
from oci_push.work.dask_link import Link
from oci_push.work.results import worst
from oci_push.work.units import WorkUnit


class CheckedWorker(Struct, frozen=True):
    """What a worker of a cluster may do at registries; `error` where it could not even ask."""

    worker: str
    address: str
    registries: tuple[CheckedRegistry, ...]
    error: ErrorForm | None


class ClusterCheck(Struct, frozen=True):
    """What ``work --check --on dask://… --json`` prints."""

    version: Version
    exit_code: int
    workers: tuple[CheckedWorker, ...]


@contextmanager
def cluster(
    on: str,
    context: Context,
    common: Common,
    limits: Mapping[str, int],
    hosts: Sequence[str] = (),
    *,
    is_run: bool = False,
) -> Iterator[DaskEngine]:
    """Give the workers of a cluster, set up with these options; raises `ConfigError` and `NetworkError`."""
    if common.header:
        raise ConfigError(
            "--header has no effect with --on dask: what it holds may be secret, and a cluster would keep it",
            hint="write headers: in the oci-push.yaml of the workers",
        )
    link = Link(read_address(on), context)
    try:
        count = max(1, len(link.workers()))
        told = setup_of(for_workers(common), None, hosts, count, describes=not is_run)
        engine = DaskEngine(link, context, CALLS, uuid.uuid4().hex[:12], told, limits)
    except BaseException:
        link.close()
        raise
    try:
        yield engine
    finally:
        engine.close()


def for_workers(common: Common) -> Common:
    """Return the options that workers get: files are named from the root, as a worker runs in another folder.

    Where oci-push.yaml and temporary files are is each worker's own.
    """
    names = {name: getattr(common, name) for name in ("ca_file", "cert_file", "key_file")}
    files = {name: str(Path(path).absolute()) for name, path in names.items() if path}
    return replace(common, config=None, tmpdir=None, **files)


def check_cluster(engine: DaskEngine, units: Sequence[WorkUnit], as_json: bool) -> int:
    """Ask each worker which registries it can log in to, print what they say, and return the exit code."""
    found: dict[str, WorkerAnswer] = {}
    for address, answer in engine.ask_each(forms.encode(tuple(units))).items():
        if isinstance(answer, BaseException):
            error = OciPushError(f"worker {address}: gave no answer ({type(answer).__name__}: {str(answer)[:200]})")
            found[address] = WorkerAnswer(address, error=error)
        else:
            found[address] = forms.decode(answer, WorkerAnswer)
    errors: list[OciPushError | None] = []
    for one in found.values():
        errors += [one.error, *(row.error for row in one.rows)]
    code = worst(errors)
    if as_json:
        workers = [
            CheckedWorker(one.worker, address, tuple(row.row() for row in one.rows), ErrorForm.or_none(one.error))
            for address, one in found.items()
        ]
        say_form(ClusterCheck(VERSION, code, tuple(workers)))
    else:
        cells = [
            (one.worker, row.registry, row.act, row.user, str(row.units), "no" if row.error else "yes")
            for one in found.values()
            for row in one.rows
        ]
        for line in table(("worker", "registry", "to", "as", "units", "may"), cells):
            say(line)
    for one in found.values():
        for problem in (one.error, *(row.error for row in one.rows)):
            if problem is not None:
                show_error(problem.with_more(f"; on worker {one.worker}"))
    return code
