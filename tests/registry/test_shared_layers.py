"""Pushes that run at once in one run and share a layer: it goes to a registry once, and is mounted everywhere else."""

from __future__ import annotations

import threading
from functools import partial
from pathlib import Path

import pytest
from equipment.faults import Action, Answer, DropAfter, Fault, Stall
from equipment.options import SandboxOptions
from equipment.sandbox import Sandbox
from images import Layout, LayoutWriter, noise
from pushing import Pushing, is_whole

from oci_push.engine.push import PushResult
from oci_push.engine.pusher import Pusher
from oci_push.errors import Cancelled
from oci_push.events import Event, TargetFinished
from oci_push.model import media
from oci_push.model.reference import Destination
from oci_push.runtime.clock import SystemClock
from oci_push.runtime.context import Context
from oci_push.runtime.tasks import run_all

LARGE = noise(600_000, 1)
UPLOADS = "/blobs/uploads/"


@pytest.fixture
def images(tmp_path: Path) -> list[Layout]:
    """Write images that have their large layer in common."""
    return [shared(tmp_path / str(number), number) for number in range(8)]


def shared(path: Path, number: int) -> Layout:
    writer = LayoutWriter(path)
    config = writer.put(f'{{"os":"linux","n":{number}}}'.encode(), media.OCI_CONFIG)
    value = {"config": config, "layers": [writer.put(LARGE, media.OCI_LAYER)]}
    return writer.close(writer.manifest(value, media.OCI_MANIFEST))


def push(pusher: Pusher, image: Layout, target: str, context: Context) -> PushResult:
    targets = pusher.targets([Destination.parse(target)])
    with pusher.open(f"oci:{image.path}", context) as source:
        (result,) = pusher.execute(pusher.plan(source, targets, context), source, context)
    return result


def push_all(
    sandbox: Sandbox, images: list[Layout], pushing: Pushing | None = None, *others: Sandbox, at_once: int = 64
) -> list[PushResult]:
    """Push every image to a repository of its own, in one run and as many at once as a pipeline does."""
    pushing = pushing or Pushing()
    with pushing.pusher() as pusher:

        def one(context: Context, number: int, registry: Sandbox) -> PushResult:
            return push(pusher, images[number], f"{registry.address}/r{number}:1", context)

        registries = (sandbox, *others)
        jobs = [partial(one, number=number, registry=to) for number in range(len(images)) for to in registries]
        return [outcome.get() for outcome in run_all(pusher.context, jobs, limit=at_once)]


def times_sent(sandbox: Sandbox) -> float:
    """Say how often the large layer was sent, in parts of it."""
    large = [r.received_bytes for r in sandbox.traffic.select(path_pattern=UPLOADS) if r.received_bytes > 1000]
    return sum(large) / len(LARGE)


def test_a_layer_of_many_images_goes_to_a_registry_once(images: list[Layout]) -> None:
    with Sandbox() as sandbox:
        results = push_all(sandbox, images)
        assert [result.error for result in results] == [None] * len(images)
        assert all(is_whole(sandbox, f"r{n}", "1", image) for n, image in enumerate(images))
        assert times_sent(sandbox) == 1
        outcomes = sorted(result.blobs[0].outcome.value for result in results)
        assert outcomes == ["mounted"] * (len(images) - 1) + ["uploaded"]


def test_a_registry_that_refuses_to_mount_gets_it_from_each(images: list[Layout]) -> None:
    with Sandbox(options=SandboxOptions(mount=False)) as sandbox:
        assert [result.error for result in push_all(sandbox, images)] == [None] * len(images)
        assert all(is_whole(sandbox, f"r{n}", "1", image) for n, image in enumerate(images))
        assert times_sent(sandbox) == len(images)
        assert sandbox.store.uploads() == ()


def test_a_user_who_wants_no_mounts_waits_for_nobody(images: list[Layout]) -> None:
    with Sandbox() as sandbox:
        push_all(sandbox, images[:2], Pushing(mount=False))
        assert times_sent(sandbox) == 2


@pytest.mark.parametrize("action", [Answer(403, code="DENIED"), DropAfter(5)], ids=["refused", "broken"])
def test_where_the_first_one_fails_the_next_one_sends_it(action: Action, images: list[Layout]) -> None:
    # A POST of each image comes first: the first PUT is that of a large blob or of a config.
    with Sandbox() as sandbox:
        sandbox.faults.add(Fault("PUT", UPLOADS, action=action, times=1))
        results = push_all(sandbox, images[:4])
        good = [n for n, result in enumerate(results) if result.error is None]
        assert len(good) >= 3
        assert all(is_whole(sandbox, f"r{n}", "1", images[n]) for n in good)
        assert times_sent(sandbox) <= 2


def test_whoever_waits_can_be_cancelled(images: list[Layout]) -> None:
    ended = threading.Event()

    def listen(event: Event) -> None:
        if isinstance(event, TargetFinished) and event.error:
            ended.set()

    with Sandbox() as sandbox:
        sandbox.faults.add(Fault("PUT", UPLOADS, times=0, action=Stall(60)))
        context = Context(SystemClock(), what="test")
        pushing = Pushing(context=context, stall_s=60, listener=listen)
        results: list[PushResult] = []
        thread = threading.Thread(target=lambda: results.extend(push_all(sandbox, images[:3], pushing)))
        thread.start()
        assert sandbox.traffic.wait_until(lambda t: t.count(method="PUT") >= 3)
        context.cancel(Cancelled())
        thread.join(30)
        assert not thread.is_alive()
        assert ended.is_set()
        assert times_sent(sandbox) <= 1


def test_two_registries_each_get_it_from_us(images: list[Layout]) -> None:
    with Sandbox() as one, Sandbox() as other, Pushing().pusher() as pusher:
        for sandbox in (one, other):
            assert push(pusher, images[0], f"{sandbox.address}/a:1", pusher.context).error is None
            assert times_sent(sandbox) == 1


@pytest.fixture(scope="module")
def hundred(tmp_path_factory: pytest.TempPathFactory) -> list[Layout]:
    folder = tmp_path_factory.mktemp("many")
    return [shared(folder / str(number), number) for number in range(100)]


def test_a_hundred_images_bring_their_layer_once_to_each_of_two_registries(hundred: list[Layout]) -> None:
    with Sandbox() as one, Sandbox() as other:
        results = push_all(one, hundred, None, other)
        assert {result.error for result in results} == {None}
        for sandbox in (one, other):
            assert times_sent(sandbox) == 1
            assert sandbox.traffic.count(method="POST", path_pattern="mount=.*from=", status=201) == 99
            assert is_whole(sandbox, "r99", "1", hundred[99])


def test_small_blobs_that_images_of_one_repository_share_are_sent_once(sandbox: Sandbox, tmp_path: Path) -> None:
    small = noise(5_000, 2)
    pushed = []
    with Pushing().pusher() as pusher:
        for number in range(5):
            writer = LayoutWriter(tmp_path / str(number))
            config = writer.put(f'{{"os":"linux","n":{number}}}'.encode(), media.OCI_CONFIG)
            value = {"config": config, "layers": [writer.put(small, media.OCI_LAYER)]}
            image = writer.close(writer.manifest(value, media.OCI_MANIFEST))
            pushed.append(push(pusher, image, f"{sandbox.address}/a:{number}", pusher.context))
    assert [result.error for result in pushed] == [None] * 5
    assert [size for size in sandbox.traffic.bodies_sent(path_pattern=UPLOADS) if size == len(small)] == [len(small)]


def test_small_blobs_are_mounted_from_where_this_run_has_brought_them(sandbox: Sandbox, image: Layout) -> None:
    Pushing().push_each(image, f"{sandbox.address}/a:1", f"{sandbox.address}/b:1")
    assert is_whole(sandbox, "b", "1", image)
    assert sandbox.traffic.bodies_sent(path_pattern="/v2/b/blobs/uploads/") == ()
