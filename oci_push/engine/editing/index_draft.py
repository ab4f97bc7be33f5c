"""An index while it is changed: what it lists, and everything else that stands in it, which stays as it was.

Pure values, without a registry. image-spec image-index.md and descriptor.md; docker image manifest version 2, schema 2,
"Manifest List". Fields that are not known here are kept, in the index and in each descriptor that it lists.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from msgspec import Struct, field
from msgspec.structs import replace

from oci_push.errors import ConfigError
from oci_push.model import media
from oci_push.model.descriptor import Descriptor
from oci_push.model.digest import Digest
from oci_push.model.manifest import Manifest, encode, load_json
from oci_push.model.platform import Platform
from oci_push.sources.platforms import MAX_MANIFESTS, is_attached

ABOUT = "vnd.docker.reference.digest"
"""The annotation by which BuildKit says which image of the index an attestation is about."""
_USUAL_VARIANTS = {"arm64": "v8", "arm": "v7"}
"""What an architecture is where it names no variant (containerd's platform normalisation)."""


class Entry(Struct, frozen=True):
    """One child as the index lists it: `raw` is the descriptor's JSON, `descriptor` what is known of it."""

    raw: Mapping[str, object]
    descriptor: Descriptor

    @classmethod
    def of(cls, raw: Mapping[str, object]) -> Entry:
        """Return the entry of a descriptor's JSON; raises ``ValueError``."""
        return cls(raw, Descriptor.from_json(raw))

    @property
    def digest(self) -> Digest:
        """Return the child's digest."""
        return self.descriptor.digest

    @property
    def is_attached(self) -> bool:
        """Return whether it is about an image, and none itself."""
        return is_attached(self.descriptor)

    @property
    def about(self) -> str:
        """Return the digest of the image that it is about; empty where it does not say, and for an image."""
        return self.descriptor.annotations.get(ABOUT, "") if self.is_attached else ""

    @property
    def named(self) -> str:
        """Return what people call it: its platform, what it is about, or nothing."""
        platform = self.descriptor.platform
        if self.is_attached:
            return "attestation" if self.about else "attached"
        if platform is None:
            return "index" if self.descriptor.media_type in media.INDEXES else "no platform"
        features = ",".join(self.features)
        return " ".join(part for part in (str(platform), platform.os_version, features) if part)

    @property
    def features(self) -> tuple[str, ...]:
        """Return the platform's ``os.features``, in order."""
        platform = self.raw.get("platform")
        found = platform.get("os.features") if isinstance(platform, dict) else None
        return tuple(sorted(one for one in found if isinstance(one, str))) if isinstance(found, list) else ()

    @property
    def runs_on(self) -> tuple[object, ...] | None:
        """Return what must not be the same of two images of an index; ``None`` for what is chosen by no platform."""
        platform = self.descriptor.platform
        if platform is None or self.is_attached or self.descriptor.media_type in media.INDEXES:
            return None
        variant = platform.variant or _USUAL_VARIANTS.get(platform.architecture, "")
        return platform.os, platform.architecture, variant, platform.os_version, self.features

    def with_platform(self, changes: Mapping[str, object]) -> Entry:
        """Return it with fields of its platform set, and those taken out whose value is ``None``."""
        before = self.raw.get("platform")
        platform = _with(before if isinstance(before, dict) else {}, changes)
        if not (platform.get("os") and platform.get("architecture")):
            raise ConfigError(f"{self.digest}: its platform has no os and architecture", hint="name it whole: OS/ARCH")
        return Entry.of({**self.raw, "platform": platform})

    def with_annotations(self, changes: Mapping[str, str | None]) -> Entry:
        """Return it with annotations set, and those taken out whose value is ``None``."""
        return Entry.of(annotated(self.raw, changes))


class Draft(Struct, frozen=True):
    """An index: `fields` are those beside what it lists."""

    fields: Mapping[str, object]
    entries: tuple[Entry, ...] = ()
    media_type: str = field(default=media.OCI_INDEX)

    @classmethod
    def read(cls, manifest: Manifest, name: str) -> Draft:
        """Return the index that a manifest is; `name` is what people call it. Raises `ConfigError` for an image."""
        if manifest.media_type not in media.INDEXES:
            raise ConfigError(
                f"{name}: is one image ({manifest.media_type}), and no index",
                hint=f"oci-push index create makes an index of images: it takes {name}, and others",
            )
        try:
            value = load_json(manifest.raw, "index", is_to_change=True)
        except ValueError as problem:
            raise ConfigError(f"{name}: {problem}") from problem
        listed = value["manifests"]
        entries = tuple(Entry.of(one) for one in listed) if isinstance(listed, list) else ()
        return cls(value, entries, manifest.media_type)

    @property
    def is_docker(self) -> bool:
        """Return whether it is docker's kind of index, which has no annotations."""
        return self.media_type == media.DOCKER_LIST

    def build(self) -> Manifest:
        """Return the manifest; raises `ConfigError` for one that no registry needs to take, or that is no JSON."""
        if len(self.entries) > MAX_MANIFESTS:
            raise ConfigError(f"the index would list {len(self.entries)} manifests, more than {MAX_MANIFESTS}")
        value = {**self.fields, "manifests": [dict(one.raw) for one in self.entries]}
        try:
            return Manifest.parse(encode(value), self.media_type)
        except ValueError as problem:
            raise ConfigError(f"the index that would be made is not valid: {problem}") from problem

    def checked(self) -> Draft:
        """Return it; raises `ConfigError` where it is docker's kind and lists what is not docker's."""
        other = next((one for one in self.entries if one.descriptor.media_type != media.DOCKER_MANIFEST), None)
        if self.is_docker and other is not None:
            raise ConfigError(
                f"{other.digest} ({other.named}) is {other.descriptor.media_type},"
                " and a docker manifest list has docker images alone",
                hint="an OCI index lists images of both kinds: oci-push index create without --docker",
            )
        return self

    def same_as(self, other: Draft) -> bool:
        """Return whether both say the same, however they are written."""
        return (self._rest(), [one.raw for one in self.entries]) == (other._rest(), [one.raw for one in other.entries])

    def _rest(self) -> dict[str, object]:
        return {key: value for key, value in self.fields.items() if key != "manifests"}

    def with_annotations(self, changes: Mapping[str, str | None]) -> Draft:
        """Return it with annotations of its own set, and those taken out whose value is ``None``."""
        return replace(self, fields=annotated(self.fields, changes))

    def add(self, more: Iterable[Entry], *, replaces: bool = False) -> Draft:
        """Return it with more children, each digest once.

        Raises `ConfigError` for a second image of one platform, which with `replaces` takes the first one's place and
        what was attached to it.
        """
        known = {(one.digest, one.runs_on) for one in self.entries}
        there = {one.runs_on: one for one in reversed(self.entries) if one.runs_on is not None}
        places: dict[int, Entry] = {}
        added: list[Entry] = []
        new: set[int] = set()
        for entry in more:
            if (entry.digest, entry.runs_on) in known:
                continue
            twin = there.get(entry.runs_on) if entry.runs_on is not None else None
            is_new = id(twin) in new
            if twin is not None and (is_new or not replaces):
                raise ConfigError(
                    f"{entry.named} is there twice: {twin.digest} and {entry.digest}",
                    hint="take one of them, or say what one really runs on: REF=OS/ARCH[/VARIANT]"
                    if is_new
                    else "--replace puts the new one in its place",
                )
            if twin is not None:
                places[id(twin)] = entry
            else:
                added.append(entry)
            new.add(id(entry))
            known.add((entry.digest, entry.runs_on))
            if entry.runs_on is not None:
                there[entry.runs_on] = entry
        placed = [each for one in self.entries for each in (places.get(id(one)), one) if each is not None]
        taken = {one.runs_on for one in places.values()}
        gone = [one for one in self.entries if one.runs_on is not None and one.runs_on in taken]
        return replace(self, entries=(*placed, *added)).without(gone)

    def without(self, gone: Iterable[Entry]) -> Draft:
        """Return it without some of its children, and without what is attached to an image that is then not there."""
        away = {id(one) for one in gone}
        kept = tuple(one for one in self.entries if id(one) not in away)
        left = {str(one.digest) for one in images(kept)}
        lost = {str(one.digest) for one in self.entries if id(one) in away} - left
        return replace(self, entries=tuple(one for one in kept if one.about not in lost))

    def find(self, text: str) -> tuple[Entry, ...]:
        """Return the children that a digest or platform means; raises `ConfigError` where there is none."""
        if ":" in text:
            try:
                digest = Digest.parse(text.removeprefix("@"))
            except ValueError as problem:
                raise ConfigError(f"{text!r}: {problem}", hint="write PLATFORM or sha256:…") from problem
            found = tuple(one for one in self.entries if one.digest == digest)
        else:
            wanted = parse_platform(text)
            found = tuple(one for one in images(self.entries) if _runs_on(one, wanted))
        if not found:
            known = ", ".join(dict.fromkeys(one.named for one in images(self.entries)))
            raise ConfigError(
                f"the index lists nothing for {text}", hint=f"it has: {known}" if known else "it is empty"
            )
        return found

    def change(self, these: Sequence[Entry], change: Callable[[Entry], Entry]) -> Draft:
        """Return it with some children changed; raises `ConfigError` where one is then for the platform of another."""
        chosen = {id(one) for one in these}
        entries = tuple(change(one) if id(one) in chosen else one for one in self.entries)
        there: dict[object, list[Entry]] = {}
        for one in entries:
            there.setdefault(one.runs_on, []).append(one)
        for before, after in zip(self.entries, entries, strict=True):
            twins = there[after.runs_on]
            if after.runs_on not in (None, before.runs_on) and len(twins) > 1:
                raise ConfigError(f"{after.named} would be there twice: {twins[0].digest} and {twins[1].digest}")
        return replace(self, entries=entries)


def images(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """Return those that are images or indexes, and not attached to one."""
    return tuple(one for one in entries if not one.is_attached)


def only_for(entries: Sequence[Entry], wanted: Sequence[Platform]) -> tuple[Entry, ...]:
    """Return the images for the platforms that are wanted, and what is attached to them."""
    found = [one for one in images(entries) if any(_runs_on(one, platform) for platform in wanted)]
    chosen, about = {id(one) for one in found}, {str(one.digest) for one in found}
    return tuple(one for one in entries if id(one) in chosen or one.about in about)


def _runs_on(entry: Entry, wanted: Platform) -> bool:
    platform = entry.descriptor.platform
    return platform is not None and platform.satisfies(wanted)


def parse_platform(text: str) -> Platform:
    """Read a platform; raises `ConfigError`."""
    try:
        return Platform.parse(text)
    except ValueError as problem:
        raise ConfigError(str(problem), hint="such as linux/amd64 or linux/arm/v7") from problem


def annotated(value: Mapping[str, object], changes: Mapping[str, str | None]) -> dict[str, object]:
    """Return a JSON object with annotations set, and those taken out whose value is ``None``; none are left empty."""
    before = value.get("annotations")
    after = _with(before if isinstance(before, dict) else {}, changes)
    changed = {**value, "annotations": after}
    if not after:
        del changed["annotations"]
    return changed


def _with(value: Mapping[str, object], changes: Mapping[str, object]) -> dict[str, object]:
    changed = {**value, **changes}
    return {key: one for key, one in changed.items() if one is not None or key not in changes}
