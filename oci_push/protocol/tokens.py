"""Bearer tokens: how one is asked for and how its answer is read.

Rules: distribution's token and OAuth2 documents. GET with Basic is what every server takes; POST is used where
only an identity (refresh) token is at hand, with GET as the fall-back where POST is not known.
"""

from __future__ import annotations

import base64
from urllib.parse import quote, urlencode

from msgspec import Struct

from oci_push.errors import CredentialsError, DeniedError, RegistryError
from oci_push.model.endpoint import Credential
from oci_push.model.manifest import load_json
from oci_push.protocol.call import BytesBody, Call, Flow, Reply
from oci_push.protocol.challenge import Challenge, canonical
from oci_push.protocol.credentials import bearer_token
from oci_push.protocol.endpoints import bare, with_query
from oci_push.secret import Secret

_CLIENT = "oci-push"
_DEFAULT_LIFE_S = 60.0
_MOST_LIFE_S = 1e9
_LIMIT = 512 * 1024


class BearerToken(Struct, frozen=True):
    """A bearer token: for which scopes it was asked, its end on our own monotonic clock, its whole life."""

    text: Secret
    scopes: tuple[str, ...]
    expires_at: float
    life_s: float = _DEFAULT_LIFE_S

    def is_fresh(self, monotonic: float, need_s: float) -> bool:
        """Return whether it lives `need_s` seconds more."""
        return self.expires_at - monotonic > need_s


def granted(text: Secret) -> tuple[str, ...] | None:
    """Read from a token what it opens; ``None`` where it does not say, as tokens may be opaque.

    Distribution, the Hub, GitLab, Quay, Harbor and Azure say it in the claim ``endpoint`` (distribution, "Token
    specification"). The signature is the registry's business: this is for telling people, never for deciding.
    """
    try:
        payload = text.reveal().split(".")[1]
        claims = load_json(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)), "token")
    except (IndexError, ValueError):
        return None
    endpoint = claims.get("access")
    if not isinstance(endpoint, list):
        return None
    scopes = []
    for entry in endpoint:
        if isinstance(entry, dict) and isinstance(entry.get("actions"), list):
            actions = ",".join(sorted(str(action) for action in entry["actions"]))
            scopes.append(f"{entry.get('type')}:{entry.get('name')}:{actions}")
    return canonical(scopes)


def basic(credential: Credential) -> str:
    """Return the value of an Authorization header for user and password."""
    password = credential.password.reveal() if credential.password else ""
    return "Basic " + base64.b64encode(f"{credential.username}:{password}".encode()).decode()


def request(
    challenge: Challenge, scopes: tuple[str, ...], credential: Credential | None, sent_at: float
) -> Flow[BearerToken]:
    """Get a token for `scopes`; `sent_at` is our monotonic time, so that a skewed server clock is no matter."""
    realm = challenge.parameters.get("realm", "")
    service = challenge.parameters.get("service", "")
    what = f"token server {bare(realm)}"
    if credential and credential.identity_token:
        try:
            reply = yield _post(realm, service, scopes, credential.identity_token, what)
            return _read(reply, scopes, sent_at, what)
        except RegistryError as error:
            if error.status not in (400, 404, 405):
                raise _refused(error, credential, what) from error
    try:
        reply = yield _get(realm, service, scopes, credential, what)
    except RegistryError as error:
        raise _refused(error, credential, what) from error
    return _read(reply, scopes, sent_at, what)


def _get(realm: str, service: str, scopes: tuple[str, ...], credential: Credential | None, what: str) -> Call:
    url = realm
    if service:
        url = with_query(url, f"service={quote(service, safe='')}")
    for scope in scopes:  # one parameter each, the target first: some servers read only the first
        url = with_query(url, f"scope={quote(scope, safe=':,/')}")
    headers = {}
    if credential and credential.identity_token:
        headers["Authorization"] = basic(Credential(credential.username or "<token>", credential.identity_token))
    elif credential and credential.password:
        url = with_query(url, f"account={quote(credential.username, safe='')}")
        headers["Authorization"] = basic(credential)
    return Call("GET", url, headers=headers, limit=_LIMIT, what=what)


def _post(realm: str, service: str, scopes: tuple[str, ...], identity: Secret, what: str) -> Call:
    form = {"grant_type": "refresh_token", "service": service, "client_id": _CLIENT, "scope": " ".join(scopes)}
    form["refresh_token"] = identity.reveal()
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    return Call("POST", realm, headers=headers, body=BytesBody(urlencode(form).encode()), limit=_LIMIT, what=what)


def _read(reply: Reply, scopes: tuple[str, ...], sent_at: float, what: str) -> BearerToken:
    try:
        value = load_json(reply.body, "its answer")
    except ValueError as problem:
        raise CredentialsError(f"{what}: {problem}") from problem
    for key in ("token", "access_token", "refresh_token"):
        if isinstance(given := value.get(key), str):
            Secret(given)  # known, whether it is used or not
    text = next((found for key in ("token", "access_token") if (found := value.get(key))), None)
    if not isinstance(text, str):
        raise CredentialsError(f"{what}: its answer holds neither token nor access_token")
    token = bearer_token(text, f"{what}: its answer")
    life = value.get("expires_in")
    is_sane = isinstance(life, int | float) and not isinstance(life, bool) and 0 < life < _MOST_LIFE_S
    seconds = float(life) if isinstance(life, int | float) and is_sane else _DEFAULT_LIFE_S
    life_s = max(seconds, _DEFAULT_LIFE_S)
    return BearerToken(token, scopes, sent_at + life_s, life_s)


def _refused(error: RegistryError, credential: Credential | None, what: str) -> Exception:
    """Tell a refusal as what it is; what may pass stays what it is. Nothing here is an answer of the registry."""
    if error.transient or not error.status:
        return error  # without a status it is not the server's word, but that we may not be sent there
    if not isinstance(error, DeniedError) and error.status != 400:
        return CredentialsError(str(error), hint="the registry names this token server; is its address right?")
    if credential is None:
        return CredentialsError(
            f"{what}: refused an anonymous token ({error.status})", hint="log in to this registry first"
        )
    return CredentialsError(
        f"{what}: refused the credentials of user {credential.shown_user!r} from {credential.source or 'the caller'}"
        f" ({error.status})",
        hint="check the user name and the password or token",
    )
