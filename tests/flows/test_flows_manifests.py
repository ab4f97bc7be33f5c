from __future__ import annotations

import json

import pytest
from scripted import drive, reply

from oci_push.errors import ImmutableTagError, ProtocolViolationError, UploadRejectedError
from oci_push.model import media
from oci_push.model.digest import Digest
from oci_push.model.manifest import Manifest, encode
from oci_push.model.reference import Reference, Repository
from oci_push.protocol import listings, manifests
from oci_push.protocol.call import Reply

REPOSITORY = Repository("registry.test", "app")
CONFIG = {"mediaType": media.OCI_CONFIG, "digest": str(Digest.of(b"{}")), "size": 2}
RAW = encode({"schemaVersion": 2, "mediaType": media.OCI_MANIFEST, "config": CONFIG, "layers": []})
MANIFEST = Manifest.parse(RAW)


def test_a_head_sends_the_full_accept_list() -> None:
    head, calls = drive(manifests.head(REPOSITORY, "1"), reply(404))
    assert head is None
    assert calls[0].headers["Accept"].split(", ") == [
        media.OCI_INDEX, media.OCI_MANIFEST, media.DOCKER_LIST, media.DOCKER_MANIFEST,
    ]  # fmt: skip


def test_a_put_sends_the_raw_bytes_under_the_manifests_own_type() -> None:
    _, calls = drive(manifests.put(REPOSITORY, MANIFEST, "1"), reply(201, location="/v2/app/manifests/1"))
    assert calls[0].body is not None
    assert b"".join(bytes(b) for b in calls[0].body.blocks()) == RAW
    assert calls[0].headers["Content-Type"] == media.OCI_MANIFEST


UNPROVEN = [
    reply(201, docker_content_digest=str(Digest.of(b"x"))),
    reply(201),
    reply(201, location="/v2/app/manifests/"),
    reply(200, b"<html>"),
    reply(204),
]


@pytest.mark.parametrize("answer", UNPROVEN, ids=lambda answer: f"{answer.status} {dict(answer.headers)}")
def test_an_answer_that_does_not_show_the_manifest_makes_it_be_read(answer: Reply) -> None:
    _, calls = drive(manifests.put(REPOSITORY, MANIFEST, "1"), answer, reply(200, RAW))
    assert [(c.method, c.url) for c in calls] == [("PUT", "/v2/app/manifests/1"), ("GET", "/v2/app/manifests/1")]
    with pytest.raises(ProtocolViolationError, match="has none"):
        drive(manifests.put(REPOSITORY, MANIFEST, "1"), answer, reply(404))
    # What is there counts, whatever its header says.
    damaged = RAW.replace(b"layers", b"mayers")
    with pytest.raises(ProtocolViolationError) as caught:
        drive(
            manifests.put(REPOSITORY, MANIFEST, "1"),
            answer,
            reply(200, damaged, docker_content_digest=str(MANIFEST.digest)),
        )
    assert str(Digest.of(damaged)) in str(caught.value)
    assert str(MANIFEST.digest) in str(caught.value)


@pytest.mark.parametrize("status", [400, 403, 405, 501])
def test_a_head_refused_without_a_word_is_followed_by_a_get(status: int) -> None:
    head, calls = drive(manifests.head(REPOSITORY, "1"), reply(status), reply(200, RAW))
    assert head is not None
    assert head.digest == MANIFEST.digest
    assert [c.method for c in calls] == ["HEAD", "GET"]


def test_a_web_page_is_no_manifest() -> None:
    page = reply(200, b"<html>", content_type="text/html")
    assert drive(manifests.head(REPOSITORY, str(MANIFEST.digest)), reply(200), page)[0] is None


def test_ecrs_tag_invalid_is_an_immutable_tag() -> None:
    body = json.dumps({"errors": [{"code": "TAG_INVALID", "message": "immutable"}]}).encode()
    with pytest.raises(ImmutableTagError, match="may not be moved"):
        drive(manifests.put(REPOSITORY, MANIFEST, "1"), reply(400, body))


def test_a_tag_that_is_no_good_is_not_said_to_exist() -> None:
    body = json.dumps({"errors": [{"code": "TAG_INVALID", "message": "not a name for a tag"}]}).encode()
    with pytest.raises(UploadRejectedError, match=r"TAG_INVALID \(not a name for a tag\)"):
        drive(manifests.put(REPOSITORY, MANIFEST, "1"), reply(400, body))


def test_only_tags_that_the_registry_names_count_as_made() -> None:
    headers = (("oci-tag", "a, b"), ("oci-tag", "c,stranger"))
    made, calls = drive(
        manifests.put_with_tags(REPOSITORY, MANIFEST, ("a", "b", "c", "d")),
        Reply(201, dict(headers), "https://registry.test/", b"", headers),
    )
    assert made.tags == {"a", "b", "c"}
    assert calls[0].url == f"/v2/app/manifests/{MANIFEST.digest}?tag=a&tag=b&tag=c&tag=d"


def test_a_fetched_manifest_is_checked_against_the_digest_asked_for() -> None:
    wrong = Reference(REPOSITORY, "", Digest.of(b"something else"))
    with pytest.raises(ProtocolViolationError, match="expected"):
        drive(manifests.fetch(wrong), reply(200, RAW, content_type=media.OCI_MANIFEST))


@pytest.mark.case("CO-008")
def test_tags_are_followed_over_pages_by_link_alone() -> None:
    url = "https://registry.test/v2/app/tags/list"
    tags, calls = drive(
        listings.list_tags(REPOSITORY),
        reply(200, b'{"tags":["b","a"]}', url, link='</v2/app/tags/list?last=b>; rel="next"'),
        reply(200, b'{"tags":null}', url),
    )
    assert tags == ("a", "b")
    assert calls[1].url == "https://registry.test/v2/app/tags/list?last=b"


@pytest.mark.case("CO-008")
@pytest.mark.parametrize(
    "link", ["https://other.test/v2/app/tags/list", "http://registry.test/x", "http://169.254.169.254/x", "http://[::1"]
)
def test_a_next_page_elsewhere_is_refused(link: str) -> None:
    url = "https://registry.test/v2/app/tags/list"
    with pytest.raises(ProtocolViolationError, match="next page"):
        drive(listings.list_tags(REPOSITORY), reply(200, b'{"tags":["a"]}', url, link=f'<{link}>; rel="next"'))
