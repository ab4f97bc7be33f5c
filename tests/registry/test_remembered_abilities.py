"""What a registry has shown to be able to do is not asked again, in this run and in the next."""

from __future__ import annotations

from pathlib import Path

import pytest
from equipment.faults import Answer, Fault, FaultScript
from equipment.options import SandboxOptions
from equipment.sandbox import Sandbox
from images import Layout, layer, make_layout, make_raw_layout, noise
from pushing import Pushing, is_whole, public

from oci_push.engine.push import PushResult

MIB = 1024 * 1024
UPLOADS = "/blobs/uploads/"


@pytest.fixture
def image(tmp_path: Path) -> Layout:
    return make_layout(tmp_path / "image", layer(1))


@pytest.fixture
def another(tmp_path: Path) -> Layout:
    return make_layout(tmp_path / "another", layer(2), layer(3))


def push(sandbox: Sandbox, image: Layout, home: Path | None, target: str = "a:1") -> PushResult:
    (result,) = Pushing(at_once=1, home=home).push(image, f"{sandbox.address}/{target}")
    assert result.error is None
    assert is_whole(sandbox, *target.split(":"), image)
    return result


def kinds(sandbox: Sandbox) -> list[str]:
    """Name how each blob travelled, in order."""
    named = []
    for request in sandbox.traffic.select(path_pattern=UPLOADS):
        whole = request.method == "POST" and "?digest=" in request.path
        named.append("POST whole" if whole else request.method)
    return named


def test_a_registry_that_takes_blobs_in_one_request_gets_them_so(
    image: Layout, another: Layout, tmp_path: Path
) -> None:
    with Sandbox(options=SandboxOptions(single_post=True)) as sandbox:
        push(sandbox, image, tmp_path)
        assert kinds(sandbox) == ["POST whole"] * 2
        sandbox.traffic.clear()
        push(sandbox, another, tmp_path, "a:2")
        assert kinds(sandbox) == ["POST whole"] * 3


def test_one_that_does_not_is_asked_once_and_its_session_is_used(
    image: Layout, another: Layout, tmp_path: Path
) -> None:
    with Sandbox() as sandbox:
        push(sandbox, image, tmp_path)
        assert kinds(sandbox) == ["POST whole", "PUT", "POST", "PUT"]
        sandbox.traffic.clear()
        push(sandbox, another, tmp_path, "a:2")
        assert "POST whole" not in kinds(sandbox)


@pytest.mark.parametrize("status", [400, 404, 405, 415])
def test_one_that_refuses_it_gets_the_usual_two_requests(image: Layout, tmp_path: Path, status: int) -> None:
    refused = Fault(method="POST", path=r"\?digest=", action=Answer(status))
    with Sandbox(faults=FaultScript([refused])) as sandbox:
        push(sandbox, image, tmp_path)
        assert kinds(sandbox) == ["POST whole", "POST", "PUT", "POST", "PUT"]


def test_without_a_memory_no_bytes_are_spent_on_asking(image: Layout) -> None:
    with Sandbox(options=SandboxOptions(single_post=True)) as sandbox:
        push(sandbox, image, None)
        assert "POST whole" not in kinds(sandbox)


def test_a_known_family_is_not_asked(image: Layout, tmp_path: Path) -> None:
    with Sandbox() as sandbox:
        pushing = Pushing(at_once=1, home=tmp_path, endpoints=public(sandbox, "ghcr.io"))
        (result,) = pushing.push(image, "ghcr.io/team/app:1")
        assert result.error is None
        assert kinds(sandbox) == ["POST", "PUT"] * 2
        assert not sandbox.traffic.select(path_pattern="mount=")


def test_a_blob_that_the_registry_finds_by_itself_is_not_sent(image: Layout) -> None:
    with Sandbox(options=SandboxOptions(anonymous_mount=True)) as sandbox:
        push(sandbox, image, None)
        sandbox.traffic.clear()
        result = push(sandbox, image, None, "b:1")
        assert {blob.outcome.value for blob in result.blobs} == {"mounted"}
        assert sandbox.traffic.received_bytes(path_pattern=UPLOADS) == 0


def test_a_user_who_wants_no_mounts_gets_none(image: Layout) -> None:
    with Sandbox(options=SandboxOptions(anonymous_mount=True)) as sandbox:
        for target in ("a:1", "b:1"):
            Pushing(mount=False).push(image, f"{sandbox.address}/{target}")
        assert not sandbox.traffic.select(path_pattern="mount=")
        assert is_whole(sandbox, "b", "1", image)


def test_a_mount_from_anywhere_that_is_refused_is_not_asked_again(
    image: Layout, another: Layout, tmp_path: Path
) -> None:
    refused = Fault(method="POST", path="mount=", times=0, action=Answer(400))
    with Sandbox(faults=FaultScript([refused])) as sandbox:
        # A home, then, but small blobs would be sent in one request: these are above that.
        push(sandbox, make_raw_layout(tmp_path / "x", noise(20_000, 1), noise(20_000, 2)), tmp_path)
        assert len(sandbox.traffic.select(path_pattern="mount=")) == 1
        push(sandbox, make_raw_layout(tmp_path / "y", noise(20_000, 3)), tmp_path, "a:2")
        assert len(sandbox.traffic.select(path_pattern="mount=")) == 1


def test_a_repository_that_no_longer_holds_a_blob_is_forgotten(image: Layout, tmp_path: Path) -> None:
    with Sandbox() as sandbox:
        push(sandbox, image, tmp_path)
        for blob in image.blobs:
            sandbox.store.blob_path("a", blob).unlink()
        push(sandbox, image, tmp_path, "b:1")
        sandbox.traffic.clear()
        push(sandbox, image, tmp_path, "c:1")
        asked = sandbox.traffic.select(path_pattern="mount=")
        assert [r for r in asked if "from=a" in r.path] == []
        assert {r.status for r in asked} == {201}


def test_a_limit_learnt_from_a_refusal_is_kept_in_the_next_run(tmp_path: Path) -> None:
    with Sandbox(options=SandboxOptions(max_body=9 * MIB)) as sandbox:
        push(sandbox, make_raw_layout(tmp_path / "one", noise(18 * MIB, 1)), tmp_path)
        assert sandbox.traffic.count(status=413) == 1
        sandbox.traffic.clear()
        push(sandbox, make_raw_layout(tmp_path / "two", noise(18 * MIB, 2)), tmp_path, "a:2")
        assert sandbox.traffic.count(status=413) == 0


def test_a_registry_that_refuses_pieces_is_not_offered_any_in_the_next_run(tmp_path: Path) -> None:
    with Sandbox(options=SandboxOptions(patch=False)) as sandbox:
        push(sandbox, make_raw_layout(tmp_path / "one", noise(18 * MIB, 1)), tmp_path)
        assert sandbox.traffic.count(method="PATCH", status=405) == 1
        sandbox.traffic.clear()
        push(sandbox, make_raw_layout(tmp_path / "two", noise(18 * MIB, 2)), tmp_path, "a:2")
        assert sandbox.traffic.count(method="PATCH") == 0
