"""A push that checks, mends, and moves all tags or none; and what a tag points at whenever a push breaks."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from equipment.faults import Answer, DropBefore, DropReply, Fault, FaultScript, Headers
from equipment.options import SandboxOptions
from equipment.sandbox import Sandbox
from images import Layout, LayoutWriter, layer, make_layout
from pushing import Pushing, difference, is_whole, outcomes

from oci_push.engine.plan import SMALL_BYTES
from oci_push.engine.push import PushOptions, PushResult
from oci_push.errors import ContentMismatchError, ProtocolViolationError, RegistryError
from oci_push.events import Event, TagDone
from oci_push.model.digest import Digest
from oci_push.runtime.retry import RetryPolicy

MANIFESTS = "/manifests/"
UPLOADS = "/blobs/uploads/"
VERIFY = PushOptions(verify=True)
ALL = PushOptions(all_or_nothing=True)
ONCE = RetryPolicy(attempts=1)


@pytest.fixture
def image(tmp_path: Path) -> Layout:
    """Give an image whose second layer is large enough to be asked for before it is sent."""
    return make_layout(tmp_path / "image", layer(1), layer(2, 600_000))


@pytest.fixture
def index(tmp_path: Path) -> Layout:
    writer = LayoutWriter(tmp_path / "index")
    return writer.close(writer.index(writer.image(layer(1)), writer.image(layer(2), layer(3))))


def push(sandbox: Sandbox, image: Layout, target: str = "a:1", push_options: PushOptions | None = None) -> PushResult:
    (result,) = Pushing(at_once=1, push_options=push_options or PushOptions()).push(
        image, f"{sandbox.address}/{target}"
    )
    assert sandbox.problems == ()
    return result


def lose(sandbox: Sandbox, image: Layout, repository: str = "a") -> Digest:
    """Take the largest blob from a repository, as a garbage collection at the wrong moment does."""
    digest = Digest.parse(max(image.blobs, key=lambda name: image.blobs[name]))
    assert sandbox.store.remove_blob(repository, digest)
    return digest


@pytest.mark.case("MF-006")
def test_a_manifest_refused_for_a_blob_that_was_said_to_be_there_is_mended(image: Layout) -> None:
    with Sandbox() as sandbox:
        push(sandbox, image, "a:old")
        sandbox.store.remove_manifest("a", Digest.parse(image.digest))
        lost = lose(sandbox, image)
        size = str(image.blobs[str(lost)])
        lie = Headers({"Content-Length": size, "Docker-Content-Digest": str(lost)})
        sandbox.faults.add(Fault(method="HEAD", path=f"/blobs/{lost}", action=Answer(200, dict(lie.set))))
        sandbox.traffic.clear()
        result = push(sandbox, image)
        assert result.error is None
        assert is_whole(sandbox, "a", "1", image)
        assert result.repaired == (lost,)
        assert [r.status for r in sandbox.traffic.select(method="PUT", path_pattern=MANIFESTS)] == [400, 201]
        large = [size for size in sandbox.traffic.bodies_sent(path_pattern=UPLOADS) if size > SMALL_BYTES]
        assert large == [image.blobs[str(lost)]]


@pytest.mark.case("MF-005")
def test_a_new_tag_on_an_image_that_lost_a_blob_is_mended(image: Layout) -> None:
    with Sandbox() as sandbox:
        push(sandbox, image)
        lost = lose(sandbox, image)
        result = push(sandbox, image, "a:2")
        assert (result.error, result.repaired) == (None, (lost,))
        assert is_whole(sandbox, "a", "2", image)


def test_a_refusal_that_names_nothing_makes_everything_be_asked_for(image: Layout) -> None:
    with Sandbox() as sandbox:
        push(sandbox, image)
        lost = lose(sandbox, image)
        sandbox.faults.add(Fault(method="PUT", path=MANIFESTS, action=Answer(404, code="MANIFEST_BLOB_UNKNOWN")))
        result = push(sandbox, image, "a:2")
        assert (result.error, result.repaired) == (None, (lost,))
        assert is_whole(sandbox, "a", "2", image)


def test_tags_that_are_refused_at_once_are_mended_once_and_all_set(image: Layout) -> None:
    tags = [f"t{number}" for number in range(10)]
    with Sandbox() as sandbox:
        push(sandbox, image)
        lost = lose(sandbox, image)
        sandbox.traffic.clear()
        (result,) = Pushing(at_once=16).push(image, f"{sandbox.address}/a:{','.join(tags)}")
        assert (result.error, result.repaired) == (None, (lost,))
        assert all(is_whole(sandbox, "a", tag, image) for tag in tags)
        assert sandbox.traffic.count(method="PUT", path_pattern=UPLOADS) == 1
        assert sandbox.traffic.count(method="PUT", path_pattern=MANIFESTS) <= 20


def test_a_refusal_that_stays_ends_after_one_mending(image: Layout) -> None:
    refusal = Fault(method="PUT", path=MANIFESTS, times=0, action=Answer(400, code="MANIFEST_BLOB_UNKNOWN"))
    with Sandbox() as sandbox:
        push(sandbox, image)
        sandbox.faults.add(refusal)
        sandbox.traffic.clear()
        result = push(sandbox, image, "a:2")
        assert isinstance(result.error, RegistryError)
        assert sandbox.traffic.count(method="PUT", path_pattern=MANIFESTS) == 2
        assert sandbox.store.tags("a") == ("1",)


def test_a_child_that_an_index_misses_is_put_again(index: Layout) -> None:
    with Sandbox() as sandbox:
        push(sandbox, index)
        child = next(
            m.descriptor.digest for m in sandbox.store.manifests("a") if str(m.descriptor.digest) != index.digest
        )
        sandbox.store.remove_manifest("a", child)
        assert push(sandbox, index, "a:2").error is None
        assert difference(sandbox, "a", "2", index) == ""


def test_verify_reads_back_every_tag_and_asks_for_every_blob(index: Layout) -> None:
    with Sandbox() as sandbox:
        result = push(sandbox, index, "a:1,2", VERIFY)
        assert (result.error, result.verified, result.repaired) == (None, True, ())
        read = sandbox.traffic.select(method="GET", path_pattern=MANIFESTS)
        assert sorted(r.path.rpartition("/")[2] for r in read) == ["1", "2"]
        asked = {r.path.rpartition("/")[2] for r in sandbox.traffic.select(method="HEAD", status=200)}
        assert asked >= set(index.blobs)


@pytest.mark.case("MF-005")
def test_verify_fills_what_a_complete_looking_image_lacks(index: Layout) -> None:
    with Sandbox() as sandbox:
        push(sandbox, index)
        lost = lose(sandbox, index)
        assert push(sandbox, index).repaired == ()  # the root is there, so nothing is looked at
        result = push(sandbox, index, push_options=VERIFY)
        assert (result.error, result.repaired) == (None, (lost,))
        assert difference(sandbox, "a", "1", index) == ""


def test_verify_fills_a_child_manifest_and_a_tag(index: Layout) -> None:
    with Sandbox() as sandbox:
        push(sandbox, index)
        child = next(
            m.descriptor.digest for m in sandbox.store.manifests("a") if str(m.descriptor.digest) != index.digest
        )
        sandbox.store.remove_manifest("a", child)
        hidden = Fault(method="GET", path=f"{MANIFESTS}1$", action=Answer(404, code="MANIFEST_UNKNOWN"))
        sandbox.faults.add(hidden)
        result = push(sandbox, index, push_options=VERIFY)
        assert result.error is None
        assert set(result.repaired) == {child, Digest.parse(index.digest)}
        assert difference(sandbox, "a", "1", index) == ""


def test_verify_says_so_when_a_registry_keeps_losing_a_blob(image: Layout) -> None:
    digest = max(image.blobs, key=lambda name: image.blobs[name])
    with Sandbox(faults=FaultScript([Fault(method="HEAD", path=digest, times=0, action=Answer(404))])) as sandbox:
        result = push(sandbox, image, push_options=VERIFY)
        assert isinstance(result.error, RegistryError)
        assert f"blob {digest}: was sent again and is still not there" in str(result.error)
        assert not result.verified


def test_verify_reports_a_tag_that_somebody_else_has_moved(image: Layout, older: Layout) -> None:
    with Sandbox() as sandbox:
        push(sandbox, older, "a:other")
        moved = sandbox.store.manifest("a", "other")
        assert moved is not None
        answer = Answer(200, {"Content-Type": "application/vnd.oci.image.manifest.v1+json"}, moved)
        sandbox.faults.add(Fault(method="GET", path=f"{MANIFESTS}1$", action=answer))
        result = push(sandbox, image, push_options=VERIFY)
        assert older.digest in str(result.error)
        assert image.digest in str(result.error)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b'{"schemaVersion": 2, "x": "theirs"}', "left"),
        (b"<html>log in</html>", "unknown"),
    ],
)
@pytest.mark.parametrize("lies", [True, False])
def test_verify_counts_no_tag_as_pushed_that_reads_back_as_something_else(
    body: bytes, told: str, lies: bool, image: Layout
) -> None:
    headers = {"Content-Type": "application/vnd.oci.image.manifest.v1+json"}
    if lies:
        headers["Docker-Content-Digest"] = image.digest
    with Sandbox(
        faults=FaultScript([Fault("GET", f"{MANIFESTS}1$", times=0, action=Answer(200, headers, body))])
    ) as it:
        result = push(it, image, push_options=VERIFY)
        assert outcomes(result) == [("1", told)]
        words = f"points at {Digest.of(body)} after the push" if told == "left" else "no manifest"
        assert words in str(result.error)
        assert not result.verified


@pytest.mark.parametrize("is_source_wrong", [True, False])
def test_a_size_that_differs_is_blamed_on_the_side_that_is_wrong(image: Layout, is_source_wrong: bool) -> None:
    digest = max(image.blobs, key=lambda name: image.blobs[name])
    answers = {"HEAD": Headers({"Content-Length": "7"}), "GET": Answer(206, {"Content-Range": "bytes 0-0/7"}, b"x")}
    with Sandbox() as sandbox:
        push(sandbox, image)
        sandbox.store.remove_manifest("a", Digest.parse(image.digest))
        for method, action in answers.items():
            sandbox.faults.add(Fault(method=method, path=digest, times=0, action=action))
        if is_source_wrong:
            (image.path / "blobs" / "sha256" / digest.partition(":")[2]).write_bytes(b"x" * image.blobs[digest])
        error = push(sandbox, image).error
        assert isinstance(error, ContentMismatchError if is_source_wrong else ProtocolViolationError)
        assert is_source_wrong or "source's bytes are right" in str(error.hint)


def requests_of(image: Layout) -> int:
    """Count the requests of a whole push with three tags."""
    with Sandbox() as sandbox:
        push(sandbox, image, "a:1,2,3")
        return sandbox.traffic.count()


@pytest.mark.parametrize("action", [DropBefore(), DropReply(), Answer(500), Answer(403)], ids=lambda a: repr(a)[:12])
def test_no_tag_points_at_an_incomplete_image_wherever_the_push_breaks(
    action: DropBefore | DropReply | Answer, index: Layout
) -> None:
    for number in range(1, requests_of(index) + 1):
        with Sandbox(faults=FaultScript([Fault(request=number, action=action)])) as sandbox:
            pushing = Pushing(at_once=1, policy=ONCE)
            (result,) = pushing.push(index, f"{sandbox.address}/a:1,2,3")
            reached = {tag.tag for tag in result.tags if tag.outcome in ("pushed", "unchanged")}
            assert [difference(sandbox, "a", tag, index) for tag in sandbox.store.tags("a")] == [""] * len(
                sandbox.store.tags("a")
            )
            assert reached <= set(sandbox.store.tags("a"))
            assert result.error is not None or reached == {"1", "2", "3"}
            assert {tag.tag for tag in result.tags} == {"1", "2", "3"}


def test_all_or_nothing_moves_no_tag_when_one_place_fails(image: Layout, older: Layout) -> None:
    with Sandbox() as good, Sandbox() as bad:
        push(good, older, "a:1")
        bad.faults.add(Fault(method="PUT", path=UPLOADS, times=0, action=Answer(403)))
        first, second = Pushing(push_options=ALL).push(image, f"{good.address}/a:1,new", f"{bad.address}/b:1")
        assert "not tagged, as the push to" in str(first.error)
        assert second.error is not None
        assert (outcomes(first), outcomes(second)) == (
            [("1", "not reached"), ("new", "not reached")], [("1", "not reached")],
        )  # fmt: skip
        assert good.store.tags("a") == ("1",)
        assert is_whole(good, "a", "1", older)
        assert difference(good, "a", image.digest, image) == ""  # ready for the next try


def test_all_or_nothing_puts_back_tags_that_have_moved(image: Layout, older: Layout) -> None:
    with Sandbox() as good, Sandbox() as bad:
        push(good, older, "a:1,same")
        push(good, image, "a:same")
        bad.faults.add(Fault(method="PUT", path=f"{MANIFESTS}1$", times=0, action=Answer(403)))
        first, second = Pushing(push_options=ALL).push(image, f"{good.address}/a:1,same,new", f"{bad.address}/b:1,2")
        assert outcomes(first) == [("1", "restored"), ("same", "unchanged"), ("new", "removed")]
        assert outcomes(second) == [("1", "failed"), ("2", "not reached")]
        assert good.store.tags("a") == ("1", "same")
        assert is_whole(good, "a", "1", older)
        assert is_whole(good, "a", "same", image)
        assert bad.store.tags("b") == ()


@pytest.mark.parametrize("is_new", [True, False])
def test_all_or_nothing_leaves_a_tag_that_somebody_else_has_moved_meanwhile(
    is_new: bool, image: Layout, older: Layout, tmp_path: Path
) -> None:
    theirs = make_layout(tmp_path / "theirs", layer(8))
    with Sandbox() as sandbox:
        if not is_new:
            push(sandbox, older)
        sandbox.faults.add(Fault(method="PUT", path=f"{MANIFESTS}2$", action=Answer(403)))

        def move(event: Event) -> None:
            if isinstance(event, TagDone):
                push(sandbox, theirs)

        pushing = Pushing(at_once=1, push_options=ALL, listener=move)
        (result,) = pushing.push(image, f"{sandbox.address}/a:1,2")
        assert outcomes(result) == [("1", "left"), ("2", "failed")]
        assert f"it names {theirs.digest}, where somebody else" in result.tags[0].error
        assert is_whole(sandbox, "a", "1", theirs)


def test_all_or_nothing_says_what_it_could_not_put_back(image: Layout) -> None:
    with Sandbox(options=SandboxOptions(delete=False)) as sandbox:
        sandbox.faults.add(Fault(method="PUT", path=f"{MANIFESTS}2$", action=Answer(403)))
        result = push(sandbox, image, "a:1,2", ALL)
        assert outcomes(result) == [("1", "left"), ("2", "failed")]
        assert "is new and should not exist" in result.tags[0].error
        assert not sandbox.traffic.count(method="DELETE", path_pattern=f"{MANIFESTS}sha256")


def test_all_or_nothing_undoes_a_tag_whose_answers_were_all_lost(image: Layout) -> None:
    with Sandbox() as sandbox:
        sandbox.faults.add(Fault(method="PUT", path=f"{MANIFESTS}1$", action=DropReply()))
        # The first GET is what reads where the tag was, the next two look where it is.
        sandbox.faults.add(Fault(method="GET", path=f"{MANIFESTS}1$", nth=2, times=2, action=DropReply()))
        (result,) = Pushing(push_options=ALL, policy=ONCE).push(image, f"{sandbox.address}/a:1")
        assert outcomes(result) == [("1", "removed")]
        assert sandbox.store.tags("a") == ()


def test_all_or_nothing_that_succeeds_looks_like_any_push(image: Layout) -> None:
    with Sandbox() as sandbox:
        result = push(sandbox, image, "a:1,2", PushOptions(verify=True, all_or_nothing=True))
        assert (result.error, result.verified) == (None, True)
        assert outcomes(result) == [("1", "pushed"), ("2", "pushed")]
        puts = sandbox.traffic.select(method="PUT", path_pattern=MANIFESTS)
        assert [bool(re.search("sha256", r.path)) for r in puts] == [True, False, False]


def test_all_or_nothing_that_cannot_read_what_a_tag_was_moves_nothing(image: Layout, older: Layout) -> None:
    with Sandbox() as sandbox:
        push(sandbox, older, "a:1")
        sandbox.faults.add(Fault(method="GET", path=MANIFESTS, times=0, action=Answer(403)))
        assert push(sandbox, image, "a:1,2", ALL).error is not None
        assert sandbox.store.tags("a") == ("1",)
        assert is_whole(sandbox, "a", "1", older)
