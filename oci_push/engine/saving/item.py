"""One image that is saved, and what the files of a layout or an archive list of it."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field

from oci_push.engine.looking.tree import IMAGE_CONFIGS
from oci_push.engine.saving.layout_folder import REF_NAME
from oci_push.engine.saving.place import Place, full_name
from oci_push.errors import SourceError
from oci_push.model import media
from oci_push.model.changes import NOTHING, Changes
from oci_push.model.descriptor import Descriptor
from oci_push.model.digest import Digest
from oci_push.model.manifest import Manifest
from oci_push.model.platform import Platform
from oci_push.sources.layout import blob_path

_IMAGE_NAME = "io.containerd.image.name"
"""Where docker and containerd look for an image's whole name in index.json; `REF_NAME` then holds its tag alone."""
_NAMES = frozenset({REF_NAME, _IMAGE_NAME})
"""What nobody but us may say of an entry: an artifact that names itself would take the place of an image."""


class SaveItem(Struct, frozen=True):
    """One image to save: a SOURCE, and the `name` that it gets, empty for none.

    `platform` is the only image of an index, `registry` names what it is read from, and `changes` are made on the way.
    `artifact_type` and `annotations` are what index.json says of it beside that: those that a list of referrers has.
    `refers_to` is the manifest that it is about, where it is saved for that.
    """

    source: str
    name: str = ""
    platform: Platform | None = None
    registry: str = ""
    changes: Changes = NOTHING
    artifact_type: str = ""
    annotations: Mapping[str, str] = field(default_factory=dict)
    refers_to: Digest | None = None


def entry_of(item: SaveItem, root: Manifest, place: Place) -> dict[str, object]:
    """Return what index.json lists of an image."""
    annotations = {key: value for key, value in item.annotations.items() if key not in _NAMES}
    if item.name and place.kind == "docker-archive":
        reference = full_name(item.name)
        annotations[_IMAGE_NAME] = f"{reference.repository}:{reference.target}"
        annotations[REF_NAME] = reference.target
    elif item.name:
        annotations[REF_NAME] = item.name
    made = Descriptor(
        root.media_type, root.digest, root.size, annotations, artifact_type=item.artifact_type or root.artifact_type
    )
    return made.to_json()


def docker_entry(item: SaveItem, name: str, root: Manifest) -> dict[str, object]:
    """Return what ``manifest.json`` lists of an image (docker image spec v1.2).

    Raises `SourceError` for what docker does not load.
    """
    if root.config is None:
        raise SourceError(
            f"{name}: is an index, and a docker-archive holds images of one platform each",
            hint="say which: --platform OS/ARCH; or write an oci-archive",
        )
    if root.config.media_type not in IMAGE_CONFIGS:
        raise SourceError(
            f"{name}: is no image but an artifact ({root.artifact_type or root.config.media_type})",
            hint="write an oci-archive",
        )
    elsewhere = next((one for one in root.layers if media.is_foreign_layer(one.media_type) and one.urls), None)
    if elsewhere is not None:
        raise SourceError(
            f"{name}: layer {elsewhere.digest} is kept elsewhere, and a docker-archive has to hold it",
            hint="write an oci-archive",
        )
    tags: list[str] = []
    if item.name:
        reference = full_name(item.name)
        tags.append(f"{reference.repository.familiar}:{reference.target}")
    return {
        "Config": blob_path(root.config.digest),
        "RepoTags": tags,
        "Layers": [blob_path(one.digest) for one in root.layers],
    }
