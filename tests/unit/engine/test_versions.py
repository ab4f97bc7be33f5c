"""Tags as versions: the order of semver.org, and what is no version."""

from __future__ import annotations

import pytest

from oci_push.engine.looking.listing import by_version
from oci_push.model.versions import version_key

ORDER = [
    "1.0.0-alpha",
    "1.0.0-alpha.1",
    "1.0.0-alpha.beta",
    "1.0.0-beta",
    "1.0.0-beta.2",
    "1.0.0-beta.11",
    "1.0.0-rc.1",
]
"""semver.org, section 11, its own example; the release comes after all of them."""


def test_versions_are_ordered_as_semver_orders_its_example() -> None:
    ordered = [*ORDER, "1.0.0", "1.0.1", "1.2", "1.10.0", "v2", "10.0.0"]
    assert by_version(sorted(ordered)) == ordered[::-1]


@pytest.mark.parametrize("tag", ["latest", "1.x", "v", "main-1.2", "1..2", "sha256-abc", "1.2.3.4.5", "١.٢"])
def test_what_is_no_version_comes_last_by_name(tag: str) -> None:
    assert version_key(tag) is None
    assert by_version([tag, "0.0.1", "zz"]) == ["0.0.1", *sorted([tag, "zz"])]
