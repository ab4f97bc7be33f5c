"""Answers that are errors: which class, and what the message says. Status first, OCI code to refine.

Codes and statuses do not pair up reliably across registries, and a 4xx body may be anything, so both are read
defensively (distribution-spec, "Error Codes").
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from oci_push.errors import (
    DeniedError,
    NotFoundError,
    ProtocolViolationError,
    RateLimitedError,
    RegistryError,
    UnavailableError,
    UploadRejectedError,
)
from oci_push.model.display import quoted
from oci_push.protocol import challenge
from oci_push.protocol.call import Call, Reply
from oci_push.protocol.endpoints import bare
from oci_push.protocol.notices import rate_limits

_MAX_TEXT = 400
_MAX_NAMED = 1000
_DIGEST = re.compile(rb"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")
_PASSING = frozenset({408, 425, 499})
_LASTING = frozenset({501, 505, 506, 507, 508, 510, 511})
"""What of 5xx the same request meets again: not able to, not so, no space, a loop, log in to the network first."""

_READ_HINTS = {
    403: "check that this login may read this repository",
    404: "the repository does not exist there, or this login may not see it; check its name",
}
"""What is said of a request that only reads, in the place of advice for who writes."""
_NO_MANIFEST = "see what there is with oci-push tags"
_READS = ("GET", "HEAD")


def error_for(call: Call, reply: Reply, now: Callable[[], float]) -> RegistryError:
    """Build the error for an answer whose status the call did not expect; `now` is seconds since 1970."""
    codes, text = parse_body(reply.body, reply.headers.get("content-type", ""))
    if reply.status == 429 and (limits := rate_limits(reply)):
        text = f"{text}; {limits}" if text else limits
    if reply.status in (401, 403):
        scopes = " ".join(s for c in challenge.parse(reply.values("www-authenticate")) for s in c.scopes)
        text = "; ".join(filter(None, (text, quoted(f"it takes {scopes}", _MAX_TEXT) if scopes else "")))
    subject = call.what or bare(reply.url)
    label = f"{reply.status} {codes[0]}" if codes else str(reply.status)
    message = f"{subject}: {call.method} answered {label}" + (f" ({text})" if text else "")
    kind, hint = _classify(reply.status, codes, text)
    if call.scopes and all(scope.endswith(":pull") for scope in call.scopes):
        hint = _READ_HINTS.get(reply.status, hint) if hint else None
    if kind is NotFoundError and not hint and call.method in _READS and "/manifests/" in call.url:
        hint = _NO_MANIFEST
    return kind(
        message,
        hint=hint,
        method=call.method,
        url=bare(reply.url),
        status=reply.status,
        codes=codes,
        retry_after_s=retry_after(reply.headers.get("retry-after", ""), now()),
        named=tuple(dict.fromkeys(m.decode() for m in _DIGEST.findall(reply.body)))[:_MAX_NAMED],
    )


def violation(
    call: Call, reply: Reply, said: str, *, hint: str | None = None, transient: bool | None = None
) -> ProtocolViolationError:
    """Build the error for a success that the specification does not allow; `said` is what is wrong with it."""
    return ProtocolViolationError(
        f"{call.what}: {said}",
        hint=hint,
        method=call.method,
        url=bare(reply.url),
        status=reply.status,
        transient=transient,
    )


def parse_body(body: bytes, content_type: str = "") -> tuple[tuple[str, ...], str]:
    """Read OCI error codes and a short text from a body that may be anything at all, without the secrets it repeats."""
    try:
        value = json.loads(body[:65536]) if body else None
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, dict):
        entries = value.get("errors")
        if not isinstance(entries, list):
            entries = [value]
        found = [entry for entry in entries if isinstance(entry, dict)]
        codes = [quoted(str(e["code"]), _MAX_TEXT) for e in found if isinstance(e.get("code"), str | int)]
        texts = [_text(e) for e in found]
        return tuple(dict.fromkeys(codes)), quoted("; ".join(dict.fromkeys(t for t in texts if t)), _MAX_TEXT)
    if not body or "html" in content_type or body.lstrip()[:1] == b"<":
        return (), ""
    return (), quoted(body[:65536].decode("utf-8", "replace"), _MAX_TEXT)


def retry_after(text: str, now: float) -> float | None:
    """Read Retry-After in seconds or as an HTTP date; return the seconds to wait, or ``None``."""
    text = text.strip()
    if not text:
        return None
    if text.isascii() and text.isdigit():
        return float(text[:9])
    from email.utils import parsedate_to_datetime

    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now)
    except (ValueError, OverflowError):
        return None


def _text(entry: dict[str, object]) -> str:
    for key in ("message", "error_description", "details", "error"):
        value = entry.get(key)
        if isinstance(value, str) and value:
            detail = entry.get("detail")
            return f"{value}: {detail}" if key == "message" and isinstance(detail, str) and detail else value
    return ""


def _classify(status: int, codes: tuple[str, ...], text: str) -> tuple[type[RegistryError], str | None]:
    if status == 429 or "TOOMANYREQUESTS" in codes:
        return RateLimitedError, None
    if status in _PASSING or (500 <= status < 600 and status not in _LASTING):
        return UnavailableError, None
    if status == 401:
        return DeniedError, "log in, or check the credentials used for this registry"
    if status == 403:
        return DeniedError, "check that this login may push to this repository"
    if status == 404:
        name_unknown = "NAME_UNKNOWN" in codes
        return NotFoundError, "the repository does not exist there; create it first" if name_unknown else None
    if status in (400, 409, 412, 413, 416):
        return UploadRejectedError, None
    if 200 <= status < 400:
        return ProtocolViolationError, None
    return RegistryError, None
