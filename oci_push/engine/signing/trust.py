"""Whether an image is signed as it must be: by whom, with which annotations, and with which attestations.

What counts is read from the very bytes that were verified: the digest, the predicate type, the annotations. A signature
has the predicate type of one: an attestation by a trusted key is none. What is said of another image counts for
nothing, wherever it lies.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from oci_push.engine.signing.signed import Found, read_signed
from oci_push.errors import OciPushError, UntrustedError
from oci_push.forms import ErrorForm, Version
from oci_push.model.digest import Digest
from oci_push.model.trust import Requirement
from oci_push.registry.repository import RepositoryClient
from oci_push.runtime.context import Context
from oci_push.signing.keys import VerifyingKey, read_verifying_key
from oci_push.signing.statement import SIGNED

if TYPE_CHECKING:
    from oci_push.signing.keyless import IdentityVerifier

_MOST_REASONS = 4


class Accepted(Struct, frozen=True):
    """One signature or attestation that counts; `digest` is the manifest that holds it, `key` whose key or identity."""

    form: str
    type: str
    digest: Digest
    key: str
    annotations: Mapping[str, str]

    @property
    def what(self) -> str:
        """Return what it is, in words for people."""
        return "signature" if self.type == SIGNED else f"attestation ({self.type})"


class ImageVerified(Struct, frozen=True):
    """One image by its digest, null where it cannot be read, and what was accepted of what is signed about it."""

    reference: str
    digest: Digest | None
    verified: bool
    accepted: tuple[Accepted, ...]
    error: ErrorForm | None


class Verification(Struct, frozen=True):
    """What ``verify --json`` prints."""

    version: Version
    images: tuple[ImageVerified, ...]


def verify(
    context: Context, clients: Sequence[RepositoryClient], name: str, digest: Digest, required: Requirement
) -> tuple[Accepted, ...]:
    """See that a manifest is signed as required, by what repositories have about it, asked until it is enough.

    Returns what counts. Raises `UntrustedError` where it is not, and what keeps it from being known.
    """
    keys = tuple(read_verifying_key(one.pem, one.name) for one in required.keys)
    identities = read_identities(required)
    found: tuple[Found, ...] = ()
    failed: OciPushError | None = None
    missing, reasons = lacking((), keys, identities, required), list[str]()
    for client in clients:
        try:
            found += read_signed(context, client, digest)
        except OciPushError as problem:  # a place that is away, where another has all that is needed
            context.check()
            failed = failed or problem
            continue
        accepted, reasons = judge(found, digest, keys, identities, required)
        missing = lacking(accepted, keys, identities, required)
        if not missing:
            return accepted
    if failed is not None:
        raise failed
    what = name if str(digest) in name else f"{name}: {digest}"
    there = "; ".join(reasons[:_MOST_REASONS])
    there += f"; and {len(reasons) - _MOST_REASONS} more" if len(reasons) > _MOST_REASONS else ""
    there = f"; found: {there}" if there else "" if found else "; nothing is signed about it there"
    raise UntrustedError(f"{what} is refused: {'; '.join(missing)}{there}")


def read_identities(required: Requirement) -> tuple[IdentityVerifier, ...]:
    """Return what verifies identities; raises `ConfigError`."""
    if not required.identities:
        return ()
    from oci_push.signing.keyless import IdentityVerifier, carried

    wanted = tuple(dict.fromkeys(required.identities))
    count = Counter(one.name for one in wanted)
    # By two trust roots one identity is two: each is told, and asked for, by itself.
    names = [f"{one.name} by {one.root_name or carried()}" if count[one.name] > 1 else one.name for one in wanted]
    return tuple(IdentityVerifier(one, name) for one, name in zip(wanted, names, strict=True))


def judge(
    found: Sequence[Found],
    digest: Digest,
    keys: Sequence[VerifyingKey],
    identities: Sequence[IdentityVerifier],
    required: Requirement,
) -> tuple[tuple[Accepted, ...], list[str]]:
    """Return what counts, and of all else why it does not."""
    accepted: list[Accepted] = []
    reasons: list[str] = []
    strangers = 0
    wanted = {*required.attestations, *((SIGNED,) if required.signature else ())}
    for one in found:
        where = f"{one.form} {one.digest.algorithm}:{one.digest.short}…"
        if one.problem:
            reasons.append(f"{where}: {one.problem}")
            continue
        signers = [key.name for key in one.signers(keys)]
        refusals = []
        for identity in identities if one.bundle or one.certified else ():
            try:
                if one.bundle:
                    identity.check(one.bundle, one.payload)
                else:
                    identity.check_layer(one.certified, one.payload)
                signers.append(identity.name)
            except ValueError as problem:
                refusals.append(f"{where}: {problem}")
        if not signers:
            reasons += refusals
            strangers += not refusals
            continue
        try:
            said = one.said()
        except ValueError as problem:
            reasons.append(f"{where}: {problem}")
            continue
        about = said.about(digest)
        if about is None:
            reasons.append(f"{where}: is about another image")
        elif said.type not in wanted:
            kind = "a signature" if said.type == SIGNED else f"an attestation of {said.type}"
            reasons.append(f"{where}: is {kind}")
        elif any(about.get(key) != value for key, value in required.annotations):
            wrong = next(key for key, value in required.annotations if about.get(key) != value)
            other = f"its annotation {wrong} is {about[wrong]!r}" if wrong in about else f"it has no annotation {wrong}"
            reasons.append(f"{where}: {other}")
        else:
            accepted += [Accepted(one.form, said.type, one.digest, name, about) for name in signers]
    if strangers:
        reasons.append(f"{strangers} that {'is' if strangers == 1 else 'are'} not signed with a key that is trusted")
    return tuple(accepted), reasons


def lacking(
    accepted: Sequence[Accepted],
    keys: Sequence[VerifyingKey],
    identities: Sequence[IdentityVerifier],
    required: Requirement,
) -> list[str]:
    """Return what is required and not among what was accepted."""
    if not keys and not identities:
        return ["no key is trusted"]
    twice = _twice(keys) if required.every else ()
    if twice:
        return [f"{' and '.join(twice)} are one key, and each of several must have signed"]
    names = [*(key.name for key in keys), *(identity.name for identity in identities)]
    same = [name for name, count in Counter(names).items() if count > 1] if required.every else []
    if same:
        return [f"{same[0]} stands for several, and each of several must have signed"]
    wanted = {SIGNED: "no signature"} if required.signature else {}
    wanted |= {type: f"no attestation of {type}" for type in required.attestations}
    said = f" with {', '.join(f'{key}={value}' for key, value in required.annotations)}" if required.annotations else ""
    found: list[str] = []
    for type, words in wanted.items():
        by = {one.key for one in accepted if one.type == type}
        if required.every:
            found += [f"{words} by {name}{said}" for name in names if name not in by]
        elif not by:
            found.append(f"{words} by {' or '.join(names)}{said}")
    return found


def _twice(keys: Sequence[VerifyingKey]) -> tuple[str, ...]:
    """Return the names of the first key that is there twice."""
    first: dict[bytes, str] = {}
    for key in keys:
        if key.der in first:
            return first[key.der], key.name
        first[key.der] = key.name
    return ()
