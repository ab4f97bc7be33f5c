"""A docker-archive's layers go out while others are being compressed, and nothing is tagged before all are right."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from equipment.faults import Answer, Fault, FaultScript, Slow
from equipment.sandbox import Sandbox
from images import config_of, docker_archive, layer, noise
from program import until
from pushing import Pushing

from oci_push.engine.push import PushOptions, PushResult
from oci_push.errors import Cancelled, ContentMismatchError, OciPushError
from oci_push.events import Event, LayerCompressed, TargetStarted
from oci_push.model.digest import Digest
from oci_push.model.manifest import Manifest
from oci_push.model.outcomes import BlobOutcome, TagOutcome
from oci_push.model.reference import Destination
from oci_push.runtime.clock import SystemClock
from oci_push.runtime.context import Context

LARGE, SMALL = layer(1, 700_000), layer(2)
MIB = 1024 * 1024
UPLOADS = r"/blobs/uploads/"
MANIFESTS = r"/manifests/"


def archive(path: Path, *layers: bytes, config: bytes = b"", paths: tuple[str, ...] = ()) -> str:
    """Write what docker saves and give the SOURCE."""
    names = [f"{n}/layer.tar" for n in range(len(layers))]
    content = docker_archive(
        *zip(names, layers, strict=True), config=config or config_of(*layers), paths=list(paths) or names
    )
    path.write_bytes(content)
    return f"docker-archive:{path}"


def when_compressed(content: bytes, act: Callable[[], object]) -> Callable[[Event], None]:
    """Do something when a layer has been compressed, before the rest of the program hears of it."""

    def listen(event: Event) -> None:
        if isinstance(event, LayerCompressed) and event.diff_id == Digest.of(content):
            act()

    return listen


def is_whole(sandbox: Sandbox, repository: str = "a", tag: str = "1") -> bool:
    """Say whether a tag's manifest and all that it names are there."""
    raw = sandbox.store.manifest(repository, tag)
    return raw is not None and all(sandbox.store.blob_exists(repository, b.digest) for b in Manifest.parse(raw).blobs)


def test_the_first_layer_is_sent_before_the_last_is_compressed(sandbox: Sandbox, tmp_path: Path) -> None:
    source = archive(tmp_path / "a.tar", LARGE, SMALL)
    asked: list[int] = []

    def wait_for_the_large_one() -> None:
        assert sandbox.traffic.wait_until(lambda t: any(size > 100_000 for size in t.bodies_sent(method="PUT")))
        asked.append(sandbox.traffic.count(path_pattern=MANIFESTS))

    pushing = Pushing(listener=when_compressed(SMALL, wait_for_the_large_one))
    (result,) = pushing.push(source, f"{sandbox.address}/a:1")
    assert result.error is None
    assert asked == [0]
    assert is_whole(sandbox)
    assert [blob.outcome for blob in result.blobs] == [BlobOutcome.UPLOADED] * 3
    assert len([event for event in pushing.events if isinstance(event, TargetStarted)]) == 1
    sizes = sorted(request.received_bytes for request in sandbox.traffic.select(method="PUT", path_pattern=UPLOADS))
    assert sizes == sorted(blob.size for blob in result.blobs)


@pytest.mark.parametrize("options", [PushOptions(), PushOptions(verify=True, all_or_nothing=True)])
def test_a_layer_that_is_not_its_diff_id_gets_no_manifest_and_leaves_no_upload(
    options: PushOptions, sandbox: Sandbox, tmp_path: Path
) -> None:
    source = archive(tmp_path / "a.tar", LARGE, SMALL, config=config_of(LARGE, layer(3)))

    def wait_for_first(event: Event) -> None:
        if isinstance(event, LayerCompressed):
            assert sandbox.traffic.wait_until(lambda t: t.count(method="POST", path_pattern=UPLOADS) > 1)

    with pytest.raises(ContentMismatchError, match=r"1/layer\.tar: layer has diff_id"):
        Pushing(listener=wait_for_first, push_options=options).push(source, f"{sandbox.address}/a:1")
    assert sandbox.traffic.count(path_pattern=MANIFESTS) == 0
    assert sandbox.store.uploads() == ()
    assert sandbox.store.tags("a") == ()


def test_what_the_registry_has_is_not_sent_though_nothing_is_remembered(sandbox: Sandbox, tmp_path: Path) -> None:
    assert Pushing().push(archive(tmp_path / "a.tar", LARGE, SMALL), f"{sandbox.address}/a:1")[0].error is None
    sandbox.traffic.clear()
    (result,) = Pushing().push(archive(tmp_path / "b.tar", LARGE, layer(3)), f"{sandbox.address}/a:2")
    assert result.error is None
    assert is_whole(sandbox, "a", "2")
    assert sorted(blob.outcome for blob in result.blobs) == [
        BlobOutcome.EXISTS,
        BlobOutcome.UPLOADED,
        BlobOutcome.UPLOADED,
    ]
    large = max(result.blobs, key=lambda blob: blob.size)
    assert large.outcome is BlobOutcome.EXISTS
    assert sandbox.traffic.received_bytes(path_pattern=UPLOADS) < large.size


def test_a_layer_that_two_members_hold_is_sent_once(sandbox: Sandbox, tmp_path: Path) -> None:
    packed = noise(400_000)
    names = ("0/layer.tar", "1/layer.tar")
    source = archive(tmp_path / "a.tar", packed, packed, LARGE, paths=(*names, "2/layer.tar"))
    (result,) = Pushing().push(source, f"{sandbox.address}/a:1")
    assert result.error is None
    assert sorted(r.received_bytes for r in sandbox.traffic.select(method="PUT", path_pattern=UPLOADS)) == sorted(
        blob.size for blob in result.blobs
    )
    assert len(result.blobs) == 3


def test_a_registry_that_refuses_a_layer_fails_alone_and_is_asked_once(tmp_path: Path) -> None:
    source = archive(tmp_path / "a.tar", LARGE, SMALL)
    refusal = Fault("PUT", UPLOADS, times=0, action=Answer(403, code="DENIED"))
    with Sandbox() as good, Sandbox(faults=FaultScript([refusal])) as bad:
        fine, refused = Pushing(at_once=1).push(source, f"{good.address}/a:1", f"{bad.address}/a:1")
        assert fine.error is None
        assert is_whole(good)
        assert refused.error is not None
        assert "DENIED" in str(refused.error) or "denied" in str(refused.error)
        assert [tag.outcome for tag in refused.tags] == [TagOutcome.NOT_REACHED]
        assert bad.traffic.count(method="PUT") == 1
        assert bad.traffic.count(path_pattern=MANIFESTS) == 0
        assert bad.store.uploads() == ()


def test_repositories_of_one_registry_get_the_layers_by_mounting(sandbox: Sandbox, tmp_path: Path) -> None:
    source = archive(tmp_path / "a.tar", LARGE, SMALL)
    first, second = Pushing().push(source, f"{sandbox.address}/a:1", f"{sandbox.address}/b:1,2")
    assert (first.error, second.error) == (None, None)
    assert is_whole(sandbox, "b", "2")
    assert [blob.outcome for blob in second.blobs] == [BlobOutcome.MOUNTED] * 3
    assert sandbox.traffic.count(method="PUT", path_pattern=UPLOADS) == 3


@pytest.mark.parametrize("is_compressing", [True, False])
def test_a_stop_closes_the_uploads_that_are_ahead(is_compressing: bool, tmp_path: Path) -> None:
    source = archive(tmp_path / "a.tar", noise(24 * MIB), SMALL)
    slow = Fault("PATCH", UPLOADS, times=0, action=Slow(MIB, 0.05))
    ended: list[OciPushError | tuple[PushResult, ...]] = []
    is_stopped = threading.Event()
    with Sandbox(faults=FaultScript([slow])) as sandbox:
        context = Context(SystemClock(), what="test")
        hold = when_compressed(SMALL, lambda: is_compressing and is_stopped.wait(120))

        def push() -> None:
            try:
                ended.append(Pushing(listener=hold, context=context).push(source, f"{sandbox.address}/a:1"))
            except OciPushError as error:
                ended.append(error)

        thread = threading.Thread(target=push)
        thread.start()
        until(lambda: any(upload.size >= 2 * MIB for upload in sandbox.store.uploads()))
        context.cancel(Cancelled())
        is_stopped.set()
        thread.join(60)
        assert isinstance(ended[0], OciPushError) == is_compressing
        error = ended[0] if isinstance(ended[0], OciPushError) else ended[0][0].error
        assert isinstance(error, Cancelled)
        assert sandbox.store.uploads() == ()
        assert sandbox.traffic.count(path_pattern=MANIFESTS) == 0


def test_a_plan_asks_the_registry_for_nothing(sandbox: Sandbox, tmp_path: Path) -> None:
    source = archive(tmp_path / "a.tar", LARGE, SMALL)
    pushing = Pushing()
    with pushing.pusher() as pusher, pusher.open(source, pusher.context) as opened:
        targets = pusher.targets([Destination.parse(f"{sandbox.address}/a:1")])
        plan = pusher.plan(opened, targets, pusher.context)
    assert len(plan.graph.blobs) == 3
    assert sandbox.traffic.requests == ()
