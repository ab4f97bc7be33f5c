"""Signing what is pushed: a step of the push between the root and its tags, so that no tag names what is unsigned.

A bundle goes out like any attachment. What somebody has said of the image before is not said again: signatures of ECDSA
differ each time, so it is looked for first.
"""

from __future__ import annotations

from collections.abc import Sequence

from oci_push.engine.artifacts.attach import attach_made
from oci_push.engine.artifacts.attachment import AttachedResult
from oci_push.engine.repository_push import RepositoryPush, Step
from oci_push.engine.signing.signed import Found, read_bundles
from oci_push.engine.signing.signer import Signer
from oci_push.engine.signing.tag import add_signature
from oci_push.model.outcomes import ManifestOutcome
from oci_push.model.trust import BUNDLE, SIG
from oci_push.registry.clients import RegistryClients
from oci_push.runtime.context import Context
from oci_push.signing.bundle import BUNDLE as BUNDLE_TYPE
from oci_push.signing.statement import read_statement, says_the_same


def prepare(push: RepositoryPush, context: Context) -> None:
    """See that everybody who is to sign can, before anything is sent: a step of the push."""
    for signer in push.work.target.signers:
        signer.prepare(context)


def signing_step(clients: RegistryClients, checks: Sequence[Step]) -> Step:
    """Return the step of a push that signs the root as its plan says, and does `checks` on what it writes."""

    def sign_all(push: RepositoryPush, context: Context) -> None:
        signers = push.work.target.signers
        # To an image that came just now nothing refers, unless it was here before; then it is said twice, and no harm.
        wants_bundle = any(_has_bundle(one) for one in signers)
        there = read_bundles(context, push.client, push.root.digest) if push.was_there and wants_bundle else ()
        # What is said of the image goes before its signature: whoever waits for that finds all.
        for signer in sorted(signers, key=lambda one: one.rule.predicate is None):
            done = [_bundle(push, context, signer, clients, checks, there)] if _has_bundle(signer) else []
            for result in done:
                _note(push, result)
            if SIG in signer.rule.written:
                _note(push, add_signature(push, context, signer, clients, checks))

    return sign_all


def _has_bundle(signer: Signer) -> bool:
    return BUNDLE in signer.rule.written


def _note(push: RepositoryPush, result: AttachedResult) -> None:
    push.attached.append(result)
    if result.error is not None:
        raise result.error


def _bundle(
    push: RepositoryPush,
    context: Context,
    signer: Signer,
    clients: RegistryClients,
    checks: Sequence[Step],
    there: Sequence[Found],
) -> AttachedResult:
    digest = push.root.digest
    said = signer.statement(digest)
    same = next((one for one in there if _says(one, said, signer) and signer.has_signed(context, one)), None)
    if same is not None:
        return AttachedResult(signer.name, BUNDLE_TYPE, same.digest, 0, ManifestOutcome.EXISTS)
    made = signer.bundle(context, digest).about(push.root.descriptor())
    return attach_made(push, context, made, clients, checks, dict(push.blobs))


def _says(found: Found, said: bytes, signer: Signer) -> bool:
    """Return whether a bundle has a statement; of signatures one that says the same, as others write it."""
    if signer.rule.predicate is not None:
        return says_the_same(found.payload, said)
    try:
        return not found.problem and found.said() == read_statement(said)
    except ValueError:
        return False
