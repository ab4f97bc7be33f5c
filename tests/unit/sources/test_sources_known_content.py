"""What a file is by its content: the documents of each format, and what only looks like one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from oci_push.sources.known_content import media_type_of, top_of_json

OCTETS = "application/octet-stream"
ENVELOPE = {"payloadType": "application/vnd.in-toto+json", "payload": "e30=", "signatures": [{"sig": "x"}]}
STATEMENT = {"_type": "https://in-toto.io/Statement/v1", "subject": [], "predicateType": "p", "predicate": {}}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"spdxVersion": "SPDX-2.3", "SPDXID": "SPDXRef-DOCUMENT"}, "application/spdx+json"),
        ({"packages": [{"a": 1}] * 99, "spdxVersion": "SPDX-2.2"}, "application/spdx+json"),
        ({"@context": "https://spdx.org/rdf/3.0.1/spdx-context.jsonld", "@graph": []}, "application/spdx+json"),
        ("# made by x\nSPDXVersion: SPDX-2.3\nDataLicense: CC0-1.0\n", "text/spdx"),
        ({"bomFormat": "CycloneDX", "specVersion": "1.5"}, "application/vnd.cyclonedx+json"),
        (
            '\ufeff<?xml version="1.0"?>\n<!-- x -->\n<bom serialNumber="u" xmlns="http://cyclonedx.org/schema/bom/1.5">',
            "application/vnd.cyclonedx+xml",
        ),
        (STATEMENT, "application/vnd.in-toto+json"),
        ({**STATEMENT, "_type": "https://in-toto.io/Statement/v0.1"}, "application/vnd.in-toto+json"),
        (ENVELOPE, "application/vnd.dsse.envelope.v1+json"),
        (f"{json.dumps(ENVELOPE)}\n{json.dumps(ENVELOPE)}\n", "application/vnd.in-toto.bundle"),
        (
            {"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json", "dsseEnvelope": ENVELOPE},
            "application/vnd.dev.sigstore.bundle.v0.3+json",
        ),
        (
            {"mediaType": "application/vnd.dev.sigstore.bundle+json;version=0.1"},
            "application/vnd.dev.sigstore.bundle.v0.1+json",
        ),
        ({"version": "2.1.0", "runs": []}, "application/sarif+json"),
        ({"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "runs": []}, "application/sarif+json"),
        # What is inside does not count, nor does what only looks like one.
        ({"document": {"spdxVersion": "SPDX-2.3"}}, OCTETS),
        ({"a": '{"bomFormat": "CycloneDX"}'}, OCTETS),
        ({"_type": "https://in-toto.io/Statement/v1"}, OCTETS),
        ({"bomFormat": ["CycloneDX"]}, OCTETS),
        ({"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json;x=y"}, OCTETS),
        ("<html><body>cyclonedx.org/schema/bom</body></html>", OCTETS),
        ('{"spdxVersion":"SPDX-2.3","packages":[', OCTETS),
        ('[{"spdxVersion":"SPDX-2.3"}]', OCTETS),
        ("{}", OCTETS),
        ("}{", OCTETS),
        ('{"a":1}{"b":2}', OCTETS),
        ("", OCTETS),
        ("hello", OCTETS),
    ],
)
def test_content_tells_what_a_file_is(content: object, expected: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    assert media_type_of(path) == expected


def test_slashes_that_are_escaped_are_slashes(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text(json.dumps(STATEMENT).replace("/", "\\/"))
    assert media_type_of(path) == "application/vnd.in-toto+json"


def test_only_the_first_object_is_told_of_and_all_are_counted() -> None:
    assert top_of_json(b'{"a": "b", "c": {"d": "e"}, "f": 1, "g": "\\"}"} {"a": "z"}') == (
        {"a": "b", "c": "", "f": "", "g": '\\"}'},
        2,
    )
    assert top_of_json(b"[1, 2]") == ({}, 1)
    assert top_of_json(b'{"a": "b"') is None
