"""An upload that breaks, within one process: what is sent again, and what is not."""

from __future__ import annotations

from pathlib import Path

import pytest
from equipment.faults import (
    Action,
    Answer,
    AnswerAfter,
    DropAfter,
    DropReply,
    Fault,
    FaultScript,
    FlipByte,
    Headers,
    Slow,
    Stall,
)
from equipment.options import SandboxOptions
from equipment.sandbox import Sandbox
from images import Layout, make_raw_layout, noise
from pushing import LOGIN, Pushing, closing, is_whole

from oci_push.engine.push import PushResult
from oci_push.errors import NotFoundError, RegistryError, UnavailableError, UploadRejectedError
from oci_push.runtime.clock import FakeClock

MIB = 1024 * 1024
PIECE = 200_000
SIZE = 5 * PIECE
IN_PIECES = SandboxOptions(chunk_max=PIECE)
"""A registry whose announced maximum makes a small blob travel in five pieces."""


@pytest.fixture
def image(tmp_path: Path) -> Layout:
    return make_raw_layout(tmp_path / "image", noise(SIZE))


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    return make_raw_layout(tmp_path_factory.mktemp("large") / "image", noise(40 * MIB))


def fault(method: str, action: Action, *, nth: int = 1, times: int = 1) -> Fault:
    return Fault(method=method, path="/blobs/uploads/.", nth=nth, times=times, action=action)


def push(sandbox: Sandbox, image: Layout, pushing: Pushing | None = None) -> PushResult:
    """Push with one request at a time, so that the faults meet the large blob, which goes first."""
    (result,) = (pushing or Pushing(at_once=1)).push(image, f"{sandbox.address}/a:1")
    assert sandbox.problems == ()
    assert sandbox.faults.pending() == ()
    return result


def pieces(sandbox: Sandbox) -> list[tuple[str, str, int, int]]:
    """Give method, range, bytes that arrived and status of what carried the large blob."""
    chosen = [r for r in sandbox.traffic.requests if r.method in ("PATCH", "PUT") and "/blobs/" in r.path]
    return [(r.method, r.headers.get("content-range", ""), r.received_bytes, r.status) for r in chosen][:-1]


def sessions(sandbox: Sandbox) -> int:
    """Count the uploads that were opened for the large blob."""
    return sandbox.traffic.count(method="POST") - 1


@pytest.mark.case("CH-018", "CH-019")
def test_pieces_follow_one_another_and_the_last_one_closes_the_upload(image: Layout) -> None:
    with Sandbox(options=IN_PIECES) as sandbox:
        assert push(sandbox, image).error is None
        assert is_whole(sandbox, "a", "1", image)
        ends = [(n * PIECE, (n + 1) * PIECE - 1) for n in range(5)]
        assert [(m, r) for m, r, _, _ in pieces(sandbox)] == [
            ("PUT" if n == 4 else "PATCH", f"{first}-{last}") for n, (first, last) in enumerate(ends)
        ]
        assert sandbox.traffic.count(method="GET") == 0


def test_a_large_blob_goes_in_pieces_without_being_asked_to(large: Layout) -> None:
    with Sandbox() as sandbox:
        assert push(sandbox, large).error is None
        assert is_whole(sandbox, "a", "1", large)
        assert [(m, size) for m, _, size, _ in pieces(sandbox)] == [("PATCH", 16 * MIB), ("PUT", 24 * MIB)]


def test_once_the_speed_is_known_what_leaves_in_seconds_goes_in_one_request(tmp_path: Path) -> None:
    image = make_raw_layout(tmp_path / "image", noise(40 * MIB), noise(20 * MIB, 2))
    with Sandbox() as sandbox:
        assert push(sandbox, image).error is None
        assert is_whole(sandbox, "a", "1", image)
        carried = [(m, size) for m, _, size, _ in pieces(sandbox)]
        assert carried == [("PATCH", 16 * MIB), ("PUT", 24 * MIB), ("PUT", 20 * MIB)]


def test_on_a_slow_line_only_a_few_bytes_are_at_stake_in_the_closing_request(large: Layout) -> None:
    clock = FakeClock()
    with Sandbox(clock=clock) as sandbox:
        assert push(sandbox, large, Pushing(clock=clock, at_once=1, limit_bytes_per_s=2 * MIB)).error is None
        assert is_whole(sandbox, "a", "1", large)
        assert all(size <= 16 * MIB for _, _, size, _ in pieces(sandbox))
        assert pieces(sandbox)[-1][0] == "PUT"


@pytest.mark.parametrize("reset", [False, True])
def test_a_break_in_the_closing_request_goes_on_at_the_byte_where_it_broke(large: Layout, reset: bool) -> None:
    with Sandbox(faults=FaultScript([closing(large, DropAfter(5 * MIB, reset=reset))])) as sandbox:
        assert push(sandbox, large).error is None
        assert is_whole(sandbox, "a", "1", large)
        assert [size for _, _, size, _ in pieces(sandbox)] == [16 * MIB, 5 * MIB, 19 * MIB]
        assert (sandbox.traffic.count(method="GET"), sessions(sandbox)) == (1, 1)


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.case("CH-007", "CH-010")
def test_a_break_in_a_piece_goes_on_at_the_byte_where_it_broke(image: Layout, reset: bool) -> None:
    broken = fault("PATCH", DropAfter(70_000, reset=reset), nth=3)
    with Sandbox(options=IN_PIECES, faults=FaultScript([broken])) as sandbox:
        result = push(sandbox, image)
        assert result.error is None
        assert is_whole(sandbox, "a", "1", image)
        assert ("PATCH", "470000-669999", PIECE, 202) in pieces(sandbox)
        assert sum(size for _, _, size, _ in pieces(sandbox)) == SIZE
        assert (sandbox.traffic.count(method="GET"), sessions(sandbox)) == (1, 1)


def test_a_piece_whose_answer_is_lost_is_not_sent_again(image: Layout) -> None:
    with Sandbox(options=IN_PIECES, faults=FaultScript([fault("PATCH", DropReply(), nth=2)])) as sandbox:
        assert push(sandbox, image).error is None
        assert is_whole(sandbox, "a", "1", image)
        assert [size for _, _, size, _ in pieces(sandbox)] == [PIECE] * 5


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
@pytest.mark.case("CH-003", "RT-005", "RT-006")
def test_a_passing_status_in_the_middle_costs_its_piece(image: Layout, status: int) -> None:
    with Sandbox(options=IN_PIECES, faults=FaultScript([fault("PATCH", Answer(status), nth=3)])) as sandbox:
        assert push(sandbox, image).error is None
        assert is_whole(sandbox, "a", "1", image)
        assert (len(pieces(sandbox)), sessions(sandbox)) == (6, 1)


@pytest.mark.case("CH-009")
def test_a_registry_that_cannot_resume_costs_one_request_and_a_new_session(image: Layout) -> None:
    options = SandboxOptions(chunk_max=PIECE, resume=False)
    broken = fault("PATCH", DropAfter(70_000), nth=3)
    with Sandbox(options=options, faults=FaultScript([broken])) as sandbox:
        assert push(sandbox, image).error is None
        assert is_whole(sandbox, "a", "1", image)
        assert (sandbox.traffic.count(method="GET", status=404), sessions(sandbox)) == (1, 2)
        assert sandbox.traffic.count(method="DELETE") == 0


@pytest.mark.parametrize(
    "standing",
    [
        Headers({"Range": "0-0"}),
        Headers({"Range": "bytes=0--1"}),
        Headers({"Range": "5-9"}),
        Headers({"Range": "0-999999"}),
        Headers(remove=("Range",)),
        Headers(remove=("Location",)),
        Answer(404),
        Answer(405),
        Answer(416),
    ],
    ids=["nothing or one byte", "quay", "from nowhere", "never sent", "no range", "no location", "404", "405", "416"],
)
@pytest.mark.case("CH-008")
def test_a_standing_that_is_not_sure_means_a_new_session_from_byte_0(image: Layout, standing: Action) -> None:
    script = FaultScript([fault("PATCH", DropAfter(70_000), nth=2), fault("GET", standing)])
    with Sandbox(options=IN_PIECES, faults=script) as sandbox:
        assert push(sandbox, image).error is None
        assert is_whole(sandbox, "a", "1", image)
        assert sessions(sandbox) == 2
        assert [r for _, r, _, _ in pieces(sandbox)][2] == f"0-{PIECE - 1}"


def test_what_nobody_can_go_on_with_is_closed(image: Layout) -> None:
    script = FaultScript([fault("PATCH", DropAfter(70_000), nth=2), fault("GET", Headers({"Range": "0-0"}))])
    with Sandbox(options=IN_PIECES, faults=script) as sandbox:
        push(sandbox, image)
        assert sandbox.traffic.count(method="DELETE", status=204) == 1
        assert sandbox.store.uploads() == ()


def test_416_asks_where_the_upload_stands_and_goes_on(image: Layout) -> None:
    with Sandbox(options=IN_PIECES, faults=FaultScript([fault("PATCH", Answer(416), nth=2)])) as sandbox:
        assert push(sandbox, image).error is None
        assert is_whole(sandbox, "a", "1", image)
        assert (sandbox.traffic.count(method="GET"), sessions(sandbox)) == (1, 1)


def test_a_second_416_at_the_same_byte_gives_the_session_up(image: Layout) -> None:
    with Sandbox(options=IN_PIECES, faults=FaultScript([fault("PATCH", Answer(416), nth=2, times=2)])) as sandbox:
        assert push(sandbox, image).error is None
        assert is_whole(sandbox, "a", "1", image)
        assert (sandbox.traffic.count(method="GET"), sessions(sandbox)) == (1, 2)


@pytest.mark.parametrize("code", ["BLOB_UPLOAD_UNKNOWN", "BLOB_UPLOAD_INVALID"])
@pytest.mark.case("CH-009")
def test_a_session_that_is_lost_is_replaced_without_asking(image: Layout, code: str) -> None:
    with Sandbox(options=IN_PIECES, faults=FaultScript([fault("PATCH", Answer(404, code=code), nth=3)])) as sandbox:
        assert push(sandbox, image).error is None
        assert is_whole(sandbox, "a", "1", image)
        assert (sandbox.traffic.count(method="GET"), sessions(sandbox)) == (0, 2)


@pytest.mark.parametrize("image_name", ["image", "large"])
def test_a_finished_upload_whose_answer_is_lost_is_found_and_not_sent_again(
    image_name: str, request: pytest.FixtureRequest
) -> None:
    chosen: Layout = request.getfixturevalue(image_name)
    with Sandbox(faults=FaultScript([fault("PUT", DropReply())])) as sandbox:
        result = push(sandbox, chosen)
        assert result.error is None
        assert is_whole(sandbox, "a", "1", chosen)
        assert sandbox.traffic.received_bytes(path_pattern="/blobs/") == sum(chosen.blobs.values())
        assert result.blobs[0].bytes_resent == 0


def test_a_digest_that_is_refused_after_a_resume_is_sent_once_more_as_a_whole(image: Layout) -> None:
    script = FaultScript([fault("PATCH", DropAfter(9), nth=2), fault("PUT", Answer(400, code="DIGEST_INVALID"))])
    with Sandbox(options=IN_PIECES, faults=script) as sandbox:
        assert push(sandbox, image).error is None
        assert is_whole(sandbox, "a", "1", image)
        assert sessions(sandbox) == 2


def test_a_digest_that_is_refused_though_the_source_is_right_is_sent_once_more_and_no_more(image: Layout) -> None:
    script = FaultScript([fault("PUT", Answer(400, code="DIGEST_INVALID"), times=2)])
    with Sandbox(options=IN_PIECES, faults=script) as sandbox:
        error = push(sandbox, image).error
        assert isinstance(error, UploadRejectedError)
        assert error.hint is not None
        assert "source's bytes are right" in error.hint
        assert sandbox.traffic.count(method="POST") == 2
        assert sandbox.store.uploads() == ()


@pytest.mark.parametrize("options", [IN_PIECES, SandboxOptions()], ids=["in pieces", "whole"])
def test_a_byte_that_changes_on_its_way_costs_the_blob_once_more(options: SandboxOptions, image: Layout) -> None:
    method = "PATCH" if options.chunk_max else "PUT"
    with Sandbox(options=options, faults=FaultScript([fault(method, FlipByte(1234))])) as sandbox:
        result = push(sandbox, image)
        assert result.error is None
        assert is_whole(sandbox, "a", "1", image)
        assert sandbox.traffic.received_bytes(path_pattern="/uploads/") == 2 * SIZE + min(image.blobs.values())
        assert result.blobs[0].bytes_resent == SIZE


def test_a_front_end_that_answers_for_a_closing_put_is_not_believed(image: Layout) -> None:
    with Sandbox(faults=FaultScript([fault("PUT", Answer(201))])) as sandbox:
        assert push(sandbox, image).error is None
        assert is_whole(sandbox, "a", "1", image)


def test_one_416_of_a_first_piece_is_asked_about_and_gone_on_from(image: Layout, tmp_path: Path) -> None:
    # The first piece came twice: once its bytes are there, a copy of it is out of place.
    with Sandbox(options=IN_PIECES) as sandbox:
        sandbox.faults.add(fault("PATCH", DropReply()))
        sandbox.faults.add(fault("GET", Answer(503)))
        pushing = Pushing(at_once=1, home=tmp_path)
        assert push(sandbox, image, pushing).error is None
        sandbox.faults.add(fault("PATCH", Answer(416, {"Range": "0-0"})))
        other = make_raw_layout(tmp_path / "other", noise(SIZE, 2))
        assert push(sandbox, other, Pushing(at_once=1, home=tmp_path)).error is None
        assert sandbox.traffic.count(method="PATCH", status=416) == 1
        sandbox.traffic.clear()
        third = make_raw_layout(tmp_path / "third", noise(SIZE, 3))
        assert push(sandbox, third, Pushing(at_once=1, home=tmp_path)).error is None
        assert sandbox.traffic.count(method="PATCH") == 4  # pieces are not given up


def test_a_416_after_bytes_that_did_arrive_costs_none_of_them(image: Layout) -> None:
    with Sandbox(options=IN_PIECES) as sandbox:
        sandbox.faults.add(fault("PATCH", AnswerAfter(416)))
        assert push(sandbox, image).error is None
        assert is_whole(sandbox, "a", "1", image)
        assert sum(size for _, _, size, _ in pieces(sandbox)) == SIZE
        assert (sandbox.traffic.count(method="GET"), sandbox.traffic.count(method="DELETE")) == (1, 0)


def test_a_token_that_ends_in_the_middle_costs_a_piece(image: Layout) -> None:
    options = SandboxOptions(chunk_max=PIECE, auth="bearer")
    with Sandbox(options=options) as sandbox:
        challenge = f'Bearer realm="{sandbox.url}/token",service="{sandbox.address}",error="invalid_token"'
        sandbox.faults.add(fault("PATCH", Answer(401, {"WWW-Authenticate": challenge}), nth=3))
        assert push(sandbox, image, Pushing(at_once=1, credential=LOGIN)).error is None
        assert is_whole(sandbox, "a", "1", image)
        assert [status for _, _, _, status in pieces(sandbox)] == [202, 202, 401, 202, 202, 201]
        assert sandbox.traffic.count(path_pattern="^/token") == 2
        assert sandbox.traffic.count(method="GET", path_pattern="/uploads/") == 0


def test_a_token_that_a_body_would_outlive_is_renewed_before_it(large: Layout) -> None:
    clock = FakeClock()
    with Sandbox(options=SandboxOptions(auth="bearer", token_life_s=60), clock=clock) as sandbox:
        # The first piece takes 32 of the token's 60 seconds, the next one would leave it too few.
        pushing = Pushing(clock=clock, credential=LOGIN, at_once=1, limit_bytes_per_s=MIB / 2)
        assert push(sandbox, large, pushing).error is None
        kinds = ["token" if r.path.startswith("/token") else r.method for r in sandbox.traffic.requests]
        assert kinds[kinds.index("PATCH") :][:3] == ["PATCH", "token", "PATCH"]
        assert sandbox.traffic.count(status=401) == 1


@pytest.mark.case("RT-001")
def test_retry_after_on_a_piece_is_waited_for_by_all_and_never_cut_short(image: Layout) -> None:
    clock = FakeClock()
    script = FaultScript([fault("PATCH", Answer(429, {"Retry-After": "90"}), nth=2)])
    with Sandbox(options=IN_PIECES, faults=script) as sandbox:
        before = clock.monotonic()
        assert push(sandbox, image, Pushing(clock=clock, at_once=1)).error is None
        assert clock.monotonic() - before >= 90


@pytest.mark.case("RT-007")
def test_a_failure_that_stays_is_tried_as_often_as_said_and_no_more(image: Layout) -> None:
    with Sandbox(faults=FaultScript([Fault(method="POST", times=0, action=Answer(503))])) as sandbox:
        error = push(sandbox, image).error
        assert isinstance(error, UnavailableError)
        assert str(error).endswith("given up after 3 attempts")
        # The first POST asks for a mount, which is a request of its own kind; neither multiplies the other.
        assert sandbox.traffic.count(method="POST") == 6


def test_every_piece_that_arrives_makes_new_attempts_possible(image: Layout) -> None:
    script = FaultScript([fault("PATCH", DropAfter(50_000), nth=n) for n in range(1, 12, 2)])
    with Sandbox(options=IN_PIECES, faults=script) as sandbox:
        (result,) = Pushing(at_once=1).push(image, f"{sandbox.address}/a:1")
        assert result.error is None
        assert is_whole(sandbox, "a", "1", image)


@pytest.mark.parametrize("status", [400, 404, 405, 415, 416, 501])
@pytest.mark.case("CH-016")
def test_a_registry_that_refuses_pieces_gets_whole_blobs(large: Layout, status: int) -> None:
    with Sandbox(faults=FaultScript([fault("PATCH", Answer(status), times=0)])) as sandbox:
        assert push(sandbox, large).error is None
        assert is_whole(sandbox, "a", "1", large)
        assert sandbox.traffic.bodies_sent(method="PUT", path_pattern="/blobs/")[0] == 40 * MIB
        assert sandbox.traffic.count(method="PATCH") <= 2


@pytest.mark.case("CH-006")
def test_a_piece_that_is_too_large_is_halved_and_what_arrived_stays(large: Layout) -> None:
    with Sandbox(options=SandboxOptions(max_body=20 * MIB)) as sandbox:
        assert push(sandbox, large).error is None
        assert is_whole(sandbox, "a", "1", large)
        accepted = [size for _, _, size, status in pieces(sandbox) if status in (201, 202)]
        assert accepted == [16 * MIB, 12 * MIB, 12 * MIB]
        assert sessions(sandbox) == 1


def test_silence_is_broken_off_and_gone_on_with(large: Layout) -> None:
    script = FaultScript([closing(large, Stall(60))])
    with Sandbox(faults=script) as sandbox:
        assert push(sandbox, large, Pushing(at_once=1, stall_s=2.0)).error is None
        assert is_whole(sandbox, "a", "1", large)
        assert ("PUT", f"{16 * MIB}-{40 * MIB - 1}", 24 * MIB, 201) in pieces(sandbox)


def is_left_alone(large: Layout, stall_s: float) -> bool:
    """Say whether a piece that takes twice as long as silence may last is sent without a break."""
    blocks = 24 * 4
    script = FaultScript([closing(large, Slow(256 * 1024, 2 * stall_s / blocks))])
    with Sandbox(faults=script) as sandbox:
        error = push(sandbox, large, Pushing(at_once=1, stall_s=stall_s)).error
        return error is None and sandbox.traffic.count(method="GET") == 0


def test_slow_is_not_silent(large: Layout) -> None:
    # A busy machine may be silent by itself for half a second, and not for ten.
    assert any(is_left_alone(large, stall_s) for stall_s in (0.5, 10.0))


def test_a_broken_upload_of_a_missing_repository_says_what_happened(image: Layout) -> None:
    script = FaultScript([Fault(method="PUT", path="/blobs/", times=0, action=Answer(404, code="NAME_UNKNOWN"))])
    with Sandbox(faults=script) as sandbox:
        error = push(sandbox, image).error
        assert isinstance(error, RegistryError)
        assert not isinstance(error, NotFoundError)
        assert "while the blob was being sent" in str(error)
