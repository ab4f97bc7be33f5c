"""OCI image layouts, in a folder or in a tar (image-spec image-layout.md)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from msgspec.structs import replace

from oci_push.errors import ContentMismatchError, SourceError
from oci_push.model import media
from oci_push.model.descriptor import Descriptor
from oci_push.model.digest import Digest
from oci_push.model.manifest import Manifest, load_json
from oci_push.model.platform import Platform
from oci_push.model.reference import Reference
from oci_push.protocol.call import Body, BytesBody
from oci_push.runtime.context import Context
from oci_push.sources.base import ImageReader
from oci_push.sources.files import SpoolSpace
from oci_push.sources.platforms import PlatformSearch, is_attached
from oci_push.sources.readers import View, read_small
from oci_push.sources.settings import Limits

REF_NAME = "org.opencontainers.image.ref.name"
_MOST_LISTED, _LONGEST = 20, 100
_IMAGE_NAME = "io.containerd.image.name"
_NO_LAYOUT = "an OCI image layout holds oci-layout, index.json and blobs: name the one that does"


class LayoutSource(ImageReader):
    """One image of a layout. `ref` is a ref name, a ``@digest``, or empty where there is one image."""

    def __init__(self, view: View, ref: str, limits: Limits, spool: SpoolSpace) -> None:
        super().__init__(view.name, spool)
        self._view = view
        self._ref = ref
        self._limits = limits

    def check_asked(self, platform: Platform | None) -> None:
        """Do nothing: the image goes out as it is."""

    def root(self, context: Context, platform: Platform | None = None) -> Descriptor:
        """Choose the manifest that the reference names, or of several the one that has an image for `platform`."""
        context.check()
        _check_version(self._view, self._limits)
        entries = index_entries(self._view, self._limits)
        found = counted(entries, self._ref, self.name, lambda entry: self._is_referrer(context, entry))
        if len(found) > 1 and platform is not None:
            matching = [one for one in found if PlatformSearch(context, self, platform).find(one) is not None]
            found = tuple(matching) if len(matching) == 1 else found
        if len(found) > 1:
            search = PlatformSearch(context, self, None)
            images = [one for one in found[:_MOST_LISTED] if one.media_type in media.IMAGES and one.platform is None]
            told = {one.digest: replace(one, platform=search.of_config(one)) for one in images}
            found = tuple(told.get(one.digest, one) for one in found)
        return only(found, self.name)

    def names(self) -> tuple[tuple[str, Digest], ...]:
        """Return the name and digest of each image that has a name, in the order of ``index.json``."""
        _check_version(self._view, self._limits)
        entries = index_entries(self._view, self._limits)
        return tuple((one.annotations[REF_NAME], one.digest) for one in entries if one.annotations.get(REF_NAME))

    def _is_referrer(self, context: Context, entry: Descriptor) -> bool:
        return entry.media_type in media.MANIFESTS and self.manifest(context, entry).subject is not None

    def referrers(self, context: Context, subjects: Collection[Digest]) -> tuple[tuple[Descriptor, Digest], ...]:
        """Return what index.json lists that refers to one of these manifests, each with that one.

        A referrer names its subject, as ORAS lists them; cosign's have a name that is made of its digest.
        """
        tags = {f"{one.algorithm}-{one.encoded}": one for one in subjects}
        found: dict[Digest, tuple[Descriptor, Digest]] = {}
        for entry in index_entries(self._view, self._limits):
            tag, dot, _ = entry.annotations.get(REF_NAME, "").partition(".")
            about = tags.get(tag) if dot else None
            if about is None and entry.media_type in media.MANIFESTS and entry.digest not in subjects:
                subject = self.manifest(context, entry).subject
                about = subject.digest if subject is not None and subject.digest in subjects else None
            if about is not None:
                found.setdefault(entry.digest, (entry, about))
        return tuple(found.values())

    def manifest(self, context: Context, descriptor: Descriptor) -> Manifest:
        """Return a manifest; checks size, digest and form."""
        context.check()
        what = f"{self.name}: manifest {descriptor.digest}"
        if descriptor.size > media.MAX_MANIFEST_BYTES:
            raise SourceError(f"{what} has {descriptor.size} bytes, over the limit of {media.MAX_MANIFEST_BYTES}")
        body = self.blob(context, descriptor)
        raw = body.data if isinstance(body, BytesBody) else b"".join(bytes(b) for b in body.blocks())
        try:
            return Manifest.parse(raw, descriptor.media_type, descriptor.digest)
        except ValueError as problem:
            kind = ContentMismatchError if "expected" in str(problem) else SourceError
            raise kind(f"{self.name}: {problem}") from problem

    def blob(self, context: Context, descriptor: Descriptor) -> Body:
        """Return a blob's bytes; it must be there with the size its descriptor says."""
        context.check()
        if descriptor.data is not None:
            return BytesBody(descriptor.data)
        path = blob_path(descriptor.digest)
        body = self._view.find(path)
        if body is None:
            raise SourceError(
                f"{self.name}: {path} is missing ({descriptor.media_type})",
                hint="the layout is incomplete: it was copied without all of its blobs",
            )
        if body.size != descriptor.size:
            raise ContentMismatchError(
                f"{self.name}: {path} has {body.size} bytes, its manifest says {descriptor.size}"
            )
        return body


def blob_path(digest: Digest) -> str:
    """Return a blob's place in a layout."""
    return f"blobs/{digest.algorithm}/{digest.encoded}"


def index_entries(view: View, limits: Limits) -> tuple[Descriptor, ...]:
    """Return what ``index.json`` lists; raises `SourceError`."""
    raw = read_small(view, "index.json", limits)
    if raw is None:
        raise SourceError(f"{view.name}: has no index.json", hint=_NO_LAYOUT)
    try:
        listed = load_json(raw, "index.json").get("manifests")
        if not isinstance(listed, list):
            raise ValueError("index.json has no list of manifests")
        return tuple(Descriptor.from_json(item, f"index.json manifests[{n}]") for n, item in enumerate(listed))
    except ValueError as problem:
        raise SourceError(f"{view.name}: {problem}") from problem


def counted(
    entries: tuple[Descriptor, ...], ref: str, name: str, is_referrer: Callable[[Descriptor], bool]
) -> tuple[Descriptor, ...]:
    """Return the entries that `ref` names, or all, each digest once; what is attached to an image counts only alone.

    Raises `SourceError` where there is none.
    """
    if not entries:
        raise SourceError(f"{name}: holds no image")
    found = [entry for entry in entries if not ref or _is_named(entry, ref)]
    if not found:
        raise SourceError(
            f"{name}: holds no image {ref!r}", hint=f"it holds: {listing(_label(entry) for entry in entries)}"
        )
    distinct = tuple({entry.digest: entry for entry in reversed(found)}.values())[::-1]
    if len(distinct) > 1:
        images = tuple(one for one in distinct if not is_attached(one) and not is_referrer(one))
        distinct = images or distinct
    return distinct


def only(found: tuple[Descriptor, ...], name: str) -> Descriptor:
    """Return the one there is; several are an error that lists them."""
    if len(found) == 1:
        return found[0]
    listed = listing(_label(entry) for entry in found)
    raise SourceError(
        f"{name}: holds several images, say which",
        hint=f"it holds: {listed}; write {name}:NAME, {name}@DIGEST, or give --platform where only that differs",
    )


def listing(names: Iterable[str]) -> str:
    """Return names for people, the first ones: an archive may hold thousands, each as long as it likes."""
    distinct = list(dict.fromkeys(names))
    shown = [name if len(name) <= 3 * _LONGEST else f"{name[:_LONGEST]}…" for name in distinct[:_MOST_LISTED]]
    more = len(distinct) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def _is_named(entry: Descriptor, ref: str) -> bool:
    if ref.startswith("@"):
        return str(entry.digest) == ref[1:]
    names = (entry.annotations.get(REF_NAME, ""), entry.annotations.get(_IMAGE_NAME, ""))
    return any(same_name(name, ref) for name in names if name)


def same_name(name: str, ref: str) -> bool:
    """Return whether `ref` means the image called `name`: the same text, its tag, or the same familiar reference."""
    if name == ref or (":" in name.rpartition("/")[2] and name.rpartition(":")[2] == ref):
        return True
    try:
        return Reference.parse(name) == Reference.parse(ref)
    except ValueError:
        return False


def _label(entry: Descriptor) -> str:
    name = entry.annotations.get(REF_NAME) or entry.annotations.get(_IMAGE_NAME) or ""
    shown = name if len(name) <= _LONGEST else f"{name[:_LONGEST]}…"
    return f"{shown}@{entry.digest}" + (f" ({entry.platform})" if entry.platform else "")


def _check_version(view: View, limits: Limits) -> None:
    raw = read_small(view, "oci-layout", limits)
    if raw is None:
        raise SourceError(f"{view.name}: has no oci-layout file", hint=_NO_LAYOUT)
    try:
        version = load_json(raw, "oci-layout").get("imageLayoutVersion")
    except ValueError as problem:
        raise SourceError(f"{view.name}: {problem}") from problem
    if not isinstance(version, str) or not version.startswith("1."):
        raise SourceError(f"{view.name}: layout version {version!r} is not supported (1.x is)")
