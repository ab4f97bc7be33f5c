"""What a registry says beside its answers, in headers: rate limits, as one line for people, and warnings.

Docker Hub sends ``RateLimit-Limit: 100;w=21600`` and ``RateLimit-Remaining`` with a window in seconds, and says in
``Docker-RateLimit-Source`` whom it counts (Docker documentation, "Usage and limits"). GitLab sends the same names
without a window, GitHub and Artifactory ``X-RateLimit-…``, Azure ``x-ms-ratelimit-remaining-calls-per-second``.

Warnings: distribution-spec, "Warnings".
"""

from __future__ import annotations

import re

from oci_push.model.display import quoted
from oci_push.protocol.call import Reply

_FIELD = r"\s*(\d{1,12}(?:\.\d{1,6})?)\s*(?:[;,].*)?"
_WINDOW = r";\s*w=(\d{1,9})"
_WARNING = r'299 - "((?:[^"\\]|\\.)*)"'
_MOST_BYTES = 4096
_CALLS_LEFT = "x-ms-ratelimit-remaining-calls-per-second"


def warnings(reply: Reply) -> tuple[str, ...]:
    """Return the texts of ``Warning: 299 - "…"``; other forms are none of the specification's and passed over."""
    found = (re.fullmatch(_WARNING, value.strip()) for value in reply.values("warning") if len(value) <= _MOST_BYTES)
    texts = (re.sub(r"\\(.)", r"\1", match[1]) for match in found if match)
    return tuple(shown for text in texts if (shown := quoted(text, _MOST_BYTES)))


def rate_limits(reply: Reply) -> str:
    """Say what an answer tells of limits (``rate limit 100 in 6 h, 76 left``); empty when it tells nothing."""
    limit, remaining = _header(reply, "limit"), _header(reply, "remaining")
    if not (limit or remaining):
        left = _number(reply.headers.get(_CALLS_LEFT, ""))
        return f"rate limit: {left} calls a second left" if left else ""
    window = re.search(_WINDOW, limit or remaining)
    told = f"rate limit {_number(limit)}" if limit else "rate limit"
    if window:
        told += f" in {_span(int(window[1]))}"
    if remaining:
        told += f", {_number(remaining)} left"
    source = quoted(reply.headers.get("docker-ratelimit-source", ""), 64)
    return f"{told}, counted for {source}" if source else told


def _header(reply: Reply, name: str) -> str:
    for prefix in ("ratelimit-", "x-ratelimit-"):
        value = reply.headers.get(prefix + name, "")
        if _number(value):
            return value
    return ""


def _number(text: str) -> str:
    match = re.fullmatch(_FIELD, text)
    return match[1] if match else ""


def _span(seconds: int) -> str:
    for unit, name in ((3600, "h"), (60, "min")):
        if seconds >= unit and seconds % unit == 0:
            return f"{seconds // unit} {name}"
    return f"{seconds} s"
