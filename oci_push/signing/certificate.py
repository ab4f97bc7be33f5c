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
_USER_NAME = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.7")
_UTF8_STRING, _SHORT = 0x0C, 0x7F
"""How DER begins a text, and how many bytes it may have where one byte says its length."""
_MOST_LETTERS = 2048
_MOST_ABOVE = 8
"""How many certificates there may be above one; the public Sigstore has two."""
UNREADABLE = (
    ValueError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.ExtensionNotFound,
    x509.UnsupportedGeneralNameType,
)
"""What ``cryptography`` raises for certificates that are none."""
_NAMELESS = "is a certificate that does not say whose it is, and who vouches for that"
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
        if len(texts) > 1 + _MOST_ABOVE:
            raise ValueError(f"holds {len(texts)} certificates")
        try:
            found, *above = [x509.load_pem_x509_certificate(one.encode()) for one in texts]
            key = found.public_key()
        except UNREADABLE as problem:
            raise ValueError("holds something that is no certificate") from problem
        if key != self._key.public_key():
            raise ValueError("is a certificate for another key than ours")
        if found.not_valid_after_utc <= found.not_valid_before_utc:
            raise ValueError("is a certificate that ends before it begins")
        # Written anew: what came beside them, or between them, is nobody's business.
        return Certificate(self._key, found, "".join(one.public_bytes(_PEM).decode() for one in above))


def names_of(found: x509.Certificate) -> tuple[str, str]:
    """Return whom a certificate names, and who vouches for that; raises ``ValueError``.

    It names exactly one (sigstore/fulcio, docs/certificate-specification.md): of several nobody knows which was meant.
    """
    try:
        names = tuple(found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
        issuer = found.extensions.get_extension_for_oid(_ISSUER).value
        if not isinstance(issuer, x509.UnrecognizedExtension):
            raise ValueError(_NAMELESS)
        who, voucher = tuple(filter(None, map(_text_of, names))), issuer.value.decode()
    except UNREADABLE as problem:
        raise ValueError(_NAMELESS) from problem
    if len(names) > 1:
        raise ValueError("is a certificate that names several")
    if not who or not voucher:
        raise ValueError(_NAMELESS)
    if any(len(one) > _MOST_LETTERS or not one.isprintable() for one in (*who, voucher)):
        raise ValueError(f"is a certificate for a name that is not printable, or longer than {_MOST_LETTERS} letters")
    return who[0], voucher


def _text_of(name: x509.GeneralName) -> str:
    """Return a URI, an address, or the name of a user; nothing for other names."""
    if isinstance(name, x509.UniformResourceIdentifier | x509.RFC822Name):
        return name.value
    if not isinstance(name, x509.OtherName) or name.type_id != _USER_NAME:
        return ""
    head, text = name.value[:2], name.value[2:]
    return text.decode() if head == bytes([_UTF8_STRING, len(text) & _SHORT]) else ""
