"""A connection to a Dask scheduler that can be opened again. No question that it asks takes longer than it says.

Dask itself waits without an end for what answers on a port and is no scheduler, and for a scheduler that hangs.
"""

from __future__ import annotations

import contextlib
import ssl
import threading
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from oci_push.errors import ConfigError, NetworkError
from oci_push.runtime.context import Context
from oci_push.runtime.tasks import go
from oci_push.work.dask_address import DaskAddress

if TYPE_CHECKING:
    from distributed import Client, Future, Security

_LOGGERS = ("distributed", "distributed.client", "distributed.core", "distributed.comm", "distributed.batched")
_CONNECT_S = 10.0
_POLL_S = 0.05
_ANSWER_S = 10.0
"""How long a scheduler, or a worker, may take to answer a question that is no work."""

Hear = Callable[[tuple[float, Any]], None]


class Link:
    """A scheduler, and through it its workers. What is asked raises `OSError` where there is no answer in time."""

    def __init__(self, address: DaskAddress, context: Context) -> None:
        """Connect; raises `ConfigError` and `NetworkError`, and what ends `context`."""
        self.address = address
        self._context = context
        self._client = self._opened()

    @property
    def is_cut_off(self) -> bool:
        """Return whether the connection has broken; the scheduler has then forgotten all tasks."""
        return bool(self._client.status != "running")

    def reopen(self) -> None:
        """Connect again, as a client that the scheduler has not seen; raises `ConfigError` and `NetworkError`."""
        self.close()
        self._client = self._opened()

    def close(self) -> None:
        """Leave the scheduler, which forgets what is left of our tasks."""
        with contextlib.suppress(Exception):  # it is gone, or does not answer: it will see that we have gone
            self._client.close(timeout=1)

    def workers(self) -> dict[str, int]:
        """Return the threads of each worker by its address."""
        told = self._client.sync(self._client.scheduler.identity, n_workers=-1, callback_timeout=_ANSWER_S)
        return {address: int(one["nthreads"]) for address, one in told["workers"].items()}

    def everywhere(
        self, call: Callable[..., object], *told: object, workers: Sequence[str] | None = None
    ) -> dict[str, Any]:
        """Run something short in every worker, or some; return what each returned, or the exception it gave instead."""
        answers: dict[str, Any] = self._client.sync(
            self._client._run,  # the public `run` knows no time limit, and one worker that hangs would hold all
            call,
            *told,
            workers=None if workers is None else list(workers),
            on_error="return",
            callback_timeout=_ANSWER_S,
        )
        return answers

    def on_scheduler(self, call: Callable[[], object]) -> object:
        """Run something short in the scheduler itself; raises what it gave."""
        answer: object = self._client.sync(self._client._run_on_scheduler, call, callback_timeout=_ANSWER_S)
        return answer

    def submit(self, call: Callable[..., bytes], *told: bytes, **options: Any) -> Future:
        """Give the scheduler a task; raises what Dask likes when the scheduler is gone."""
        return self._client.submit(call, *told, pure=False, **options)

    def subscribe(self, topic: str, hear: Hear) -> None:
        """Have a topic's events handed to `hear`, by a thread of Dask's, until the connection ends."""
        self._client.subscribe_topic(topic, hear)

    def _opened(self) -> Client:
        """Connect on another thread, as Dask may never come back."""
        made: list[Client | Exception] = []
        ended, given_up = threading.Event(), threading.Event()

        def work() -> None:
            try:
                made.append(_client(self.address))
            except Exception as problem:  # noqa: BLE001  # thread boundary: told to whoever waits
                made.append(problem)
            ended.set()
            if given_up.is_set() and not isinstance(made[0], Exception):
                made[0].close(timeout=1)

        clock = self._context.clock
        until = clock.monotonic() + 1.5 * _CONNECT_S
        go(work)
        while not clock.wait(ended, _POLL_S):
            self._context.expire()
            if self._context.is_cancelled or clock.monotonic() > until:
                given_up.set()
                self._context.check()
                raise _no_scheduler(self.address, "what listens there does not speak as one")
        if isinstance(made[0], Exception):
            raise made[0]
        return made[0]


def _client(address: DaskAddress) -> Client:
    try:
        import dask
    except ImportError as problem:
        raise ConfigError("--on dask: Dask is not installed", hint="pip install 'oci-push[dask]'") from problem
    # What its loggers print would stand in the middle of what this program does; failures come to us as exceptions.
    dask.config.set({"logging": {**dask.config.get("logging", {}), **dict.fromkeys(_LOGGERS, "critical")}})
    from distributed import Client
    from distributed.versions import VersionMismatchWarning

    warnings.simplefilter("ignore", VersionMismatchWarning)  # of Python and libraries: what is sent is JSON
    security = _security(address) if address.is_tls else None
    try:
        return Client(address.scheduler, security=security, timeout=_CONNECT_S, set_as_default=False, name="oci-push")
    except Exception as problem:
        # Dask raises what it comes across in an answer that is none: of a worker, of a server of another protocol.
        is_worker = "identity()" in str(problem)
        why = "that is a worker" if is_worker else str(problem)[:200] or type(problem).__name__
        raise _no_scheduler(address, why) from problem


def _security(address: DaskAddress) -> Security:
    """Return what TLS is spoken with; raises `ConfigError`."""
    from distributed import Security

    cert, key = address.files.get("cert"), address.files.get("key")
    names = {"ca": "tls_ca_file", "cert": "tls_client_cert", "key": "tls_client_key"}
    hint = "write dask+tls://HOST:PORT?ca=PEM&cert=PEM&key=PEM, the key without a pass phrase; or set them up in Dask"
    try:
        if cert:  # Dask would ask for a pass phrase, in the middle of what is shown
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(cert, key, password=lambda: "")
        found = Security(require_encryption=True, **{names[name]: path for name, path in address.files.items()})
        is_whole = found.get_connection_args("client")["ssl_context"] is not None
    except (OSError, ValueError) as problem:
        raise ConfigError(f"--on dask+tls: its files cannot be used ({problem})", hint=hint) from problem
    if not is_whole:
        raise ConfigError("--on dask+tls: ca, cert and key are needed, and one is named nowhere", hint=hint)
    return found


def _no_scheduler(address: DaskAddress, why: str) -> NetworkError:
    hint = "start one: dask scheduler; one with TLS is dask+tls://, and the other way round dask://"
    if "SSL:" in why or "certificate" in why:
        hint = "the scheduler and its clients need certificates of one authority, which both name as ca"
    return NetworkError(f"{address.scheduler}: no scheduler of Dask answers there ({why})", hint=hint)
