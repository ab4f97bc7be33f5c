"""What a library user calls to copy what a file says: `mirror` and `plan_mirror`."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from msgspec.structs import replace

from oci_push.api import this_environment
from oci_push.credentials.certificates import certificates_of
from oci_push.engine.copying.items import AT_ONCE
from oci_push.engine.copying.mirror import Mirroring
from oci_push.engine.copying.mirror_report import MirrorReport
from oci_push.engine.copying.mirror_sources import Found
from oci_push.engine.pusher import Options, Pusher
from oci_push.errors import ConfigError
from oci_push.events import Emit, LogMessage
from oci_push.language.mirror import load_mirror
from oci_push.library.calls import OnEvent, call, check_type, finished, path_of, pusher_for
from oci_push.model.endpoint import RegistryEndpoint, TlsConfig
from oci_push.model.mirroring import MirrorAccess, MirrorFile
from oci_push.runner.copy_plan import MirrorPlan
from oci_push.runtime.context import Context


def mirror(
    file: str | os.PathLike[str],
    destination: str = "",
    *,
    scoped: bool = False,
    only_missing: bool = False,
    referrers: bool = True,
    at_once: int = AT_ONCE,
    options: Options | None = None,
    on_event: OnEvent | None = None,
    cancel: threading.Event | None = None,
    timeout_s: float | None = None,
) -> MirrorReport:
    """Copy many images as a file says: repositories, globs and tags, each to one or several places, in one run.

    `file` is of the form that ``oci-push mirror`` reads, or of ``skopeo sync`` or regsync; for skopeo's `destination`
    says where images go (``HOST[:PORT][/PREFIX]``), and `scoped` keeps the source's whole name below it. The rest means
    what it means to `copy`. What of the file is not honoured is told as warnings (`on_event`) and in `notes`.

    Raises `OciPushError` as `copy` does where a tag is not there afterwards; `report` has each, and what failed.
    """
    path = path_of(file, "file")
    check_type("options", options, Options)

    def work(context: Context, emit: Emit) -> MirrorReport:
        began = context.clock.monotonic()
        read = _read(path, destination, emit, scoped=scoped)
        with _connected(context, options, read, emit) as pusher:
            run = Mirroring(pusher, only_missing=only_missing, referrers=referrers, at_once=at_once)
            done = run.mirror(context, _found(run, context, read, emit), emit)
        seconds = context.clock.monotonic() - began
        form = MirrorReport.of(path, read, done, seconds, context.costs.total())
        return finished(form, done.errors, "copies", context)

    return call(work, what="mirror", on_event=on_event, cancel=cancel, timeout_s=timeout_s)


def plan_mirror(
    file: str | os.PathLike[str],
    destination: str = "",
    *,
    scoped: bool = False,
    only_missing: bool = False,
    referrers: bool = True,
    options: Options | None = None,
    on_event: OnEvent | None = None,
    cancel: threading.Event | None = None,
    timeout_s: float | None = None,
) -> MirrorPlan:
    """Return what `mirror` would do with these arguments; registries are asked, and nothing is written.

    Errors are raised as by `mirror`, with the plan as `report`.
    """
    path = path_of(file, "file")
    check_type("options", options, Options)

    def work(context: Context, emit: Emit) -> MirrorPlan:
        read = _read(path, destination, emit, scoped=scoped)
        with _connected(context, options, read, emit) as pusher:
            run = Mirroring(pusher, only_missing=only_missing, referrers=referrers, at_once=AT_ONCE)
            found = _found(run, context, read, emit)
            planned = run.forecast(context, found, emit)
        errors = (*planned.copied.errors, *(one.error for one in found.failures))
        return finished(MirrorPlan.of(path, read, planned, found.failures), errors, "copies", context)

    return call(work, what="mirror plan", on_event=on_event, cancel=cancel, timeout_s=timeout_s)


@contextmanager
def mirror_endpoints(
    accesses: Sequence[MirrorAccess], known: Mapping[str, RegistryEndpoint], given: TlsConfig, emit: Emit
) -> Iterator[dict[str, RegistryEndpoint]]:
    """Give how registries are reached: by the `given` TLS, else by a file, else as is `known`; logins by the file."""
    with tempfile.TemporaryDirectory(prefix="oci-push-") as folder:
        yield {
            **known,
            **{one.host: _endpoint(one, known.get(one.host), given, Path(folder), emit) for one in accesses},
        }


def _endpoint(
    one: MirrorAccess, known: RegistryEndpoint | None, given: TlsConfig, folder: Path, emit: Emit
) -> RegistryEndpoint:
    endpoint = known or RegistryEndpoint(one.host)
    tls = TlsConfig(plain_http=one.plain_http, skip_verify=one.skip_verify)
    if one.ca:
        place = folder / f"{len(list(folder.iterdir()))}.crt"
        place.write_text(one.ca)
        tls = replace(tls, ca_file=str(place))
    if one.folder:
        tls = certificates_of(tls, Path(one.folder), emit)
    if given != TlsConfig():
        endpoint = replace(endpoint, tls=given)
    elif tls != TlsConfig():
        endpoint = replace(endpoint, tls=tls)
    if one.credential is None:
        return endpoint
    return replace(endpoint, credential=one.credential, identity=None)


def _read(path: str, destination: str, emit: Emit, *, scoped: bool) -> MirrorFile:
    """Read the file, and tell what of it is not honoured; raises `ConfigError`."""
    try:
        text = Path(path).read_bytes()
    except OSError as problem:
        raise ConfigError(f"{path}: cannot be read ({problem.strerror})", hint="check the file's name") from problem
    env = this_environment().env
    read = load_mirror(text, path, env, lambda place: place.read_text("utf-8"), destination, scoped=scoped)
    for note in read.notes:
        emit(LogMessage(str(note), "warning"))
    return read


@contextmanager
def _connected(context: Context, options: Options | None, read: MirrorFile, emit: Emit) -> Iterator[Pusher]:
    """Give a pusher that knows what the file says of registries."""
    options = options or Options()
    with (
        mirror_endpoints(read.accesses, options.endpoints, options.tls, emit) as endpoints,
        pusher_for(context, replace(options, endpoints=endpoints), emit) as pusher,
    ):
        yield pusher


def _found(run: Mirroring, context: Context, read: MirrorFile, emit: Emit) -> Found:
    """Ask what the file means now, and tell of what nothing is wanted."""
    found = run.find(context, read.jobs)
    for note in found.notes:
        emit(LogMessage(note, "warning"))
    return found
