"""Images of containers-storage go out: built ones compressed once, pulled ones under their digest where that can be."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from equipment.faults import Answer, Fault, FaultScript
from equipment.sandbox import Sandbox
from images import Layout, LayoutWriter, layer
from program import program
from pushing import Pushing
from running import Running, statuses
from stores import StoreWriter

from oci_push.engine.unit import PushUnit, UnitTarget, plan_unit
from oci_push.errors import ContentMismatchError
from oci_push.events import BlobDone, LayerCompressed, LayerReading, LogMessage
from oci_push.model import media
from oci_push.model.digest import Digest
from oci_push.model.manifest import Manifest
from oci_push.model.outcomes import BlobKind, BlobOutcome
from oci_push.model.reference import Repository

ONE, TWO = layer(1, 400_000), layer(2, 9000)
BLOB_PUTS = r"/blobs/uploads/"


@pytest.fixture
def store(tmp_path: Path) -> StoreWriter:
    return StoreWriter(tmp_path / "store")


def origin(path: Path, *layers: bytes) -> Layout:
    """Make another image of the same compressed layers as those of one that was pulled."""
    writer = LayoutWriter(path)
    config = writer.put(b'{"os":"linux"}', media.OCI_CONFIG)
    packed = [writer.put(gzip.compress(one, mtime=7), media.OCI_LAYER_GZIP) for one in layers]
    return writer.close(writer.manifest({"config": config, "layers": packed}, media.OCI_MANIFEST))


def digest_of(sandbox: Sandbox, repository: str, tag: str = "1") -> str:
    """Give the digest of what a tag names, once all that it names is there."""
    raw = sandbox.store.manifest(repository, tag)
    assert raw is not None
    assert all(sandbox.store.blob_exists(repository, one.digest) for one in Manifest.parse(raw).blobs)
    return str(Digest.of(raw))


def notes(pushing: Pushing) -> list[str]:
    """Give what was said of layers that are compressed anew."""
    return [one.text for one in pushing.events if isinstance(one, LogMessage) and "compressed anew" in one.text]


def test_a_built_image_is_compressed_once_and_remembered(sandbox: Sandbox, store: StoreWriter, tmp_path: Path) -> None:
    store.add(ONE, TWO, names=("localhost/app:1",))
    first, again = Pushing(home=tmp_path), Pushing(home=tmp_path)
    first.push(f"{store.source}app:1", f"{sandbox.address}/a:1", f"{sandbox.address}/b:1")
    again.push(f"{store.source}app:1", f"{sandbox.address}/c:1")
    assert digest_of(sandbox, "a") == digest_of(sandbox, "b") == digest_of(sandbox, "c")
    made = [one.from_memory for one in (*first.events, *again.events) if isinstance(one, LayerCompressed)]
    assert made == [False, False, True, True]


def test_what_is_compressed_once_more_for_another_registry_is_told_to_its_end(
    sandbox: Sandbox, store: StoreWriter, tmp_path: Path
) -> None:
    store.add(ONE, names=("localhost/app:1",))
    Pushing(home=tmp_path).push(f"{store.source}app:1", f"{sandbox.address}/a:1")
    again = Pushing(home=tmp_path)
    with Sandbox() as other:
        again.push(f"{store.source}app:1", f"{other.address}/a:1")
    told = [one for one in again.events if isinstance(one, LayerCompressed | LayerReading)]
    assert [one.from_memory for one in told if isinstance(one, LayerCompressed)] == [True, False]
    assert isinstance(told[-1], LayerCompressed)


def test_what_goes_ahead_is_called_what_it_is(sandbox: Sandbox, store: StoreWriter) -> None:
    store.add(ONE, TWO, names=("localhost/app:1",))
    pushing = Pushing()
    pushing.push(f"{store.source}app:1", f"{sandbox.address}/a:1")
    config = Manifest.parse(sandbox.store.manifest("a", "1") or b"").config
    assert config is not None
    told = {one.digest: one.kind for one in pushing.events if isinstance(one, BlobDone)}
    assert [digest for digest, kind in told.items() if kind == BlobKind.CONFIG] == [config.digest]


def test_a_pulled_image_keeps_its_digest_where_its_blobs_are(
    sandbox: Sandbox, store: StoreWriter, tmp_path: Path
) -> None:
    store.add(ONE, TWO, names=("localhost/app:1",), pulled=True)
    Pushing().push(origin(tmp_path / "o", ONE, TWO), f"{sandbox.address}/a:0")
    sandbox.traffic.clear()
    pushing = Pushing()
    (result,) = pushing.push(f"{store.source}app:1", f"{sandbox.address}/a:1")
    assert digest_of(sandbox, "a") == store.images[0]["digest"]
    assert [one.outcome for one in result.blobs].count(BlobOutcome.EXISTS) == 2
    assert sandbox.traffic.received_bytes(path_pattern=BLOB_PUTS) < 1000  # the config alone
    assert notes(pushing) == []


def test_layers_that_cannot_be_read_need_not_be_where_the_target_has_them(
    sandbox: Sandbox, store: StoreWriter, tmp_path: Path
) -> None:
    store.add(ONE, TWO, names=("localhost/app:1",), pulled=True)
    (store.content(store.layers[0]["id"]).parent / "composefs-data").mkdir()
    Pushing().push(origin(tmp_path / "o", ONE, TWO), f"{sandbox.address}/a:0")
    Pushing().push(f"{store.source}app:1", f"{sandbox.address}/a:1")
    assert digest_of(sandbox, "a") == store.images[0]["digest"]


def test_a_pulled_image_keeps_its_digest_where_its_blobs_can_be_mounted_by_its_name(
    sandbox: Sandbox, store: StoreWriter, tmp_path: Path
) -> None:
    store.add(ONE, TWO, names=(f"{sandbox.address}/a:0",), pulled=True)
    Pushing().push(origin(tmp_path / "o", ONE, TWO), f"{sandbox.address}/a:0")
    (result,) = Pushing().push(f"{store.source}{sandbox.address}/a:0", f"{sandbox.address}/b:1")
    assert digest_of(sandbox, "b") == store.images[0]["digest"]
    assert [one.outcome for one in result.blobs].count(BlobOutcome.MOUNTED) == 2


@pytest.mark.parametrize("pushing", [Pushing(), Pushing(mount=False)])
def test_a_pulled_image_that_is_not_there_whole_is_compressed_anew_and_that_is_told(
    pushing: Pushing, sandbox: Sandbox, store: StoreWriter, tmp_path: Path
) -> None:
    store.add(ONE, TWO, names=("elsewhere.example/app:1",), pulled=True)
    Pushing().push(origin(tmp_path / "o", ONE), f"{sandbox.address}/a:0")
    pushing.push(f"{store.source}app:1", f"{sandbox.address}/a:1")
    assert digest_of(sandbox, "a") != store.images[0]["digest"]
    (note,) = notes(pushing)
    assert "1 of its 2 layers are not at" in note


def test_all_targets_get_one_digest(sandbox: Sandbox, store: StoreWriter, tmp_path: Path) -> None:
    store.add(ONE, TWO, names=("localhost/app:1",), pulled=True)
    Pushing().push(origin(tmp_path / "o", ONE, TWO), f"{sandbox.address}/a:0")
    with Sandbox() as other:
        Pushing().push(f"{store.source}app:1", f"{sandbox.address}/a:1", f"{other.address}/a:1")
        assert digest_of(sandbox, "a") == digest_of(other, "a") != store.images[0]["digest"]


def test_a_target_that_does_not_answer_has_no_say(sandbox: Sandbox, store: StoreWriter, tmp_path: Path) -> None:
    store.add(ONE, TWO, names=("localhost/app:1",), pulled=True)
    Pushing().push(origin(tmp_path / "o", ONE, TWO), f"{sandbox.address}/a:0")
    with Sandbox(faults=FaultScript([Fault("", "", times=1000, action=Answer(503))])) as broken:
        good, bad = Pushing().push(f"{store.source}app:1", f"{sandbox.address}/a:1", f"{broken.address}/a:1")
    assert good.error is None
    assert bad.error is not None
    assert digest_of(sandbox, "a") == store.images[0]["digest"]


def test_a_compression_that_is_asked_for_is_done(sandbox: Sandbox, store: StoreWriter, tmp_path: Path) -> None:
    store.add(ONE, names=("localhost/app:1",), pulled=True)
    Pushing().push(origin(tmp_path / "o", ONE), f"{sandbox.address}/a:0")
    words = ("--compression", "zstd", "--no-memory", "-q")
    program("push", f"{store.source}app:1", f"{sandbox.address}/a:1", *words, cwd=tmp_path)
    manifest = Manifest.parse(sandbox.store.manifest("a", "1") or b"")
    assert [one.media_type for one in manifest.layers] == [media.OCI_LAYER_ZSTD]


@pytest.mark.parametrize(
    ("words", "is_kept"),
    [(("--annotation", "a=b"), True), (("--recompress", "zstd"), False)],
    ids=["annotated", "anew"],
)
def test_a_pulled_image_that_is_changed_keeps_its_layers_unless_they_are_compressed_anew(
    words: tuple[str, ...], is_kept: bool, sandbox: Sandbox, store: StoreWriter, tmp_path: Path
) -> None:
    store.add(ONE, TWO, names=("localhost/app:1",), pulled=True)
    Pushing().push(origin(tmp_path / "o", ONE, TWO), f"{sandbox.address}/a:0")
    program("push", f"{store.source}app:1", f"{sandbox.address}/a:1", *words, "--no-memory", "-q", cwd=tmp_path)
    made = Manifest.parse(sandbox.store.manifest("a", "1") or b"")
    packed = [Digest.of(gzip.compress(one, mtime=7)) for one in (ONE, TWO)]
    assert ([one.digest for one in made.layers] == packed) is is_kept
    digest_of(sandbox, "a")


def test_a_plan_says_the_digest_that_the_push_will_have(sandbox: Sandbox, store: StoreWriter, tmp_path: Path) -> None:
    store.add(ONE, TWO, names=(f"{sandbox.address}/a:0",), pulled=True)
    Pushing().push(origin(tmp_path / "o", ONE, TWO), f"{sandbox.address}/a:0")
    sandbox.traffic.clear()
    host, _, _ = sandbox.address.partition("/")
    unit = PushUnit(f"{store.source}{sandbox.address}/a:0", (UnitTarget(Repository(host, "b"), ("1",)),))
    pushing = Pushing()
    with pushing.pusher() as pusher:
        plan = plan_unit(unit, pusher, pusher.context)
    assert str(plan.graph.root.digest) == store.images[0]["digest"]
    assert {one.method for one in sandbox.traffic.requests} <= {"GET", "HEAD"}


def test_nothing_is_tagged_where_a_layer_is_not_its_diff_id(sandbox: Sandbox, store: StoreWriter) -> None:
    store.add(ONE, TWO, names=("localhost/app:1",))
    path = next(store.content(store.layers[-1]["id"]).iterdir())
    path.write_bytes(bytes(path.stat().st_size))
    with pytest.raises(ContentMismatchError):
        Pushing().push(f"{store.source}app:1", f"{sandbox.address}/a:1")
    assert sandbox.store.manifest("a", "1") is None


PIPELINE = """
version: '1.0'
steps:
  build: {{type: build, image_name: team/app}}
  p: {{type: push, candidate: "${{{{build}}}}", registry: "{registry}", image_name: team/app, tag: '1'}}
"""


def test_a_build_step_may_name_what_buildah_left(sandbox: Sandbox, store: StoreWriter) -> None:
    store.add(ONE, names=("localhost/app:1",))
    running = Running(candidates={"build": f"{store.source}app:1"})
    report = running.run(PIPELINE.format(registry=sandbox.address))
    assert statuses(report)["p"] == "success"
    digest_of(sandbox, "team/app")
