"""Signing what is in a registry: a push of the image to where it is, of which nothing but the signature is new."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from oci_push.engine.artifacts.attachment import AttachedForm
from oci_push.engine.looking.tree import top
from oci_push.engine.push import PushOptions
from oci_push.engine.pusher import Pusher
from oci_push.engine.unit import PushUnit, UnitTarget, perform
from oci_push.errors import OciPushError
from oci_push.events import ignore
from oci_push.forms import ErrorForm, Version
from oci_push.model.digest import Digest
from oci_push.model.platform import Platform
from oci_push.model.reference import Reference
from oci_push.model.trust import SignRule
from oci_push.runtime.context import Context


class SignedImage(Struct, frozen=True):
    """One image: its digest, null where it cannot be read, and what was signed about it."""

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
    context: Context, pusher: Pusher, named: Reference, platform: Platform | None, rules: Sequence[SignRule]
) -> SignedThere:
    """Sign what a reference names, or the image of it for `platform`; what goes wrong is in the result."""
    try:
        with pusher.open(f"docker://{named}", context, mirrors=False) as image:
            digest = top(context, image, platform).digest
    except OciPushError as problem:
        context.check()
        return SignedThere(SignedImage(str(named), None, (), ErrorForm.of(problem)), problem)
    unit = PushUnit(
        f"docker://{named.repository}@{digest}",
        (UnitTarget(named.repository, ()),),
        is_final=True,
        options=PushOptions(tells_what_stays=False),
        sign=tuple(rules),
        is_beside=True,
    )
    done = perform(unit, pusher, context, ignore)
    signed = tuple(AttachedForm.of(one) for result in done.results for one in result.attached)
    return SignedThere(SignedImage(str(named), digest, signed, ErrorForm.or_none(done.error)), done.error)
