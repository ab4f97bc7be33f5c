"""Checking an image where it is: every manifest, digest and size, and what is in every layer against the config.

Nothing is changed. By reading, each blob is read once: its bytes are hashed as they are and, of a layer, as they are
when decompressed (image-spec config.md, "DiffID"). Without reading, each blob is asked for and its size compared.
What is foreign and has URLs of its own need not be there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial

from msgspec import Struct, field

from oci_push.engine.looking import tree
from oci_push.engine.looking.tree import Tree
from oci_push.errors import ContentMismatchError, OciPushError, ProtocolViolationError, SourceError
from oci_push.forms import VERSION, Version
from oci_push.model import media
from oci_push.model.descriptor import Descriptor
from oci_push.model.digest import Digest
from oci_push.model.manifest import Manifest, load_json
from oci_push.model.platform import Platform
from oci_push.registry.repository import RepositoryClient
from oci_push.runtime.context import Context
from oci_push.runtime.tasks import do_all
from oci_push.sources.base import ImageReader, verified
from oci_push.sources.codecs import expanded
from oci_push.sources.settings import Limits

_READ_AT_ONCE = 4


class Damage(Struct, frozen=True):
    """One thing that is wrong: `kind` is ``manifest``, ``config``, ``layer`` or ``blob``."""

    kind: str
    digest: Digest | None
    message: str


class Checkup(Struct, frozen=True):
    """What ``check --json`` prints: how much was looked at, and what is wrong; `bytes_read` are those of blobs.

    `diff_ids` counts layers whose content was compared with a config, `elsewhere` those that are kept at URLs.
    """

    version: Version
    name: str
    digest: Digest | None
    is_read: bool
    manifests: int
    blobs: int
    bytes_read: int
    diff_ids: int
    elsewhere: int
    damage: tuple[Damage, ...]

    @property
    def is_whole(self) -> bool:
        """Return whether nothing is wrong."""
        return not self.damage

    def __bool__(self) -> bool:
        """Return whether nothing is wrong."""
        return self.is_whole


class _Configs(Struct, frozen=True):
    """What was `read` of configs: the diff_ids that each layer is `expected` to have, and what is wrong."""

    expected: Mapping[Digest, tuple[Digest, ...]] = field(default_factory=dict)
    damage: tuple[Damage, ...] = ()
    read: frozenset[Digest] = frozenset()
    bytes_read: int = 0


class _Verdict(Struct, frozen=True):
    """What became of one blob."""

    damage: tuple[Damage, ...] = ()
    bytes_read: int = 0
    compared: int = 0


def check(
    context: Context,
    source: ImageReader,
    client: RepositoryClient | None,
    *,
    platform: Platform | None = None,
    is_read: bool = True,
) -> Checkup:
    """Check an image; without `is_read` blobs are only asked for, of a registry by its `client`."""
    try:
        found = tree.read_tree(context, source, platform)
    except OciPushError as error:
        if not isinstance(error, ContentMismatchError | ProtocolViolationError):
            raise  # there is nothing to check, or no way to it
        return Checkup(VERSION, source.name, None, is_read, 0, 0, 0, 0, 0, (Damage("manifest", None, str(error)),))
    damage = [Damage("manifest", digest, str(error)) for digest, error in found.problems.items()]
    blobs, elsewhere = _blobs(found)
    configs = _Configs()
    if is_read:
        configs = _read_configs(context, source, found)
        damage += configs.damage
    done = configs.read | {one.digest for one in damage if one.digest}

    def look(inner: Context, blob: Descriptor, kind: str) -> _Verdict:
        if is_read:
            return _read(inner, source, blob, kind, configs.expected.get(blob.digest, ()))
        return _ask(inner, source, client, blob, kind)

    kinds = _kinds(found)
    jobs = [partial(look, blob=one, kind=kinds[one.digest]) for one in blobs.values() if one.digest not in done]
    results = do_all(context, jobs, limit=_READ_AT_ONCE if is_read else tree.AT_ONCE)
    return Checkup(
        VERSION,
        source.name,
        found.root.digest,
        is_read,
        len(found.manifests) + len(found.problems),
        len(blobs),
        configs.bytes_read + sum(one.bytes_read for one in results),
        sum(one.compared for one in results),
        elsewhere,
        (*damage, *_sizes(found), *(wrong for one in results for wrong in one.damage)),
    )


def _blobs(found: Tree) -> tuple[dict[Digest, Descriptor], int]:
    """Return every blob that must be there, and how many need not."""
    blobs: dict[Digest, Descriptor] = {}
    elsewhere: set[Digest] = set()
    for node in found.manifests.values():
        strays = [one for one in node.children if one.media_type not in media.MANIFESTS]
        for blob in (*node.blobs, *strays):
            if media.is_foreign_layer(blob.media_type) and blob.urls:
                elsewhere.add(blob.digest)
            else:
                blobs.setdefault(blob.digest, blob)
    return blobs, len(elsewhere - set(blobs))


def _kinds(found: Tree) -> dict[Digest, str]:
    kinds: dict[Digest, str] = {}
    for node in found.manifests.values():
        kinds.update((child.digest, "blob") for child in node.children)
        is_image = node.config is not None and node.config.media_type in tree.IMAGE_CONFIGS
        kinds.update((layer.digest, "layer" if is_image else "blob") for layer in node.layers)
        if node.config is not None:
            kinds[node.config.digest] = "config" if is_image else "blob"
    return kinds


def _sizes(found: Tree) -> Iterator[Damage]:
    """One digest has one size: two manifests that say two are wrong, one of them at least."""
    known: dict[Digest, int] = {}
    for node in found.manifests.values():
        for one in (*node.blobs, *node.children):
            if known.setdefault(one.digest, one.size) != one.size:
                said = f"is said to have {known[one.digest]} and {one.size} bytes"
                yield Damage("manifest", node.digest, f"{node.digest}: {one.digest} {said}")


def _read_configs(context: Context, source: ImageReader, found: Tree) -> _Configs:
    """Read what the configs say is in each layer, and which configs are wrong."""
    expected: dict[Digest, tuple[Digest, ...]] = {}
    raws, failed = tree.read_configs(context, source, found.manifests.values())
    damage = [Damage("config", digest, str(error)) for digest, error in failed.items()]
    for node in found.manifests.values():
        raw = raws.get(node.config.digest) if node.config else None
        if raw is None or node.config is None:
            continue
        try:
            pairs = _pairs(node, raw)
        except ValueError as problem:
            what = f"{source.name}: config {node.config.digest}: {problem}"
            damage.append(Damage("config", node.config.digest, what))
            continue
        for layer, diff_id in pairs:
            known = expected.get(layer, ())
            expected[layer] = known if diff_id in known else (*known, diff_id)
    return _Configs(expected, tuple(damage), frozenset(raws), sum(map(len, raws.values())))


def _pairs(node: Manifest, config: bytes) -> list[tuple[Digest, Digest]]:
    root = load_json(config, "it").get("rootfs")
    ids = root.get("diff_ids") if isinstance(root, dict) else None
    if not isinstance(ids, list):
        if any(is_tar_layer(layer) for layer in node.layers):
            raise ValueError("it names no diff_ids")
        return []
    if len(ids) != len(node.layers):
        raise ValueError(f"it names {len(ids)} layers, manifest {node.digest} {len(node.layers)}")
    pairs = zip(node.layers, ids, strict=True)
    return [(layer.digest, Digest.parse(str(one))) for layer, one in pairs if is_tar_layer(layer)]


def is_tar_layer(layer: Descriptor) -> bool:
    """Return whether a layer is of a type that has a diff_id."""
    return layer.media_type in (*media.LAYER, *media.LAYER_GZIP, *media.LAYER_ZSTD) or media.is_foreign_layer(
        layer.media_type
    )


def _read(context: Context, source: ImageReader, blob: Descriptor, kind: str, expected: tuple[Digest, ...]) -> _Verdict:
    """Read a blob once, and compare its digest and, if there is one, its diff_id."""
    what = f"{source.name}: {kind} {blob.digest}"
    count = 0

    def blocks() -> Iterator[bytes]:
        nonlocal count
        for block in verified(source.blob(context, blob), blob, what):
            context.check()
            count += len(block)
            yield bytes(block)

    try:
        if not expected:
            for _ in blocks():
                pass
            return _Verdict((), count)
        return _compare(blocks(), what, kind, blob, expected, lambda: count)
    except OciPushError as error:
        if not tree.is_damage(error):
            raise (tree.registry_error(error) or error) from None
        return _Verdict((Damage(kind, blob.digest, str(error)),), count)


def _compare(
    blocks: Iterator[bytes],
    what: str,
    kind: str,
    blob: Descriptor,
    expected: tuple[Digest, ...],
    count: Callable[[], int],
) -> _Verdict:
    limits = Limits()
    running = {one.algorithm: one.new_hash() for one in expected}
    broken: SourceError | None = None
    try:
        for out in expanded(blocks, what, limits, ratio=limits.layer_ratio, free_bytes=limits.layer_free_bytes):
            for each in running.values():
                each.update(out)
    except SourceError as problem:
        broken = problem
    for _ in blocks:  # what the decoder has left unread counts for the digest, which explains a broken stream
        pass
    if broken is not None:
        raise broken
    found = tuple(
        Damage(
            kind,
            blob.digest,
            f"{what}: holds {one.algorithm}:{running[one.algorithm].hexdigest()}, the config says {one}",
        )
        for one in expected
        if not one.matches(running[one.algorithm])
    )
    return _Verdict(found, count(), 1)


def _ask(
    context: Context, source: ImageReader, client: RepositoryClient | None, blob: Descriptor, kind: str
) -> _Verdict:
    """Ask whether a blob is there and of what size, without reading it."""
    try:
        if client is None:
            source.blob(context, blob)
            return _Verdict()
        if client.has_blob(context, blob, push=False):
            return _Verdict()
    except OciPushError as error:
        if not tree.is_damage(error):
            raise
        return _Verdict((Damage(kind, blob.digest, str(error)),))
    return _Verdict((Damage(kind, blob.digest, f"{source.name}: {kind} {blob.digest}: is not there"),))
