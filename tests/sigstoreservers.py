"""A Fulcio, a Rekor of version 1 or 2, and an authority for timestamps, on this machine, that check what they are sent.

They are real enough for cosign 3, which signs with them by the same configuration.
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import json
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

from cloudendpoints import Answered, Asked, Endpoint
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from jobs import Issuer
from keyless import IDENTITY, ISSUER, Sigstore, key_usage

from oci_push.signing.bundle import pae

FULCIO, FULCIO_1, REKOR, REKOR_2, TSA = (
    "/api/v2/signingCert",
    "/api/v1/signingCert",
    "/api/v1/log/entries",
    "/api/v2/log/entries",
    "/api/v1/timestamp",
)
CONFIG = "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json"


class SigstoreServers(Endpoint):
    """Serve one Sigstore at one address; `minutes` is how long its certificates live, `identity` whom they name.

    With a `folder` for its files its log is of version 2, and timestamps come beside it.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.sigstore = Sigstore(is_version_2=folder is not None)
        self.times = Timestamps(folder) if folder else None
        self.issuer = Issuer(ISSUER)
        self.issuer.now = time.time
        self.identity = IDENTITY
        self.minutes = 9.0
        self.entries: dict[str, dict[str, object]] = {}
        self.late_s = 0
        self._lock = threading.Lock()
        super().__init__({FULCIO: self.certify, FULCIO_1: self.certify_1, REKOR: self.enter})
        if self.times is not None:
            self.answers |= {REKOR_2: self.enter_2, TSA: self.times.answer}
            del self.answers[REKOR]

    def config(self, **of_log: object) -> dict[str, object]:
        """Give the client's trust configuration; `of_log` is said of the log alone."""
        valid = {"validFor": {"start": "2024-01-01T00:00:00Z"}, "operator": "example", "majorApiVersion": 1}
        here = {"url": self.url, **valid}
        log = {**here, "majorApiVersion": 2 if self.times else 1, **of_log}
        root = self.sigstore.trust_root()
        if self.times is not None:
            root["timestampAuthorities"] = [self.times.authority()]
        signing = {
            "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
            "caUrls": [here],
            "oidcUrls": [],
            "rekorTlogUrls": [log],
            "tsaUrls": [{**here, "url": f"{self.url}{TSA}"}] if self.times else [],
            "rekorTlogConfig": {"selector": "ANY"},
            "tsaConfig": {"selector": "ANY"},
        }
        return {"mediaType": CONFIG, "trustedRoot": root, "signingConfig": signing}

    def token(self, **more: object) -> str:
        """Give a job's token."""
        return self.issuer.token("sigstore", **more)

    def certify(self, asked: Asked) -> Answered:
        """Certify the key of a request, by the token that is in a header or, as cosign has it, in the body."""
        value = json.loads(asked.body)
        _, _, token = asked.headers.get("authorization", "").partition("Bearer ")
        token = token or value.get("credentials", {}).get("oidcIdentityToken", "")
        if reason := self.issuer.refusal(token, "sigstore"):
            return Answered(401, {"code": 16, "message": f"There was an error processing the identity token: {reason}"})
        key = key_in(value)
        if key is None:
            return Answered(400, {"code": 3, "message": "The signature supplied in the request could not be verified"})
        found = self.sigstore.certificate(key, self.identity, ISSUER, minutes=self.minutes)
        return self.certified(found)

    def certify_1(self, asked: Asked) -> Answered:
        """Certify the key of a request as cosign 2 makes it, and answer in PEM."""
        if reason := self.issuer.refusal(asked.headers["authorization"].removeprefix("Bearer "), "sigstore"):
            return Answered(401, {"message": reason})
        raw = base64.b64decode(json.loads(asked.body)["publicKey"]["content"])
        key = serialization.load_pem_public_key(raw) if raw[:1] == b"-" else serialization.load_der_public_key(raw)
        assert isinstance(key, ec.EllipticCurvePublicKey)
        chain = self.sigstore.certificate(key, self.identity, ISSUER), self.sigstore.root
        pem = b"".join(one.public_bytes(serialization.Encoding.PEM) for one in chain)
        return Answered(201, pem, {"Content-Type": "application/pem-certificate-chain"})

    @property
    def is_version_2(self) -> bool:
        """Say whether the log is of version 2."""
        return self.times is not None

    def certified(self, found: x509.Certificate) -> Answered:
        """Give the answer with a certificate."""
        chain = [one.public_bytes(serialization.Encoding.PEM).decode() for one in (found, self.sigstore.root)]
        return Answered(200, {"signedCertificateEmbeddedSct": {"chain": {"certificates": chain}}})

    def enter(self, asked: Asked) -> Answered:
        """Write down an entry of version 1, once."""
        with self._lock:
            return self._enter(asked)

    def _enter(self, asked: Asked) -> Answered:
        value = json.loads(asked.body)
        body = _BODIES[value["kind"]](value["spec"])
        if body is None:
            return Answered(400, {"code": 400, "message": "error processing entry: invalid signature"})
        uuid = hashlib.sha256(b"\0" + body).hexdigest()
        if uuid in self.entries:
            location = {"Location": f"{REKOR}/{uuid}"}
            return Answered(409, {"code": 409, "message": "an equivalent entry already exists"}, location)
        entry = self.sigstore.entry(value["kind"], body, int(time.time()) + self.late_s)
        self.entries[uuid] = {uuid: _of_version_1(entry)}
        self.answers[f"{REKOR}/{uuid}"] = lambda _: Answered(200, self.entries[uuid])
        headers = {"Content-Type": "application/json", "ETag": uuid, "Location": f"{REKOR}/{uuid}"}
        return Answered(201, self.entries[uuid], headers)

    def enter_2(self, asked: Asked) -> Answered:
        """Write down an entry of version 2."""
        value = json.loads(asked.body)["hashedRekordRequestV002"]
        by = value["signature"]["verifier"]
        key = x509.load_der_x509_certificate(base64.b64decode(by["x509Certificate"]["rawBytes"])).public_key()
        signature, digest = base64.b64decode(value["signature"]["content"]), base64.b64decode(value["digest"])
        assert isinstance(key, ec.EllipticCurvePublicKey)
        try:
            key.verify(signature, digest, ec.ECDSA(Prehashed(hashes.SHA256())))
        except InvalidSignature:
            return Answered(400, {"code": 3, "message": "verifying signature"})
        data = {"algorithm": "SHA2_256", "digest": value["digest"]}
        spec = {"hashedRekordV002": {"data": data, "signature": value["signature"]}}
        body = _json({"apiVersion": "0.0.2", "kind": "hashedrekord", "spec": spec})
        entry = self.sigstore.entry("hashedrekord", body, int(time.time()))
        return Answered(201, entry, {"Content-Type": "application/json"})


class Timestamps:
    """An authority for timestamps, by openssl."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self._folder = folder
        keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
        now = datetime.datetime.now(datetime.UTC)
        root, leaf = (x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]) for name in ("tsa-root", "tsa"))
        day = datetime.timedelta(days=1)
        made = []
        for subject, key in ((root, keys[0]), (leaf, keys[1])):
            builder = x509.CertificateBuilder(root, subject, key.public_key(), x509.random_serial_number())
            builder = builder.not_valid_before(now - day).not_valid_after(now + day)
            is_root = subject == root
            builder = builder.add_extension(x509.BasicConstraints(is_root, None), critical=True)
            usage = key_usage(key_cert_sign=True) if is_root else key_usage(digital_signature=True)
            builder = builder.add_extension(usage, critical=True)
            if not is_root:
                builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), True)
            made.append(builder.sign(keys[0], hashes.SHA256()))
        self._chain = made[::-1]
        form = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        (folder / "tsa.key").write_bytes(keys[1].private_bytes(serialization.Encoding.PEM, *form))
        (folder / "tsa.pem").write_bytes(self._chain[0].public_bytes(serialization.Encoding.PEM))
        (folder / "serial").write_text("01")
        (folder / "tsa.cnf").write_text(
            f"[tsa]\ndefault_tsa=t\n[t]\nserial={folder}/serial\nsigner_digest=sha256\ndefault_policy=1.2.3\n"
            "digests=sha256\nordering=no\ntsa_name=no\ness_cert_id_chain=no\ness_cert_id_alg=sha256\n"
        )

    def authority(self) -> dict[str, object]:
        """Give it as trust roots do."""
        certificates = [
            {"rawBytes": base64.b64encode(one.public_bytes(serialization.Encoding.DER)).decode()} for one in self._chain
        ]
        return {
            "subject": {"organization": "example", "commonName": "tsa"},
            "uri": "https://tsa.example",
            "certChain": {"certificates": certificates},
            "validFor": {"start": "2024-01-01T00:00:00Z"},
        }

    def answer(self, asked: Asked) -> Answered:
        """Give a timestamp of what is asked."""
        place = self._folder
        (place / "query").write_bytes(asked.body)
        line = f"openssl ts -reply -config {place}/tsa.cnf -queryfile {place}/query -signer {place}/tsa.pem"
        done = subprocess.run([*line.split(), "-inkey", f"{place}/tsa.key"], capture_output=True, check=True)
        return Answered(201, done.stdout, {"Content-Type": "application/timestamp-reply"})


def key_in(value: dict[str, object]) -> ec.EllipticCurvePublicKey | None:
    """Give the key that a request proves to have."""
    if "certificateSigningRequest" in value:
        request = x509.load_pem_x509_csr(base64.b64decode(str(value["certificateSigningRequest"])))
        found = request.public_key()
        return found if request.is_signature_valid and isinstance(found, ec.EllipticCurvePublicKey) else None
    asked = value["publicKeyRequest"]
    assert isinstance(asked, dict)
    found = serialization.load_pem_public_key(asked["publicKey"]["content"].encode())
    return found if isinstance(found, ec.EllipticCurvePublicKey) else None


def _dsse(spec: dict[str, object]) -> bytes | None:
    proposed = spec["proposedContent"]
    assert isinstance(proposed, dict)
    envelope, (verifier,) = json.loads(proposed["envelope"]), proposed["verifiers"]
    payload = base64.b64decode(envelope["payload"])
    signature = envelope["signatures"][0]["sig"]
    if not _is_signed(verifier, signature, pae(envelope["payloadType"], payload)):
        return None
    spec = {
        "envelopeHash": {"algorithm": "sha256", "value": hashlib.sha256(_json(envelope)).hexdigest()},
        "payloadHash": {"algorithm": "sha256", "value": hashlib.sha256(payload).hexdigest()},
        "signatures": [{"signature": signature, "verifier": verifier}],
    }
    return _json({"apiVersion": "0.0.1", "kind": "dsse", "spec": spec})


def _hashedrekord(spec: dict[str, object]) -> bytes | None:
    signature, data = spec["signature"], spec["data"]
    assert isinstance(signature, dict)
    assert isinstance(data, dict)
    certificate = x509.load_pem_x509_certificate(base64.b64decode(signature["publicKey"]["content"]))
    key = certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    try:
        digest = bytes.fromhex(data["hash"]["value"])
        key.verify(base64.b64decode(signature["content"]), digest, ec.ECDSA(Prehashed(hashes.SHA256())))
    except InvalidSignature:
        return None
    return _json({"apiVersion": "0.0.1", "kind": "hashedrekord", "spec": {"data": data, "signature": signature}})


_BODIES: dict[str, Callable[[dict[str, object]], bytes | None]] = {"dsse": _dsse, "hashedrekord": _hashedrekord}


def _is_signed(verifier: str, signature: str, signed: bytes) -> bool:
    key = x509.load_pem_x509_certificate(base64.b64decode(verifier)).public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    try:
        key.verify(base64.b64decode(signature), signed, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


def _of_version_1(entry: dict[str, object]) -> dict[str, object]:
    """Give an entry as a Rekor of version 1 answers it."""
    proof, promise, log = entry["inclusionProof"], entry["inclusionPromise"], entry["logId"]
    assert isinstance(proof, dict)
    assert isinstance(promise, dict)
    assert isinstance(log, dict)
    return {
        "body": entry["canonicalizedBody"],
        "integratedTime": int(str(entry["integratedTime"])),
        "logID": base64.b64decode(log["keyId"]).hex(),
        "logIndex": int(str(entry["logIndex"])),
        "verification": {
            "inclusionProof": {
                "checkpoint": proof["checkpoint"]["envelope"],
                "hashes": [base64.b64decode(one).hex() for one in proof["hashes"]],
                "logIndex": int(proof["logIndex"]),
                "rootHash": base64.b64decode(proof["rootHash"]).hex(),
                "treeSize": int(proof["treeSize"]),
            },
            "signedEntryTimestamp": promise["signedEntryTimestamp"],
        },
    }


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
