"""What refers to a manifest: by the registry's list, by the one that clients keep under a tag, and by cosign's tags.

cosign puts signatures, attestations and bills of materials under tags that are made of a digest, whether or not the
registry keeps lists. Who knows the tags of a repository gives them: what is not among them is not asked for.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial

from msgspec import Struct

from oci_push.engine.looking.tree import AT_ONCE, each
from oci_push.model import media
from oci_push.model.descriptor import Descriptor
from oci_push.model.digest import Digest
from oci_push.model.reference import Reference
from oci_push.protocol.referrers import entry_of, fallback_tag
from oci_push.registry.repository import RepositoryClient
from oci_push.runtime.context import Context
from oci_push.runtime.tasks import do_all

COSIGN = {".sig": "signature", ".att": "attestation", ".sbom": "sbom"}
"""cosign's endings of a tag that is made of a digest, and what lies there."""
API = "api"
_MOST_READ = 100
"""How many entries of a list are read for their type."""
_NO_TYPE = ("", media.OCI_EMPTY)
"""What go-containerregistry, and so cosign 3, writes into a list of its own for a manifest that has a type."""


class Listed(Struct, frozen=True):
    """What a list says of one subject: each referrer, with ``api`` or the tag of the list that it was found by."""

    entries: tuple[tuple[Descriptor, str], ...]
    has_api: bool


class CosignTag(Struct, frozen=True):
    """What lies under a tag of cosign's: its `kind` is that of the tag's ending."""

    subject: Digest
    tag: str
    kind: str
    descriptor: Descriptor


def listed(
    context: Context,
    client: RepositoryClient,
    subject: Digest,
    *,
    has_api: bool | None = None,
    names: Collection[str] | None = None,
) -> Listed:
    """Ask what refers to a manifest; `has_api` says whether the registry keeps lists, ``None``: that is not known.

    With the `names` of all tags, a list that clients keep is read where there is one, also beside the registry's own:
    it may be from before the registry kept lists. Types that such a list lacks are read from the manifests.
    """
    tag = fallback_tag(subject)
    if has_api is False and names is not None and tag not in names:
        return Listed((), has_api=False)
    found = client.referrers(context, subject, has_api=has_api)
    entries = {one.digest: (one, API if found.has_api else tag) for one in found.entries}
    if found.has_api and names is not None and tag in names:
        for one in client.referrers(context, subject, has_api=False).entries:
            entries.setdefault(one.digest, (one, tag))
    untyped = [one for one, by in entries.values() if by != API and one.artifact_type in _NO_TYPE][:_MOST_READ]
    typed, _ = each(context, {one.digest: one for one in untyped}, partial(_entry, client))
    entries.update((digest, (one, tag)) for digest, one in typed.items())
    return Listed(tuple(entries.values()), found.has_api)


def _entry(client: RepositoryClient, context: Context, descriptor: Descriptor) -> Descriptor:
    return entry_of(client.fetch(context, Reference(client.repository, "", descriptor.digest)))


def cosign_tags(subject: Digest) -> dict[str, str]:
    """Return cosign's tags for what is about a manifest, and what lies there; it knows sha256 alone."""
    if subject.algorithm != "sha256":
        return {}
    return {f"{fallback_tag(subject)}{ending}": kind for ending, kind in COSIGN.items()}


def signed(
    context: Context, client: RepositoryClient, subjects: Sequence[Digest], names: Collection[str] | None = None
) -> list[CosignTag]:
    """Ask for cosign's tags of manifests, several at once; with `names` only for those among them."""
    wanted = [
        (subject, tag, kind)
        for subject in subjects
        for tag, kind in cosign_tags(subject).items()
        if names is None or tag in names
    ]
    heads = do_all(
        context, [partial(client.head, target=tag) for _, tag, _ in wanted], limit=AT_ONCE, stop_on_error=False
    )
    found: list[CosignTag] = []
    for (subject, tag, kind), there in zip(wanted, heads, strict=True):
        if there is not None and there.digest is not None:
            descriptor = Descriptor(there.media_type, there.digest, there.size, artifact_type=f"cosign {kind}")
            found.append(CosignTag(subject, tag, kind, descriptor))
    return found


def cosign_kind(tag: str) -> str:
    """Return what lies under one of cosign's tags; empty for another."""
    return next((kind for ending, kind in COSIGN.items() if tag.endswith(ending)), "")


def is_referrer_tag(tag: str) -> bool:
    """Return whether a tag is one that is made of a digest: a list of referrers, or cosign's."""
    algorithm, dash, rest = tag.partition("-")
    encoded, dot, ending = rest.partition(".")
    is_hex = len(encoded) in (64, 128) and set(encoded) <= set("0123456789abcdef")
    return bool(dash) and algorithm in ("sha256", "sha512") and is_hex and (not dot or f".{ending}" in COSIGN)
