"""What a file is, told by its content: bills of materials, attestations, findings. The name of a file is not asked.

A JSON text is scanned for the texts at its top, so that a bill of hundreds of MB costs no memory: it may say at its
end what it is. Sources: SPDX 2.3 and 3.0, CycloneDX 1.x, in-toto attestation v1 (statement, envelope and bundle),
sigstore's protobuf-specs (bundle), SARIF 2.1.0; the media types are those that each of them names.
"""

from __future__ import annotations

import mmap
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from oci_push.model.media import OCTET_STREAM

SPDX_JSON = "application/spdx+json"
SPDX_TEXT = "text/spdx"
CYCLONEDX_JSON = "application/vnd.cyclonedx+json"
CYCLONEDX_XML = "application/vnd.cyclonedx+xml"
IN_TOTO = "application/vnd.in-toto+json"
IN_TOTO_BUNDLE = "application/vnd.in-toto.bundle"
DSSE = "application/vnd.dsse.envelope.v1+json"
SIGSTORE_BUNDLE = "application/vnd.dev.sigstore.bundle"
SARIF = "application/sarif+json"
KNOWN = "SPDX, CycloneDX, in-toto, DSSE, sigstore's bundles and SARIF"
"""For messages."""

_HEAD_BYTES = 4096
_MOST_BYTES = 1024**3
"""What is larger is not scanned."""
_LONGEST = 300
"""No text that tells what a file is is longer."""
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*+"|[\[\]{}:,]', re.DOTALL)
_STATEMENT = re.compile(r"https://in-toto\.io/Statement/v\d+(?:\.\d+)?")
_XML_ROOT = re.compile(
    rb"\s*(?:<\?xml[^>]*\?>\s*)?(?:<!--.*?-->\s*)*<(?:[\w.-]+:)?bom\s[^>]*cyclonedx\.org/schema/bom", re.DOTALL
)


def media_type_of(path: Path) -> str:
    """Return the media type of a file whose content tells it, else ``application/octet-stream``; raises ``OSError``."""
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES).removeprefix(b"\xef\xbb\xbf")
        begin = head.lstrip()[:1]
        if begin == b"<":
            return CYCLONEDX_XML if _XML_ROOT.match(head) else OCTET_STREAM
        if re.match(rb"(?:#[^\n]*\n|\s)*SPDXVersion:\s*SPDX-", head):
            return SPDX_TEXT
        if begin != b"{" or file.seek(0, 2) > _MOST_BYTES:
            return OCTET_STREAM
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return _json_type(content)


def _json_type(content: mmap.mmap) -> str:
    values = top_of_json(content)
    if values is None:
        return OCTET_STREAM
    first, count = values
    if count > 1:  # JSON lines
        return IN_TOTO_BUNDLE if _envelope(first) else OCTET_STREAM
    return next(filter(None, (tell(first) for tell in _KINDS)), OCTET_STREAM)


def top_of_json(content: mmap.mmap | bytes) -> tuple[Mapping[str, str], int] | None:
    """Return the members of the first object in a text, and how many objects stand in it one behind the other.

    A member's value is the text that it is, empty for any other. Returns ``None`` for what is cut short.
    """
    found: dict[str, str] = {}
    depth = count = 0
    name: str | None = None
    text = ""
    is_value = False
    for match in _TOKEN.finditer(content):
        token = match[0][:1]
        if token in b"{[":
            depth += 1
            if depth > 1 and name is not None and count == 0:
                found[name], name = "", None
        elif token in b"}]":
            depth -= 1
            if depth < 0:
                return None
            if depth == 0:
                if name is not None and count == 0:
                    found[name], name = text, None
                count += 1
        elif depth == 1 and count == 0:
            if token == b'"':
                said = match[0][1:-1].decode("utf-8", "replace") if len(match[0]) <= _LONGEST else ""
                said = said.replace("\\/", "/")
                if is_value:
                    text = said
                else:
                    name, text = said, ""
            elif token == b":":
                is_value = True
            elif token == b",":
                if name is not None:
                    found[name], name = text, None
                is_value = False
    return (found, count) if depth == 0 and count else None


def _spdx(top: Mapping[str, str]) -> str | None:
    is_3 = top.get("@context", "").startswith("https://spdx.org/rdf/3.")
    return SPDX_JSON if top.get("spdxVersion", "").startswith("SPDX-") or is_3 else None


def _cyclonedx(top: Mapping[str, str]) -> str | None:
    return CYCLONEDX_JSON if top.get("bomFormat") == "CycloneDX" else None


def _statement(top: Mapping[str, str]) -> str | None:
    is_one = _STATEMENT.fullmatch(top.get("_type", "")) and {"subject", "predicateType"} <= top.keys()
    return IN_TOTO if is_one else None


def _envelope(top: Mapping[str, str]) -> str | None:
    return DSSE if {"payload", "payloadType", "signatures"} <= top.keys() else None


def _sigstore(top: Mapping[str, str]) -> str | None:
    """Return a bundle's own media type; the first versions had theirs in a parameter, which no artifact type has."""
    said = top.get("mediaType", "")
    old = re.fullmatch(rf"{re.escape(SIGSTORE_BUNDLE)}\+json;version=(0\.\d+)", said)
    if old:
        return f"{SIGSTORE_BUNDLE}.v{old[1]}+json"
    return said if re.fullmatch(rf"{re.escape(SIGSTORE_BUNDLE)}\.v\d+(\.\d+)?\+json", said) else None


def _sarif(top: Mapping[str, str]) -> str | None:
    return SARIF if "runs" in top and (top.get("version") == "2.1.0" or "sarif" in top.get("$schema", "")) else None


_KINDS: tuple[Callable[[Mapping[str, str]], str | None], ...] = (
    _spdx,
    _cyclonedx,
    _statement,
    _envelope,
    _sigstore,
    _sarif,
)
