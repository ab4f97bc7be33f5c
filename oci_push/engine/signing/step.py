"""Signing what is pushed: a step of the push between the root and its tags, so that no tag names what is unsigned.

A bundle goes out like any attachment. What somebody has said of the image before is not said again: signatures of ECDSA
differ each time, so it is looked for first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

from msgspec.structs import replace

from oci_push.engine.artifacts.attach import attach_made
from oci_push.engine.artifacts.attachment import AttachedResult
from oci_push.engine.repository_push import RepositoryPush, Step
from oci_push.engine.signing.signed import Found, read_bundles
from oci_push.engine.signing.signer import Signer
from oci_push.engine.signing.tag import add_signature
from oci_push.model.digest import Digest
from oci_push.model.manifest import Manifest
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
    """Return the step of a push that signs as its plan says, and does `checks` on what it writes.

    What an index lists goes before it, several at once: whoever finds the index signed finds all.
    """

    def sign_all(push: RepositoryPush, context: Context) -> None:
        target, root = push.work.target, push.root
        listed = [node for node in push.nodes if node.digest != root.digest] if target.recursive else []
        done: dict[Digest, list[AttachedResult]] = {node.digest: [] for node in listed}

        def sign_listed(inner: Context, node: Manifest) -> None:
            # Another index may have brought it long ago: whether anything refers to it must be asked.
            _Signing(push, inner, node, clients, checks, was_there=True).by(target.recursive, done[node.digest])

        try:
            push.each(context, listed, sign_listed, stop_on_error=False)
        finally:
            push.attached += [one for node in listed for one in done[node.digest]]
        # To an image that came just now nothing refers, unless it was here before; then it is said twice, and no harm.
        _Signing(push, context, root, clients, checks, was_there=push.was_there).by(target.signers, push.attached)

    return sign_all


class _Signing:
    """Signing one manifest of a push: the root, or one that is listed below it."""

    def __init__(
        self,
        push: RepositoryPush,
        context: Context,
        subject: Manifest,
        clients: RegistryClients,
        checks: Sequence[Step],
        *,
        was_there: bool,
    ) -> None:
        self._push = push
        self._context = context
        self._subject = subject
        self._clients = clients
        self._checks = checks
        self._was_there = was_there

    def by(self, signers: Sequence[Signer], done: list[AttachedResult]) -> None:
        """Sign by each of `signers` and add what came of it to `done`; raises the first failure."""
        # What is said of the image goes before its signature: whoever waits for that finds all.
        for signer in sorted(signers, key=lambda one: one.rule.predicate is None):
            for form, sign in ((BUNDLE, self._bundle), (SIG, self._tag)):
                if form in signer.rule.written:
                    result = self._once(signer, form, sign)
                    done.append(result)
                    if result.error is not None:
                        raise result.error

    def _once(self, signer: Signer, form: str, sign: Callable[[Signer], AttachedResult]) -> AttachedResult:
        """Sign, unless this run has done so; then it is there."""
        target, digest = self._push.work.target, self._subject.digest
        is_new = False

        def made() -> AttachedResult:
            nonlocal is_new
            is_new = True
            return sign(signer)

        place = (target.endpoint, target.repository, digest, form)
        result = signer.done.get(place, made, lambda one: one.error is None)
        if not is_new:
            result = replace(result, outcome=ManifestOutcome.EXISTS, bytes_sent=0)
        if digest == self._push.root.digest:
            return replace(result, about=None)
        error = result.error and result.error.with_more(f"; it is about {digest}, which the index lists")
        return replace(result, about=digest, error=error)

    @cached_property
    def _there(self) -> Sequence[Found]:
        """Return the bundles that refer to it."""
        if not self._was_there:
            return ()
        return read_bundles(self._context, self._push.client, self._subject.digest)

    def _bundle(self, signer: Signer) -> AttachedResult:
        push, digest = self._push, self._subject.digest
        said = signer.statement(digest)
        mine = (one for one in self._there if _says(one, said, signer) and signer.has_signed(self._context, one))
        if (same := next(mine, None)) is not None:
            return AttachedResult(signer.name, BUNDLE_TYPE, same.digest, 0, ManifestOutcome.EXISTS)
        made = signer.bundle(self._context, digest).about(self._subject.descriptor())
        return attach_made(push, self._context, made, self._clients, self._checks, dict(push.blobs))

    def _tag(self, signer: Signer) -> AttachedResult:
        return add_signature(self._push, self._context, signer, self._subject.digest, self._clients, self._checks)


def _says(found: Found, said: bytes, signer: Signer) -> bool:
    """Return whether a bundle has a statement; of signatures one that says the same, as others write it."""
    if signer.rule.predicate is not None:
        return says_the_same(found.payload, said)
    try:
        return not found.problem and found.said() == read_statement(said)
    except ValueError:
        return False
