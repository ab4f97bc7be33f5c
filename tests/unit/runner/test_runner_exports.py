"""Writing exports: whole, added to GitHub's file, and never over a device."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from oci_push.errors import ConfigError
from oci_push.variables.exports import ExportForm, write_exports

STEPS = {"push": {"imageId": "sha256:1"}}


def test_a_file_is_replaced_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "out.env"
    path.write_text("OLD=1\n")
    write_exports(path, ExportForm.DOTENV, STEPS)
    assert path.read_text() == "push_imageId=sha256:1\n"
    assert os.listdir(tmp_path) == ["out.env"]


def test_githubs_file_is_added_to(tmp_path: Path) -> None:
    path = tmp_path / "output"
    path.write_text("earlier=1\n")
    write_exports(path, ExportForm.GITHUB, STEPS)
    lines = path.read_text().splitlines()
    assert lines[0] == "earlier=1"
    assert lines[1].startswith("push_imageId<<")
    assert lines[2] == "sha256:1"


def test_a_pipe_is_written_to_and_stays_one(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(path.read_text()))
    reader.start()
    write_exports(path, ExportForm.DOTENV, STEPS)
    reader.join()
    assert read == ["push_imageId=sha256:1\n"]
    assert path.is_fifo()


@pytest.mark.parametrize("form", list(ExportForm))
def test_a_place_that_cannot_be_written_is_told(tmp_path: Path, form: ExportForm) -> None:
    with pytest.raises(ConfigError, match=r"no/out: the exports cannot be written \(No such file or directory\)"):
        write_exports(tmp_path / "no" / "out", form, STEPS)


def test_nothing_is_written_when_a_value_does_not_fit_the_form(tmp_path: Path) -> None:
    path = tmp_path / "out.env"
    path.write_text("OLD=1\n")
    with pytest.raises(ConfigError):
        write_exports(path, ExportForm.GITLAB, {"push": {"title": "a\nb"}})
    assert path.read_text() == "OLD=1\n"
