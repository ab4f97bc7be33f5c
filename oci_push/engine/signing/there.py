"""Signing what is in a registry: a push of the image to where it is, of which nothing but the signature is new."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from oci_push.engine.artifacts.attachment import AttachedForm
from oci_push.engine.looking.tree import read_tree, top
from oci_push.engine.pusher import Pusher
from oci_push.engine.signing.stored import attached, sign_stored
from oci_push.errors import OciPushError
from oci_push.forms import ErrorForm, Version
from oci_push.model.digest import Digest
from oci_push.model.platform import Platform
from oci_push.model.reference import Reference
from oci_push.model.trust import SignRule
from oci_push.runtime.context import Context


class SignedImage(Struct, frozen=True):
    """One image: how it was named, its digest, null where it cannot be read, and what was signed about it.

    Of an index that is signed with all that it lists there is one for each, the index last.
    """

    reference: str
    digest: Digest | None
    signed: tuple[AttachedForm, ...]
    error: ErrorForm | None


class Signing(Struct, frozen=True):
    """What ``sign --json`` and ``attest --json`` print."""

    version: Version
    images: tuple[SignedImage, ...]


class SignedThere(Struct, frozen=True):
    """What became of one image: what is published, and why it failed."""

    form: SignedImage
    failed: OciPushError | None = None


def sign_there(
    context: Context,
    pusher: Pusher,
    named: Reference,
    platform: Platform | None,
    rules: Sequence[SignRule],
    *,
    recursive: bool = False,
) -> tuple[SignedThere, ...]:
    """Sign what a reference names, or the image of it for `platform`; what goes wrong is in the result.

    With `recursive` all that an index lists is signed as well, each by itself and before the index.
    """
    try:
        with pusher.open(f"docker://{named}", context, mirrors=False) as image:
            if recursive:
                tree = read_tree(context, image, platform)
                for problem in tree.problems.values():
                    raise problem
                digests = tuple(reversed(tuple(tree.manifests)))
            else:
                digests = (top(context, image, platform).digest,)
    except OciPushError as problem:
        context.check()
        return (SignedThere(SignedImage(str(named), None, (), ErrorForm.of(problem)), problem),)
    return tuple(_sign(context, pusher, named, digest, rules) for digest in digests)


def _sign(context: Context, pusher: Pusher, named: Reference, digest: Digest, rules: Sequence[SignRule]) -> SignedThere:
    done = sign_stored(context, pusher, named.repository, digest, rules)
    signed = tuple(AttachedForm.of(one) for one in attached(done))
    return SignedThere(SignedImage(str(named), digest, signed, ErrorForm.or_none(done.error)), done.error)
