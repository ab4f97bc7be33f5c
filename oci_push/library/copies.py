"""What a library user calls to copy images between registries, or into files: `copy`, `plan_copy` and `pull`."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from datetime import UTC, datetime

from msgspec import Struct

from oci_push.engine.copying.copy import copy as copy_images
from oci_push.engine.copying.forecast import forecast
from oci_push.engine.copying.items import AT_ONCE, CopyItem, CopyOptions
from oci_push.engine.copying.report import CopyReport
from oci_push.engine.copying.tag_lists import TagLists
from oci_push.engine.push import PushOptions
from oci_push.engine.pusher import Options
from oci_push.engine.saving.place import Place
from oci_push.engine.saving.pull import Pull, expand, named
from oci_push.engine.saving.save import save
from oci_push.engine.saving.steps import nothing_attached
from oci_push.engine.unit import UnitTarget
from oci_push.errors import ConfigError
from oci_push.events import Emit
from oci_push.library.calls import (
    OnEvent,
    call,
    check_type,
    finished,
    platform_of,
    pusher_for,
    refuse_text,
    source_of,
)
from oci_push.library.looking import Looker, look
from oci_push.library.selecting import Choosing, finder, items_of, read_source
from oci_push.model.changes import NOTHING, Changes
from oci_push.model.platform import Platform
from oci_push.model.reference import Destination, shown
from oci_push.runner.copy_plan import CopyPlan
from oci_push.runtime.context import Context


def copy(
    source: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *destinations: str,
    all_tags: bool = False,
    globs: Sequence[str] = (),
    exclude: Sequence[str] = (),
    newer_than: datetime | None = None,
    only_missing: bool = False,
    referrers: bool = True,
    platform: str = "",
    changes: Changes = NOTHING,
    at_once: int = AT_ONCE,
    verify: bool = False,
    all_or_nothing: bool = False,
    options: Options | None = None,
    on_event: OnEvent | None = None,
    cancel: threading.Event | None = None,
    timeout_s: float | None = None,
) -> CopyReport:
    """Copy images to repositories, one or all of another, with what refers to them: signatures, attestations, SBOMs.

    `source` is one or several, each as `push` takes it, or ``HOST/REPO:GLOB``. With `all_tags`, or `globs` of tags,
    each names a repository or a layout, of which all images or those that match are meant, but not those that match
    `exclude`. A destination without a tag lets each image keep its own. `newer_than` leaves out images made before, one
    without a zone is UTC; `only_missing` leaves out tags that the destination lists. Without `referrers` what refers to
    the images stays behind. `at_once` images go at once; the rest means what it means to `push`.

    What is there already is not sent again, so the same call goes on where one was stopped.

    Raises `OciPushError` as `push` does where a tag is not there afterwards; `report` has each.
    """
    wish = _Copy.of(source, destinations, all_tags, globs, exclude, platform, changes)
    asked = _copy_options(wish, at_once, referrers, only_missing, newer_than, verify, all_or_nothing, options)

    def work(context: Context, emit: Emit) -> CopyReport:
        began = context.clock.monotonic()
        with pusher_for(context, options, emit) as pusher:
            lists = TagLists(pusher)
            items = wish.items(Looker(pusher, context), lists)
            copied = copy_images(context, pusher, items, emit, asked, lists=lists)
        seconds = context.clock.monotonic() - began
        form = CopyReport.of(copied, seconds, with_referrers=referrers, cost=context.costs.total())
        return finished(form, copied.errors, "copies", context)

    return call(work, what="copy", on_event=on_event, cancel=cancel, timeout_s=timeout_s)


def plan_copy(
    source: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *destinations: str,
    all_tags: bool = False,
    globs: Sequence[str] = (),
    exclude: Sequence[str] = (),
    newer_than: datetime | None = None,
    only_missing: bool = False,
    referrers: bool = True,
    platform: str = "",
    changes: Changes = NOTHING,
    at_once: int = AT_ONCE,
    options: Options | None = None,
    on_event: OnEvent | None = None,
    cancel: threading.Event | None = None,
    timeout_s: float | None = None,
) -> CopyPlan:
    """Return what `copy` would do with these arguments: what is there, would be mounted and sent; nothing is written.

    Registries are asked. Errors are raised as by `copy`, with the plan as `report`.
    """
    wish = _Copy.of(source, destinations, all_tags, globs, exclude, platform, changes)
    asked = _copy_options(wish, at_once, referrers, only_missing, newer_than, False, False, options)

    def work(context: Context, emit: Emit) -> CopyPlan:
        with pusher_for(context, options, emit) as pusher:
            lists = TagLists(pusher)
            items = wish.items(Looker(pusher, context), lists)
            found = forecast(context, pusher, items, emit, asked, lists=lists)
        return finished(CopyPlan.of(found), found.copied.errors, "copies", context)

    return call(work, what="copy plan", on_event=on_event, cancel=cancel, timeout_s=timeout_s)


class _Copy(Struct, frozen=True):
    """What is copied, and where to."""

    texts: tuple[str, ...]
    targets: tuple[UnitTarget, ...]
    choosing: Choosing
    platform: Platform | None
    changes: Changes

    @classmethod
    def of(
        cls,
        source: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
        destinations: Sequence[str],
        all_tags: bool,  # as they are in `copy`
        globs: Sequence[str],
        exclude: Sequence[str],
        platform: str,
        changes: Changes,
    ) -> _Copy:
        """Read it; raises `ConfigError`, ``ValueError`` and ``TypeError``."""
        check_type("changes", changes, Changes)
        refuse_text("globs", globs)
        refuse_text("exclude", exclude)
        refuse_text("destinations", destinations)
        texts = _texts(source)
        if not destinations:
            raise ValueError("no destination: give one or several, each HOST[:PORT]/REPO[:TAG[,TAG…]]")
        only = platform_of(platform)
        if only is not None and changes.platforms:
            raise ValueError("platform is one image alone, changes.platforms make an index; give one of them")
        targets = tuple(_target(text) for text in destinations)
        said_by = "all_tags" if all_tags else "globs" if globs else ""
        return cls(texts, targets, Choosing(said_by, tuple(globs), tuple(exclude)), only, changes)

    @property
    def is_many(self) -> bool:
        """Return whether there may be more images than are named."""
        return bool(self.choosing.said_by) or any(read_source(one, self.choosing).selection for one in self.texts)

    def items(self, looker: Looker, lists: TagLists) -> tuple[CopyItem, ...]:
        """Return what is copied; tags are listed for that."""
        return items_of(
            looker.context,
            looker.pusher,
            lists,
            [read_source(text, self.choosing) for text in self.texts],
            self.targets,
            self.choosing,
            platform=self.platform,
            changes=self.changes,
        )


def _copy_options(
    wish: _Copy,
    at_once: int,
    referrers: bool,  # as they are in `copy`
    only_missing: bool,
    newer_than: datetime | None,
    verify: bool,
    all_or_nothing: bool,
    options: Options | None,
) -> CopyOptions:
    """Return how images are copied; raises ``ValueError`` and ``TypeError``."""
    check_type("newer_than", newer_than, datetime)
    check_type("options", options, Options)
    if isinstance(at_once, bool) or not isinstance(at_once, int) or at_once < 1:
        raise ValueError(f"at_once is {at_once!r}: give how many images go at once, from 1")
    if wish.choosing.exclude and not wish.is_many:
        raise ValueError("exclude has no effect: each source names one image")
    if wish.is_many and any(target.tags for target in wish.targets):
        raise ValueError("a destination names a tag, and there may be many images: each keeps its own tag")
    of_run = (options or Options()).push_options
    careful = PushOptions(verify or of_run.verify, all_or_nothing or of_run.all_or_nothing)
    if careful.all_or_nothing and (wish.is_many or len(wish.texts) > 1):
        raise ValueError("all_or_nothing is about the tags of one image, and here are several")
    since = None
    if newer_than is not None:
        since = (newer_than if newer_than.tzinfo else newer_than.replace(tzinfo=UTC)).timestamp()
    return CopyOptions(at_once, referrers, only_missing, since, careful)


def pull(
    source: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    target: str,
    *,
    platform: str = "",
    changes: Changes = NOTHING,
    all_tags: bool = False,
    referrers: bool = False,
    verify: bool = False,
    options: Options | None = None,
    on_event: OnEvent | None = None,
    cancel: threading.Event | None = None,
    timeout_s: float | None = None,
) -> Pull:
    """Save images in an OCI layout or an archive, byte for byte, each blob checked.

    `source` is one or several, each as `push` takes it, or ``HOST/REPO:GLOB``; with `all_tags` each is a repository.
    `target` is ``oci:DIR[:NAME]``, ``oci-archive:FILE[:NAME]`` or ``docker-archive:FILE[:NAME]``. A layout that exists
    is added to. `platform` is the only image of an index, `changes` are made on the way. `referrers` saves what refers
    to the images, too; `verify` reads again what a layout has already.

    Raises `OciPushError` as `push` does where an image is not saved; `report` has each.
    """
    check_type("changes", changes, Changes)
    check_type("target", target, str)
    texts, only, place = _texts(source), platform_of(platform), Place.parse(target)
    if place.is_stdout:
        raise ValueError("target is stdout, where the library writes nothing: name a file")
    if referrers and place.kind == "docker-archive":
        raise ValueError("referrers has no effect with docker-archive:, write an oci-archive")
    if verify and not place.is_folder:
        raise ValueError(f"verify has no effect with {place.kind}:, which is written anew")

    def work(looker: Looker) -> Pull:
        context, lists = looker.context, TagLists(looker.pusher)
        images = named(expand(context, lists, texts, all_tags=all_tags), place, only, changes)
        attached = finder(looker.client) if referrers else nothing_attached
        saved = save(context, looker.pusher, images, place, looker.emit, attached=attached, is_verified=verify)
        return finished(Pull.of(place, saved), [one.error for one in saved], "images", context)

    return look(work, what="pull", options=options, on_event=on_event, cancel=cancel, timeout_s=timeout_s)


def _texts(source: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]) -> tuple[str, ...]:
    """Return one source or several as texts."""
    given = (source,) if isinstance(source, str | bytes | os.PathLike) else tuple(source)
    if not given:
        raise ValueError("no source: give one or several")
    return tuple(source_of(one) for one in given)


def _target(text: str) -> UnitTarget:
    """Read a destination of a copy; raises `ConfigError`."""
    if Place.find(text) is not None:
        raise ConfigError(f"destination {shown(text)!r} is in no registry", hint="oci_push.pull saves images in files")
    try:
        found = Destination.parse(text.removeprefix("docker://"))
    except ValueError as problem:
        raise ConfigError(
            f"destination {shown(text)!r}: {problem}", hint="write HOST[:PORT]/REPO, or HOST[:PORT]/REPO:TAG[,TAG…]"
        ) from problem
    return UnitTarget(found.repository, found.tags)
