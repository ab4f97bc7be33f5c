"""A Sigstore of one's own: a certificate authority, a log of certificates, a log of signatures, a trust root."""

from __future__ import annotations

import base64
import datetime
import hashlib
import json
import struct
import threading
from collections.abc import Sequence
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from oci_push.signing.bundle import BUNDLE, IN_TOTO, pae

IDENTITY = "https://github.com/team/app/.github/workflows/release.yml@refs/heads/main"
ISSUER = "https://token.actions.githubusercontent.com"
_ISSUER_OID = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.1")
_SCT_OID = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
_MINUTE = datetime.timedelta(minutes=1)


class Sigstore:
    """Gives certificates to identities, and notes what they sign."""

    def __init__(self, *, is_version_2: bool = False) -> None:
        self._ca, self._ct, self._log = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
        self._is_version_2 = is_version_2
        self._now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
        self._lock = threading.Lock()
        self.leaves = [hashlib.sha256(b"\0").digest()]  # of an index of 0 cosign writes nothing, as protobuf has it
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ca.example")])
        usage = key_usage(key_cert_sign=True, crl_sign=True)
        self.root = (
            x509.CertificateBuilder(name, name, self._ca.public_key(), x509.random_serial_number())
            .not_valid_before(self._now - 60 * _MINUTE)
            .not_valid_after(self._now + 6000 * _MINUTE)
            .add_extension(x509.BasicConstraints(True, 0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._ca.public_key()), critical=False)
            .sign(self._ca, hashes.SHA256())
        )

    def now_text(self, minutes: float) -> str:
        """Give the time so many `minutes` after all that is given here began, as trust roots write it."""
        return (self._now + minutes * _MINUTE).strftime("%Y-%m-%dT%H:%M:%SZ")

    def root_pem(self) -> str:
        """Give the authority's own certificate."""
        return self.root.public_bytes(serialization.Encoding.PEM).decode()

    def trust_root(self) -> dict[str, object]:
        """Give what verifies everything that comes from here."""
        start = {"start": self.now_text(-60)}
        authority = {
            "subject": {"organization": "example", "commonName": "ca.example"},
            "uri": "https://ca.example",
            "certChain": {"certificates": [{"rawBytes": _b64(_der(self.root))}]},
            "validFor": start,
        }
        return {
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [_log("https://log.example", self._log, start)],
            "certificateAuthorities": [authority],
            "ctlogs": [_log("https://ct.example", self._ct, start)],
        }

    def sign(
        self,
        payload: bytes,
        *,
        identity: str = IDENTITY,
        issuer: str = ISSUER,
        minutes_late: int = 0,
        logged: bytes | None = None,
        names: x509.ExtensionType | None = None,
    ) -> bytes:
        """Give the bundle with a payload, signed by an identity; `logged` is another payload that the log has seen.

        A certificate is valid for ten minutes, and the log saw the signature `minutes_late`.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self.certificate(key.public_key(), identity, issuer, names=names)
        signature = key.sign(pae(IN_TOTO, payload), ec.ECDSA(hashes.SHA256()))
        envelope = {"payload": _b64(payload), "payloadType": IN_TOTO, "signatures": [{"sig": _b64(signature)}]}
        pem = certificate.public_bytes(serialization.Encoding.PEM)
        spec = {
            "envelopeHash": {"algorithm": "sha256", "value": hashlib.sha256(_json(envelope)).hexdigest()},
            "payloadHash": {"algorithm": "sha256", "value": hashlib.sha256(logged or payload).hexdigest()},
            "signatures": [{"signature": _b64(signature), "verifier": _b64(pem)}],
        }
        body = _json({"apiVersion": "0.0.1", "kind": "dsse", "spec": spec})
        seen = int((self._now + minutes_late * _MINUTE).timestamp())
        material = {
            "certificate": {"rawBytes": _b64(_der(certificate))},
            "tlogEntries": [self.entry("dsse", body, seen)],
        }
        return _json({"mediaType": BUNDLE, "verificationMaterial": material, "dsseEnvelope": envelope})

    def layer(
        self,
        payload: bytes,
        *,
        identity: str = IDENTITY,
        issuer: str = ISSUER,
        minutes_late: int = 0,
        logged: bytes | None = None,
        promised: bool = True,
        signs_code: bool = True,
        log: Sigstore | None = None,
        names: x509.ExtensionType | None = None,
    ) -> dict[str, str]:
        """Give the annotations of a layer of cosign's tag; `logged` is what the log has seen, which may be another."""
        key = ec.generate_private_key(ec.SECP256R1())
        who = identity, issuer
        certificate = self.certificate(key.public_key(), *who, promised=promised, signs_code=signs_code, names=names)
        signature = _b64(key.sign(payload, ec.ECDSA(hashes.SHA256())))
        pem = certificate.public_bytes(serialization.Encoding.PEM)
        data = {"hash": {"algorithm": "sha256", "value": hashlib.sha256(logged or payload).hexdigest()}}
        spec = {"data": data, "signature": {"content": signature, "publicKey": {"content": _b64(pem)}}}
        body = _json({"apiVersion": "0.0.1", "kind": "hashedrekord", "spec": spec})
        seen = int((self._now + minutes_late * _MINUTE).timestamp())
        entry: dict[str, Any] = (log or self).entry("hashedrekord", body, seen)
        at = {"integratedTime": seen, "logIndex": int(entry["logIndex"]), "logID": _id((log or self)._log).hex()}
        said = {
            "SignedEntryTimestamp": entry["inclusionPromise"]["signedEntryTimestamp"],
            "Payload": {"body": _b64(body), **at},
        }
        return {
            "dev.cosignproject.cosign/signature": signature,
            "dev.sigstore.cosign/certificate": pem.decode(),
            "dev.sigstore.cosign/bundle": _json(said).decode(),
        }

    def certificate(
        self,
        key: ec.EllipticCurvePublicKey,
        identity: str = IDENTITY,
        issuer: str = ISSUER,
        *,
        minutes: float = 9,
        promised: bool = True,
        signs_code: bool = True,
        names: x509.ExtensionType | None = None,
        more: Sequence[x509.UnrecognizedExtension] = (),
    ) -> x509.Certificate:
        """Certify a key until so many `minutes` from now on; `promised` to the log of certificates.

        `names` are whom it names in place of the `identity`, `more` what is in it beside.
        """
        kind = x509.UniformResourceIdentifier if "://" in identity else x509.RFC822Name
        names = names or x509.SubjectAlternativeName([kind(identity)])
        use = ExtendedKeyUsageOID.CODE_SIGNING if signs_code else ExtendedKeyUsageOID.CLIENT_AUTH
        ca_key = self._ca.public_key()
        before = (
            x509.CertificateBuilder(self.root.subject, x509.Name([]), key, x509.random_serial_number())
            .not_valid_before(self._now - _MINUTE)
            .not_valid_after(self._now + minutes * _MINUTE)
            .add_extension(key_usage(digital_signature=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage([use]), critical=False)
            .add_extension(names, critical=True)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key), critical=False)
            .add_extension(x509.UnrecognizedExtension(_ISSUER_OID, issuer.encode()), critical=False)
        )
        for one in more:
            before = before.add_extension(one, critical=False)
        if not promised:
            return before.sign(self._ca, hashes.SHA256())
        tbs = before.sign(self._ca, hashes.SHA256()).tbs_certificate_bytes
        times = struct.pack("!BBQH", 0, 0, int(self._now.timestamp() * 1000), 1)
        entry = hashlib.sha256(_spki(self._ca)).digest() + len(tbs).to_bytes(3, "big") + tbs
        signature = self._ct.sign(times + entry + b"\0\0", ec.ECDSA(hashes.SHA256()))
        head = b"\0" + _id(self._ct) + times[2:10] + b"\0\0"
        sct = head + b"\4\3" + struct.pack("!H", len(signature)) + signature
        listed = struct.pack("!HH", len(sct) + 2, len(sct)) + sct
        value = x509.UnrecognizedExtension(_SCT_OID, b"\4" + _length(len(listed)) + listed)
        return before.add_extension(value, critical=False).sign(self._ca, hashes.SHA256())

    def entry(self, kind: str, body: bytes, seen: int) -> dict[str, object]:
        """Write something into the log at a time; gives the entry as a bundle holds it."""
        with self._lock:  # several are written down at once, and each proof is of one state
            self.leaves.append(hashlib.sha256(b"\0" + body).digest())
            leaves = list(self.leaves)
        index, size = len(leaves) - 1, len(leaves)
        root = _root_of(leaves)
        note = f"log.example - 1\n{size}\n{_b64(root)}\n"
        said = _id(self._log)[:4] + self._log.sign(note.encode(), ec.ECDSA(hashes.SHA256()))
        promise = _json({"body": _b64(body), "integratedTime": seen, "logID": _id(self._log).hex(), "logIndex": index})
        entry: dict[str, object] = {
            "logIndex": str(index),
            "logId": {"keyId": _b64(_id(self._log))},
            "kindVersion": {"kind": kind, "version": "0.0.1"},
            "integratedTime": str(seen),
            "inclusionPromise": {"signedEntryTimestamp": _b64(self._log.sign(promise, ec.ECDSA(hashes.SHA256())))},
            "inclusionProof": {
                "logIndex": str(index),
                "rootHash": _b64(root),
                "treeSize": str(size),
                "hashes": [_b64(one) for one in _path_to(index, leaves)],
                "checkpoint": {"envelope": f"{note}\n— log.example {_b64(said)}\n"},
            },
            "canonicalizedBody": _b64(body),
        }
        if self._is_version_2:  # which is in the log when it answers, and leaves the time to others
            del entry["integratedTime"], entry["inclusionPromise"]
            entry["kindVersion"] = {"kind": kind, "version": "0.0.2"}
        return entry


def _root_of(leaves: list[bytes]) -> bytes:
    """Give the hash of a tree (RFC 6962, section 2.1)."""
    if len(leaves) == 1:
        return leaves[0]
    half = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\1" + _root_of(leaves[:half]) + _root_of(leaves[half:])).digest()


def _path_to(index: int, leaves: list[bytes]) -> list[bytes]:
    """Give the proof that a leaf is in a tree (RFC 6962, section 2.1.1)."""
    if len(leaves) == 1:
        return []
    half = 1 << (len(leaves) - 1).bit_length() - 1
    if index < half:
        return [*_path_to(index, leaves[:half]), _root_of(leaves[half:])]
    return [*_path_to(index - half, leaves[half:]), _root_of(leaves[:half])]


def _log(url: str, key: ec.EllipticCurvePrivateKey, start: dict[str, str]) -> dict[str, object]:
    details = {"rawBytes": _b64(_spki(key)), "keyDetails": "PKIX_ECDSA_P256_SHA_256", "validFor": start}
    return {"baseUrl": url, "hashAlgorithm": "SHA2_256", "publicKey": details, "logId": {"keyId": _b64(_id(key))}}


def key_usage(**given: bool) -> x509.KeyUsage:
    names = "digital_signature content_commitment key_encipherment data_encipherment key_agreement key_cert_sign"
    all_names = (*names.split(), "crl_sign", "encipher_only", "decipher_only")
    return x509.KeyUsage(**{name: given.get(name, False) for name in all_names})


def _spki(key: ec.EllipticCurvePrivateKey) -> bytes:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.DER, form)


def _id(key: ec.EllipticCurvePrivateKey) -> bytes:
    return hashlib.sha256(_spki(key)).digest()


def _der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.DER)


def _length(size: int) -> bytes:
    return bytes([size]) if size < 128 else bytes([0x81, size])


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
