"""Where a Dask scheduler is, as people write it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from msgspec import Struct

from oci_push.errors import ConfigError

DEFAULT_PORT = 8786
SCHEMES = ("dask", "dask+tls")


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
    files = dict(parse_qsl(parts.query, keep_blank_values=True))
    is_tls = parts.scheme == "dask+tls"
    wrong = [name for name in files if name not in ("ca", "cert", "key")]
    if wrong or (files and not is_tls):
        raise ConfigError(f"--on {parts.scheme}: {(wrong or list(files))[0]} has no meaning there", hint=usual)
    for name, path in files.items():
        if not Path(path).is_file():
            raise ConfigError(f"--on {parts.scheme}: there is no file {path}, named by {name}")
    shown = f"[{host}]" if ":" in host else host
    return DaskAddress(f"{'tls' if is_tls else 'tcp'}://{shown}:{port}", files)
