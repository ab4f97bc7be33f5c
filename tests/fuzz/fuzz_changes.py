"""Manifests, indexes and configs that are changed: what can be read can be changed, or is a ``ValueError``."""

from __future__ import annotations

from fuzzing import run

from oci_push.model import media
from oci_push.model.changes import AnnotationChange, Changes, ConfigChanges
from oci_push.model.digest import Digest
from oci_push.model.manifest import Manifest, encode, load_json
from oci_push.sources.rewriting import manifests
from oci_push.sources.rewriting.config import changed_config
from oci_push.sources.rewriting.manifests import Replaced

CONFIG = ConfigChanges({"a": "b", "c": None}, {"A": "b", "C": None}, ("x",), (), "1", "/w", "2026-01-02T03:04:05Z")
NOTES = (AnnotationChange("a", "b"), AnnotationChange("team", None))
NEW = Digest.of(b"new")


def target(data: bytes) -> None:
    """Change bytes as a config, and as a manifest."""
    try:
        changed = changed_config(data, Changes(epoch=0, config=CONFIG))
        assert changed is None or changed_config(encode(changed), Changes(epoch=0, config=CONFIG)) is None
    except ValueError:
        pass
    for form in ("docker", "oci", ""):
        _change(data, form)


def _change(data: bytes, form: str) -> None:
    try:
        manifest = Manifest.parse(data)
    except ValueError:
        return
    value = load_json(data, "manifest")
    layers = {one.digest: Replaced(NEW, 3, "zstd") for one in manifest.layers}
    if manifest.media_type in media.INDEXES:
        for entry in value["manifests"]:  # type: ignore[attr-defined]  # it has been parsed
            manifests.change_descriptor(entry, form, Replaced(NEW, 3))
        manifests.changed_index(manifest, value, form=form, annotations=NOTES)
    else:
        manifests.changed_manifest(manifest, value, form=form, blobs=layers, annotations=NOTES)
    again = Manifest.parse(encode(value), manifest.media_type if not form else "")
    assert not form or manifests.is_of(again, form)
    assert again.annotations["a"] == "b"
    assert all(one.digest == NEW for one in again.children)


if __name__ == "__main__":
    run(target, "changes")
