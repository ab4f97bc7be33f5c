"""How one registry is reached and as whom. Where such values come from is the providers' business."""

from __future__ import annotations

import base64
import ipaddress
from collections.abc import Mapping

from msgspec import Struct, field
from msgspec.structs import replace

from oci_push.model.identity import CloudIdentity
from oci_push.model.reference import comparable_host
from oci_push.model.traffic import AS_USUAL, Traffic
from oci_push.model.trust import Requirement, SignRule
from oci_push.secret import Secret


class Credential(Struct, frozen=True):
    """Who we are: user and password, or an identity (refresh) token, or a ready bearer token.

    `source` tells people where it was found (file and key, integration, flag); it is never a secret.
    """

    username: str = ""
    password: Secret | None = None
    identity_token: Secret | None = None
    registry_token: Secret | None = None
    source: str = ""

    def __post_init__(self) -> None:
        """Make the pair known as Basic writes it: a password that is short is not found inside of that.

        Raises ``TypeError`` for a secret that is plain text, which would show wherever this is shown.
        """
        for name in ("password", "identity_token", "registry_token"):
            if not isinstance(getattr(self, name), Secret | None):
                raise TypeError(f"{name} is no Secret: give Secret(…)")
        if self.username and self.password:
            Secret(base64.b64encode(f"{self.username}:{self.password.reveal()}".encode(errors="replace")).decode())

    @property
    def shown_user(self) -> str:
        """Return the user name for people to read; where it is the secret itself (DigitalOcean), not that."""
        return "***" if self.password and self.username == self.password.reveal() else self.username


class TlsConfig(Struct, frozen=True):
    """How the connection is protected: `plain_http`, or TLS with optional own CA, client pair, no checking.

    Paths are PEM files; `more_ca_files` are those of ``certs.d`` folders. `plain_http` ``None`` means: http for
    loopback names, https for everything else.
    """

    plain_http: bool | None = None
    skip_verify: bool = False
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    more_ca_files: tuple[str, ...] = ()


class RegistryEndpoint(Struct, frozen=True):
    """How to talk to one registry: `host` is ``name[:port]`` as references spell it.

    `name` tells two logins on one host apart (an integration's name, else empty). `address` replaces the
    place connected to (``127.0.0.1:5000``) while names in URLs and certificates stay; used by rehearsals.
    `identity` is what a login is got from where the registry's cloud hands it out; `credential` wins over it.
    `is_alone` keeps it from getting any other login: whoever says how it is reached may not be trusted with those.
    `family` names the registry's family where its host does not tell (``harbor``, ``quay``); empty, the host decides.
    `traffic` is what is said of the requests to it. `sign` signs what is pushed to it; `require` says how images that
    are read from it must be signed.
    """

    host: str
    credential: Credential | None = None
    tls: TlsConfig = field(default_factory=TlsConfig)
    name: str = ""
    address: str = ""
    identity: CloudIdentity | None = None
    is_alone: bool = False
    family: str = ""
    traffic: Traffic = AS_USUAL
    sign: tuple[SignRule, ...] = ()
    require: Requirement | None = None

    @property
    def scheme(self) -> str:
        """Return ``http`` or ``https``."""
        plain = self.tls.plain_http
        if plain is None:
            tls = self.tls
            has_tls_settings = tls.ca_file or tls.more_ca_files or tls.cert_file or tls.skip_verify
            plain = is_loopback(self.host) and not has_tls_settings
        return "http" if plain else "https"

    def traffic_with(self, given: Mapping[str, Traffic]) -> Traffic:
        """Return what is said of the requests to it, after what was given: by host, and under the empty name for all.

        Where `is_alone`, headers that were given stay here: they may be as good as a login.
        """
        first = given.get(self.host) or given.get("", AS_USUAL)
        return (replace(first, headers=()) if self.is_alone else first).over(self.traffic)


def find_endpoint(endpoints: Mapping[str, RegistryEndpoint], host: str) -> RegistryEndpoint | None:
    """Return what is said of a host, however that is spelled; what is said of this very spelling first."""
    wanted = comparable_host(host)
    return endpoints.get(host) or next((one for at, one in endpoints.items() if comparable_host(at) == wanted), None)


def is_loopback(host: str) -> bool:
    """Return whether ``name[:port]`` is this machine: localhost, its subdomains, 127/8 or ::1."""
    name = host.rsplit("]", 1)[0].lstrip("[") if host.startswith("[") else host.split(":")[0].lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
