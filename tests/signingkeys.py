"""Keys to sign with, in the forms that cosign and openssl write them."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.poly1305 import Poly1305

from oci_push.signing.secretbox import _stream, _subkey

KINDS = ("ecdsa", "rsa", "ed25519")
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


def make(kind: str = "ecdsa") -> Key:
    if kind == "rsa":
        return rsa.generate_private_key(65537, 2048)
    return ed25519.Ed25519PrivateKey.generate() if kind == "ed25519" else ec.generate_private_key(ec.SECP256R1())


def pem_of(key: Key, passphrase: str = "") -> str:
    how = serialization.BestAvailableEncryption(passphrase.encode()) if passphrase else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, how).decode()


def public_pem_of(key: Key) -> str:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, form).decode()


def pair(folder: Path, name: str, kind: str = "ecdsa") -> str:
    """Write NAME.key and NAME.pub; gives the private PEM."""
    key = make(kind)
    (folder / f"{name}.key").write_text(pem_of(key))
    (folder / f"{name}.pub").write_text(public_pem_of(key))
    return pem_of(key)


def cosign_file(key: Key, passphrase: str, *, n: int = 1024, r: int = 8, label: str = "SIGSTORE") -> str:
    """Close a key as cosign does."""
    der = key.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    salt, nonce = os.urandom(32), os.urandom(24)
    secret = hashlib.scrypt(passphrase.encode(), salt=salt, n=1024, r=8, p=1, dklen=32)
    stream = _stream(_subkey(secret, nonce[:16]), nonce[16:], 32 + len(der))
    closed = bytes(a ^ b for a, b in zip(der, stream[32:], strict=True))
    box = Poly1305.generate_tag(stream[:32], closed) + closed
    value = {
        "kdf": {"name": "scrypt", "params": {"N": n, "r": r, "p": 1}, "salt": base64.b64encode(salt).decode()},
        "cipher": {"name": "nacl/secretbox", "nonce": base64.b64encode(nonce).decode()},
        "ciphertext": base64.b64encode(box).decode(),
    }
    text = base64.encodebytes(json.dumps(value).encode()).decode()
    return f"-----BEGIN ENCRYPTED {label} PRIVATE KEY-----\n{text}-----END ENCRYPTED {label} PRIVATE KEY-----\n"
