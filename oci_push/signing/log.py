"""Entries of a transparency log: what is sent to a Rekor of version 1 or 2, what it answers, and timestamps beside it.

Sources: sigstore/rekor, openapi.yaml and the types dsse and hashedrekord 0.0.1; sigstore/rekor-tiles, CLIENTS.md;
sigstore/protobuf-specs, sigstore_rekor.proto; RFC 3161, section 2.4.1.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

import msgspec
from msgspec import Struct, field

from oci_push.model.manifest import encode, load_json
from oci_push.signing.bundle import BUNDLE, IN_TOTO, decoded, encoded, pae
from oci_push.signing.certificate import Certificate

_UUID = re.compile(r"[0-9a-f]{64,80}")
_SHA256 = bytes.fromhex("300d06096086480165030402010500")
"""The identifier of SHA-256 in DER (RFC 5754)."""


class Signed(Struct, frozen=True):
    """What was signed with a certificate, before a log has seen it: an envelope's payload, or bytes by themselves."""

    payload: bytes
    signature: bytes
    certificate: Certificate
    is_enveloped: bool = True

    @classmethod
    def make(cls, payload: bytes, certificate: Certificate, *, is_enveloped: bool = True) -> Signed:
        """Sign a payload."""
        return cls(
            payload, certificate.sign(pae(IN_TOTO, payload) if is_enveloped else payload), certificate, is_enveloped
        )

    @property
    def content(self) -> dict[str, object]:
        """Return it as a part of a bundle."""
        if self.is_enveloped:
            return {"dsseEnvelope": self._envelope}
        digest = {"algorithm": "SHA2_256", "digest": encoded(hashlib.sha256(self.payload).digest())}
        return {"messageSignature": {"messageDigest": digest, "signature": encoded(self.signature)}}

    @property
    def _envelope(self) -> dict[str, object]:
        signatures = [{"sig": encoded(self.signature)}]
        return {"payload": encoded(self.payload), "payloadType": IN_TOTO, "signatures": signatures}

    def request(self, version: int) -> dict[str, object]:
        """Return what a log of a version is asked to write down."""
        if version == 1:
            verifier = encoded(self.certificate.pem.encode())
            if self.is_enveloped:
                proposed = {"envelope": encode(self._envelope).decode(), "verifiers": [verifier]}
                return {"apiVersion": "0.0.1", "kind": "dsse", "spec": {"proposedContent": proposed}}
            signature = {"content": encoded(self.signature), "publicKey": {"content": verifier}}
            data = {"hash": {"algorithm": "sha256", "value": hashlib.sha256(self.payload).hexdigest()}}
            return {"apiVersion": "0.0.1", "kind": "hashedrekord", "spec": {"signature": signature, "data": data}}
        signed = pae(IN_TOTO, self.payload) if self.is_enveloped else self.payload
        by = {
            "x509Certificate": {"rawBytes": encoded(self.certificate.der)},
            "keyDetails": "PKIX_ECDSA_P256_SHA_256",
        }
        return {
            "hashedRekordRequestV002": {
                "digest": encoded(hashlib.sha256(signed).digest()),
                "signature": {"content": encoded(self.signature), "verifier": by},
            }
        }


class _Proof(Struct, frozen=True, rename="camel"):
    log_index: int
    root_hash: str
    tree_size: int
    hashes: tuple[str, ...]
    checkpoint: str


class _Verification(Struct, frozen=True):
    proof: _Proof = field(name="inclusionProof")
    promise: str = field(name="signedEntryTimestamp")


class _Entry(Struct, frozen=True):
    body: str
    verification: _Verification
    at: int = field(name="integratedTime")
    index: int = field(name="logIndex")
    log: str = field(name="logID")


class _Body(Struct, frozen=True):
    kind: str
    version: str = field(name="apiVersion")


def read_entry(version: int, answer: bytes) -> Mapping[str, object]:
    """Return an entry as a bundle holds it; raises ``ValueError``. Whether it is true is not looked at here."""
    if version > 1:
        return load_json(answer, "it")
    try:
        (entry,) = msgspec.json.decode(answer, type=dict[str, _Entry]).values()
        body = msgspec.json.decode(decoded(entry.body), type=_Body)
        proof = entry.verification.proof
        return {
            "logIndex": str(entry.index),
            "logId": {"keyId": _from_hex(entry.log)},
            "kindVersion": {"kind": body.kind, "version": body.version},
            "integratedTime": str(entry.at),
            "inclusionPromise": {"signedEntryTimestamp": entry.verification.promise},
            "inclusionProof": {
                "logIndex": str(proof.log_index),
                "rootHash": _from_hex(proof.root_hash),
                "treeSize": str(proof.tree_size),
                "hashes": [_from_hex(one) for one in proof.hashes],
                "checkpoint": {"envelope": proof.checkpoint},
            },
            "canonicalizedBody": entry.body,
        }
    except (ValueError, msgspec.MsgspecError, RecursionError):
        raise ValueError("is no entry of a log with its proof") from None


def entry_id(location: str) -> str:
    """Return the name of an entry out of the place where a log of version 1 says that it is; or nothing."""
    name = location.partition("?")[0].rpartition("/")[2]
    return name if _UUID.fullmatch(name) else ""


def timestamp_query(signature: bytes) -> bytes:
    """Return the request for a timestamp of a signature, which is another one each time and so needs no nonce."""
    imprint = _der(0x30, _SHA256 + _der(0x04, hashlib.sha256(signature).digest()))
    return _der(0x30, b"\x02\x01\x01" + imprint + b"\x01\x01\xff")


def certified_bundle(signed: Signed, entry: Mapping[str, object], timestamps: tuple[bytes, ...]) -> dict[str, object]:
    """Return a bundle with a certificate, the log's entry and timestamps."""
    material: dict[str, object] = {
        "certificate": {"rawBytes": encoded(signed.certificate.der)},
        "tlogEntries": [entry],
    }
    if timestamps:
        stamps = [{"signedTimestamp": encoded(one)} for one in timestamps]
        material["timestampVerificationData"] = {"rfc3161Timestamps": stamps}
    return {"mediaType": BUNDLE, "verificationMaterial": material, **signed.content}


def _der(tag: int, content: bytes) -> bytes:
    return bytes([tag, len(content)]) + content


def _from_hex(text: str) -> str:
    return encoded(bytes.fromhex(text))
