"""Disks that are full, temporary files that must not stay, and a memory that cannot be written."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from equipment.sandbox import Sandbox
from images import layer, make_layout, tar_folder
from pushing import Pushing, is_whole

from oci_push.errors import SourceError
from oci_push.sources.files import SpoolSpace

ROOT = Path(__file__).parents[2]
PROGRAM = Path(sys.executable).with_name("oci-push")


def environment(home: Path) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": str(ROOT), "TMPDIR": str(home / "tmp")}


def test_a_full_disk_is_named_as_such_with_a_way_out() -> None:
    with open("/dev/full", "wb", buffering=0) as full, pytest.raises(SourceError, match="the disk is full") as caught:
        SpoolSpace(None, 1 << 30).write(full, b"x", "image.tar")
    assert caught.value.hint is not None
    assert "--tmpdir" in caught.value.hint


def test_a_terminated_push_leaves_no_temporary_file(tmp_path: Path) -> None:
    image = make_layout(tmp_path / "image", layer(1, 3_000_000))
    (tmp_path / "tmp").mkdir()
    archive = tar_folder(image.path)
    command = [PROGRAM, "push", "-", "127.0.0.1:1/a:1"]
    with subprocess.Popen(command, env=environment(tmp_path), stdin=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdin is not None
        child.stdin.write(archive[: len(archive) // 2])
        child.stdin.flush()
        assert list((tmp_path / "tmp").iterdir()) == []  # its file has no name from the beginning
        child.send_signal(signal.SIGTERM)
        assert child.stderr is not None
        assert b"SIGTERM received" in child.stderr.readline()
        child.communicate(archive[len(archive) // 2 :], timeout=300)
    assert child.returncode == 143
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_memory_that_cannot_grow_is_a_warning_and_the_push_goes_on(tmp_path: Path) -> None:
    image = make_layout(tmp_path / "image", layer(1))
    (tmp_path / "tmp").mkdir()
    with Sandbox() as sandbox:
        done = subprocess.run(
            [PROGRAM, "push", f"oci:{image.path}", f"{sandbox.address}/a:1"],
            # A module's compiled form, cut off at the limit, would be in the way of all who come after.
            env=environment(tmp_path) | {"PYTHONDONTWRITEBYTECODE": "1"},
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)),
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert (done.returncode, "Traceback" in done.stderr) == (0, False)
        assert done.stderr.count("remembered facts are not used in this run") == 1
        assert is_whole(sandbox, "a", "1", image)


def test_a_damaged_memory_is_set_aside_and_the_push_goes_on(tmp_path: Path) -> None:
    image = make_layout(tmp_path / "image", layer(1))
    folder = tmp_path / ".cache" / "oci-push"
    folder.mkdir(parents=True)
    (folder / "memory.sqlite3").write_bytes(b"not a database, and long enough to be looked at" * 100)
    with Sandbox() as sandbox:
        pushing = Pushing(home=tmp_path)
        (result,) = pushing.push(image, f"{sandbox.address}/a:1")
        assert result.error is None
    assert [e for e in pushing.events if "damaged, set aside as memory.sqlite3.damaged" in getattr(e, "text", "")]
    assert (folder / "memory.sqlite3.damaged").exists()
