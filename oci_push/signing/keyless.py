"""Whether an identity has signed a bundle: a certificate for a short time in place of a key, and a log that saw it.

Everything is checked against a trust root that was named, and nothing is fetched: the certificate's chain and its entry
in a log of certificates, the entry of the signature in a transparency log, and that this came while the certificate was
valid. Source: sigstore/protobuf-specs, sigstore_trustroot.proto; the work is done by the extra ``sigstore``.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from oci_push.errors import ConfigError
from oci_push.model.display import quoted
from oci_push.model.manifest import encode, load_json
from oci_push.model.trust import TrustedIdentity
from oci_push.signing.bundle import IN_TOTO

if TYPE_CHECKING:
    from sigstore.models import TrustedRoot

_MOST_WORDS = 300
_ROOT, _CONFIG = "application/vnd.dev.sigstore.trustedroot", "application/vnd.dev.sigstore.clienttrustconfig"
_UNUSED = {
    "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
    "rekorTlogConfig": {"selector": "ANY"},
    "tsaConfig": {"selector": "ANY"},
}


class IdentityVerifier:
    """An identity at an issuer, with the trust root that vouches for it; `name` is how messages call it."""

    __slots__ = ("_policy", "_verifier", "name")

    def __init__(self, trusted: TrustedIdentity) -> None:
        """Read the trust root; raises `ConfigError`, also where the extra is not installed."""
        try:
            from sigstore.verify import Verifier
            from sigstore.verify.policy import Identity
        except ImportError as problem:
            raise ConfigError(
                f"an identity cannot be verified: the package sigstore is not installed ({problem})",
                hint="pip install 'oci-push[keyless]'",
            ) from None
        logging.getLogger("sigstore").addHandler(logging.NullHandler())  # what matters is in what it raises
        if not trusted.identity or not trusted.issuer:
            raise ConfigError("an identity counts only with its issuer", hint="give both")
        self.name = trusted.name
        self._policy = Identity(identity=trusted.identity, issuer=trusted.issuer)
        try:
            self._verifier = Verifier(trusted_root=_root(trusted.root))
        except Exception as problem:  # noqa: BLE001  # another's reader, which promises no class
            raise ConfigError(
                f"{trusted.root_name}: is no trust root: {_words(problem)}",
                hint="give a trusted_root.json, as Sigstore publishes it and cosign trusted-root create writes it",
            ) from None

    def check(self, bundle: bytes, payload: bytes) -> None:
        """See that the identity has signed `payload` in a bundle; raises ``ValueError`` with why it does not count."""
        from sigstore.models import Bundle

        try:
            kind, found = self._verifier.verify_dsse(Bundle.from_json(bundle), self._policy)
        except Exception as problem:  # noqa: BLE001  # a stranger's bytes: whatever comes of them, they do not count
            raise ValueError(f"is not signed by {self.name}: {_words(problem)}") from None
        if kind != IN_TOTO or found != payload:
            raise ValueError("holds two payloads, and the one that is signed is not the one that is read")


def _root(text: str) -> TrustedRoot:
    """Return the trust root in a file: one by itself, or a client's configuration with one in it.

    ``sigstore`` reads only the latter from memory, so the former gets one, of which nothing but the root is used.
    """
    from sigstore.models import ClientTrustConfig

    value = load_json(text.encode(), "it")
    kind = str(value.get("mediaType"))
    if kind.startswith(_ROOT):
        value = {"mediaType": f"{_CONFIG}.v0.1+json", "trustedRoot": value, "signingConfig": _UNUSED}
    elif not kind.startswith(_CONFIG):
        raise ValueError(f"its mediaType is {quoted(kind, _MOST_WORDS)}")
    return ClientTrustConfig.from_json(encode(value).decode()).trusted_root


def _words(problem: Exception) -> str:
    """Return what is wrong, for a message of ours: of a form that lacks much, the first thing, with its place."""
    listed = getattr(problem, "errors", None)  # pydantic's, whose text is of many lines and an address
    if callable(listed):
        first = listed()[0]
        return quoted(f"{'.'.join(map(str, first['loc']))}: {first['msg']}", _MOST_WORDS)
    return quoted(str(problem), _MOST_WORDS) or type(problem).__name__
