"""`oci-push pull`: images saved in an OCI layout or an archive."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from oci_push.api import this_environment
from oci_push.cli import looking
from oci_push.cli.command import run_command, show_error, takes
from oci_push.cli.conversion import Platforms
from oci_push.cli.looking import TransferAccess
from oci_push.cli.options import AsJson, Quiet
from oci_push.cli.output import is_result_shown, lost_results, say, say_bytes, say_form, tell
from oci_push.cli.reporting import Progress, Reporting
from oci_push.cli.wording import counted, size
from oci_push.cli.words import SAFETY, SOURCE, Argument, Option
from oci_push.engine.copying.tag_lists import TagLists
from oci_push.engine.saving.place import FORMS, Place
from oci_push.engine.saving.pull import Pull, expand, is_glob, named
from oci_push.engine.saving.save import save
from oci_push.engine.saving.steps import SavedImage, nothing_attached
from oci_push.errors import ConfigError, exit_code
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
        if referrers and place.kind == "docker-archive":
            raise ConfigError("--referrers has no effect with docker-archive:", hint="write an oci-archive")
        if verify and not place.is_folder:
            raise ConfigError(f"--verify has no effect with {place.kind}:, which is written anew", hint="leave it out")
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
        if as_json:
            say_form(Pull.of(place, saved))
        else:
            _show(place, saved, is_quiet=quiet)
        return exit_code([one.error for one in saved])

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


def _show(place: Place, saved: Sequence[SavedImage], *, is_quiet: bool) -> None:
    """Print each image with its digest, on stderr where stdout has the archive, and what came beside them."""
    for one in saved:
        what = one.item.source.removeprefix("docker://")
        if one.error is not None:
            show_error(one.error, before=f"{what}: ")
        elif one.root is not None and one.item.refers_to is None:
            name = f"{place.title}:{one.item.name}" if one.item.name else place.title
            line = f"{what}  {one.root.digest}" if place.is_stdout else f"{name}  {one.root.digest}"
            (tell if place.is_stdout else say)(line)
    if is_quiet:
        return
    referrers = [one for one in saved if one.item.refers_to is not None and one.error is None]
    written, whole = sum(one.written for one in saved), sum(one.size for one in saved)
    there = f", {size(whole - written)} there already" if whole > written else ""
    beside = f", with {counted(len(referrers), 'referrer')}" if referrers else ""
    tell(f"{size(written)} saved{there}{beside}")


def _write(block: memoryview) -> None:
    say_bytes(bytes(block))
    lost = lost_results()
    if lost is not None:
        raise ConfigError(f"stdout takes no more ({lost.strerror})", hint="is what reads the archive still there?")
