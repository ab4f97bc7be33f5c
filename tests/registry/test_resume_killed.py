"""A push whose process ends in the middle, and the same command again: only what is missing is sent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from equipment.faults import Answer, Fault, FaultScript, Slow, Stall
from equipment.options import SandboxOptions
from equipment.sandbox import Sandbox
from images import Layout, make_raw_layout, noise
from program import until
from pushing import Pushing, closes, closing, is_whole

from oci_push.errors import Cancelled
from oci_push.events import UploadResumed
from oci_push.runtime.clock import SystemClock
from oci_push.runtime.context import Context
from oci_push.runtime.tasks import run_all

MIB = 1024 * 1024
SIZE = 48 * MIB
FIRST = 16 * MIB
SLOW = Slow(MIB, 0.02)
ROOT = Path(__file__).parents[2]
PROGRAM = Path(sys.executable).with_name("oci-push")


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    return make_raw_layout(tmp_path_factory.mktemp("large") / "image", noise(SIZE))


def last_piece(image: Layout, action: Slow | Stall | Answer, times: int = 1) -> FaultScript:
    return FaultScript([closing(image, action, times=times)])


@contextmanager
def pushing(sandbox: Sandbox, image: Layout, home: Path) -> Iterator[subprocess.Popen[str]]:
    """Run the program as a process of its own."""
    env = {"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": str(ROOT)}
    command = [PROGRAM, "push", f"oci:{image.path}", f"{sandbox.address}/a:1"]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        try:
            yield child
        finally:
            child.kill()


def finish(child: subprocess.Popen[str], code: int = 0) -> str:
    """Wait for the program's end and give its log."""
    _, log = child.communicate(timeout=300)
    assert child.returncode == code, log
    assert "Traceback" not in log
    return log


def arrive(sandbox: Sandbox, size: int) -> None:
    """Wait until so much of the blob has come."""
    until(lambda: any(upload.size >= size for upload in sandbox.store.uploads()))


@pytest.mark.case("CH-013")
def test_a_killed_push_is_gone_on_with_where_the_registry_stands(image: Layout, tmp_path: Path) -> None:
    with Sandbox(faults=last_piece(image, SLOW)) as sandbox:
        with pushing(sandbox, image, tmp_path) as first:
            arrive(sandbox, FIRST + 8 * MIB)
            first.send_signal(signal.SIGKILL)
        until(lambda: all(request.done for request in sandbox.traffic.requests))
        there = sandbox.store.uploads()[0].size
        sandbox.traffic.clear()
        with pushing(sandbox, image, tmp_path) as second:
            log = finish(second)
        assert is_whole(sandbox, "a", "1", image)
        assert f"goes on at {there / 1e6:.1f} MB of {SIZE / 1e6:.1f} MB" in log
        assert sandbox.traffic.received_bytes(path_pattern="/blobs/") == SIZE - there
        assert sandbox.store.uploads() == ()


def test_a_registry_that_was_restarted_meanwhile_is_gone_on_with(image: Layout, tmp_path: Path) -> None:
    with Sandbox(tmp_path / "registry", faults=last_piece(image, SLOW)) as sandbox:
        port = int(sandbox.address.rpartition(":")[2])
        with pushing(sandbox, image, tmp_path) as first:
            arrive(sandbox, FIRST + MIB)
            first.send_signal(signal.SIGKILL)
    with Sandbox(tmp_path / "registry", port=port) as sandbox:
        with pushing(sandbox, image, tmp_path) as second:
            finish(second)
        assert is_whole(sandbox, "a", "1", image)
        assert sandbox.traffic.received_bytes(path_pattern="/blobs/") <= SIZE - FIRST - MIB


def test_an_upload_that_the_registry_dropped_is_begun_anew(image: Layout, tmp_path: Path) -> None:
    with Sandbox(options=SandboxOptions(resume=False), faults=last_piece(image, SLOW)) as sandbox:
        with pushing(sandbox, image, tmp_path) as first:
            arrive(sandbox, FIRST + MIB)
            first.send_signal(signal.SIGKILL)
        until(lambda: not sandbox.store.uploads())
        with pushing(sandbox, image, tmp_path) as second:
            log = finish(second)
        assert is_whole(sandbox, "a", "1", image)
        assert "did not keep what an earlier run had sent; all of it is sent" in log
        assert sandbox.traffic.count(method="GET", status=404) == 1


def test_sigterm_keeps_what_arrived_and_says_so(image: Layout, tmp_path: Path) -> None:
    with Sandbox(faults=last_piece(image, Stall(60))) as sandbox:
        with pushing(sandbox, image, tmp_path) as first:
            assert sandbox.traffic.wait_until(lambda t: t.count(method="PUT", path_pattern=closes(image)) == 1)
            first.send_signal(signal.SIGTERM)
            log = finish(first, 143)
        assert f"{FIRST / 1e6:.1f} of {SIZE / 1e6:.1f} MB have arrived" in log
        assert sandbox.store.tags("a") == ()
        assert [upload.size for upload in sandbox.store.uploads()] == [FIRST]


def test_two_processes_do_not_go_on_with_one_upload(image: Layout, tmp_path: Path) -> None:
    with Sandbox(faults=last_piece(image, Stall(60))) as sandbox, pushing(sandbox, image, tmp_path) as first:
        assert sandbox.traffic.wait_until(lambda t: t.count(method="PUT", path_pattern=closes(image)) == 1)
        with pushing(sandbox, image, tmp_path) as second:
            finish(second)
        assert first.poll() is None
        assert is_whole(sandbox, "a", "1", image)
        assert sandbox.traffic.count(method="GET") == 0
        assert [upload.size for upload in sandbox.store.uploads()] == [FIRST]


def test_an_upload_left_open_is_closed_when_its_blob_has_come_another_way(image: Layout, tmp_path: Path) -> None:
    with Sandbox(faults=last_piece(image, Answer(403, code="DENIED"))) as sandbox:
        with pushing(sandbox, image, tmp_path) as first:
            finish(first, 5)
        assert sandbox.store.uploads() == ()  # a refusal is final: nothing is kept
        sandbox.faults.add(closing(image, Stall(60)))
        with pushing(sandbox, image, tmp_path) as second:
            assert sandbox.traffic.wait_until(lambda t: t.count(method="PUT", path_pattern=closes(image)) == 2)
            second.kill()
        Pushing().push(image, f"{sandbox.address}/b:1", f"{sandbox.address}/a:other")
        assert len(sandbox.store.uploads()) == 1
        sandbox.store.remove_manifest("a", next(m.descriptor.digest for m in sandbox.store.manifests("a")))
        with pushing(sandbox, image, tmp_path) as third:
            finish(third)
        assert sandbox.store.uploads() == ()


def test_another_registry_is_not_gone_on_with(image: Layout, tmp_path: Path) -> None:
    with Sandbox(faults=last_piece(image, Answer(503), times=0)) as sandbox:
        (result,) = Pushing(home=tmp_path).push(image, f"{sandbox.address}/a:1")
        assert result.error is not None
        assert [upload.size for upload in sandbox.store.uploads()] == [FIRST]
    with Sandbox() as other:
        again = Pushing(home=tmp_path)
        (result,) = again.push(image, f"{other.address}/a:1")
        assert result.error is None
        assert not [event for event in again.events if isinstance(event, UploadResumed)]


def test_an_upload_that_is_opened_while_the_push_is_cancelled_is_closed(image: Layout) -> None:
    script = FaultScript([Fault(method="POST", path="/uploads/", times=0, action=Stall(0.4))])
    with Sandbox(faults=script) as sandbox:
        context = Context(SystemClock())

        def push(inner: Context) -> None:
            Pushing(context=inner).push(image, f"{sandbox.address}/a:1")

        def cancel(inner: Context) -> None:
            sandbox.traffic.wait_until(lambda t: t.count(method="POST") > 0)
            context.cancel(Cancelled())

        run_all(context, [push, cancel], limit=2)
        assert sandbox.traffic.count(method="POST", status=202) > 0
        assert sandbox.traffic.count(method="DELETE", status=204) == sandbox.traffic.count(method="POST", status=202)
        assert sandbox.store.uploads() == ()
