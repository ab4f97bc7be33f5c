"""Platforms: text form, JSON form, and what satisfies what."""

from __future__ import annotations

import pytest

from oci_push.model.platform import Platform


@pytest.mark.parametrize("text", ["linux/amd64", "linux/arm/v7", "windows/amd64"])
def test_parse_and_str_are_inverse(text: str) -> None:
    assert str(Platform.parse(text)) == text


@pytest.mark.parametrize(
    "text", ["", "linux", "linux/", "/amd64", "a/b/c/d", "linux/amd 64", "linux/amd64\n", "linux//v7"]
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a platform"):
        Platform.parse(text)


def test_json_form_holds_what_is_set() -> None:
    assert Platform("linux", "amd64").to_json() == {"architecture": "amd64", "os": "linux"}
    full = Platform("windows", "amd64", "v2", "10.0.17763")
    assert Platform.from_json(full.to_json()) == full


def test_fields_of_another_kind_count_as_not_said() -> None:
    assert Platform.from_json({"os": 7, "architecture": None}) == Platform("", "")


@pytest.mark.parametrize(
    ("child", "wanted", "expected"),
    [
        ("linux/amd64", "linux/amd64", True),
        ("linux/amd64", "linux/arm64", False),
        ("windows/amd64", "linux/amd64", False),
        ("linux/arm/v7", "linux/arm", True),
        ("linux/arm/v7", "linux/arm/v7", True),
        ("linux/arm/v6", "linux/arm/v7", False),
        ("linux/arm", "linux/arm/v7", True),
        ("linux/arm", "linux/arm/v6", False),
        ("linux/arm64", "linux/arm64/v8", True),
        ("linux/arm64/v8", "linux/arm64", True),
        ("linux/amd64", "linux/amd64/v3", False),
    ],
)
def test_child_satisfies_what_is_wanted(child: str, wanted: str, expected: bool) -> None:
    assert Platform.parse(child).satisfies(Platform.parse(wanted)) is expected
