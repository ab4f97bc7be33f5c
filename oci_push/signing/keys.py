"""Keys that sign and keys that verify: ECDSA on P-256, RSA (PKCS #1 v1.5) and Ed25519, with SHA-256, as cosign's.

On other curves cosign and sigstore-go do not agree which hash belongs to them, so these are refused.
"""

from __future__ import annotations

import base64
import hashlib
from typing import TypeAlias

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from oci_push.errors import ConfigError
from oci_push.secret import Secret
from oci_push.signing.keyfile import is_key_file, open_key_file

PASSPHRASE = "COSIGN_PASSWORD"  # noqa: S105 - the name of a variable
"""The environment variable with the passphrase of an encrypted key, as cosign has it."""
_BEGIN_AND_END = 2
_LEAST_RSA_BITS = 2048
_FORMS = "PEM of an ECDSA key on P-256, an RSA key or an Ed25519 key"
_Private: TypeAlias = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey
_Public: TypeAlias = ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey


class VerifyingKey:
    """A public key; `name` is how messages call it."""

    __slots__ = ("_key", "name")

    def __init__(self, key: _Public, name: str) -> None:
        self._key = key
        self.name = name

    def verifies(self, signature: bytes, data: bytes) -> bool:
        """Return whether `signature` is this key's of `data`."""
        try:
            if isinstance(self._key, ec.EllipticCurvePublicKey):
                self._key.verify(signature, data, ec.ECDSA(hashes.SHA256()))
            elif isinstance(self._key, rsa.RSAPublicKey):
                self._key.verify(signature, data, padding.PKCS1v15(), hashes.SHA256())
            else:
                self._key.verify(signature, data)
        except InvalidSignature:
            return False
        return True

    @property
    def der(self) -> bytes:
        """Return it as SubjectPublicKeyInfo in DER."""
        return self._key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)

    @property
    def hint(self) -> str:
        """Return what a bundle calls it: base64 of its SHA-256, which says nothing of whom to trust."""
        return base64.b64encode(hashlib.sha256(self.der).digest()).decode()


class SigningKey:
    """A private key; `name` is how messages call it. It never shows itself."""

    __slots__ = ("_key", "name", "public")

    def __init__(self, key: _Private, name: str) -> None:
        self._key = key
        self.name = name
        self.public = VerifyingKey(key.public_key(), name)

    def __repr__(self) -> str:
        return f"SigningKey({self.name!r})"

    def sign(self, data: bytes) -> bytes:
        """Return a signature of `data`; of ECDSA another one each time."""
        if isinstance(self._key, ec.EllipticCurvePrivateKey):
            return self._key.sign(data, ec.ECDSA(hashes.SHA256()))
        if isinstance(self._key, rsa.RSAPrivateKey):
            return self._key.sign(data, padding.PKCS1v15(), hashes.SHA256())
        return self._key.sign(data)


def read_signing_key(text: Secret, passphrase: Secret | None, name: str) -> SigningKey:
    """Read a private key; raises `ConfigError`, which never holds what was read."""
    pem = text.reveal()
    try:
        if is_key_file(pem):
            return _checked(_from_key_file(pem, passphrase, name), name)
        has_passphrase = "ENCRYPTED" in pem
        if has_passphrase and passphrase is None:
            raise _locked(name)
        password = passphrase.reveal().encode() if has_passphrase and passphrase is not None else None
        found = serialization.load_pem_private_key(pem.encode(), password)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        if "ENCRYPTED" in pem and "PRIVATE KEY" in pem:
            raise _wrong(name) from None
        what = "is a public key, and a private one signs" if "PUBLIC KEY" in pem else "is no private key"
        raise ConfigError(f"{name}: {what}", hint=f"give {_FORMS}, or cosign's key file") from None
    return _checked(found, name)


def read_verifying_key(pem: str, name: str) -> VerifyingKey:
    """Read a public key; raises `ConfigError`."""
    try:
        found = serialization.load_pem_public_key(pem.encode())
    except (ValueError, TypeError, UnsupportedAlgorithm):
        if "PRIVATE KEY" in pem:
            Secret(pem)
            raise ConfigError(
                f"{name}: is a private key, and a public one verifies",
                hint="give the public one, such as cosign.pub; a private key is for nobody else to have",
            ) from None
        if "BEGIN CERTIFICATE" in pem:
            raise ConfigError(
                f"{name}: is a certificate, of which nobody here checks until when and for what it is valid",
                hint="openssl x509 -pubkey -noout -in CERTIFICATE gives the key in it",
            ) from None
        raise ConfigError(f"{name}: is no public key", hint=f"give {_FORMS}, such as cosign.pub") from None
    if pem.count("PUBLIC KEY-----") > _BEGIN_AND_END:
        raise ConfigError(f"{name}: holds several keys, of which only the first would count", hint="one in each file")
    if isinstance(found, rsa.RSAPublicKey):
        _check_bits(found.key_size, name)
    elif isinstance(found, ec.EllipticCurvePublicKey):
        _check_curve(found.curve, name)
    elif not isinstance(found, ed25519.Ed25519PublicKey):
        raise _unknown(name)
    return VerifyingKey(found, name)


def _from_key_file(pem: str, passphrase: Secret | None, name: str) -> object:
    if passphrase is None:
        raise _locked(name)
    try:
        der = open_key_file(pem, passphrase)
    except ValueError as problem:
        raise ConfigError(f"{name}: the key file {problem}", hint="make it again, or copy it again") from None
    if der is None:
        raise _wrong(name)
    return serialization.load_der_private_key(der, None)


def _checked(found: object, name: str) -> SigningKey:
    if isinstance(found, rsa.RSAPrivateKey):
        _check_bits(found.key_size, name)
    elif isinstance(found, ec.EllipticCurvePrivateKey):
        _check_curve(found.curve, name)
    elif not isinstance(found, ed25519.Ed25519PrivateKey):
        raise _unknown(name)
    return SigningKey(found, name)


def _check_bits(bits: int, name: str) -> None:
    if bits < _LEAST_RSA_BITS:
        raise ConfigError(f"{name}: an RSA key of {bits} bits is too short", hint=f"use {_LEAST_RSA_BITS} or more")


def _check_curve(curve: ec.EllipticCurve, name: str) -> None:
    if not isinstance(curve, ec.SECP256R1):
        raise ConfigError(f"{name}: the curve {curve.name} is not used here", hint="make it on P-256, as cosign does")


def _unknown(name: str) -> ConfigError:
    return ConfigError(f"{name}: is a key of another kind", hint=f"give {_FORMS}")


def _locked(name: str) -> ConfigError:
    return ConfigError(f"{name}: is encrypted, and {PASSPHRASE} is not set", hint=f"export {PASSPHRASE}")


def _wrong(name: str) -> ConfigError:
    return ConfigError(f"{name}: cannot be opened with the passphrase in {PASSPHRASE}", hint=f"check {PASSPHRASE}")
