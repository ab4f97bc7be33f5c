"""cosign's encrypted key file: JSON in PEM, a passphrase by scrypt, and NaCl's secretbox around PKCS #8.

Source: cosign, pkg/cosign/keys.go, and go-securesystemslib, encrypted/encrypted.go.
"""

from __future__ import annotations

import base64
import hashlib
import re

from oci_push.model.manifest import load_json
from oci_push.secret import Secret
from oci_push.signing.secretbox import KEY_BYTES, unbox

_LABEL = r"ENCRYPTED (?:SIGSTORE|COSIGN) PRIVATE KEY"
_FORM = rf"\s*-----BEGIN ({_LABEL})-----\s+([A-Za-z0-9+/=\s]+?)\s*-----END \1-----\s*"
_MOST_N = 2**20
_BLOCK, _LANES = 8, 1
_SLACK_BYTES = 1024 * 1024


def is_key_file(text: str) -> bool:
    """Return whether this is such a file, whole or not."""
    return re.search(f"-----BEGIN {_LABEL}-----", text) is not None


def open_key_file(text: str, passphrase: Secret) -> bytes | None:
    """Return the private key as PKCS #8 in DER; ``None`` where the passphrase does not open it.

    Raises ``ValueError`` for what is no such file, or asks for more memory than cosign ever does: r is 8, p is 1, and
    N a power of two of at most 2**20, which is 1 GiB.
    """
    found = re.fullmatch(_FORM, text)
    if found is None:
        raise ValueError("is damaged")
    try:
        value = load_json(base64.b64decode(found[2]), "it")
        kdf, cipher = _inner(value, "kdf"), _inner(value, "cipher")
        params = _inner(kdf, "params")
        salt, nonce = _bytes(kdf, "salt"), _bytes(cipher, "nonce")
        closed = _bytes(value, "ciphertext")
    except ValueError:
        raise ValueError("is damaged") from None
    if (kdf.get("name"), cipher.get("name")) != ("scrypt", "nacl/secretbox"):
        raise ValueError("is encrypted in a way that is not known here")
    n, r, p = (params.get(name) for name in ("N", "r", "p"))
    if not isinstance(n, int) or (r, p) != (_BLOCK, _LANES) or not 2 <= n <= _MOST_N or n & (n - 1):
        raise ValueError("asks for another scrypt than cosign's (r 8, p 1, N a power of two up to 1048576)")
    key = hashlib.scrypt(
        passphrase.reveal().encode(),
        salt=salt,
        n=n,
        r=_BLOCK,
        p=_LANES,
        dklen=KEY_BYTES,
        maxmem=128 * n * _BLOCK + _SLACK_BYTES,
    )
    return unbox(key, nonce, closed)


def _inner(value: dict[str, object], name: str) -> dict[str, object]:
    found = value.get(name)
    if not isinstance(found, dict):
        raise ValueError(name)
    return found


def _bytes(value: dict[str, object], name: str) -> bytes:
    found = value.get(name)
    if not isinstance(found, str):
        raise ValueError(name)
    return base64.b64decode(found, validate=True)
