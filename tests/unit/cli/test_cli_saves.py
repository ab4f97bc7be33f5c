"""What is shown of images that are saved: lines of a log, and what a display counts."""

from __future__ import annotations

from oci_push import events
from oci_push.cli.progress import how_far
from oci_push.cli.tally import Tally
from oci_push.events import Event
from oci_push.model.digest import Digest
from oci_push.model.outcomes import BlobKind

PLACE = "oci:out"
ROOT, FIRST, SECOND = (Digest.of(bytes([n])) for n in range(3))
KIND = BlobKind.LAYER


def tally_of(*told: Event) -> Tally:
    tally = Tally()
    for second, event in enumerate(told):
        tally.add(event, "", float(second))
        tally.look(float(second))
    return tally


def test_what_has_come_is_counted_as_what_goes_out_in_a_push() -> None:
    tally = tally_of(
        events.SaveStarted(PLACE, "1"),
        events.SourceOpened("r.example/app:1", ROOT, 1, 2, 3_000_000),
        events.BlobSaved(PLACE, FIRST, 1_000_000, True),
        events.SaveProgress(PLACE, SECOND, 500_000, 2_000_000, KIND),
    )
    assert how_far(tally).startswith("oci:out: 1 of 2 blobs, 1.5 MB of 3.0 MB, 166.7 kB/s")
    (target,) = tally.under_way
    assert (target.there, target.sent, [one.kind for one in tally.blobs_of(target)]) == (1, 0, [KIND])
    tally.add(events.BlobSaved(PLACE, SECOND, 2_000_000, False), "", 9.0)
    assert (target.done_blobs, target.done_bytes, target.sent_bytes, tally.went_out) == (
        2,
        3_000_000,
        2_000_000,
        2_000_000,
    )
    tally.add(events.SaveFinished(PLACE, "1", ROOT), "", 9.0)
    assert tally.under_way == []


def test_images_of_one_place_are_one_sum_until_the_last_is_done() -> None:
    tally = tally_of(
        events.SaveStarted(PLACE, "1"),
        events.SourceOpened("r.example/app:1", ROOT, 1, 2, 100),
        events.SaveStarted(PLACE, "2"),
        events.SourceOpened("r.example/app:2", ROOT, 1, 3, 200),
        events.SaveFinished(PLACE, "1", ROOT),
    )
    (target,) = tally.under_way
    assert (target.blobs, target.size_bytes) == (5, 300)
    tally.add(events.SaveFinished(PLACE, "2", None, "it broke"), "", 9.0)
    assert tally.under_way == []
    tally.add(events.SaveStarted(PLACE, "sha256-….sig"), "", 9.0)
    assert tally.under_way == [target]


def test_what_is_told_of_no_place_that_was_begun_counts_nowhere() -> None:
    tally = tally_of(events.BlobSaved(PLACE, FIRST, 1, False), events.SaveFinished(PLACE, "1", ROOT))
    assert tally.under_way == []
