"""What must hold after a push, whatever broke: the judge of the sweeps.

Each tag names the image byte for byte, or what it named before; what is said of tags is true; errors are ours; no
thread is left, and no session that could have been closed.
"""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from equipment.faults import FaultScript
from equipment.traffic import Traffic
from images import Layout
from pushing import difference

from oci_push.engine.push import PushResult
from oci_push.errors import OciPushError
from oci_push.model.digest import Digest
from oci_push.model.manifest import Manifest
from oci_push.sandbox.store import StoredManifest, describe
from oci_push.sandbox.uploads import UploadInfo

_UPLOAD_ID = re.compile(r"/blobs/uploads/([0-9a-f-]{32,36})")
_JOIN_S = 60.0


class Store(Protocol):
    """Look at what a registry holds, and put things there, past its interface."""

    def tags(self, repository: str) -> tuple[str, ...]: ...
    def uploads(self) -> tuple[UploadInfo, ...]: ...
    def manifest(self, repository: str, reference: Digest | str) -> bytes | None: ...
    def blob_path(self, repository: str, digest: Digest | str) -> Path: ...
    def add_blob(self, repository: str, digest: Digest, file: Path) -> None: ...
    def add_manifest(self, repository: str, stored: StoredManifest, raw: bytes, tags: tuple[str, ...]) -> None: ...


class World(Protocol):
    """A registry whose requests can be broken, counted, and looked behind: the sandbox, or one that stands before
    a real registry."""

    faults: FaultScript
    traffic: Traffic

    @property
    def address(self) -> str: ...
    @property
    def url(self) -> str: ...
    @property
    def store(self) -> Store: ...
    @property
    def problems(self) -> tuple[Exception, ...]: ...


def plant(store: Store, repository: str, image: Layout, tags: Sequence[str]) -> None:
    """Put an image into a repository without any request."""
    waiting, nodes = [Digest.parse(image.digest)], list[Manifest]()
    while waiting:
        digest = waiting.pop()
        raw = (image.path / "blobs" / digest.algorithm / digest.encoded).read_bytes()
        nodes.append(Manifest.parse(raw, "", digest))
        waiting.extend(child.digest for child in nodes[-1].children)
    for blob in image.blobs:
        digest = Digest.parse(blob)
        copy = image.path / f"copy-{digest.encoded}"
        shutil.copyfile(image.path / "blobs" / digest.algorithm / digest.encoded, copy)
        store.add_blob(repository, digest, copy)
    for node in reversed(nodes):
        stored = describe(node.raw, node.media_type, node.digest)
        store.add_manifest(repository, stored, node.raw, tuple(tags) if str(node.digest) == image.digest else ())


def errors_wrong(errors: Sequence[BaseException], *, must_pass: bool) -> Iterator[str]:
    """Judge what was raised or given back."""
    for error in errors:
        if not isinstance(error, OciPushError) or not str(error):
            yield f"{type(error).__name__}: {error}"
    if must_pass and errors:
        yield f"not got over: {errors[0]}"


def tags_wrong(
    world: World, repository: str, tags: Sequence[str], image: Layout, before: Layout, *, is_done: bool
) -> Iterator[str]:
    """Judge where a repository's tags are."""
    for tag in tags:
        differs = difference(world, repository, tag, image)
        if differs and (is_done or difference(world, repository, tag, before)):
            yield f"wrong tag {repository}:{tag}: {differs}"
    strange = set(world.store.tags(repository)) - set(tags)
    if any(not tag.startswith("sha256-") for tag in strange):
        yield f"strange tags {strange}"


def words_wrong(world: World, results: Sequence[PushResult], image: Layout) -> Iterator[str]:
    """Judge what is said of tags: pushed is pushed, and what is said not to be pushed is not."""
    for result in results:
        for tag in result.tags:
            if tag.outcome == "unknown":
                continue
            is_said = tag.outcome in ("pushed", "unchanged")
            repository = result.repository.path
            raw = world.store.manifest(repository, tag.tag)
            is_so = raw is not None and str(Digest.of(raw)) == image.digest
            if is_said != is_so:
                names = "names" if is_so else "does not name"
                yield f"{repository}:{tag.tag} is said to be {tag.outcome}, and it {names} the image"


def threads_left() -> Iterator[str]:
    """Judge what still runs."""
    ours = [thread for thread in threading.enumerate() if thread.name.startswith("oci-push")]
    for thread in ours:
        thread.join(_JOIN_S)  # on a busy machine the last one may still be on its way out
        if thread.is_alive():
            yield f"thread left: {thread.name}"


def sessions_left(world: World, name: str) -> Iterator[str]:
    """Judge which uploads are open.

    The session of a POST that was broken is nobody's to close, and a DELETE that was broken itself is all that could
    be done. A registry that says that a session is gone or done, or sends us elsewhere for it, has only itself to ask;
    and so has one that wants to be left alone for longer than cleaning up may take, when the DELETE was to be repeated
    with a new token.
    """
    requests = world.traffic.select(path_pattern=f"/{name}/")
    known = {match for request in requests for match in _UPLOAD_ID.findall(request.path)}
    unheard = sum(1 for r in requests if r.method == "POST" and r.fault)
    is_held_off = any(r.fault and r.status in (429, 503) for r in requests)
    excused = [
        r
        for r in requests
        if r.status == 404
        or (is_held_off and r.method == "DELETE" and r.status == 401)
        or (r.fault and (r.method == "DELETE" or r.status == 204 or r.fault in ("Headers", "Redirect")))
    ]
    open_now = {u.id for u in world.store.uploads() if u.repository.startswith(f"{name}/")}
    open_now -= {match for r in excused for match in _UPLOAD_ID.findall(r.path)}
    if open_now & known or len(open_now - known) > unheard:
        yield f"sessions left open: {sorted(open_now)}"
