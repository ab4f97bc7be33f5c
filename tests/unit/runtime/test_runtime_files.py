"""Files written whole, and locks: one at a time, and free again when their owner is gone, however it went."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from oci_push.runtime.clock import FakeClock
from oci_push.runtime.context import Context
from oci_push.runtime.files import PRIVATE, folder_locked, try_lock, write_whole


def test_a_lock_is_held_by_one(tmp_path: Path) -> None:
    first = try_lock(tmp_path / "cache" / "a.lock")
    assert first is not None
    assert try_lock(tmp_path / "cache" / "a.lock") is None
    other = try_lock(tmp_path / "cache" / "b.lock")
    assert other is not None


def test_a_released_lock_is_free_and_leaves_no_file(tmp_path: Path) -> None:
    first = try_lock(tmp_path / "a.lock")
    assert first is not None
    first.release()
    first.release()
    assert list(tmp_path.iterdir()) == []
    assert try_lock(tmp_path / "a.lock") is not None


def test_a_killed_owner_gives_its_lock_up_at_once(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from oci_push.runtime.files import try_lock\n"
        "held = try_lock(pathlib.Path(sys.argv[1])); print(held is not None, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "a.lock")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "True\n"
        assert try_lock(tmp_path / "a.lock") is None
        owner.kill()
        owner.wait()
        assert try_lock(tmp_path / "a.lock") is not None


def test_a_folder_that_cannot_be_made_gives_no_lock(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    assert try_lock(tmp_path / "file" / "a.lock") is None


def test_a_file_is_replaced_whole_and_a_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    write_whole(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "real"]


def test_a_private_file_is_its_owners_alone(tmp_path: Path) -> None:
    write_whole(tmp_path / "key", "secret", mode=PRIVATE)
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600


def test_a_new_file_is_written_over_nobodys(tmp_path: Path) -> None:
    (tmp_path / "there").write_text("old")
    with pytest.raises(FileExistsError):
        write_whole(tmp_path / "there", "new", is_new=True)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("there", "old")]


def test_a_pipe_is_written_to(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    try:
        write_whole(Path(f"/dev/fd/{writer}"), "text")
        assert os.read(reader, 100) == b"text"
    finally:
        os.close(reader)
        os.close(writer)


def test_what_a_killed_process_of_our_number_left_is_in_nobodys_way(tmp_path: Path) -> None:
    import threading

    (tmp_path / f".a.{os.getpid()}-{threading.get_ident()}").write_text("half")
    write_whole(tmp_path / "a", "whole")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a", "whole")]


def test_a_locked_folder_is_waited_for_and_then_given_up(tmp_path: Path) -> None:
    context = Context(clock := FakeClock())
    with folder_locked(tmp_path, context, wait_s=10) as first:
        assert first
        with folder_locked(tmp_path, context, wait_s=10) as second:
            assert not second
        assert clock.monotonic() >= 10
    with folder_locked(tmp_path, context, wait_s=0) as third:
        assert third
