"""The doctor against distribution 2.8.2, whose answers are known: open, with passwords over TLS, with tokens."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

from certificates import Authority
from registries import DebianRegistry, Mode

from oci_push.model.endpoint import Credential, RegistryEndpoint, TlsConfig
from oci_push.providers.base import Capabilities
from oci_push.registry.clients import RegistryClients
from oci_push.registry.doctor import Doctor, Examination, scratch_repositories
from oci_push.runtime.clock import SystemClock
from oci_push.runtime.context import Context
from oci_push.runtime.retry import RetryPolicy
from oci_push.secret import Secret
from oci_push.transport.settings import TransportSettings

DISTRIBUTION = {
    "pieces": "yes",
    "chunk_min_bytes": "0",
    "single_post": "no",
    "form": "put",
    "mount": "yes",
    "anonymous_mount": "no",
    "multi_tag": "no",
    "referrers": "no",
    "delete": "yes",
}


def examine(endpoint: RegistryEndpoint) -> Examination:
    context = Context(SystemClock())
    once = RetryPolicy(attempts=1)
    settings = TransportSettings(call_retry=once)
    connections = RegistryClients(context, settings, blob_retry=once, random=lambda: 0.5, emit=lambda _: None)
    try:
        repositories = scratch_repositories(endpoint.host, "doctor")
        return Doctor(connections.session(endpoint), Capabilities(), repositories).examine(context)
    finally:
        connections.close()


def test_an_open_registry_is_known_for_what_it_is_and_left_clean(open_registry: DebianRegistry) -> None:
    found = examine(RegistryEndpoint(open_registry.host))
    assert (found.error, found.abilities, found.left) == (None, DISTRIBUTION, [])
    with contextlib.closing(open_registry.connection()) as connection:
        connection.request("GET", "/v2/doctor/oci-push-doctor/tags/list")
        assert json.loads(connection.getresponse().read()).get("tags") in (None, [])


def test_tls_and_its_certificate_are_told(
    password_registry: DebianRegistry, authority: Authority, users: dict[str, str]
) -> None:
    credential = Credential("robot", Secret(users["robot"]), source="test")
    found = examine(RegistryEndpoint(password_registry.host, credential, TlsConfig(ca_file=str(authority.path))))
    assert found.error is None
    texts = {finding.name: finding.text for finding in found.findings}
    assert texts["tls"].startswith("TLSv1.")
    assert "good until" in texts["tls"]
    assert texts["login"] == "user robot from test; basic"


def test_a_certificate_of_a_stranger_ends_it(password_registry: DebianRegistry) -> None:
    found = examine(RegistryEndpoint(password_registry.host, tls=TlsConfig(plain_http=False)))
    assert "is not trusted" in str(found.error)
    assert [finding.name for finding in found.findings] == ["network", "rate limits"]


def test_tokens_are_asked_for_with_what_deleting_needs(token_registry: DebianRegistry, users: dict[str, str]) -> None:
    found = examine(RegistryEndpoint(token_registry.host, Credential("robot", Secret(users["robot"]), source="test")))
    assert (found.error, found.abilities, found.left) == (None, DISTRIBUTION, [])


def test_what_stays_where_deleting_is_off_is_said(tmp_path: Path) -> None:
    with DebianRegistry(tmp_path / "registry", Mode(can_delete=False)) as registry:
        found = examine(RegistryEndpoint(registry.host))
    assert found.abilities["delete"] == "no"
    assert any("oci-push-doctor@sha256:" in left for left in found.left)
