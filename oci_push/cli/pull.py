"""`oci-push pull`: images saved in an OCI layout or an archive."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from oci_push.api import this_environment
from oci_push.cli import looking
from oci_push.cli.command import run_command, takes
from oci_push.cli.conversion import Platforms
from oci_push.cli.looking import TransferAccess
from oci_push.cli.options import AsJson, Quiet
from oci_push.cli.output import is_result_shown, lost_results, say_bytes
from oci_push.cli.reporting import Progress, Reporting
from oci_push.cli.saved_copies import check_place, show_saved
from oci_push.cli.words import SAFETY, SOURCE, Argument, Option
from oci_push.engine.copying.tag_lists import TagLists
from oci_push.engine.saving.place import FORMS, Place
from oci_push.engine.saving.pull import expand, is_glob, named
from oci_push.engine.saving.save import save
from oci_push.engine.saving.steps import nothing_attached
from oci_push.errors import ConfigError
from oci_push.library.selecting import finder
from oci_push.runtime.context import Context
from oci_push.sources.table import GRAMMAR


@takes(Platforms, TransferAccess)
def pull(
    words: Annotated[
        list[str],
        Argument(metavar="SOURCE... TARGET", help=f"SOURCE: {GRAMMAR.known}. TARGET: {FORMS}; - as FILE is stdout."),
    ],
    all_tags: Annotated[bool, Option("All tags of each repository.", under=SOURCE)] = False,
    referrers: Annotated[
        bool, Option("Save what refers to the images, too: signatures, attestations, SBOMs.", under=SOURCE)
    ] = False,
    verify: Annotated[bool, Option("Read again what the layout has of the images already.", under=SAFETY)] = False,
    as_json: AsJson = False,
    progress: Progress = "auto",
    quiet: Quiet = False,
    *,
    platforms: Platforms,
    access: TransferAccess,
) -> None:
    """Save images in an OCI layout or an archive, byte for byte, each blob checked.

    A layout that exists is added to: an image of the same name is replaced, what it has is not fetched again.
    """

    def work(context: Context) -> int:
        sources, place = _taken_apart(words)
        reporting, env = Reporting(progress=progress), this_environment().env
        reporting.check_with(access.common(quiet=quiet), env)
        if place.is_stdout and (as_json or is_result_shown()):
            raise ConfigError(
                "--json and the archive cannot both go to stdout"
                if as_json
                else "an archive is nothing for a terminal",
                hint="name a file, as in oci-archive:image.tar",
            )
        check_place(place, referrers=referrers, is_verified=verify)
        with (
            reporting.following(context.clock, env, is_quiet=quiet or as_json, title=f"Pull {sources[0]}") as follower,
            looking.looking(context, access, sources=_registries(sources), emit=follower.emit) as look,
        ):
            texts = expand(context, TagLists(look.pusher), sources, all_tags=all_tags)
            items = named(texts, place, platforms.only(), platforms.selected())
            attached = finder(look.client) if referrers else nothing_attached
            saved = save(
                context,
                look.pusher,
                items,
                place,
                follower.emit,
                attached=attached,
                write=_write if place.is_stdout else None,
                is_verified=verify,
            )
        return show_saved(place, saved, as_json=as_json, is_quiet=quiet)

    run_command(work, what="pull", timeout_s=access.timeout_s)


def _registries(sources: Sequence[str]) -> list[str]:
    """Return sources for who looks up how their registries are reached: without what stands for any number of tags."""
    return [text[: text.rindex(":")] if is_glob(text) else text for text in sources]


def _taken_apart(words: Sequence[str]) -> tuple[list[str], Place]:
    """Return the sources and the target; raises `ConfigError` where there is no target."""
    *sources, last = words
    found = Place.find(last)
    if found is None and (not sources or GRAMMAR.read(last) is not None):
        raise ConfigError(
            f"there is no TARGET to save {last if not sources else 'the images'} in",
            hint=f"after what is pulled write one of {FORMS}; - as FILE is stdout",
        )
    place = found or Place.parse(last)
    if not sources:
        raise ConfigError(f"nothing is named that would be saved in {last}", hint="write SOURCE... before the target")
    return sources, place


def _write(block: memoryview) -> None:
    say_bytes(bytes(block))
    lost = lost_results()
    if lost is not None:
        raise ConfigError(f"stdout takes no more ({lost.strerror})", hint="is what reads the archive still there?")
