"""The table's upload-session cases, as seen on the wire."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from equipment.faults import Answer, Fault, FaultScript, Headers, Stall
from equipment.options import SandboxOptions
from equipment.sandbox import Sandbox
from images import Layout, LayoutWriter, layer, make_layout
from pushing import LOGIN, Pushing, error_of, is_whole

from oci_push.engine.plan import SMALL_BYTES
from oci_push.errors import (
    Cancelled,
    ContentMismatchError,
    DeniedError,
    ProtocolViolationError,
    UnavailableError,
    UploadRejectedError,
)
from oci_push.events import BlobDone, LogMessage
from oci_push.model.digest import Digest
from oci_push.runtime.clock import SystemClock
from oci_push.runtime.context import Context

UPLOADS = r"/blobs/uploads/"


@pytest.mark.case("UP-001")
def test_a_blob_that_is_there_counts_with_its_full_size_and_is_not_sent(sandbox: Sandbox, tmp_path: Path) -> None:
    image = make_layout(tmp_path / "large", layer(1, 600_000), layer(2, 700_000))
    Pushing().push(image, f"{sandbox.address}/a:1")
    sandbox.store.remove_manifest("a", Digest.parse(image.digest))
    sandbox.traffic.clear()
    again = Pushing()
    assert error_of(again.push(image, f"{sandbox.address}/a:1")) is None
    large = {digest: size for digest, size in image.blobs.items() if size > SMALL_BYTES}
    assert len(large) == 2
    done = {str(e.digest): (e.size_bytes, e.outcome) for e in again.events if isinstance(e, BlobDone)}
    assert {digest: done[digest] for digest in large} == {digest: (size, "exists") for digest, size in large.items()}
    assert sandbox.traffic.received_bytes(path_pattern=UPLOADS) < SMALL_BYTES


def test_a_small_blob_is_sent_unasked_where_nothing_is_known_of_the_image(sandbox: Sandbox, image: Layout) -> None:
    Pushing().push(image, f"{sandbox.address}/a:1")
    assert sandbox.traffic.count(method="HEAD", path_pattern="/blobs/") == 0


def test_a_small_blob_is_asked_for_where_the_tag_names_another_image(sandbox: Sandbox, tmp_path: Path) -> None:
    Pushing().push(make_layout(tmp_path / "one", layer(1), layer(2)), f"{sandbox.address}/a:1")
    sandbox.traffic.clear()
    Pushing().push(make_layout(tmp_path / "two", layer(1), layer(3)), f"{sandbox.address}/a:1")
    assert sandbox.traffic.count(method="HEAD", path_pattern="/blobs/", status=200) == 1
    assert sandbox.traffic.count(method="POST", path_pattern=UPLOADS) == 2


def test_a_small_blob_is_asked_for_where_an_earlier_run_brought_it(
    sandbox: Sandbox, image: Layout, tmp_path: Path
) -> None:
    Pushing(home=tmp_path / "home").push(image, f"{sandbox.address}/a:1")
    sandbox.store.remove_manifest("a", Digest.parse(image.digest))
    sandbox.traffic.clear()
    assert error_of(Pushing(home=tmp_path / "home").push(image, f"{sandbox.address}/a:2")) is None
    assert sandbox.traffic.count(method="HEAD", path_pattern="/blobs/", status=200) == len(image.blobs)
    assert sandbox.traffic.count(path_pattern=UPLOADS) == 0


@pytest.mark.case("UP-003")
def test_a_failing_existence_check_is_repeated_and_then_told_with_status_and_url(tmp_path: Path) -> None:
    image = make_layout(tmp_path / "large", layer(1, 600_000))
    with Sandbox(faults=FaultScript([Fault("HEAD", "/blobs/", times=0, action=Answer(500))])) as sandbox:
        error = error_of(Pushing(at_once=1).push(image, f"{sandbox.address}/a:1"))
        assert isinstance(error, UnavailableError)
        assert error.status == 500
        assert error.url.startswith(f"http://{sandbox.address}/v2/a/blobs/sha256:")
        assert sandbox.traffic.count(method="HEAD", path_pattern="/blobs/") == 3


@pytest.mark.case("UP-004", "UP-006", "UP-008")
def test_a_signed_location_is_used_byte_for_byte_with_the_digest_at_its_end(tmp_path: Path) -> None:
    query = "sig=a%2Bb+c%2f&sig=2&q=%7e;~!'()*&empty=&%61=1"
    faults = FaultScript(
        [
            Fault("POST", UPLOADS, times=0, action=Answer(202, {"Location": f"/elsewhere/%41?{query}"})),
            Fault("PUT", "/elsewhere/", times=0, action=Answer(201, {"Docker-Content-Digest": "of another algorithm"})),
        ]
    )
    image = make_layout(tmp_path / "image", layer(1))
    with Sandbox(faults=faults) as sandbox:
        Pushing().push(image, f"{sandbox.address}/a:1")
        paths = {r.path for r in sandbox.traffic.select(method="PUT", path_pattern="/elsewhere/")}
    digests = [digest.replace(":", "%3A") for digest in image.blobs]
    assert paths == {f"/elsewhere/%41?{query}&digest={digest}" for digest in digests}


@pytest.mark.case("UP-007")
def test_no_location_is_an_error_naming_the_registry_and_nothing_is_guessed(image: Layout) -> None:
    change = Headers(remove=("Location",))
    with Sandbox(faults=FaultScript([Fault("POST", UPLOADS, times=0, action=change)])) as sandbox:
        error = error_of(Pushing().push(image, f"{sandbox.address}/a:1"))
        assert isinstance(error, ProtocolViolationError)
        assert sandbox.address in str(error)
        assert "no Location" in str(error)
        assert sandbox.traffic.count(method="PUT") == 0


@pytest.mark.case("UP-017")
def test_a_size_that_is_not_the_blobs_stops_the_push(sandbox: Sandbox, image: Layout) -> None:
    digest = max(image.blobs, key=lambda d: image.blobs[d])
    with (image.path / "blobs" / "sha256" / digest.partition(":")[2]).open("ab") as file:
        file.write(b"more")
    error = error_of(Pushing().push(image, f"{sandbox.address}/a:1"))
    assert isinstance(error, ContentMismatchError)
    assert sandbox.store.uploads() == ()
    assert sandbox.traffic.count(method="PUT", path_pattern="/manifests/") == 0


@pytest.mark.case("UP-018", "SR-016")
def test_bytes_that_are_not_the_digests_stop_the_push_and_cancel_the_session(sandbox: Sandbox, image: Layout) -> None:
    digest = max(image.blobs, key=lambda d: image.blobs[d])
    (image.path / "blobs" / "sha256" / digest.partition(":")[2]).write_bytes(b"\0" * image.blobs[digest])
    error = error_of(Pushing().push(image, f"{sandbox.address}/a:1"))
    assert isinstance(error, ContentMismatchError)
    assert sandbox.store.uploads() == ()
    assert sandbox.traffic.count(method="PUT", path_pattern="/manifests/") == 0


@pytest.mark.case("UP-019")
def test_a_digest_called_invalid_is_checked_here_and_the_wrong_side_is_named(image: Layout) -> None:
    wrong = Answer(400, code="DIGEST_INVALID")
    with Sandbox(faults=FaultScript([Fault("PUT", UPLOADS, times=0, action=wrong)])) as sandbox:
        error = error_of(Pushing(at_once=1).push(image, f"{sandbox.address}/a:1"))
        assert isinstance(error, UploadRejectedError)
        assert "the source's bytes are right" in str(error.hint)
        assert sandbox.traffic.count(method="PUT") == 2  # once more, as the source is right


@pytest.mark.case("UP-021")
def test_a_missing_digest_header_is_accepted_in_silence(image: Layout) -> None:
    change = Headers(remove=("Docker-Content-Digest",))
    with Sandbox(faults=FaultScript([Fault("PUT", times=0, action=change)])) as sandbox:
        pushing = Pushing()
        assert error_of(pushing.push(image, f"{sandbox.address}/a:1")) is None
        assert is_whole(sandbox, "a", "1", image)
    assert [e for e in pushing.events if isinstance(e, LogMessage)] == []


@pytest.mark.case("UP-023", "MF-007")
def test_a_blob_shared_by_two_images_of_an_index_is_sent_once(sandbox: Sandbox, tmp_path: Path) -> None:
    writer = LayoutWriter(tmp_path / "index")
    shared = layer(1, 50_000)
    children = writer.image(shared, layer(2)), writer.image(shared, layer(3))
    image = writer.close(writer.index(*children))
    assert error_of(Pushing().push(image, f"{sandbox.address}/a:1")) is None
    assert is_whole(sandbox, "a", "1", image)
    assert sandbox.traffic.count(method="PUT", path_pattern=UPLOADS) == len(image.blobs)
    puts = [r.path for r in sandbox.traffic.select(method="PUT", path_pattern="/manifests/")]
    assert set(puts[:2]) == {f"/v2/a/manifests/{child['digest']}" for child in children}
    assert puts[2:] == ["/v2/a/manifests/1"]


@pytest.mark.case("UP-027")
@pytest.mark.parametrize("answer", [204, 404, 500])
def test_every_open_session_is_cancelled_when_the_push_is(answer: int, image: Layout) -> None:
    scripted = [Fault("DELETE", times=0, action=Answer(answer))] if answer != 204 else []
    faults = FaultScript([Fault("PUT", UPLOADS, times=0, action=Stall(30)), *scripted])
    with Sandbox(faults=faults) as sandbox:
        context = Context(SystemClock(), what="test")
        pushing = Pushing(context=context, at_once=2)
        results: list[tuple[object, ...]] = []
        thread = threading.Thread(target=lambda: results.append(pushing.push(image, f"{sandbox.address}/a:1")))
        thread.start()
        assert sandbox.traffic.wait_until(lambda t: t.count(method="PUT") == 2)
        context.cancel()
        thread.join(120)
        assert isinstance(error_of(results[0]), Cancelled)
        deletes = sandbox.traffic.select(method="DELETE", path_pattern=UPLOADS)
        assert {r.path for r in deletes} == {
            r.path.partition("&digest=")[0] for r in sandbox.traffic.select(method="PUT")
        }
        assert {r.headers["content-length"] for r in deletes} == {"0"}


@pytest.mark.case("UP-032")
def test_a_413_in_the_middle_of_a_body_is_read_and_acted_on(tmp_path: Path) -> None:
    image = make_layout(tmp_path / "image", layer(7, 12_000_000))
    refusal = Fault("PUT", UPLOADS, action=Answer(413, before_body=True))
    with Sandbox(faults=FaultScript([refusal])) as sandbox:
        # One at a time: the large blob goes first, and is what is refused.
        assert error_of(Pushing(at_once=1).push(image, f"{sandbox.address}/a:1")) is None
        assert is_whole(sandbox, "a", "1", image)
        assert sandbox.traffic.count(method="PATCH") > 0


@pytest.mark.case("UP-032", "AU-012")
def test_a_401_in_the_middle_of_a_body_costs_one_token_and_keeps_the_session(tmp_path: Path) -> None:
    image = make_layout(tmp_path / "image", layer(7, 12_000_000))
    with Sandbox(options=SandboxOptions(auth="bearer")) as sandbox:
        challenge = f'Bearer realm="{sandbox.url}/token",service="s",error="invalid_token"'
        refusal = Answer(401, {"WWW-Authenticate": challenge}, before_body=True)
        sandbox.faults.add(Fault("PUT", UPLOADS, action=refusal))
        assert error_of(Pushing(credential=LOGIN, at_once=1).push(image, f"{sandbox.address}/a:1")) is None
        assert is_whole(sandbox, "a", "1", image)
        assert sandbox.traffic.count(path_pattern="/token") == 2
        assert sandbox.traffic.count(method="POST", path_pattern=UPLOADS) == len(image.blobs)
        refused, repeated = sandbox.traffic.select(method="PUT", path_pattern=UPLOADS)[:2]
        assert (refused.status, repeated.status) == (401, 201)
        assert refused.path == repeated.path


@pytest.mark.case("UP-032", "RT-008", "AU-015")
def test_a_403_in_the_middle_of_a_body_is_the_error_not_the_broken_pipe(tmp_path: Path) -> None:
    image = make_layout(tmp_path / "image", layer(7, 12_000_000))
    refusal = Fault("PUT", UPLOADS, times=0, action=Answer(403, code="DENIED", before_body=True))
    with Sandbox(faults=FaultScript([refusal])) as sandbox:
        error = error_of(Pushing(at_once=1).push(image, f"{sandbox.address}/a:1"))
        assert isinstance(error, DeniedError)
        assert "403 DENIED (scripted fault)" in str(error)
        assert sandbox.traffic.count(method="PUT") == 1
        assert sandbox.store.uploads() == ()
