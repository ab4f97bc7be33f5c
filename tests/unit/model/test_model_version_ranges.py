"""Ranges of versions: the cases of Masterminds/semver's documentation, by which skopeo reads them."""

from __future__ import annotations

import pytest

from oci_push.model.version_ranges import VersionRange

HOLDS = [
    ("1.2", "1.2.0 1.2.9", "1.1.9 1.3.0"),
    ("=1.2.3", "1.2.3 v1.2.3", "1.2.4"),
    ("!=1.2", "1.3 2", "1.2.0 1.2.5"),
    ("!=1.2.3", "1.2.4", "1.2.3"),
    (">1.2", "1.3.0 2", "1.2.0 1.2.9"),
    (">1.2.3", "1.2.4", "1.2.3"),
    ("<2", "1.9.9 0.1", "2.0.0"),
    ("<=1.2", "1.2.9 1.2", "1.3.0"),
    ("<=1.2.3", "1.2.3", "1.2.4"),
    (">=1.2 <2", "1.2 1.9.9", "1.1 2 2.1"),
    (">= 1.2, < 2 || 3", "1.5 3.7", "2.5 4"),
    ("=>1.2 =<1.4", "1.2.0 1.4.9", "1.5"),
    ("1.2 - 1.4.5", "1.2.0 1.4.5", "1.1.9 1.4.6"),
    ("1.2.x", "1.2.7", "1.3.0"),
    ("*", "0.1 7", "latest"),
    ("~1.2.3", "1.2.3 1.2.9", "1.2.2 1.3.0"),
    ("~1", "1.0 1.9", "0.9 2.0"),
    ("~>2.3", "2.3.9", "2.4"),
    ("^1.2.3", "1.2.3 1.9.9", "1.2.2 2.0.0"),
    ("^0.2.3", "0.2.9", "0.3.0"),
    ("^0.2", "0.2.9", "0.3.0"),
    ("^0.0.3", "0.0.3", "0.0.4"),
    ("^0.0", "0.0.9", "0.1.0"),
    ("^0", "0.9.9", "1.0.0"),
    (">=1", "1.0 2", "1.1-rc1 latest 1.2.3.4 1.2_3 nightly-1.2"),
    (">=1.0-0", "1.1-rc1 1.1", "0.9-rc1"),
]


@pytest.mark.parametrize(("text", "inside", "outside"), HOLDS, ids=[text for text, _, _ in HOLDS])
def test_a_range_holds_what_its_language_says(text: str, inside: str, outside: str) -> None:
    wanted = VersionRange.parse(text)
    tags = (*inside.split(), *outside.split())
    assert [tag for tag in tags if wanted.holds(tag)] == inside.split()


def test_prereleases_are_versions_in_order_where_that_is_wanted() -> None:
    wanted = VersionRange.parse(">=1.2 <2", any_prerelease=True)
    assert [tag for tag in ("1.2-alpine", "1.3-alpine", "2.0-rc1", "2.0") if wanted.holds(tag)] == [
        "1.3-alpine",
        "2.0-rc1",
    ]


@pytest.mark.parametrize("text", ["", "latest", ">=", "1.2.3.4", "||", ">=1 || ", "1 2 three", "=>>1", "1,,2"])
def test_what_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no range of versions"):
        VersionRange.parse(text)
