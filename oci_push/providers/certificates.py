"""certs.d folders: own CAs and client pairs by registry host, as docker and podman keep them.

``HOST/*.crt`` are CAs, ``HOST/NAME.cert`` with ``HOST/NAME.key`` a client pair (containers-certs.d(5)).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from oci_push.errors import ConfigError
from oci_push.model.access import Trust


def folders(env: Mapping[str, str], home: Path | None) -> tuple[Path, ...]:
    """Give the folders to look in, the user's own first."""
    config = env.get("XDG_CONFIG_HOME") or (str(home / ".config") if home else "")
    own = (Path(config) / "containers" / "certs.d",) if config else ()
    return (*own, Path("/etc/containers/certs.d"), Path("/etc/docker/certs.d"))


def find_trust(host: str, roots: tuple[Path, ...]) -> Trust | None:
    """Give what the first folder with an entry for `host` says; raises `ConfigError` for half a client pair."""
    for root in roots:
        folder = root / host
        try:
            files = sorted(folder.iterdir())
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            continue
        authority = next((str(f) for f in files if f.suffix == ".crt"), "")
        for certificate in (f for f in files if f.suffix == ".cert"):
            key = certificate.with_suffix(".key")
            if key not in files:
                raise ConfigError(f"{certificate}: has no {key.name} beside it", hint="a client pair is .cert and .key")
            return Trust(ca_file=authority, cert_file=str(certificate), key_file=str(key))
        if authority:
            return Trust(ca_file=authority)
    return None
