"""Files that commands read: oci-push.yaml with the registries it describes, and files as bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from msgspec.structs import replace

from oci_push.cli.options import Common, ConfigOptions, own_config, read_stdin
from oci_push.cli.output import tell, warn
from oci_push.errors import ConfigError
from oci_push.events import Emit
from oci_push.language.config_values import NAMED, Allowed, ConfigOrigin
from oci_push.language.integrations import Config
from oci_push.model.endpoint import RegistryEndpoint, TlsConfig
from oci_push.model.reference import Destination, Reference, Repository

_ALLOWED_BY = "OCI_PUSH_ALLOW_ENV"
_MOST_BYTES = 64 * 1024 * 1024


def read_config(pipeline: Path | None, given: ConfigOptions, env: Mapping[str, str]) -> Config:
    """Read ``oci-push.yaml``: named, beside the pipeline, in the working folder, in the user's folder; or none.

    One that was found beside the pipeline or in the working folder may only read what ``--allow-env``,
    ``OCI_PUSH_ALLOW_ENV`` and the user's own configuration let it read, and its `notice` says that it is used.
    """
    path, where = given.find(pipeline, env)
    if path is None:
        return Config()
    return _found(path, where, own_config(env), env, given.allow_env or ()) if where else _load(path, env, NAMED)


def tell_found(*configs: Config) -> None:
    """Print once, of each configuration that was found, not named, that it is used."""
    for notice in dict.fromkeys(config.notice for config in configs if config.notice):
        tell(notice)


def endpoints_at(hosts: Iterable[str], common: Common, env: Mapping[str, str]) -> dict[str, RegistryEndpoint]:
    """Return how hosts are reached for units, as far as they are described, each looked up by itself."""
    found: dict[str, RegistryEndpoint] = {}
    for host in hosts:
        place = Repository(host, "any")
        found.update(described_endpoints(f"docker://{place}", [Destination(place)], common, env))
    return found


def described_endpoints(
    source: str, destinations: Sequence[Destination], common: Common, env: Mapping[str, str]
) -> Mapping[str, RegistryEndpoint]:
    """Return how the registries of a push are reached, by host, as far as they are described.

    Options of the command line go before the file. One that was found and may not read its secrets is told of and left
    out; of one that was named, that is an error.
    """
    from oci_push.sources.table import GRAMMAR

    config = read_config(None, common, env)
    spec = GRAMMAR.parse(source)
    hosts = [one.repository.host for one in destinations]
    if spec.kind == "registry":
        hosts.append(Reference.parse(spec.path).repository.host)
    found: dict[str, RegistryEndpoint] = {}
    for host in dict.fromkeys(hosts):
        one = config.for_pull(host)
        if one is None:
            continue
        is_given = bool(common.username) and host in {each.repository.host for each in destinations}
        try:
            endpoint = one.endpoint(with_login=not is_given)
            if is_given:
                endpoint = one.with_headers(endpoint)
        except ConfigError as problem:
            if config.is_named or one.must_be_used:
                raise
            why = "; ".join(str(problem).splitlines())
            warn(f"registry {one.name!r} of {config.path} is not used: {why}", problem.hint)
            continue
        if endpoint.is_alone and (is_given or common.header):
            # What the user typed is for the host that the user named, and not for where a stranger's file leads.
            why = "it was found, not named, and says how the registry is reached"
            if one.must_be_used:
                raise ConfigError(f"registry {one.name!r} of {config.path}: {why}", hint=f"--config {config.path}")
            warn(f"registry {one.name!r} of {config.path} is not used: {why}", f"name the file: --config {config.path}")
            continue
        if endpoint.is_alone:
            for told in config.warnings:
                if (told.line, told.column) == (one.location.line, one.location.column):
                    warn(str(told), told.hint)
        tls = common.tls()
        found[host] = replace(
            endpoint,
            identity=None if is_given else endpoint.identity,
            tls=endpoint.tls if tls == TlsConfig() else tls,
        )
    if found:
        tell_found(config)
    return found


@contextmanager
def with_logins(
    path: Path | None, known: Mapping[str, RegistryEndpoint], common: Common, env: Mapping[str, str], emit: Emit
) -> Iterator[Mapping[str, RegistryEndpoint]]:
    """Give how registries are reached by the logins and certificates of a mirror file, else as is `known`.

    Raises `ConfigError`, also where the file holds none.
    """
    if path is None:
        yield known
        return
    from oci_push.language.mirror import load_accesses
    from oci_push.library.mirrors import mirror_endpoints

    accesses = load_accesses(read_bytes(path), str(path), env, lambda file: file.read_text("utf-8"))
    with mirror_endpoints(accesses, known, common.tls(), emit) as endpoints:
        yield endpoints


def _found(path: Path, where: str, own: Path | None, env: Mapping[str, str], allowed: Sequence[str]) -> Config:
    may = Allowed.parse_list(allowed, "--allow-env") | Allowed.parse_list([env.get(_ALLOWED_BY, "")], _ALLOWED_BY)
    if own is not None:
        may |= _load(own, env, NAMED).allowed
    origin = ConfigOrigin(path.parent, is_named=False, allowed=may)
    if not origin.may_read(path):
        raise ConfigError(f"{path}: is a link that leads out of its folder", hint=f"name it: --config {path}")
    names = ", ".join(sorted(str(one) for one in may)) or "none"
    notice = f"using {path} {where}; it may use these environment variables: {names}"
    return replace(_load(path, env, origin), notice=notice)


def _load(path: Path, env: Mapping[str, str], origin: ConfigOrigin) -> Config:
    from oci_push.language.config import load_config

    config = load_config(read_bytes(path), str(path), env, lambda file: file.read_text(encoding="utf-8"), origin)
    config.learn_secrets()
    return config


def read_bytes(path: Path) -> bytes:
    """Read a whole file, or stdin for ``-``; raises `ConfigError`."""
    if str(path) == "-":
        return read_stdin("-", _MOST_BYTES)
    try:
        return path.read_bytes()
    except OSError as problem:
        raise ConfigError(f"{path}: cannot be read ({problem.strerror})", hint="check the file's name") from problem
