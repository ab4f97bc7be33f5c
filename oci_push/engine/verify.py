"""Verifying a push: every tag is read back, every blob and manifest asked for, and what is missing is sent.

A root manifest that is there says nothing sure about what it names: registries lose blobs to garbage collection and to
full disks. Nothing here is taken from memory, nor from what the push itself was told.
"""

from __future__ import annotations

from oci_push.engine.repository_push import RepositoryPush
from oci_push.engine.tags import TagResult
from oci_push.engine.transfer import is_there
from oci_push.errors import NotFoundError, RegistryError
from oci_push.events import LogMessage
from oci_push.model.descriptor import Descriptor
from oci_push.model.manifest import Manifest
from oci_push.model.outcomes import TagOutcome
from oci_push.model.reference import Reference
from oci_push.runtime.context import Context


def verify(run: RepositoryPush, context: Context) -> None:
    """Check one leg, fill holes, and check those again; raises `RegistryError` for one that will not be filled."""
    lost = _missing_blobs(run, context, run.leg.blobs)
    run.each(context, lost, run.send_again)
    gone = _missing_manifests(run, context, run.nodes)
    for node in gone:  # children before parents, as the graph lists them
        run.put(context, node, str(node.digest))
        run.progress.repaired.append(node.digest)
        run.emit(LogMessage(f"{_of(run, node)}: was not there; sent", "warning"))
    for blob in _missing_blobs(run, context, lost):
        raise _unstable(f"{run.client.repository}: blob {blob.digest}")
    for node in _missing_manifests(run, context, gone):
        raise _unstable(_of(run, node))
    run.each(context, run.leg.target.tags, lambda s, tag: _read_back(run, s, tag))
    run.progress.is_verified = True
    counts = f"{len(run.leg.target.tags)} tags, {len(run.nodes)} manifests, {len(run.leg.blobs)} blobs"
    repaired = f", {len(run.progress.repaired)} of them sent again" if run.progress.repaired else ""
    run.emit(LogMessage(f"{run.client.repository}: verified: {counts}{repaired}"))


def _missing_blobs(
    run: RepositoryPush, context: Context, blobs: tuple[Descriptor, ...] | list[Descriptor]
) -> list[Descriptor]:
    missing: list[Descriptor] = []

    def look(inner: Context, blob: Descriptor) -> None:
        if not is_there(inner, run.client, run.source, blob):
            missing.append(blob)

    run.each(context, blobs, look)
    return missing


def _missing_manifests(
    run: RepositoryPush, context: Context, nodes: tuple[Manifest, ...] | list[Manifest]
) -> list[Manifest]:
    found: set[Manifest] = set()

    def look(inner: Context, node: Manifest) -> None:
        if run.client.head(inner, str(node.digest), push=True) is not None:
            found.add(node)

    run.each(context, nodes, look)
    return [node for node in nodes if node not in found]


def _read_back(run: RepositoryPush, context: Context, tag: str) -> None:
    reference = Reference(run.client.repository, tag)
    try:
        there = run.client.fetch(context, reference)
    except NotFoundError:
        run.put(context, run.root, tag)
        run.progress.repaired.append(run.root.digest)
        run.emit(LogMessage(f"{reference}: was not there; set", "warning"))
        there = run.client.fetch(context, reference)
    # The bytes are hashed, not the answer's headers read; the digest's algorithm may be the registry's choice.
    if there.raw != run.root.raw:
        run.progress.tags[tag] = TagResult(tag, TagOutcome.LEFT, f"it names {there.digest}, not the image")
        raise RegistryError(
            f"{reference}: points at {there.digest} after the push, not at {run.root.digest}",
            hint="somebody else has pushed this tag meanwhile, or the registry serves an old answer",
        )


def _unstable(what: str) -> RegistryError:
    return RegistryError(
        f"{what}: was sent again and is still not there",
        hint="the registry takes it and loses it: look at its storage and its garbage collection",
    )


def _of(run: RepositoryPush, node: Manifest) -> str:
    return f"{run.client.repository}: manifest {node.digest}"
