from __future__ import annotations

import pytest
from scripted import drive, reply

from oci_push.errors import ProtocolViolationError
from oci_push.model.descriptor import Descriptor
from oci_push.model.digest import Digest
from oci_push.model.reference import Repository
from oci_push.protocol import uploads
from oci_push.protocol.call import EMPTY, BytesBody, Chunk
from oci_push.protocol.uploads import UploadSession, stored_bytes

REPOSITORY = Repository("registry.test", "team/app")
DATA = b"0123456789"
BLOB = Descriptor("application/octet-stream", Digest.of(DATA), len(DATA))
SENT_AS = f"sha256%3A{BLOB.digest.encoded}"
STORED = reply(201, location=f"/v2/team/app/blobs/{BLOB.digest}")


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("https://other.test/up?b=2&a=%2F1&a=3", "https://other.test/up?b=2&a=%2F1&a=3"),
        ("/v2/up/1?_state=a+b%3D", "https://registry.test/v2/up/1?_state=a+b%3D"),
        ("//cdn.test/up", "https://cdn.test/up"),
        ("uuid-1", "https://registry.test/v2/team/app/blobs/uploads/uuid-1"),
    ],
)
def test_a_location_is_resolved_and_its_query_kept(location: str, expected: str) -> None:
    answer = reply(202, url="https://registry.test/v2/team/app/blobs/uploads/", location=location)
    upload, _ = drive(uploads.start(REPOSITORY, BLOB.digest), answer)
    assert upload.location == expected


def test_no_location_is_a_protocol_error_naming_the_repository() -> None:
    with pytest.raises(ProtocolViolationError, match=r"registry\.test/team/app.*no Location"):
        drive(uploads.start(REPOSITORY, BLOB.digest), reply(202))


def test_the_digest_is_appended_to_the_locations_query() -> None:
    _, calls = drive(uploads.close(REPOSITORY, BLOB, UploadSession("https://r/u?_state=x"), BytesBody(DATA)), STORED)
    assert [c.url for c in calls] == [f"https://r/u?_state=x&digest={SENT_AS}"]
    assert "Content-Range" not in calls[0].headers


@pytest.mark.case("CH-018", "CH-019")
def test_a_piece_names_its_range_without_a_unit_and_gives_the_newest_location() -> None:
    piece = Chunk(BytesBody(DATA), 4, 4)
    flow = uploads.send_chunk(REPOSITORY, BLOB.digest, UploadSession("https://r/1", 5, 0), piece, 4)
    standing, calls = drive(flow, reply(202, location="https://r/2", range="0-7", oci_chunk_max_length="4"))
    assert standing == uploads.UploadStatus(UploadSession("https://r/2", 5, 4), 8)
    assert [(c.method, c.url, c.headers["Content-Range"]) for c in calls] == [("PATCH", "https://r/1", "4-7")]
    assert calls[0].body is not None
    assert b"".join(bytes(b) for b in calls[0].body.blocks()) == b"4567"


def test_a_stream_names_no_range() -> None:
    flow = uploads.send_chunk(REPOSITORY, BLOB.digest, UploadSession("https://r/1"), BytesBody(DATA), None)
    standing, calls = drive(flow, reply(201))
    assert "Content-Range" not in calls[0].headers
    assert standing == uploads.UploadStatus(UploadSession("https://r/1"), None)


def test_the_last_piece_may_close_the_upload_and_names_its_range() -> None:
    flow = uploads.close(REPOSITORY, BLOB, UploadSession("https://r/1"), Chunk(BytesBody(DATA), 8, 2), 8)
    _, calls = drive(flow, STORED)
    assert calls[0].headers["Content-Range"] == "8-9"


def test_an_empty_close_names_no_range() -> None:
    _, calls = drive(uploads.close(REPOSITORY, BLOB, UploadSession("https://r/1"), EMPTY, 10), STORED)
    assert "Content-Range" not in calls[0].headers


def test_an_upload_says_where_it_stands_and_how_to_go_on() -> None:
    flow = uploads.ask(REPOSITORY, BLOB.digest, UploadSession("https://r/old"))
    standing, calls = drive(flow, reply(204, location="https://r/new", range="0-4"))
    assert standing == uploads.UploadStatus(UploadSession("https://r/new"), 5)
    assert [(c.method, c.url) for c in calls] == [("GET", "https://r/old")]


def test_a_standing_without_a_location_is_not_believed() -> None:
    # Quay's, which counts one byte too many as well.
    standing, _ = drive(uploads.ask(REPOSITORY, BLOB.digest, UploadSession("https://r/old")), reply(204, range="0-5"))
    assert standing == uploads.UploadStatus(UploadSession("https://r/old"), None)


@pytest.mark.case("UP-028")
def test_a_blob_in_one_request_is_done_with_201() -> None:
    upload, calls = drive(uploads.post_whole(REPOSITORY, BLOB, BytesBody(DATA)), STORED)
    assert upload is None
    assert [(c.method, c.url) for c in calls] == [("POST", f"/v2/team/app/blobs/uploads/?digest={SENT_AS}")]
    assert calls[0].headers == {"Content-Type": "application/octet-stream"}


@pytest.mark.case("UP-029")
def test_a_blob_in_one_request_that_is_answered_202_is_an_open_upload() -> None:
    upload, _ = drive(uploads.post_whole(REPOSITORY, BLOB, BytesBody(DATA)), reply(202, location="/up/1"))
    assert upload == UploadSession("https://registry.test/up/1")


@pytest.mark.parametrize("form", ["close", "post_whole"])
def test_another_digest_in_the_answer_fails_the_upload(form: str) -> None:
    flows = {
        "close": uploads.close(REPOSITORY, BLOB, UploadSession("https://r/1"), BytesBody(DATA)),
        "post_whole": uploads.post_whole(REPOSITORY, BLOB, BytesBody(DATA)),
    }
    with pytest.raises(ProtocolViolationError, match="answered with digest"):
        drive(flows[form], reply(201, docker_content_digest=str(Digest.of(b"other"))))


@pytest.mark.parametrize(("form", "status"), [("close", 200), ("close", 201), ("close", 204), ("post_whole", 201)])
def test_a_success_that_shows_no_sign_of_the_blob_is_asked_for(form: str, status: int) -> None:
    flows = {
        "close": lambda: uploads.close(REPOSITORY, BLOB, UploadSession("https://r/1"), BytesBody(DATA)),
        "post_whole": lambda: uploads.post_whole(REPOSITORY, BLOB, BytesBody(DATA)),
    }
    _, calls = drive(flows[form](), reply(status), reply(200, content_length="10"))
    assert [(c.method, c.url) for c in calls[1:]] == [("HEAD", f"/v2/team/app/blobs/{BLOB.digest}")]
    with pytest.raises(ProtocolViolationError, match="does not have it"):
        drive(flows[form](), reply(status, location="/v2/elsewhere"), reply(404))


def test_a_sha512_upload_may_be_answered_with_sha256() -> None:
    blob = Descriptor("x", Digest.of(DATA, "sha512"), len(DATA))
    flow = uploads.close(REPOSITORY, blob, UploadSession("https://r/1"), BytesBody(DATA))
    drive(flow, reply(201, docker_content_digest=str(Digest.of(DATA))))


def test_only_requests_that_open_something_outlive_a_cancel() -> None:
    _, opening = drive(uploads.start(REPOSITORY, BLOB.digest), reply(202, location="/up/1"))
    _, closing = drive(uploads.close(REPOSITORY, BLOB, UploadSession("https://r/1"), BytesBody(DATA)), STORED)
    assert [opening[0].opens, closing[0].opens] == [True, False]


@pytest.mark.parametrize(
    ("text", "stored"),
    [("0-0", None), ("bytes=0--1", None), ("0-99", 100), ("bytes=0-9", 10), ("x", None), ("5-9", None)],
)
@pytest.mark.case("CH-008")
def test_a_range_is_believed_only_where_it_is_sure(text: str, stored: int | None) -> None:
    assert stored_bytes(text) == stored
