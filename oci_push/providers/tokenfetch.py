"""Asking a cloud's token endpoint: a form or a question goes out, a JSON object comes back, or a `CredentialsError`.

What is sent is a secret nearly always, so nothing of it is in a message, an endpoint must speak https unless it is on
this machine, and a redirect is refused.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from msgspec.structs import replace

from oci_push.errors import CredentialsError, DeadlineError, NetworkError, RegistryError
from oci_push.model.endpoint import is_loopback
from oci_push.model.manifest import load_json
from oci_push.protocol.call import BytesBody, Call, Reply
from oci_push.protocol.credentials import bearer_token, header
from oci_push.providers.base import Cloud
from oci_push.runtime.context import Context
from oci_push.secret import Secret

_LIMIT = 256 * 1024
_METADATA_S = 3.0
_GOOD = frozenset({200, 201})
"""What is given may be called created."""
_MOST_S = 1e9
"""What says more is no life of a token."""
_FORM = "application/x-www-form-urlencoded"


class TokenClient:
    """Asks the token endpoints of one cloud, for one login. `what` begins each message, `hint` ends those of refusals.

    Every method raises `CredentialsError`, what may pass excepted.
    """

    def __init__(self, cloud: Cloud, context: Context) -> None:
        self.cloud = cloud
        self._context = context

    def post_form(
        self,
        url: str,
        form: Mapping[str, str | Secret],
        what: str,
        hint: str,
        *,
        plain_http: bool = False,
        is_public: bool = False,
    ) -> Mapping[str, object]:
        """Return the answer to a form; `plain_http` says that the user wants it so."""
        if not plain_http:
            check_endpoint(url, what)
        call = Call("POST", url, {"Content-Type": _FORM}, BytesBody(urlencode(_revealed(form)).encode()))
        return _object(self._send(replace(call, is_public=is_public), what, hint), what)

    def post_json(
        self,
        url: str,
        value: Mapping[str, object],
        bearer: Secret | None,
        what: str,
        hint: str,
        *,
        plain_http: bool = False,
        is_public: bool = False,
    ) -> Mapping[str, object]:
        """Return the answer to JSON, whose values may be secret; it is sent with a bearer token, if there is one."""
        if not plain_http:
            check_endpoint(url, what)
        headers = {"Content-Type": "application/json"}
        if bearer is not None:
            headers["Authorization"] = f"Bearer {bearer.reveal()}"
        call = Call("POST", url, headers, BytesBody(json.dumps(_revealed(value)).encode()))
        return _object(self._send(replace(call, is_public=is_public), what, hint), what)

    def get_text(self, url: str, headers: Mapping[str, str], what: str) -> str:
        """Return the answer to a GET as it is."""
        try:
            return self._get(url, headers, what, None).body.decode()
        except UnicodeDecodeError:
            raise CredentialsError(f"{what}: its answer is not text") from None

    def get_json(
        self, url: str, headers: Mapping[str, str], what: str, hint: str, *, plain_http: bool = False
    ) -> Mapping[str, object]:
        """Return the answer to a GET."""
        return _object(self._get(url, headers, what, hint, plain_http=plain_http), what)

    def get_metadata(
        self, url: str, headers: Mapping[str, str], what: str, *, absent: str, hint: str
    ) -> Mapping[str, object]:
        """Return what the instance's own metadata service says, which is near or not there: asked once and briefly.

        `absent` is the message where nobody answers.
        """
        headers = dict(header(name, value, f"{what}: header") for name, value in headers.items())
        call = Call("GET", url, headers, idempotent=False, limit=_LIMIT, what=what)
        try:
            reply = self.cloud.fetch(self._context.child(seconds=_METADATA_S), call)
        except (NetworkError, DeadlineError) as problem:
            self._context.check()
            raise CredentialsError(absent, hint=hint) from problem
        except RegistryError as error:
            raise _refused(error, what, hint) from None
        return _object(reply, what)

    def read_file(self, path: str, what: str, hint: str) -> str:
        """Return the text of a file."""
        try:
            return self.cloud.read_file(Path(path))
        except (OSError, ValueError) as problem:  # the latter for what is not UTF-8, or a name with NUL in it
            reason = getattr(problem, "strerror", None) or "it is not text"
            raise CredentialsError(f"{what}: cannot be read ({reason})", hint=hint) from None

    def _get(
        self, url: str, headers: Mapping[str, str], what: str, hint: str | None, *, plain_http: bool = False
    ) -> Reply:
        if not plain_http:
            check_endpoint(url, what)
        headers = dict(header(name, value, f"{what}: header") for name, value in headers.items())
        return self._send(Call("GET", url, headers), what, hint)

    def _send(self, call: Call, what: str, hint: str | None) -> Reply:
        try:
            call = replace(call, limit=_LIMIT, what=what, redirects=False, ok_statuses=_GOOD)
            return self.cloud.fetch(self._context, call)
        except RegistryError as error:
            if error.transient:
                raise
            raise _refused(error, what, hint) from None


def text_in(value: Mapping[str, object], key: str, what: str) -> str:
    """Return a field that must be there as text."""
    found = value.get(key)
    if not isinstance(found, str) or not found:
        raise CredentialsError(f"{what}: has no {key}")
    return found


def token_in(value: Mapping[str, object], key: str, what: str) -> Secret:
    """Return a token, which travels in headers."""
    return bearer_token(text_in(value, key, f"{what}: its answer"), f"{what}: {key} of its answer")


def seconds_in(value: Mapping[str, object], key: str, default: float) -> float:
    """Return a life in seconds, which Azure writes as text."""
    found = value.get(key)
    if isinstance(found, str) and found.isascii() and found.isdigit() and len(found) < 10:
        return float(found)
    is_number = isinstance(found, int | float) and not isinstance(found, bool)
    return float(found) if is_number and 0 < found < _MOST_S else default  # type: ignore[operator,arg-type]


def check_endpoint(url: str, what: str) -> None:
    """Refuse an endpoint that secrets must not be sent to."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        raise CredentialsError(f"{what}: its address is not a URL") from None
    if parts.scheme == "https" and host:
        return
    if parts.scheme != "http" or not (is_loopback(host) or _is_link_local(host)):
        raise CredentialsError(f"{what}: {parts.scheme}://{host} is not https", hint="secrets are sent by https only")


def _is_link_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_link_local
    except ValueError:
        return False


def _revealed(fields: Mapping[str, object]) -> dict[str, object]:
    """Return the fields that have a value, with the secrets of those that are."""
    return {name: value.reveal() if isinstance(value, Secret) else value for name, value in fields.items() if value}


def _refused(error: RegistryError, what: str, hint: str | None) -> CredentialsError:
    # Not chained: the call in the original holds secrets, and its hint speaks of registries.
    reason = error.message.removeprefix(f"{what}: ")
    return CredentialsError(f"{what}: refused, {reason}", hint=hint)


def _object(reply: Reply, what: str) -> Mapping[str, object]:
    try:
        return load_json(reply.body, "its answer")
    except ValueError:
        # Not chained: the parser's error carries the text, and with it the token.
        raise CredentialsError(f"{what}: its answer is not a JSON object") from None
