"""Places to save in: the forms, their names, and what index.json lists after more was saved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from oci_push.engine.saving.layout_folder import REF_NAME, merge
from oci_push.engine.saving.place import Place
from oci_push.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "kind", "path", "name"),
    [
        ("oci:out", "oci", "out", ""),
        ("oci:out:1.4", "oci", "out", "1.4"),
        ("oci:/a/b:registry.example.com:5000/team/app:1", "oci", "/a/b", "registry.example.com:5000/team/app:1"),
        ("oci-archive:a.tar", "oci-archive", "a.tar", ""),
        ("oci-archive:-:1", "oci-archive", "-", "1"),
        ("docker-archive:a.tar:team/app:1", "docker-archive", "a.tar", "team/app:1"),
    ],
)
def test_a_place_is_a_scheme_a_path_and_a_name(text: str, kind: str, path: str, name: str) -> None:
    assert Place.parse(text) == Place(kind, path, name, text)


@pytest.mark.parametrize(
    "text", ["out", "registry.example.com/app:1", "docker://registry.example.com/app", "dir:out", ""]
)
def test_what_begins_as_no_place_is_none(text: str) -> None:
    assert Place.find(text) is None
    with pytest.raises(ConfigError, match="is no place to save an image in"):
        Place.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        *("oci:", "oci:-", "oci://a/b", "oci:out: ", "oci:out:a\n", "oci:out@sha256:00", "oci:out:\x1b[2J", "oci:a\0b"),
        *("docker-archive:a.tar:UPPER", f"docker-archive:a.tar:app@sha256:{'0' * 64}", f"oci:out:{'x' * 600}"),
    ],
)
def test_what_can_be_no_place_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        Place.find(text)


def entry(digest: str, name: str = "") -> dict[str, object]:
    return {"digest": digest, **({"annotations": {REF_NAME: name}} if name else {})}


@pytest.mark.parametrize(
    ("listed", "new", "after"),
    [
        ([], [entry("a", "1")], [entry("a", "1")]),
        ([entry("a", "1"), entry("b", "2")], [entry("c", "1")], [entry("c", "1"), entry("b", "2")]),
        ([entry("a"), entry("b")], [entry("a", "1")], [entry("a", "1"), entry("b")]),
        ([entry("a", "1")], [entry("a")], [entry("a", "1")]),
        ([entry("a", "1")], [entry("a", "2")], [entry("a", "1"), entry("a", "2")]),
        ([entry("a", "1"), entry("b", "1")], [entry("c", "1")], [entry("c", "1")]),
        ([entry("a")], [entry("a"), entry("a")], [entry("a")]),
        (
            [{"digest": "a", "annotations": None}],
            [entry("b", "1")],
            [{"digest": "a", "annotations": None}, entry("b", "1")],
        ),
    ],
)
def test_a_name_is_one_image_and_an_image_without_one_is_listed_once(
    listed: Sequence[Mapping[str, object]],
    new: Sequence[Mapping[str, object]],
    after: Sequence[Mapping[str, object]],
) -> None:
    assert merge(listed, new) == after
