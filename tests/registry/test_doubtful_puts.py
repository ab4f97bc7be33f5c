"""A PUT of a manifest whose end is in doubt: the client looks, mends, puts back, and says what is true."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from equipment.faults import Action, Answer, DropBefore, DropReply, Fault, FaultScript, FlipByte, Headers, Stall
from equipment.options import SandboxOptions
from equipment.sandbox import Sandbox
from images import Layout, LayoutWriter, layer
from program import program
from pushing import Pushing, annotated, difference, flipped, is_whole, outcomes

from oci_push.engine.push import PushOptions, PushResult
from oci_push.errors import Cancelled, NetworkError, OciPushError, ProtocolViolationError, UnavailableError
from oci_push.model.digest import Digest
from oci_push.runtime.clock import FakeClock, SystemClock
from oci_push.runtime.context import Context
from oci_push.runtime.retry import RetryPolicy

ONCE = RetryPolicy(attempts=1)
TAG = "/manifests/1$"
NAKED = Headers(remove=("Docker-Content-Digest", "Location"))
ALL = PushOptions(all_or_nothing=True)


def put(*actions: Action, path: str = TAG, times: int = 1) -> FaultScript:
    """Break the first PUTs of a manifest, one after the other."""
    return FaultScript([Fault("PUT", path, nth=n + 1, times=times, action=one) for n, one in enumerate(actions)])


def push(
    sandbox: Sandbox, image: Layout, policy: RetryPolicy | None = None, push_options: PushOptions | None = None
) -> PushResult:
    pushing = Pushing(at_once=1, push_options=push_options or PushOptions())
    pushing.policy = policy or pushing.policy
    (result,) = pushing.push(image, f"{sandbox.address}/a:1")
    assert sandbox.problems == ()
    return result


def methods(sandbox: Sandbox, path: str = TAG) -> list[str]:
    return [r.method for r in sandbox.traffic.select(path_pattern=path)]


@pytest.mark.parametrize("status", [429, 503])
def test_who_asks_for_a_wait_of_a_year_keeps_nobody_waiting(status: int, image: Layout) -> None:
    clock = FakeClock()
    with Sandbox(faults=put(Answer(status, {"Retry-After": "31536000"}), times=0)) as sandbox:
        (result,) = Pushing(clock=clock).push(image, f"{sandbox.address}/a:1")
        assert sum(clock.waits) < 60
        assert result.error is not None
        assert "Retry-After" in str(result.error.hint)
        assert outcomes(result) == [("1", "failed")]


@pytest.mark.parametrize(
    "action", [DropReply(), DropReply(reset=True), NAKED], ids=["lost", "lost by a reset", "shows nothing"]
)
def test_a_put_that_was_done_is_found_and_not_sent_again(action: Action, image: Layout) -> None:
    with Sandbox(faults=put(action)) as sandbox:
        result = push(sandbox, image, ONCE)
        assert (result.error, outcomes(result)) == (None, [("1", "pushed")])
        assert methods(sandbox) == ["HEAD", "PUT", "GET"]


@pytest.mark.parametrize(
    "action", [Answer(201), Answer(200), Answer(204), Answer(202), Answer(500), Answer(504), DropBefore()], ids=repr
)
def test_a_put_that_was_not_done_is_sent_again(action: Action, image: Layout, older: Layout) -> None:
    with Sandbox() as sandbox:
        push(sandbox, older)
        sandbox.faults.add(Fault("PUT", TAG, action=action))
        assert push(sandbox, image).error is None
        assert is_whole(sandbox, "a", "1", image)


def test_a_front_end_that_stores_nothing_is_not_believed(image: Layout) -> None:
    with Sandbox(faults=put(Answer(201), times=0)) as sandbox:
        result = push(sandbox, image)
        assert isinstance(result.error, ProtocolViolationError)
        assert "has none" in str(result.error)
        assert outcomes(result) == [("1", "failed")]


@pytest.mark.parametrize("policy", [ONCE, RetryPolicy(attempts=2, base_s=0)], ids=["once", "twice"])
@pytest.mark.parametrize("answers", [(), (DropReply(),)], ids=["answered", "answer lost"])
def test_a_manifest_that_was_damaged_on_its_way_is_put_once_more(
    policy: RetryPolicy, answers: Sequence[Action], tmp_path: Path, older: Layout
) -> None:
    image, at = annotated(tmp_path / "image")
    with Sandbox() as sandbox:
        push(sandbox, older)
        sandbox.faults.add(Fault("PUT", TAG, action=FlipByte(at)))
        result = push(sandbox, image, policy)
        assert (result.error, outcomes(result)) == (None, [("1", "pushed")])
        assert is_whole(sandbox, "a", "1", image)


@pytest.mark.parametrize("is_new", [True, False])
def test_a_tag_on_a_manifest_that_is_damaged_each_time_is_put_back(is_new: bool, tmp_path: Path, older: Layout) -> None:
    image, at = annotated(tmp_path / "image")
    with Sandbox() as sandbox:
        if not is_new:
            push(sandbox, older)
        sandbox.faults.add(Fault("PUT", TAG, times=3, action=FlipByte(at)))
        result = push(sandbox, image)
        assert str(Digest.of(flipped(image, at))) in str(result.error)
        assert outcomes(result) == [("1", "removed" if is_new else "restored")]
        assert sandbox.store.tags("a") == (() if is_new else ("1",))
        assert is_new or is_whole(sandbox, "a", "1", older)


def test_all_or_nothing_puts_a_damaged_tag_back_as_well(tmp_path: Path, older: Layout) -> None:
    image, at = annotated(tmp_path / "image")
    with Sandbox() as sandbox:
        push(sandbox, older)
        sandbox.faults.add(Fault("PUT", TAG, times=3, action=FlipByte(at)))
        # Neither what the leg does itself nor its looks succeed: only the undoing does.
        sandbox.faults.add(Fault("GET", TAG, nth=2, times=5, action=Answer(403)))
        result = push(sandbox, image, push_options=ALL)
        assert outcomes(result) == [("1", "restored")]
        assert is_whole(sandbox, "a", "1", older)


def test_a_damaged_tag_that_cannot_be_put_back_is_told_by_name_and_not_called_unmoved(tmp_path: Path) -> None:
    image, at = annotated(tmp_path / "image")
    with Sandbox(options=SandboxOptions(delete=False), faults=put(FlipByte(at), times=0)) as sandbox:
        done = program("push", f"oci:{image.path}", f"{sandbox.address}/a:1", "--retries", "1", cwd=tmp_path, code=5)
    assert "not pushed" not in done.stderr
    assert f"tag 1: left (it names {Digest.of(flipped(image, at))}, is new and should not exist" in done.stderr


def test_a_tag_that_cannot_be_asked_for_is_said_to_be_unknown(image: Layout, tmp_path: Path) -> None:
    gone = [Fault("GET", TAG, times=0, action=Answer(403)), Fault("PUT", TAG, times=0, action=DropReply())]
    with Sandbox(faults=FaultScript(gone)) as sandbox:
        done = program(
            "push", f"oci:{image.path}", f"{sandbox.address}/a:1", "--retries", "0", "--report", "r.json",
            cwd=tmp_path, code=6,
        )  # fmt: skip
    assert "not pushed" not in done.stderr
    assert "tag 1: unknown (the registry cannot be asked" in done.stderr
    (tag,) = json.loads((tmp_path / "r.json").read_text())["targets"][0]["tags"]
    assert tag["outcome"] == "unknown"


def test_a_put_that_never_left_is_in_no_doubt(image: Layout) -> None:
    with Sandbox(faults=put(DropBefore(reset=True), times=0)) as sandbox:
        result = push(sandbox, image)
        assert isinstance(result.error, NetworkError)
        assert outcomes(result) in ([("1", "failed")],)
        assert sandbox.store.tags("a") == ()


@pytest.mark.parametrize("status", [500, 503])
def test_a_registry_that_fails_on_and_on_costs_a_put_and_a_look_for_each_attempt(status: int, image: Layout) -> None:
    with Sandbox(faults=put(Answer(status), times=0)) as sandbox:
        result = push(sandbox, image)
        assert isinstance(result.error, UnavailableError)
        assert methods(sandbox) == ["HEAD", *["PUT", "GET"] * 3]
        assert outcomes(result) == [("1", "failed")]


@pytest.mark.parametrize("action", [DropReply(), NAKED, Answer(201), Answer(500)], ids=lambda a: repr(a)[:20])
def test_a_child_manifest_in_doubt_is_asked_for_likewise(action: Action, tmp_path: Path) -> None:
    writer = LayoutWriter(tmp_path / "index")
    index = writer.close(writer.index(writer.image(layer(1)), writer.image(layer(2))))
    with Sandbox(faults=put(action, path="/manifests/sha256:")) as sandbox:
        assert push(sandbox, index).error is None
        assert difference(sandbox, "a", "1", index) == ""


@pytest.mark.parametrize("at", [0, -2], ids=["no JSON", "an offset"])
def test_a_manifest_that_is_refused_as_damaged_is_sent_once_more(at: int, tmp_path: Path) -> None:
    image, _ = annotated(tmp_path / "image")
    with Sandbox(faults=put(FlipByte(abs(at)))) as sandbox:
        assert push(sandbox, image).error is None
        assert is_whole(sandbox, "a", "1", image)


def test_many_tags_whose_answer_is_lost_are_looked_for(image: Layout) -> None:
    faults = FaultScript([Fault("PUT", "tag=", times=0, action=DropReply())])
    with Sandbox(options=SandboxOptions(multi_tag=True), faults=faults) as sandbox:
        (result,) = Pushing(at_once=1, policy=ONCE).push(image, f"{sandbox.address}/a:1,2,3")
        assert result.error is None
        assert outcomes(result) == [("1", "pushed"), ("2", "pushed"), ("3", "pushed")]
        assert sandbox.traffic.count(method="PUT", path_pattern="/manifests/") == 1


@pytest.mark.parametrize("is_done", [True, False])
def test_a_cancel_in_the_middle_of_a_put_is_followed_by_a_look(is_done: bool, image: Layout, older: Layout) -> None:
    with Sandbox() as sandbox:
        push(sandbox, older)
        sandbox.traffic.clear()
        context = Context(SystemClock(), what="test")
        results: list[PushResult] = []
        sandbox.faults.add(Fault("PUT", TAG, action=Stall(30)))
        thread = threading.Thread(
            target=lambda: results.extend(Pushing(context=context, at_once=1).push(image, f"{sandbox.address}/a:1"))
        )
        thread.start()
        assert sandbox.traffic.wait_until(lambda t: t.count(method="PUT", path_pattern=TAG) == 1)
        if is_done:  # what stalls would have been done by now
            planted = Pushing(at_once=1)
            planted.push(image, f"{sandbox.address}/a:1")
        context.cancel(Cancelled())
        thread.join(30)
        (result,) = results
        assert isinstance(result.error, Cancelled | None)
        assert is_done or result.error is not None
        assert outcomes(result) == [("1", "pushed" if is_done else "failed")]
        assert is_whole(sandbox, "a", "1", image if is_done else older)


def test_verify_does_not_call_a_tag_pushed_that_names_something_else(image: Layout, older: Layout) -> None:
    with Sandbox() as sandbox:
        push(sandbox, older)
        moved = sandbox.store.manifest("a", "1")
        assert moved is not None
        answer = Answer(200, {"Content-Type": "application/vnd.oci.image.manifest.v1+json"}, moved)
        sandbox.faults.add(Fault("GET", TAG, times=0, action=answer))
        result = push(sandbox, image, push_options=PushOptions(verify=True))
        assert isinstance(result.error, OciPushError)
        assert outcomes(result) == [("1", "left")]
        assert older.digest in result.tags[0].error
