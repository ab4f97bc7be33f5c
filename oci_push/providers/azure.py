"""Azure Container Registry, and the tokens it takes.

Logins (Azure Container Registry documentation, "Authentication options", and Azure/acr ``docs/AAD-OAuth.md``):

* user and password: an administrator's, a repository token's, or a service principal's id and secret;
* otherwise an access token of Microsoft Entra is exchanged at the registry, ``/oauth2/exchange``, for a refresh token
  that lives three hours. The access token comes from the service principal's secret where a tenant is given, from a
  federated token file or the job's own ID token (Microsoft identity platform, "Client credentials flow with a federated
  credential"), or from the managed identity of the machine or app service ("How to use managed identities to acquire an
  access token").
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import ClassVar
from urllib.parse import urlencode

from msgspec import Struct

from oci_push.errors import CredentialsError
from oci_push.model.endpoint import Credential, RegistryEndpoint
from oci_push.model.identity import CloudIdentity, JobToken
from oci_push.protocol.claims import read_claims
from oci_push.protocol.credentials import basic_password, bearer_token
from oci_push.providers.base import Cloud, CloudServices, IdToken
from oci_push.providers.job_tokens import ask_for_token, explained
from oci_push.providers.tokenfetch import TokenClient, check_endpoint, token_in
from oci_push.runtime.context import Context
from oci_push.secret import Secret
from oci_push.transport.credentials import Lease, RefreshingCredential

TOKEN_USER = "00000000-0000-0000-0000-000000000000"  # noqa: S105  # a user name
"""User name that goes with a registry's refresh token."""

_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_REGISTRY_AUDIENCE = "https://containerregistry.azure.net"
_REFRESH_LIFE_S = 3 * 3600.0
_IMDS = "http://169.254.169.254/metadata/identity/oauth2/token"
_IMDS_VERSION = "2018-02-01"
_APP_VERSION = "2019-08-01"


class _National(Struct, frozen=True):
    """One national cloud: its login authority, the audience of its resource manager, and that of federated tokens."""

    authority: str
    audience: str
    federated: str


_PUBLIC = _National("https://login.microsoftonline.com", "https://management.azure.com", "api://AzureADTokenExchange")
_CLOUDS = {
    ".azurecr.cn": _National(
        "https://login.chinacloudapi.cn", "https://management.chinacloudapi.cn", "api://AzureADTokenExchangeChina"
    ),
    ".azurecr.us": _National(
        "https://login.microsoftonline.us", "https://management.usgovcloudapi.net", "api://AzureADTokenExchangeUSGov"
    ),
}
"""Microsoft Entra documentation, "Workload identity federation", names the audiences."""


class AzureIdentity(CloudIdentity, frozen=True):
    """Who asks Azure for a registry token: a service principal, a federated one, or the managed identity."""

    tenant_id: str = ""
    client_id: str = ""
    client_secret: Secret | None = None
    federated_token_file: str = ""
    secrets: ClassVar[tuple[str, ...]] = ("client_secret",)

    def __str__(self) -> str:
        """Return the client, or that the machine is asked."""
        if self.oidc is not None:
            return f"client {self.client_id or 'of AZURE_CLIENT_ID'} for the job's ID token"
        return f"client {self.client_id}" if self.client_id else "Azure managed identity"


IDENTITY: type[CloudIdentity] = AzureIdentity


def cloud_services(endpoint: RegistryEndpoint, cloud: Cloud) -> CloudServices | None:
    """Return where logins come from; ``None`` where the access names no identity of this cloud."""
    identity = endpoint.identity
    if not isinstance(identity, AzureIdentity):
        return None

    national = next((one for suffix, one in _CLOUDS.items() if endpoint.host.split(":")[0].endswith(suffix)), _PUBLIC)
    oidc = identity.oidc

    def id_token(context: Context) -> IdToken:
        return ask_for_token(oidc or JobToken(), national.federated, TokenClient(cloud, context), context)

    def lease(context: Context) -> Lease:
        ask = partial(id_token, context) if oidc else None
        return _lease(identity, endpoint, TokenClient(cloud, context), national, ask)

    return CloudServices(RefreshingCredential(cloud.clock, lease), id_token=id_token if oidc else None)


def _lease(
    identity: AzureIdentity,
    endpoint: RegistryEndpoint,
    tokens: TokenClient,
    national: _National,
    ask: Callable[[], IdToken] | None,
) -> Lease:
    if identity.client_secret and not identity.tenant_id:
        source = f"service principal {identity.client_id}"
        secret = basic_password(identity.client_secret.reveal(), source)
        return Lease(Credential(identity.client_id, secret, source=source))
    exchanging = _Exchange(identity, endpoint, tokens, ask)
    try:
        return exchanging.lease(national, national.audience)
    except CredentialsError as refused:
        if exchanging.is_known:
            # A registry may be closed to tokens for the resource manager ("azureADAuthenticationAsArmPolicy").
            return exchanging.lease(national, _REGISTRY_AUDIENCE)
        raise refused


class _Exchange:
    """The way to a registry's refresh token: an access token for an audience, exchanged for it."""

    def __init__(
        self,
        identity: AzureIdentity,
        endpoint: RegistryEndpoint,
        tokens: TokenClient,
        ask: Callable[[], IdToken] | None,
    ) -> None:
        env = self._env = tokens.cloud.env
        self._identity = identity
        self._endpoint = endpoint
        self._tokens = tokens
        self._ask = ask
        self._tenant = identity.tenant_id or env.get("AZURE_TENANT_ID", "")
        self._client = identity.client_id or env.get("AZURE_CLIENT_ID", "")
        self._file = identity.federated_token_file or env.get("AZURE_FEDERATED_TOKEN_FILE", "")
        self.is_known = False
        """Whether Entra has said who we are, so that it was the registry that refused."""

    def lease(self, national: _National, audience: str) -> Lease:
        """Return the refresh token."""
        identity = self._identity
        if identity.client_secret:
            secret = basic_password(identity.client_secret.reveal(), f"service principal {self._client}")
            form: dict[str, str | Secret] = {"client_secret": secret}
            token, source = self._by_form(national, audience, form), f"service principal {self._client}"
        elif self._ask is not None:
            self._check_names()  # before a token is made
            job = self._ask()
            form = {"client_assertion_type": _ASSERTION, "client_assertion": job.token}
            with explained(job, self._tokens.cloud.clock.now()):
                token = self._by_form(national, audience, form)
            source = f"client {self._client} for the ID token of {job.source}"
        elif self._file:
            form = {"client_assertion_type": _ASSERTION, "client_assertion": self._assertion()}
            token, source = self._by_form(national, audience, form), f"federated identity {self._client}"
        else:
            token, source = self._managed(audience), "managed identity"
        self.is_known = True
        return self._registry_token(token, source)

    def _check_names(self) -> None:
        if not self._tenant or not self._client:
            raise CredentialsError(
                f"{self._endpoint.host}: a tenant and a client are needed to log in to Azure",
                hint="set tenant_id and client_id, or AZURE_TENANT_ID and AZURE_CLIENT_ID",
            )

    def _by_form(self, national: _National, audience: str, proof: Mapping[str, str | Secret]) -> Secret:
        self._check_names()
        named = self._env.get("AZURE_AUTHORITY_HOST", "")
        authority = (named or national.authority).rstrip("/")
        what = f"Azure login of client {self._client}"
        form: dict[str, str | Secret] = {
            "grant_type": "client_credentials",
            "client_id": self._client,
            "scope": f"{audience}/.default",
            **proof,
        }
        url = f"{authority}/{self._tenant}/oauth2/v2.0/token"
        hint = "check tenant and client, whether the secret has expired, and the federated credential's subject"
        is_public = self._ask is not None and not named
        return token_in(self._tokens.post_form(url, form, what, hint=hint, is_public=is_public), "access_token", what)

    def _assertion(self) -> Secret:
        what = f"federated token {self._file}"
        return bearer_token(self._tokens.read_file(self._file, what, "is the token's volume mounted?"), what)

    def _managed(self, audience: str) -> Secret:
        endpoint, secret = self._env.get("IDENTITY_ENDPOINT"), self._env.get("IDENTITY_HEADER")
        query = {"api-version": _APP_VERSION if endpoint else _IMDS_VERSION, "resource": audience}
        if self._client:
            query["client_id"] = self._client
        headers = {"X-IDENTITY-HEADER": Secret(secret).reveal() if secret else ""} if endpoint else {"Metadata": "true"}
        what = "managed identity endpoint"
        if endpoint:
            check_endpoint(endpoint, what)
        answer = self._tokens.get_metadata(
            f"{endpoint or _IMDS}?{urlencode(query)}",
            headers,
            what,
            absent=f"no Azure credentials were found for {self._endpoint.host}: no client_secret, no federated token"
            " file, and no managed identity endpoint",
            hint="set client_id and client_secret, or run where a managed identity is assigned",
        )
        return token_in(answer, "access_token", what)

    def _registry_token(self, token: Secret, source: str) -> Lease:
        host = self._endpoint.host
        what = f"{host}: exchange of the {source}'s token"
        form: dict[str, str | Secret] = {
            "grant_type": "access_token",
            "service": host,
            "tenant": self._tenant,
            "access_token": token,
        }
        url = f"{self._endpoint.scheme}://{host}/oauth2/exchange"
        answer = self._tokens.post_form(
            url,
            form,
            what,
            hint="does the identity have a role on this registry?",
            plain_http=self._endpoint.scheme == "http",
        )
        refresh = token_in(answer, "refresh_token", what)
        return Lease(Credential(TOKEN_USER, identity_token=refresh, source=source), _life_s(refresh))


def _life_s(token: Secret) -> float:
    """Return how long a token lives in seconds, by its own claims, both of the registry's clock."""
    claims = read_claims(token)
    life = claims.life_s() if claims else None
    return life if life is not None and 60 <= life <= 24 * 3600 else _REFRESH_LIFE_S
