"""Signed tokens of the sandbox: JSON Web Tokens with HS256 (RFC 7515, RFC 7519) and token scopes as text.

The claims are those of distribution's token document. Who gets a token is the business of `auth`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping

from msgspec import Struct

from oci_push.model.manifest import load_json

_HEADER = {"typ": "JWT", "alg": "HS256"}


class InvalidTokenError(Exception):
    """Report a token that this sandbox did not make, or that has expired."""


class Grant(Struct, frozen=True):
    """Say what a request may do: `everything`, or the actions listed per resource (``repository:team/app``)."""

    everything: bool = False
    actions: Mapping[str, frozenset[str]] | None = None

    def allows(self, scope: str) -> bool:
        """Say whether every action of one scope is granted."""
        if self.everything:
            return True
        resource, wanted = split_scope(scope)
        have = (self.actions or {}).get(resource, frozenset())
        return "*" in have or wanted <= have


def split_scope(scope: str) -> tuple[str, frozenset[str]]:
    """Cut ``type:name:action,action`` into resource and actions; the name may hold colons."""
    resource, _, actions = scope.rpartition(":")
    return resource, frozenset(action for action in actions.split(",") if action)


def access_claim(scopes: Iterable[str]) -> list[dict[str, object]]:
    """Return scopes in the form of the ``access`` claim."""
    claim: list[dict[str, object]] = []
    for scope in scopes:
        resource, actions = split_scope(scope)
        kind, _, name = resource.partition(":")
        claim.append({"type": kind, "name": name, "actions": sorted(actions)})
    return claim


def grant_of(claims: Mapping[str, object]) -> Grant:
    """Read a verified token's ``access`` claim."""
    actions: dict[str, frozenset[str]] = {}
    access = claims.get("access")
    for entry in access if isinstance(access, list) else ():
        if isinstance(entry, dict) and isinstance(entry.get("actions"), list):
            resource = f"{entry.get('type')}:{entry.get('name')}"
            actions[resource] = actions.get(resource, frozenset()) | frozenset(map(str, entry["actions"]))
    return Grant(actions=actions)


def sign(claims: Mapping[str, object], key: bytes) -> str:
    """Make a token."""
    signed = f"{_encode(json.dumps(_HEADER).encode())}.{_encode(json.dumps(claims).encode())}"
    return f"{signed}.{_encode(_mac(signed, key))}"


def verify(token: str, key: bytes, *, audience: str, now: float) -> Mapping[str, object]:
    """Return the claims of a token of ours that is still good at `now`; raise `InvalidTokenError` otherwise."""
    signed, _, signature = token.rpartition(".")
    header, _, payload = signed.partition(".")
    # Comparing bytes: compare_digest refuses text that is not ASCII, and a client may send any.
    if not hmac.compare_digest(_encode(_mac(signed, key)).encode(), signature.encode()):
        raise InvalidTokenError("the signature is not ours")
    try:
        head, claims = load_json(_decode(header), "header"), load_json(_decode(payload), "claims")
    except ValueError as problem:
        raise InvalidTokenError(str(problem)) from problem
    expires = claims.get("exp")
    if head.get("alg") != "HS256" or claims.get("aud") != audience:
        raise InvalidTokenError("the token is for something else")
    if not isinstance(expires, int | float) or expires <= now:
        raise InvalidTokenError("the token has expired")
    return claims


def _mac(signed: str, key: bytes) -> bytes:
    return hmac.new(key, signed.encode(), hashlib.sha256).digest()


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError) as problem:
        raise ValueError("it is not base64") from problem
