"""Every family finds its hosts and no others, and states facts that hang together."""

from __future__ import annotations

import pytest

from oci_push.errors import ConfigError
from oci_push.model.endpoint import Credential
from oci_push.protocol.uploads import UploadMethod
from oci_push.providers.base import Family, complete
from oci_push.providers.families import FAMILIES, find_family
from oci_push.secret import Secret


def test_every_family_has_a_name_of_its_own() -> None:
    names = [family.name for family in FAMILIES]
    assert sorted(names) == sorted(set(names))


def test_the_one_that_matches_everything_is_last() -> None:
    assert [provider.name for provider in FAMILIES if provider.matches("reg.example")] == [FAMILIES[-1].name]


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("docker.io", "dockerhub"),
        ("index.docker.io", "dockerhub"),
        ("123456789012.dkr.ecr.eu-west-1.amazonaws.com", "ecr"),
        ("123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com", "ecr"),
        ("123456789012.dkr-ecr.eu-west-1.on.aws", "ecr"),
        ("123456789012.dkr-ecr-fips.us-east-1.on.aws", "ecr"),
        ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", "ecr"),
        ("123456789012.dkr.ecr.eusc-de-east-1.amazonaws.eu", "ecr"),
        ("123456789012.dkr.ecr.eu-west-1.amazonaws.com:443", "ecr"),
        ("12345678901.dkr.ecr.eu-west-1.amazonaws.com", "other"),
        ("123456789012.dkr.ecr.eu-west-1.amazonaws.com.evil.example", "other"),
        ("public.ecr.aws", "ecr-public"),
        ("europe-docker.pkg.dev", "google"),
        ("gcr.io", "google"),
        ("eu.gcr.io", "google"),
        ("notgcr.io", "other"),
        ("acme.azurecr.io", "azure"),
        ("acme.azurecr.cn", "azure"),
        ("azurecr.io.example", "other"),
        ("ghcr.io", "github"),
        ("GHCR.io:443", "github"),
        ("sub.ghcr.io", "other"),
        ("registry.gitlab.com", "gitlab"),
        ("quay.io", "quay"),
        ("quay.example", "quay"),
        ("gitlab.corp.example:5050", "gitlab"),
        ("registry.gitlab.corp.example", "gitlab"),
        ("registry.digitalocean.com", "digitalocean"),
        ("harbor.corp.example", "harbor"),
        ("demo.goharbor.io", "harbor"),
        ("acme.jfrog.io", "artifactory"),
        ("acme-docker-local.bintray.io", "artifactory"),
        ("artifactory.corp.example", "artifactory"),
        ("docker.nexus.corp.example:8443", "nexus"),
        ("dtr.corp.example", "dtr"),
        ("zot.corp.example", "zot"),
        ("images.acme.workers.dev", "cloudflare"),
        ("myharbor.example", "other"),
        ("registry.harbor", "other"),
        ("localhost:5000", "other"),
        ("[::1]:5000", "other"),
    ],
)
def test_host_belongs_to_its_family(host: str, name: str) -> None:
    assert find_family(host).name == name


@pytest.mark.parametrize("host", ["docker.io", "index.docker.io", "registry-1.docker.io"])
@pytest.mark.case("AU-031")
def test_docker_hub_is_reached_at_its_api_host(host: str) -> None:
    assert find_family(host).api_host(host) == "registry-1.docker.io"


@pytest.mark.parametrize("host", ["reg.example:5000", "ghcr.io", "123456789012.dkr.ecr.eu-west-1.amazonaws.com"])
def test_other_registries_are_reached_where_references_say(host: str) -> None:
    assert find_family(host).api_host(host) == host


@pytest.mark.parametrize("provider", FAMILIES, ids=lambda provider: provider.name)
def test_facts_hang_together(provider: Family) -> None:
    capabilities = provider.capabilities
    assert isinstance(capabilities.upload, UploadMethod)
    assert not capabilities.chunk_bytes or capabilities.chunk_bytes >= capabilities.chunk_min_bytes
    assert not capabilities.chunk_max_bytes or capabilities.chunk_bytes <= capabilities.chunk_max_bytes


@pytest.mark.case("CH-017")
def test_ecr_pieces_are_never_under_its_least_size() -> None:
    assert find_family("123456789012.dkr.ecr.eu-west-1.amazonaws.com").capabilities.chunk_min_bytes == 5 * 1024 * 1024


@pytest.mark.case("CH-016")
def test_google_takes_bodies_in_one_request() -> None:
    assert find_family("europe-docker.pkg.dev").capabilities.upload == UploadMethod.MONOLITHIC


@pytest.mark.parametrize(
    ("host", "user"),
    [
        ("registry.digitalocean.com", "t0ken"),
        ("quay.io", "$oauthtoken"),
        ("europe-docker.pkg.dev", "oauth2accesstoken"),
        ("acme.azurecr.io", "00000000-0000-0000-0000-000000000000"),
        ("reg.example", ""),
    ],
)
def test_a_token_alone_gets_the_user_name_that_goes_with_it(host: str, user: str) -> None:
    assert complete(Credential(password=Secret("t0ken")), find_family(host)).username == user


def test_a_user_name_that_is_there_is_kept() -> None:
    assert complete(Credential("me", Secret("t0ken")), find_family("quay.io")).username == "me"


def test_a_user_name_that_is_the_token_is_not_shown() -> None:
    assert complete(Credential(password=Secret("t0ken")), find_family("registry.digitalocean.com")).shown_user == "***"


def test_quay_is_never_asked_for_the_delete_action() -> None:
    assert not find_family("quay.io").capabilities.delete_scope


def test_a_family_that_is_named_goes_before_the_host() -> None:
    assert find_family("reg.example", "harbor").name == "harbor"


def test_a_family_that_nobody_knows_is_refused_with_those_that_are() -> None:
    with pytest.raises(ConfigError, match="no family of registries is called 'habor'") as caught:
        find_family("reg.example", "habor")
    assert "harbor" in str(caught.value.hint)
