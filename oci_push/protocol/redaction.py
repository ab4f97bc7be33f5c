"""What a server repeats of what it was sent: taken out before anybody reads it.

Token servers and proxies like to quote a bad request in their answer, and an answer's text becomes part of our
messages. Everything secret that a call carries is known, so it can be found there.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from urllib.parse import parse_qsl, quote, quote_plus

from oci_push.protocol.call import BytesBody, Call

_LEAST = 6
"""Shorter values are no secrets worth the name, and taking them out would maim the text."""
_PUBLIC = frozenset({"grant_type", "service", "scope", "client_id", "tenant", "access_type", "audience"})


def redact(text: str, call: Call, authorization: str = "") -> str:
    """Give `text` without the secrets of `call` and of the `authorization` it was sent with."""
    for secret in sorted(set(_secrets(call, authorization)), key=len, reverse=True):
        for form in (secret, quote(secret, safe=""), quote_plus(secret)):
            text = text.replace(form, "***")
    return text


def _secrets(call: Call, authorization: str) -> Iterable[str]:
    headers = {name.lower(): value for name, value in call.headers.items()}
    for value in (authorization, headers.get("authorization", "")):
        yield from _of_authorization(value)
    if isinstance(call.body, BytesBody) and "urlencoded" in headers.get("content-type", ""):
        for name, value in parse_qsl(call.body.data.decode("utf-8", "replace")):
            if name not in _PUBLIC and not name.endswith("_type") and len(value) >= _LEAST:
                yield value


def _of_authorization(value: str) -> Iterable[str]:
    scheme, _, credentials = value.partition(" ")
    if len(credentials) >= _LEAST:
        yield credentials
    if scheme.lower() == "basic":
        try:
            password = base64.b64decode(credentials).decode().partition(":")[2]
        except (binascii.Error, ValueError):
            return
        if len(password) >= _LEAST:
            yield password
