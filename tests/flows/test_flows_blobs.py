from __future__ import annotations

import pytest
from scripted import drive, reply

from oci_push.errors import ProtocolViolationError, UnavailableError
from oci_push.model.descriptor import Descriptor
from oci_push.model.digest import Digest
from oci_push.model.reference import Repository
from oci_push.protocol import blobs
from oci_push.protocol.blobs import Form, Upload, stored_bytes
from oci_push.protocol.call import BytesBody

REPOSITORY = Repository("registry.test", "team/app")
DATA = b"0123456789"
BLOB = Descriptor("application/octet-stream", Digest.of(DATA), len(DATA))


def test_a_404_means_not_there_and_is_no_error() -> None:
    there, calls = drive(blobs.exists(REPOSITORY, BLOB), reply(404))
    assert there is False
    assert [(c.method, c.url) for c in calls] == [("HEAD", f"/v2/team/app/blobs/{BLOB.digest}")]


def test_another_size_under_our_digest_is_the_registrys_fault() -> None:
    with pytest.raises(ProtocolViolationError, match="holds 9 bytes"):
        drive(blobs.exists(REPOSITORY, BLOB), reply(200, content_length="9"))


def test_a_500_is_transient_and_keeps_status_and_url() -> None:
    with pytest.raises(UnavailableError) as caught:
        drive(blobs.exists(REPOSITORY, BLOB), reply(500, url="https://registry.test/v2/x?_state=secret"))
    assert caught.value.transient
    assert (caught.value.status, caught.value.url) == (500, "https://registry.test/v2/x")


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
    upload, _ = drive(blobs.start(REPOSITORY, BLOB.digest), answer)
    assert upload.location == expected


def test_no_location_is_a_protocol_error_naming_the_repository() -> None:
    with pytest.raises(ProtocolViolationError, match=r"registry\.test/team/app.*no Location"):
        drive(blobs.start(REPOSITORY, BLOB.digest), reply(202))


def test_the_digest_is_appended_to_the_locations_query() -> None:
    flow = blobs.send(REPOSITORY, BLOB, BytesBody(DATA), Upload("https://r/u?_state=x"), Form.PUT, 0)
    _, calls = drive(flow, reply(201))
    assert [c.url for c in calls] == [f"https://r/u?_state=x&digest=sha256%3A{BLOB.digest.encoded}"]


def test_chunks_follow_the_newest_location_and_use_bare_ranges() -> None:
    flow = blobs.send(REPOSITORY, BLOB, BytesBody(DATA), Upload("https://r/1"), Form.CHUNKS, 4)
    _, calls = drive(
        flow,
        reply(202, location="https://r/2", range="0-3"),
        reply(201, location="https://r/3", range="0-3"),  # ECR: 201, and a Range that stands still
        reply(202, location="https://r/4", range="0-9"),
        reply(201),
    )
    assert [(c.method, c.url.partition("?")[0], c.headers.get("Content-Range")) for c in calls] == [
        ("PATCH", "https://r/1", "0-3"),
        ("PATCH", "https://r/2", "4-7"),
        ("PATCH", "https://r/3", "8-9"),
        ("PUT", "https://r/4", None),
    ]


def test_a_chunk_stored_in_part_is_continued_where_it_ends() -> None:
    flow = blobs.send(REPOSITORY, BLOB, BytesBody(DATA), Upload("https://r/1"), Form.CHUNKS, 10)
    _, calls = drive(flow, reply(202, range="0-5"), reply(202, range="0-9"), reply(201))
    assert [c.headers.get("Content-Range") for c in calls] == ["0-9", "6-9", None]
    assert calls[1].body is not None
    assert b"".join(bytes(b) for b in calls[1].body.blocks()) == b"6789"


def test_a_zero_byte_blob_is_one_put_without_patch() -> None:
    empty = Descriptor("x", Digest.of(b""), 0)
    _, calls = drive(blobs.send(REPOSITORY, empty, BytesBody(b""), Upload("https://r/1"), Form.CHUNKS, 4), reply(201))
    assert [(c.method, c.body.size if c.body else None) for c in calls] == [("PUT", 0)]


def test_another_digest_in_the_answer_fails_the_upload() -> None:
    flow = blobs.send(REPOSITORY, BLOB, BytesBody(DATA), Upload("https://r/1"), Form.PUT, 0)
    with pytest.raises(ProtocolViolationError, match="answered with digest"):
        drive(flow, reply(201, docker_content_digest=str(Digest.of(b"other"))))


def test_a_sha512_upload_may_be_answered_with_sha256() -> None:
    blob = Descriptor("x", Digest.of(DATA, "sha512"), len(DATA))
    flow = blobs.send(REPOSITORY, blob, BytesBody(DATA), Upload("https://r/1"), Form.PUT, 0)
    drive(flow, reply(201, docker_content_digest=str(Digest.of(DATA))))


def test_a_mount_asks_for_both_scopes_and_its_202_is_a_session() -> None:
    source = Repository("registry.test", "base/image")
    answer, calls = drive(blobs.mount(REPOSITORY, BLOB.digest, source), reply(202, location="/up/1"))
    assert answer.upload == Upload("https://registry.test/up/1")
    assert calls[0].scopes == ("repository:team/app:pull,push", "repository:base/image:pull")
    assert calls[0].url.endswith(f"?mount={BLOB.digest}&from=base/image")


def test_a_mount_of_another_digest_counts_as_failed() -> None:
    answer, _ = drive(
        blobs.mount(REPOSITORY, BLOB.digest, None), reply(201, docker_content_digest=str(Digest.of(b"other")))
    )
    assert not answer.mounted


@pytest.mark.parametrize(
    ("text", "stored"),
    [("0-0", None), ("bytes=0--1", None), ("0-99", 100), ("bytes=0-9", 10), ("x", None), ("5-9", None)],
)
def test_a_range_is_believed_only_where_it_is_sure(text: str, stored: int | None) -> None:
    assert stored_bytes(text) == stored
