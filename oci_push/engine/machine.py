"""An examination of this machine: what a push needs of it, before any registry is asked.

A table of checks, each of which looks at one thing and says what it found, how bad that is, and what to do. Nothing is
changed but for a file that is made in the temporary folder and taken away, and the memory that every push opens.
`registry.doctor` examines a registry in the same way.
"""

from __future__ import annotations

import enum
import importlib
import importlib.metadata
import os
import platform
import resource
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from oci_push.credentials.files import Place, read_file
from oci_push.credentials.format import AuthFile
from oci_push.engine.memory import MEMORY_FILE, memory_folder
from oci_push.errors import ConfigError, CredentialsError
from oci_push.model.endpoint import TlsConfig
from oci_push.providers.job_logins import job_logins
from oci_push.providers.job_tokens import declared_tokens, find_service, told
from oci_push.runtime.cache import SqliteCache
from oci_push.runtime.clock import Clock
from oci_push.transport.proxies import find_proxy

LEAST_SPACE_BYTES = 1024**3
"""Layers of docker archives are compressed into the temporary folder before they are sent."""
LEAST_FILES, USUAL_FILES = 128, 1024
_BEFORE_S = 1_767_225_600.0
"""2026 began: this program was not there before."""
_AFTER_S = 4_102_444_800.0
"""2100 begins."""
_ANYWHERE, _AN_ADDRESS = "registry.example.com", "192.0.2.1"
"""Hosts of nobody (RFC 2606, RFC 5737), which stand for any registry."""
_LIBRARIES = ("h11", "httpx", "msgspec", "boto3", "cryptography", "pyyaml", "typer", "regex")
_HELPERS = {"isal": "gzip is five times slower without it", "zstandard": "zstd cannot be read or written without it"}
_HAS_ZSTD = (3, 14)
"""From this Python on zstd is in its own library."""


class Verdict(enum.StrEnum):
    """How it stands with one thing; only a `PROBLEM` keeps images from being pushed."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


class Noticed(Struct, frozen=True):
    """What was found, and what to do where it is not good."""

    verdict: Verdict
    text: str
    hint: str = ""


class Finding(Struct, frozen=True):
    """One line of the examination."""

    check: str
    verdict: Verdict
    text: str
    hint: str


class Machine(Struct, frozen=True):
    """What is examined: the surroundings that a push would have. `version` is this program's."""

    env: Mapping[str, str]
    home: Path | None
    clock: Clock
    logins: Sequence[Place] = ()
    version: str = ""


class Check(Struct, frozen=True):
    """One thing to look at; it may notice several."""

    name: str
    look: Callable[[Machine], Iterator[Noticed]]


def examine_machine(machine: Machine) -> tuple[Finding, ...]:
    """Look at everything, in the order of the table."""
    return tuple(
        Finding(check.name, one.verdict, one.text, one.hint) for check in CHECKS for one in check.look(machine)
    )


def _python(machine: Machine) -> Iterator[Noticed]:
    yield _ok(
        f"oci-push {machine.version}, {platform.python_implementation()} {platform.python_version()}, {sys.platform}"
    )


def _libraries(machine: Machine) -> Iterator[Noticed]:
    found, missing = [], []
    for name in _LIBRARIES:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    yield _ok(", ".join(found) or "they tell no versions")
    if missing and found:
        yield _warning(f"not installed: {', '.join(missing)}", "install oci-push again, into an environment of its own")


def _compiled(machine: Machine) -> Iterator[Noticed]:
    for name, without in _HELPERS.items():
        try:
            importlib.import_module(name)
        except ImportError as problem:
            if name == "zstandard" and sys.version_info >= _HAS_ZSTD:
                continue
            yield _warning(f"{name} cannot be loaded ({problem}): {without}", f"pip install {name}")
        else:
            yield _ok(f"{name} is there")


def _temporary(machine: Machine) -> Iterator[Noticed]:
    hint = "name another folder with --tmpdir or TMPDIR"
    named = machine.env.get("TMPDIR", "")
    try:
        folder = Path(tempfile.gettempdir())
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"oci-push")
        free = shutil.disk_usage(folder).free
    except OSError as problem:
        yield _problem(f"no temporary folder can be written to ({problem.strerror or problem})", hint)
        return
    if named and not (os.path.isdir(named) and folder.samefile(named)):
        yield _warning(f"TMPDIR {named} cannot be used; {folder} is", "make it a folder that can be written to")
    text = f"{folder}, {_size(free)} free"
    yield _ok(text) if free >= LEAST_SPACE_BYTES else _warning(f"{text}: large layers may not fit", hint)


def _open_files(machine: Machine) -> Iterator[Noticed]:
    least, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    shown = "no limit" if least == resource.RLIM_INFINITY else f"at most {least}"
    hint = (
        f"raise it: ulimit -n {USUAL_FILES}"
        if most in (resource.RLIM_INFINITY,) or most >= USUAL_FILES
        else ("raise it where this process is started")
    )
    if least == resource.RLIM_INFINITY or least >= USUAL_FILES:
        yield _ok(shown)
    elif least >= LEAST_FILES:
        yield _warning(f"{shown}; many layers and connections at once may need more", hint)
    else:
        yield _problem(f"{shown}, which is too few", hint)


def _memory(machine: Machine) -> Iterator[Noticed]:
    folder = memory_folder(machine.env, machine.home)
    if folder is None:
        yield _warning(
            "there is no home: nothing is remembered, and a push that was killed begins anew",
            "set HOME or XDG_CACHE_HOME to a folder that is kept",
        )
        return
    path = folder / MEMORY_FILE
    is_new = not path.exists()
    told: list[str] = []
    memory = SqliteCache(path, machine.clock, told.append)
    try:
        memory.find_capability(_ANYWHERE, "doctor")
    finally:
        memory.close()
    if told:
        yield _warning(told[0], "make the folder writable, or name another with XDG_CACHE_HOME")
    else:
        yield _ok(f"{path}{', begun now' if is_new else f', {_size(path.stat().st_size)}'}")


def _proxies(machine: Machine) -> Iterator[Noticed]:
    for scheme, port in (("https", 443), ("http", 80)):
        try:
            proxy = find_proxy((scheme, _ANYWHERE, port), machine.env)
        except ConfigError as problem:
            yield _problem(str(problem), problem.hint or "")
            continue
        yield _ok(f"{scheme} goes {f'through {proxy}' if proxy else 'directly'}")
    try:
        find_proxy(("https", _AN_ADDRESS, 443), machine.env)  # ranges are read for addresses only
    except ConfigError as problem:
        if problem.message.lower().startswith("no_proxy"):
            yield _problem(str(problem), problem.hint or "")
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        lower, upper = machine.env.get(name, ""), machine.env.get(name.upper(), "")
        if lower and upper and lower != upper:
            yield _warning(f"{name} and {name.upper()} differ; {name} goes before", "set one of them")
    if excepted := machine.env.get("no_proxy") or machine.env.get("NO_PROXY"):
        yield _ok(f"reached directly: {' '.join(excepted.replace(',', ' ').split())}, this machine, clouds' metadata")


def _clock(machine: Machine) -> Iterator[Noticed]:
    now = machine.clock.now()
    if not _BEFORE_S <= now < _AFTER_S:
        yield _problem(
            f"it says {now:.0f} s after 1970, which cannot be: certificates and tokens will be refused", "set the clock"
        )
    else:
        yield _ok("plausible; oci-push doctor HOST/REPO compares it with a registry's")


def _logins(machine: Machine) -> Iterator[Noticed]:
    is_there = False
    for place in machine.logins:
        try:
            raw = read_file(place.path) if place.path else place.content
            if raw is None:
                if place.is_named:
                    yield _warning(f"{place.name} is named, and not there", "log in: oci-push login HOST")
                continue
            is_there = True
            file = AuthFile.parse(raw, place.name, legacy=place.is_legacy)
        except IsADirectoryError:
            continue
        except OSError as problem:
            text = f"{place.name} cannot be read ({problem.strerror or problem})"
            hint = "make it readable, or name another with REGISTRY_AUTH_FILE"
            yield _problem(text, hint) if place.is_named else _warning(text, hint)
            continue
        except CredentialsError as problem:
            yield _problem(str(problem), problem.hint or "")
            continue
        yield from _login_file(place, file, machine.env)
    if not is_there:
        yield _ok("none; oci-push login HOST makes one")


def _login_file(place: Place, file: AuthFile, env: Mapping[str, str]) -> Iterator[Noticed]:
    hosts = sorted({*file.auths, *file.helpers})
    yield _ok(f"{place.name}: {', '.join(hosts) or 'no registries'}")
    if place.path is not None and file.auths and stat.S_IMODE(place.path.stat().st_mode) & 0o077:
        yield _warning(f"{place.name} can be read by other users", f"chmod 600 {place.path}")
    for helper in sorted({*file.helpers.values(), file.store} - {""}):
        program = f"docker-credential-{helper}"
        if shutil.which(program, path=env.get("PATH", "")) is None:
            is_for_all = helper not in file.helpers.values()
            text = f"{place.name} names {program}, which is not on PATH"
            hint = "install it, or take it out of the file"
            yield _warning(text, hint) if is_for_all else _problem(text, hint)


def _identity(machine: Machine) -> Iterator[Noticed]:
    service = find_service(machine.env)
    if service is None:
        yield _ok("no CI that gives a job an ID token")
    else:
        declared = declared_tokens(machine.env)
        reason = service.missing(machine.env)
        if not service.is_asked and not declared:
            reason = "this job has declared no ID token"
        hint = f"if a registry is to be logged in to by oidc: {service.hint}" if reason else ""
        if reason or service.is_asked:
            yield Noticed(Verdict.OK, f"{service.name}: {reason or 'it can be asked for ID tokens'}", hint)
        for name, claims in declared.items():
            yield _ok(f"{service.name}: {name} has {told(claims, machine.clock.now())}")
    for host, login in job_logins(machine.env):
        yield _ok(f"{host} by {login.source}, unless a login is found elsewhere")


def _authorities(machine: Machine) -> Iterator[Noticed]:
    import ssl

    from oci_push.transport.tls import make_context

    try:
        known = make_context(TlsConfig(), machine.env).cert_store_stats()["x509_ca"]
    except ConfigError as problem:
        yield _problem(str(problem), problem.hint or "")
        return
    usual = ssl.get_default_verify_paths()
    folder = machine.env.get("SSL_CERT_DIR") or usual.capath
    named = machine.env.get("SSL_CERT_FILE") or usual.cafile or folder
    if known or (folder and os.path.isdir(folder) and os.listdir(folder)):
        yield _ok(f"{known or 'some'} certificate authorities of {named or 'the system'}; {ssl.OPENSSL_VERSION}")
    else:
        yield _problem(
            "no certificate authority is known: every https registry will be refused",
            "install the package ca-certificates, or name a file with SSL_CERT_FILE",
        )


CHECKS = (
    Check("program", _python),
    Check("libraries", _libraries),
    Check("compression", _compiled),
    Check("temporary files", _temporary),
    Check("open files", _open_files),
    Check("memory", _memory),
    Check("proxies", _proxies),
    Check("clock", _clock),
    Check("logins", _logins),
    Check("job identity", _identity),
    Check("authorities", _authorities),
)
"""What is looked at, in this order."""


def _ok(text: str) -> Noticed:
    return Noticed(Verdict.OK, text)


def _warning(text: str, hint: str) -> Noticed:
    return Noticed(Verdict.WARNING, text, hint)


def _problem(text: str, hint: str) -> Noticed:
    return Noticed(Verdict.PROBLEM, text, hint)


def _size(count: int) -> str:
    for unit, power in (("GB", 3), ("MB", 2)):
        if count >= 1000**power:
            return f"{count / 1000**power:.1f} {unit}"
    return f"{count / 1000:.0f} kB"
