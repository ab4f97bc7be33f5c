"""Lists in pages: when no more are asked for, what ends a list, and referrers over several pages."""

from __future__ import annotations

import json

import pytest
from scripted import drive, reply

from oci_push.errors import ProtocolViolationError, UploadRejectedError
from oci_push.model import media
from oci_push.model.digest import Digest
from oci_push.model.reference import Repository
from oci_push.protocol import listings, referrers
from oci_push.protocol.call import Reply

REPOSITORY = Repository("registry.test", "app")
URL = "https://registry.test/v2/app/tags/list"
NEXT = '</v2/app/tags/list?last=x>; rel="next"'


def _tags(*names: str) -> bytes:
    return json.dumps({"tags": names}).encode()


def test_pages_in_order_are_left_when_there_is_enough() -> None:
    found, calls = drive(
        listings.list_tags(REPOSITORY, 2, is_enough=lambda names: len(names) >= 2),
        reply(200, _tags("a", "b"), URL, link=NEXT),
    )
    assert found == ("a", "b")
    assert [call.url for call in calls] == ["/v2/app/tags/list?n=2"]


def test_pages_out_of_order_are_all_read() -> None:
    found, calls = drive(
        listings.list_tags(REPOSITORY, 2, is_enough=lambda names: len(names) >= 2),
        reply(200, _tags("c", "b"), URL, link=NEXT),
        reply(200, _tags("a"), URL),
    )
    assert found == ("a", "b", "c")
    assert len(calls) == 2


def test_a_list_that_leads_back_to_a_page_ends() -> None:
    page = reply(200, _tags("a"), URL, link=NEXT)
    found, calls = drive(listings.list_tags(REPOSITORY), page, page)
    assert (found, len(calls)) == (("a",), 2)


@pytest.mark.parametrize(
    "link",
    [
        '</v2/app/tags/list?last=x>; title="more"; rel="next"',
        "</v2/app/tags/list?last=x>;rel=next",
        '</v2/app>; rel="first", </v2/app/tags/list?last=x>; rel="next"',
        '/v2/app/tags/list?last=x; rel="next"',
    ],
)
def test_a_link_may_say_more_than_its_relation(link: str) -> None:
    found, calls = drive(
        listings.list_tags(REPOSITORY), reply(200, _tags("a"), URL, link=link), reply(200, _tags("b"), URL)
    )
    assert found == ("a", "b")
    assert calls[1].url == "https://registry.test/v2/app/tags/list?last=x"


def test_the_next_page_may_be_named_by_a_second_link_header() -> None:
    first = Reply(
        200, {"link": "</v2/app>; rel=first"}, URL, _tags("a"), (("link", "</v2/app>; rel=first"), ("link", NEXT))
    )
    found, _ = drive(listings.list_tags(REPOSITORY), first, reply(200, _tags("b"), URL))
    assert found == ("a", "b")


def test_a_link_to_another_relation_is_no_next_page() -> None:
    found, _ = drive(listings.list_tags(REPOSITORY), reply(200, _tags("a"), URL, link="</v2/app>; rel=nextcloud"))
    assert found == ("a",)


def test_another_refusal_than_of_the_number_is_raised_after_one_more_try() -> None:
    refused = UploadRejectedError("no", status=400)
    with pytest.raises(UploadRejectedError):
        drive(listings.list_tags(REPOSITORY, 10), refused, refused)


def test_a_list_that_is_no_json_is_refused() -> None:
    with pytest.raises(ProtocolViolationError, match="is not JSON"):
        drive(listings.list_repositories("registry.test"), reply(200, b"<html>", "https://registry.test/v2/_catalog"))


def test_referrers_are_read_over_pages() -> None:
    subject = Digest.of(b"subject")
    url = f"https://registry.test/v2/app/referrers/{subject}"

    def page(content: bytes) -> bytes:
        entry = {"mediaType": media.OCI_MANIFEST, "digest": str(Digest.of(content)), "size": len(content)}
        return json.dumps({"schemaVersion": 2, "mediaType": media.OCI_INDEX, "manifests": [entry]}).encode()

    found, calls = drive(
        referrers.find(REPOSITORY, subject),
        reply(200, page(b"a"), url, content_type=media.OCI_INDEX, link=f'<{url}?page=2>; rel="next"'),
        reply(200, page(b"b"), url, content_type=media.OCI_INDEX),
    )
    assert [one.digest for one in found.entries] == [Digest.of(b"a"), Digest.of(b"b")]
    assert found.has_api
    assert len(calls) == 2


def test_a_list_of_long_names_without_end_is_left() -> None:
    body = _tags("x" * 4_000_000)
    pages = [
        reply(200, body, URL, link=f'</v2/app/tags/list?last={n}>; rel="next"', content_type=media.OCI_INDEX)
        for n in range(9)
    ]
    with pytest.raises(ProtocolViolationError, match="tags: more than 33554432 bytes"):
        drive(listings.list_tags(REPOSITORY), *pages)


def test_a_list_of_long_referrers_without_end_is_left() -> None:
    subject = Digest.of(b"subject")
    path = f"/v2/app/referrers/{subject}"
    entry = {"mediaType": media.OCI_MANIFEST, "digest": str(subject), "size": 1, "annotations": {"a": "x" * 4_000_000}}
    body = json.dumps({"schemaVersion": 2, "mediaType": media.OCI_INDEX, "manifests": [entry]}).encode()
    url = f"https://registry.test{path}"
    pages = [
        reply(200, body, url, link=f'<{path}?last={n}>; rel="next"', content_type=media.OCI_INDEX) for n in range(9)
    ]
    with pytest.raises(ProtocolViolationError, match="pages without end"):
        drive(referrers.find(REPOSITORY, subject), *pages)
