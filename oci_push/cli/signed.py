"""What the commands that sign and verify share: with which keys or none, in which forms, what is signed along."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from msgspec import Struct
from msgspec.structs import replace

from oci_push.cli.options import pairs
from oci_push.cli.words import TARGET, Argument, Option
from oci_push.errors import ConfigError
from oci_push.model.trust import FORMS, KEYLESS, Keyless, SignRule, predicate_type

References = Annotated[list[str], Argument(metavar="REF...", help="HOST[:PORT]/REPO[:TAG|@DIGEST]")]
Key = Annotated[
    list[str] | None,
    Option("Private key: PEM, cosign's key file, or env://NAME.", metavar="KEY", under=TARGET),
]
NoKey = Annotated[
    bool,
    Option("Sign as this CI job, without a key; what is signed stands in a public log for ever.", under=TARGET),
]
TrustRoot = Annotated[
    Path | None,
    Option("Where to sign without a key: a client's trust configuration.", metavar="FILE", under=TARGET),
]
SignFormat = Annotated[
    str,
    Option(
        "How it is stored: bundle, sig, or both if not given (keyless: bundle).",
        metavar="FORM[,FORM]",
        under=TARGET,
    ),
]
Along = Annotated[
    list[str] | None,
    Option("Signed along with the digest.", name="--annotation", short="-a", metavar="NAME=VALUE", under=TARGET),
]


class Signing(Struct, frozen=True):
    """With which keys a push signs, or as which job."""

    sign: Annotated[
        list[str] | None,
        Option(
            "Sign the image before it is tagged: PEM, cosign's key file, env://NAME, or keyless: as this CI job.",
            metavar="KEY",
            under=TARGET,
        ),
    ] = None
    trust_root: TrustRoot = None
    sign_format: SignFormat = ""
    sign_recursive: Annotated[
        bool, Option("Of an index also each image that it lists: podman asks for that.", under=TARGET)
    ] = False
    sign_annotation: Annotated[
        list[str] | None, Option("Signed along with the digest.", metavar="NAME=VALUE", under=TARGET)
    ] = None

    def check(self) -> None:
        """Refuse options that have no effect."""
        given = {
            "--sign-format": self.sign_format,
            "--sign-recursive": self.sign_recursive,
            "--sign-annotation": self.sign_annotation,
        }
        for option in (name for name, value in given.items() if value and not self.sign):
            raise ConfigError(f"{option} has no effect without --sign KEY", hint="give both, or neither")
        if self.trust_root is not None and KEYLESS not in (self.sign or ()):
            raise ConfigError("--trust-root has no effect without --sign keyless", hint="give both, or neither")

    def rules(self) -> tuple[SignRule, ...]:
        """Return what is signed with which key; raises `ConfigError`."""
        keys = [one for one in self.sign or () if one != KEYLESS]
        keyless = keyless_of(KEYLESS in (self.sign or ()), self.trust_root)
        found = rules(keys, keyless, self.sign_format, self.sign_annotation, "--sign-annotation")
        return tuple(replace(one, recursive=True) for one in found) if self.sign_recursive else found


def rules(
    keys: Sequence[str], keyless: Keyless | None, forms: str, annotations: Sequence[str] | None, option: str
) -> tuple[SignRule, ...]:
    """Return what is signed with which key, and without one; raises `ConfigError`."""
    given = tuple(dict.fromkeys(one.strip() for one in forms.split(","))) if forms else ()
    for one in given:
        if one not in FORMS:
            raise ConfigError(f"--sign-format: {one!r} is not known", hint="bundle, sig, or bundle,sig")
    said = along(annotations, option)
    found = tuple(SignRule(key, given, said) for key in dict.fromkeys(keys))
    return (*found, SignRule("", given, said, keyless=keyless)) if keyless else found


def keyless_of(is_wanted: bool, trust_root: Path | None) -> Keyless | None:
    """Return how it is signed without a key, if that is wanted; raises `ConfigError` for an option without effect."""
    if trust_root is not None and not is_wanted:
        raise ConfigError("--trust-root has no effect without --keyless", hint="give both, or neither")
    return Keyless("" if trust_root is None else str(trust_root)) if is_wanted else None


def along(texts: Sequence[str] | None, option: str) -> tuple[tuple[str, str], ...]:
    """Return annotations that are signed or demanded, in the order of their names; raises `ConfigError`."""
    if not texts:
        return ()
    from oci_push.cli.files import check_utf8  # most pushes say nothing along

    found = pairs(texts, option, "NAME=VALUE")
    if len(found) < len(set(texts)):
        raise ConfigError(f"{option}: gives one name several values", hint="an annotation has one value")
    for text in texts:
        check_utf8(text, option)
    return tuple(sorted(found.items()))


def given_keys(keys: Sequence[str] | None, keyless: Keyless | None, what: str) -> Sequence[str]:
    """Return the keys that were given; raises `ConfigError` where there is none, nor `keyless` said."""
    if not keys and keyless is None:
        raise ConfigError(
            f"{what} needs --key KEY or --keyless",
            hint="a file, or env://NAME for a variable with the key; --keyless signs as the CI job that runs",
        )
    return tuple(dict.fromkeys(keys or ()))


def type_of(text: str) -> str:
    """Return the URI of ``--type``; raises `ConfigError`."""
    try:
        return predicate_type(text)
    except ValueError as problem:
        raise ConfigError(f"--type: {problem}") from problem
