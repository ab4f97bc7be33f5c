"""Manifests and tags: ask, fetch, read as bytes, put under a digest, a tag or many tags at once, delete.

Rules: distribution-spec, "Pulling manifests", "Pushing Manifests", and after 1.1.1 "Pushing Manifests with
Tags" (end-7b): a registry that knows ``?tag=`` names each tag it made in ``OCI-Tag``; a tag that is not named
was not made, and a registry that does not know it answers 201 without the header.
"""

from __future__ import annotations

import re

from msgspec import Struct
from msgspec.structs import replace

from oci_push.errors import ImmutableTagError, NotFoundError, ProtocolViolationError, RegistryError
from oci_push.model import media
from oci_push.model.digest import Digest
from oci_push.model.manifest import Manifest, load_json
from oci_push.model.reference import Reference, Repository
from oci_push.protocol import endpoints
from oci_push.protocol.call import EMPTY, Body, BytesBody, Call, Flow, Reply
from oci_push.protocol.error_responses import violation
from oci_push.protocol.existence import look, shows

_IMMUTABLE = frozenset({"TAG_INVALID", "TAG_ALREADY_EXISTS", "MANIFEST_EXISTS", "PRECONDITION"})
"""What ECR, Quay, others and Harbor call a tag that exists and may not be moved."""
_SAYS_IMMUTABLE = r"(?i)exist|immutab|overwrit"
"""How ECR tells that from a tag that is no good, which is TAG_INVALID everywhere else."""


class Head(Struct, frozen=True):
    """What a registry says of a manifest without sending it."""

    digest: Digest | None
    media_type: str
    size: int


class RawManifest(Struct, frozen=True):
    """The bytes of a manifest, and what the registry says of their type."""

    raw: bytes
    media_type: str
    digest: Digest


class Made(Struct, frozen=True):
    """What one PUT has made: `tags`, and whether the manifest's subject has been dealt with."""

    tags: frozenset[str] = frozenset()
    subject: bool = False


def head(repository: Repository, target: str, *, push: bool = False, accept: str = "") -> Flow[Head | None]:
    """Ask what a tag or digest points at; ``None`` when there is nothing, or a page that is no manifest.

    `accept` are media types that are asked for in place of the usual ones.
    """
    call = _get(repository, target, push=push, method="HEAD", accept=accept)
    wanted = Digest.parse(target) if ":" in target else None

    def is_clear(reply: Reply) -> bool:
        given = _digest(reply)
        return given == wanted if given and wanted else bool(given)

    try:
        reply = yield from look(call, is_clear)
    except NotFoundError:
        return None
    length = reply.headers.get("content-length", "")
    size = int(length) if length.isdigit() else len(reply.body)
    digest = _digest(reply)
    if reply.body or digest is None or (wanted and digest != wanted):
        digest, size = _hashed(reply, wanted), len(reply.body)
    return Head(digest, _type(reply), size) if digest and (wanted is None or digest == wanted) else None


def where(repository: Repository, target: str, manifest: Manifest, *, urgent: bool = False) -> Flow[Digest | None]:
    """Read what a tag or digest points at now and hash it, believing no header; ``None`` when that is nothing.

    `manifest` is what should be there: it is asked for by its own type too, and told by its own digest.
    """
    call = replace(_get(repository, target, push=True, also=manifest.media_type), urgent=urgent)
    try:
        reply = yield call
    except NotFoundError:
        return None
    if reply.body == manifest.raw and (manifest.digest.algorithm == "sha256" or _digest(reply) == manifest.digest):
        return manifest.digest
    found = _hashed(reply, None)
    if found is None:
        raise violation(call, reply, "what the registry answers is no manifest")
    return found


def fetch(reference: Reference) -> Flow[Manifest]:
    """Read a manifest and check it against its digest and form."""
    call = _get(reference.repository, reference.target)
    reply = yield call
    expected = reference.digest or _digest(reply)
    try:
        return Manifest.parse(reply.body, _type(reply), expected)
    except ValueError as problem:
        raise ProtocolViolationError(f"{reference}: {problem}", method="GET", status=reply.status) from problem


def read(reference: Reference, accept: str = "") -> Flow[RawManifest]:
    """Read a manifest of any type, byte for byte; only its digest is checked, and it may be no JSON at all.

    `accept` are media types that are asked for in place of the usual ones. Docker's schema 1 has a digest that leaves
    its signatures out, which is taken as it is said.
    """
    call = _get(reference.repository, reference.target, accept=accept)
    reply = yield call
    media_type, given = _type(reply), _digest(reply)
    expected = reference.digest or given
    digest = Digest.of(reply.body, expected.algorithm if expected else "sha256")
    if media_type in media.SCHEMA1 and expected:
        return RawManifest(reply.body, media_type, expected)
    if expected and digest != expected:
        said = f"manifest bytes have digest {digest}, expected {expected}"
        raise violation(call, reply, said, hint="the bytes changed on the way, or the registry is broken")
    return RawManifest(reply.body, media_type, digest)


def put(repository: Repository, manifest: Manifest, target: str, body: Body | None = None) -> Flow[bool]:
    """Store a manifest under a tag or its own digest, byte for byte; return whether its subject has been dealt with.

    An answer that shows another digest, or no sign of the manifest at all, proves nothing: what is there is read.
    A registry names a tag's manifest by sha256 on its own; where ours has another digest, that one must be confirmed.
    `body` gives the manifest's bytes for somebody who watches them leave.
    """
    is_odd = ":" not in target and manifest.digest.algorithm != "sha256"
    if is_odd:
        made = yield from _try_with_tag(repository, manifest, target, body)
        if made.tags:
            return made.subject
    call = _put(repository, manifest, target, f"digest={manifest.digest}" if is_odd else "")
    call = replace(call, body=body) if body else call
    try:
        reply = yield call
    except RegistryError as refused:
        raise _refused(refused, call.what, target, manifest) from refused
    if not shows(reply, manifest.digest, f"manifests/{target}"):
        yield from _confirm(repository, manifest, target, call, reply)
    if is_odd and _digest(reply) != manifest.digest:
        said = f"the registry does not say that the tag has digest {manifest.digest}"
        hint = "it knows tags by sha256 alone; convert the image to sha256 digests"
        raise violation(call, reply, said, hint=hint)
    return "oci-subject" in reply.headers


def _confirm(repository: Repository, manifest: Manifest, target: str, call: Call, reply: Reply) -> Flow[None]:
    """Read what is there after a success that does not show the manifest: a front end's 201 has stored nothing."""
    there = yield from where(repository, target, manifest)
    if there == manifest.digest:
        return
    given = _digest(reply)
    stored = f"the registry says that it stored {given or 'the manifest'} ({reply.status}), and has {there or 'none'}"
    hint = "something between here and the registry changes what is sent, or answers in its place"
    raise violation(call, reply, f"{stored}; sent was {manifest.digest}", hint=hint)


def _try_with_tag(repository: Repository, manifest: Manifest, tag: str, body: Body | None) -> Flow[Made]:
    try:
        return (yield from put_with_tags(repository, manifest, (tag,), body))
    except RegistryError as refused:
        if refused.status not in (400, 404, 405, 414, 431):
            raise
        return Made()


def put_with_tags(
    repository: Repository, manifest: Manifest, tags: tuple[str, ...], body: Body | None = None
) -> Flow[Made]:
    """Store a manifest by digest and ask for `tags` in the same request; `body` as for `put`."""
    query = "&".join(f"tag={tag}" for tag in tags)
    call = _put(repository, manifest, str(manifest.digest), query)
    call = replace(call, body=body) if body else call
    reply = yield call
    given = _digest(reply)
    if given and given.algorithm == manifest.digest.algorithm and given != manifest.digest:
        raise violation(call, reply, f"the registry stored the manifest as {given}, sent was {manifest.digest}")
    named = ",".join(reply.values("oci-tag"))
    return Made(frozenset(tag.strip() for tag in named.split(",")) & frozenset(tags), "oci-subject" in reply.headers)


def delete(repository: Repository, target: str, actions: str = "pull,push") -> Flow[None]:
    """Delete a manifest by its digest, or a tag and not what it points at (end-9).

    Distribution 2 cannot delete a tag and says 400. `actions` are what the token is asked for. A 200, which is not the
    specification's 202, may be a front end's page or what a 303 led to: what is there is asked for.
    """
    call = Call(
        "DELETE",
        endpoints.manifest(repository, target),
        body=EMPTY,
        ok_statuses=frozenset({200, 202, 204}),
        scopes=(f"repository:{repository.path}:{actions}",),
        what=endpoints.manifest_name(repository, target),
    )
    reply = yield call
    if reply.status == 200 and (yield from head(repository, target)) is not None:
        hint = "something between here and the registry answers in its place"
        raise violation(call, reply, "the registry says that it is deleted (200), and it is still there", hint=hint)


def _get(
    repository: Repository, target: str, *, push: bool = False, method: str = "GET", also: str = "", accept: str = ""
) -> Call:
    """Return what reads a manifest: of the usual types and of `also`, or of those of `accept` alone."""
    accept = accept or (media.ACCEPT if not also or also in media.ACCEPT else f"{media.ACCEPT}, {also}")
    return Call(
        method,
        endpoints.manifest(repository, target),
        headers={"Accept": accept},
        scopes=((endpoints.push_scope if push else endpoints.pull_scope)(repository),),
        what=endpoints.manifest_name(repository, target),
    )


def _put(repository: Repository, manifest: Manifest, target: str, query: str) -> Call:
    return Call(
        "PUT",
        endpoints.manifest(repository, target, query),
        headers={"Content-Type": manifest.media_type},
        body=BytesBody(manifest.raw),
        ok_statuses=frozenset({201, 200, 204}),
        scopes=(endpoints.push_scope(repository),),
        what=endpoints.manifest_name(repository, target),
    )


def _refused(error: RegistryError, what: str, target: str, manifest: Manifest) -> RegistryError:
    codes = _IMMUTABLE.intersection(error.codes)
    if codes == {"TAG_INVALID"} and not re.search(_SAYS_IMMUTABLE, error.message.rpartition(" answered ")[2]):
        return error
    if error.status in (400, 403, 409, 412) and codes and ":" not in target:
        return ImmutableTagError(
            f"{what}: the tag exists and may not be moved ({error.status} {error.codes[0]})",
            hint="push under a new tag, or make tags of this repository mutable",
            method=error.method,
            url=error.url,
            status=error.status,
            codes=error.codes,
        )
    if "MANIFEST_INVALID" in error.codes and manifest.media_type in (media.OCI_MANIFEST, media.OCI_INDEX):
        return error.with_hint("an old registry may not know OCI manifests: for a docker-archive say --format docker")
    return error


def _hashed(reply: Reply, wanted: Digest | None) -> Digest | None:
    """Name a body by the algorithm of `wanted` or of the answer's own digest; ``None`` when it is no manifest."""
    given = wanted or _digest(reply)
    digest = Digest.of(reply.body, given.algorithm if given else "sha256")
    if digest == given:
        return digest
    try:
        load_json(reply.body, "manifest")
    except ValueError:
        return None
    return digest


def _digest(reply: Reply) -> Digest | None:
    try:
        return Digest.parse(reply.headers.get("docker-content-digest", ""))
    except ValueError:
        return None


def _type(reply: Reply) -> str:
    return reply.headers.get("content-type", "").split(";")[0].strip()
