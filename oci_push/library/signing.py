"""What a library user calls to sign images, to say something of them, and to see that they are signed.

What a command does of it as well stands here as a function of a `Looker`.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from oci_push.engine.looking.tree import top
from oci_push.engine.pusher import Options
from oci_push.engine.signing.there import Signing, sign_there
from oci_push.engine.signing.trust import ImageVerified, Verification, read_identities
from oci_push.engine.signing.trust import verify as verify_image
from oci_push.errors import ConfigError, OciPushError, SourceError
from oci_push.forms import VERSION, ErrorForm
from oci_push.library import naming
from oci_push.library.calls import OnEvent, check_type, finished, path_of, platform_of, refuse_text
from oci_push.library.looking import Looker, look
from oci_push.model.platform import Platform
from oci_push.model.reference import Reference
from oci_push.model.trust import Policy, Requirement, SignRule, predicate_type

_MOST_BYTES = 64 * 1024 * 1024


def sign(
    *references: str,
    by: Sequence[SignRule],
    platform: str = "",
    recursive: bool = False,
    options: Options | None = None,
    on_event: OnEvent | None = None,
    cancel: threading.Event | None = None,
    timeout_s: float | None = None,
) -> Signing:
    """Sign images that are there, by their digests; nothing is sent where the same was signed before.

    `by` says with which keys, ``SignRule("signing.key")``, and as which job, ``SignRule(keyless=Keyless())``.
    `platform` is the only image of an index that is signed; with `recursive` each that it lists is signed as well.

    Raises errors as `push` does: with `report` where some images were signed and others were not.
    """
    return _sign(references, by, "sign", platform, options, on_event, cancel, timeout_s, recursive=recursive)


def attest(
    *references: str,
    type: str,
    predicate: bytes | Mapping[str, object] | os.PathLike[str],
    by: Sequence[SignRule],
    platform: str = "",
    options: Options | None = None,
    on_event: OnEvent | None = None,
    cancel: threading.Event | None = None,
    timeout_s: float | None = None,
) -> Signing:
    """Say something of images that are there, signed: an SBOM, how they were built, what a scan has found.

    `type` is a URI or one of the words of ``attest --type``, `predicate` the predicate alone: JSON as bytes, which go
    in as they are, a mapping, or a path. `by` and `platform` mean what they mean to `sign`; an attestation is a bundle.

    Raises errors as `push` does: with `report` where it was said of some images and not of others.
    """
    from oci_push.signing.statement import Predicate

    found = Predicate.parse(predicate_type(type), *_predicate(predicate))
    _check_rules(by)
    rules = tuple(replace(one, predicate=(found.type, found.raw)) for one in by)
    return _sign(references, rules, "attest", platform, options, on_event, cancel, timeout_s)


def verify(
    *references: str,
    require: Requirement,
    platform: str = "",
    options: Options | None = None,
    on_event: OnEvent | None = None,
    cancel: threading.Event | None = None,
    timeout_s: float | None = None,
) -> Verification:
    """See that images are signed as it is required, and return their digests with what counts.

    A tag is asked for once: push or deploy the digest that is returned. `require` says who must have signed, keys or
    identities: ``Requirement((TrustedKey("release", pem),))``; with ``signature=False`` attestations are enough. Types
    of these are URIs, or words as for `attest`.

    Raises `UntrustedError` where one is not, and errors as `push` does, with `report`.
    """
    named = _references(references)
    wanted = platform_of(platform)
    check_type("require", require, Requirement)
    require = replace(require, attestations=tuple(predicate_type(one) for one in require.attestations))
    read_identities(require)  # what is wrong with it is told before anything is asked
    policy = Policy.for_all(require)

    def work(looker: Looker) -> Verification:
        done = [verify_there(looker, one, policy, wanted) for one in named]
        form = Verification(VERSION, tuple(one.form for one in done))
        return finished(form, [one.failed for one in done], "images", looker.context)

    return look(work, what="verify", options=options, on_event=on_event, cancel=cancel, timeout_s=timeout_s)


class VerifiedThere(Struct, frozen=True):
    """What became of one image: what is published, and why it failed."""

    form: ImageVerified
    failed: OciPushError | None = None


def verify_there(looker: Looker, named: Reference, policy: Policy, platform: Platform | None) -> VerifiedThere:
    """See that what a reference names is signed as its policy requires; what goes wrong is in the result."""
    digest = None
    try:
        required = policy.of(named.repository)
        with looker.image(f"docker://{named}") as (image, _):
            digest = top(looker.context, image, platform).digest
        clients = [looker.client(named.repository)]
        accepted = verify_image(looker.context, clients, str(named), digest, required)
    except OciPushError as error:
        looker.context.check()
        return VerifiedThere(ImageVerified(str(named), digest, False, (), ErrorForm.of(error)), error)
    return VerifiedThere(ImageVerified(str(named), digest, True, accepted, None))


def _sign(
    references: Sequence[str],
    rules: Sequence[SignRule],
    what: str,
    platform: str,
    options: Options | None,
    on_event: OnEvent | None,
    cancel: threading.Event | None,
    timeout_s: float | None,
    *,
    recursive: bool = False,
) -> Signing:
    named, wanted = _references(references), platform_of(platform)
    _check_rules(rules)

    def work(looker: Looker) -> Signing:
        looker.pusher.signers.of(rules)  # a key that cannot be read is told before anything is asked
        signing = partial(sign_there, looker.context, looker.pusher, recursive=recursive)
        done = [each for one in named for each in signing(one, wanted, rules)]
        form = Signing(VERSION, tuple(one.form for one in done))
        return finished(form, [one.failed for one in done], "images", looker.context)

    return look(work, what=what, options=options, on_event=on_event, cancel=cancel, timeout_s=timeout_s)


def _references(texts: Sequence[str]) -> list[Reference]:
    refuse_text("references", texts)
    if not texts:
        raise ValueError("no reference: give one or several")
    return [naming.reference(text) for text in dict.fromkeys(texts)]


def _check_rules(rules: Sequence[SignRule]) -> None:
    if isinstance(rules, SignRule):
        raise TypeError("by is one SignRule; give a sequence: by=[…]")
    for one in rules:
        check_type("by", one, SignRule)
        if not one.key and one.keyless is None:
            raise ValueError("a SignRule has neither a key nor keyless")
    if not rules:
        raise ValueError("by is empty: give one SignRule or several")


def _predicate(given: bytes | Mapping[str, object] | os.PathLike[str]) -> tuple[bytes, str]:
    """Return a predicate's bytes, and how messages call it."""
    if isinstance(given, bytes):
        return given, "the predicate"
    if isinstance(given, Mapping):
        return json.dumps(given).encode(), "the predicate"
    name = path_of(given, "predicate")
    if isinstance(given, str):
        raise TypeError("predicate is a str; give a Path, or the predicate as bytes or a mapping")
    try:
        with Path(name).open("rb") as file:
            raw = file.read(_MOST_BYTES + 1)
    except OSError as problem:
        raise SourceError(f"{name}: cannot be read ({problem.strerror})", hint="check the file's name") from problem
    if len(raw) > _MOST_BYTES:
        raise ConfigError(f"{name}: has more than {_MOST_BYTES} bytes")
    return raw, name
