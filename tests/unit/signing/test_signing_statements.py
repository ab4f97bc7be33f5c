"""Payloads, statements, envelopes and bundles: the exact bytes, and what is no such thing."""

from __future__ import annotations

import base64
import json

import pytest
from signingkeys import make, pem_of

from oci_push.errors import ConfigError
from oci_push.model.digest import Digest
from oci_push.model.trust import predicate_type
from oci_push.secret import Secret
from oci_push.signing.bundle import Envelope, make_bundle, pae
from oci_push.signing.keys import read_signing_key
from oci_push.signing.statement import (
    SIGNATURE,
    SIGNED,
    Predicate,
    read_simple_payload,
    read_statement,
    says_the_same,
    simple_payload,
    statement,
)

DIGEST = Digest.of(b"image")
HEX = DIGEST.encoded


def test_the_payload_of_simple_signing_is_cosigns() -> None:
    assert (
        simple_payload("reg.example/app", DIGEST, {"b": "2", "a": "1"})
        == (
            '{"critical":{"identity":{"docker-reference":"reg.example/app"},'
            f'"image":{{"docker-manifest-digest":"{DIGEST}"}},"type":"cosign container image signature"}},'
            '"optional":{"a":"1","b":"2"}}'
        ).encode()
    )
    assert simple_payload("reg.example/app", DIGEST, {}).endswith(b'"optional":null}')


def test_the_statement_of_a_signature_is_cosigns() -> None:
    assert (
        statement(DIGEST, SIGNATURE, {"build": "42"})
        == (
            '{"_type":"https://in-toto.io/Statement/v1",'
            f'"subject":[{{"digest":{{"sha256":"{HEX}"}},"annotations":{{"build":"42"}}}}],'
            '"predicateType":"https://sigstore.dev/cosign/sign/v1","predicate":{}}'
        ).encode()
    )


@pytest.mark.parametrize(
    ("other", "is_same"),
    [
        (b'{"predicate": {"b": 1, "a": [true]}, "_type":"x"}', True),
        (b'{"_type":"x","predicate":{"a":[1],"b":1}}', False),
        (b'{"_type":"x","predicate":{"a":[true],"b":1,"c":null}}', False),
        (b'{"_type":"x"', False),
        (b"[" * 100_000, False),
    ],
)
def test_statements_say_the_same_in_any_order_and_with_any_spaces(other: bytes, is_same: bool) -> None:
    assert says_the_same(b'{"_type":"x","predicate":{"a":[true],"b":1}}', other) is is_same


def test_lengths_of_the_encoding_are_in_bytes() -> None:
    # secure-systems-lab/dsse, protocol.md, "Test vectors", and one that is not ASCII.
    assert pae("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )
    assert pae("t", "é".encode()) == b"DSSEv1 1 t 2 \xc3\xa9"


def test_a_predicate_stays_byte_for_byte_as_it_was_given() -> None:
    raw = b'{ "spdxVersion" : "SPDX-2.3", "n": 1.50 }'
    made = statement(DIGEST, Predicate.parse("https://spdx.dev/Document", raw + b"\n", "f"), {})
    assert made.endswith(b',"predicate":' + raw + b"}")
    assert read_statement(made).type == "https://spdx.dev/Document"


@pytest.mark.parametrize(
    ("kind", "raw", "said"),
    [
        ("https://spdx.dev/Document", b"[]", "f: is no predicate: it is not a JSON object"),
        ("https://spdx.dev/Document", b'{"a":', "f: is no predicate"),
        ("https://spdx.dev/Document", b"\xff", "f: is no predicate"),
        ("https://spdx.dev/Document", b'{"bomFormat":"CycloneDX"}', "it has no spdxVersion"),
        ("https://slsa.dev/provenance/v1", b'{"buildDefinition":{}}', "it has no runDetails"),
        ("x:y", b'{"_type":"https://in-toto.io/Statement/v1"}', "f: is a whole statement"),
    ],
)
def test_what_is_no_predicate_of_its_type_is_refused(kind: str, raw: bytes, said: str) -> None:
    with pytest.raises(ConfigError, match=said.replace(".", r"\.")):
        Predicate.parse(kind, raw, "f")


def test_predicate_types_are_cosigns_words_or_uris() -> None:
    assert predicate_type("vuln") == "https://cosign.sigstore.dev/attestation/vuln/v1"
    assert predicate_type("urn:mine") == "urn:mine"
    with pytest.raises(ValueError, match="slsaprovenance1"):
        predicate_type("sbom")


def test_what_a_payload_is_about_is_told_by_its_digest_alone() -> None:
    said = read_simple_payload(simple_payload("reg.example/app", DIGEST, {"a": "1"}))
    assert said.type == SIGNED
    assert said.about(DIGEST) == {"a": "1"}
    assert said.about(Digest.of(b"other")) is None


def test_a_statement_may_be_about_several() -> None:
    other = Digest.of(b"other")
    raw = json.dumps(
        {
            "_type": "https://in-toto.io/Statement/v0.1",
            "subject": [
                {"name": "x", "digest": {"sha256": HEX, "sha1": "1"}},
                {"digest": {"sha256": other.encoded}, "annotations": {"a": "1", "n": 2}},
            ],
            "predicateType": "urn:t",
            "predicate": None,
        }
    ).encode()
    said = read_statement(raw)
    assert said.about(DIGEST) == {}
    assert said.about(other) == {"a": "1"}
    assert said.about(Digest.of(b"third")) is None


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b'{"_type":"https://in-toto.io/Statement/v1"}',
        b'{"_type":"x","subject":[],"predicateType":"t"}',
        b'{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":"sha256:1"}],"predicateType":"t"}',
        b'{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":1}}],"predicateType":"t"}',
        b'{"_type":"https://in-toto.io/Statement/v1","subject":[{}],"predicateType":1}',
    ],
)
def test_what_is_no_statement_says_nothing(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        read_statement(raw)


@pytest.mark.parametrize(
    "raw",
    [
        b'{"critical":1}',
        b'{"critical":{"type":"atomic container signature","image":{"docker-manifest-digest":"x"}}}',
        b'{"critical":{"type":"cosign container image signature","image":{}}}',
        b'{"critical":{"type":"cosign container image signature"}}',
    ],
)
def test_what_is_no_payload_says_nothing(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        read_simple_payload(raw)


def test_a_bundle_holds_the_statement_and_a_signature_of_its_encoding() -> None:
    key = read_signing_key(Secret(pem_of(make())), None, "k")
    said = statement(DIGEST, SIGNATURE, {})
    raw = make_bundle(said, key)
    value = json.loads(raw)
    assert value["mediaType"] == "application/vnd.dev.sigstore.bundle.v0.3+json"
    assert value["verificationMaterial"] == {"publicKey": {"hint": key.public.hint}}
    assert base64.b64decode(value["dsseEnvelope"]["payload"]) == said
    envelope = Envelope.of_bundle(raw)
    assert envelope.payload == said
    assert key.public.verifies(envelope.signatures[0], envelope.signed)


def _envelope(**changes: object) -> bytes:
    inner = {"payload": "e30=", "payloadType": "application/vnd.in-toto+json", "signatures": [{"sig": "AA=="}]}
    return json.dumps(
        {"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json", "dsseEnvelope": {**inner, **changes}}
    ).encode()


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b'{"mediaType":"x"}', "is no Sigstore bundle"),
        (b'{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json"}', "holds no DSSE envelope"),
        (_envelope(payloadType="text/plain"), "no in-toto statement"),
        (_envelope(payload=1), "no payload"),
        (_envelope(payload="!"), "no base64"),
        (_envelope(signatures={}), "no signatures"),
        (_envelope(signatures=[{"sig": "e30"}]), "no base64"),
        (_envelope(signatures=[{"sig": "AA=="}] * 33), "no signatures"),
    ],
)
def test_what_is_no_bundle_is_refused(raw: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Envelope.of_bundle(raw)


def test_an_envelope_without_a_signature_is_signed_by_nobody() -> None:
    assert Envelope.of_bundle(_envelope(signatures=[])).signatures == ()
