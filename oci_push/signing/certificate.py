"""A certificate for a short time in place of a key: what is asked of a Fulcio, what it gives, and whom that names.

Sources: sigstore/fulcio, fulcio.proto (CreateSigningCertificate) and docs/oid-info.md.
"""

from __future__ import annotations

from collections.abc import Mapping

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from oci_push.signing.bundle import encoded

PATH = "/api/v2/signingCert"
_ISSUER = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.1")
_PEM, _DER = serialization.Encoding.PEM, serialization.Encoding.DER


class Certificate:
    """A certificate with its key, which is nowhere else; `identity` is who it names, `issuer` who vouches for that.

    `chain` are the certificates above it, in PEM, that came with it.
    """

    __slots__ = ("_key", "chain", "found", "identity", "issuer")

    def __init__(self, key: ec.EllipticCurvePrivateKey, found: x509.Certificate, chain: str) -> None:
        """Read whom it names; raises ``ValueError``."""
        self._key = key
        self.found = found
        self.chain = chain
        self.identity, self.issuer = names_of(found)

    def __repr__(self) -> str:
        return f"Certificate({self.identity!r})"

    @property
    def der(self) -> bytes:
        """Return it in DER."""
        return self.found.public_bytes(_DER)

    @property
    def pem(self) -> str:
        """Return it in PEM."""
        return self.found.public_bytes(_PEM).decode()

    def left_s(self, now: float) -> float:
        """Return how long it is valid from `now` on; by a clock that is far off, how long it is valid in all."""
        first, last = self.found.not_valid_before_utc.timestamp(), self.found.not_valid_after_utc.timestamp()
        return last - now if first <= now <= last else last - first

    def sign(self, data: bytes) -> bytes:
        """Return a signature of `data`, another one each time."""
        return self._key.sign(data, ec.ECDSA(hashes.SHA256()))


class Request:
    """A new key, and the request for a certificate for it."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())

    def body(self) -> dict[str, object]:
        """Return what is sent beside the token; Fulcio takes the identity from the token alone."""
        builder = x509.CertificateSigningRequestBuilder(x509.Name([]))
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        pem = builder.sign(self._key, hashes.SHA256()).public_bytes(_PEM)
        return {"certificateSigningRequest": encoded(pem)}

    def take(self, answer: Mapping[str, object]) -> Certificate:
        """Return the certificate that was given; raises ``ValueError``."""
        given = answer.get("signedCertificateEmbeddedSct")
        if not isinstance(given, dict):
            if "signedCertificateDetachedSct" in answer:
                raise ValueError("gives its promise of a log's entry apart from the certificate, where nobody reads it")
            raise ValueError("holds no certificate")
        chain = given.get("chain")
        texts = chain.get("certificates") if isinstance(chain, dict) else None
        if not isinstance(texts, list) or not texts or not all(isinstance(one, str) for one in texts):
            raise ValueError("holds no certificate")
        try:
            found = x509.load_pem_x509_certificate(texts[0].encode())
            key = found.public_key()
        except (ValueError, UnsupportedAlgorithm) as problem:
            raise ValueError("holds something that is no certificate") from problem
        if key != self._key.public_key():
            raise ValueError("is a certificate for another key than ours")
        return Certificate(self._key, found, "".join(f"{one.strip()}\n" for one in texts[1:]))


def names_of(found: x509.Certificate) -> tuple[str, str]:
    """Return whom a certificate names, and who vouches for that; raises ``ValueError``."""
    try:
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        issuer = found.extensions.get_extension_for_oid(_ISSUER).value
    except (x509.ExtensionNotFound, ValueError) as problem:
        raise ValueError("is a certificate that does not say whose it is, and who vouches for that") from problem
    identities = (
        *names.get_values_for_type(x509.UniformResourceIdentifier),
        *names.get_values_for_type(x509.RFC822Name),
        *(one.value.decode("utf-8", "replace") for one in names.get_values_for_type(x509.OtherName)),
    )
    if not identities or not isinstance(issuer, x509.UnrecognizedExtension):
        raise ValueError("is a certificate that does not say whose it is, and who vouches for that")
    return identities[0], issuer.value.decode("utf-8", "replace")
