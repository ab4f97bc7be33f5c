"""Referrers: manifests with a subject, and what must be done where the registry keeps no list of them.

Rules: distribution-spec, "Pushing Manifests with Subject", "Referrers Tag Schema" and "Listing Referrers". The list is
then an index under a tag made of the subject's digest. How it is kept whole while others write it too is the business
of `registry.referrers_list`.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from msgspec import Struct
from msgspec.structs import replace

from oci_push.errors import NotFoundError, ProtocolViolationError, RegistryError
from oci_push.model import media
from oci_push.model.descriptor import Descriptor
from oci_push.model.digest import Digest
from oci_push.model.manifest import Manifest, encode, load_json
from oci_push.model.reference import Reference, Repository
from oci_push.protocol import endpoints, manifests
from oci_push.protocol.call import Call, Flow, Reply

_MAX_REFERRERS = 10_000
_NO_API = frozenset({400, 401, 403, 404, 405, 406, 501})


class Referrers(Struct, frozen=True):
    """What refers to a subject; `has_api` says that the registry keeps the list itself, not clients under a tag."""

    entries: tuple[Descriptor, ...]
    has_api: bool


def with_entry(before: Manifest | None, manifest: Manifest) -> Manifest:
    """Make the list that holds `manifest` beside what is listed already, and all else that others have written there.

    Raises `ProtocolViolationError` for a list that is full, or cannot be written again as it stands.
    """
    subject = manifest.subject.digest if manifest.subject else "nothing"
    value: dict[str, object] = {"schemaVersion": 2, "mediaType": media.OCI_INDEX}
    try:
        if before is not None:
            value = load_json(before.raw, "it", is_to_change=True)
        listed = value.get("manifests")
        children = [*(listed if isinstance(listed, list) else ()), entry_of(manifest).to_json()]
        raw = encode({**value, "manifests": children})
    except ValueError as problem:
        raise ProtocolViolationError(
            f"the list of what refers to {subject}: {problem}",
            hint="what is listed there must be listed anew: see it with oci-push manifest get",
        ) from problem
    if len(raw) > media.MAX_MANIFEST_BYTES or len(children) > _MAX_REFERRERS:
        raise ProtocolViolationError(
            f"the list of what refers to {subject} is full: {len(children)} entries",
            hint="delete some of them, or use a registry with the referrers API",
        )
    return Manifest.parse(raw, media.OCI_INDEX)


def fallback_tag(subject: Digest) -> str:
    """Return the tag under which a subject's referrers are listed; cut and cleaned as the schema says."""
    return re.sub(r"[^A-Za-z0-9._-]", "-", f"{subject.algorithm[:32]}-{subject.encoded[:64]}")


class Api(Struct, frozen=True):
    """Whether a registry keeps lists; `refused` is a refusal to tell, which front ends give to paths they know not."""

    is_there: bool
    refused: RegistryError | None = None


def ask_api(repository: Repository, subject: Digest) -> Flow[Api]:
    """Ask whether the registry lists what refers to `subject` by itself."""
    try:
        reply = yield from _list(repository, subject)
    except RegistryError as error:
        if error.status not in _NO_API:
            raise
        return Api(is_there=False, refused=error if error.status in (401, 403) else None)
    return Api(is_there=reply is not None)


def has_api(repository: Repository, subject: Digest) -> Flow[bool]:
    """Return what `ask_api` says of that alone."""
    return (yield from ask_api(repository, subject)).is_there


def find(repository: Repository, subject: Digest, *, has_api: bool | None = None) -> Flow[Referrers]:
    """List what refers to `subject`, page by page; `has_api` ``False``: the registry is known to keep no list."""
    first = None if has_api is False else (yield from _api(repository, subject))
    if first is None:
        kept = yield from listed(repository, subject)
        return Referrers(kept.children if kept else (), has_api=False)
    from oci_push.protocol.listings import MAX_LIST_BYTES, MAX_PAGES, next_page  # a push never lists

    call = _call(repository, subject)
    found: dict[Digest, Descriptor] = {}
    seen: set[str] = set()
    reply, size = first, 0
    while True:
        size += len(reply.body)
        try:
            entries = Manifest.parse(reply.body, media.OCI_INDEX).children
        except ValueError as problem:
            raise ProtocolViolationError(f"{call.what}: {problem}", method="GET", status=reply.status) from problem
        found.update((one.digest, one) for one in entries)
        url = next_page(call, reply)
        if not url or url in seen:
            return Referrers(tuple(found.values()), has_api=True)
        if len(seen) == MAX_PAGES or len(found) > _MAX_REFERRERS or size > MAX_LIST_BYTES:
            raise ProtocolViolationError(f"{call.what}: more than {_MAX_REFERRERS}, or pages without end", method="GET")
        seen.add(url)
        reply = yield replace(call, url=url)


def count(repository: Repository, subject: Digest) -> Flow[int]:
    """Count what refers to `subject`, on the first page of the registry's list or in the one that clients keep."""
    known = yield from count_listed(repository, subject)
    if known is None:
        kept = yield from listed(repository, subject)
        known = len(kept.children) if kept else 0
    return known


def count_listed(repository: Repository, subject: Digest) -> Flow[int | None]:
    """Count what refers to `subject` on the first page of the registry's list; ``None`` where it keeps none."""
    reply = yield from _api(repository, subject)
    if reply is None:
        return None
    try:
        found = load_json(reply.body, "referrers").get("manifests")
    except ValueError:
        return 0
    return len(found) if isinstance(found, list) else 0


def _api(repository: Repository, subject: Digest) -> Flow[Reply | None]:
    try:
        return (yield from _list(repository, subject))
    except RegistryError as error:
        if error.status not in _NO_API:
            raise
        return None


def _list(repository: Repository, subject: Digest) -> Flow[Reply | None]:
    reply = yield _call(repository, subject)
    # A web page with status 200 is what a front end says to paths that it does not know.
    given = reply.headers.get("content-type", "").split(";")[0].strip()
    return reply if given == media.OCI_INDEX and urlsplit(reply.url).path.endswith(str(subject)) else None


def _call(repository: Repository, subject: Digest) -> Call:
    return Call(
        "GET",
        f"/v2/{repository.path}/referrers/{subject}",
        headers={"Accept": media.OCI_INDEX},
        scopes=(endpoints.pull_scope(repository),),
        what=f"{repository}: referrers of {subject}",
    )


def listed(repository: Repository, subject: Digest) -> Flow[Manifest | None]:
    """Read the list that clients keep of a subject under its tag; ``None`` where there is none yet.

    ``cosign copy`` puts the subject itself there (sigstore/cosign 2.5 to 3.1, ``copy``), which is as good as none.
    """
    tag = fallback_tag(subject)
    try:
        found = yield from manifests.fetch(Reference(repository, tag))
    except NotFoundError:
        return None
    if found.digest == subject:
        return None
    if found.media_type != media.OCI_INDEX:
        raise ProtocolViolationError(
            f"{repository}:{tag}: is no list of referrers but {found.media_type}",
            hint="the tag is taken by an image; move that image, or push to another repository",
        )
    return found


def entry_of(manifest: Manifest) -> Descriptor:
    """Return how a list describes a manifest that refers to another (distribution-spec, "Listing Referrers")."""
    kind = manifest.artifact_type or (manifest.config.media_type if manifest.config else "")
    return Descriptor(manifest.media_type, manifest.digest, manifest.size, manifest.annotations, artifact_type=kind)
