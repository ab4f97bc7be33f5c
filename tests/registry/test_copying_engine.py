"""Many images copied in one run: what is asked, what comes along, and what becomes of each."""

from __future__ import annotations

from pathlib import Path

from equipment.sandbox import Sandbox
from images import LayoutWriter, layer
from pushing import Pushing

from oci_push.engine.copying import CopyOptions, CopyOutcome, copy
from oci_push.engine.copying_lists import TagLists
from oci_push.engine.copying_selection import Selection, select
from oci_push.engine.unit import UnitTarget
from oci_push.events import ignore
from oci_push.model.reference import Repository


def test_tags_are_copied_by_one_question_each(tmp_path: Path) -> None:
    with Sandbox() as source, Sandbox() as target:
        for number in range(10):
            writer = LayoutWriter(tmp_path / f"image{number}")
            Pushing().push(writer.close(writer.image(layer(1), layer(10 + number))), f"{source.address}/a:{number}")
        source.traffic.clear()
        here, there = Repository.parse(f"{source.address}/a"), Repository.parse(f"{target.address}/b")
        pushing = Pushing()
        with pushing.pusher() as pusher:
            lists = TagLists(pusher)
            items = select(pusher.context, lists, Selection(here), (UnitTarget(there, ()),))
            copied = copy(pusher.context, pusher, items, ignore, CopyOptions(), lists=lists)
        assert [row.outcome for row in copied.rows] == [CopyOutcome.COPIED] * 10
        assert source.traffic.count(method="HEAD", path_pattern="/manifests/") == 10
        assert target.traffic.count(path_pattern="/manifests/[0-9]$") == 10  # each tag is set, and none is asked for
