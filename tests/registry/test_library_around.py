"""The library around a push: what it looks at, changes, attaches and copies, what that asks for, and what fails."""

from __future__ import annotations

import asyncio
import io
import json
import pickle
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from around import asked, children_of, short, two_platforms
from calling import FORGETFUL, crawl, is_closed, when_under_way
from equipment.faults import Answer, Fault, Stall
from equipment.sandbox import Sandbox
from images import Layout, layer, make_layout
from pushing import is_whole

import oci_push
from oci_push import (
    Attachment,
    Cancelled,
    ConfigChanges,
    ConfigError,
    ContentMismatchError,
    DeadlineError,
    DeniedError,
    IncompleteError,
    NotFoundError,
    Options,
    Traffic,
    events,
)
from oci_push.events import Event
from oci_push.model.digest import Digest

pytestmark = pytest.mark.usefixtures("own_home")
REFUSED = Answer(403, code="DENIED")


@pytest.fixture
def name(image: Layout, sandbox: Sandbox) -> str:
    """Push an image of two layers as 1.9, 1.10 and latest, and forget the traffic; gives its repository."""
    repository = f"{sandbox.address}/team/app"
    oci_push.push(image.path, f"{repository}:1.9,1.10,latest", options=FORGETFUL)
    sandbox.traffic.clear()
    return repository


@pytest.fixture
def index(tmp_path: Path) -> Layout:
    """Give an index of two platforms."""
    return two_platforms(tmp_path / "index")


def layers_of(image: Layout) -> list[str]:
    """Give the digests of an image's layers."""
    raw = (image.path / "blobs/sha256" / image.digest.partition(":")[2]).read_bytes()
    return [one["digest"] for one in json.loads(raw)["layers"]]


def test_what_comes_back_is_what_the_command_prints_and_a_value(name: str, image: Layout) -> None:
    found = oci_push.inspect(f"{name}:1.9")
    assert str(found.image.digest) == image.digest
    assert [str(one.digest) for one in found.image.layers] == layers_of(image)
    assert oci_push.decode(oci_push.encode(found), type(found)) == found == pickle.loads(pickle.dumps(found))
    assert oci_push.inspect(image.path, referrers=False).image.layers == found.image.layers


def test_questions_by_head_read_nothing(name: str, image: Layout, sandbox: Sandbox) -> None:
    found = oci_push.digest(f"{name}:1.9")
    there = oci_push.exists(f"{name}:1.9", f"{name}:2")
    assert str(found.digest) == image.digest
    assert [one.exists for one in there.images] == [True, False]
    assert asked(sandbox) == [f"HEAD team/app/manifests/{tag}" for tag in ("1.9", "1.9", "2")]
    with pytest.raises(NotFoundError, match="does not exist"):
        oci_push.digest(f"{name}:2")


def test_an_answer_of_yes_or_no_is_true_as_the_answer_is(name: str, image: Layout, sandbox: Sandbox) -> None:
    blob, gone = f"{name}@{layers_of(image)[0]}", f"{name}@{Digest.of(b'gone')}"
    assert oci_push.exists(f"{name}:1.9", f"{name}:latest")
    assert not oci_push.exists(f"{name}:1.9", f"{name}:2")
    assert oci_push.blob_head(blob)
    assert not oci_push.blob_head(blob, gone)
    assert oci_push.manifest_head(f"{name}:1.9")
    assert not oci_push.manifest_head(f"{name}:2")
    assert oci_push.check(f"{name}:1.9")
    oci_push.blob_delete(f"{name}@{layers_of(image)[0]}")
    damaged = oci_push.check(f"{name}:1.9")
    assert not damaged
    assert [str(one.digest) for one in damaged.damage] == layers_of(image)[:1]


def test_what_could_not_be_found_out_of_several_is_raised_with_the_rest(name: str, sandbox: Sandbox) -> None:
    sandbox.faults.add(Fault(path="/v2/locked/", action=REFUSED, times=0))
    with pytest.raises(IncompleteError, match=r"^1 of 2 images failed: ") as caught:
        oci_push.exists(f"{name}:1.9", f"{sandbox.address}/locked:1")
    assert [one.exists for one in caught.value.report.images] == [True, None]
    with pytest.raises(DeniedError):
        oci_push.exists(f"{sandbox.address}/locked:1")


def test_lists_are_filtered_sorted_and_cut(name: str, sandbox: Sandbox) -> None:
    assert [one.tag for one in oci_push.tags(name, globs=["1.*"], sort="semver").tags] == ["1.10", "1.9"]
    assert [one.tag for one in oci_push.tags(name, limit=1).tags] == ["1.10"]
    assert sandbox.traffic.requests[-1].path == "/v2/team/app/tags/list?n=1"
    assert oci_push.repos(sandbox.address).repositories == ("team/app",)


def test_two_images_are_compared(name: str, image: Layout, tmp_path: Path) -> None:
    assert oci_push.diff(f"{name}:1.9", image.path).same
    other = make_layout(tmp_path / "other", layer(1), layer(3))
    found = oci_push.diff(f"{name}:1.9", other.path)
    assert not found.same
    assert [len(one.shared_layers) for one in found.images] == [1]


def test_tags_are_set_without_a_blob_and_those_that_fail_are_told(name: str, image: Layout, sandbox: Sandbox) -> None:
    done = oci_push.tag(f"{name}:1.9", "stable")
    assert [one.tag for one in done.tags] == ["stable"]
    assert asked(sandbox) == ["GET team/app/manifests/1.9", "PUT team/app/manifests/stable"]
    assert is_whole(sandbox, "team/app", "stable", image)
    sandbox.faults.add(Fault("PUT", "/manifests/locked", action=REFUSED, times=0))
    with pytest.raises(IncompleteError, match="1 of 2 tags failed") as caught:
        oci_push.tag(f"{name}:1.9", "2", "locked")
    assert [(one.tag, one.error is None) for one in caught.value.report.tags] == [("2", True), ("locked", False)]
    with pytest.raises(DeniedError):
        oci_push.tag(f"{name}:1.9", "locked")


def test_a_deletion_is_looked_up_first_and_tried_on_request(name: str, sandbox: Sandbox) -> None:
    tried = oci_push.delete(f"{name}:1.*", dry_run=True)
    assert [(one.tag, one.outcome) for one in tried.deleted] == [("1.10", "would delete"), ("1.9", "would delete")]
    with pytest.raises(NotFoundError, match="is not there"):
        oci_push.delete(f"{name}:1.9", f"{name}:2")
    assert sandbox.traffic.count(method="DELETE") == 0
    done = oci_push.delete(f"{name}:1.*")
    assert [(one.tag, one.outcome) for one in done.deleted] == [("1.10", "deleted"), ("1.9", "deleted")]
    assert [one.tag for one in oci_push.tags(name).tags] == ["latest"]


def test_a_deletion_that_is_stopped_tells_what_is_gone(name: str, sandbox: Sandbox) -> None:
    sandbox.faults.add(Fault("DELETE", "/manifests/1.9", action=Stall(600)))
    with pytest.raises(DeadlineError) as caught:
        oci_push.delete(f"{name}:1.10", f"{name}:1.9", options=FORGETFUL, timeout_s=1)
    assert [(one.tag, one.outcome) for one in caught.value.report.deleted] == [("1.10", "deleted"), ("1.9", "failed")]


def test_an_image_is_annotated_and_mutated_without_a_layer(name: str, image: Layout, sandbox: Sandbox) -> None:
    said = oci_push.annotate(f"{name}:1.9", {"team": "a"}, tags=["said"])
    assert (str(said.was), said.digest == said.was) == (image.digest, False)
    mutated = oci_push.mutate(f"{name}:said", ConfigChanges(env={"TZ": "UTC"}))
    assert mutated.was == said.digest
    assert sandbox.traffic.count(path_pattern="|".join(layers_of(image))) == 0
    found = oci_push.inspect(f"{name}:said").image
    assert found.digest == mutated.digest
    assert found.annotations == {"team": "a"}
    assert found.config is not None
    assert "TZ=UTC" in found.config.env
    elsewhere = oci_push.mutate(image.path, ConfigChanges(user="1000"), f"{sandbox.address}/other:1")
    assert oci_push.digest(f"{sandbox.address}/other:1").digest == elsewhere.digest


def test_an_index_is_made_added_to_annotated_and_made_smaller(index: Layout, sandbox: Sandbox) -> None:
    name = f"{sandbox.address}/team/app"
    amd64, arm64 = (str(one["digest"]) for one in children_of(index))
    made = oci_push.index_create(f"{name}:1", str(index.path), platforms=["linux/amd64"])
    assert [(str(one.digest), one.outcome) for one in made.children] == [(amd64, "brought")]
    added = oci_push.index_add(f"{name}:1", str(index.path), platforms=["linux/arm64"])
    assert (added.was, [str(one.digest) for one in added.children]) == (made.digest, [amd64, arm64])
    oci_push.index_annotate(f"{name}:1", {"team": "a"}, children=["linux/arm64"])
    listed = json.loads(oci_push.manifest_get(f"{name}:1").raw)["manifests"]
    assert [one.get("annotations") for one in listed] == [None, {"team": "a"}]
    sandbox.traffic.clear()
    left = oci_push.index_remove(f"{name}:1", "linux/amd64")
    assert [(str(one.digest), one.outcome) for one in left.children] == [(arm64, "kept"), (amd64, "removed")]
    assert sandbox.traffic.count(path_pattern="/blobs/") == 0


def test_files_are_attached_listed_pushed_and_pulled(name: str, tmp_path: Path) -> None:
    bom = tmp_path / "bom.json"
    bom.write_text('{"bomFormat": "CycloneDX", "specVersion": "1.5"}')
    done = oci_push.attach(f"{name}:1.9", bom, Attachment(str(bom), artifact_type="application/vnd.example.copy"))
    again = oci_push.attach(f"{name}:1.9", str(bom))
    kinds = [one.artifact_type for one in done.attached]
    assert kinds == ["application/vnd.cyclonedx+json", "application/vnd.example.copy"]
    assert [str(one.outcome) for one in again.attached] == ["exists"]
    tree = oci_push.referrers(f"{name}:1.9", types=["*cyclonedx*"])
    assert [one.digest for one in tree.referrers] == [done.attached[0].digest]
    pushed = oci_push.artifact_push(bom, f"{name}:bom", annotations={"team": "a"})
    assert pushed.tags == ("bom",)
    pulled = oci_push.artifact_pull(f"{name}:bom", tmp_path / "out")
    assert [Path(one.path).read_bytes() for one in pulled.files] == [bom.read_bytes()]
    about = oci_push.artifact_push([bom], name, subject="1.9", artifact_type="application/vnd.example.note")
    assert (about.tags, about.subject) == ((), tree.digest)


def test_blobs_and_manifests_go_in_and_out_as_bytes_and_files(name: str, sandbox: Sandbox, tmp_path: Path) -> None:
    stored = oci_push.blob_put(name, b"some bytes")
    assert (stored.digest, stored.outcome) == (Digest.of(b"some bytes"), "uploaded")
    sandbox.traffic.clear()
    assert oci_push.blob_put(name, b"some bytes", digest=str(stored.digest)).outcome == "exists"
    assert [one.method for one in sandbox.traffic.requests] == ["HEAD"]
    with pytest.raises(ContentMismatchError, match="the bytes: has digest"):
        oci_push.blob_put(name, b"other bytes", digest=str(stored.digest))
    held, place = io.BytesIO(), tmp_path / "blob"
    blob = f"{name}@{stored.digest}"
    assert (oci_push.blob_get(blob, held).size, held.getvalue()) == (10, b"some bytes")
    assert (oci_push.blob_get(blob, place).file, place.read_bytes()) == (str(place), b"some bytes")
    manifest = oci_push.manifest_get(f"{name}:1.9")
    put = oci_push.manifest_put(f"{name}:copy", manifest.raw)
    assert (put.digest, put.tag) == (manifest.digest, "copy")
    assert oci_push.manifest_head(f"{name}:copy").manifests[0].digest == manifest.digest
    assert [one.outcome for one in oci_push.blob_delete(blob, dry_run=True).deleted] == ["would delete"]
    assert [one.outcome for one in oci_push.blob_delete(blob).deleted] == ["deleted"]
    assert not oci_push.blob_head(blob)


def test_a_file_of_a_blob_that_is_damaged_is_not_there(name: str, image: Layout, sandbox: Sandbox) -> None:
    sandbox.faults.add(Fault("GET", "/blobs/", action=Answer(200, body=b"x" * 3), times=0))
    place = image.path.parent / "blob"
    with pytest.raises(oci_push.OciPushError):
        oci_push.blob_get(f"{name}@{layers_of(image)[0]}", place, options=FORGETFUL, timeout_s=20)
    assert not place.exists()


def test_a_copy_is_planned_made_and_not_made_again(name: str, image: Layout, sandbox: Sandbox) -> None:
    target = f"{sandbox.address}/mirror/app"
    planned = oci_push.plan_copy(name, target, globs=["1.*"])
    assert {one.method for one in sandbox.traffic.requests} <= {"GET", "HEAD"}
    assert sum(planned.counts.values()) == 2
    told: list[Event] = []
    done = oci_push.copy(name, target, globs=["1.*"], on_event=told.append)
    assert [(one.tag, str(one.outcome)) for one in done.tags] == [("1.10", "copied"), ("1.9", "copied")]
    assert [event.tag for event in told if isinstance(event, events.TagCopied)] == ["1.10", "1.9"]
    assert is_whole(sandbox, "mirror/app", "1.9", image)
    assert done.bytes_sent == 0  # all of it was mounted
    sandbox.traffic.clear()
    again = oci_push.copy([f"{name}:1.9", f"{name}:1.10"], target)
    assert [str(one.outcome) for one in again.tags] == ["unchanged", "unchanged"]
    assert sandbox.traffic.count(method="PUT") == 0


def test_a_copy_leaves_out_what_is_older_and_tells_what_fails(name: str, index: Layout, sandbox: Sandbox) -> None:
    later = datetime(2026, 2, 1, tzinfo=UTC)
    done = oci_push.copy(index.path, f"{sandbox.address}/new:1", newer_than=later)
    assert [str(one.outcome) for one in done.tags] == ["older"]
    sandbox.faults.add(Fault("PUT", "/v2/locked/manifests/1.9", action=REFUSED, times=0))
    with pytest.raises(IncompleteError, match="1 of 2 copies failed") as caught:
        oci_push.copy(f"{name}:1.*", f"{sandbox.address}/locked")
    report = caught.value.report
    assert [(one.tag, str(one.outcome)) for one in report.tags] == [("1.10", "copied"), ("1.9", "failed")]
    assert type(report.tags[1].error.error()) is DeniedError


def test_images_are_saved_in_a_layout_and_an_archive(name: str, image: Layout, tmp_path: Path) -> None:
    saved = oci_push.pull(f"{name}:1.*", f"oci:{tmp_path / 'saved'}")
    assert [(one.name, str(one.digest)) for one in saved.images] == [("1.10", image.digest), ("1.9", image.digest)]
    assert oci_push.check(f"oci:{tmp_path / 'saved'}:1.9")
    oci_push.pull(f"{name}:1.9", f"oci-archive:{tmp_path / 'saved.tar'}")
    assert oci_push.diff(f"oci-archive:{tmp_path / 'saved.tar'}", image.path).same
    with pytest.raises(NotFoundError) as caught:
        oci_push.pull(f"{name}:2", f"oci:{tmp_path / 'saved'}")
    assert caught.value.report.images[0].digest is None


def test_a_file_is_mirrored_after_a_plan(name: str, image: Layout, sandbox: Sandbox, tmp_path: Path) -> None:
    file = tmp_path / "mirror.yaml"
    job = {"from": name, "to": f"{sandbox.address}/mirror/app", "tags": ["1.*"]}
    file.write_text(json.dumps({"images": [job]}))
    planned = oci_push.plan_mirror(file)
    assert sum(planned.plan.counts.values()) == 2
    assert sandbox.traffic.count(method="PUT") == 0
    done = oci_push.mirror(file)
    assert (done.status, done.counts["copied"]) == ("success", 2)
    assert is_whole(sandbox, "mirror/app", "1.9", image)
    sandbox.faults.add(Fault("PUT", "/v2/mirror/app/manifests/", action=REFUSED, times=0))
    oci_push.delete(f"{sandbox.address}/mirror/app:1.9")
    with pytest.raises(IncompleteError, match="1 of 2 copies failed") as caught:
        oci_push.mirror(file)
    assert [str(one.outcome) for one in caught.value.report.tags] == ["unchanged", "failed"]


def test_what_a_mirrors_file_does_not_honour_is_told_as_a_warning(name: str, sandbox: Sandbox, tmp_path: Path) -> None:
    file = tmp_path / "mirror.yaml"
    job = {"from": name, "to": f"{sandbox.address}/mirror/app", "tags": ["none-*"]}
    file.write_text(json.dumps({"images": [job]}))
    told: list[Event] = []
    assert oci_push.mirror(file, on_event=told.append).tags == ()
    (warning,) = (event for event in told if isinstance(event, events.LogMessage) and event.level == "warning")
    assert "no tag is wanted" in warning.text


def test_a_copy_is_cancelled_as_a_push_is(large: Layout, sandbox: Sandbox) -> None:
    crawl(sandbox)
    cancel = threading.Event()
    with pytest.raises(Cancelled) as caught:
        oci_push.copy(
            large.path,
            f"{sandbox.address}/app:1",
            options=FORGETFUL,
            cancel=cancel,
            on_event=when_under_way(cancel.set),
        )
    assert is_closed(sandbox)
    assert [str(one.outcome) for one in caught.value.report.tags] == ["not reached"]


@pytest.mark.parametrize(
    ("what", "call"),
    [
        ("inspect", oci_push.inspect),
        ("digest", oci_push.digest),
        ("exists", oci_push.exists),
        ("check", oci_push.check),
        ("manifest get", oci_push.manifest_get),
        ("referrers", oci_push.referrers),
    ],
)
def test_a_registry_that_says_nothing_is_left_at_the_time_limit(
    what: str, call: Callable[..., object], name: str, sandbox: Sandbox
) -> None:
    sandbox.faults.add(Fault(path="/manifests/", action=Stall(600), times=0))
    with pytest.raises(DeadlineError, match=f"^{what}: time limit exceeded"):
        call(f"{name}:1.9", timeout_s=0.3)


def test_how_requests_go_is_said_in_the_options(name: str, sandbox: Sandbox) -> None:
    options = Options(traffic={sandbox.address: Traffic(user_agent="builder/7")})
    oci_push.tags(name, options=options)
    oci_push.digest(f"{name}:1.9", options=options)
    assert {one.headers["user-agent"] for one in sandbox.traffic.requests} == {"builder/7"}


def test_for_asyncio_they_go_on_beside_one_another(name: str, image: Layout, sandbox: Sandbox) -> None:
    async def main() -> None:
        found, listed, copied = await asyncio.gather(
            oci_push.aio.digest(f"{name}:1.9"),
            oci_push.aio.tags(name),
            oci_push.aio.copy(f"{name}:1.9", f"{sandbox.address}/other"),
        )
        assert str(found.digest) == image.digest
        assert [one.tag for one in listed.tags] == ["1.10", "1.9", "latest"]
        assert [str(one.outcome) for one in copied.tags] == ["copied"]
        with pytest.raises(NotFoundError):
            await oci_push.aio.inspect(f"{name}:2")

    asyncio.run(main())
    assert is_whole(sandbox, "other", "1.9", image)


def test_a_task_of_a_copy_that_is_cancelled_ends_when_its_upload_is_closed(large: Layout, sandbox: Sandbox) -> None:
    crawl(sandbox)

    async def main() -> None:
        under_way = asyncio.Event()
        work = oci_push.aio.copy(
            large.path,
            f"{sandbox.address}/app:1",
            options=FORGETFUL,
            on_event=when_under_way(under_way.set),
        )
        task = asyncio.create_task(work)
        await under_way.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert is_closed(sandbox)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("call", "kind", "said"),
    [
        (lambda: oci_push.digest("app:1", platform="arm"), ValueError, "not a platform"),
        (lambda: oci_push.exists("app:1"), ConfigError, "names no repository of a registry"),
        (lambda: oci_push.tags("a.example/app:1"), ConfigError, "a repository is wanted"),
        (lambda: oci_push.tags("a.example/app", globs="1.*"), TypeError, "globs is a str"),
        (lambda: oci_push.tags("a.example/app", limit=-1), ValueError, "limit is -1"),
        (lambda: oci_push.tags("a.example/app", sort="size"), ValueError, "give name, semver, date"),
        (lambda: oci_push.exists(), ValueError, "no reference"),
        (lambda: oci_push.blob_head(), ValueError, "no blob"),
        (lambda: oci_push.manifest_head(), ValueError, "no reference"),
        (lambda: oci_push.annotate("a.b/c", {"key": 1}), TypeError, "give a str, or None to take it away"),
        (lambda: oci_push.annotate("a.b/c", "key=value"), TypeError, "annotations is no mapping"),
        (lambda: oci_push.index_annotate("a.b/c", {"key": 1}), TypeError, "give a str, or None"),
        (lambda: oci_push.index_create("a.b/c", "a.b/d", annotations={"key": 1}), TypeError, "is no mapping"),
        (lambda: oci_push.attach("a.b/c", "f", annotations={"key": 1}), TypeError, "annotations is no mapping"),
        (lambda: oci_push.repos("a.example/app"), ConfigError, "is no registry"),
        (lambda: oci_push.tag("a.example/app:1"), ValueError, "no tag"),
        (lambda: oci_push.tag("a.example/app:1", ["2"]), TypeError, "tags is no sequence of str"),
        (lambda: oci_push.delete("a.example/app"), ConfigError, "a whole repository cannot be deleted"),
        (lambda: oci_push.annotate("a.example/app:1", {}), ValueError, "nothing to change"),
        (lambda: oci_push.mutate("a.example/app:1", ConfigChanges()), ValueError, "nothing to change"),
        (lambda: oci_push.mutate("a.example/app:1", {}), TypeError, "changes is of type dict"),
        (lambda: oci_push.index_create("a.example/app:1"), ValueError, "no image"),
        (
            lambda: oci_push.mutate("a.b/c", ConfigChanges(user="a"), "a.b/d", tags=["1"]),
            ValueError,
            "tags have no effect",
        ),
        (
            lambda: oci_push.index_add("a.b/c", "d", platforms=["a/b"], nested=True),
            ValueError,
            "platforms have no effect",
        ),
        (lambda: oci_push.index_annotate("a.b/c", variant="v7"), ValueError, "are about children"),
        (lambda: oci_push.index_annotate("a.b/c"), ValueError, "nothing to change"),
        (lambda: oci_push.artifact_push("f", "a.b/c:1", platform="a/b"), ValueError, "without a subject"),
        (lambda: oci_push.index_remove("a.example/app:1"), ValueError, "no image"),
        (lambda: oci_push.attach("a.example/app:1"), ValueError, "no file"),
        (lambda: oci_push.attach("a.example/app:1", "f", artifact_type="x"), ValueError, "is no media type"),
        (lambda: oci_push.artifact_push([], "a.example/app:1"), ValueError, "no file"),
        (lambda: oci_push.blob_get("a.example/app:1", "file"), ConfigError, "a blob is named by its digest"),
        (lambda: oci_push.copy("a.example/app:1"), ValueError, "no destination"),
        (lambda: oci_push.copy([], "a.example/app:1"), ValueError, "no source"),
        (lambda: oci_push.copy("a.example/app:1", "oci:here"), ConfigError, "is in no registry"),
        (lambda: oci_push.copy("a.example/app", "a.example/b:1", all_tags=True), ValueError, "keeps its own tag"),
        (lambda: oci_push.copy("a.example/app:1", "a.example/b", exclude=["x"]), ValueError, "exclude has no effect"),
        (lambda: oci_push.copy("a.example/app:1", "a.example/b", newer_than="36h"), TypeError, "newer_than is of type"),
        (lambda: oci_push.copy("a.example/app:1", "a.example/b", at_once=0), ValueError, "at_once is 0"),
        (lambda: oci_push.pull("a.example/app:1", "oci-archive:-"), ValueError, "target is stdout"),
        (lambda: oci_push.pull("a.example/app:1", "here"), ConfigError, "is no place to save an image in"),
        (lambda: oci_push.mirror("/nowhere/mirror.yaml"), ConfigError, "cannot be read"),
        (lambda: oci_push.mirror(b"mirror.yaml"), TypeError, "file is bytes"),
    ],
)
def test_misuse_is_told_before_anybody_is_asked(
    call: Callable[[], object], kind: type[Exception], said: str, sandbox: Sandbox
) -> None:
    with pytest.raises(kind, match=said):
        call()
    assert sandbox.traffic.requests == ()


def test_secrets_that_an_image_repeats_are_not_returned(sandbox: Sandbox, tmp_path: Path) -> None:
    secret = oci_push.Secret("b4Zq9-of-the-robot")
    layout = two_platforms(tmp_path / "leaky", Labels={"login": "b4Zq9-of-the-robot"})
    options = Options(credential=oci_push.Credential("robot", secret))
    found = oci_push.inspect(layout.path, options=options)
    assert b"b4Zq9" not in oci_push.encode(found)
    assert short(found.image.digest) == short(layout.digest)
