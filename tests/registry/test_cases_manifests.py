"""The table's manifest cases: in which order, how often, and what a tag may and may not become."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest
from equipment.faults import Answer, Fault, FaultScript, FlipByte, Headers, Stall
from equipment.options import SandboxOptions
from equipment.sandbox import Sandbox
from images import Layout, LayoutWriter, layer, make_layout
from pushing import Pushing, annotated, difference, error_of, flipped, is_whole

from oci_push.errors import ImmutableTagError, OciPushError, ProtocolViolationError, SourceError, UploadRejectedError
from oci_push.model import media
from oci_push.model.digest import Digest
from oci_push.runtime.clock import FakeClock, SystemClock
from oci_push.runtime.context import Context
from oci_push.runtime.tasks import run_all

UPLOADS = r"/blobs/uploads/"
MANIFESTS = "/manifests/"


@pytest.mark.case("MF-001")
def test_the_manifest_comes_after_every_blob(sandbox: Sandbox, tmp_path: Path) -> None:
    image = make_layout(tmp_path / "image", *(layer(n) for n in range(8)))
    assert error_of(Pushing(at_once=8).push(image, f"{sandbox.address}/a:1")) is None
    writes = [r.path for r in sandbox.traffic.select(method="PUT")]
    assert len(writes) == len(image.blobs) + 1
    assert writes[-1] == "/v2/a/manifests/1"


@pytest.mark.case("MF-002")
def test_the_manifest_goes_out_byte_for_byte_under_its_own_type(sandbox: Sandbox, tmp_path: Path) -> None:
    writer = LayoutWriter(tmp_path / "odd")
    config = writer.put(b"{}", media.OCI_CONFIG)
    raw = json.dumps(
        {"layers": [], "mediaType": media.OCI_MANIFEST, "schemaVersion": 2, "config": config, "ü": 1}, indent=5
    )
    image = writer.close(writer.put(raw.encode(), media.OCI_MANIFEST))
    assert error_of(Pushing().push(image, f"{sandbox.address}/a:1")) is None
    assert sandbox.store.manifest("a", "1") == raw.encode()
    (put,) = sandbox.traffic.select(method="PUT", path_pattern=MANIFESTS)
    assert put.headers["content-type"] == media.OCI_MANIFEST


@pytest.mark.case("MF-003")
def test_another_digest_for_the_manifest_fails_and_both_are_told(tmp_path: Path) -> None:
    image, at = annotated(tmp_path / "image")
    damage = Fault("PUT", f"{MANIFESTS}1", times=0, action=FlipByte(at))
    with Sandbox(faults=FaultScript([damage])) as sandbox:
        error = error_of(Pushing().push(image, f"{sandbox.address}/a:1"))
        assert isinstance(error, ProtocolViolationError)
        other = Digest.of(flipped(image, at))
        assert str(other) in str(error)
        assert image.digest in str(error)


def test_another_digest_for_a_manifest_that_is_there_is_only_a_wrong_header(image: Layout) -> None:
    change = Fault("PUT", MANIFESTS, times=0, action=Headers({"Docker-Content-Digest": f"sha256:{'1' * 64}"}))
    with Sandbox(faults=FaultScript([change])) as sandbox:
        assert error_of(Pushing().push(image, f"{sandbox.address}/a:1")) is None
        assert is_whole(sandbox, "a", "1", image)


@pytest.mark.case("MF-004", "UP-026")
def test_a_tag_that_is_there_already_costs_one_question_and_no_write(sandbox: Sandbox, image: Layout) -> None:
    Pushing().push(image, f"{sandbox.address}/a:1")
    sandbox.traffic.clear()
    assert error_of(Pushing().push(image, f"{sandbox.address}/a:1")) is None
    assert [(r.method, r.path) for r in sandbox.traffic.requests] == [("HEAD", "/v2/a/manifests/1")]


@pytest.mark.case("MF-008")
def test_an_index_in_an_index_goes_deepest_first(sandbox: Sandbox, tmp_path: Path) -> None:
    writer = LayoutWriter(tmp_path / "nested")
    deepest = writer.image(layer(1))
    inner = writer.index(deepest)
    image = writer.close(writer.index(inner, writer.image(layer(2))))
    assert error_of(Pushing().push(image, f"{sandbox.address}/a:1")) is None
    assert difference(sandbox, "a", "1", image) == ""
    order = [r.path.rpartition("/")[2] for r in sandbox.traffic.select(method="PUT", path_pattern=MANIFESTS)]
    assert order.index(str(deepest["digest"])) < order.index(str(inner["digest"])) < order.index("1") == len(order) - 1


@pytest.mark.case("MF-009")
@pytest.mark.parametrize(("multi_tag", "puts"), [(True, 1), (False, 4)])
def test_three_tags_send_blobs_once(multi_tag: bool, puts: int, image: Layout) -> None:
    with Sandbox(options=SandboxOptions(multi_tag=multi_tag)) as sandbox:
        assert error_of(Pushing().push(image, f"{sandbox.address}/a:x,y,z")) is None
        assert sandbox.store.tags("a") == ("x", "y", "z")
        assert sandbox.traffic.received_bytes(path_pattern=UPLOADS) == sum(image.blobs.values())
        assert sandbox.traffic.count(method="PUT", path_pattern=MANIFESTS) == puts


@pytest.mark.case("MF-011")
def test_a_sha512_manifest_is_tagged_where_the_registry_confirms_it(tmp_path: Path) -> None:
    writer = LayoutWriter(tmp_path / "sha512")
    image = writer.close(writer.image(layer(1), algorithm="sha512"))
    with Sandbox(options=SandboxOptions(multi_tag=True)) as sandbox:
        assert error_of(Pushing().push(image, f"{sandbox.address}/a:1")) is None
        assert is_whole(sandbox, "a", "1", image)
        assert sandbox.store.find_manifest("a", Digest.parse(image.digest)) is not None


@pytest.mark.case("MF-011")
def test_a_sha512_manifest_that_a_tag_cannot_name_is_a_clear_error(sandbox: Sandbox, tmp_path: Path) -> None:
    writer = LayoutWriter(tmp_path / "sha512")
    image = writer.close(writer.image(layer(1), algorithm="sha512"))
    error = error_of(Pushing().push(image, f"{sandbox.address}/a:1"))
    assert isinstance(error, ProtocolViolationError)
    assert image.digest in str(error)


@pytest.mark.case("UP-031")
def test_a_sha512_blob_announces_its_algorithm(sandbox: Sandbox, tmp_path: Path) -> None:
    writer = LayoutWriter(tmp_path / "sha512")
    config = writer.put(b'{"os":"linux"}', media.OCI_CONFIG, "sha512")
    image = writer.close(writer.manifest({"config": config, "layers": []}, media.OCI_MANIFEST))
    assert error_of(Pushing().push(image, f"{sandbox.address}/a:1")) is None
    (post,) = sandbox.traffic.select(method="POST", path_pattern=UPLOADS)
    (put,) = sandbox.traffic.select(method="PUT", path_pattern=UPLOADS)
    assert "digest-algorithm=sha512" in post.path
    assert "digest=sha512%3A" in put.path
    assert is_whole(sandbox, "a", "1", image)


@pytest.mark.case("MF-013")
def test_a_manifest_over_the_limit_is_refused_before_anything_is_sent(sandbox: Sandbox, tmp_path: Path) -> None:
    writer = LayoutWriter(tmp_path / "huge")
    image = writer.close(writer.image(layer(1), annotations={"x": "y" * 4_300_000}))
    with pytest.raises(SourceError, match="over the limit of 4194304"):
        Pushing().push(image, f"{sandbox.address}/a:1")
    assert sandbox.traffic.count() == 0


def foreign(path: Path) -> Layout:
    """Write an image one of whose layers is to be fetched from elsewhere."""
    writer = LayoutWriter(path)
    kind = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
    away = {**writer.put(layer(3), kind), "urls": ["https://example.com/layer"]}
    return writer.close(
        writer.manifest({"config": writer.put(b"{}", media.OCI_CONFIG), "layers": [away]}, media.OCI_MANIFEST)
    )


def test_a_foreign_layer_stays_where_it_is(sandbox: Sandbox, tmp_path: Path) -> None:
    image = foreign(tmp_path / "image")
    assert error_of(Pushing().push(image, f"{sandbox.address}/a:1")) is None
    assert sandbox.traffic.count(method="POST") == 1
    assert sandbox.store.tags("a") == ("1",)


@pytest.mark.case("MF-015")
def test_a_foreign_layer_is_sent_where_that_is_asked_for(sandbox: Sandbox, tmp_path: Path) -> None:
    image = foreign(tmp_path / "image")
    assert error_of(Pushing(foreign_layers=True).push(image, f"{sandbox.address}/a:1")) is None
    assert is_whole(sandbox, "a", "1", image)


@pytest.mark.case("MF-017")
def test_an_immutable_tag_is_told_with_both_digests(image: Layout, tmp_path: Path) -> None:
    with Sandbox(options=SandboxOptions(immutable_tags=True)) as sandbox:
        Pushing().push(image, f"{sandbox.address}/a:1")
        other = make_layout(tmp_path / "other", layer(9))
        error = error_of(Pushing().push(other, f"{sandbox.address}/a:1"))
        assert isinstance(error, ImmutableTagError)
        assert f"it is {image.digest}, the image is {other.digest}" in str(error)
        assert is_whole(sandbox, "a", "1", image)


@pytest.mark.case("MF-018")
def test_a_registry_that_knows_no_oci_manifest_leads_to_the_option(image: Layout) -> None:
    refusal = Fault("PUT", MANIFESTS, times=0, action=Answer(400, code="MANIFEST_INVALID"))
    with Sandbox(faults=FaultScript([refusal])) as sandbox:
        error = error_of(Pushing().push(image, f"{sandbox.address}/a:1"))
        assert isinstance(error, UploadRejectedError)
        assert "--format docker" in str(error.hint)
        # Once more, as a byte that changed on the way gives the same answer; then it is believed.
        assert sandbox.traffic.count(method="PUT", path_pattern=MANIFESTS) == 2


SUBJECT = {"mediaType": media.OCI_MANIFEST, "digest": f"sha256:{'5' * 64}", "size": 7}
FALLBACK = f"sha256-{'5' * 64}"


def referrer(path: Path, number: int = 1) -> Layout:
    """Write an image that refers to a subject."""
    writer = LayoutWriter(path)
    return writer.close(writer.image(layer(number), subject=SUBJECT, annotations={"kind": "test"}))


@pytest.mark.case("MF-019")
def test_a_registry_that_lists_referrers_gets_no_list_from_us(sandbox: Sandbox, tmp_path: Path) -> None:
    assert error_of(Pushing().push(referrer(tmp_path / "r"), f"{sandbox.address}/a:1")) is None
    assert sandbox.store.tags("a") == ("1",)
    assert sandbox.traffic.count(path_pattern="referrers|sha256-") == 0


@pytest.mark.case("MF-020", "MF-021")
@pytest.mark.parametrize("status", [404, 401])
def test_a_registry_that_does_not_gets_a_list_under_the_subjects_tag(status: int, tmp_path: Path) -> None:
    faults = FaultScript([Fault("GET", "/referrers/", times=0, action=Answer(status))])
    with Sandbox(options=SandboxOptions(referrers=False), faults=faults) as sandbox:
        one, two = referrer(tmp_path / "one", 1), referrer(tmp_path / "two", 2)
        for number, image in enumerate((one, two, two)):
            pushing = Pushing(clock=FakeClock())
            assert error_of(pushing.push(image, f"{sandbox.address}/a:t{number},u{number}")) is None
        listed = json.loads(sandbox.store.manifest("a", FALLBACK) or b"")
        assert listed["mediaType"] == media.OCI_INDEX
        assert [entry["digest"] for entry in listed["manifests"]] == [one.digest, two.digest]
        assert {entry["artifactType"] for entry in listed["manifests"]} == {media.OCI_CONFIG}
        assert listed["manifests"][0]["annotations"] == {"kind": "test"}


def test_a_list_that_another_writer_has_overwritten_is_written_again(tmp_path: Path) -> None:
    lost = [Fault("PUT", "/manifests/sha256-", action=Answer(201))]  # accepted, and gone at once
    with Sandbox(options=SandboxOptions(referrers=False), faults=FaultScript(lost)) as sandbox:
        image = referrer(tmp_path / "r")
        assert error_of(Pushing(clock=FakeClock()).push(image, f"{sandbox.address}/a:1")) is None
        listed = json.loads(sandbox.store.manifest("a", FALLBACK) or b"")
        assert [entry["digest"] for entry in listed["manifests"]] == [image.digest]


def test_a_fallback_tag_that_is_an_image_is_left_alone(tmp_path: Path) -> None:
    with Sandbox(options=SandboxOptions(referrers=False)) as sandbox:
        taken = make_layout(tmp_path / "taken", layer(8))
        Pushing().push(taken, f"{sandbox.address}/a:{FALLBACK}")
        error = error_of(Pushing().push(referrer(tmp_path / "r"), f"{sandbox.address}/a:1"))
        assert isinstance(error, ProtocolViolationError)
        assert "no list of referrers" in str(error)
        assert is_whole(sandbox, "a", FALLBACK, taken)


def test_a_list_that_is_overwritten_after_it_was_read_back_is_written_again(tmp_path: Path) -> None:
    with Sandbox(options=SandboxOptions(referrers=False)) as sandbox:
        image = referrer(tmp_path / "r")
        first = Fault("GET", f"/manifests/{FALLBACK}$", nth=3, action=Answer(404, code="MANIFEST_UNKNOWN"))
        sandbox.faults.add(first)  # there, there, and gone at the second look
        assert error_of(Pushing(clock=FakeClock()).push(image, f"{sandbox.address}/a:1")) is None
        reads = [r.method for r in sandbox.traffic.select(path_pattern=f"/manifests/{FALLBACK}$")]
        assert reads == ["GET", "PUT", "GET", "GET", "PUT", "GET", "GET"]


def test_four_writers_at_once_lose_no_referrer(tmp_path: Path) -> None:
    images = [referrer(tmp_path / str(number), number) for number in range(4)]
    with Sandbox(options=SandboxOptions(referrers=False)) as sandbox:
        # The first to write is overwritten by all who have read before it: their writing takes longer.
        sandbox.faults.add(Fault("PUT", f"/manifests/{FALLBACK}$", nth=2, times=3, action=Stall(0.1)))

        def push(_: Context, number: int) -> OciPushError | None:
            return error_of(Pushing().push(images[number], f"{sandbox.address}/a:{number}"))

        jobs = [partial(push, number=number) for number in range(4)]
        outcomes = run_all(Context(SystemClock()), jobs, limit=4)
        assert [outcome.get() for outcome in outcomes] == [None] * 4
        listed = json.loads(sandbox.store.manifest("a", FALLBACK) or b"")
        assert {entry["digest"] for entry in listed["manifests"]} == {image.digest for image in images}


@pytest.mark.case("MF-024")
def test_nothing_that_is_in_a_registry_is_ever_deleted(tmp_path: Path) -> None:
    with Sandbox(options=SandboxOptions(referrers=False)) as sandbox:
        for number in (1, 2):
            Pushing(clock=FakeClock()).push(referrer(tmp_path / str(number), number), f"{sandbox.address}/a:1")
        assert sandbox.traffic.count(method="DELETE") == 0
        assert len(json.loads(sandbox.store.manifest("a", FALLBACK) or b"")["manifests"]) == 2
