"""The table's mount cases: blobs that are in another repository of the registry already."""

from __future__ import annotations

from pathlib import Path

import pytest
from equipment.faults import Answer, Fault, FaultScript, Headers
from equipment.options import SandboxOptions
from equipment.sandbox import Sandbox
from images import Layout, layer, make_layout
from pushing import LOGIN, Pushing, difference, is_whole

from oci_push.engine.push import PushResult
from oci_push.errors import ContentMismatchError, OciPushError, UnavailableError
from oci_push.events import Event, TargetFinished
from oci_push.model.digest import Digest
from oci_push.model.outcomes import BlobOutcome
from oci_push.runtime.cache import SqliteCache
from oci_push.runtime.clock import SystemClock

UPLOADS = r"/blobs/uploads/"


def errors_of(results: tuple[PushResult, ...]) -> list[OciPushError | None]:
    """Give each repository's error."""
    return [result.error for result in results]


@pytest.mark.case("MT-001")
def test_a_mount_answered_201_sends_no_byte(sandbox: Sandbox, image: Layout) -> None:
    results = Pushing().push(image, f"{sandbox.address}/a:1", f"{sandbox.address}/b:1")
    assert errors_of(results) == [None, None]
    assert {blob.outcome for blob in results[1].blobs} == {BlobOutcome.MOUNTED}
    assert sandbox.traffic.received_bytes(path_pattern=f"/v2/b{UPLOADS}") == 0
    assert is_whole(sandbox, "b", "1", image)


@pytest.mark.case("MT-004")
@pytest.mark.parametrize("status", [400, 403, 404, 405, 500, 503])
def test_a_mount_that_is_refused_leads_to_a_plain_upload(status: int, image: Layout) -> None:
    faults = FaultScript([Fault("POST", "mount=", times=0, action=Answer(status))])
    with Sandbox(faults=faults) as sandbox:
        results = Pushing().push(image, f"{sandbox.address}/a:1", f"{sandbox.address}/b:1")
        assert errors_of(results) == [None, None]
        assert difference(sandbox, "b", "1", image) == ""


@pytest.mark.case("MT-009")
def test_a_refused_mount_is_no_error_of_its_own(image: Layout) -> None:
    faults = FaultScript(
        [
            Fault("POST", "/v2/b/.*mount=", times=0, action=Answer(418)),
            Fault("POST", "/v2/b/", times=0, action=Answer(500)),
        ]
    )
    with Sandbox(faults=faults) as sandbox:
        first, second = errors_of(Pushing().push(image, f"{sandbox.address}/a:1", f"{sandbox.address}/b:1"))
        assert first is None
        assert isinstance(second, UnavailableError)


@pytest.mark.case("MT-005")
def test_a_repository_of_another_registry_is_never_mounted_from(sandbox: Sandbox, image: Layout) -> None:
    Pushing().push(image, f"{sandbox.address}/a:1")
    with Sandbox() as other:
        assert errors_of(Pushing().push(f"docker://{sandbox.address}/a:1", f"{other.address}/b:1")) == [None]
        assert other.traffic.count(path_pattern="from=") == 0
        assert is_whole(other, "b", "1", image)


@pytest.mark.case("MT-006")
def test_a_mount_of_another_digest_is_followed_by_an_upload(image: Layout) -> None:
    change = Headers({"Docker-Content-Digest": f"sha256:{'0' * 64}"})
    with Sandbox(faults=FaultScript([Fault("POST", "mount=", times=0, action=change)])) as sandbox:
        results = Pushing().push(image, f"{sandbox.address}/a:1", f"{sandbox.address}/b:1")
        assert errors_of(results) == [None, None]
        assert BlobOutcome.MOUNTED not in {blob.outcome for blob in results[1].blobs}
        assert is_whole(sandbox, "b", "1", image)


@pytest.mark.case("MT-007")
def test_the_session_of_a_refused_mount_is_filled_from_our_own_source(image: Layout) -> None:
    with Sandbox(options=SandboxOptions(mount=False)) as sandbox:
        assert errors_of(Pushing().push(image, f"{sandbox.address}/a:1", f"{sandbox.address}/b:1")) == [None, None]
        posts = sandbox.traffic.select(method="POST", path_pattern=f"/v2/b{UPLOADS}")
        assert len(posts) == len(image.blobs)
        assert all("mount=" in post.path for post in posts)
        assert sandbox.traffic.count(method="GET") == 0
        assert is_whole(sandbox, "b", "1", image)


@pytest.mark.case("MT-008")
def test_a_source_that_fails_after_a_refused_mount_cancels_the_session(tmp_path: Path) -> None:
    image = make_layout(tmp_path / "image", layer(1))
    digest = max(image.blobs, key=lambda d: image.blobs[d])
    with Sandbox(options=SandboxOptions(mount=False)) as sandbox:

        def lose_the_blob(event: Event) -> None:
            if isinstance(event, TargetFinished):
                (image.path / "blobs" / "sha256" / digest.partition(":")[2]).write_bytes(b"short")

        pushing = Pushing(at_once=1, listener=lose_the_blob)
        first, second = errors_of(pushing.push(image, f"{sandbox.address}/a:1", f"{sandbox.address}/b:1"))
        assert first is None
        assert isinstance(second, ContentMismatchError)
        assert sandbox.store.uploads() == ()


@pytest.mark.case("MT-012", "MF-012")
def test_a_new_tag_in_the_same_repository_is_one_manifest_and_no_blob_request(sandbox: Sandbox, image: Layout) -> None:
    Pushing().push(image, f"{sandbox.address}/a:1")
    sandbox.traffic.clear()
    assert errors_of(Pushing().push(f"docker://{sandbox.address}/a:1", f"{sandbox.address}/a:2")) == [None]
    assert sandbox.traffic.count(path_pattern="/blobs/") == 0
    assert sandbox.traffic.count(method="PUT") == 1
    assert sandbox.store.manifest("a", "2") == sandbox.store.manifest("a", "1")


@pytest.mark.case("MT-011")
def test_a_repository_that_has_lost_a_blob_is_forgotten(sandbox: Sandbox, image: Layout, tmp_path: Path) -> None:
    here = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    Pushing(env=here, remember=True).push(image, f"{sandbox.address}/a:1")
    for blob in image.blobs:
        sandbox.store.remove_blob("a", Digest.parse(blob))
    assert errors_of(Pushing(env=here, remember=True).push(image, f"{sandbox.address}/b:1")) == [None]
    assert is_whole(sandbox, "b", "1", image)
    assert sandbox.traffic.count(method="POST", path_pattern="/v2/b/.*from=a") == len(image.blobs)
    cache = SqliteCache(tmp_path / "cache" / "oci-push" / "memory.sqlite3", SystemClock(), pytest.fail)
    known = {cache.find_mounts(sandbox.address, Digest.parse(blob), "c") for blob in image.blobs}
    cache.close()
    assert known == {("b",)}


@pytest.mark.case("MT-010")
def test_the_repository_most_alike_in_name_is_asked_first_and_a_small_blob_asks_one(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    image = make_layout(tmp_path / "image", layer(1, 600_000))
    here = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    for name in ("other/thing", "team/app"):
        Pushing(env=here, remember=True).push(image, f"{sandbox.address}/{name}:1")
    small, large = sorted(image.blobs, key=lambda d: image.blobs[d])
    for blob in (small, large):
        sandbox.store.remove_blob("team/app", Digest.parse(blob))
    assert errors_of(Pushing(env=here, remember=True).push(image, f"{sandbox.address}/team/new:1")) == [None]
    asked = {
        blob: [r.path.partition("from=")[2] for r in sandbox.traffic.select(path_pattern=f"/team/new/.*mount={blob}")]
        for blob in (small, large)
    }
    assert asked == {small: ["team/app"], large: ["team/app", "other/thing"]}
    assert is_whole(sandbox, "team/new", "1", image)


@pytest.mark.case("MT-015")
def test_a_token_without_the_mount_source_is_tried_once_and_then_uploads_follow(image: Layout) -> None:
    with Sandbox(options=SandboxOptions(auth="bearer", one_scope=True)) as sandbox:
        pushing = Pushing(credential=LOGIN, at_once=1)
        results = pushing.push(image, f"{sandbox.address}/a:1", f"{sandbox.address}/b:1")
        assert errors_of(results) == [None, None]
        assert is_whole(sandbox, "b", "1", image)
        assert len({r.path for r in sandbox.traffic.select(method="POST", path_pattern="from=")}) == 1
