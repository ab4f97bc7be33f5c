"""What an index is to list, taken from images and indexes anywhere, and brought to its repository before it is stored.

A child that lies in the index's own repository costs one HEAD; every other is pushed by its digest alone, so its blobs
are mounted where that goes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

from msgspec import Struct

from oci_push.engine.editing.index_draft import Draft, Entry, images, only_for
from oci_push.engine.editing.index_store import BROUGHT, THERE
from oci_push.engine.looking import tree
from oci_push.engine.pusher import Pusher
from oci_push.errors import ConfigError, NotFoundError
from oci_push.events import Emit, Event, LogMessage, ManifestDone
from oci_push.model import media
from oci_push.model.descriptor import Descriptor
from oci_push.model.digest import Digest
from oci_push.model.manifest import Manifest, load_json
from oci_push.model.outcomes import ManifestOutcome
from oci_push.model.platform import Platform
from oci_push.model.reference import Repository
from oci_push.registry.repository import RepositoryClient
from oci_push.runtime.context import Context
from oci_push.runtime.tasks import do_all
from oci_push.sources.base import ImageReader
from oci_push.sources.part import PartSource


class Part(Struct, frozen=True):
    """A child to be: how it is listed, and the source that it is read from."""

    entry: Entry
    source: ImageReader


class Given(Struct, frozen=True):
    """One image or index that is to be taken: its open source, and what it runs on where the user has said that."""

    source: ImageReader
    platform: Platform | None = None


def take(
    context: Context, given: Sequence[Given], emit: Emit, *, platforms: Sequence[Platform] = (), nested: bool = False
) -> list[Part]:
    """Return the children that images and indexes give: of an index its own, unless it is `nested` as it is.

    With `platforms` only these images of indexes, each of which must be there. Raises `ConfigError`, `SourceError`.
    """
    taken: list[Part] = []
    for one in given:
        root = one.source.root(context)
        manifest = one.source.manifest(context, root)
        if manifest.media_type not in media.INDEXES or nested:
            if one.platform and manifest.media_type in media.INDEXES:
                raise ConfigError(f"{one.source.name}: is an index, which runs on no one platform")
            taken.append(Part(_described(context, one, manifest), one.source))
            continue
        if one.platform is not None:
            raise ConfigError(
                f"{one.source.name}: is an index, and {one.platform} says what one image runs on",
                hint=f"--platform {one.platform} takes only that image of each index",
            )
        entries = Draft.read(manifest, one.source.name).entries
        wanted = only_for(entries, platforms) if platforms else entries
        emit(LogMessage(f"{one.source.name}: is an index; {_counted(wanted)} of it are taken"))
        taken += [Part(_with_platform(context, one.source, entry), one.source) for entry in wanted]
    _check_platforms(taken, platforms)
    return taken


def _counted(entries: Sequence[Entry]) -> str:
    count = len(images(entries))
    more = len(entries) - count
    return f"{count} image{'s' * (count != 1)}" + (f" and {more} attached to them" if more else "")


def _check_platforms(taken: Sequence[Part], platforms: Sequence[Platform]) -> None:
    there = [one.entry.descriptor.platform for one in taken if not one.entry.is_attached]
    for wanted in platforms:
        if not any(platform is not None and platform.satisfies(wanted) for platform in there):
            known = ", ".join(dict.fromkeys(str(one) for one in there if one is not None))
            raise ConfigError(
                f"--platform {wanted}: no image that was named is for it", hint=f"there is: {known}" if known else None
            )


def _described(context: Context, given: Given, manifest: Manifest) -> Entry:
    """Return the entry of an image: what it runs on is what the user says, else what its config does."""
    entry = Entry.of(manifest.descriptor().to_json())
    if given.platform is not None:
        return entry.with_platform({**given.platform.to_json()})
    return _from_config(context, given.source, entry, manifest)


def _with_platform(context: Context, source: ImageReader, entry: Entry) -> Entry:
    """Return a child as its index lists it; where that names no platform, with that of its config."""
    is_image = entry.descriptor.media_type in media.IMAGES
    if not is_image or entry.is_attached or entry.descriptor.platform is not None:
        return entry
    return _from_config(context, source, entry, source.manifest(context, entry.descriptor))


def _from_config(context: Context, source: ImageReader, entry: Entry, manifest: Manifest) -> Entry:
    """Read what an image runs on; an artifact, which has no such config, stays without a platform."""
    config = manifest.config
    if config is None or config.media_type not in tree.IMAGE_CONFIGS:
        return entry
    try:
        said = load_json(tree.read_config(context, source, config), "config")
    except ValueError as problem:
        raise ConfigError(f"{source.name}: {problem}") from problem
    platform: dict[str, object] = dict(Platform.from_json(said).to_json())
    features = said.get("os.features")
    if isinstance(features, list) and features:
        platform["os.features"] = features
    if not (platform.get("os") and platform.get("architecture")):
        raise ConfigError(
            f"{source.name}: its config does not say what it runs on", hint="say so: REF=OS/ARCH[/VARIANT]"
        )
    return entry.with_platform(platform)


def bring(
    context: Context, pusher: Pusher, client: RepositoryClient, parts: Iterable[Part], listener: Callable[[], Emit]
) -> Mapping[Digest, str]:
    """See that every child is in the client's repository; return of each whether it was ``there`` or is ``brought``.

    Each push tells its events to a `listener` of its own. Raises the first failure when all that was begun has ended.
    """
    wanted = {one.entry.digest: one for one in parts}
    jobs = [partial(_bring_one, pusher=pusher, client=client, part=one, emit=listener()) for one in wanted.values()]
    return dict(zip(wanted, do_all(context, jobs, limit=tree.AT_ONCE), strict=True))


def _bring_one(context: Context, pusher: Pusher, client: RepositoryClient, part: Part, emit: Emit) -> str:
    child = part.entry.descriptor
    if child.media_type not in media.MANIFESTS:
        return _bring_blob(context, client, part)
    if _lies_in(part.source, client.repository):
        if part.source.root(context).digest == child.digest:
            return THERE  # it has just been read from there
        if client.head(context, str(child.digest)) is None:
            raise NotFoundError(f"{client.repository}@{child.digest}: is not there, so no index can list it")
        return THERE
    outcomes: list[ManifestOutcome] = []

    def listen(event: Event) -> None:
        if isinstance(event, ManifestDone) and event.digest == child.digest:
            outcomes.append(event.outcome)
        emit(event)

    target = pusher.target(client.repository, ())
    _, (result,) = pusher.speaking(listen).push(PartSource(part.source, child), (target,), context)
    if result.error is not None:
        raise result.error
    return THERE if outcomes == [ManifestOutcome.EXISTS] else BROUGHT


def _bring_blob(context: Context, client: RepositoryClient, part: Part) -> str:
    """Bring what an index lists and is no manifest (image-spec image-index.md lets it list anything)."""
    child = part.entry.descriptor
    if media.is_other_manifest(child.media_type):
        raise ConfigError(
            f"{part.source.name}: lists {child.digest} of type {child.media_type}, which cannot be pushed"
        )
    if client.has_blob(context, child):
        return THERE
    client.upload(context, child, part.source.blob(context, child))
    return BROUGHT


def _lies_in(source: ImageReader, repository: Repository) -> bool:
    if source.origin is None:
        return False
    return (source.origin[0].host, source.origin[1].path) == (repository.host, repository.path)


def new(
    entries: Iterable[Entry],
    *,
    docker: bool = False,
    annotations: Mapping[str, str | None] | None = None,
    artifact_type: str = "",
    subject: Descriptor | None = None,
) -> Draft:
    """Return an index of these children; raises `ConfigError` where docker's kind cannot hold what it is to."""
    kind = media.DOCKER_LIST if docker else media.OCI_INDEX
    fields: dict[str, object] = {"schemaVersion": 2, "mediaType": kind}
    if artifact_type:
        fields["artifactType"] = artifact_type
    fields["manifests"] = []
    if subject is not None:
        fields["subject"] = subject.to_json()
    draft = Draft(fields, (), kind).add(entries)
    if not draft.entries:
        raise ConfigError("the index would list nothing", hint="name the images that it is to have")
    return draft.checked().with_annotations(annotations or {})
