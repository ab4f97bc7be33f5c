"""Who signs, with what is to be signed: a statement is signed once, and is the same bytes everywhere.

Here is who has a key; who has none is in `engine.signing.identity_signer`.
"""

from __future__ import annotations

import datetime
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path

from oci_push.engine.artifacts.attachment import AttachedResult
from oci_push.engine.signing.signed import Found
from oci_push.errors import ConfigError
from oci_push.model.artifact import CREATED
from oci_push.model.descriptor import Descriptor
from oci_push.model.digest import Digest
from oci_push.model.endpoint import RegistryEndpoint
from oci_push.model.reference import Repository
from oci_push.model.trust import SignRule
from oci_push.protocol.call import BytesBody
from oci_push.runtime.context import Context
from oci_push.runtime.single_flight import SingleFlight
from oci_push.secret import Secret
from oci_push.signing.bundle import BUNDLE, decoded, encoded, make_bundle
from oci_push.signing.keys import PASSPHRASE, SigningKey, read_signing_key, read_verifying_key
from oci_push.signing.statement import SIGNATURE, SIGNATURE_OF, Predicate, statement
from oci_push.sources.made import Content

_ENV = "env://"
_MOST_BYTES = 64 * 1024
_CONTENT, _TYPE = "dev.sigstore.bundle.content", "dev.sigstore.bundle.predicateType"


class Signer(ABC):
    """Who signs, and what; may be shared by threads.

    `done` is what came of each manifest in this run, by the place and the form: images that several indexes list are
    signed once.
    """

    def __init__(self, rule: SignRule) -> None:
        self.rule = rule
        self.predicate = Predicate(*rule.predicate) if rule.predicate is not None else SIGNATURE
        self.done: SingleFlight[tuple[RegistryEndpoint, Repository, Digest, str], AttachedResult] = SingleFlight()
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

    def bundle(self, context: Context, digest: Digest) -> Content:
        """Return the artifact with the bundle about a manifest."""
        return self._made.get(digest, lambda: self._content(context, digest))

    def _content(self, context: Context, digest: Digest) -> Content:
        raw = self._bundle(context, self.statement(digest))
        layer = Descriptor(BUNDLE, Digest.of(raw), len(raw))
        when = datetime.datetime.fromtimestamp(context.clock.now(), datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        said = {CREATED: when, _CONTENT: "dsse-envelope", _TYPE: self.predicate.type}
        return Content(self.name, BUNDLE, (layer,), {layer.digest: BytesBody(raw)}, said)

    @abstractmethod
    def prepare(self, context: Context) -> None:
        """Get what signing takes, so that what is missing is told before anything is sent."""

    @abstractmethod
    def has_signed(self, context: Context, found: Found) -> bool:
        """Return whether a bundle that was found is this one's."""

    @abstractmethod
    def signed_layer(self, context: Context, payload: bytes) -> Mapping[str, str]:
        """Sign a payload of cosign's tag; return the annotations of its layer."""

    @abstractmethod
    def has_signed_layer(self, context: Context, annotations: Mapping[str, str], payload: bytes) -> bool:
        """Return whether the annotations of a layer are a signature of the payload by this one."""

    @abstractmethod
    def _bundle(self, context: Context, payload: bytes) -> bytes: ...


class KeySigner(Signer):
    """Who has a key."""

    def __init__(self, key: SigningKey, rule: SignRule) -> None:
        super().__init__(rule)
        self._key = key

    def prepare(self, context: Context) -> None:
        """Need nothing: the key was read."""

    def has_signed(self, context: Context, found: Found) -> bool:
        """Return whether the key verifies it."""
        return bool(found.signers([self._key.public]))

    def signed_layer(self, context: Context, payload: bytes) -> Mapping[str, str]:
        """Return the signature."""
        return {SIGNATURE_OF: encoded(self._key.sign(payload))}

    def has_signed_layer(self, context: Context, annotations: Mapping[str, str], payload: bytes) -> bool:
        """Return whether the key verifies it."""
        try:
            return self._key.public.verifies(decoded(annotations.get(SIGNATURE_OF, "")), payload)
        except ValueError:
            return False

    def _bundle(self, context: Context, payload: bytes) -> bytes:
        return make_bundle(payload, self._key)


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


def read_text(name: str, kind: str = "key", most: int = _MOST_BYTES) -> str:
    """Read the file of a key or of another `kind`; raises `ConfigError`."""
    try:
        with Path(name).open("rb") as file:
            raw = file.read(most + 1)
    except (OSError, ValueError) as problem:  # the latter for a name with NUL in it
        why = getattr(problem, "strerror", None) or "no file has such a name"
        raise ConfigError(f"{name}: cannot be read ({why})", hint="check the file's name") from problem
    if len(raw) > most:
        raise ConfigError(
            f"{name}: is no {kind}: it has more than {most} bytes", hint="give PEM" if kind == "key" else None
        )
    return raw.decode("utf-8-sig", "replace")
