"""What refers to an image comes along with a copy: referrers, those of referrers, and cosign's tags, byte for byte.

A registry tells of referrers by its list or under a tag that clients keep (distribution-spec, "Listing Referrers");
cosign puts signatures, attestations and bills of materials under tags made of a digest. Where the source's tags are
known, what is not among them is not asked for. At the target the list is kept as at any push of a manifest with a
subject, never by taking the source's list over: others may have put in something there.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from functools import partial

from msgspec import Struct

from oci_push.engine.copying.tag_lists import Side, TagLists
from oci_push.engine.looking.attached import cosign_kind, is_referrer_tag, listed, signed
from oci_push.engine.push import PushOptions
from oci_push.engine.pusher import Pusher
from oci_push.engine.unit import PushUnit, UnitTarget, perform, rules_at
from oci_push.errors import OciPushError, SourceError
from oci_push.events import Emit, LogMessage, quieter
from oci_push.model import media
from oci_push.model.descriptor import Descriptor
from oci_push.model.digest import Digest
from oci_push.model.reference import Reference
from oci_push.protocol.referrers import Api, ask_api, entry_of, fallback_tag
from oci_push.runtime.context import Context
from oci_push.runtime.single_flight import SingleFlight
from oci_push.runtime.tasks import do_all
from oci_push.sources.layout import REF_NAME, LayoutSource
from oci_push.sources.platforms import MAX_DEPTH, MAX_MANIFESTS
from oci_push.sources.table import GRAMMAR

_AT_ONCE = 8
_KINDS = (
    ("sbom", ("spdx", "cyclonedx", "syft", "sbom")),
    ("attestation", ("in-toto", "attestation", "slsa", "provenance")),
    ("signature", ("signature", "cosign", ".sig", "sigstore")),
)
"""What an artifact type is taken for by the words in it; other types count as referrers and no more."""
_BUNDLE_CONTENT, _BUNDLE_TYPE = "dev.sigstore.bundle.content", "dev.sigstore.bundle.predicateType"
_SIGNED = "https://sigstore.dev/cosign/sign/v1"


class Referred(Struct, frozen=True):
    """What came along: how many of each kind, of them how many were there already, and what failed."""

    counts: Mapping[str, int]
    there: int
    errors: tuple[OciPushError, ...]

    @property
    def count(self) -> int:
        """Return how many there are in all."""
        return sum(self.counts.values())


class Referrer(Struct, frozen=True):
    """One manifest that refers to another; `tag` is cosign's, empty for one that names its subject itself."""

    digest: Digest
    media_type: str
    kind: str
    tag: str = ""


def kind_of(descriptor: Descriptor) -> str:
    """Return what a referrer is, told by its artifact type."""
    kind = descriptor.artifact_type.lower()
    if descriptor.annotations.get(_BUNDLE_TYPE) == _SIGNED:
        return "signature"
    if descriptor.annotations.get(_BUNDLE_CONTENT) == "dsse-envelope":
        return "attestation"
    return next((name for name, words in _KINDS if any(word in kind for word in words)), "other")


class ReferrerCopy:
    """Copy what refers to images, each once in a run; shared by its threads."""

    def __init__(self, pusher: Pusher, lists: TagLists, push: PushOptions, emit: Emit) -> None:
        self._pusher = pusher
        self._lists = lists
        self._emit = emit
        self._options = PushOptions(push.verify, tells_what_stays=False)
        self._lock = threading.Lock()
        self._asked: set[tuple[Side, Side, Digest]] = set()
        self._apis: SingleFlight[Side, Api] = SingleFlight()
        self._stored: SingleFlight[str, Mapping[Digest, Sequence[Referrer]]] = SingleFlight()
        self._counted: set[tuple[Side | str, Digest, str]] = set()
        self._counts: dict[str, int] = {}
        self._there = 0
        self._errors: list[OciPushError] = []

    def total(self) -> Referred:
        """Return what came along so far."""
        with self._lock:
            return Referred(dict(self._counts), self._there, tuple(self._errors))

    def copy(
        self, context: Context, emit: Emit, origin: Side, targets: Sequence[Side], manifests: Sequence[Digest]
    ) -> None:
        """Copy what refers to manifests that are at the targets by now; what fails is kept, and the rest goes on."""
        others = [one for one in targets if one.repository != origin.repository]
        level = list(dict.fromkeys(manifests))
        seen = set(level)
        for _ in range(MAX_DEPTH):
            jobs = [partial(self._follow, emit=emit, origin=origin, targets=others, subject=one) for one in level]
            answers = do_all(context, jobs, limit=_AT_ONCE, stop_on_error=False)
            found = dict.fromkeys(one for answer in answers for one in answer)
            level = [one for one in found if one not in seen]
            seen.update(level)
            if not level or not others:
                return
            if len(seen) > MAX_MANIFESTS:
                self.fail(OciPushError(f"{origin.repository}: more than {MAX_MANIFESTS} referrers of one image"))
                return
        self.fail(OciPushError(f"{origin.repository}: referrers refer to one another more than {MAX_DEPTH} deep"))

    def copy_stored(
        self, context: Context, emit: Emit, source: str, targets: Sequence[Side], manifests: Sequence[Digest]
    ) -> None:
        """Copy what a layout lists that refers to its manifests, which are at the targets by now; failures are kept."""
        spec = GRAMMAR.parse(source)
        if spec.kind == "stdin":  # which is read once
            return
        place = f"{'' if spec.kind == 'file' else f'{spec.kind}:'}{spec.path}"
        stored = self._stored.get(place, lambda: self._in_layout(context, source))
        level, seen = list(manifests), set(manifests)
        while level:
            found = {one.digest: one for about in level for one in stored.get(about, ()) if one.digest not in seen}
            for one in found.values():
                if self._send(context, emit, f"{place}@{one.digest}", "", targets, one):
                    self._count(place, one, was_there=False)
            level = list(found)
            seen.update(level)

    def _in_layout(self, context: Context, source: str) -> Mapping[Digest, Sequence[Referrer]]:
        """Return what a layout lists that refers to something, by that; it is read once for all of its images."""
        found: dict[Digest, list[Referrer]] = {}
        with self._pusher.open(source, context) as reader:
            for entry, about in reader.all_referrers(context) if isinstance(reader, LayoutSource) else ():
                name = entry.annotations.get(REF_NAME, "")
                tag = name if is_referrer_tag(name) else ""
                kind = cosign_kind(tag) or kind_of(entry_of(reader.manifest(context, entry)))
                found.setdefault(about, []).append(Referrer(entry.digest, entry.media_type, kind, tag))
        return found

    def manifests_of(self, context: Context, origin: Side, digest: Digest, media_type: str) -> tuple[Digest, ...]:
        """Return the manifests of an image that is not pushed: of an index what it lists, its own digest last.

        Raises `SourceError` where there are more than a push would take.
        """
        if media_type not in media.INDEXES:
            return (digest,)
        found: dict[Digest, None] = {}
        level = [digest]
        for _ in range(MAX_DEPTH):
            below: list[Digest] = []
            for one in level:
                children = origin.client.fetch(context, Reference(origin.client.repository, "", one)).children
                manifests = [child for child in children if child.media_type in media.MANIFESTS]
                below += [c.digest for c in manifests if c.media_type in media.INDEXES and c.digest not in found]
                found.update(dict.fromkeys(child.digest for child in manifests))
                if len(found) > MAX_MANIFESTS:
                    raise SourceError(f"{origin.repository}@{digest}: more than {MAX_MANIFESTS} manifests")
            level = below
        return (*(one for one in found if one != digest), digest)

    def _follow(
        self, context: Context, emit: Emit, origin: Side, targets: Sequence[Side], subject: Digest
    ) -> list[Digest]:
        """Copy what refers to one manifest; return the manifests of it, which may be referred to themselves."""
        with self._lock:
            wanted = [one for one in targets if (origin, one, subject) not in self._asked]
            self._asked.update((origin, one, subject) for one in wanted)
        if not wanted:
            return []
        below: list[Digest] = []
        try:
            found = self._find(context, origin, subject)
            there = {one: self._there_of(context, one, subject, found) for one in wanted}
        except OciPushError as error:
            context.check()
            self.fail(error)
            return []
        for one in found:
            missing = [target for target in wanted if (one.digest, one.tag) not in there[target]]
            below += self._bring(context, emit, origin, missing, one)
        return below

    def _find(self, context: Context, origin: Side, subject: Digest) -> list[Referrer]:
        """Ask the source what refers to a manifest."""
        client, names = origin.client, self._lists.known(origin)
        keeps_lists = self._keeps_lists(context, origin, subject)
        entries = listed(context, client, subject, has_api=keeps_lists, names=names).entries
        found = [Referrer(one.digest, one.media_type, kind_of(one)) for one, _ in entries]
        tagged = signed(context, client, [subject], names)
        found += [Referrer(one.descriptor.digest, one.descriptor.media_type, one.kind, one.tag) for one in tagged]
        return found

    def _there_of(
        self, context: Context, target: Side, subject: Digest, wanted: Sequence[Referrer]
    ) -> set[tuple[Digest, str]]:
        """Ask a target which of what refers to a manifest is there, and found from it."""
        there: set[tuple[Digest, str]] = set()
        client, names, tag = target.client, self._lists.known(target), fallback_tag(subject)
        referring = [one for one in wanted if not one.tag]
        keeps_lists = self._keeps_lists(context, target, subject) if referring else False
        if referring and (keeps_lists or names is None or tag in names):
            entries = {one.digest for one in client.referrers(context, subject, has_api=keeps_lists).entries}
            # A list that clients keep may name what is gone.
            there = {
                (one.digest, "")
                for one in referring
                if one.digest in entries and (keeps_lists or self._is_there(context, target, one))
            }
        for one in wanted:
            if one.tag and (names is None or one.tag in names):
                head = client.head(context, one.tag, push=True)
                if head is not None and head.digest == one.digest:
                    there.add((one.digest, one.tag))
        return there

    def _keeps_lists(self, context: Context, side: Side, subject: Digest) -> bool:
        """Return whether a registry keeps lists itself; asked once, or each thread of the first ones would ask."""

        return self._apis.get(side, lambda: self._ask(context, side, subject)).is_there

    def _ask(self, context: Context, side: Side, subject: Digest) -> Api:
        found: Api = side.client.session.run(context, ask_api(side.client.repository, subject))
        if found.refused is not None:
            self._emit(
                LogMessage(
                    f"{found.refused}; only lists under tags and cosign's tags tell what refers to its images: if it"
                    " keeps lists itself, this login may not see them, and what is only there stays behind",
                    "warning",
                )
            )
        return found

    def _is_there(self, context: Context, target: Side, one: Referrer) -> bool:
        return target.client.head(context, str(one.digest), push=True) is not None

    def _bring(
        self, context: Context, emit: Emit, origin: Side, targets: Sequence[Side], one: Referrer
    ) -> tuple[Digest, ...]:
        source = f"docker://{origin.repository}@{one.digest}"
        if targets and not self._send(context, emit, source, origin.registry, targets, one):
            return ()
        self._count(origin, one, was_there=not targets)
        try:
            return self.manifests_of(context, origin, one.digest, one.media_type)
        except OciPushError as error:
            context.check()
            self.fail(error)
            return ()

    def _send(
        self, context: Context, emit: Emit, source: str, registry: str, targets: Sequence[Side], one: Referrer
    ) -> bool:
        """Push what refers to something; return whether it is there, else it is noted why not."""
        try:
            targets = [to for to in targets if not self._joins(context, emit, source, registry, to, one)]
        except OciPushError as error:
            context.check()
            self._fail(error, one)
            return False
        if not targets:
            return True
        unit = PushUnit(
            source,
            tuple(UnitTarget(t.repository, (one.tag,) if one.tag else (), t.registry) for t in targets),
            registry,
            is_final=True,
            options=self._options,
            is_beside=True,
        )
        done = perform(unit, self._pusher, context, quieter(emit))
        if done.error is not None:
            context.check()
            self._fail(done.error, one)
        return done.error is None

    def _joins(self, context: Context, emit: Emit, source: str, registry: str, target: Side, one: Referrer) -> bool:
        """Keep the signatures that a target has under a tag; return whether those of the source are there, too."""
        names = self._lists.known(target)  # from before this run has signed anything
        signs = bool(rules_at(UnitTarget(target.repository, (), target.registry), self._pusher))
        if not one.tag or (names is not None and one.tag not in names and not signs):
            return False
        from oci_push.engine.copying.signature_tags import join_signatures  # cryptography takes its time to load

        pusher = self._pusher.speaking(quieter(emit))
        return join_signatures(context, pusher, source, registry, target, one.tag, self._options)

    def _fail(self, error: OciPushError, one: Referrer) -> None:
        what = one.kind if one.kind != "other" else "referrer"
        self.fail(error.with_more(f"; this is of the {what} {one.tag or one.digest}"))

    def _count(self, origin: Side | str, one: Referrer, *, was_there: bool) -> None:
        with self._lock:
            if (origin, one.digest, one.tag) not in self._counted:
                self._counted.add((origin, one.digest, one.tag))
                self._counts[one.kind] = self._counts.get(one.kind, 0) + 1
                self._there += was_there

    def fail(self, error: OciPushError) -> None:
        """Note why something that refers to an image has not come along."""
        with self._lock:
            self._errors.append(error)


def told(referred: Referred) -> str:
    """Return what came along in words: ``3 referrers: 2 signatures, 1 sbom``."""
    kinds = sorted(referred.counts, key=lambda kind: (kind == "other", kind))
    parts = [f"{referred.counts[kind]} {kind}{'s' * (referred.counts[kind] > 1 and kind != 'other')}" for kind in kinds]
    return f"{referred.count} referrer{'s' * (referred.count != 1)}: {', '.join(parts)}"


def together(found: Sequence[Referred]) -> Referred:
    """Return what came along with several copies as one sum."""
    counts: dict[str, int] = {}
    for one in found:
        for kind, count in one.counts.items():
            counts[kind] = counts.get(kind, 0) + count
    return Referred(counts, sum(one.there for one in found), tuple(error for one in found for error in one.errors))
