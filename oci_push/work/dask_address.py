"""Where a Dask scheduler is, and a connection to it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

from msgspec import Struct

from oci_push.errors import ConfigError, NetworkError

if TYPE_CHECKING:
    from distributed import Client

DEFAULT_PORT = 8786
SCHEMES = ("dask", "dask+tls")
_LOGGERS = ("distributed", "distributed.client", "distributed.core", "distributed.comm", "distributed.batched")
_CONNECT_S = 10.0


class DaskAddress(Struct, frozen=True):
    """Where a scheduler is. `files` are of TLS: ``ca``, ``cert``, ``key``; those not named are as Dask is set up."""

    scheduler: str
    files: Mapping[str, str]

    @property
    def is_tls(self) -> bool:
        """Return whether it is spoken to by TLS."""
        return self.scheduler.startswith("tls:")


def read_address(text: str) -> DaskAddress:
    """Read ``dask://HOST:PORT`` or ``dask+tls://HOST:PORT?ca=PEM&cert=PEM&key=PEM``; raises `ConfigError`."""
    parts = urlsplit(text)
    usual = f"write dask://HOST:PORT, or dask+tls://HOST:PORT?ca=PEM&cert=PEM&key=PEM; the usual port is {DEFAULT_PORT}"
    try:
        host, port = parts.hostname, parts.port or DEFAULT_PORT
    except ValueError:
        host, port = None, 0
    if parts.scheme not in SCHEMES or not host or parts.username is not None or parts.path.strip("/"):
        raise ConfigError(f"--on {parts.scheme}: this is no address of a scheduler", hint=usual)
    files = dict(parse_qsl(parts.query))
    is_tls = parts.scheme == "dask+tls"
    wrong = [name for name in files if name not in ("ca", "cert", "key")]
    if wrong or (files and not is_tls):
        raise ConfigError(f"--on {parts.scheme}: {(wrong or list(files))[0]} has no meaning there", hint=usual)
    for name, path in files.items():
        if not Path(path).is_file():
            raise ConfigError(f"--on {parts.scheme}: there is no file {path}, named by {name}")
    shown = f"[{host}]" if ":" in host else host
    return DaskAddress(f"{'tls' if is_tls else 'tcp'}://{shown}:{port}", files)


def connect(address: DaskAddress) -> Client:
    """Return a connection to a scheduler; raises `ConfigError` and `NetworkError`."""
    try:
        import dask
    except ImportError as problem:
        raise ConfigError("--on dask: Dask is not installed", hint="pip install 'oci-push[dask]'") from problem
    # What its loggers print would stand in the middle of what this program does; failures come to us as exceptions.
    dask.config.set({"logging": {**dask.config.get("logging", {}), **dict.fromkeys(_LOGGERS, "critical")}})
    from distributed import Client, Security

    names = {"ca": "tls_ca_file", "cert": "tls_client_cert", "key": "tls_client_key"}
    settings = {names[name]: path for name, path in address.files.items()}
    try:
        security = Security(require_encryption=True, **settings) if address.is_tls else None
        return Client(address.scheduler, security=security, timeout=_CONNECT_S, set_as_default=False, name="oci-push")
    except (TypeError, ValueError, RuntimeError) as problem:
        raise ConfigError(
            f"{address.scheduler}: no connection can be set up ({str(problem)[:200]})",
            hint="name the files of TLS: dask+tls://HOST:PORT?ca=PEM&cert=PEM&key=PEM; or set them up in Dask",
        ) from problem
    except (OSError, TimeoutError) as problem:
        raise NetworkError(
            f"{address.scheduler}: no scheduler of Dask answers there ({str(problem)[:200]})",
            hint="start one: dask scheduler; one with TLS is dask+tls://, and the other way round dask://",
        ) from problem
