"""Inspecting an image: what its manifests, configs and referrers say, as one tree of values.

The values are the published form of ``inspect --json``. Sizes are in bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from msgspec import Struct, field
from msgspec.structs import replace

from oci_push.engine.looking import tree
from oci_push.engine.looking.attached import listed, signed
from oci_push.engine.looking.tree import Tree
from oci_push.errors import OciPushError
from oci_push.forms import VERSION, Version
from oci_push.model import media
from oci_push.model.descriptor import Descriptor
from oci_push.model.digest import Digest
from oci_push.model.manifest import Manifest, load_json
from oci_push.model.platform import Platform
from oci_push.registry.repository import RepositoryClient
from oci_push.runtime.context import Context
from oci_push.runtime.tasks import do_all
from oci_push.sources.base import ImageReader

_MOST_SHOWN = 16
"""How often a manifest is shown in full that indexes list again and again; some list one for several platforms."""
_ATTESTS = "vnd.docker.reference.digest"


class Layer(Struct, frozen=True):
    """One layer, with the step of the build that made it where the config tells."""

    digest: Digest
    size: int
    media_type: str
    created_by: str = ""
    urls: tuple[str, ...] = ()


class Step(Struct, frozen=True):
    """One entry of an image's history."""

    created: str
    created_by: str
    comment: str
    empty_layer: bool


class ImageConfig(Struct, frozen=True):
    """What a config says of how the image is run, and when it was made."""

    digest: Digest
    size: int
    created: str = ""
    author: str = ""
    user: str = ""
    working_dir: str = ""
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    exposed_ports: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    stop_signal: str = ""
    history: tuple[Step, ...] = ()
    diff_ids: tuple[str, ...] = ()


class Referrer(Struct, frozen=True):
    """What refers to a manifest; `found_by` is ``api`` or the tag that lists it."""

    digest: Digest
    media_type: str
    size: int
    artifact_type: str
    annotations: Mapping[str, str]
    found_by: str


class Signed(Struct, frozen=True):
    """A tag that cosign has made of a manifest's digest."""

    kind: str
    tag: str
    digest: Digest


class Node(Struct, frozen=True):
    """One manifest or index and what is below it; `problem` says why nothing is known of it.

    `content_size` is that of its blobs, each counted once. `attests` is the image that an attestation is about.
    """

    digest: Digest
    media_type: str
    size: int
    platform: str | None
    artifact_type: str
    annotations: Mapping[str, str]
    content_size: int
    subject: Digest | None
    attests: str | None
    config: ImageConfig | None
    layers: tuple[Layer, ...]
    manifests: tuple[Node, ...]
    referrers: tuple[Referrer, ...]
    signatures: tuple[Signed, ...]
    problem: str | None


class Inspection(Struct, frozen=True):
    """What ``inspect --json`` prints; `asked_for_referrers` says whether a registry was asked for them."""

    version: Version
    name: str
    asked_for_referrers: bool
    notes: tuple[str, ...]
    image: Node


class _Attached(Struct, frozen=True):
    referrers: Mapping[Digest, tuple[Referrer, ...]]
    signatures: Mapping[Digest, tuple[Signed, ...]]
    notes: tuple[str, ...]


def inspect(
    context: Context, source: ImageReader, client: RepositoryClient | None, platform: Platform | None = None
) -> Inspection:
    """Read an image and all that is said of it; with a `client` its registry is asked for what refers to it."""
    found = tree.read_tree(context, source, platform)
    configs, failed = tree.read_configs(context, source, found.manifests.values())
    attached = _attached(context, client, tuple(found.manifests)) if client else _Attached({}, {}, ())
    root = replace(found.root, annotations={})  # what a layout's index.json says of it is not the image's
    view = _View(found, configs, failed, attached)
    return Inspection(VERSION, source.name, client is not None, attached.notes, view.node(root, None))


class _View(Struct, frozen=True):
    """Put together what was read."""

    tree: Tree
    configs: Mapping[Digest, bytes]
    failed: Mapping[Digest, OciPushError]
    attached: _Attached
    times: dict[Digest, int] = field(default_factory=dict)
    sizes: dict[Digest, int] = field(default_factory=dict)
    said: dict[Digest, tuple[ImageConfig | None, str | None]] = field(default_factory=dict)

    def node(self, descriptor: Descriptor, outer: Platform | None) -> Node:
        digest = descriptor.digest
        manifest = self.tree.manifests.get(digest)
        raw = self.configs.get(manifest.config.digest) if manifest and manifest.config else None
        platform = tree.platform_of(descriptor, raw) or outer
        unread = self.tree.problems.get(digest)
        # An index may list a child any number of times, and that another: it is opened once, and what its config says
        # is read once and shown some times, or a few kB become all the memory there is.
        times = self.times[digest] = self.times.get(digest, 0) + 1
        children = manifest.children if manifest and times == 1 else ()
        config, problem = self._config(digest, manifest, raw)
        is_shown = times <= _MOST_SHOWN
        if not is_shown:
            config, problem = None, f"is listed more than {_MOST_SHOWN} times; nothing more is shown of it"
        return Node(
            digest,
            descriptor.media_type,
            descriptor.size,
            str(platform) if platform else None,
            descriptor.artifact_type or (manifest.artifact_type if manifest else ""),
            {**descriptor.annotations, **(manifest.annotations if manifest else {})},
            self._size(manifest),
            manifest.subject.digest if manifest and manifest.subject else None,
            descriptor.annotations.get(_ATTESTS),
            config,
            _layers(manifest, config) if manifest and is_shown else (),
            tuple(self.node(child, platform) for child in children),
            self.attached.referrers.get(digest, ()),
            self.attached.signatures.get(digest, ()),
            str(unread) if unread else problem,
        )

    def _config(
        self, digest: Digest, manifest: Manifest | None, raw: bytes | None
    ) -> tuple[ImageConfig | None, str | None]:
        if digest not in self.said:
            self.said[digest] = self._read_config(manifest, raw)
        return self.said[digest]

    def _read_config(self, manifest: Manifest | None, raw: bytes | None) -> tuple[ImageConfig | None, str | None]:
        if manifest is None or manifest.config is None:
            return None, None
        failed = self.failed.get(manifest.config.digest)
        if raw is None:
            return None, str(failed) if failed else None
        try:
            return image_config(raw, manifest.config), None
        except ValueError as problem:
            return None, str(problem)

    def _size(self, manifest: Manifest | None) -> int:
        if manifest is None:
            return 0
        if manifest.digest not in self.sizes:
            self.sizes[manifest.digest] = sum(blob.size for blob in _below(self.tree, manifest).values())
        return self.sizes[manifest.digest]


def _below(found: Tree, manifest: Manifest) -> dict[Digest, Descriptor]:
    blobs: dict[Digest, Descriptor] = {}
    waiting, seen = [manifest], {manifest.digest}
    while waiting:
        one = waiting.pop()
        blobs.update((blob.digest, blob) for blob in one.blobs)
        for child in one.children:
            below = found.manifests.get(child.digest)
            if below is not None and child.digest not in seen:
                seen.add(child.digest)
                waiting.append(below)
    return blobs


def image_config(raw: bytes, descriptor: Descriptor) -> ImageConfig:
    """Read an image's config (image-spec config.md); what has another type than it should is left out.

    Raises ``ValueError`` for what is no JSON object.
    """
    value = load_json(raw, "config")
    runs = _object(value.get("config"))
    root = _object(value.get("rootfs"))
    history = value.get("history")
    return ImageConfig(
        descriptor.digest,
        descriptor.size,
        _text(value, "created"),
        _text(value, "author"),
        _text(runs, "User"),
        _text(runs, "WorkingDir"),
        _texts(runs.get("Entrypoint")),
        _texts(runs.get("Cmd")),
        _texts(runs.get("Env")),
        {key: one for key, one in _object(runs.get("Labels")).items() if isinstance(one, str)},
        tuple(_object(runs.get("ExposedPorts"))),
        tuple(_object(runs.get("Volumes"))),
        _text(runs, "StopSignal"),
        tuple(_step(_object(one)) for one in history) if isinstance(history, list) else (),
        _texts(root.get("diff_ids")),
    )


def _step(value: Mapping[str, object]) -> Step:
    return Step(
        _text(value, "created"), _text(value, "created_by"), _text(value, "comment"), value.get("empty_layer") is True
    )


def _layers(manifest: Manifest, config: ImageConfig | None) -> tuple[Layer, ...]:
    """Join layers with the history entries that made them, where there is one for each."""
    made = [step.created_by for step in config.history if not step.empty_layer] if config else []
    steps = made if len(made) == len(manifest.layers) else [""] * len(manifest.layers)
    return tuple(
        Layer(one.digest, one.size, one.media_type, step, one.urls)
        for one, step in zip(manifest.layers, steps, strict=True)
    )


def _attached(context: Context, client: RepositoryClient, subjects: Sequence[Digest]) -> _Attached:
    """Ask what refers to each manifest: the root first, which tells whether the registry keeps lists at all."""
    notes: list[str] = []
    referrers: dict[Digest, tuple[Referrer, ...]] = {}
    has_api: bool | None = None

    def ask(inner: Context, subject: Digest) -> tuple[Digest, bool | None]:
        try:
            found = listed(inner, client, subject, has_api=has_api)
        except OciPushError as error:
            if not tree.is_damage(error):
                raise
            notes.append(str(error))
            return subject, None
        referrers[subject] = tuple(
            Referrer(one.digest, one.media_type, one.size, one.artifact_type, one.annotations, by)
            for one, by in found.entries
        )
        return subject, found.has_api

    has_api = ask(context, subjects[0])[1]
    do_all(context, [partial(ask, subject=one) for one in subjects[1:]], limit=tree.AT_ONCE, stop_on_error=False)
    signatures: dict[Digest, tuple[Signed, ...]] = {}
    for one in signed(context, client, subjects):
        known = signatures.get(one.subject, ())
        signatures[one.subject] = (*known, Signed(one.kind, one.tag, one.descriptor.digest))
    return _Attached(referrers, signatures, tuple(dict.fromkeys(notes)))


def is_index(node: Node) -> bool:
    """Return whether this is an index and no image."""
    return node.media_type in media.INDEXES


def _object(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _text(value: Mapping[str, object], key: str) -> str:
    found = value.get(key)
    return found if isinstance(found, str) else ""


def _texts(value: object) -> tuple[str, ...]:
    return tuple(one for one in value if isinstance(one, str)) if isinstance(value, list) else ()
