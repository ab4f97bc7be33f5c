"""Which image of a store a name means, as podman finds it: by name, by ID, by digest.

A name without a registry is looked for as it was built (``localhost/NAME``), as Docker Hub's, and then under any
registry, where only one image has it. podman asks registries.conf which ones are meant; here what is there decides.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from oci_push.errors import SourceError
from oci_push.model.reference import DOCKER_HUB, canonical_host, is_host
from oci_push.sources.layout import listing
from oci_push.sources.storage.records import ImageRecord, Store

_ID = re.compile(r"[0-9a-f]{1,64}")
_WHOLE_ID = re.compile(r"[0-9a-f]{64}")


def find_image(stores: Sequence[Store], name: str) -> tuple[Store, ImageRecord]:
    """Return the image that `name` means, of the first store that has it; raises `SourceError`."""
    for look in (_named, _by_id, _under_any_registry):
        found = look(stores, name)
        distinct = {image.id: (store, image) for store, image in reversed(found)}
        if len(distinct) > 1:
            told = listing(f"{label(image)} ({image.id[:12]})" for _, image in found)
            raise SourceError(f"containers-storage:{name}: means several images", hint=f"name one of: {told}")
        if distinct:
            return next(iter(distinct.values()))
    there = listing(one for store in stores for image in store.images for one in image.names or (image.id[:12],))
    where = ", ".join(dict.fromkeys(str(store.place.root) for store in stores))
    raise SourceError(
        f"containers-storage:{name}: no such image in {where}",
        hint=f"there are: {there}" if there else "it is empty: images of root and of each user are apart",
    )


def label(image: ImageRecord) -> str:
    """Return what an image is called: its first name, else its ID."""
    return next(iter(image.names or ()), image.id)


def digest_of(name: str) -> str:
    """Return the digest in ``NAME@sha256:…``; empty where there is none."""
    digest = name.rpartition("@")[2] if "@" in name else ""
    return digest if ":" in digest else ""


def _named(stores: Sequence[Store], name: str) -> list[tuple[Store, ImageRecord]]:
    digest = digest_of(name)
    before = name.partition("@")[0] if digest else name
    images = [(store, image) for store in stores for image in store.images]
    if digest:
        images = [one for one in images if _has_digest(one[1], digest)]
        if not before:
            return images
    for wanted in _spelled(before, has_digest=bool(digest)):
        # One index can have brought images of several platforms: the one that was pulled by this digest has it as name.
        whole = f"{_repository(wanted)}@{digest}" if digest else wanted
        for store, image in images:
            if whole in (image.names or ()):
                return [(store, image)]
        of_repository = [
            one for one in images if digest and _repository(wanted) in map(_repository, one[1].names or ())
        ]
        if of_repository:
            return of_repository
    return []


def _spelled(name: str, *, has_digest: bool) -> Iterator[str]:
    """Return what a name may stand for, in podman's order."""
    if not name:
        return
    tagged = name if has_digest or ":" in name.rpartition("/")[2] else f"{name}:latest"
    yield tagged
    first, slash, rest = tagged.partition("/")
    if slash and is_host(first):
        first = canonical_host(first)
        yield f"{first}/{rest}"
        if first == DOCKER_HUB and "/" not in rest:
            yield f"{first}/library/{rest}"
        return
    yield f"localhost/{tagged}"
    yield f"{DOCKER_HUB}/{tagged}" if slash else f"{DOCKER_HUB}/library/{tagged}"


def _has_digest(image: ImageRecord, digest: str) -> bool:
    kept = (image.big_data_digests or {}).items()  # its config and signatures among it
    return digest == image.digest or any(one == digest for key, one in kept if key.startswith("manifest"))


def _repository(name: str) -> str:
    bare = name.partition("@")[0]
    return bare[: -len(bare.rpartition(":")[2]) - 1] if ":" in bare.rpartition("/")[2] else bare


def _by_id(stores: Sequence[Store], name: str) -> list[tuple[Store, ImageRecord]]:
    """Return images by ID: whole, the beginning of one, or ``NAME@ID`` as other programs of the family write it."""
    wanted = name.rpartition("@")[2].removeprefix("sha256:")
    if not (_WHOLE_ID if "@" in name[1:] else _ID).fullmatch(wanted):
        return []
    images = [(store, image) for store in stores for image in store.images]
    return [one for one in images if one[1].id == wanted] or [one for one in images if one[1].id.startswith(wanted)]


def _under_any_registry(stores: Sequence[Store], name: str) -> list[tuple[Store, ImageRecord]]:
    digest = digest_of(name)
    bare = name.partition("@")[0] if digest else name
    first, slash, _ = bare.partition("/")
    if not bare or (slash and is_host(first)):
        return []
    wanted = f"/{bare if digest or ':' in bare.rpartition('/')[2] else f'{bare}:latest'}"
    return [
        (store, image)
        for store in stores
        for image in store.images
        if not digest or _has_digest(image, digest)
        if any(one.endswith(wanted) or (digest and _repository(one).endswith(wanted)) for one in image.names or ())
    ]
