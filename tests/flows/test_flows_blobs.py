from __future__ import annotations

import pytest
from scripted import drive, reply

from oci_push.errors import DeniedError, ProtocolViolationError, UnavailableError
from oci_push.model.descriptor import Descriptor
from oci_push.model.digest import Digest
from oci_push.model.reference import Repository
from oci_push.protocol import blobs, uploads
from oci_push.protocol.call import Reply
from oci_push.protocol.uploads import UploadSession

REPOSITORY = Repository("registry.test", "team/app")
DATA = b"0123456789"
BLOB = Descriptor("application/octet-stream", Digest.of(DATA), len(DATA))


@pytest.mark.case("UP-002")
def test_a_404_means_not_there_and_is_no_error() -> None:
    there, calls = drive(blobs.exists(REPOSITORY, BLOB), reply(404))
    assert there is False
    assert [(c.method, c.url) for c in calls] == [("HEAD", f"/v2/team/app/blobs/{BLOB.digest}")]


@pytest.mark.parametrize("second", [reply(200, content_length="9"), reply(206, b"0", content_range="bytes 0-0/9")])
def test_another_size_at_a_second_look_too_is_the_registrys_fault(second: Reply) -> None:
    with pytest.raises(ProtocolViolationError, match="holds 9 bytes"):
        drive(blobs.exists(REPOSITORY, BLOB), reply(200, content_length="9"), second)


ASKED_AGAIN = [
    reply(200, content_length="0"),
    reply(200, content_length="9"),
    reply(200),
    reply(200, content_length="10", docker_content_digest=str(Digest.of(b"other"))),
    reply(400),
    reply(403),
    reply(405),
    reply(501),
]


@pytest.mark.parametrize("first", ASKED_AGAIN, ids=lambda answer: f"{answer.status} {dict(answer.headers)}")
def test_what_a_head_leaves_open_is_asked_by_get_and_the_second_answer_counts(first: Reply) -> None:
    there, calls = drive(blobs.exists(REPOSITORY, BLOB), first, reply(206, b"0", content_range="bytes 0-0/10"))
    assert there is True
    assert [(c.method, c.headers.get("Range")) for c in calls] == [("HEAD", None), ("GET", "bytes=0-0")]
    assert calls[1].peeks  # a registry that knows no ranges would send all of it
    assert drive(blobs.exists(REPOSITORY, BLOB), first, reply(404))[0] is False
    body = b'{"errors":[{"code":"DENIED","message":"quota exceeded"}]}'
    with pytest.raises(DeniedError, match="quota exceeded"):
        drive(blobs.exists(REPOSITORY, BLOB), first, reply(403, body))


def test_a_page_that_answers_200_to_everything_is_no_blob() -> None:
    page = reply(200, b"<html>welcome</html>", content_type="text/html")
    assert drive(blobs.exists(REPOSITORY, BLOB), reply(200), page)[0] is False


def test_a_500_is_transient_and_keeps_status_and_url() -> None:
    with pytest.raises(UnavailableError) as caught:
        drive(blobs.exists(REPOSITORY, BLOB), reply(500, url="https://registry.test/v2/x?_state=secret"))
    assert caught.value.transient
    assert (caught.value.status, caught.value.url) == (500, "https://registry.test/v2/x")


def test_a_mount_asks_for_both_scopes_and_its_202_is_a_session() -> None:
    source = Repository("registry.test", "base/image")
    answer, calls = drive(uploads.mount(REPOSITORY, BLOB, source), reply(202, location="/up/1"))
    assert answer.upload == UploadSession("https://registry.test/up/1")
    assert calls[0].scopes == ("repository:team/app:pull,push", "repository:base/image:pull")
    assert calls[0].url.endswith(f"?mount={BLOB.digest}&from=base/image")


def test_a_mount_of_another_digest_counts_as_failed() -> None:
    answer, _ = drive(uploads.mount(REPOSITORY, BLOB, None), reply(201, docker_content_digest=str(Digest.of(b"other"))))
    assert not answer.mounted


@pytest.mark.parametrize(("there", "is_mounted"), [(200, True), (404, False)])
def test_a_mount_that_shows_no_sign_of_the_blob_is_asked_for(there: int, is_mounted: bool) -> None:
    answer, calls = drive(uploads.mount(REPOSITORY, BLOB, None), reply(201), reply(there, content_length="10"))
    assert answer.mounted is is_mounted
    assert [c.method for c in calls] == ["POST", "HEAD"]
