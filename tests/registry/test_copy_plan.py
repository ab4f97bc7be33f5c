"""What copy --plan says of many images is what copy then does, and finding it out writes nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from equipment.options import SandboxOptions
from equipment.sandbox import Sandbox
from images import LayoutWriter, config_of, noise
from program import program
from published import check_json
from pushing import Pushing

from oci_push.model import media
from oci_push.runner.copy_plan import CopyPlan

BASE = noise(300_000, 1)


def image(path: Path, number: int) -> str:
    """Write an image of a layer that all have and one of its own; give the SOURCE."""
    writer = LayoutWriter(path)
    layers = (BASE, noise(100_000, 100 + number))
    described = [writer.put(one, media.OCI_LAYER) for one in layers]
    config = writer.put(config_of(*layers), media.OCI_CONFIG)
    writer.close(writer.manifest({"config": config, "layers": described}, media.OCI_MANIFEST))
    return f"oci:{path}"


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Sandbox]:
    """A registry with three images of one repository under four tags."""
    with Sandbox() as sandbox:
        for number in range(3):
            tags = "1.0,latest" if number == 0 else f"1.{number}"
            Pushing().push(image(tmp_path / f"i{number}", number), f"{sandbox.address}/team/app:{tags}")
        sandbox.traffic.clear()
        yield sandbox


def told(*words: str, cwd: Path, code: int = 0) -> Any:
    text = program("copy", *words, "--json", "--no-memory", cwd=cwd, code=code).stdout
    if "--plan" in words:
        check_json(text, CopyPlan)
    return json.loads(text)


def methods(sandbox: Sandbox) -> set[str]:
    return {request.method for request in sandbox.traffic.requests}


@pytest.mark.parametrize("before", ["", "1.1", "latest"])
@pytest.mark.parametrize("more", [(), ("--only-missing",), ("--exclude", "1.0")])
def test_a_copy_then_does_what_was_said(
    source: Sandbox, sandbox: Sandbox, tmp_path: Path, before: str, more: tuple[str, ...]
) -> None:
    if before:
        Pushing().push(f"oci:{tmp_path / 'i1'}", f"{sandbox.address}/mirror/app:{before}")
    sandbox.traffic.clear()
    words = (f"{source.address}/team/app", f"{sandbox.address}/mirror/app", "--all-tags", *more)
    planned = told(*words, "--plan", cwd=tmp_path)
    assert methods(sandbox) | methods(source) <= {"HEAD", "GET"}
    copied = told(*words, cwd=tmp_path)
    assert planned["counts"]["copy"] == copied["counts"]["copied"]
    for name in ("unchanged", "there", "older", "failed"):
        assert planned["counts"][name] == copied["counts"][name]
    stored = {request.path for request in sandbox.traffic.select(method="PUT", path_pattern="/blobs/", status=201)}
    stored |= {request.path for request in sandbox.traffic.select(method="POST", path_pattern="digest=", status=201)}
    assert planned["totals"]["send"]["blobs"] == len(stored)
    again = told(*words, "--plan", cwd=tmp_path)
    assert (again["counts"]["copy"], again["images"]) == (0, [])


def test_a_layer_that_images_share_is_sent_once(source: Sandbox, sandbox: Sandbox, tmp_path: Path) -> None:
    words = (f"{source.address}/team/app", f"{sandbox.address}/mirror/app", "--all-tags", "--plan")
    totals = told(*words, cwd=tmp_path)["totals"]
    sizes = 300_000 + 3 * 100_000
    assert sizes < totals["send"]["bytes"] < sizes + 3000
    assert totals["there"] == {"blobs": 2, "bytes": 600_000}
    paths = [request.path for request in sandbox.traffic.select(path_pattern="/blobs/")]
    assert len(paths) == len(set(paths))


def test_a_tag_that_would_move_is_told_with_what_it_names(source: Sandbox, sandbox: Sandbox, tmp_path: Path) -> None:
    (before,) = Pushing().push(f"oci:{tmp_path / 'i1'}", f"{sandbox.address}/mirror/app:latest")
    words = (f"{source.address}/team/app:latest", f"{sandbox.address}/mirror/app", "--plan")
    (planned,) = told(*words, cwd=tmp_path)["images"]
    moves = planned["targets"][0]["moves"]
    assert [(one["tag"], one["move"], one["now"]) for one in moves] == [("latest", "moves", str(before.root))]


def test_what_does_not_exist_fails_and_hides_nothing(source: Sandbox, sandbox: Sandbox, tmp_path: Path) -> None:
    name = f"{source.address}/team/app"
    planned = told(f"{name}:1.0", f"{name}:9", f"{sandbox.address}/mirror/app", "--plan", cwd=tmp_path, code=1)
    assert planned["counts"]["copy"] == planned["counts"]["failed"] == 1
    assert planned["failures"][0]["tag"] == "9"


def test_many_tags_are_a_summary(source: Sandbox, sandbox: Sandbox, tmp_path: Path) -> None:
    tags = ",".join(f"2.{number}" for number in range(60))
    Pushing().push(f"oci:{tmp_path / 'i0'}", f"{source.address}/many:{tags}")
    words = ("copy", f"{source.address}/many", f"{sandbox.address}/many", "--all-tags", "--plan", "--no-memory")
    done = program(*words, cwd=tmp_path)
    assert done.stdout.splitlines()[0] == "60 tags: 60 to set"
    assert len(done.stdout.splitlines()) < 10
    few = program("copy", f"{source.address}/many:2.1*", *words[2:3], "--plan", "--no-memory", cwd=tmp_path)
    assert f"{sandbox.address}/many" in few.stdout
    assert "2.1, 2.10, 2.11, +8" in few.stdout


def test_who_may_not_write_is_told_so(source: Sandbox, tmp_path: Path) -> None:
    with Sandbox(options=SandboxOptions(auth="bearer")) as guarded:
        words = ("copy", f"{source.address}/team/app:1.0", f"{guarded.address}/app", "--plan", "--no-memory")
        done = program(*words, cwd=tmp_path)
        name = f"{guarded.address}/app"
    assert done.stdout.splitlines()[0] == f"{name}  (writing is not allowed, says the token)"
    assert "what refers to them" in done.stdout


def test_a_layout_has_nothing_that_refers_to_it(source: Sandbox, sandbox: Sandbox, tmp_path: Path) -> None:
    done = program("copy", f"oci:{tmp_path / 'i0'}", f"{sandbox.address}/app:1", "--plan", cwd=tmp_path)
    assert "what refers to them" not in done.stdout


def test_a_copy_into_a_folder_has_no_plan_and_writes_nothing(source: Sandbox, tmp_path: Path) -> None:
    done = program("copy", f"{source.address}/team/app:1.0", "oci:out", "--plan", cwd=tmp_path, code=2)
    assert "--plan asks registries, and oci:out lies here" in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_plan_is_written_as_the_report(source: Sandbox, sandbox: Sandbox, tmp_path: Path) -> None:
    words = (f"{source.address}/team/app:1.0", f"{sandbox.address}/mirror/app")
    program("copy", *words, "--plan", "--report", "plan.json", "--no-memory", cwd=tmp_path)
    check_json((tmp_path / "plan.json").read_text(), CopyPlan)
