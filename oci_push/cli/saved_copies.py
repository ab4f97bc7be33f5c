"""Images saved in a layout or an archive: what `pull` and a `copy` to a file do alike."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from oci_push.cli.command import show_error
from oci_push.cli.output import say, say_form, tell
from oci_push.cli.wording import counted, size
from oci_push.engine.copying.tag_lists import TagLists
from oci_push.engine.pusher import Pusher
from oci_push.engine.saving.place import Place
from oci_push.engine.saving.pull import Pull, named
from oci_push.engine.saving.save import save
from oci_push.engine.saving.steps import SavedImage, nothing_attached
from oci_push.errors import ConfigError, exit_code
from oci_push.events import Emit
from oci_push.library.selecting import finder
from oci_push.model.changes import Changes
from oci_push.model.platform import Platform
from oci_push.runtime.context import Context


class Wanted(Struct, frozen=True):
    """How images are saved: what is changed of them, and whether what refers to them is saved beside them."""

    place: Place
    only: Platform | None
    changes: Changes
    referrers: bool
    is_verified: bool


def check_place(place: Place, *, referrers: bool, is_verified: bool) -> None:
    """Refuse what a place cannot be given; raises `ConfigError`."""
    if referrers and place.kind == "docker-archive":
        raise ConfigError("--referrers has no effect with docker-archive:", hint="write an oci-archive")
    if is_verified and not place.is_folder:
        raise ConfigError(f"--verify has no effect with {place.kind}:, which is written anew", hint="leave it out")


def check_copy(place: Place, options: Sequence[tuple[str, object]], wanted: Wanted) -> None:
    """Refuse `options` of a copy that are given and have no effect on files, and what a place cannot be."""
    given = next((name for name, value in options if value), None)
    if given is not None:
        raise ConfigError(f"{given} has no effect: {place.text} is in no registry", hint="leave it out")
    if place.is_stdout:
        raise ConfigError("copy writes no archive to stdout", hint=f"oci-push pull SOURCE {place.text} does")
    check_place(place, referrers=wanted.referrers, is_verified=wanted.is_verified)


def save_copies(
    context: Context, pusher: Pusher, lists: TagLists, sources: Sequence[str], wanted: Wanted, emit: Emit
) -> tuple[SavedImage, ...]:
    """Save images, and what refers to them."""
    items = named(sources, wanted.place, wanted.only, wanted.changes)
    attached = finder(lambda one: lists.source(one).client) if wanted.referrers else nothing_attached
    return save(context, pusher, items, wanted.place, emit, attached=attached, is_verified=wanted.is_verified)


def show_saved(place: Place, saved: Sequence[SavedImage], *, as_json: bool, is_quiet: bool) -> int:
    """Print each image with its digest and what came beside it; return the exit code. Stdout may have the archive."""
    if as_json:
        say_form(Pull.of(place, saved))
    for one in saved:
        what = one.item.source.removeprefix("docker://")
        if one.error is not None:
            show_error(one.error, before=f"{what}: ")
        elif one.root is not None and one.item.refers_to is None and not as_json:
            name = f"{place.title}:{one.item.name}" if one.item.name else place.title
            (tell if place.is_stdout else say)(f"{what if place.is_stdout else name}  {one.root.digest}")
    if not (as_json or is_quiet):
        referrers = sum(one.item.refers_to is not None and one.error is None for one in saved)
        written, whole = sum(one.written for one in saved), sum(one.size for one in saved)
        there = f", {size(whole - written)} there already" if whole > written else ""
        beside = f", with {counted(referrers, 'referrer')}" if referrers else ""
        tell(f"{size(written)} saved{there}{beside}")
    return exit_code([one.error for one in saved])
