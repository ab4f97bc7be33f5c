"""What is said and signed: in-toto statements, and cosign's payload of simple signing.

Sources: in-toto attestation spec v1, statement.md; cosign, specs/SIGNATURE_SPEC.md (simple signing).
A reader looks at the very bytes that were verified, and at nothing beside them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Raw, Struct, field

from oci_push.errors import ConfigError
from oci_push.model.digest import Digest
from oci_push.model.manifest import encode, load_json
from oci_push.model.trust import PREDICATES

SIGNED = "https://sigstore.dev/cosign/sign/v1"
"""The predicate type of a signature: whatever has another is an attestation, and no signature."""
SIGNATURE_OF = "dev.cosignproject.cosign/signature"
"""The annotation of a layer of simple signing, with the signature of its bytes in base64."""
CERTIFICATE = "dev.sigstore.cosign/certificate"
"""The annotation with the certificate that verifies it, where it was signed without a key."""
_STATEMENT = "https://in-toto.io/Statement/v1"
_STATEMENTS = (_STATEMENT, "https://in-toto.io/Statement/v0.1")
_SIMPLE = "cosign container image signature"
_NEEDS = {
    PREDICATES["slsaprovenance1"]: ("buildDefinition", "runDetails"),
    PREDICATES["slsaprovenance"]: ("builder", "buildType"),
    PREDICATES["spdxjson"]: ("spdxVersion",),
    PREDICATES["cyclonedx"]: ("bomFormat",),
}
"""What a predicate of these types must have, by their specifications."""


class Said(Struct, frozen=True):
    """What a payload says: the digests it is about, each with annotations, and the predicate type."""

    type: str
    subjects: tuple[tuple[str, Mapping[str, str]], ...] = ()

    def about(self, digest: Digest) -> Mapping[str, str] | None:
        """Return the annotations of what it says about a manifest; ``None`` where it is about others."""
        return next((found for subject, found in self.subjects if subject == str(digest)), None)


class Predicate(Struct, frozen=True):
    """What is said of an image in an attestation: its type as a URI, and JSON as it was given, not a byte changed."""

    type: str
    raw: bytes = b"{}"

    @classmethod
    def parse(cls, type: str, raw: bytes, name: str) -> Predicate:
        """Check a predicate that was read from the file `name`; raises `ConfigError`."""
        if type == SIGNED:
            raise ConfigError(f"{type} is the type of a signature, and no attestation's", hint="sign it: oci-push sign")
        raw = raw.removeprefix(b"\xef\xbb\xbf").strip()
        try:
            raw.decode()
            value = load_json(raw, "it")
            check_readable(raw)
        except ValueError as problem:
            raise ConfigError(f"{name}: is no predicate: {problem}", hint="a predicate is a JSON object") from None
        if str(value.get("_type", "")).startswith("https://in-toto.io/Statement"):
            raise ConfigError(
                f"{name}: is a whole statement, and its predicate alone is wanted",
                hint="the image's digest is put in here; take out what stands under predicate",
            )
        missing = [key for key in _NEEDS.get(type, ()) if key not in value]
        if missing:
            raise ConfigError(f"{name}: is no predicate of {type}: it has no {missing[0]}", hint="is --type right?")
        return cls(type, raw)


def check_readable(raw: bytes) -> None:
    """Raise ``ValueError`` for JSON that only some readers take, or each in another way.

    What is signed goes to all of them as it is; cosign reads a predicate as a ``google.protobuf.Struct``, strictly.
    """
    try:
        msgspec.json.decode(raw)  # no NaN, no half of a character, no number beyond a double
        json.loads(raw, object_pairs_hook=_each_once)
    except msgspec.MsgspecError as problem:
        raise ValueError(f"it is JSON that not every reader takes ({problem})") from problem
    except RecursionError as problem:
        raise ValueError("it is nested too deeply") from problem


def _each_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        raise ValueError(f"it has {twice!r} twice in one object")
    return found


SIGNATURE = Predicate(SIGNED)


def statement(digest: Digest, predicate: Predicate, annotations: Mapping[str, str]) -> bytes:
    """Return the bytes of a statement about a manifest, always the same for the same input."""
    subject: dict[str, object] = {"digest": {digest.algorithm: digest.encoded}}
    if annotations:
        subject["annotations"] = dict(sorted(annotations.items()))
    head = encode({"_type": _STATEMENT, "subject": [subject], "predicateType": predicate.type})
    return head[:-1] + b',"predicate":' + predicate.raw + b"}"


class _Subject(Struct, frozen=True):
    digest: Mapping[str, str]
    annotations: Mapping[str, Any] | None = None


class _Statement(Struct, frozen=True):
    kind: str = field(name="_type")
    subject: tuple[_Subject, ...]
    type: str = field(name="predicateType")
    predicate: Raw = Raw(b"null")  # an SBOM may be large, and is looked at by nobody here


def read_statement(raw: bytes) -> Said:
    """Read a statement; raises ``ValueError``."""
    try:
        value = msgspec.json.decode(raw, type=_Statement)
    except (msgspec.MsgspecError, RecursionError):
        raise ValueError("is no in-toto statement") from None
    if value.kind not in _STATEMENTS:
        raise ValueError("is no in-toto statement")
    found = [
        (f"{algorithm}:{encoded}", _texts(one.annotations))
        for one in value.subject
        for algorithm, encoded in one.digest.items()
    ]
    return Said(value.type, tuple(found))


def says_the_same(one: bytes, other: bytes) -> bool:
    """Return whether two statements are of one type, about the same digests, and have the same JSON as predicate.

    cosign writes the same statement with spaces here and there, and others with a name, or of an older version.
    """
    try:
        return one == other or (
            read_statement(one) == read_statement(other) and _predicate_of(one) == _predicate_of(other)
        )
    except ValueError:
        return False


def _predicate_of(raw: bytes) -> str:
    # Texts are compared, as Python takes true for 1.
    return json.dumps(load_json(raw, "the statement").get("predicate"), sort_keys=True)


def simple_payload(repository: str, digest: Digest, annotations: Mapping[str, str]) -> bytes:
    """Return the payload of simple signing, always the same for the same input."""
    return encode(
        {
            "critical": {
                "identity": {"docker-reference": repository},
                "image": {"docker-manifest-digest": str(digest)},
                "type": _SIMPLE,
            },
            "optional": dict(sorted(annotations.items())) or None,
        }
    )


def read_simple_payload(raw: bytes) -> Said:
    """Read a payload of simple signing; raises ``ValueError``."""
    value = load_json(raw, "the payload")
    critical = value.get("critical")
    if not isinstance(critical, dict) or critical.get("type") != _SIMPLE:
        raise ValueError("is no payload of simple signing")
    image = critical.get("image")
    digest = image.get("docker-manifest-digest") if isinstance(image, dict) else None
    if not isinstance(digest, str):
        raise ValueError("names no digest")
    return Said(SIGNED, ((digest, _texts(value.get("optional"))),))


def _texts(value: object) -> dict[str, str]:
    """Return the texts of a mapping; what else is in it can be compared with no annotation, and is left out."""
    return {k: v for k, v in value.items() if isinstance(v, str)} if isinstance(value, dict) else {}
