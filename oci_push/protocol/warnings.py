"""Notices: what a registry wants people to read, beside its answer (distribution-spec, "Warnings")."""

from __future__ import annotations

import re

from oci_push.model.display import quoted
from oci_push.protocol.call import Reply

_WARNING = re.compile(r'299 - "((?:[^"\\]|\\.)*)"')
_MOST_BYTES = 4096


def warnings(reply: Reply) -> tuple[str, ...]:
    """Return the texts of ``Warning: 299 - "…"``; other forms are none of the specification's and passed over."""
    found = (_WARNING.fullmatch(value.strip()) for value in reply.values("warning") if len(value) <= _MOST_BYTES)
    texts = (re.sub(r"\\(.)", r"\1", match[1]) for match in found if match)
    return tuple(shown for text in texts if (shown := quoted(text, _MOST_BYTES)))
