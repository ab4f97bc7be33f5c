"""Whether an identity has signed a bundle: a certificate for a short time in place of a key, and a log that saw it.

Everything is checked against a trust root, and nothing is fetched: the certificate's chain and its entry in a log of
certificates, the entry of the signature in a transparency log, and that this came while the certificate was valid. The
root is one that was named, or the public Sigstore's as the package carries it. A client's trust configuration says
beside it where to sign (`read_services`).
Source: sigstore/protobuf-specs, sigstore_trustroot.proto; the work is done by the extra ``sigstore``.
"""

from __future__ import annotations

import datetime
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from msgspec import Struct

from oci_push.errors import ConfigError
from oci_push.model.display import quoted
from oci_push.model.manifest import encode, load_json
from oci_push.model.trust import TrustedIdentity
from oci_push.signing.bundle import IN_TOTO, encoded
from oci_push.signing.certificate import names_of
from oci_push.signing.promise import Promised
from oci_push.signing.roots import TimedRoot
from oci_push.signing.statement import check_readable

if TYPE_CHECKING:
    from cryptography import x509
    from sigstore.models import ClientTrustConfig, TrustedRoot


_MOST_WORDS = 300
_ROOT, _CONFIG = "application/vnd.dev.sigstore.trustedroot", "application/vnd.dev.sigstore.clienttrustconfig"
_UNUSED = {
    "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
    "rekorTlogConfig": {"selector": "ANY"},
    "tsaConfig": {"selector": "ANY"},
}


_PUBLIC = "https://tuf-repo-cdn.sigstore.dev"
_OF_AGE = (
    "failed to build timestamp certificate chain",
    "failed to verify SCT",
    "invalid log entry",
    "no authority of",
    "no log of",
)
"""How the refusals begin that a root gives which does not know the newest keys."""
_INSTALL = "pip install 'oci-push[keyless]'"


class Services(Struct, frozen=True):
    """Where one Sigstore is: its Fulcio, its log with the version of its interface, and those who give timestamps.

    `name` is how messages call its configuration; the public one is at public addresses only.
    """

    fulcio: str
    log: str
    log_version: int
    timestamps: tuple[str, ...]
    name: str
    is_public: bool = False


@contextmanager
def _refusing(say: Callable[[str], Exception]) -> Iterator[None]:
    """Raise what `say` makes of the words of whatever is raised inside.

    What a stranger has written is read there by another's package, which promises no class of its errors: whatever
    comes of it, it does not count.
    """
    try:
        yield
    except Exception as problem:  # noqa: BLE001  # as said above
        raise say(_words(problem)) from None


class IdentityVerifier:
    """An identity at an issuer, with the trust root that vouches for it; `name` is how messages call it."""

    __slots__ = ("_more", "_policy", "_root", "name")

    def __init__(self, trusted: TrustedIdentity, name: str = "") -> None:
        """Read the trust root; `name` is another than the identity's own.

        Raises `ConfigError`, also where the extra is not installed.
        """
        _check_installed("an identity cannot be verified")
        from sigstore.verify import Verifier

        if not trusted.identity or not trusted.issuer:
            raise ConfigError("an identity counts only with its issuer", hint="give both")
        self.name = name or trusted.name
        self._policy = _Named(trusted.identity, trusted.issuer)
        self._more = "" if trusted.root else f" (by {carried()}, which may be too old: {NEWER})"

        def refused(words: str) -> ConfigError:
            return ConfigError(
                f"{trusted.root_name or carried()}: is no trust root: {words}",
                hint="give a trusted_root.json, as Sigstore publishes it and cosign trusted-root create writes it",
            )

        with _refusing(refused):
            root = _configuration(trusted.root).trusted_root
            Verifier(trusted_root=root)  # which says what is missing
            self._root = TimedRoot(root)

    def check(self, bundle: bytes, payload: bytes) -> None:
        """See that the identity has signed `payload` in a bundle; raises ``ValueError`` with why it does not count."""
        from sigstore.models import Bundle

        with _refusing(self._unsigned):
            read = Bundle.from_json(bundle)
            kind, found = self._root.of(read).verify_dsse(read, self._policy)
        if kind != IN_TOTO or found != payload:
            raise ValueError("holds two payloads, and the one that is signed is not the one that is read")

    def check_message(self, bundle: bytes, message: bytes) -> None:
        """See that the identity has signed `message`, which a bundle is about; raises ``ValueError``."""
        from sigstore.models import Bundle

        with _refusing(self._unsigned):
            read = Bundle.from_json(bundle)
            self._root.of(read).verify_artifact(message, read, self._policy)

    def check_layer(self, annotations: Mapping[str, str], payload: bytes) -> None:
        """See that the identity has signed the payload of a layer of cosign's tag; raises ``ValueError``.

        What is there has no more of the log than its promise, with a time; all else is seen as for a bundle.
        """
        promised = Promised.read(annotations, payload)
        with _refusing(self._unsigned):
            root = self._root.at(promised.at, promised.certificate)
            chain = _chain_of(promised.certificate, root.get_fulcio_certs(), promised.at)
            _check_listed(promised.certificate, chain, root, for_signing=False)
            _check_use(promised.certificate)
            self._policy.verify(promised.certificate)
            _check_promise(promised, root)

    def _unsigned(self, words: str) -> ValueError:
        more = self._more if words.startswith(_OF_AGE) else ""
        return ValueError(f"is not signed by {self.name}: {words}{more}")


class _Named(Struct, frozen=True):
    """Whom a certificate must name, and nobody beside: a policy of ``sigstore``."""

    identity: str
    issuer: str

    def verify(self, certificate: x509.Certificate) -> None:
        """Raise ``ValueError`` for one that names another."""
        who, voucher = names_of(certificate)
        if who != self.identity:
            raise ValueError(f"it is signed by {quoted(who, _MOST_WORDS)}")
        if voucher != self.issuer:
            raise ValueError(f"{quoted(voucher, _MOST_WORDS)} vouches for that")


class Authority:
    """Who may give certificates and timestamps, by one trust root."""

    def __init__(self, root: str) -> None:
        """Read the root, or the public Sigstore's for an empty text; raises ``ValueError`` for one to verify with."""
        from sigstore._internal.trust import KeyringPurpose

        with _refusing(ValueError):
            whole = _configuration(root).trusted_root
            whole.get_fulcio_certs()
            whole.rekor_keyring(KeyringPurpose.SIGN)
            whole.ct_keyring(KeyringPurpose.SIGN)
            self._whole, self._root = whole, TimedRoot(whole)

    def check(self, certificate: x509.Certificate) -> None:
        """See that it is by an authority of the root, and promised to a log of it; raises ``ValueError``.

        That is asked before anything is signed with it: what a public log has seen stays there.
        """
        from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

        with _refusing(ValueError):
            root = self._root.at(None, certificate)
            _check_use(certificate)
            authorities = root.get_fulcio_certs()
        for above in authorities:
            try:
                certificate.verify_directly_issued_by(above)
            except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
                continue
            with _refusing(ValueError):
                _check_listed(certificate, [above], root, for_signing=True)
            return
        raise ValueError("its authority is none of the trust root's")

    def check_timestamp(self, stamp: bytes, signature: bytes) -> None:
        """See that it is of a signature, and by an authority of the root; raises ``ValueError``."""
        from sigstore.models import TimestampVerificationData
        from sigstore.verify import Verifier

        with _refusing(ValueError):
            text = encode({"rfc3161Timestamps": [{"signedTimestamp": encoded(stamp)}]})
            (read,) = TimestampVerificationData.from_json(text).rfc3161_timestamps
            # It is nowhere public by itself.
            found = Verifier(trusted_root=self._whole)._verify_signed_timestamp(read, signature)
        if found is None:
            raise ValueError("it is not of this signature, or by no authority of the trust root")


def read_services(text: str, name: str) -> Services:
    """Return where a client's trust configuration says to sign; an empty text stands for the public Sigstore's.

    Raises `ConfigError`, also where the extra is not installed.
    """
    _check_installed("nothing can be signed without a key")

    def refused(words: str) -> ConfigError:
        return ConfigError(
            f"{name or carried()}: cannot be signed with: {words}",
            hint="a client's trust configuration holds a trustedRoot and a signingConfig" if text else NEWER,
        )

    with _refusing(refused):
        if text and not str(load_json(text.encode(), "it").get("mediaType")).startswith(_CONFIG):
            raise ValueError("it does not say where to sign: that stands in a client's trust configuration")
        config = _configuration(text).signing_config
        logs = [str(vars(one)["url"]) for one in config.get_tlogs()]  # the base with the version's path
        if len(logs) > 1:
            raise ValueError(f"it wants entries in {len(logs)} logs (rekorTlogConfig), and one is written here")
        log, fulcio = logs[0], config.get_fulcio().url
        timestamps = tuple(one.url for one in config.get_tsas())
        for url in (fulcio, log, *timestamps):
            _check_url(url)
    base, _, version = log.rpartition("/api/v")
    if version != "1" and not timestamps:
        raise ConfigError(
            f"{name}: a log of version {version} says no time, and nobody else does",
            hint="name an authority for timestamps in the signingConfig: tsaUrls",
        )
    return Services(
        fulcio.rstrip("/"), base.rstrip("/"), int(version), timestamps, name or carried(), is_public=not text
    )


def _check_url(url: str) -> None:
    """Raise ``ValueError`` for what is no plain address of a service; a login in it would stand in messages."""
    try:
        parts = urlsplit(url)
        has_host = bool(parts.hostname) and parts.port != 0
    except ValueError:
        raise ValueError(f"{quoted(url, _MOST_WORDS)} is no URL") from None
    if parts.username is not None or parts.password is not None:
        raise ValueError(f"the address of {quoted(parts.hostname or '', _MOST_WORDS)} has a login in it")
    if parts.scheme not in ("http", "https") or not has_host or not url.isascii() or not url.isprintable():
        raise ValueError(f"{quoted(url, _MOST_WORDS)} is no URL of http or https")
    if parts.query or parts.fragment or " " in url:
        raise ValueError(f"{quoted(url, _MOST_WORDS)} has more in it than a host and a path")


def _chain_of(certificate: x509.Certificate, authorities: list[x509.Certificate], at: float) -> list[x509.Certificate]:
    """Return the certificates above one, up to a root, that were valid at a time; raises what says why there are none.

    As sigstore's verifier: of what is usual for clients only the extended key usage differs, which is code signing.
    """
    from cryptography import x509
    from cryptography.x509 import verification

    at_all = (x509.ExtendedKeyUsage, verification.Criticality.NON_CRITICAL, None)
    ca = verification.ExtensionPolicy.webpki_defaults_ca().may_be_present(*at_all)
    leaf = verification.ExtensionPolicy.webpki_defaults_ee().may_be_present(*at_all)
    when = datetime.datetime.fromtimestamp(at, datetime.UTC)
    builder = verification.PolicyBuilder().store(verification.Store(authorities)).time(when)
    policy = builder.extension_policies(ca_policy=ca, ee_policy=leaf).build_client_verifier()
    return policy.verify(certificate, []).chain[1:]


def _check_listed(
    certificate: x509.Certificate, chain: list[x509.Certificate], root: TrustedRoot, *, for_signing: bool
) -> None:
    """See that a log of certificates has promised to list one; raises what says why not."""
    from sigstore._internal.sct import verify_sct  # what sigstore's own signer asks; it is nowhere public
    from sigstore._internal.trust import KeyringPurpose

    verify_sct(certificate, chain, root.ct_keyring(KeyringPurpose.SIGN if for_signing else KeyringPurpose.VERIFY))


def _check_use(certificate: x509.Certificate) -> None:
    """See that a certificate is for signatures of code (sigstore/fulcio, docs/certificate-specification.md)."""
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID

    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    extended = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    if not usage.digital_signature or ExtendedKeyUsageOID.CODE_SIGNING not in extended:
        raise ValueError("its certificate is not for signing code")


def _check_promise(promised: Promised, root: TrustedRoot) -> None:
    """See that a log of the root has promised an entry; raises what says why not."""
    from sigstore._internal.trust import KeyringPurpose
    from sigstore._utils import KeyID

    ring = root.rekor_keyring(KeyringPurpose.VERIFY)
    ring.verify(key_id=KeyID(promised.log), signature=promised.promise, data=promised.promised)


def carried() -> str:
    """Return how messages call the public Sigstore's root and configuration, which the package carries."""
    from sigstore import __version__

    return f"the public Sigstore's root in sigstore {__version__}"


NEWER = "pip install --upgrade sigstore, or give a newer one with --trust-root"


def _check_installed(what: str) -> None:
    try:
        import sigstore.verify  # noqa: F401  # all of it, with what it needs
    except ImportError as problem:
        raise ConfigError(f"{what}: the package sigstore is not installed ({problem})", hint=_INSTALL) from None
    logger = logging.getLogger("sigstore")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())  # what matters is in what it raises


def _configuration(text: str) -> ClientTrustConfig:
    """Return a client's configuration, or one around a trust root by itself; for an empty text the package's own.

    ``sigstore`` reads only the former from memory, so the latter gets a signing configuration, which is not used.
    """
    from sigstore.models import ClientTrustConfig

    signing: object = _UNUSED
    if text:
        value = load_json(text.encode(), "it")
        check_readable(text.encode())  # of two roots in one file the other one may be what a reviewer has seen
        kind = str(value.get("mediaType"))
        if kind.startswith(_CONFIG):
            return ClientTrustConfig.from_json(encode(value).decode())
        if not kind.startswith(_ROOT):
            raise ValueError(f"its mediaType is {quoted(kind, _MOST_WORDS)}")
    else:
        value, signing = (load_json(_in_package(one), one) for one in ("trusted_root.json", "signing_config.v0.2.json"))
    value = {"mediaType": f"{_CONFIG}.v0.1+json", "trustedRoot": value, "signingConfig": signing}
    return ClientTrustConfig.from_json(encode(value).decode())


def _in_package(name: str) -> bytes:
    from importlib.resources import files

    # By sigstore's own reader it would be taken from a cache in the home folder, or fetched.
    return files("sigstore._store").joinpath(quote(_PUBLIC, safe=""), name).read_bytes()


def _words(problem: Exception) -> str:
    """Return what is wrong, for a message of ours: of a form that lacks much, the first thing, with its place."""
    listed = getattr(problem, "errors", None)  # pydantic's, whose text is of many lines and an address
    if callable(listed):
        first = listed()[0]
        return quoted(f"{'.'.join(map(str, first['loc']))}: {first['msg']}", _MOST_WORDS)
    return quoted(str(problem), _MOST_WORDS) or type(problem).__name__
