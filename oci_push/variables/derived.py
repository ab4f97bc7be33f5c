"""Variables made from others: ``CF_BRANCH`` as a tag, the short revision, texts with special characters escaped.

They are made from whatever their base resolves to, wherever that comes from, unless they are set themselves.
How the vendor normalises and escapes is not documented; the choices made here are said at each function.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from oci_push.variables.interpolation import Derived

_NOT_IN_TAGS = re.compile(r"[^A-Za-z0-9_.-]")
_MAX_TAG = 128
_ESCAPED_QUOTE = re.compile(r"\\(['\"])")
_SPECIAL = re.compile(r"[\\\"'`$!&|;<>(){}\[\]*?#~]")
_BREAKS = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}
_SHORT = 7


def to_tag(text: str) -> str:
    """Make a branch or tag name legal as an image tag.

    Each character that tags may not hold becomes ``_``, as does a ``.`` or ``-`` at the start; 128 are kept.
    """
    tag = _NOT_IN_TAGS.sub("_", text)
    return f"_{tag[1:]}"[:_MAX_TAG] if tag[:1] in (".", "-") else tag[:_MAX_TAG]


def escape_quotes(text: str) -> str:
    r"""Put a backslash before each quote and nothing else, as ``CF_COMMIT_MESSAGE`` is documented."""
    return re.sub(r"(['\"])", r"\\\1", text)


def escape_special(text: str) -> str:
    r"""Put a backslash before whatever a shell takes for special; line ends and tabs become ``\n``, ``\r``, ``\t``.

    Blanks stay: the value is made to stand between double quotes.
    """
    escaped = _SPECIAL.sub(lambda match: f"\\{match[0]}", text)
    return re.sub(r"[\n\r\t]", lambda match: _BREAKS[match[0]], escaped)


def _escape_message(text: str) -> str:
    # The message's quotes are escaped already where it comes from the vendor or from us.
    return escape_special(_ESCAPED_QUOTE.sub(r"\1", text))


DERIVED: Mapping[str, Derived] = {
    "CF_BRANCH_TAG_NORMALIZED": Derived("CF_BRANCH", to_tag),
    "CF_BRANCH_TAG_NORMALIZED_LOWER_CASE": Derived("CF_BRANCH_TAG_NORMALIZED", str.lower),
    "CF_SHORT_REVISION": Derived("CF_REVISION", lambda revision: revision[:_SHORT]),
    "CF_COMMIT_MESSAGE_ESCAPED": Derived("CF_COMMIT_MESSAGE", _escape_message),
    "CF_PULL_REQUEST_TITLE_ESCAPED": Derived("CF_PULL_REQUEST_TITLE", escape_special),
}
"""By name: what the variable is made from, and how."""
