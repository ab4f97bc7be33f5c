"""Pulls by several processes, and by one that is killed: nothing is lost, and nothing is half there."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from around import pushed
from equipment.faults import Answer, Fault, StallReply
from equipment.sandbox import Sandbox
from images import Layout, layer, make_layout, make_raw_layout, noise
from program import program, until

from oci_push.engine.saving.layout_folder import LayoutFolder
from oci_push.errors import ConfigError
from oci_push.runtime.clock import SystemClock
from oci_push.runtime.context import Context
from oci_push.runtime.files import folder_locked, hold

ROOT = Path(__file__).parents[2]
PROGRAM = Path(sys.executable).with_name("oci-push")


def start(*words: str, cwd: Path) -> subprocess.Popen[bytes]:
    env = {"PATH": os.environ["PATH"], "HOME": str(cwd / "home"), "PYTHONPATH": str(ROOT)}
    return subprocess.Popen([PROGRAM, "pull", *words], cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def names_of(folder: Path) -> set[str]:
    listed = json.loads((folder / "index.json").read_text())["manifests"]
    return {one["annotations"]["org.opencontainers.image.ref.name"] for one in listed}


def check_blobs(folder: Path) -> None:
    for one in (folder / "blobs/sha256").iterdir():
        assert hashlib.sha256(one.read_bytes()).hexdigest() == one.name


def test_four_at_once_lose_no_image_and_fetch_each_blob_once(sandbox: Sandbox, tmp_path: Path) -> None:
    image = make_raw_layout(tmp_path / "image", noise(2_000_000), noise(1_000_000, 2))
    name = pushed(sandbox, image, "1", "2", "3", "4")
    running = [start(f"{name}:{tag}", "oci:out", cwd=tmp_path) for tag in range(1, 5)]
    for one in running:
        _, said = one.communicate(timeout=100)
        assert one.returncode == 0, said
    assert names_of(tmp_path / "out") == {"1", "2", "3", "4"}
    check_blobs(tmp_path / "out")
    assert sorted(os.listdir(tmp_path / "out")) == ["blobs", "index.json", "oci-layout"]
    blobs = [one.path for one in sandbox.traffic.select(method="GET", path_pattern="/blobs/")]
    assert sorted(blobs) == sorted(set(blobs))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_pull_that_is_ended_lists_nothing_and_is_gone_on_with(
    number: signal.Signals, sandbox: Sandbox, tmp_path: Path
) -> None:
    image = make_raw_layout(tmp_path / "image", noise(3_000_000))
    name = pushed(sandbox, image, "1")
    large = max(image.blobs, key=image.blobs.__getitem__)
    part = tmp_path / "out" / f".oci-push-{large.replace(':', '-')}"
    sandbox.faults.add(Fault(method="GET", path=large, action=StallReply(2_000_000, 60)))
    child = start(f"{name}:1", "oci:out", cwd=tmp_path)
    until(lambda: part.exists() and part.stat().st_size > 1_000_000)
    child.send_signal(number)
    child.communicate(timeout=100)
    assert child.returncode in (-signal.SIGKILL, 143)
    assert not (tmp_path / "out/index.json").exists()
    sandbox.traffic.clear()
    program("pull", f"{name}:1", "oci:out", cwd=tmp_path)
    (again,) = sandbox.traffic.select(method="GET", path_pattern=large)
    assert "range" in again.headers
    check_blobs(tmp_path / "out")
    assert not part.exists()


def test_an_archive_of_a_run_that_was_killed_is_in_nobodys_way(sandbox: Sandbox, tmp_path: Path) -> None:
    image = make_raw_layout(tmp_path / "image", noise(3_000_000))
    name = pushed(sandbox, image, "1")
    sandbox.faults.add(Fault(method="GET", path="/blobs/", action=StallReply(1_000_000, 60)))
    child = start(f"{name}:1", "oci-archive:a.tar", cwd=tmp_path)
    until(lambda: (tmp_path / ".a.tar.oci-push").exists())
    held = program("pull", f"{name}:1", "oci-archive:a.tar", cwd=tmp_path, code=2).stderr
    assert "another process writes it now" in held
    child.kill()
    child.communicate(timeout=100)
    assert not (tmp_path / "a.tar").exists()
    program("pull", f"{name}:1", "oci-archive:a.tar", cwd=tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["a.tar", "home", "image"]


def test_of_many_images_those_that_came_are_listed_when_one_stops_the_run(sandbox: Sandbox, tmp_path: Path) -> None:
    first, second = make_layout(tmp_path / "a", layer(1)), make_raw_layout(tmp_path / "b", noise(1_000_000))
    name = pushed(sandbox, first, "1")
    pushed(sandbox, second, "2")
    large = max(second.blobs, key=second.blobs.__getitem__)
    sandbox.faults.add(Fault(method="GET", path=large, action=StallReply(1000, 60)))
    child = start(f"{name}:1", f"{name}:2", "oci:out", cwd=tmp_path)
    until(lambda: (tmp_path / "out/blobs/sha256" / first.digest.partition(":")[2]).exists())
    child.send_signal(signal.SIGTERM)
    child.communicate(timeout=100)
    assert child.returncode == 143
    assert names_of(tmp_path / "out") == {"1"}


def test_a_place_that_takes_no_more_is_told_and_filled_by_the_next_run(
    sandbox: Sandbox, image: Layout, tmp_path: Path
) -> None:
    name = pushed(sandbox, image, "1")
    limited = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY)); "
    child = subprocess.run(
        [
            sys.executable,
            "-B",  # a module's compiled form, cut off at the limit, would be in the way of all who come after
            "-c",
            f"{limited}from oci_push.cli.app import main; main()",
            "pull",
            f"{name}:1",
            "oci:out",
        ],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path / "home"), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=False,
        text=True,
    )
    assert child.returncode == 2, child.stderr
    assert "out: cannot be written (File too large)" in child.stderr
    assert not (tmp_path / "out/index.json").exists()
    program("pull", f"{name}:1", "oci:out", cwd=tmp_path)
    check_blobs(tmp_path / "out")


def test_stdout_has_the_bytes_that_a_file_would_have(sandbox: Sandbox, image: Layout, tmp_path: Path) -> None:
    name = pushed(sandbox, image, "1")
    program("pull", f"{name}:1", "docker-archive:a.tar", cwd=tmp_path)
    out, said = start(f"{name}:1", "docker-archive:-", cwd=tmp_path).communicate(timeout=100)
    assert out == (tmp_path / "a.tar").read_bytes()
    assert image.digest in said.decode()


def test_who_reads_no_more_ends_the_download(sandbox: Sandbox, tmp_path: Path) -> None:
    name = pushed(sandbox, make_raw_layout(tmp_path / "image", noise(8_000_000), noise(9_000_000, 2)), "1")
    child = start(f"{name}:1", "oci-archive:-", cwd=tmp_path)
    assert child.stdout is not None
    assert child.stderr is not None
    child.stdout.close()
    said = child.stderr.read().decode()
    child.stderr.close()
    assert child.wait(timeout=100) == 2
    assert "stdout takes no more (Broken pipe)" in said


def test_a_stream_that_fails_has_no_end_of_a_tar(sandbox: Sandbox, image: Layout, tmp_path: Path) -> None:
    name = pushed(sandbox, image, "1")
    sandbox.faults.add(Fault(method="GET", path="/blobs/", action=Answer(404, code="BLOB_UNKNOWN"), times=0))
    child = start(f"{name}:1", "oci-archive:-", "--retries", "0", cwd=tmp_path)
    out, _ = child.communicate(timeout=100)
    assert child.returncode == 5
    assert out
    assert not out.endswith(bytes(1024))


def test_a_file_is_held_by_one_and_found_again_when_it_was_renamed(tmp_path: Path) -> None:
    first = hold(tmp_path / "part")
    assert first is not None
    os.write(first.descriptor, b"1")
    assert hold(tmp_path / "part") is None
    os.replace(first.path, tmp_path / "whole")
    second = hold(tmp_path / "part")
    assert second is not None
    assert os.fstat(second.descriptor).st_size == 0
    first.close()
    first.close()
    third = hold(tmp_path / "whole")
    assert third is not None
    assert os.fstat(third.descriptor).st_size == 1
    for one in (second, third):
        one.close()


def test_a_link_in_the_place_of_a_part_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "part").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match=r"."):
        hold(tmp_path / "part")
    assert not (tmp_path / "elsewhere").exists()


def test_a_layout_that_another_process_holds_is_waited_for_and_then_told(
    tmp_path: Path,
) -> None:
    context = Context(SystemClock())
    with (
        folder_locked(tmp_path, context, wait_s=0),
        pytest.raises(ConfigError, match="another process has held this layout"),
    ):
        LayoutFolder(str(tmp_path), lock_s=0.1).open(context)


def test_a_registry_that_refuses_a_blob_is_blamed_with_its_exit_code(
    sandbox: Sandbox, image: Layout, tmp_path: Path
) -> None:
    name = pushed(sandbox, image, "1")
    sandbox.faults.add(Fault(method="GET", path="/blobs/", action=Answer(403, code="DENIED"), times=0))
    told = program("pull", f"{name}:1", "oci:out", "--retries", "0", cwd=tmp_path, code=5).stderr
    assert "403 DENIED" in told
