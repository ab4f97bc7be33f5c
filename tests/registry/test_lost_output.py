"""Pushes whose output nobody takes: the work is done and reported all the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from equipment.sandbox import Sandbox
from images import layer, make_layout

ROOT = Path(__file__).parents[2]


@contextmanager
def unread() -> Iterator[int]:
    """Give the writing end of a pipe whose reader has gone."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        yield writer
    finally:
        os.close(writer)


@contextmanager
def full() -> Iterator[int]:
    """Give a file that has no space left."""
    number = os.open("/dev/full", os.O_WRONLY)
    try:
        yield number
    finally:
        os.close(number)


@pytest.mark.parametrize("lost", [("stdout",), ("stderr",), ("stdout", "stderr")], ids="+".join)
@pytest.mark.parametrize("place", [unread, full])
def test_a_push_is_not_harmed_by_output_that_nobody_takes(place: object, lost: tuple[str, ...], tmp_path: Path) -> None:
    image = make_layout(tmp_path / "image", layer(1))
    words = [sys.executable, "-m", "oci_push", "push", "oci:image", "ADDRESS/app:1", "--report", "r.json", "--debug"]
    with Sandbox() as sandbox, place() as number:  # type: ignore[operator]
        streams = {name: number if name in lost else subprocess.PIPE for name in ("stdout", "stderr")}
        done = subprocess.run(
            [word.replace("ADDRESS", sandbox.address) for word in words],
            **streams,
            text=True,
            timeout=60,
            cwd=tmp_path,
            env={"HOME": str(tmp_path / "home"), "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        )
        assert tuple(sandbox.store.tags("app")) == ("1",)
    assert done.returncode == (1 if "stdout" in lost else 0)
    report = json.loads((tmp_path / "r.json").read_text())
    assert (report["status"], report["targets"][0]["digest"]) == ("success", image.digest)
    assert "Traceback" not in (done.stderr or "")
    assert "Exception ignored" not in (done.stderr or "")
    if "stderr" not in lost:
        assert done.stderr.splitlines()[-1].startswith("error: the results could not be printed: ")
