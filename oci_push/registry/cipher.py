"""Sealing: what an upload's URL is kept as between runs.

The URL of an open upload may carry a signed state, which is as good as a login to whoever reads it. It is kept
encrypted, under a key in a file beside the cache that only its owner may read. That guards a copy of the cache
(a bug report, a dump); who can read all of the user's files can read the logins in them as well.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from oci_push.runtime.files import PRIVATE, write_whole


class Cipher:
    """Encrypt and decrypt with the key in `path`, which is made when it is first needed."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def seal(self, text: str) -> bytes:
        """Encrypt; raises ``OSError`` when there is no key and none can be made."""
        from cryptography.fernet import Fernet

        key = self._key()
        if key is None:
            self._make(Fernet.generate_key())
            key = self._key()
        if key is None:
            raise OSError(f"{self._path}: holds no key")
        return Fernet(key).encrypt(text.encode())

    def open(self, sealed: bytes) -> str | None:
        """Decrypt; ``None`` when it was sealed with another key, or changed."""
        from cryptography.fernet import Fernet, InvalidToken

        try:
            key = self._key()
            return Fernet(key).decrypt(sealed).decode() if key else None
        except (OSError, InvalidToken, UnicodeDecodeError):
            return None

    def _key(self) -> bytes | None:
        try:
            key = self._path.read_bytes().strip()
        except FileNotFoundError:
            return None
        if len(key) == 44:  # what 32 bytes are in base64; anything else is damage, and is replaced
            return key
        with contextlib.suppress(OSError):
            self._path.unlink()
        return None

    def _make(self, key: bytes) -> None:
        """Put the key in place whole; the first of several processes wins."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            write_whole(self._path, key.decode(), mode=PRIVATE, is_new=True)
