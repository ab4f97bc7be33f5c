"""A copy from one registry to another says what it leaves behind."""

from __future__ import annotations

from pathlib import Path

import pytest
from equipment.faults import Answer, Fault
from equipment.options import SandboxOptions
from equipment.sandbox import Sandbox
from images import Layout, LayoutWriter, layer
from pushing import Pushing, is_whole

from oci_push.events import LogMessage
from oci_push.model.manifest import Manifest


def with_companions(sandbox: Sandbox, image: Layout, folder: Path, tags: tuple[str, ...]) -> None:
    """Put an image, two referrers of it and tags about it into a registry."""
    assert Pushing().push(image, f"{sandbox.address}/src:1")[0].error is None
    raw = sandbox.store.manifest("src", "1")
    assert raw is not None
    subject = Manifest.parse(raw).descriptor().to_json()
    for number in (1, 2):
        writer = LayoutWriter(folder / f"referrer{number}")
        value = writer.image(layer(number), subject=subject, annotations={"n": str(number)})
        Pushing().push(writer.close(value), f"{sandbox.address}/src:x{number}")
    name = image.digest.replace(":", "-")
    for tag in tags:
        Pushing().push(image, f"{sandbox.address}/src:{name}{tag}")


def notes(pushing: Pushing) -> list[str]:
    return [event.text for event in pushing.events if isinstance(event, LogMessage) and "stay behind" in event.text]


@pytest.mark.parametrize("referrers", [True, False], ids=["registry's list", "list under a tag"])
def test_a_copy_says_how_much_of_what_belongs_to_the_image_stays(
    referrers: bool, image: Layout, tmp_path: Path
) -> None:
    with Sandbox(options=SandboxOptions(referrers=referrers)) as source, Sandbox() as target:
        with_companions(source, image, tmp_path, (".sig", ".att"))
        pushing = Pushing()
        (result,) = pushing.push(f"{source.address}/src:1", f"{target.address}/a:1")
        assert result.error is None
        assert is_whole(target, "a", "1", image)
        name = image.digest.replace(":", "-")
        assert notes(pushing) == [
            f"{source.address}/src: 2 referrers and the tags {name}.sig, {name}.att stay behind: "
            "only the image itself is copied; oci-push copy takes them along"
        ]


def test_a_copy_that_leaves_nothing_says_nothing(image: Layout) -> None:
    with Sandbox() as source, Sandbox() as target:
        Pushing().push(image, f"{source.address}/src:1")
        pushing = Pushing()
        assert pushing.push(f"{source.address}/src:1", f"{target.address}/a:1")[0].error is None
        assert notes(pushing) == []


def test_a_source_that_cannot_be_asked_fails_no_copy(image: Layout, tmp_path: Path) -> None:
    with Sandbox() as source, Sandbox() as target:
        with_companions(source, image, tmp_path, (".sig",))
        source.faults.add(Fault("", r"referrers|\.sig$", times=0, action=Answer(500)))
        pushing = Pushing()
        assert pushing.push(f"{source.address}/src:1", f"{target.address}/a:1")[0].error is None
        assert notes(pushing) == []


def test_another_tag_in_the_same_repository_leaves_nothing_behind(image: Layout, tmp_path: Path) -> None:
    with Sandbox() as sandbox:
        with_companions(sandbox, image, tmp_path, (".sig",))
        sandbox.traffic.clear()
        pushing = Pushing()
        assert pushing.push(f"{sandbox.address}/src:1", f"{sandbox.address}/src:2")[0].error is None
        assert notes(pushing) == []
        assert sandbox.traffic.count(path_pattern=r"referrers|\.sig$") == 0
