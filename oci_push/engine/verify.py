"""Verifying a push: every tag is read back, every blob and manifest asked for, and what is missing is sent.

A root manifest that is there says nothing sure about what it names: registries lose blobs to garbage collection and to
full disks. Nothing here is taken from the cache, nor from what the push itself was told.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from oci_push.engine.repository_push import RepositoryPush
from oci_push.engine.tags import TagResult
from oci_push.engine.transfer import is_there
from oci_push.errors import RegistryError
from oci_push.events import LogMessage
from oci_push.model.descriptor import Descriptor
from oci_push.model.digest import Digest
from oci_push.model.manifest import Manifest
from oci_push.model.outcomes import TagOutcome
from oci_push.model.reference import Reference
from oci_push.runtime.context import Context
from oci_push.runtime.phases import VERIFY, timed

T = TypeVar("T", Descriptor, Manifest)


@timed(VERIFY)
def verify(push: RepositoryPush, context: Context) -> None:
    """Check one repository, fill holes, and check those again; raises `RegistryError` for one that stays."""
    repository, blobs, tags = push.client.repository, push.work.blobs, push.work.target.tags

    def has_blob(inner: Context, blob: Descriptor) -> bool:
        return is_there(inner, push.client, push.source, blob)

    def has_manifest(inner: Context, node: Manifest) -> bool:
        return push.client.head(inner, str(node.digest), push=True) is not None

    lost = _missing(push, context, blobs, has_blob)
    push.each(context, lost, push.send_again)
    gone = _missing(push, context, push.nodes, has_manifest)
    for node in gone:  # children before parents, as the graph lists them
        push.put(context, node, str(node.digest))
        push.repaired.append(node.digest)
        push.emit(LogMessage(f"{repository}: manifest {node.digest}: was not there; sent", "warning"))
    for blob in _missing(push, context, lost, has_blob):
        raise _unstable(f"{repository}: blob {blob.digest}")
    for node in _missing(push, context, gone, has_manifest):
        raise _unstable(f"{repository}: manifest {node.digest}")
    push.each(context, tags, lambda inner, tag: _read_back(push, inner, tag))
    push.is_verified = True
    repaired = f", {len(push.repaired)} of them sent again" if push.repaired else ""
    counts = f"{len(tags)} tags, {len(push.nodes)} manifests, {len(blobs)} blobs"
    push.emit(LogMessage(f"{repository}: verified: {counts}{repaired}"))


def _missing(
    push: RepositoryPush, context: Context, things: Sequence[T], is_there: Callable[[Context, T], bool]
) -> list[T]:
    missing: list[T] = []

    def look(inner: Context, thing: T) -> None:
        if not is_there(inner, thing):
            missing.append(thing)

    push.each(context, things, look)
    return [thing for thing in things if thing in missing]


def _read_back(push: RepositoryPush, context: Context, tag: str) -> None:
    reference = Reference(push.client.repository, tag)
    there = _where(push, context, tag)
    if there is None:
        push.put(context, push.root, tag)
        push.repaired.append(push.root.digest)
        push.emit(LogMessage(f"{reference}: was not there; set", "warning"))
        there = _where(push, context, tag)
    if there not in (push.root.digest, Digest.of(push.root.raw)):  # the digest's algorithm may be the registry's choice
        push.tags[tag] = TagResult(tag, TagOutcome.LEFT, f"it names {there or 'nothing'}, not the image")
        raise RegistryError(
            f"{reference}: points at {there or 'nothing'} after the push, not at {push.root.digest}",
            hint="somebody else has pushed this tag meanwhile, or the registry serves an old answer",
        )


def _where(push: RepositoryPush, context: Context, tag: str) -> Digest | None:
    """Read what a tag names and hash it; where that cannot be done, nobody knows what the tag names."""
    try:
        return push.client.where(context, tag, push.root)
    except RegistryError as error:
        push.tags[tag] = TagResult(tag, TagOutcome.UNKNOWN, f"it cannot be read back ({error})")
        raise


def _unstable(what: str) -> RegistryError:
    return RegistryError(
        f"{what}: was sent again and is still not there",
        hint="the registry takes it and loses it: look at its storage and its garbage collection",
    )
