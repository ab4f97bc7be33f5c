"""DSSE envelopes and the Sigstore bundle that holds one.

Sources: secure-systems-lab/dsse, protocol.md (PAE) and envelope.md; sigstore/protobuf-specs, sigstore_bundle.proto.
"""

from __future__ import annotations

import base64

from msgspec import Struct

from oci_push.model.manifest import encode, load_json
from oci_push.signing.keys import SigningKey

IN_TOTO = "application/vnd.in-toto+json"
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
_BUNDLES = "application/vnd.dev.sigstore.bundle"
ENVELOPE = "application/vnd.dsse.envelope.v1+json"
_MOST_SIGNATURES = 32


def is_bundle(media_type: str) -> bool:
    """Return whether this is the media type of a bundle, of any version."""
    return media_type.startswith(_BUNDLES)


def has_certificate(raw: bytes) -> bool:
    """Return whether a bundle may hold the certificate of an identity, in place of a key's name."""
    return b'"certificate"' in raw or b'"x509CertificateChain"' in raw


def pae(payload_type: str, payload: bytes) -> bytes:
    """Return what is signed of an envelope, DSSE's "pre-authentication encoding"; lengths are in bytes."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


class Envelope(Struct, frozen=True):
    """A payload with its signatures, of which nothing is known yet."""

    payload_type: str
    payload: bytes
    signatures: tuple[bytes, ...]

    @classmethod
    def parse(cls, raw: bytes) -> Envelope:
        """Read an envelope; raises ``ValueError``."""
        return cls._of(load_json(raw, "the envelope"))

    @classmethod
    def of_bundle(cls, raw: bytes) -> Envelope:
        """Read the envelope in a bundle; raises ``ValueError``."""
        value = load_json(raw, "the bundle")
        if not is_bundle(str(value.get("mediaType"))):
            raise ValueError("is no Sigstore bundle")
        inside = value.get("dsseEnvelope")
        if not isinstance(inside, dict):
            raise ValueError("the bundle holds no DSSE envelope")
        return cls._of(inside)

    @classmethod
    def _of(cls, value: dict[str, object]) -> Envelope:
        kind, payload, found = value.get("payloadType"), value.get("payload"), value.get("signatures")
        if kind != IN_TOTO:
            raise ValueError("the envelope holds no in-toto statement")
        if not isinstance(payload, str) or not isinstance(found, list) or len(found) > _MOST_SIGNATURES:
            raise ValueError("the envelope has no payload or no signatures")
        texts = [one.get("sig") for one in found if isinstance(one, dict)]
        return cls(IN_TOTO, decoded(payload), tuple(decoded(one) for one in texts if isinstance(one, str)))

    @property
    def signed(self) -> bytes:
        """Return what its signatures are of."""
        return pae(self.payload_type, self.payload)


def make_bundle(payload: bytes, key: SigningKey) -> bytes:
    """Sign a statement; return the bundle."""
    return encode(
        {
            "mediaType": BUNDLE,
            "verificationMaterial": {"publicKey": {"hint": key.public.hint}},
            "dsseEnvelope": {
                "payload": encoded(payload),
                "payloadType": IN_TOTO,
                "signatures": [{"sig": encoded(key.sign(pae(IN_TOTO, payload)))}],
            },
        }
    )


def encoded(raw: bytes) -> str:
    """Return bytes in base64."""
    return base64.b64encode(raw).decode()


def decoded(text: str) -> bytes:
    """Return the bytes of base64, strictly read; raises ``ValueError``."""
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as problem:
        raise ValueError("is no base64") from problem
