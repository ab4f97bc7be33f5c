"""What a JSON Web Token says of itself (RFC 7519, "Claims"), read without verifying it: its taker does that.

People are told these claims where a token is refused, since they are what trusts name. The signature is never shown.
"""

from __future__ import annotations

import base64
import binascii
import json

from msgspec import Struct

from oci_push.model.display import quoted
from oci_push.secret import Secret

_MOST_SHOWN = 300


class Claims(Struct, frozen=True):
    """Who issued a token (``iss``), about whom (``sub``), for whom (``aud``), and when, in seconds since 1970."""

    issuer: str = ""
    subject: str = ""
    audiences: tuple[str, ...] = ()
    issued_at: float | None = None
    expires_at: float | None = None

    def __str__(self) -> str:
        """Return them for people, as the words that trusts use; what is missing is said to be."""
        shown = (("iss", self.issuer), ("sub", self.subject), ("aud", " and ".join(self.audiences)))
        return ", ".join(f"{name} {quoted(text, _MOST_SHOWN) if text else 'missing'}" for name, text in shown)

    def life_s(self) -> float | None:
        """Return how long the token lives in seconds, by its issuer's clock alone."""
        both = self.expires_at is not None and self.issued_at is not None
        return (self.expires_at or 0.0) - (self.issued_at or 0.0) if both else None


def read_claims(token: Secret) -> Claims | None:
    """Return what a token says of itself; ``None`` for a text that is no JSON Web Token."""
    parts = token.reveal().split(".")
    if len(parts) != 3:
        return None
    try:
        value = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, binascii.Error, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    found = value.get("aud")
    audiences = found if isinstance(found, list) else [found]
    return Claims(
        _text(value.get("iss")),
        _text(value.get("sub")),
        tuple(text for one in audiences if (text := _text(one))),
        _moment(value.get("iat")),
        _moment(value.get("exp")),
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _moment(value: object) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and 0 <= value < 1e12 else None  # type: ignore[operator,arg-type]
