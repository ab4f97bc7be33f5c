"""The page of features says what is there: its commands can be read, its tests exist, its gaps are explained."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest

from oci_push.cli.app import COMMANDS, command_of
from oci_push.cli.words import parameters, read

sys.path.insert(0, str(Path(__file__).parents[2] / "docs" / "site"))
import features

ROWS = list(features.rows(features.read()))


def test_the_page_is_made_of_the_list() -> None:
    assert features.PAGE.read_text() == features.page(), "run `make features`"


def test_every_feature_is_there_once() -> None:
    ids = [row["id"] for row in ROWS]
    assert ids == [f"F{number:03}" for number in range(1, 143)] + [f"N{number:02}" for number in range(1, 33)]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["id"])
def test_a_feature_is_shown_and_what_is_missing_is_explained(row: dict[str, str]) -> None:
    assert row["have"] in features.HAVE
    assert row["shown"] or row["have"] == "no"
    assert row.get("remark") or row["have"] == "yes"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["id"])
def test_what_shows_a_feature_is_there(row: dict[str, str]) -> None:
    tests = features.tests()
    for text in row["shown"]:
        if not text.startswith(features.COMMAND):
            assert text in tests
            continue
        words = shlex.split(text)[1:]
        place: object = COMMANDS
        while isinstance(place, dict):
            _, place = place[words.pop(0)]
        assert read(parameters(command_of(str(place))), words) is not None, text
