"""Registries of ``oci-push.yaml`` for commands that name hosts: by its host, a registry is reached as it says there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from oci_push.cli.inputs import find_config, read_config, tell_found
from oci_push.cli.options import Common
from oci_push.cli.output import warn
from oci_push.errors import ConfigError
from oci_push.model.endpoint import RegistryEndpoint, TlsConfig
from oci_push.model.reference import Destination, Reference
from oci_push.model.source import parse_source
from oci_push.sources.table import path_exists


def described_accesses(
    source: str, destinations: Sequence[Destination], common: Common, env: Mapping[str, str]
) -> Mapping[str, RegistryEndpoint]:
    """Return how the registries of a push are reached, by host, as far as they are described.

    Options of the command line go before the file. One that was found and may not read its secrets is told of and left
    out; of one that was named, that is an error.
    """
    if find_config(None, common.config, env)[0] is None:
        return {}
    config = read_config(None, common.config, env, common.allow_env)
    spec = parse_source(source, path_exists)
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
        except ConfigError as problem:
            if config.is_named:
                raise
            warn(f"registry {one.name!r} of {config.path} is not used: {problem}", problem.hint)
            continue
        tls = common.tls()
        found[host] = replace(
            endpoint,
            identity=None if is_given else endpoint.identity,
            tls=endpoint.tls if tls == TlsConfig() else tls,
            is_alone=endpoint.is_alone and not is_given,
        )
    if found:
        tell_found(config)
    return found
