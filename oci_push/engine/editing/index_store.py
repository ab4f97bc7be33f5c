"""An index of a registry read, changed and stored again, beside others who may do the same.

The distribution API has no way to store a manifest only if a tag has not moved meanwhile: before the PUT the tag is
asked for once more, and where it has moved, what is there now is changed instead. What is written between the two is
overwritten. Who changes an index beside others looks again, later and once more later, and changes it again where the
change is gone; so do they, and none is lost.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from oci_push.engine.artifacts.attachment import AttachedForm
from oci_push.engine.editing.change import Sign, Tagged, put_tags
from oci_push.engine.editing.index_draft import Draft, Entry
from oci_push.engine.left_behind import about
from oci_push.errors import NotFoundError, OciPushError
from oci_push.forms import VERSION, ErrorForm, Version
from oci_push.model.descriptor import Descriptor
from oci_push.model.digest import Digest
from oci_push.model.manifest import Manifest
from oci_push.model.reference import Reference, Repository
from oci_push.registry.repository import RepositoryClient
from oci_push.runtime.context import Context

MOVED = "OCP-MOVED"
"""The code of an error for a tag that is no longer where it was read."""
_TRIES = 12
_LOOKS = 2
_LEAST_WAIT_S, _MOST_WAIT_S = 0.2, 2.0
_SLOWER = 3.0
"""Another writer may need this many times as long as we did from its reading to its writing."""
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

    `left` says what refers to `was` and does not come along. `signed` is there where oci-push.yaml has such indexes
    signed.
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
    signed: tuple[AttachedForm, ...] | UnsetType = UNSET


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
    """See that a tag still names what was read; raises an error with the code `MOVED` where somebody has moved it."""
    there = client.head(context, reference.tag)
    if there is None or there.digest != digest:
        now = there.digest if there is not None else "nothing"
        raise _moved(f"{reference}: was moved by somebody else meanwhile: it was {digest} and is {now}")


def _moved(text: str) -> OciPushError:
    return OciPushError(f"{text}; the tag was left as it is").with_code(MOVED)


def alter(
    context: Context,
    client: RepositoryClient,
    was: Was,
    tags: Sequence[str],
    change: Callable[[Draft], Draft],
    *,
    outcomes: Mapping[Digest, str] | None = None,
    random: Callable[[], float],
    is_shared: bool = False,
    sign: Sign | None = None,
) -> tuple[IndexChange, dict[str, OciPushError]]:
    """Change an index and store it under `tags`; where its tag has moved meanwhile, change what is there now.

    `change` may be asked several times, and says nothing new where it finds itself done. With `is_shared` others do
    the same: it is looked again whether the change is still there. Returns what came of it, and errors by tag; raises
    an error with the code `MOVED` where others move the tag each time.
    """
    done: tuple[IndexChange, dict[str, OciPushError]] | None = None
    wait_s, seen = _LEAST_WAIT_S, 0
    for number in range(_TRIES):
        began = context.clock.monotonic()
        now = was if not number else read(context, client, was.reference)
        after = change(now.draft)
        try:
            made = store(context, client, after, tags, outcomes or {}, now, gone(now.draft, after), sign)
        except OciPushError as error:
            if error.code != MOVED or number == _TRIES - 1:
                raise
        else:
            if not is_shared or made[1] or was.tag not in tags:
                return made
            is_kept = made[0].digest == now.manifest.digest
            done, seen = (done or made, seen + 1) if is_kept else (made, 0)
            if seen >= _LOOKS or (is_kept and not number):  # it was there before we came
                return done
        wait_s = min(max(wait_s, (context.clock.monotonic() - began) * _SLOWER), _MOST_WAIT_S)
        context.sleep(wait_s * (0.5 + random()))
    raise OciPushError(
        f"{was.reference}: the change is gone again each time it is made; others write the tag all the time"
    ).with_code(MOVED)


def gone(before: Draft, after: Draft) -> list[Entry]:
    """Return the children that are no longer there; one that is listed otherwise now still is."""
    old, there = {id(one) for one in before.entries}, {id(one) for one in after.entries}
    fresh = Counter(one.digest for one in after.entries if id(one) not in old)
    lost: list[Entry] = []
    for one in before.entries:
        if id(one) not in there:
            fresh[one.digest] -= 1
            lost += [one] if fresh[one.digest] < 0 else []
    return lost


def store(
    context: Context,
    client: RepositoryClient,
    draft: Draft,
    tags: Sequence[str],
    outcomes: Mapping[Digest, str],
    was: Was | None = None,
    removed: Iterable[Entry] = (),
    sign: Sign | None = None,
) -> tuple[IndexChange, dict[str, OciPushError]]:
    """Store an index under tags, or without any by its digest, and return what came of it, and errors by tag.

    `was` is what it was made of: where the index still says that, its bytes are kept, and where it goes to the tag that
    was read, the tag must still name it. `removed` are children that it had. `sign` signs it before any tag names it.
    """
    same = was is not None and draft.same_as(was.draft)
    made = was.manifest if was is not None and same else draft.build()
    to_be_set = [tag for tag in tags if was is None or not (same and tag == was.tag)]
    left = ""
    if was is not None and not same:
        left = about(context, client, [was.manifest.digest])
    if not same and (sign is not None or not tags):
        client.put_manifest(context, made, str(made.digest))
    signed = sign(context, made.digest) if sign is not None else UNSET
    if was is not None and was.tag in to_be_set:
        check_still(context, client, was.reference, was.manifest.digest)
    errors = put_tags(context, client, made, to_be_set) if to_be_set else {}
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
            signed,
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
