"""NaCl's secretbox, opened: XSalsa20 with Poly1305, which cosign closes its key files with.

Source: Bernstein, "Extending the Salsa20 nonce" and the Salsa20 specification. `cryptography` has Poly1305 and no
Salsa20; a key file has some hundred bytes, so that Python is fast enough.
"""

from __future__ import annotations

import struct

KEY_BYTES, NONCE_BYTES, TAG_BYTES = 32, 24, 16
_BLOCK_BYTES = 64
_SIGMA = struct.unpack("<4I", b"expand 32-byte k")
_ROUNDS = (
    *((0, 4, 8, 12), (5, 9, 13, 1), (10, 14, 2, 6), (15, 3, 7, 11)),
    *((0, 1, 2, 3), (5, 6, 7, 4), (10, 11, 8, 9), (15, 12, 13, 14)),
)


def unbox(key: bytes, nonce: bytes, box: bytes) -> bytes | None:
    """Return what a box holds; ``None`` where the key does not open it. The tag is compared before anything else."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.poly1305 import Poly1305

    if len(key) != KEY_BYTES or len(nonce) != NONCE_BYTES or len(box) < TAG_BYTES:
        return None
    tag, closed = box[:TAG_BYTES], box[TAG_BYTES:]
    stream = _stream(_subkey(key, nonce[:16]), nonce[16:], KEY_BYTES + len(closed))
    try:
        Poly1305.verify_tag(stream[:KEY_BYTES], closed, tag)
    except InvalidSignature:
        return None
    return bytes(a ^ b for a, b in zip(closed, stream[KEY_BYTES:], strict=True))


def _mixed(state: list[int]) -> list[int]:
    x = list(state)
    for _ in range(10):
        for a, b, c, d in _ROUNDS:
            x[b] ^= _turned(x[a] + x[d], 7)
            x[c] ^= _turned(x[b] + x[a], 9)
            x[d] ^= _turned(x[c] + x[b], 13)
            x[a] ^= _turned(x[d] + x[c], 18)
    return x


def _turned(number: int, bits: int) -> int:
    number &= 0xFFFFFFFF
    return (number << bits | number >> (32 - bits)) & 0xFFFFFFFF


def _state(key: bytes, rest: bytes) -> list[int]:
    k, n = struct.unpack("<8I", key), struct.unpack("<4I", rest)
    return [_SIGMA[0], *k[:4], _SIGMA[1], *n, _SIGMA[2], *k[4:], _SIGMA[3]]


def _subkey(key: bytes, nonce: bytes) -> bytes:
    """Return HSalsa20 of a key and 16 bytes of a nonce."""
    mixed = _mixed(_state(key, nonce))
    return struct.pack("<8I", *(mixed[place] for place in (0, 5, 10, 15, 6, 7, 8, 9)))


def _stream(key: bytes, nonce: bytes, size: int) -> bytes:
    """Return the first bytes of Salsa20's stream."""
    found = bytearray()
    for number in range(-(-size // _BLOCK_BYTES)):
        state = _state(key, nonce + struct.pack("<Q", number))
        found += struct.pack("<16I", *((a + b) & 0xFFFFFFFF for a, b in zip(state, _mixed(state), strict=True)))
    return bytes(found[:size])
