"""Signing what is stored without a push, as oci-push.yaml says of its registry: after its digest, before its tags."""

from __future__ import annotations

from collections.abc import Sequence

from oci_push.engine.artifacts.attachment import AttachedForm, AttachedResult
from oci_push.engine.editing.change import Sign
from oci_push.engine.push import PushOptions
from oci_push.engine.pusher import Pusher
from oci_push.engine.unit import PushUnit, UnitResult, UnitTarget, perform
from oci_push.events import ignore
from oci_push.model.digest import Digest
from oci_push.model.reference import Repository
from oci_push.model.trust import SignRule
from oci_push.runtime.context import Context


def signing_in(pusher: Pusher, repository: Repository) -> Sign | None:
    """Return what signs in a repository; ``None`` where nothing is said of it, raises `ConfigError` without a key."""
    rules = pusher.target(repository, ()).endpoint.sign
    if not rules:
        return None
    pusher.signers.of(rules)  # before anything is sent

    def sign(context: Context, digest: Digest) -> tuple[AttachedForm, ...]:
        done = sign_stored(context, pusher, repository, digest, rules)
        if done.error is not None:
            raise done.error
        return tuple(AttachedForm.of(one) for one in attached(done))

    return sign


def sign_stored(
    context: Context, pusher: Pusher, repository: Repository, digest: Digest, rules: Sequence[SignRule]
) -> UnitResult:
    """Push a manifest to where it is, of which nothing but the signatures is new; what goes wrong is in the result."""
    unit = PushUnit(
        f"docker://{repository}@{digest}",
        (UnitTarget(repository, ()),),
        is_final=True,
        options=PushOptions(tells_what_stays=False),
        sign=tuple(rules),
        is_beside=True,
    )
    return perform(unit, pusher, context, ignore)


def attached(done: UnitResult) -> tuple[AttachedResult, ...]:
    """Return what was signed, one after the other."""
    return tuple(one for result in done.results for one in result.attached)
