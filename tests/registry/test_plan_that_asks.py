"""A plan that asks: what it says is what a push then does, and finding it out writes nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from equipment.faults import Answer, Fault, FaultScript
from equipment.options import SandboxOptions
from equipment.sandbox import Sandbox
from images import Layout, LayoutWriter, config_of, docker_archive, layer, noise
from program import program
from published import check_form, check_json
from pushing import LOGIN, Pushing

import oci_push
from oci_push.cli.planned import lines_of
from oci_push.engine.forecast import Forecaster, TargetForecast
from oci_push.engine.plan import PushPlan
from oci_push.engine.pusher import Pusher
from oci_push.errors import DeniedError, NetworkError
from oci_push.model import media
from oci_push.model.digest import Digest
from oci_push.model.outcomes import BlobOutcome, BlobWay, TagMove
from oci_push.model.reference import Destination
from oci_push.runner.image_plan import ImagePlan

SHARED, OWN = noise(300_000, 1), noise(400_000, 2)


def written(path: Path, *layers: bytes) -> Layout:
    """Write an image of these very layers."""
    writer = LayoutWriter(path)
    described = [writer.put(one, media.OCI_LAYER) for one in layers]
    config = writer.put(config_of(*layers), media.OCI_CONFIG)
    return writer.close(writer.manifest({"config": config, "layers": described}, media.OCI_MANIFEST))


@pytest.fixture
def base(tmp_path: Path) -> Layout:
    """An image of one large layer."""
    return written(tmp_path / "base", SHARED)


@pytest.fixture
def app(tmp_path: Path) -> Layout:
    """An image with the layer of `base` and one of its own."""
    return written(tmp_path / "app", SHARED, OWN)


def plan_of(pusher: Pusher, image: Layout, *targets: str) -> PushPlan:
    wanted = pusher.targets([Destination.parse(one) for one in targets])
    with pusher.open(f"oci:{image.path}", pusher.context) as source:
        return pusher.plan(source, wanted, pusher.context)


def forecast(pushing: Pushing, image: Layout, *targets: str) -> tuple[TargetForecast, ...]:
    """Ask with a run of its own, and hold the published form to its schema."""
    with pushing.pusher() as pusher:
        plan = plan_of(pusher, image, *targets)
        found = Forecaster(pusher.clients).forecast(pusher.context, plan)
    check_form(ImagePlan.of(plan, found))
    return found


def digests(found: TargetForecast, *ways: BlobWay) -> set[Digest]:
    return {blob.digest for blob in found.blobs if blob.way in ways}


def asked(*sandboxes: Sandbox) -> set[str]:
    """The methods of all requests since the logs were cleared."""
    return {request.method for sandbox in sandboxes for request in sandbox.traffic.requests}


def test_an_empty_registry_gets_all_and_is_only_asked(sandbox: Sandbox, app: Layout) -> None:
    (found,) = forecast(Pushing(), app, f"{sandbox.address}/app:1,2")
    assert not found.has_image
    assert {tag.tag: (tag.move, tag.now) for tag in found.tags} == {"1": (TagMove.NEW, None), "2": (TagMove.NEW, None)}
    assert found.size(BlobWay.SEND) == sum(app.blobs.values())
    assert (found.count(BlobWay.SEND), found.manifests, found.may_push, found.error) == (3, 1, None, None)
    assert asked(sandbox) == {"HEAD"}


def test_an_image_that_is_there_is_asked_for_once_and_none_of_its_blobs(sandbox: Sandbox, app: Layout) -> None:
    Pushing().push(app, f"{sandbox.address}/app:1")
    sandbox.traffic.clear()
    (found,) = forecast(Pushing(), app, f"{sandbox.address}/app:1,2")
    assert (found.has_image, found.manifests) == (True, 0)
    assert [tag.move for tag in found.tags] == [TagMove.UNCHANGED, TagMove.NEW]
    assert digests(found, BlobWay.THERE) == {Digest.parse(one) for one in app.blobs}
    assert sandbox.traffic.count(path_pattern="/blobs/") == 0
    assert asked(sandbox) == {"HEAD"}


def test_a_tag_of_another_image_would_move_from_its_digest(sandbox: Sandbox, base: Layout, app: Layout) -> None:
    Pushing().push(base, f"{sandbox.address}/app:1")
    (found,) = forecast(Pushing(), app, f"{sandbox.address}/app:1")
    assert [(tag.move, str(tag.now)) for tag in found.tags] == [(TagMove.MOVES, base.digest)]


@pytest.mark.parametrize("options", [SandboxOptions(), SandboxOptions(auth="bearer"), SandboxOptions(auth="basic")])
@pytest.mark.parametrize("before", [(), ("app",), ("base",), ("base", "app")])
def test_a_push_then_does_what_was_said(
    tmp_path: Path, base: Layout, app: Layout, before: Sequence[str], options: SandboxOptions
) -> None:
    pushing = Pushing(home=tmp_path / "home", credential=LOGIN)
    with Sandbox(options=options) as sandbox:
        for repository in before:
            pushing.push(base, f"{sandbox.address}/{repository}:0")
        sandbox.traffic.clear()
        targets = (f"{sandbox.address}/app:1", f"{sandbox.address}/second:1")
        found = forecast(pushing, app, *targets)
        assert asked(sandbox) <= {"HEAD", "GET"}
        results = pushing.push(app, *targets)
    for one, result in zip(found, results, strict=True):
        sent = {blob.digest for blob in result.blobs if blob.outcome is BlobOutcome.UPLOADED}
        assert digests(one, BlobWay.SEND) == sent
        assert one.size(BlobWay.SEND) == sum(blob.bytes_sent - blob.bytes_resent for blob in result.blobs)
    assert found[0].count(BlobWay.THERE) == (1 if "app" in before else 0)
    assert found[0].count(BlobWay.MOUNT) == (1 if before == ("base",) else 0)


def test_a_blob_that_is_there_is_not_said_to_be_mounted(
    sandbox: Sandbox, tmp_path: Path, base: Layout, app: Layout
) -> None:
    pushing = Pushing(home=tmp_path / "home")
    for repository in ("base", "app"):
        pushing.push(base, f"{sandbox.address}/{repository}:0")
    with pushing.pusher() as pusher:
        plan = plan_of(pusher, app, f"{sandbox.address}/app:1")
        found = Forecaster(pusher.clients).forecast(pusher.context, plan)
    assert Digest.of(SHARED) in plan.repositories[0].mount_candidates
    assert digests(found[0], BlobWay.MOUNT) == set()
    assert ImagePlan.of(plan, found).targets[0].mounts == {}


def test_a_repository_that_has_lost_a_blob_is_not_named_for_it(
    sandbox: Sandbox, tmp_path: Path, base: Layout, app: Layout
) -> None:
    pushing = Pushing(home=tmp_path / "home")
    pushing.push(base, f"{sandbox.address}/base:0")
    sandbox.store.blob_path("base", Digest.of(SHARED)).unlink()
    (found,) = forecast(pushing, app, f"{sandbox.address}/app:1")
    assert digests(found, BlobWay.MOUNT) == set()


def test_a_repository_that_may_not_be_read_is_not_named_for_a_blob(tmp_path: Path, base: Layout, app: Layout) -> None:
    pushing = Pushing(home=tmp_path / "home", credential=LOGIN)
    with Sandbox(options=SandboxOptions(auth="bearer")) as sandbox:
        pushing.push(base, f"{sandbox.address}/base:0")
        sandbox.faults.add(Fault("GET", "/token.*base:pull", times=99, action=Answer(403, code="DENIED")))
        (found,) = forecast(pushing, app, f"{sandbox.address}/app:1")
        assert sandbox.traffic.count(path_pattern="/token.*base:pull", status=403) > 0
    assert (found.error, found.may_push, found.count(BlobWay.SEND)) == (None, True, 3)


def test_a_registry_that_is_known_not_to_mount_is_sent_all(sandbox: Sandbox, tmp_path: Path, app: Layout) -> None:
    pushing = Pushing(home=tmp_path / "home", mount=False)
    _, second = forecast(pushing, app, f"{sandbox.address}/a:1", f"{sandbox.address}/b:1")
    assert second.count(BlobWay.SEND) == 3


def test_what_one_push_brings_counts_for_the_next_and_nothing_is_asked_twice(
    sandbox: Sandbox, base: Layout, app: Layout
) -> None:
    with Pushing().pusher() as pusher:
        forecaster = Forecaster(pusher.clients)

        def ask(image: Layout, target: str) -> TargetForecast:
            plan = plan_of(pusher, image, f"{sandbox.address}/{target}")
            return forecaster.forecast(pusher.context, plan)[0]

        first, second, third = ask(base, "app:1"), ask(app, "app:2"), ask(app, "other:1")
    assert Digest.of(SHARED) in digests(first, BlobWay.SEND)
    assert Digest.of(SHARED) in digests(second, BlobWay.THERE)
    assert Digest.of(SHARED) in digests(third, BlobWay.MOUNT)
    paths = [request.path for request in sandbox.traffic.select(path_pattern="/blobs/")]
    assert len(paths) == len(set(paths))


def test_a_token_says_whether_a_push_is_allowed(app: Layout) -> None:
    with Sandbox(options=SandboxOptions(auth="bearer")) as sandbox:
        (known,) = forecast(Pushing(credential=LOGIN), app, f"{sandbox.address}/app:1")
        (nobody,) = forecast(Pushing(), app, f"{sandbox.address}/app:1")
        assert asked(sandbox) <= {"HEAD", "GET"}
    assert (known.may_push, nobody.may_push) == (True, False)
    assert nobody.count(BlobWay.SEND) == 3


def test_who_is_refused_a_token_for_writing_may_look_all_the_same(app: Layout) -> None:
    refused = Fault("GET", "pull,push", times=99, action=Answer(403, code="DENIED"))
    with Sandbox(options=SandboxOptions(auth="bearer"), faults=FaultScript([refused])) as sandbox:
        (found,) = forecast(Pushing(credential=LOGIN), app, f"{sandbox.address}/app:1")
    assert (found.may_push, found.error, found.count(BlobWay.SEND)) == (False, None, 3)


def test_who_may_not_even_look_is_told_so(app: Layout) -> None:
    faults = FaultScript([Fault("", "/v2/", times=99, action=Answer(403, code="DENIED"))])
    with Sandbox(faults=faults) as sandbox:
        (found,) = forecast(Pushing(), app, f"{sandbox.address}/app:1")
    assert isinstance(found.error, DeniedError)


def test_a_tag_that_the_registry_does_not_tell_of_is_unknown(app: Layout) -> None:
    faults = FaultScript([Fault("", "/manifests/odd", times=99, action=Answer(400, code="UNSUPPORTED"))])
    with Sandbox(faults=faults) as sandbox:
        (found,) = forecast(Pushing(), app, f"{sandbox.address}/app:1,odd")
    assert [tag.move for tag in found.tags] == [TagMove.NEW, TagMove.UNKNOWN]
    assert found.tags[1].error


def test_a_failure_that_passes_is_tried_again(app: Layout) -> None:
    faults = FaultScript([Fault("HEAD", "/blobs/", times=1, action=Answer(503))])
    with Sandbox(faults=faults) as sandbox:
        (found,) = forecast(Pushing(), app, f"{sandbox.address}/app:1")
    assert (found.error, found.count(BlobWay.SEND)) == (None, 3)


def test_a_target_that_cannot_be_reached_hides_no_other(sandbox: Sandbox, app: Layout) -> None:
    away, here = forecast(Pushing(), app, "localhost:1/app:1", f"{sandbox.address}/app:1")
    assert isinstance(away.error, NetworkError)
    assert here.count(BlobWay.SEND) == 3


def test_the_command_tells_a_failure_and_ends_with_its_code(sandbox: Sandbox, tmp_path: Path, app: Layout) -> None:
    targets = ("localhost:1/app:1", f"{sandbox.address}/app:1")
    words = ("push", f"oci:{app.path}", *targets, "--plan", "--retries", "0")
    done = program(*words, code=None, cwd=tmp_path)
    assert done.returncode != 0
    assert "cannot connect to localhost:1" in done.stderr
    assert "in all, 1 of 2 repositories" in done.stdout
    told = json.loads(program(*words, "--json", code=None, cwd=tmp_path).stdout)
    assert [("error" in one, "ways" in one) for one in told["targets"]] == [(True, False), (False, True)]


def test_layers_are_compressed_for_their_digests_and_not_sent(sandbox: Sandbox, tmp_path: Path) -> None:
    content = layer(1, 700_000)
    (tmp_path / "a.tar").write_bytes(docker_archive(("l.tar", content), config=config_of(content), paths=["l.tar"]))
    words = ("push", "a.tar", f"{sandbox.address}/app:1")
    told = json.loads(program(*words, "--plan", "--json", cwd=tmp_path).stdout)
    assert asked(sandbox) == {"HEAD"}
    pushed = json.loads(program(*words, "--json", cwd=tmp_path).stdout)
    (target,) = pushed["targets"]
    assert told["totals"]["send"]["bytes"] == target["bytes_sent"] - target["bytes_resent"]
    assert told["digest"] == target["digest"]


def test_without_asking_no_target_is_contacted(sandbox: Sandbox, tmp_path: Path, app: Layout) -> None:
    words = ("push", f"oci:{app.path}", f"{sandbox.address}/app:1", "--plan", "--no-ask")
    done = program(*words, cwd=tmp_path)
    assert sandbox.traffic.requests == ()
    assert app.digest in done.stdout
    told = program(*words, "--json", cwd=tmp_path).stdout
    check_json(told, ImagePlan)
    assert "ways" not in json.loads(told)["targets"][0]


def test_what_is_remembered_to_be_there_is_not_said_to_be_mounted_without_asking(
    sandbox: Sandbox, tmp_path: Path, base: Layout, app: Layout
) -> None:
    for repository in ("base", "app"):
        program("push", f"oci:{base.path}", f"{sandbox.address}/{repository}:0", cwd=tmp_path)
    done = program("push", f"oci:{app.path}", f"{sandbox.address}/app:1", "--plan", "--no-ask", cwd=tmp_path)
    (line,) = [line for line in done.stdout.splitlines() if str(Digest.of(SHARED)) in line]
    assert line.endswith("there after an earlier run")


def test_no_ask_without_a_plan_is_refused(tmp_path: Path, app: Layout) -> None:
    done = program("push", f"oci:{app.path}", "127.0.0.1:9/a:1", "--no-ask", code=2, cwd=tmp_path)
    assert "--no-ask has no effect without --plan" in done.stderr


@pytest.mark.parametrize("columns", [60, 80, 100, 160])
def test_lines_fit_into_the_window(sandbox: Sandbox, base: Layout, app: Layout, columns: int) -> None:
    Pushing().push(base, f"{sandbox.address}/app:latest")
    targets = (f"{sandbox.address}/app:latest,1.4.2", f"{sandbox.address}/second:1")
    with Pushing().pusher() as pusher:
        plan = plan_of(pusher, app, *targets)
        found = Forecaster(pusher.clients).forecast(pusher.context, plan)
    for one in (found, None):
        lines = list(lines_of(plan, one, columns))
        assert max(map(len, lines)) <= columns
    assert any(app.digest in line for line in lines_of(plan, found, None))


def test_the_form_is_the_published_one(tmp_path: Path, base: Layout, app: Layout) -> None:
    with Sandbox() as sandbox:
        for image, target in ((base, "base:0"), (base, "app:1")):
            program("push", f"oci:{image.path}", f"{sandbox.address}/{target}", cwd=tmp_path)
        targets = (f"{sandbox.address}/app:1,2", f"{sandbox.address}/new:1")
        text = program("push", f"oci:{app.path}", *targets, "--plan", "--json", cwd=tmp_path).stdout
        address = sandbox.address
    golden = Path(__file__).with_name("plan_that_asks.json")
    assert json.loads(text.replace(address, "registry.example")) == json.loads(golden.read_text())


@pytest.mark.usefixtures("own_home")
def test_a_program_may_ask_too(sandbox: Sandbox, app: Layout) -> None:
    silent = oci_push.plan(app.path, f"{sandbox.address}/app:1")
    assert (silent.totals, sandbox.traffic.requests) == (oci_push.plan(app.path, "localhost:1/app:1").totals, ())
    told = oci_push.plan(app.path, f"{sandbox.address}/app:1", ask=True)
    assert isinstance(told.totals, oci_push.PlannedAmounts)
    assert told.totals.send.bytes == sum(app.blobs.values())
    with pytest.raises(NetworkError) as caught:
        oci_push.plan(app.path, "localhost:1/app:1", ask=True)
    assert isinstance(caught.value.report, ImagePlan)
