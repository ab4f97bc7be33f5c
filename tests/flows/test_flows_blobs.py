from __future__ import annotations

import pytest
from scripted import drive, reply

from oci_push.errors import ProtocolViolationError, UnavailableError
from oci_push.model.descriptor import Descriptor
from oci_push.model.digest import Digest
from oci_push.model.reference import Repository
from oci_push.protocol import blobs
from oci_push.protocol.uploads import Upload

REPOSITORY = Repository("registry.test", "team/app")
DATA = b"0123456789"
BLOB = Descriptor("application/octet-stream", Digest.of(DATA), len(DATA))


@pytest.mark.case("UP-002")
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
