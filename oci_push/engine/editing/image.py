"""An image or index of a registry changed where it is: only manifests and configs that are another now are sent.

`sources.rewriting.image` makes them; what it leaves as it was is in the repository already, layers above all, and is
neither read, asked for nor sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from msgspec import UNSET, Struct, UnsetType

from oci_push.engine.artifacts.attachment import AttachedForm
from oci_push.engine.editing.change import Sign, Tagged, put_tags
from oci_push.engine.editing.index_store import check_still
from oci_push.engine.graph import ImageGraph, walk
from oci_push.engine.left_behind import about
from oci_push.engine.looking import tree
from oci_push.engine.pusher import Pusher
from oci_push.engine.unit import PushUnit, UnitTarget, perform
from oci_push.errors import ConfigError, OciPushError
from oci_push.events import Emit, ignore
from oci_push.forms import VERSION, ErrorForm, Version
from oci_push.model import media
from oci_push.model.changes import AnnotationChange, Changes
from oci_push.model.descriptor import Descriptor
from oci_push.model.digest import Digest
from oci_push.model.manifest import Manifest
from oci_push.model.platform import Platform
from oci_push.model.reference import Destination, Reference, Repository
from oci_push.registry.repository import RepositoryClient
from oci_push.runtime.context import Context
from oci_push.runtime.tasks import do_all
from oci_push.sources.base import ImageReader
from oci_push.sources.platforms import is_attached
from oci_push.sources.rewriting.image import RewrittenImage
from oci_push.sources.settings import SourceSettings

T = TypeVar("T")
_DOCKER = frozenset({media.DOCKER_LIST, media.DOCKER_MANIFEST})
_MOST_ASKED = 20
"""Of how many manifests that have changed it is asked what refers to them."""


class EditedManifest(Struct, frozen=True):
    """One manifest that is another now; `platform` is null of an index, and where its index names none."""

    was: Digest
    digest: Digest
    media_type: str
    platform: str | None


class ImageEdit(Struct, frozen=True):
    """What ``annotate`` and ``mutate`` print with ``--json``: the image that was read, and what became of it.

    `manifests` are those that have changed below the root, null where the image went to another repository; `left` says
    what refers to the old ones and stays with them. `signed` is there where oci-push.yaml has such images signed.
    """

    version: Version
    repository: Repository
    was: Digest
    digest: Digest
    media_type: str
    size: int
    tags: tuple[Tagged, ...]
    manifests: tuple[EditedManifest, ...] | None
    left: str | None
    signed: tuple[AttachedForm, ...] | UnsetType = UNSET


def edit(
    context: Context,
    client: RepositoryClient,
    source: ImageReader,
    changes: Changes,
    reference: Reference,
    tags: Sequence[str],
    emit: Emit,
    sign: Sign | None = None,
) -> tuple[ImageEdit, dict[str, OciPushError]]:
    """Change what `source` reads from the client's own repository as `reference`, and store it under `tags`.

    Without tags it is stored by its digest. `sign` signs it before any tag names it. Returns what came of it, and
    errors by tag. Raises `ConfigError` for what the image cannot be changed to, `OciPushError` where the tag that was
    read has been moved meanwhile.
    """
    before = walk(context, source, emit=ignore)
    made = RewrittenImage(source, changes, SourceSettings(), context, emit)
    after = walk(context, made, emit=ignore)
    is_same = after.root.digest == before.root.digest
    left = ""
    if not is_same:
        _send(context, client, made, before, after)
        old = {node.digest for node in before.nodes} - {node.digest for node in after.nodes}
        left = about(context, client, [node.digest for node in before.nodes if node.digest in old][-_MOST_ASKED:])
    if not is_same and (sign is not None or not tags):
        client.put_manifest(context, after.root, str(after.root.digest))
    signed = sign(context, after.root.digest) if sign is not None else UNSET
    own = reference.tag if reference.digest is None else None
    wanted = [tag for tag in tags if not (is_same and tag == own)]
    if own in wanted:
        check_still(context, client, reference, before.root.digest)
    errors = put_tags(context, client, after.root, wanted) if wanted else {}
    return (
        ImageEdit(
            VERSION,
            client.repository,
            before.root.digest,
            after.root.digest,
            after.root.media_type,
            after.root.size,
            tuple(Tagged(tag, ErrorForm.or_none(errors.get(tag))) for tag in tags),
            tuple(dict.fromkeys(_edited(before, after, before.root, after.root))),
            left or None,
            signed,
        ),
        errors,
    )


def edit_elsewhere(
    context: Context, pusher: Pusher, source: str, changes: Changes, target: Destination, emit: Emit
) -> tuple[ImageEdit, dict[str, OciPushError]]:
    """Change what a SOURCE names while it is pushed to another repository; what comes back is as for `edit`."""
    targets = (UnitTarget(target.repository, target.tags),)
    done = perform(PushUnit(source, targets, is_final=True, changes=changes), pusher, context, emit)
    if done.error is not None and not done.results:
        raise done.error
    (result,) = done.results
    failed: dict[str, OciPushError] = {}
    if done.error is not None:
        failed = {one.tag: done.error for one in result.tags if not one.outcome.is_there}
        if not failed:
            raise done.error
    return (
        ImageEdit(
            VERSION,
            result.repository,
            done.changed.before if done.changed is not None else result.root,
            result.root,
            result.media_type,
            result.root_size,
            tuple(Tagged(one.tag, ErrorForm.or_none(failed.get(one.tag))) for one in result.tags),
            None,
            None,
            tuple(AttachedForm.of(one) for one in result.attached) or UNSET,
        ),
        failed,
    )


def _send(context: Context, client: RepositoryClient, made: ImageReader, before: ImageGraph, after: ImageGraph) -> None:
    """Send what is new, all but the root: configs, then images, then the indexes that list them."""
    blobs = {blob.digest for blob in before.blobs}
    nodes = {node.digest for node in before.nodes} | {after.root.digest}

    def upload(inner: Context, blob: Descriptor) -> None:
        client.upload(inner, blob, made.blob(inner, blob))

    def put(inner: Context, node: Manifest) -> None:
        client.put_manifest(inner, node, str(node.digest))

    _each(context, upload, [blob for blob in after.blobs if blob.digest not in blobs])
    new = [node for node in after.nodes if node.digest not in nodes]
    _each(context, put, [node for node in new if node.media_type not in media.INDEXES])
    for index in (node for node in new if node.media_type in media.INDEXES):  # children come before their parents
        put(context, index)


def _each(context: Context, act: Callable[[Context, T], None], items: Sequence[T]) -> None:
    """Do something with several things at once; raise the first failure when all that was begun has ended."""
    jobs = [lambda inner, item=item: act(inner, item) for item in items]
    do_all(context, jobs, limit=tree.AT_ONCE)


def _edited(before: ImageGraph, after: ImageGraph, old: Manifest, new: Manifest) -> Iterator[EditedManifest]:
    """Return what has changed below two manifests, which list the same in the same order."""
    olds = {node.digest: node for node in before.nodes}
    news = {node.digest: node for node in after.nodes}
    for was, now in zip(old.children, new.children, strict=True):
        if was.digest == now.digest or was.digest not in olds or now.digest not in news:
            continue
        yield EditedManifest(was.digest, now.digest, now.media_type, _platform(now))
        yield from _edited(before, after, olds[was.digest], news[now.digest])


def _platform(entry: Descriptor) -> str | None:
    return str(entry.platform) if entry.platform is not None and not is_attached(entry) else None


def annotations_of(
    context: Context,
    source: ImageReader,
    annotations: dict[str, str | None],
    *,
    images: bool = False,
    platform: Platform | None = None,
) -> Changes:
    """Return the changes that annotate an image or index, with `images` its images as well, or those of a `platform`.

    Raises `ConfigError` for what is no index and has no images in it, and for docker's form, which has no annotations.
    """
    graph = walk(context, source, emit=ignore)
    is_index = graph.root.media_type in media.INDEXES
    if not is_index and (images or platform is not None):
        option = "--images" if images else "--platform"
        raise ConfigError(f"{source.name}: {option} has no effect: it is one image, and no index", hint="leave it out")
    places = ["manifest"] if images or platform is not None or not is_index else []
    places += ["index"] if is_index and platform is None else []
    nodes = [node for node in graph.nodes if node.media_type in media.IMAGES] if "manifest" in places else []
    nodes += [graph.root] if "index" in places else []
    docker = next((node for node in nodes if node.media_type in _DOCKER), None)
    if docker is not None and any(value is not None for value in annotations.values()):
        raise ConfigError(
            f"{source.name}: {docker.digest} is {docker.media_type}, which has no annotations",
            hint="OCI's form has: oci-push push SOURCE DESTINATION --format oci --annotation KEY=VALUE",
        )
    return Changes(
        annotations=tuple(
            AnnotationChange(key, value, on, platform if on == "manifest" else None)
            for key, value in annotations.items()
            for on in places
        )
    )
