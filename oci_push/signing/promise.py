"""A signature without a key as cosign's tag holds it: in the annotations of a layer, with a log's promise alone.

Sources: cosign, specs/SIGNATURE_SPEC.md (certificate, chain, bundle); sigstore/rekor, openapi.yaml.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from msgspec import Struct, field

from oci_push.model.manifest import encode
from oci_push.signing.bundle import decoded, encoded
from oci_push.signing.certificate import UNREADABLE
from oci_push.signing.log import Signed
from oci_push.signing.statement import CERTIFICATE, SIGNATURE_OF

_CHAIN = "dev.sigstore.cosign/chain"
_BROKEN = (
    KeyError,
    TypeError,
    RecursionError,
    InvalidSignature,
    msgspec.MsgspecError,
    *UNREADABLE,
)
_PROMISE = "dev.sigstore.cosign/bundle"


def tag_annotations(signed: Signed, entry: Mapping[str, object]) -> Mapping[str, str]:
    """Return what the layer of a signature says, given the log's entry as a bundle holds it."""
    promise = _Promise.of(entry)
    return {
        SIGNATURE_OF: encoded(signed.signature),
        CERTIFICATE: signed.certificate.pem,
        _CHAIN: signed.certificate.chain,
        _PROMISE: encode(msgspec.to_builtins(promise)).decode(),
    }


class _Payload(Struct, frozen=True):
    """The fields in the order of their names, as they are signed (RFC 8785)."""

    body: str
    at: int = field(name="integratedTime")
    log: str = field(name="logID")
    index: int = field(name="logIndex")


class _Promise(Struct, frozen=True):
    signature: str = field(name="SignedEntryTimestamp")
    payload: _Payload = field(name="Payload")

    @classmethod
    def of(cls, entry: Mapping[str, object]) -> _Promise:
        found = msgspec.convert(entry, _Entry)
        payload = _Payload(found.body, int(found.at), decoded(found.log.key_id).hex(), int(found.index))
        return cls(found.promise.signature, payload)


class _LogId(Struct, frozen=True):
    key_id: str = field(name="keyId")


class _Signature(Struct, frozen=True):
    signature: str = field(name="signedEntryTimestamp")


class _Entry(Struct, frozen=True):
    body: str = field(name="canonicalizedBody")
    at: str = field(name="integratedTime")
    index: str = field(name="logIndex")
    log: _LogId = field(name="logId")
    promise: _Signature = field(name="inclusionPromise")


class Promised(Struct, frozen=True):
    """What an annotated layer says, its signature checked by its certificate: what a log has promised of it, and when.

    `promised` is what the log's `promise` is a signature of.
    """

    certificate: x509.Certificate
    at: float
    log: bytes
    promise: bytes
    promised: bytes

    @classmethod
    def read(cls, annotations: Mapping[str, str], payload: bytes) -> Promised:
        """Read the annotations of a layer with a payload; raises ``ValueError`` for what does not fit together."""
        try:
            certificate = x509.load_pem_x509_certificate(annotations[CERTIFICATE].encode())
            signature = decoded(annotations[SIGNATURE_OF])
            said = msgspec.json.decode(annotations[_PROMISE], type=_Promise)
            key = certificate.public_key()
            if not isinstance(key, ec.EllipticCurvePublicKey):
                raise TypeError("a key of another kind")
            key.verify(signature, payload, ec.ECDSA(hashes.SHA256()))
            body = msgspec.json.decode(decoded(said.payload.body))
            by, hashed = body["spec"]["signature"], body["spec"]["data"]["hash"]
            logged = x509.load_pem_x509_certificate(decoded(by["publicKey"]["content"]))
            about = body["kind"], hashed["algorithm"], hashed["value"], decoded(by["content"])
            log, promise = bytes.fromhex(said.payload.log), decoded(said.signature)
        except _BROKEN as problem:
            raise ValueError("is no signature with a certificate and a log's promise") from problem
        if logged != certificate or about != ("hashedrekord", "sha256", hashlib.sha256(payload).hexdigest(), signature):
            raise ValueError("has the promise of an entry for another signature")
        first, last = certificate.not_valid_before_utc.timestamp(), certificate.not_valid_after_utc.timestamp()
        if not first <= said.payload.at <= last:
            raise ValueError("came to the log when the certificate was not valid")
        return cls(certificate, said.payload.at, log, promise, msgspec.json.encode(said.payload))
