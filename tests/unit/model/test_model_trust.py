"""Policies: which rule decides, however a repository is spelled."""

from __future__ import annotations

import pytest

from oci_push.errors import UntrustedError
from oci_push.model.reference import Reference
from oci_push.model.trust import Policy, PolicyRule, Requirement, TrustedKey


def rule(pattern: str) -> PolicyRule:
    return PolicyRule(pattern, Requirement((TrustedKey(pattern, ""),)))


def decides(policy: Policy, name: str) -> str:
    return policy.of(Reference.parse(name).repository).keys[0].name


@pytest.mark.parametrize("pattern", ["registry.example.com/prod/*", "Registry.example.com:443/prod/*"])
@pytest.mark.parametrize(
    "name",
    [
        "registry.example.com/prod/app",
        "Registry.EXAMPLE.com/prod/app",
        "registry.example.com:443/prod/app",
        "registry.example.com:00443/prod/app",
    ],
)
def test_no_spelling_of_a_host_leads_past_a_rule(name: str, pattern: str) -> None:
    assert decides(Policy((rule(pattern), rule("*"))), name) == pattern


def test_every_name_of_docker_hub_is_one() -> None:
    policy = Policy((rule("index.docker.io/acme/*"),), "it")
    for host in ("docker.io", "index.docker.io", "registry-1.docker.io", "Registry-1.docker.io:443"):
        name = f"{host}/acme/app"
        assert decides(policy, name) == "index.docker.io/acme/*"


@pytest.mark.parametrize("name", ["[::1]:5000/app", "[0:0::1]:5000/app", "[0000:0000::0001]:05000/app"])
def test_an_address_is_one_however_it_is_written_and_no_set_of_letters(name: str) -> None:
    assert decides(Policy((rule("[::1]:5000/*"),)), name) == "[::1]:5000/*"


def test_another_port_or_path_is_another_place() -> None:
    policy = Policy((rule("registry.example.com/prod/*"),), "it")
    for name in ("registry.example.com:5000/prod/app", "registry.example.com:8443/prod/app", "other.example/prod/app"):
        with pytest.raises(UntrustedError, match="no rule of it"):
            policy.of(Reference.parse(name).repository)
