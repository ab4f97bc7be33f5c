"""Google Artifact Registry and Container Registry, and the access tokens they take.

Access tokens, as user ``oauth2accesstoken`` (Artifact Registry documentation, "Set up authentication for Docker"), come
from

* a service account's key: a JWT signed with RS256, for a token (Google Identity, "Using OAuth 2.0 for Server to
  Server Applications", and RFC 7523). The key itself never leaves this machine;
* a workload identity file: somebody else's token, from a file or a URL, is exchanged at Google's STS, and where the
  file says so, for a service account's (AIP-4117; RFC 8693);
* the job's own ID token, in the same way and without a file;
* a user's login by gcloud (a refresh token);
* the metadata server of a Google machine or cluster (Compute Engine, "Access tokens").

An identity without a key takes what ``GOOGLE_APPLICATION_CREDENTIALS`` names, gcloud's own file, or the metadata
server, in this order (AIP-4110). User names ``_json_key``, ``_json_key_base64`` and ``oauth2accesstoken`` are ordinary
logins and need nothing of this.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

from oci_push.errors import CredentialsError
from oci_push.model.endpoint import Credential, RegistryEndpoint
from oci_push.model.identity import CloudIdentity
from oci_push.model.manifest import load_json
from oci_push.protocol.credentials import refresh_token
from oci_push.providers.base import Cloud, CloudServices, IdToken
from oci_push.providers.job_tokens import EXCHANGE_GRANT, exchanging
from oci_push.providers.tokenfetch import TokenClient, seconds_in, text_in, token_in
from oci_push.runtime.context import Context
from oci_push.secret import Secret
from oci_push.transport.credentials import Lease, RefreshingCredential

TOKEN_USER = "oauth2accesstoken"  # noqa: S105  # a user name
SCOPE = "https://www.googleapis.com/auth/cloud-platform"
TOKEN_URL = "https://oauth2.googleapis.com/token"  # noqa: S105  # an address
JWT_LIFE_S = 3600
"""Google takes no assertion that lives longer."""

_JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105  # a type's name
_STS_URL = "https://sts.googleapis.com/v1/token"
_IMPERSONATION_URL = "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/{}:generateAccessToken"
_JWT_TYPE = "urn:ietf:params:oauth:token-type:jwt"
_PROVIDER = r"projects/\d+/locations/global/workloadIdentityPools/[a-z0-9-]{4,32}/providers/[a-z0-9-]{4,32}"
_PROVIDER_WORDS = "projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/NAME"
_ACCOUNT = r"[A-Za-z0-9.-]+@[A-Za-z0-9.-]+"
_METADATA_HOST = "metadata.google.internal"
_METADATA_PATH = "/computeMetadata/v1/instance/service-accounts/default/token"
_KEY_HINT = "give the JSON text of a service account's key, or of a workload identity configuration"
_REFUSED_HINT = "is the key still active, and this machine's clock right? (gcloud iam service-accounts keys list)"


class GoogleIdentity(CloudIdentity, frozen=True):
    """Who asks Google for a token: `keyfile` is the JSON text of a key; without it the ambient identity is used.

    With `oidc` the job's ID token is exchanged by `workload_identity_provider`, ``projects/N/locations/global/
    workloadIdentityPools/POOL/providers/NAME``, and the result for one of `service_account`, if that is given.
    """

    keyfile: Secret | None = None
    workload_identity_provider: str = ""
    service_account: str = ""
    secrets: ClassVar[tuple[str, ...]] = ("keyfile",)

    def __str__(self) -> str:
        """Return what is asked."""
        if self.oidc is not None:
            return f"{self.service_account or 'Google workload identity'} for the job's ID token"
        return "Google key file" if self.keyfile else "Google default credentials"

    def problems(self) -> tuple[str, ...]:
        """Return all that Google's exchange would refuse."""
        if self.oidc is None:
            return ()
        name = self.workload_identity_provider
        found = []
        if not re.fullmatch(_PROVIDER, name):
            found.append(f"workload_identity_provider {name!r} is not of the form {_PROVIDER_WORDS}")
        if self.service_account and not re.fullmatch(_ACCOUNT, self.service_account):
            found.append(f"service_account {self.service_account!r} is no account's address")
        return tuple(found)


IDENTITY: type[CloudIdentity] = GoogleIdentity


def cloud_services(endpoint: RegistryEndpoint, cloud: Cloud) -> CloudServices | None:
    """Return where logins come from; ``None`` where the access names no identity of this cloud."""
    identity = endpoint.identity
    if not isinstance(identity, GoogleIdentity):
        return None

    if identity.oidc is not None:
        audience = f"https://iam.googleapis.com/{identity.workload_identity_provider}"
        return exchanging(cloud, identity.oidc, audience, lambda job, tokens: _by_job(identity, job, tokens))

    def lease(context: Context) -> Lease:
        return _lease(identity, endpoint.name, TokenClient(cloud, context))

    return CloudServices(RefreshingCredential(cloud.clock, lease))


def _lease(identity: GoogleIdentity, name: str, tokens: TokenClient) -> Lease:
    if identity.keyfile:
        where = f"the keyfile of registry {name!r}" if name else "the keyfile"
        return _by_file(identity.keyfile, where, tokens)
    found = _ambient_file(tokens)
    return _by_file(found[0], found[1], tokens) if found else _by_metadata(tokens)


def _by_job(identity: GoogleIdentity, job: IdToken, tokens: TokenClient) -> Lease:
    """Do what a workload identity file would say."""
    value: dict[str, object] = {
        "audience": f"//iam.googleapis.com/{identity.workload_identity_provider}",
        "subject_token_type": _JWT_TYPE,
        "token_url": _STS_URL,
    }
    if identity.service_account:
        value["service_account_impersonation_url"] = _IMPERSONATION_URL.format(identity.service_account)
    return _exchanged(value, job.token, f"ID token of {job.source}", tokens, is_public=True)


def _ambient_file(tokens: TokenClient) -> tuple[Secret, str] | None:
    cloud = tokens.cloud
    if named := cloud.env.get("GOOGLE_APPLICATION_CREDENTIALS"):
        return Secret(tokens.read_file(named, named, "GOOGLE_APPLICATION_CREDENTIALS names this file")), named
    folder = cloud.env.get("CLOUDSDK_CONFIG") or (str(cloud.home / ".config/gcloud") if cloud.home else "")
    path = Path(folder, "application_default_credentials.json")
    try:
        return (Secret(cloud.read_file(path)), str(path)) if folder else None
    except (OSError, UnicodeDecodeError):
        return None


def _by_file(text: Secret, where: str, tokens: TokenClient) -> Lease:
    value = _parse(text, where)
    kind = value.get("type")
    if kind == "service_account":
        return _by_key(value, where, tokens)
    if kind == "external_account":
        return _by_exchange(value, where, tokens)
    if kind == "authorized_user":
        return _by_refresh(value, where, tokens)
    raise CredentialsError(f"{where}: credentials of type {kind!r:.40} are not supported", hint=_KEY_HINT)


def _parse(text: Secret, where: str) -> Mapping[str, object]:
    raw = text.reveal().strip()
    if not raw.startswith("{"):
        try:  # the form that user name _json_key_base64 takes, and CI systems keep
            raw = base64.b64decode("".join(raw.split()), validate=True).decode()
        except (binascii.Error, ValueError):
            raise CredentialsError(f"{where}: is neither JSON nor base64 of it", hint=_KEY_HINT) from None
    try:
        return load_json(raw.encode("utf-8", "surrogateescape"), where)
    except ValueError:
        # Not chained: the parser's error carries the whole key.
        raise CredentialsError(f"{where}: is not a JSON object", hint=_KEY_HINT) from None


def _by_key(value: Mapping[str, object], where: str, tokens: TokenClient) -> Lease:
    account = text_in(value, "client_email", where)
    url = str(value.get("token_uri") or TOKEN_URL)
    issued = int(tokens.cloud.clock.now())
    header: dict[str, object] = {"alg": "RS256", "typ": "JWT"}
    if isinstance(value.get("private_key_id"), str):
        header["kid"] = value["private_key_id"]
    claims: dict[str, object] = {"iss": account, "scope": SCOPE, "aud": url, "iat": issued, "exp": issued + JWT_LIFE_S}
    assertion = _sign(header, claims, Secret(text_in(value, "private_key", where)), where)
    what = f"{where}: token for {account} from {_host(url)}"
    answer = tokens.post_form(url, {"grant_type": _JWT_GRANT, "assertion": assertion}, what, hint=_REFUSED_HINT)
    return _token(answer, "access_token", what, f"service account {account}, {where}")


def _sign(header: Mapping[str, object], claims: Mapping[str, object], pem: Secret, where: str) -> Secret:
    # Imported here: most pushes sign nothing, and loading it takes longer than the rest of this room.
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(pem.reveal().encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise CredentialsError(
            f"{where}: private_key cannot be read as a PEM key", hint="was \\n in the key changed on its way here?"
        ) from None
    if not isinstance(key, RSAPrivateKey):
        raise CredentialsError(f"{where}: private_key is not an RSA key", hint=_KEY_HINT)
    signed = f"{_segment(json.dumps(header).encode())}.{_segment(json.dumps(claims).encode())}"
    return Secret(f"{signed}.{_segment(key.sign(signed.encode(), PKCS1v15(), SHA256()))}")


def _by_refresh(value: Mapping[str, object], where: str, tokens: TokenClient) -> Lease:
    form: dict[str, str | Secret] = {
        "grant_type": "refresh_token",
        "client_id": text_in(value, "client_id", where),
        "client_secret": Secret(text_in(value, "client_secret", where)),
        "refresh_token": refresh_token(text_in(value, "refresh_token", where), where),
    }
    what = f"{where}: token from {_host(TOKEN_URL)}"
    url = str(value.get("token_uri") or TOKEN_URL)
    answer = tokens.post_form(url, form, what, hint="log in again: gcloud auth application-default login")
    return _token(answer, "access_token", what, f"gcloud's user, {where}")


def _by_exchange(value: Mapping[str, object], where: str, tokens: TokenClient) -> Lease:
    return _exchanged(value, _subject(value, where, tokens), where, tokens)


def _exchanged(
    value: Mapping[str, object], subject: Secret, where: str, tokens: TokenClient, *, is_public: bool = False
) -> Lease:
    url = text_in(value, "token_url", where)
    what = f"{where}: token from {_host(url)}"
    form: dict[str, str | Secret] = {
        "grant_type": EXCHANGE_GRANT,
        "audience": text_in(value, "audience", where),
        "scope": SCOPE,
        "requested_token_type": _ACCESS_TOKEN,
        "subject_token_type": text_in(value, "subject_token_type", where),
        "subject_token": subject,
    }
    hint = "does the pool's provider trust this token's issuer, audience and subject?"
    answer = tokens.post_form(url, form, what, hint=hint, is_public=is_public)
    impersonation = value.get("service_account_impersonation_url")
    if not impersonation:
        return _token(answer, "access_token", what, f"workload identity, {where}")
    token = token_in(answer, "access_token", what)
    return _impersonate(value, str(impersonation), token, where, tokens, is_public=is_public)


def _subject(value: Mapping[str, object], where: str, tokens: TokenClient) -> Secret:
    source = value.get("credential_source")
    source = source if isinstance(source, dict) else {}
    what = f"{where}: subject token"
    if isinstance(path := source.get("file"), str):
        what = f"{what} from {path}"
        text = tokens.read_file(path, what, "is the token's volume mounted?")
    elif isinstance(url := source.get("url"), str):
        what = f"{what} from {_host(url)}"
        headers = source.get("headers")
        given = {str(k): Secret(str(v)).reveal() for k, v in headers.items()} if isinstance(headers, dict) else {}
        text = tokens.get_text(url, given, what)
    else:
        raise CredentialsError(
            f"{where}: its credential_source is neither a file nor a url",
            hint="sources of AWS and of executables are not supported; write the token to a file",
        )
    form = source.get("format")
    if isinstance(form, dict) and form.get("type") == "json":
        try:
            found = load_json(text.encode("utf-8", "surrogateescape"), what)
        except ValueError:
            raise CredentialsError(f"{what}: is not a JSON object") from None
        text = text_in(found, str(form.get("subject_token_field_name")), what)
    return refresh_token(text, what)  # of a kind that the pool's provider knows: a JWT, or an XML assertion in base64


def _impersonate(
    value: Mapping[str, object], url: str, token: Secret, where: str, tokens: TokenClient, *, is_public: bool
) -> Lease:
    account = urlsplit(url).path.rpartition("/")[2].partition(":")[0]
    what = f"{where}: token for {account} from {_host(url)}"
    options = value.get("service_account_impersonation")
    life_s = seconds_in(options, "token_lifetime_seconds", 3600) if isinstance(options, dict) else 3600.0
    answer = tokens.post_json(
        url,
        {"scope": [SCOPE], "lifetime": f"{life_s:.0f}s"},
        token,
        what,
        hint="the workload needs the role roles/iam.workloadIdentityUser on this service account",
        is_public=is_public,
    )
    credential = Credential(
        TOKEN_USER, token_in(answer, "accessToken", what), source=f"service account {account}, {where}"
    )
    return Lease(credential, _until(text_in(answer, "expireTime", what), tokens.cloud.clock.now(), life_s))


def _by_metadata(tokens: TokenClient) -> Lease:
    host = tokens.cloud.env.get("GCE_METADATA_HOST") or _METADATA_HOST
    what = f"metadata server {host}"
    answer = tokens.get_metadata(
        f"http://{host}{_METADATA_PATH}",
        {"Metadata-Flavor": "Google"},
        what,
        absent="no Google credentials were found: no keyfile, no GOOGLE_APPLICATION_CREDENTIALS, no login by gcloud,"
        f" and no metadata server at {host}",
        hint=_KEY_HINT,
    )
    return _token(answer, "access_token", what, "the metadata server's service account")


def _token(answer: Mapping[str, object], key: str, what: str, source: str) -> Lease:
    credential = Credential(TOKEN_USER, token_in(answer, key, what), source=source)
    return Lease(credential, seconds_in(answer, "expires_in", 3600))


def _until(moment: str, now: float, default: float) -> float:
    # The server's time of day against ours: a skewed clock must not make a token look dead.
    try:
        left = datetime.fromisoformat(moment).timestamp() - now
    except ValueError:
        return default
    return left if 0 < left <= default else default


def _segment(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _host(url: str) -> str:
    try:
        return urlsplit(url).netloc.rpartition("@")[2]
    except ValueError:
        return "an address that is not a URL"
