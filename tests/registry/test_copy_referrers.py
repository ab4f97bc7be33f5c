"""What refers to an image comes along with its copy, under its own digest, and the target's own lists are kept."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from around import two_platforms
from copying import SBOM, SIGNATURE, listed, lists, many, one_image, put, referrer, referring, rooted
from equipment.faults import Answer, Fault, Stall
from equipment.options import SandboxOptions
from equipment.sandbox import Sandbox
from program import program
from pushing import Pushing

from oci_push.engine.copying.copy import copy as copy_items
from oci_push.engine.copying.items import CopyItem
from oci_push.engine.unit import UnitTarget
from oci_push.errors import Cancelled, exit_code
from oci_push.events import ignore
from oci_push.model import media
from oci_push.model.digest import Digest
from oci_push.model.manifest import Manifest
from oci_push.model.reference import Repository
from oci_push.runtime.clock import SystemClock
from oci_push.runtime.context import Context
from oci_push.sources.platforms import MAX_MANIFESTS

NO_LISTS = SandboxOptions(referrers=False)
KINDS = {"registry's list": SandboxOptions(), "list under a tag": NO_LISTS}


@pytest.fixture(params=KINDS)
def source(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    with Sandbox(options=KINDS[request.param]) as started:
        yield started
        assert started.problems == ()


@pytest.fixture(params=KINDS)
def target(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    with Sandbox(options=KINDS[request.param]) as started:
        yield started
        assert started.problems == ()


def copy(source: Sandbox, target: Sandbox, folder: Path, *words: str, what: str = ":1", code: int = 0) -> str:
    """Copy from ``src`` to ``dst``; gives stderr."""
    name = f"{source.address}/src{what}"
    return program("copy", name, f"{target.address}/dst", *words, "--no-memory", cwd=folder, code=code).stderr


def refer(source: Sandbox, subject: Manifest, folder: Path, *kinds: str) -> list[Manifest]:
    """Store referrers, and their list where the registry keeps none."""
    made = [referrer(source, subject, kind, folder) for kind in kinds]
    if not source.options.referrers:
        lists(source, subject.digest, made)
    return made


def found(target: Sandbox, subject: Digest) -> set[str]:
    return referring(target, subject) if target.options.referrers else listed(target, subject)


def test_referrers_of_an_image_its_platforms_and_other_referrers_come_along(
    source: Sandbox, target: Sandbox, tmp_path: Path
) -> None:
    root = rooted(source, two_platforms(tmp_path / "image"), "1")
    child = source.store.manifest("src", root.children[1].digest)
    assert child is not None
    platform = Manifest.parse(child)
    sbom, signature = refer(source, root, tmp_path, SBOM, SIGNATURE)
    (signed,) = refer(source, sbom, tmp_path, SIGNATURE)
    (own,) = refer(source, platform, tmp_path, SBOM)
    said = copy(source, target, tmp_path)
    assert "with 4 referrers: 2 sboms, 2 signatures" in said
    assert found(target, root.digest) == {str(sbom.digest), str(signature.digest)}
    assert found(target, sbom.digest) == {str(signed.digest)}
    assert found(target, platform.digest) == {str(own.digest)}
    for one in (sbom, signature, signed, own):
        assert target.store.manifest("dst", one.digest) == one.raw
        assert all(target.store.blob_exists("dst", blob.digest) for blob in one.blobs)
    target.traffic.clear()
    again = copy(source, target, tmp_path)
    assert "1 unchanged" in again
    assert "with 4 referrers" in again
    assert target.traffic.count(method="PUT") == target.traffic.count(method="POST") == 0


def test_tags_of_cosign_come_along_with_their_names(source: Sandbox, target: Sandbox, tmp_path: Path) -> None:
    root = rooted(source, one_image(tmp_path / "image"), "1")
    name = str(root.digest).replace(":", "-")
    made = [
        referrer(source, root, "text/plain", tmp_path, f"{name}{ending}", refers=False)
        for ending in (".sig", ".att", ".sbom")
    ]
    of_signature = str(made[0].digest).replace(":", "-")
    signed = referrer(source, made[0], "text/plain", tmp_path, f"{of_signature}.sig", refers=False)
    assert "with 4 referrers: 1 attestation, 1 sbom, 2 signatures" in copy(source, target, tmp_path)
    for one, ending in zip(made, (".sig", ".att", ".sbom"), strict=True):
        assert target.store.manifest("dst", f"{name}{ending}") == one.raw
    assert target.store.manifest("dst", f"{of_signature}.sig") == signed.raw


def test_what_the_target_has_of_its_own_stays_in_its_list(source: Sandbox, tmp_path: Path) -> None:
    with Sandbox(options=NO_LISTS) as target:
        image = one_image(tmp_path / "image")
        root = rooted(source, image, "1")
        rooted(target, image, "1", repository="dst")
        own = referrer(target, root, "text/own", tmp_path, repository="dst")
        lists(target, root.digest, [own], repository="dst")
        (theirs,) = refer(source, root, tmp_path, SIGNATURE)
        copy(source, target, tmp_path)
        assert listed(target, root.digest) == {str(own.digest), str(theirs.digest)}


def test_a_referrer_that_is_there_and_in_no_list_is_listed(tmp_path: Path) -> None:
    """So a copy leaves it that is killed between the two."""
    with Sandbox() as source, Sandbox(options=NO_LISTS) as target:
        image = one_image(tmp_path / "image")
        root = rooted(source, image, "1")
        rooted(target, image, "1", repository="dst")
        (theirs,) = refer(source, root, tmp_path, SIGNATURE)
        assert referrer(target, root, SIGNATURE, tmp_path, repository="dst").digest == theirs.digest
        assert listed(target, root.digest) == set()
        copy(source, target, tmp_path)
        assert listed(target, root.digest) == {str(theirs.digest)}


def test_referrers_that_refer_to_one_another_are_copied_once(tmp_path: Path) -> None:
    with Sandbox(options=NO_LISTS) as source, Sandbox() as target:
        root = rooted(source, one_image(tmp_path / "image"), "1")
        one, other = (referrer(source, root, kind, tmp_path) for kind in (SBOM, SIGNATURE))
        lists(source, root.digest, [one])
        lists(source, one.digest, [other])  # no such circle can be made of subjects; a list may say anything
        lists(source, other.digest, [one, root])
        assert "with 3 referrers" in copy(source, target, tmp_path)
        assert target.traffic.count(method="PUT", path_pattern=f"/manifests/{one.digest}") == 1


def test_a_chain_of_referrers_without_an_end_is_an_error_and_the_image_is_there(tmp_path: Path) -> None:
    with Sandbox() as source, Sandbox() as target:
        root = last = rooted(source, one_image(tmp_path / "image"), "1")
        for _ in range(12):
            last = referrer(source, last, SIGNATURE, tmp_path)
        said = copy(source, target, tmp_path, code=1)
        assert "referrers refer to one another more than 8 deep" in said
        assert target.store.manifest("dst", "1") == root.raw


def test_referrers_stay_where_that_is_asked_for_and_nobody_asks(
    source: Sandbox, target: Sandbox, tmp_path: Path
) -> None:
    root = rooted(source, one_image(tmp_path / "image"), "1")
    refer(source, root, tmp_path, SIGNATURE)
    source.traffic.clear()
    assert "referrer" not in copy(source, target, tmp_path, "--no-referrers")
    assert found(target, root.digest) == set()
    assert source.traffic.count(path_pattern=r"referrers|sha256-") == 0


def test_of_many_tags_only_the_lists_and_signatures_that_there_are_are_asked_for(tmp_path: Path) -> None:
    with Sandbox(options=NO_LISTS) as source, Sandbox(options=NO_LISTS) as target:
        digests = many(source, 12, tmp_path)
        raw = source.store.manifest("src", "1.3")
        assert raw is not None
        subject = Manifest.parse(raw)
        (sbom,) = refer(source, subject, tmp_path, SBOM)
        name = digests[5].replace(":", "-")
        referrer(source, subject, "text/plain", tmp_path, f"{name}.sig", refers=False)
        said = copy(source, target, tmp_path, "--all-tags", what="")
        assert "12 tags: 12 copied" in said
        assert "with 2 referrers: 1 sbom, 1 signature" in said
        assert listed(target, subject.digest) == {str(sbom.digest)}
        assert target.store.manifest("dst", f"{name}.sig") is not None
        asked = source.traffic.select(path_pattern=r"/manifests/sha256-")
        assert {one.path.rpartition("/")[2] for one in asked} == {
            f"{name}.sig",
            str(subject.digest).replace(":", "-"),
        }
        assert source.traffic.count(path_pattern="/referrers/", status=404) == 1  # once it is known, no more


def test_a_referrer_that_cannot_be_read_is_told_and_the_rest_is_copied(tmp_path: Path) -> None:
    with Sandbox() as source, Sandbox() as target:
        root = rooted(source, one_image(tmp_path / "image"), "1")
        sbom, signature = refer(source, root, tmp_path, SBOM, SIGNATURE)
        source.store.remove_blob("src", signature.layers[0].digest)
        said = copy(source, target, tmp_path, "--retries", "0", code=1)
        assert f"; this is of the signature {signature.digest}\n" in said
        assert target.store.manifest("dst", "1") == root.raw
        assert referring(target, root.digest) == {str(sbom.digest)}
        answer = program(
            "copy", f"{source.address}/src:1", f"{target.address}/dst", "--json", "--retries", "0", cwd=tmp_path, code=1
        )
        report = json.loads(answer.stdout)
        assert report["referrers"]["count"] == 1
        assert len(report["referrers"]["errors"]) == 1


def test_a_source_that_cannot_say_what_refers_to_an_image_is_an_error(tmp_path: Path) -> None:
    """A copy without its signatures must not pass for one that has none."""
    with Sandbox() as source, Sandbox() as target:
        root = rooted(source, one_image(tmp_path / "image"), "1")
        source.faults.add(Fault("GET", "/referrers/", times=0, action=Answer(500)))
        said = copy(source, target, tmp_path, "--retries", "0", code=1)
        assert re.search(r"error: .*referrers of sha256", said)
        assert target.store.manifest("dst", "1") == root.raw


def test_a_source_that_refuses_to_list_referrers_is_told_of_once(tmp_path: Path) -> None:
    """A front end refuses paths that it does not know in the same way, so it is no error; and silence it is not."""
    with Sandbox() as source, Sandbox() as target:
        rooted(source, two_platforms(tmp_path / "image"), "1")
        source.faults.add(Fault("GET", "/referrers/", times=0, action=Answer(403, code="DENIED")))
        said = copy(source, target, tmp_path)
        assert said.count("this login may not see them, and what is only there stays behind") == 1
        assert len([one for one in source.traffic.requests if "/referrers/" in one.path]) == 1


def test_a_copy_of_some_platforms_has_what_refers_to_those(tmp_path: Path) -> None:
    with Sandbox() as source, Sandbox() as target:
        root = rooted(source, two_platforms(tmp_path / "image"), "1")
        refer(source, root, tmp_path, SIGNATURE)
        kept, left = (Manifest.parse(source.store.manifest("src", one.digest) or b"") for one in root.children)
        (own,) = refer(source, kept, tmp_path, SBOM)
        refer(source, left, tmp_path, SBOM)
        assert "with 1 referrer: 1 sbom" in copy(source, target, tmp_path, "--platform", "linux/amd64")
        assert referring(target, kept.digest) == {str(own.digest)}
        assert target.store.manifest("dst", left.digest) is None


def test_an_index_that_refers_to_an_image_is_copied_with_what_is_below(tmp_path: Path) -> None:
    with Sandbox() as source, Sandbox() as target:
        root = rooted(source, one_image(tmp_path / "image"), "1")
        below = referrer(source, root, SBOM, tmp_path, refers=False)
        value = {
            "mediaType": media.OCI_INDEX,
            "artifactType": "text/several",
            "manifests": [below.descriptor().to_json()],
            "subject": root.descriptor().to_json(),
        }
        index = put(source, "src", value)
        (signed,) = refer(source, below, tmp_path, SIGNATURE)
        assert "with 2 referrers" in copy(source, target, tmp_path)
        assert target.store.manifest("dst", index.digest) == index.raw
        assert referring(target, below.digest) == {str(signed.digest)}


def test_an_index_that_is_there_and_cannot_be_read_is_no_copy_without_referrers(tmp_path: Path) -> None:
    with Sandbox() as source, Sandbox() as target:
        root = rooted(source, two_platforms(tmp_path / "image"), "1")
        copy(source, target, tmp_path)
        source.faults.add(Fault("GET", f"/manifests/{root.digest}", times=0, action=Answer(500)))
        said = copy(source, target, tmp_path, "--retries", "0", code=1)
        assert "1 unchanged" in said
        assert f"error: {source.address}/src@{root.digest}" in said


def test_a_copy_that_is_stopped_at_its_referrers_is_not_done(tmp_path: Path) -> None:
    with Sandbox() as source, Sandbox() as target:
        root = rooted(source, one_image(tmp_path / "image"), "1")
        refer(source, root, tmp_path, SIGNATURE)
        source.faults.add(Fault("GET", "/referrers/", times=0, action=Stall(600)))
        context = Context(SystemClock(), what="test")

        def stop() -> None:
            source.traffic.wait_until(lambda traffic: traffic.count(path_pattern="/referrers/") > 0)
            context.cancel(Cancelled("stopped"))

        item = CopyItem(f"docker://{source.address}/src:1", (UnitTarget(Repository(target.address, "dst"), ("1",)),))
        pushing, stopper = Pushing(context=context), threading.Thread(target=stop)
        with pushing.pusher() as pusher:
            stopper.start()
            done = copy_items(context, pusher, [item], ignore)
            stopper.join()
        assert [row.outcome for row in done.rows] == ["copied"]
        assert exit_code(done.errors) > 1


def test_of_an_index_without_end_that_is_there_nothing_is_looked_for(tmp_path: Path) -> None:
    children = [
        {"mediaType": media.OCI_INDEX, "digest": str(Digest.of(b"%d" % n)), "size": 9} for n in range(MAX_MANIFESTS + 1)
    ]
    with Sandbox() as source, Sandbox() as target:
        for sandbox, repository in ((source, "src"), (target, "dst")):
            put(sandbox, repository, {"mediaType": media.OCI_INDEX, "manifests": children}, "1")
        done = program("copy", f"{source.address}/src:1", f"{target.address}/dst", cwd=tmp_path, code=1)
        assert f"more than {MAX_MANIFESTS} manifests" in done.stderr
        assert source.traffic.count(method="GET") == 1


@pytest.mark.parametrize("form", ["oci", "oci-archive"])
def test_what_a_layout_lists_comes_along_to_a_registry(
    form: str, source: Sandbox, target: Sandbox, tmp_path: Path
) -> None:
    root = rooted(source, one_image(tmp_path / "image"), "1")
    sbom, signature = refer(source, root, tmp_path, SBOM, SIGNATURE)
    (signed,) = refer(source, sbom, tmp_path, SIGNATURE)
    tag = f"{str(root.digest).replace(':', '-')}.sig"
    under = referrer(source, root, "text/plain", tmp_path, tag, refers=False)
    program("pull", f"{source.address}/src:1", f"{form}:saved", "--referrers", cwd=tmp_path)
    line = ("copy", f"{form}:saved", f"{target.address}/dst:1")
    assert "with 4 referrers: 1 sbom, 3 signatures" in program(*line, cwd=tmp_path).stderr
    assert found(target, root.digest) == {str(sbom.digest), str(signature.digest)}
    assert found(target, sbom.digest) == {str(signed.digest)}
    assert target.store.manifest("dst", tag) == under.raw


def test_what_a_layout_lists_may_stay_behind(source: Sandbox, tmp_path: Path) -> None:
    root = rooted(source, one_image(tmp_path / "image"), "1")
    refer(source, root, tmp_path, SBOM)
    program("pull", f"{source.address}/src:1", "oci:saved", "--referrers", cwd=tmp_path)
    with Sandbox() as target:
        program("copy", "oci:saved", f"{target.address}/dst:1", "--no-referrers", cwd=tmp_path)
        assert found(target, root.digest) == set()


def test_a_referrer_that_a_layout_lacks_is_told_and_the_image_is_there(source: Sandbox, tmp_path: Path) -> None:
    root = rooted(source, one_image(tmp_path / "image"), "1")
    (sbom,) = refer(source, root, tmp_path, SBOM)
    program("pull", f"{source.address}/src:1", "oci:saved", "--referrers", cwd=tmp_path)
    (tmp_path / "saved/blobs/sha256" / sbom.layers[0].digest.encoded).unlink()
    with Sandbox() as target:
        done = program("copy", "oci:saved", f"{target.address}/dst:1", cwd=tmp_path, code=None)
        assert done.returncode != 0
        assert f"this is of the sbom {sbom.digest}" in done.stderr
        assert target.store.tags("dst") == ("1",)
