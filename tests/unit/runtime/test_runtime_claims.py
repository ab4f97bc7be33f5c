"""Claims: one at a time, and free again when their owner is gone, however it went."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from oci_push.runtime.claims import claim


def test_a_claim_is_held_by_one(tmp_path: Path) -> None:
    first = claim(tmp_path / "cache" / "a.lock")
    assert first is not None
    assert claim(tmp_path / "cache" / "a.lock") is None
    other = claim(tmp_path / "cache" / "b.lock")
    assert other is not None


def test_a_released_claim_is_free_and_leaves_no_file(tmp_path: Path) -> None:
    first = claim(tmp_path / "a.lock")
    assert first is not None
    first.release()
    first.release()
    assert list(tmp_path.iterdir()) == []
    assert claim(tmp_path / "a.lock") is not None


def test_a_killed_owner_gives_its_claim_up_at_once(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from oci_push.runtime.claims import claim\n"
        "held = claim(pathlib.Path(sys.argv[1])); print(held is not None, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "a.lock")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "True\n"
        assert claim(tmp_path / "a.lock") is None
        owner.kill()
        owner.wait()
        assert claim(tmp_path / "a.lock") is not None


def test_a_folder_that_cannot_be_made_gives_no_claim(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    assert claim(tmp_path / "file" / "a.lock") is None
