"""Indexes made of images that are elsewhere or here, and changed: children are brought first, then the index is stored.

A child that lies in the index's own repository costs one HEAD; every other is pushed by its digest alone, so its blobs
are mounted where that goes. The distribution API has no way to store a manifest only if a tag has not moved meanwhile:
before the PUT the tag is asked for once more, and what is written between the two is overwritten.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

from msgspec import Struct
from msgspec.structs import replace

from oci_push.engine import tree
from oci_push.engine.change import Tagged, put_tags
from oci_push.engine.index_draft import Draft, Entry, images, only_for
from oci_push.engine.left_behind import about
from oci_push.engine.pusher import Pusher
from oci_push.errors import ConfigError, NotFoundError, OciPushError
from oci_push.events import Emit, Event, LogMessage, ManifestDone
from oci_push.forms import VERSION, ErrorForm, Version
from oci_push.model import media
from oci_push.model.descriptor import Descriptor
from oci_push.model.digest import Digest
from oci_push.model.manifest import Manifest, load_json
from oci_push.model.outcomes import ManifestOutcome
from oci_push.model.platform import Platform
from oci_push.model.reference import Reference, Repository
from oci_push.registry.repository import RepositoryClient
from oci_push.runtime.context import Context
from oci_push.runtime.tasks import first_error, run_all
from oci_push.sources.base import ImageReader
from oci_push.sources.part import PartSource

KEPT, THERE, BROUGHT, REMOVED, CHANGED = "kept", "there", "brought", "removed", "changed"


class IndexChild(Struct, frozen=True):
    """One child, and what became of it: ``kept``, ``changed``, ``removed``, or new and ``there`` or ``brought``.

    `about` is the digest of the image that an attestation is about.
    """

    digest: Digest
    media_type: str
    size: int
    platform: str | None
    about: str | None
    outcome: str


class IndexChange(Struct, frozen=True):
    """What the commands of ``index`` print with ``--json``; `was` is what it was made of, null for a new index.

    `left` says what refers to `was` and does not come along.
    """

    version: Version
    repository: Repository
    was: Digest | None
    digest: Digest
    media_type: str
    size: int
    tags: tuple[Tagged, ...]
    children: tuple[IndexChild, ...]
    left: str | None


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
    outcomes = run_all(context, jobs, limit=tree.AT_ONCE, stop_on_error=True)
    error = first_error(outcomes)
    if error is not None:
        raise error
    return dict(zip(wanted, (outcome.get() for outcome in outcomes), strict=True))


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


class Was(Struct, frozen=True):
    """An index before it is changed: how it was named, its bytes, and what they say."""

    reference: Reference
    manifest: Manifest
    draft: Draft

    @property
    def tag(self) -> str:
        """Return the tag that it was read by; empty where it was by its digest."""
        return "" if self.reference.digest is not None else self.reference.tag


def read(context: Context, client: RepositoryClient, reference: Reference) -> Was:
    """Read the index that is to be changed; raises `ConfigError` for what is none."""
    try:
        manifest = client.fetch(context, replace(reference, repository=client.repository))
    except NotFoundError as error:
        raise error.with_hint("see what there is with oci-push tags; oci-push index create makes an index") from error
    return Was(reference, manifest, Draft.read(manifest, str(reference)))


def check_still(context: Context, client: RepositoryClient, reference: Reference, digest: Digest) -> None:
    """See that a tag still names what was read; raises `OciPushError` where somebody has moved it meanwhile."""
    there = client.head(context, reference.tag)
    if there is None or there.digest != digest:
        now = there.digest if there is not None else "nothing"
        raise OciPushError(
            f"{reference}: was changed by somebody else meanwhile: it was {digest} and is {now}; nothing was written",
            hint="the same command again works on what is there now",
        )


def store(
    context: Context,
    client: RepositoryClient,
    draft: Draft,
    tags: Sequence[str],
    outcomes: Mapping[Digest, str],
    was: Was | None = None,
    removed: Iterable[Entry] = (),
) -> tuple[IndexChange, dict[str, OciPushError]]:
    """Store an index under tags, or without any by its digest, and return what came of it, and errors by tag.

    `was` is what it was made of: where the index still says that, its bytes are kept, and where it goes to the tag that
    was read, the tag must still name it. `removed` are children that it had.
    """
    same = was is not None and draft.same_as(was.draft)
    made = was.manifest if was is not None and same else draft.build()
    to_be_set = [tag for tag in tags if was is None or not (same and tag == was.tag)]
    left = ""
    if was is not None and not same:
        left = about(context, client, [was.manifest.digest])
    if was is not None and was.tag in to_be_set:
        check_still(context, client, was.reference, was.manifest.digest)
    errors = put_tags(context, client, made, to_be_set) if to_be_set else {}
    if not tags and not same:
        client.put_manifest(context, made, str(made.digest))
    old = was.draft.entries if was is not None else ()
    kept, known = {id(one) for one in old}, {one.digest for one in old}
    children = [
        _child(one, KEPT if id(one) in kept else outcomes.get(one.digest, CHANGED if one.digest in known else THERE))
        for one in draft.entries
    ]
    children += [_child(one, REMOVED) for one in removed]
    return (
        IndexChange(
            VERSION,
            client.repository,
            was.manifest.digest if was is not None else None,
            made.digest,
            made.media_type,
            made.size,
            tuple(Tagged(tag, ErrorForm.or_none(errors.get(tag))) for tag in tags),
            tuple(children),
            left or None,
        ),
        errors,
    )


def _child(entry: Entry, outcome: str) -> IndexChild:
    one = entry.descriptor
    platform = str(one.platform) if one.platform is not None and not entry.is_attached else None
    return IndexChild(one.digest, one.media_type, one.size, platform, entry.about or None, outcome)


def subject(context: Context, client: RepositoryClient, reference: Reference) -> Descriptor:
    """Return the descriptor of what an index is to refer to, which must be there; raises `NotFoundError`."""
    there = client.head(context, reference.target)
    if there is None or there.digest is None:
        raise NotFoundError(f"{reference}: is not there, and the subject is to be it")
    return Descriptor(there.media_type, there.digest, there.size)


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
