"""Certificates of registries in ``certs.d`` folders, as docker and podman keep them.

``FOLDER/HOST[:PORT]/`` holds ``*.crt`` (certificate authorities) and pairs ``NAME.cert`` and ``NAME.key`` (who
we are). The first folder that knows the host is used alone. Sources: containers-certs.d(5), docker's
"Verify repository client with certificates". The files' contents are `transport.tls`' business.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from msgspec.structs import replace

from oci_push.errors import ConfigError
from oci_push.events import Emit, LogMessage
from oci_push.model.endpoint import TlsConfig

SYSTEM_FOLDERS = (Path("/etc/containers/certs.d"), Path("/etc/docker/certs.d"))


def certificate_folders(env: Mapping[str, str], home: Path | None) -> tuple[Path, ...]:
    """Return the folders in the order in which they are searched: the user's, podman's, docker's."""
    if configuration := env.get("XDG_CONFIG_HOME"):
        return Path(configuration, "containers/certs.d"), *SYSTEM_FOLDERS
    if home is not None:
        return home / ".config/containers/certs.d", *SYSTEM_FOLDERS
    return SYSTEM_FOLDERS


def add_certificates(tls: TlsConfig, host: str, folders: Iterable[Path], emit: Emit) -> TlsConfig:
    """Return `tls` with what the folders hold for `host` (``name[:port]``) added; what is set already stays.

    A folder or file that may not be read is passed over with a warning. Raises `ConfigError` naming the file that a
    pair lacks.
    """
    if "/" in host or host in ("", ".", ".."):
        raise ValueError(f"{host!r} is not a registry host")
    for folder in folders:
        try:
            names = sorted(entry.name for entry in (folder / host).iterdir())
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as problem:
            emit(LogMessage(f"{folder / host}: certificates are not used ({problem.strerror or problem})", "warning"))
            continue
        return _add(tls, folder / host, names, emit)
    return tls


def certificates_of(tls: TlsConfig, folder: Path, emit: Emit) -> TlsConfig:
    """Return `tls` with what a named folder holds; raises `ConfigError` where it cannot be read."""
    try:
        names = sorted(entry.name for entry in folder.iterdir())
    except OSError as problem:
        raise ConfigError(
            f"{folder}: certificates cannot be read ({problem.strerror})", hint="check the folder's name"
        ) from problem
    return _add(tls, folder, names, emit)


def _readable(folder: Path, names: list[str], emit: Emit) -> list[str]:
    """Leave out files that cannot be read, and the other half of their pair; these folders nobody has named."""
    left_out: set[str] = set()
    for name in names:
        if not name.endswith((".crt", ".cert", ".key")):
            continue
        try:
            (folder / name).open("rb").close()
        except OSError as problem:
            emit(
                LogMessage(
                    f"{folder / name}: cannot be read ({problem.strerror or problem}) and is not used", "warning"
                )
            )
            stem = name.rpartition(".")[0]
            left_out |= {name} if name.endswith(".crt") else {f"{stem}.cert", f"{stem}.key"}
    return [name for name in names if name not in left_out]


def _add(tls: TlsConfig, folder: Path, names: list[str], emit: Emit) -> TlsConfig:
    names = _readable(folder, names, emit)
    authorities = tuple(str(folder / name) for name in names if name.endswith(".crt"))
    tls = replace(tls, more_ca_files=(*tls.more_ca_files, *authorities))
    pairs = _pairs(folder, frozenset(names))
    if not pairs or tls.cert_file:
        return tls
    if len(pairs) > 1:
        emit(LogMessage(f"{folder}: has {len(pairs)} client certificates, {pairs[0]}.cert is used", "warning"))
    return replace(tls, cert_file=str(folder / f"{pairs[0]}.cert"), key_file=str(folder / f"{pairs[0]}.key"))


def _pairs(folder: Path, names: frozenset[str]) -> list[str]:
    certificates = {name.removesuffix(".cert") for name in names if name.endswith(".cert")}
    keys = {name.removesuffix(".key") for name in names if name.endswith(".key")}
    for name in sorted(certificates - keys):
        raise _lacks(folder, f"{name}.cert", f"{name}.key")
    for name in sorted(keys - certificates):
        raise _lacks(folder, f"{name}.key", f"{name}.cert")
    return sorted(certificates)


def _lacks(folder: Path, present: str, missing: str) -> ConfigError:
    return ConfigError(
        f"{folder / missing}: is missing, {present} beside it needs it",
        hint=f"add {missing}, or remove {present}; a certificate authority's file ends in .crt",
    )
