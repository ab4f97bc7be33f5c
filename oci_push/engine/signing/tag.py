"""cosign's tag of an image's digest, which holds a layer for each signature; others may write it at the same time.

Source: cosign, specs/SIGNATURE_SPEC.md. There is no way to store a manifest only where a tag has not moved, so what was
written is read again, later and once more later, and added again where another writer has overwritten it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from oci_push.engine.artifacts.attachment import AttachedResult
from oci_push.engine.graph import walk
from oci_push.engine.plan import PushPlan, plan_repositories
from oci_push.engine.repository_push import RepositoryPush, Step
from oci_push.engine.signing.signed import SIMPLE, tagged
from oci_push.engine.signing.signer import Signer
from oci_push.engine.transfer import BlobResult, SentAhead
from oci_push.errors import OciPushError
from oci_push.events import Emit, Event, LogMessage, TagDone, ignore
from oci_push.model import media
from oci_push.model.descriptor import Descriptor
from oci_push.model.digest import Digest
from oci_push.model.manifest import Manifest, encode, load_json
from oci_push.model.outcomes import BlobOutcome, ManifestOutcome
from oci_push.model.trust import SIG
from oci_push.protocol.call import Body, BytesBody
from oci_push.protocol.referrers import fallback_tag
from oci_push.registry.clients import RegistryClients
from oci_push.runtime.context import Context
from oci_push.signing.statement import simple_payload
from oci_push.sources.made import MadeImage

_TRIES = 12
_LOOKS = 2
_LEAST_WAIT_S, _MOST_WAIT_S = 0.2, 2.0
_SLOWER = 3.0
"""Another writer may need this many times as long as we did from its reading to its writing."""


def add_signature(
    push: RepositoryPush,
    context: Context,
    signer: Signer,
    digest: Digest,
    clients: RegistryClients,
    checks: Sequence[Step],
) -> AttachedResult:
    """Put a signature of a manifest beside others under its tag, unless this signer's of the same payload is there."""
    repository = push.work.target.repository
    tag = f"{fallback_tag(digest)}.sig"
    named = f"signature ({SIG})"
    if digest.algorithm != "sha256":
        raise OciPushError(
            f"{repository}: cosign has no signature tag for {digest.algorithm}",
            hint="leave it out: --sign-format bundle",
        )
    payload = simple_payload(str(repository), digest, signer.annotations)
    layer: Descriptor | None = None
    sent, seen, wait_s = 0, 0, _LEAST_WAIT_S
    for number in range(_TRIES):
        began = context.clock.monotonic()
        there = tagged(context, push.client, tag)
        if there is not None and _holds(context, there, payload, signer):
            seen += 1
            if seen >= _LOOKS or not number:
                outcome = ManifestOutcome.PUSHED if number else ManifestOutcome.EXISTS
                return AttachedResult(named, SIMPLE, there.digest, there.size, outcome, sent)
        else:
            seen = 0
            layer = layer or _layer(context, payload, signer)
            made = with_layers(named, there, (layer,), {layer.digest: BytesBody(payload)})
            result = _store(push, context, made, tag, clients, checks, there)
            sent += result.bytes_sent
            if result.error is not None:
                return result
            if not number:
                push.emit(LogMessage(f"{repository}: signed under the tag {tag}"))
        wait_s = min(max(wait_s, (context.clock.monotonic() - began) * _SLOWER), _MOST_WAIT_S)
        context.sleep(wait_s * (0.5 + clients.random()))
    raise OciPushError(
        f"{repository}:{tag}: the signature is gone each time it is written; others write the tag all the time"
    ).with_code("OCP-MOVED")


def _holds(context: Context, manifest: Manifest, payload: bytes, signer: Signer) -> bool:
    wanted = Digest.of(payload)
    same = (one for one in manifest.layers if one.digest == wanted and one.media_type == SIMPLE)
    return any(signer.has_signed_layer(context, one.annotations, payload) for one in same)


def _layer(context: Context, payload: bytes, signer: Signer) -> Descriptor:
    return Descriptor(SIMPLE, Digest.of(payload), len(payload), signer.signed_layer(context, payload))


def with_layers(
    name: str, there: Manifest | None, more: Sequence[Descriptor], bodies: Mapping[Digest, Body]
) -> MadeImage:
    """Return what the tag is to name: what it names now, with more layers; what others wrote stays as it is."""
    value: dict[str, object] = {"schemaVersion": 2, "mediaType": media.OCI_MANIFEST}
    layers: list[object] = []
    if there is not None:
        if there.media_type not in media.IMAGES:
            raise OciPushError(f"{name}: is taken by an index", hint="delete the tag, or give --sign-format bundle")
        value = load_json(there.raw, "the manifest")
        found = value.get("layers")
        layers = found if isinstance(found, list) else []
    diff_ids = [str(one.digest) for one in (*(there.layers if there else ()), *more)]
    config = encode({"architecture": "", "os": "", "config": {}, "rootfs": {"type": "layers", "diff_ids": diff_ids}})
    about = Descriptor(media.OCI_CONFIG, Digest.of(config), len(config))
    value = {**value, "config": about.to_json(), "layers": [*layers, *(one.to_json() for one in more)]}
    manifest = Manifest.parse(encode(value), media.OCI_MANIFEST)
    return MadeImage(name, (manifest,), {**bodies, about.digest: BytesBody(config)})


def _store(
    push: RepositoryPush,
    context: Context,
    made: MadeImage,
    tag: str,
    clients: RegistryClients,
    checks: Sequence[Step],
    there: Manifest | None,
) -> AttachedResult:
    graph = walk(context, made, emit=ignore)
    before = {tag: there.digest if there is not None else None}
    target = replace(push.work.target, tags=(tag,), before=before, signers=(), recursive=())
    work = plan_repositories(graph.blobs, [target], origin=None, remembered={})[0]
    old = there.layers if there is not None else ()
    known = {one.digest: BlobResult(one.digest, one.size, BlobOutcome.EXISTS) for one in old}
    emit, ahead = _without_tags(push.emit), SentAhead(dict(known))
    one = RepositoryPush(PushPlan(graph, (work,)), work, made, clients, emit, ahead)
    one.attempt(context, RepositoryPush.send_content, RepositoryPush.put_tags, *checks)
    push.repaired += one.repaired
    sent = sum(blob.bytes_sent for digest, blob in one.blobs.items() if digest not in known)
    result = AttachedResult(made.name, SIMPLE, graph.root.digest, graph.root.size, bytes_sent=sent)
    if one.error is not None:
        return replace(result, error=one.error.with_more(f"; {made.name} is not there"))
    return replace(result, outcome=ManifestOutcome.PUSHED)


def _without_tags(emit: Emit) -> Emit:
    """Return a listener that is not told of the tag, which is none of the image's."""

    def tell(event: Event) -> None:
        if not isinstance(event, TagDone):
            emit(event)

    return tell
