"""A push that is stopped in the middle of a blob: what is kept, what is closed, and whether what is said is true."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from equipment.faults import Action, Answer, DropAfter, DropBefore, Fault, Slow
from equipment.options import SandboxOptions
from equipment.sandbox import Sandbox
from images import Layout, make_raw_layout, noise
from program import until
from pushing import Pushing, closing, is_whole

from oci_push.engine.push import PushResult
from oci_push.errors import Cancelled, OciPushError
from oci_push.events import LogMessage, UploadResumed
from oci_push.runtime.clock import SystemClock
from oci_push.runtime.context import Context
from oci_push.runtime.retry import RetryPolicy

MIB = 1024 * 1024
SIZE = 40 * MIB
FIRST = 16 * MIB
SLOW = Slow(MIB, 0.05)
FIRST_PIECE = Fault("PATCH", action=SLOW)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    return make_raw_layout(tmp_path_factory.mktemp("large") / "image", noise(SIZE))


def stop(sandbox: Sandbox, image: Layout, home: Path | None, when: Callable[[Sandbox], bool]) -> Pushing:
    """Push, and cancel as a signal does as soon as `when` holds; gives the push, which has ended."""
    context = Context(SystemClock(), what="test")
    pushing = Pushing(context=context, at_once=1, home=home)
    results: list[PushResult] = []
    thread = threading.Thread(target=lambda: results.extend(pushing.push(image, f"{sandbox.address}/a:1")))
    thread.start()
    until(lambda: when(sandbox))
    context.cancel(Cancelled())
    thread.join(30)
    assert isinstance(results[0].error, Cancelled)
    return pushing


def arrived(size: int) -> Callable[[Sandbox], bool]:
    return lambda sandbox: any(upload.size >= size for upload in sandbox.store.uploads())


def sent(sandbox: Sandbox) -> int:
    """Count the bytes of the large blob; the small one may go twice, when the registry is asked for one request."""
    return sum(r.received_bytes for r in sandbox.traffic.select(path_pattern="/uploads/") if r.received_bytes > 2)


def notes(pushing: Pushing) -> list[str]:
    return [event.text for event in pushing.events if isinstance(event, LogMessage) and "blob" in event.text]


@pytest.mark.parametrize(
    ("is_first", "size"), [(True, 2 * MIB), (False, FIRST + MIB)], ids=["first piece", "last piece"]
)
def test_what_arrived_of_a_piece_is_kept_said_and_not_sent_again(
    is_first: bool, size: int, image: Layout, tmp_path: Path
) -> None:
    with Sandbox() as sandbox:
        sandbox.faults.add(FIRST_PIECE if is_first else closing(image, SLOW))
        first = stop(sandbox, image, tmp_path, arrived(size))
        (left,) = sandbox.store.uploads()
        assert notes(first)[-1].endswith(
            f"{left.size / 1e6:.1f} of {SIZE / 1e6:.1f} MB have arrived; the same command goes on from there"
        )
        sandbox.traffic.clear()
        second = Pushing(home=tmp_path)
        (result,) = second.push(image, f"{sandbox.address}/a:1")
        assert result.error is None
        assert is_whole(sandbox, "a", "1", image)
        assert [e.offset_bytes for e in second.events if isinstance(e, UploadResumed)] == [left.size]
        assert sent(sandbox) == SIZE - left.size
        assert (result.blobs[0].bytes_found, result.blobs[0].bytes_resent) == (left.size, 0)
        assert sandbox.store.uploads() == ()


def test_a_registry_that_loses_what_broke_is_not_promised_for(image: Layout, tmp_path: Path) -> None:
    with Sandbox(options=SandboxOptions(resume=False)) as sandbox:
        sandbox.faults.add(closing(image, SLOW))
        first = stop(sandbox, image, tmp_path, arrived(FIRST + MIB))
        assert notes(first)[-1].endswith("the registry has not kept what was sent; the next push sends all of it")
        second = Pushing(home=tmp_path)
        (result,) = second.push(image, f"{sandbox.address}/a:1")
        assert result.error is None
        assert notes(second) == []


def test_a_session_that_an_earlier_run_left_and_the_registry_dropped_is_told(image: Layout, tmp_path: Path) -> None:
    with Sandbox() as sandbox:
        sandbox.faults.add(closing(image, SLOW))
        stop(sandbox, image, tmp_path, arrived(FIRST + MIB))
        sandbox.faults.add(Fault("GET", "/uploads/", action=Answer(404, code="BLOB_UPLOAD_UNKNOWN")))
        second = Pushing(home=tmp_path)
        (result,) = second.push(image, f"{sandbox.address}/a:1")
        assert result.error is None
        assert ["did not keep what an earlier run had sent" in text for text in notes(second)] == [True]
        assert not [e for e in second.events if isinstance(e, UploadResumed)]


@pytest.mark.parametrize("home", [True, False], ids=["a piece", "without a memory"])
def test_nothing_that_cannot_be_gone_on_with_is_left_open(home: bool, image: Layout, tmp_path: Path) -> None:
    with Sandbox() as sandbox:
        sandbox.faults.add(FIRST_PIECE)
        if home:
            sandbox.faults.add(Fault("GET", "/uploads/", action=Answer(405)))
        stop(sandbox, image, tmp_path if home else None, arrived(2 * MIB))
        assert sandbox.store.uploads() == ()
        asked = [r.method for r in sandbox.traffic.select(path_pattern="/uploads/.") if r.method in ("GET", "DELETE")]
        assert asked == ["GET", "DELETE"]


@pytest.mark.parametrize("away", [DropBefore(), Answer(503)], ids=["gone", "503"])
def test_what_may_have_arrived_is_noted_where_the_registry_cannot_be_asked(
    away: Action, image: Layout, tmp_path: Path
) -> None:
    with Sandbox() as sandbox:
        sandbox.faults.add(Fault("PATCH", action=DropAfter(5 * MIB)))
        gone = Fault("GET", "/uploads/", times=0, action=away)
        sandbox.faults.add(gone)
        first = Pushing(at_once=1, home=tmp_path, policy=RetryPolicy(attempts=1))
        (result,) = first.push(image, f"{sandbox.address}/a:1")
        assert isinstance(result.error, OciPushError)
        assert notes(first)[-1].endswith("the registry cannot be asked now; the same command asks what it has kept")
        sandbox.faults.clear()
        sandbox.traffic.clear()
        (result,) = Pushing(home=tmp_path).push(image, f"{sandbox.address}/a:1")
        assert result.error is None
        assert sent(sandbox) == SIZE - 5 * MIB


def test_a_stop_between_two_pieces_keeps_them(image: Layout, tmp_path: Path) -> None:
    with Sandbox() as sandbox:
        sandbox.faults.add(closing(image, Answer(429, {"Retry-After": "60"})))
        first = stop(sandbox, image, tmp_path, lambda s: s.traffic.count(method="PUT", status=429) == 1)
        assert f"{FIRST / 1e6:.1f} of" in notes(first)[-1]
        assert [upload.size for upload in sandbox.store.uploads()] == [FIRST]
