"""Saving images: what readers give is written to a layout or an archive, each blob once, digests and sizes checked.

An image is walked as for a push; the difference is where its blobs go. In a layout every image is listed as soon as all
of it is there, so that a run which is stopped has saved what it listed. An archive is whole or not there at all::

    place = Place.parse("oci:images")
    saved = save(context, pusher, [SaveItem("docker://registry.example.com/app:1", "1")], place, emit)
"""

from __future__ import annotations

from collections.abc import Sequence

from oci_push.engine.pusher import Pusher
from oci_push.engine.saving.archive_file import Write
from oci_push.engine.saving.into_archive import save_archive
from oci_push.engine.saving.into_layout import FolderSaving
from oci_push.engine.saving.item import SaveItem
from oci_push.engine.saving.place import Place
from oci_push.engine.saving.steps import Attached, SavedImage, nothing_attached
from oci_push.errors import ConfigError
from oci_push.events import Emit
from oci_push.runtime.context import Context


def save(
    context: Context,
    pusher: Pusher,
    items: Sequence[SaveItem],
    place: Place,
    emit: Emit,
    *,
    attached: Attached = nothing_attached,
    write: Write | None = None,
    is_verified: bool = False,
) -> tuple[SavedImage, ...]:
    """Save images in one place, and what is `attached` to them, which the result has after them.

    `write` takes an archive for stdout, `is_verified` hashes blobs that are there.

    Raises `ConfigError` where the place cannot be written to at all. In a layout what is wrong with one image is its
    own error and the others are saved; an archive holds all of them, or what is wrong with one is raised.
    """
    check_names(items, place)
    if place.is_folder:
        return FolderSaving(context, pusher, place, emit, attached, is_verified=is_verified).save(items)
    return save_archive(context, pusher, items, place, emit, attached, write)


def check_names(items: Sequence[SaveItem], place: Place) -> None:
    """Refuse two images of one name; raises `ConfigError`."""
    seen: dict[str, str] = {}
    for one in items:
        if one.name and seen.setdefault(one.name, one.source) != one.source:
            raise ConfigError(
                f"{place.title}: {seen[one.name]} and {one.source} would both be called {one.name!r} there",
                hint="save them one by one, each with a name of its own after the target",
            )
