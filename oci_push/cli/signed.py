"""What the commands that sign and verify share: with which keys, in which forms, and what is signed along."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from msgspec import Struct

from oci_push.cli.options import pairs
from oci_push.cli.words import TARGET, Argument, Option
from oci_push.errors import ConfigError
from oci_push.model.trust import FORMS, SignRule, predicate_type

References = Annotated[list[str], Argument(metavar="REF...", help="HOST[:PORT]/REPO[:TAG|@DIGEST]")]
Key = Annotated[
    list[str] | None,
    Option("Private key: PEM, cosign's key file, or env://NAME.", metavar="KEY", under=TARGET),
]
SignFormat = Annotated[
    str, Option("How it is stored: bundle, sig, or both if not given.", metavar="FORM[,FORM]", under=TARGET)
]
Along = Annotated[
    list[str] | None,
    Option("Signed along with the digest.", name="--annotation", short="-a", metavar="NAME=VALUE", under=TARGET),
]


class Signing(Struct, frozen=True):
    """With which keys a push signs."""

    sign: Annotated[
        list[str] | None,
        Option(
            "Sign the image before it is tagged: PEM, cosign's key file, or env://NAME.", metavar="KEY", under=TARGET
        ),
    ] = None
    sign_format: SignFormat = ""
    sign_annotation: Annotated[
        list[str] | None, Option("Signed along with the digest.", metavar="NAME=VALUE", under=TARGET)
    ] = None

    def check(self) -> None:
        """Refuse options that have no effect."""
        given = {"--sign-format": self.sign_format, "--sign-annotation": self.sign_annotation}
        for option in (name for name, value in given.items() if value and not self.sign):
            raise ConfigError(f"{option} has no effect without --sign KEY", hint="give both, or neither")

    def rules(self) -> tuple[SignRule, ...]:
        """Return what is signed with which key; raises `ConfigError`."""
        return rules(self.sign or (), self.sign_format, self.sign_annotation, "--sign-annotation")


def rules(keys: Sequence[str], forms: str, annotations: Sequence[str] | None, option: str) -> tuple[SignRule, ...]:
    """Return what is signed with which key; raises `ConfigError`."""
    wanted = tuple(dict.fromkeys(one.strip() for one in forms.split(","))) if forms else FORMS
    for one in wanted:
        if one not in FORMS:
            raise ConfigError(f"--sign-format: {one!r} is not known", hint="bundle, sig, or bundle,sig")
    said = along(annotations, option)
    return tuple(SignRule(key, wanted, said) for key in dict.fromkeys(keys))


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


def given_keys(keys: Sequence[str] | None, what: str) -> Sequence[str]:
    """Return the keys that were given; raises `ConfigError` without one."""
    if not keys:
        raise ConfigError(f"{what} needs --key KEY", hint="a file, or env://NAME for a variable with the key")
    return tuple(dict.fromkeys(keys))


def type_of(text: str) -> str:
    """Return the URI of ``--type``; raises `ConfigError`."""
    try:
        return predicate_type(text)
    except ValueError as problem:
        raise ConfigError(f"--type: {problem}") from problem
