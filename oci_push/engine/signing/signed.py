"""Reading what is signed about a manifest: bundles that refer to it, and what lies under cosign's tags of its digest.

Nothing is believed here. What was signed is kept as the bytes that a signature is checked against, and what they say is
read from those same bytes.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from functools import partial

from msgspec import Struct
from msgspec.structs import replace

from oci_push.errors import ContentMismatchError, NotFoundError, OciPushError, ProtocolViolationError, SourceError
from oci_push.model import media
from oci_push.model.descriptor import Descriptor
from oci_push.model.digest import Digest
from oci_push.model.manifest import Manifest
from oci_push.model.reference import Reference
from oci_push.model.trust import BUNDLE, SIG
from oci_push.protocol.referrers import fallback_tag
from oci_push.registry.repository import RepositoryClient
from oci_push.runtime.context import Context
from oci_push.runtime.tasks import run_all
from oci_push.signing.bundle import ENVELOPE, Envelope, decoded, has_certificate, is_bundle
from oci_push.signing.keys import VerifyingKey
from oci_push.signing.statement import CERTIFICATE, SIGNATURE_OF, Said, read_simple_payload, read_statement

SIMPLE = "application/vnd.dev.cosign.simplesigning.v1+json"
ATT = "att"
_MOST = 500
_MOST_BYTES = {SIG: 256 * 1024, BUNDLE: 64 * 1024 * 1024, ATT: 64 * 1024 * 1024}
_AT_ONCE = 8
_MOST_TOGETHER = 128 * 1024 * 1024
"""How many bytes are read of all that is signed about one manifest: whoever may push there can put more beside it."""


class _Room:
    """How much may still be read; shared by threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._left = _MOST_TOGETHER

    def take(self, size: int) -> None:
        """Raise ``ValueError`` where there is no room for so many bytes more."""
        with self._lock:
            if size > self._left:
                raise ValueError(f"is not read: all that is signed about this has more than {_MOST_TOGETHER} bytes")
            self._left -= size


class Found(Struct, frozen=True):
    """One signed thing: `digest` is the manifest that holds it, `payload` what it says, `signed` what was signed.

    `bundle` is the whole of a bundle with a certificate, `certified` the annotations of a layer with one. `problem`
    says why it cannot be read.
    """

    form: str
    digest: Digest
    layer: Digest | None = None
    payload: bytes = b""
    signed: bytes = b""
    signatures: tuple[bytes, ...] = ()
    bundle: bytes = b""
    certified: Mapping[str, str] = {}
    problem: str = ""

    def signers(self, keys: Iterable[VerifyingKey]) -> tuple[VerifyingKey, ...]:
        """Return those of `keys` that have signed it."""
        return tuple(key for key in keys if any(key.verifies(one, self.signed) for one in self.signatures))

    def said(self) -> Said:
        """Return what it says, which is worth something when one of the `signers` is trusted; raises ``ValueError``."""
        return read_simple_payload(self.payload) if self.form == SIG else read_statement(self.payload)


def read_signed(context: Context, client: RepositoryClient, digest: Digest) -> tuple[Found, ...]:
    """Read all that is signed about a manifest; one that is damaged is told of, a registry that fails is an error."""
    found: list[Found] = []
    room = _Room()
    for form, ending in ((SIG, ".sig"), (ATT, ".att")) if digest.algorithm == "sha256" else ():
        try:
            under = tagged(context, client, f"{fallback_tag(digest)}{ending}")
        except OciPushError as problem:
            found.append(_damaged(form, digest, problem))
            continue
        found += _of_tag(context, client, under, form, room) if under is not None else ()
    return (*_read_bundles(context, client, digest, room), *found)


def read_bundles(context: Context, client: RepositoryClient, digest: Digest) -> tuple[Found, ...]:
    """Read the bundles that refer to a manifest."""
    return _read_bundles(context, client, digest, _Room())


def _read_bundles(context: Context, client: RepositoryClient, digest: Digest, room: _Room) -> tuple[Found, ...]:
    entries = [one for one in client.referrers(context, digest).entries if _may_be_bundle(one)]
    _check_count(client, digest, len(entries))
    jobs = [partial(_bundle, client=client, entry=one, room=room) for one in entries]
    return tuple(one for outcome in run_all(context, jobs, limit=_AT_ONCE) for one in outcome.get())


def tagged(context: Context, client: RepositoryClient, tag: str) -> Manifest | None:
    """Return the manifest under one of cosign's tags; ``None`` where there is none."""
    try:
        return client.fetch(context, Reference(client.repository, tag))
    except NotFoundError:
        return None


def _may_be_bundle(entry: Descriptor) -> bool:
    # A list that clients keep may lack the type.
    return is_bundle(entry.artifact_type) or entry.artifact_type in ("", media.OCI_EMPTY)


def _bundle(context: Context, client: RepositoryClient, entry: Descriptor, room: _Room) -> list[Found]:
    try:
        manifest = client.fetch(context, Reference(client.repository, "", entry.digest))
        layers = [one for one in manifest.layers if is_bundle(one.media_type)]
        if not layers and not is_bundle(entry.artifact_type):
            return []
        if len(layers) != 1:
            raise ValueError(f"holds {len(layers)} bundles")
        raw = _read(context, client, layers[0], BUNDLE, room)
        found = _enveloped(BUNDLE, entry.digest, layers[0], Envelope.of_bundle(raw))
        return [replace(found, bundle=raw) if has_certificate(raw) else found]
    except (ValueError, OciPushError) as problem:
        return [_damaged(BUNDLE, entry.digest, problem)]


def _of_tag(context: Context, client: RepositoryClient, manifest: Manifest, form: str, room: _Room) -> list[Found]:
    found: list[Found] = []
    _check_count(client, manifest.digest, len(manifest.layers))
    read: dict[Digest, bytes] = {}  # several keys sign the same bytes
    for layer in manifest.layers:
        if layer.media_type != (SIMPLE if form == SIG else ENVELOPE):
            continue
        try:
            raw = read.get(layer.digest)
            if raw is None:
                raw = read[layer.digest] = _read(context, client, layer, form, room)
            if form == ATT:
                found.append(_enveloped(form, manifest.digest, layer, Envelope.parse(raw)))
            else:
                signature = decoded(layer.annotations.get(SIGNATURE_OF, ""))
                certified = layer.annotations if CERTIFICATE in layer.annotations else {}
                found.append(Found(form, manifest.digest, layer.digest, raw, raw, (signature,), certified=certified))
        except (ValueError, OciPushError) as problem:
            found.append(_damaged(form, manifest.digest, problem))
    return found


def _enveloped(form: str, digest: Digest, layer: Descriptor, envelope: Envelope) -> Found:
    return Found(form, digest, layer.digest, envelope.payload, envelope.signed, envelope.signatures)


def _damaged(form: str, digest: Digest, problem: ValueError | OciPushError) -> Found:
    """Return what is there and cannot be read; raises what is no damage of it but a failure on the way."""
    if not isinstance(problem, ValueError | NotFoundError | SourceError | ProtocolViolationError):
        raise problem
    return Found(form, digest, problem=str(problem))


def _read(context: Context, client: RepositoryClient, layer: Descriptor, form: str, room: _Room) -> bytes:
    if layer.size > _MOST_BYTES[form]:
        raise ValueError(f"has {layer.size} bytes, more than {_MOST_BYTES[form]}")
    room.take(layer.size)
    found = bytearray()
    with client.open_blob(context, layer) as blocks:
        for block in blocks:
            context.check()
            found += block
            if len(found) > layer.size:
                break
    raw = bytes(found)
    if len(raw) != layer.size or Digest.of(raw, layer.digest.algorithm) != layer.digest:
        raise ContentMismatchError(f"{client.repository}: blob {layer.digest}: is not what its manifest says")
    return raw


def _check_count(client: RepositoryClient, digest: Digest, count: int) -> None:
    if count > _MOST:
        raise SourceError(f"{client.repository}@{digest}: more than {_MOST} signatures", hint="delete some of them")
