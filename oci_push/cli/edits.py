"""What the commands share that change an image or index in a registry: their words, and what is printed of a change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

from msgspec import UnsetType

from oci_push.cli.command import show_error
from oci_push.cli.output import say, say_form, tell, warn
from oci_push.cli.progress import LineRenderer
from oci_push.cli.words import TARGET, Option
from oci_push.engine.artifacts.attachment import AttachedForm
from oci_push.engine.editing.change import Tagged
from oci_push.engine.editing.image import ImageEdit
from oci_push.errors import ConfigError, OciPushError
from oci_push.events import Emit, ImageChanged
from oci_push.model.digest import Digest
from oci_push.model.media import INDEXES
from oci_push.model.outcomes import ManifestOutcome
from oci_push.model.reference import Repository

NewTag = Annotated[
    list[str] | None,
    Option(
        "Put the result under this tag, and leave the one that was read.",
        name="--tag",
        short="-t",
        metavar="NEW",
        under=TARGET,
    ),
]


def listener(*, is_quiet: bool) -> Emit:
    """Return who prints what happens, but not that the digest is another one, which `show_change` tells."""
    lines = LineRenderer(quiet=is_quiet)
    return lambda event: None if isinstance(event, ImageChanged) else lines(event)


def pairs(texts: Sequence[str], what: str, *, removal: bool = True) -> dict[str, str | None]:
    """Read ``KEY=VALUE``, and with `removal` ``KEY-`` as ``None``; `what` is what people call them.

    Raises `ConfigError`, also for a key that is there twice.
    """
    found: dict[str, str | None] = {}
    wanted = f"write KEY=VALUE{', or KEY- to take it away' if removal else ''}"
    for text in texts:
        key, equals, value = text.partition("=")
        takes_away = removal and not equals and key.endswith("-")
        key = key.removesuffix("-") if takes_away else key
        if not key or not (equals or takes_away):
            raise ConfigError(f"{what} {text!r}: has no {'key' if equals or takes_away else 'value'}", hint=wanted)
        if key in found:
            raise ConfigError(f"{what} {key!r} is there twice", hint="say it once")
        found[key] = None if takes_away else value
    return found


def show_stored(
    repository: Repository, tags: Sequence[Tagged], digest: Digest, errors: Mapping[str, OciPushError], *, as_json: bool
) -> int:
    """Print where a result is, and each failure; return the exit code."""
    for one in tags:
        name = f"{repository}:{one.tag}"
        if one.tag in errors:
            show_error(errors[one.tag], before=f"{name}: ")
        elif not as_json:
            say(f"{name}  {digest}")
    if not tags and not as_json:
        say(f"{repository}@{digest}")
        tell("it has no tag: a registry may clear it away; --tag NEW gives it one")
    if not errors:
        return 0
    return next(iter(errors.values())).exit_code if len(tags) == 1 else 1


def show_change(
    repository: Repository, was: Digest | None, digest: Digest, left: str | None, *, quiet: bool = False
) -> None:
    """Say that the digest is another one now, unless `quiet`, and what is only about the one before."""
    if was is None:
        return
    if not quiet:
        is_same = was == digest
        tell(
            f"{repository}: {f'nothing to change: {digest} says this already' if is_same else f'{was} became {digest}'}"
        )
    if left:
        warn(
            f"{repository}: {left} {'are' if ' and ' in left or left.split()[1].endswith('s') else 'is'} about {was}",
            hint="signatures and attestations hold for one digest alone: make them anew for the new one",
        )


def show_signed(
    repository: Repository, digest: Digest, signed: Sequence[AttachedForm] | UnsetType, *, quiet: bool = False
) -> None:
    """Say, unless `quiet`, what was signed as oci-push.yaml says."""
    for one in signed if signed and not quiet else ():
        if one.error is not None:
            continue  # which is told as the failure of the whole
        was_there = "  (was there)" * (one.outcome is ManifestOutcome.EXISTS)
        tell(f"{repository}@{one.about or digest}  {one.file}  {one.digest}{was_there}")


def show_edit(done: ImageEdit, errors: Mapping[str, OciPushError], *, as_json: bool, quiet: bool = False) -> int:
    """Print what became of an image, and each failure; return the exit code."""
    if as_json:
        say_form(done)
    code = show_stored(done.repository, done.tags, done.digest, errors, as_json=as_json)
    if as_json:
        return code
    manifests = done.manifests or ()
    names = [one.platform or ("index" if one.media_type in INDEXES else "-") for one in manifests]
    width = max(map(len, names), default=0)
    for name, one in zip(names, manifests, strict=True):
        say(f"  {name:{width}}  {one.digest}")
    if len(errors) < max(len(done.tags), 1):
        if done.manifests is not None:  # of a push to elsewhere its events have told it
            show_signed(done.repository, done.digest, done.signed, quiet=quiet)
        show_change(done.repository, done.was, done.digest, done.left, quiet=quiet)
    return code
