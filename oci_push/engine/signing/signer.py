"""A key that was read, with what it is to sign: a statement is signed once, and is the same bytes everywhere."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from pathlib import Path

from oci_push.errors import ConfigError
from oci_push.model.artifact import CREATED
from oci_push.model.descriptor import Descriptor
from oci_push.model.digest import Digest
from oci_push.model.trust import SignRule
from oci_push.protocol.call import BytesBody
from oci_push.runtime.single_flight import SingleFlight
from oci_push.secret import Secret
from oci_push.signing.bundle import BUNDLE, make_bundle
from oci_push.signing.keys import PASSPHRASE, SigningKey, read_signing_key, read_verifying_key
from oci_push.signing.statement import SIGNATURE, Predicate, statement
from oci_push.sources.made import Content

_ENV = "env://"
_MOST_BYTES = 64 * 1024
_CONTENT, _TYPE = "dev.sigstore.bundle.content", "dev.sigstore.bundle.predicateType"


class Signer:
    """A key and what it is to sign; may be shared by threads."""

    def __init__(self, key: SigningKey, rule: SignRule) -> None:
        self.key = key
        self.rule = rule
        self.predicate = Predicate(*rule.predicate) if rule.predicate is not None else SIGNATURE
        self._made: SingleFlight[Digest, Content] = SingleFlight()

    @property
    def name(self) -> str:
        """Return how messages call what it makes."""
        return "signature (bundle)" if self.rule.predicate is None else f"attestation ({self.predicate.type})"

    @property
    def annotations(self) -> Mapping[str, str]:
        """Return what is signed along with the digest."""
        return dict(self.rule.annotations)

    def statement(self, digest: Digest) -> bytes:
        """Return what is said of a manifest."""
        return statement(digest, self.predicate, self.annotations)

    def bundle(self, digest: Digest, now: float) -> Content:
        """Return the artifact with the bundle about a manifest; `now` is when, in seconds since 1970."""
        return self._made.get(digest, lambda: self._sign(digest, now))

    def _sign(self, digest: Digest, now: float) -> Content:
        raw = make_bundle(self.statement(digest), self.key)
        layer = Descriptor(BUNDLE, Digest.of(raw), len(raw))
        when = datetime.datetime.fromtimestamp(now, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        said = {CREATED: when, _CONTENT: "dsse-envelope", _TYPE: self.predicate.type}
        return Content(self.name, BUNDLE, (layer,), {layer.digest: BytesBody(raw)}, said)


def read_key(name: str, env: Mapping[str, str]) -> SigningKey:
    """Read a private key from a file or, as ``env://NAME``, a variable; raises `ConfigError` without its content."""
    passphrase = Secret(env[PASSPHRASE]) if PASSPHRASE in env else None
    if name.startswith(_ENV):
        variable = name.removeprefix(_ENV)
        if not env.get(variable):
            raise ConfigError(f"{name}: {variable} is not set", hint=f"export {variable} with the key's PEM")
        return read_signing_key(Secret(env[variable]), passphrase, name)
    if "://" in name:
        raise ConfigError(f"{name}: such keys are not known here", hint="give a file, or env://NAME")
    return read_signing_key(Secret(read_text(name)), passphrase, name)


def read_public(name: str, env: Mapping[str, str]) -> str:
    """Read a public key's PEM from a file or, as ``env://NAME``, a variable; raises `ConfigError`."""
    variable = name.removeprefix(_ENV)
    if variable != name and not env.get(variable):
        raise ConfigError(f"{name}: {variable} is not set", hint=f"export {variable} with the key's PEM")
    pem = env[variable] if variable != name else read_text(name)
    read_verifying_key(pem, name)
    return pem


def read_text(name: str) -> str:
    """Read a key's file; raises `ConfigError`."""
    try:
        with Path(name).open("rb") as file:
            raw = file.read(_MOST_BYTES + 1)
    except (OSError, ValueError) as problem:  # the latter for a name with NUL in it
        why = getattr(problem, "strerror", None) or "no file has such a name"
        raise ConfigError(f"{name}: cannot be read ({why})", hint="check the file's name") from problem
    if len(raw) > _MOST_BYTES:
        raise ConfigError(f"{name}: is no key: it has more than {_MOST_BYTES} bytes", hint="give PEM")
    return raw.decode("utf-8-sig", "replace")
