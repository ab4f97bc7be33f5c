"""What is learnt from how a registry takes uploads, and what becomes of it in a later run."""

from __future__ import annotations

import pytest

from oci_push.errors import UploadRejectedError
from oci_push.protocol.uploads import UploadMethod, UploadSession
from oci_push.providers.base import Capabilities
from oci_push.registry.capabilities import PROBE_BYTES, SINGLE_BYTES, WHOLE_BYTES, LearntCapabilities

MIB = 1024 * 1024
UPLOAD = UploadSession("https://registry.test/up")


class Host:
    """A registry's notes, over several runs."""

    def __init__(self, **notes: str) -> None:
        self.notes = dict(notes)

    def run(self, facts: Capabilities | None = None, *, lasts: bool = True) -> LearntCapabilities:
        return LearntCapabilities(
            facts or Capabilities(), find=self.notes.get, note=self.notes.__setitem__, lasts=lasts
        )


def refusal(status: int, *codes: str) -> UploadRejectedError:
    return UploadRejectedError("refused", status=status, codes=codes)


def test_small_blobs_go_whole_and_large_ones_in_pieces() -> None:
    abilities = Host().run()
    assert abilities.method_for(WHOLE_BYTES, UPLOAD) is UploadMethod.MONOLITHIC
    assert abilities.method_for(WHOLE_BYTES + 1, UPLOAD) is UploadMethod.CHUNKED


def test_a_registry_without_pieces_gets_large_blobs_whole() -> None:
    assert Host().run(Capabilities(chunks=False)).method_for(1 << 34, UPLOAD) is UploadMethod.MONOLITHIC


@pytest.mark.case("CH-005")
def test_an_announced_maximum_is_kept_by_any_blob_above_it() -> None:
    upload = UploadSession("https://r/u", chunk_max=5 * MIB)
    abilities = Host().run(Capabilities(chunks=False))
    assert abilities.method_for(5 * MIB + 1, upload) is UploadMethod.CHUNKED
    assert abilities.method_for(5 * MIB, upload) is UploadMethod.MONOLITHIC
    assert abilities.chunk_bytes(upload) == 5 * MIB


@pytest.mark.case("CH-004")
def test_an_announced_minimum_raises_the_piece() -> None:
    assert Host().run().chunk_bytes(UploadSession("https://r/u", chunk_min=50 * MIB)) == 50 * MIB


def test_a_piece_takes_some_seconds_at_the_measured_speed() -> None:
    abilities = Host().run()
    abilities.measure(16 * MIB, 2.0)
    assert abilities.chunk_bytes(UPLOAD) == 60 * MIB
    abilities.measure(60 * MIB, 15.0)
    assert abilities.chunk_bytes(UPLOAD) == 30 * MIB


def test_the_closing_request_carries_few_bytes_unless_the_whole_blob_leaves_in_seconds() -> None:
    abilities = Host().run()
    assert abilities.closing_bytes(40 * MIB, UPLOAD) == 16 * MIB  # how fast it is is not known
    abilities.measure(16 * MIB, 2.0)
    assert abilities.closing_bytes(60 * MIB, UPLOAD) == 60 * MIB
    assert abilities.closing_bytes(60 * MIB + 1, UPLOAD) == 16 * MIB
    assert abilities.closing_bytes(60 * MIB, UploadSession("https://r/u", chunk_max=5 * MIB)) == 5 * MIB


@pytest.mark.parametrize(("seconds", "expected"), [(0.01, 128 * MIB), (1000.0, 8 * MIB)])
def test_one_piece_changes_the_next_within_bounds(seconds: float, expected: int) -> None:
    abilities = Host().run()
    abilities.measure(16 * MIB, seconds)
    assert abilities.chunk_bytes(UPLOAD) == expected


def test_no_piece_is_over_half_a_gibibyte() -> None:
    abilities = Host().run()
    for _ in range(4):
        abilities.measure(abilities.chunk_bytes(UPLOAD), 0.01)
    assert abilities.chunk_bytes(UPLOAD) == 512 * MIB


@pytest.mark.case("CH-006")
def test_413_means_pieces_and_then_ever_smaller_ones() -> None:
    abilities = Host().run(Capabilities(chunks=False))
    assert abilities.refuses_size(UploadMethod.MONOLITHIC, 20 * MIB, UPLOAD)
    assert (abilities.method_for(20 * MIB, UPLOAD), abilities.chunk_bytes(UPLOAD)) == (UploadMethod.CHUNKED, 10 * MIB)
    assert abilities.refuses_size(UploadMethod.CHUNKED, 10 * MIB, UPLOAD)
    assert abilities.chunk_bytes(UPLOAD) == 5 * MIB


def test_413_for_a_huge_blob_goes_straight_to_a_usual_piece() -> None:
    abilities = Host().run(Capabilities(chunks=False))
    abilities.refuses_size(UploadMethod.MONOLITHIC, 1 << 34, UPLOAD)
    assert abilities.chunk_bytes(UPLOAD) == 16 * MIB


def test_pieces_never_get_smaller_than_the_registry_takes() -> None:
    abilities = Host().run(Capabilities(chunk_bytes=6 * MIB, chunk_min_bytes=5 * MIB, upload=UploadMethod.CHUNKED))
    assert abilities.refuses_size(UploadMethod.CHUNKED, 6 * MIB, UPLOAD)
    assert abilities.chunk_bytes(UPLOAD) == 5 * MIB
    assert not abilities.refuses_size(UploadMethod.CHUNKED, 5 * MIB, UPLOAD)


def test_a_learnt_limit_holds_in_the_next_run_and_against_growth() -> None:
    host = Host()
    host.run().refuses_size(UploadMethod.CHUNKED, 40 * MIB, UPLOAD)
    later = host.run()
    later.measure(20 * MIB, 0.1)
    assert later.chunk_bytes(UPLOAD) == 20 * MIB


def test_a_stray_413_for_a_tiny_blob_is_tried_once_more_and_not_remembered() -> None:
    host = Host()
    abilities = host.run()
    assert abilities.refuses_size(UploadMethod.MONOLITHIC, 300, UPLOAD)
    assert not abilities.refuses_size(abilities.method_for(300, UPLOAD), 300, UPLOAD)
    assert host.notes == {}


@pytest.mark.parametrize("error", [refusal(405), refusal(400, "UNSUPPORTED"), refusal(416), refusal(404), refusal(400)])
@pytest.mark.case("CH-016")
def test_a_registry_that_refuses_pieces_gets_whole_blobs_now_and_later(error: UploadRejectedError) -> None:
    host = Host()
    abilities = host.run()
    assert abilities.refuses_method(UploadMethod.CHUNKED, error)
    assert abilities.method_for(1 << 34, UPLOAD) is UploadMethod.MONOLITHIC
    assert host.run().method_for(1 << 34, UPLOAD) is UploadMethod.MONOLITHIC


def test_a_form_that_is_refused_is_not_tried_again() -> None:
    abilities = Host().run(Capabilities(chunks=False))
    tried = []
    while abilities.refuses_method(abilities.known.upload, refusal(405)):
        tried.append(abilities.known.upload)
    assert tried == [UploadMethod.STREAMED, UploadMethod.CHUNKED]


@pytest.mark.parametrize("status", [401, 403, 409, 500])
def test_what_is_no_matter_of_form_changes_nothing(status: int) -> None:
    abilities = Host().run()
    assert not abilities.refuses_method(UploadMethod.MONOLITHIC, refusal(status))
    assert abilities.known.upload is UploadMethod.MONOLITHIC


@pytest.mark.case("UP-028", "UP-029")
def test_one_request_is_tried_with_a_tiny_blob_and_remembered() -> None:
    host = Host()
    first = host.run(Capabilities(single_post=True))
    assert first.takes_in_one_request(PROBE_BYTES)
    assert not first.takes_in_one_request(PROBE_BYTES + 1)
    first.learn_single_post(works=True)
    later = host.run(Capabilities(single_post=True))
    assert later.takes_in_one_request(SINGLE_BYTES)
    later.learn_single_post(works=False)
    assert not host.run(Capabilities(single_post=True)).takes_in_one_request(1)


@pytest.mark.parametrize(("facts", "lasts"), [(Capabilities(), True), (Capabilities(single_post=True), False)])
def test_one_request_is_not_tried_where_it_is_known_or_could_not_be_remembered(
    facts: Capabilities, lasts: bool
) -> None:
    assert not Host().run(facts, lasts=lasts).takes_in_one_request(1)


@pytest.mark.case("MT-013")
def test_a_mount_from_anywhere_that_is_refused_is_remembered() -> None:
    host = Host()
    first = host.run(Capabilities(anonymous_mount=True))
    assert first.known.anonymous_mount
    first.learn("anonymous_mount", False)
    assert not host.run(Capabilities(anonymous_mount=True)).known.anonymous_mount


def test_many_tags_in_one_request_that_are_ignored_are_remembered() -> None:
    host = Host()
    host.run().learn("multi_tag", False)
    assert not host.run().known.multi_tag


def test_a_note_that_makes_no_sense_is_as_good_as_none() -> None:
    assert Host(piece_limit="many", pieces="perhaps").run().chunk_bytes(UPLOAD) == 16 * MIB


def test_a_last_piece_is_no_larger_than_the_first() -> None:
    assert Host().run().chunk_bytes(UPLOAD) >= WHOLE_BYTES
