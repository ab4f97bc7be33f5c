"""push --sign, sign and attest: what is written, in which order, what is not written twice, and beside others."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from around import children_of, pushed, two_platforms
from equipment.faults import Answer, Fault
from equipment.options import SandboxOptions
from equipment.sandbox import Sandbox
from images import Layout
from program import program
from published import check_json
from signingkeys import cosign_file, make, pair, pem_of, public_pem_of

from oci_push import push
from oci_push.engine.signing.there import Signing
from oci_push.events import Event, LogMessage
from oci_push.model.digest import Digest
from oci_push.model.trust import SignRule
from oci_push.runner.image_plan import ImagePlan
from oci_push.runner.report import PushReport
from oci_push.signing.bundle import Envelope
from oci_push.signing.keys import read_verifying_key

BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
SIMPLE = "application/vnd.dev.cosign.simplesigning.v1+json"


@pytest.fixture(autouse=True)
def keys(tmp_path: Path) -> None:
    pair(tmp_path, "one")
    pair(tmp_path, "two")


def sig_tag(image: Layout) -> str:
    return image.digest.replace(":", "-") + ".sig"


def value(sandbox: Sandbox, target: str, repository: str = "team/app") -> dict[str, object]:
    found = json.loads(sandbox.store.manifest(repository, target) or b"{}")
    assert isinstance(found, dict)
    return found


def blob(sandbox: Sandbox, descriptor: dict[str, object], repository: str = "team/app") -> bytes:
    return sandbox.store.blob_path(repository, Digest.parse(str(descriptor["digest"]))).read_bytes()


def layers(sandbox: Sandbox, target: str, repository: str = "team/app") -> list[dict[str, object]]:
    found = value(sandbox, target, repository)["layers"]
    assert isinstance(found, list)
    return found


def bundles(sandbox: Sandbox, image: Layout, repository: str = "team/app") -> list[dict[str, object]]:
    """Give the manifests that have an image as their subject, in the order in which they came."""
    about = [one for one in sandbox.store.manifests(repository) if str(one.subject) == image.digest]
    return [value(sandbox, str(one.descriptor.digest), repository) for one in about]


def test_a_push_signs_in_both_forms_before_it_tags(sandbox: Sandbox, image: Layout, tmp_path: Path) -> None:
    name = f"{sandbox.address}/team/app"
    line = ("push", f"oci:{image.path}", f"{name}:1,2", "--sign", "one.key", "--sign-annotation", "build=42")
    done = program(*line, "--json", cwd=tmp_path)
    check_json(done.stdout, PushReport)
    told = json.loads(done.stdout)["targets"][0]["attached"]
    assert [(one["file"], one["artifact_type"]) for one in told] == [
        ("signature (bundle)", BUNDLE),
        ("signature (sig)", SIMPLE),
    ]
    puts = [one.path for one in sandbox.traffic.select(method="PUT", path_pattern="/manifests/")]
    order = [one.rpartition("/")[2] for one in puts]
    assert order == [image.digest, told[0]["digest"], sig_tag(image), "1", "2"]


def test_a_bundle_is_what_cosign_3_reads(sandbox: Sandbox, image: Layout, tmp_path: Path) -> None:
    name = f"{sandbox.address}/team/app"
    program("push", f"oci:{image.path}", f"{name}:1", "--sign", "one.key", cwd=tmp_path)
    (one,) = bundles(sandbox, image)
    raw = sandbox.store.manifest("team/app", image.digest) or b""
    subject = {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": image.digest, "size": len(raw)}
    assert (one["artifactType"], one["subject"]) == (BUNDLE, subject)
    annotations = one["annotations"]
    assert isinstance(annotations, dict)
    assert annotations.pop("org.opencontainers.image.created").endswith("Z")
    assert annotations == {
        "dev.sigstore.bundle.content": "dsse-envelope",
        "dev.sigstore.bundle.predicateType": "https://sigstore.dev/cosign/sign/v1",
    }
    (layer,) = one["layers"]  # type: ignore[misc]  # a list, as the next line sees
    assert layer["mediaType"] == BUNDLE
    envelope = Envelope.of_bundle(blob(sandbox, layer))
    key = read_verifying_key((tmp_path / "one.pub").read_text(), "one.pub")
    assert key.verifies(envelope.signatures[0], envelope.signed)
    assert json.loads(envelope.payload)["subject"] == [{"digest": {"sha256": image.digest[7:]}}]


def test_the_tag_is_what_podman_reads(sandbox: Sandbox, image: Layout, tmp_path: Path) -> None:
    name = f"{sandbox.address}/team/app"
    program("push", f"oci:{image.path}", f"{name}:1", "--sign", "one.key", cwd=tmp_path)
    (layer,) = layers(sandbox, sig_tag(image))
    payload = blob(sandbox, layer)
    assert json.loads(payload)["critical"] == {
        "identity": {"docker-reference": name},
        "image": {"docker-manifest-digest": image.digest},
        "type": "cosign container image signature",
    }
    key = read_verifying_key((tmp_path / "one.pub").read_text(), "one.pub")
    annotations = layer["annotations"]
    assert isinstance(annotations, dict)
    assert key.verifies(base64.b64decode(annotations["dev.cosignproject.cosign/signature"]), payload)
    config = value(sandbox, sig_tag(image))["config"]
    assert isinstance(config, dict)
    assert json.loads(blob(sandbox, config))["rootfs"]["diff_ids"] == [layer["digest"]]


@pytest.mark.parametrize(("form", "count", "tags"), [("bundle", 1, 1), ("sig", 0, 2), ("bundle,sig", 1, 2)])
def test_only_the_forms_that_are_asked_for_are_written(
    form: str, count: int, tags: int, sandbox: Sandbox, image: Layout, tmp_path: Path
) -> None:
    line = ("push", f"oci:{image.path}", f"{sandbox.address}/team/app:1", "--sign", "one.key", "--sign-format", form)
    program(*line, cwd=tmp_path)
    assert len(bundles(sandbox, image)) == count
    assert len(sandbox.store.tags("team/app")) == tags


def test_signed_again_nothing_is_written(sandbox: Sandbox, image: Layout, tmp_path: Path) -> None:
    name = f"{sandbox.address}/team/app"
    line = ("push", f"oci:{image.path}", f"{name}:1", "--sign", "one.key", "--no-memory")
    program(*line, cwd=tmp_path)
    sandbox.traffic.clear()
    program(*line, cwd=tmp_path)
    told = program("sign", f"{name}:1", "--key", "one.key", cwd=tmp_path).stdout
    assert told.count("(was there)") == 2
    assert {one.method for one in sandbox.traffic.requests} <= {"GET", "HEAD"}


def test_another_key_and_another_annotation_are_signatures_of_their_own(
    sandbox: Sandbox, image: Layout, tmp_path: Path
) -> None:
    name = pushed(sandbox, image, "1")
    for more in (("one.key",), ("two.key",), ("one.key", "-a", "stage=prod")):
        program("sign", f"{name}:1", "--key", *more, cwd=tmp_path)
    assert len(bundles(sandbox, image)) == 3
    found = layers(sandbox, sig_tag(image))
    assert len(found) == 3
    assert found[0]["digest"] == found[1]["digest"] != found[2]["digest"]


def test_what_others_wrote_under_the_tag_stays_byte_for_byte(sandbox: Sandbox, image: Layout, tmp_path: Path) -> None:
    name = pushed(sandbox, image, "1")
    program("sign", f"{name}:1", "--key", "two.key", "--sign-format", "sig", cwd=tmp_path)
    there = value(sandbox, sig_tag(image))
    assert isinstance(there["layers"], list)
    there["layers"][0]["annotations"]["dev.sigstore.cosign/bundle"] = '{"SignedEntryTimestamp": "x"}'
    there["annotations"] = {"of": "others"}
    (tmp_path / "manifest.json").write_text(json.dumps(there))
    program("manifest", "put", f"{name}:{sig_tag(image)}", "manifest.json", cwd=tmp_path)
    program("sign", f"{name}:1", "--key", "one.key", cwd=tmp_path)
    now = value(sandbox, sig_tag(image))
    assert now["annotations"] == {"of": "others"}
    assert layers(sandbox, sig_tag(image))[0] == there["layers"][0]
    assert len(layers(sandbox, sig_tag(image))) == 2


def test_one_bundle_goes_to_every_target_and_a_payload_of_its_own_to_each(
    sandbox: Sandbox, image: Layout, tmp_path: Path
) -> None:
    targets = [f"{sandbox.address}/{path}:1" for path in ("team/app", "other/app")]
    program("push", f"oci:{image.path}", *targets, "--sign", "one.key", cwd=tmp_path)
    assert bundles(sandbox, image) == bundles(sandbox, image, "other/app")
    payloads = [layers(sandbox, sig_tag(image), path)[0]["digest"] for path in ("team/app", "other/app")]
    assert payloads[0] != payloads[1]


def test_no_tag_moves_where_the_image_cannot_be_signed(sandbox: Sandbox, image: Layout, tmp_path: Path) -> None:
    refused = Fault("PUT", r"manifests/sha256-.*\.sig", times=9, action=Answer(403))
    sandbox.faults.add(refused)
    line = ("push", f"oci:{image.path}", f"{sandbox.address}/team/app:1", "--sign", "one.key", "--retries", "0")
    done = program(*line, cwd=tmp_path, code=5)
    assert "signature (sig) is not there" in done.stderr
    assert sandbox.store.tags("team/app") == ()


def test_a_registry_without_lists_gets_one_and_finds_it_again(image: Layout, tmp_path: Path) -> None:
    with Sandbox(options=SandboxOptions(referrers=False)) as sandbox:
        line = ("push", f"oci:{image.path}", f"{sandbox.address}/team/app:1", "--sign", "one.key", "--no-memory")
        for _ in range(2):
            program(*line, cwd=tmp_path)
        program("verify", f"{sandbox.address}/team/app:1", "--key", "one.pub", cwd=tmp_path)
        assert len(layers_of_list(sandbox, image)) == 1


def layers_of_list(sandbox: Sandbox, image: Layout) -> list[object]:
    found = value(sandbox, image.digest.replace(":", "-"))["manifests"]
    assert isinstance(found, list)
    return found


def test_an_attestation_is_a_statement_with_the_predicate_as_it_is(
    sandbox: Sandbox, image: Layout, tmp_path: Path
) -> None:
    name = pushed(sandbox, image, "1")
    sbom = '{ "spdxVersion": "SPDX-2.3" }'
    line = ("attest", f"{name}:1", "--type", "spdxjson", "--predicate", "-", "--key", "one.key", "--json")
    done = program(*line, cwd=tmp_path, stdin=sbom)
    check_json(done.stdout, Signing)
    program(*line, cwd=tmp_path, stdin=sbom)
    (one,) = bundles(sandbox, image)
    (layer,) = one["layers"]  # type: ignore[misc]  # a list, as the next line sees
    envelope = Envelope.of_bundle(blob(sandbox, layer))
    assert envelope.payload.endswith(b'"predicateType":"https://spdx.dev/Document","predicate":' + sbom.encode() + b"}")
    assert sandbox.store.tags("team/app") == ("1",)


def test_a_key_may_come_from_the_environment_and_from_cosigns_file(
    sandbox: Sandbox, image: Layout, tmp_path: Path
) -> None:
    key = make("ed25519")
    (tmp_path / "cosign.key").write_text(cosign_file(key, "right-one"))
    (tmp_path / "cosign.pub").write_text(public_pem_of(key))
    name = pushed(sandbox, image, "1")
    program("sign", f"{name}:1", "--key", "cosign.key", cwd=tmp_path, COSIGN_PASSWORD="right-one")
    told = program("sign", f"{name}:1", "--key", "env://KEY", cwd=tmp_path, KEY=pem_of(key)).stdout
    assert told.count("(was there)") == 2
    program("verify", f"{name}:1", "--key", "env://PUB", cwd=tmp_path, PUB=public_pem_of(key))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("push", "oci:image", "HOST/team/app:2", "--sign", "none.key"), "none.key: cannot be read"),
        (("push", "oci:image", "HOST/team/app:2", "--sign", "env://NONE"), "env://NONE: NONE is not set"),
        (("push", "oci:image", "HOST/team/app:2", "--sign", "one.pub"), "is a public key"),
        (("push", "oci:image", "HOST/team/app:2", "--sign", "awskms:///alias/x"), "such keys are not known here"),
        (("push", "oci:image", "HOST/team/app:2", "--sign", "one.key", "--sign-format", "x"), "'x' is not known"),
        (("push", "oci:image", "HOST/team/app:2", "--sign-format", "sig"), "has no effect without --sign"),
        (("sign", "HOST/team/app:1"), "sign needs --key KEY"),
        (("attest", "HOST/team/app:1", "--key", "one.key"), "attest needs --type TYPE and --predicate FILE"),
        (("attest", "HOST/team/app:1", "--key", "one.key", "--type", "x", "--predicate", "-"), "no predicate type"),
        (("verify", "HOST/team/app:1"), "verify needs --key KEY or --policy FILE"),
        (("verify", "HOST/team/app:1", "--key", "one.key"), "is a private key"),
    ],
    ids=range(11),
)
def test_mistakes_are_told_before_anything_is_sent(
    words: tuple[str, ...], said: str, sandbox: Sandbox, image: Layout, tmp_path: Path
) -> None:
    line = [word.replace("HOST", sandbox.address) for word in words]
    done = program(*line, cwd=tmp_path, code=2)
    assert said in done.stderr
    assert sandbox.traffic.requests == ()


def test_a_tag_that_an_index_has_taken_is_left_alone(sandbox: Sandbox, image: Layout, tmp_path: Path) -> None:
    name = pushed(sandbox, image, "1")
    program("index", "create", f"{name}:{sig_tag(image)}", f"{name}:1=linux/amd64", cwd=tmp_path)
    done = program("sign", f"{name}:1", "--key", "one.key", "--sign-format", "sig", cwd=tmp_path, code=1)
    assert "is taken by an index" in done.stderr
    program("sign", f"{name}:1", "--key", "one.key", "--sign-format", "bundle", cwd=tmp_path)


def test_an_image_that_is_not_there_is_told_and_others_are_signed(
    sandbox: Sandbox, image: Layout, tmp_path: Path
) -> None:
    name = pushed(sandbox, image, "1")
    done = program("sign", f"{name}:none", f"{name}:1", "--key", "one.key", cwd=tmp_path, code=1)
    assert "OCP-NOT-FOUND" in done.stderr
    assert "signature (bundle)" in done.stdout


def test_a_plan_says_what_would_be_signed_and_signs_nothing(sandbox: Sandbox, image: Layout, tmp_path: Path) -> None:
    line = ("push", f"oci:{image.path}", f"{sandbox.address}/team/app:1", "--sign", "one.key", "--plan")
    told = program(*line, cwd=tmp_path).stdout
    assert "  sign     with one.key (bundle, sig), unless that is there\n" in told
    assert "  sign     with one.key (bundle, sig)" in program(*line, "--no-ask", cwd=tmp_path).stdout
    planned = program(*line, "--json", cwd=tmp_path).stdout
    check_json(planned, ImagePlan)
    assert json.loads(planned)["targets"][0]["signed"] == [{"key": "one.key", "forms": ["bundle", "sig"]}]
    assert sandbox.store.repositories() == ()


def test_a_careful_push_reads_signatures_back_and_moves_tags_last(
    sandbox: Sandbox, image: Layout, tmp_path: Path
) -> None:
    targets = [f"{sandbox.address}/{path}:1" for path in ("team/app", "other/app")]
    line = ("push", f"oci:{image.path}", *targets, "--sign", "one.key", "--verify", "--all-or-nothing", "--json")
    told = json.loads(program(*line, cwd=tmp_path).stdout)
    assert [one["verified"] for one in told["targets"]] == [True, True]
    puts = [one.path.rpartition("/")[2] for one in sandbox.traffic.select(method="PUT", path_pattern="/manifests/")]
    assert puts[-2:] == ["1", "1"]
    assert puts.count(sig_tag(image)) == 2


def test_a_signature_that_is_overwritten_by_another_writer_is_put_there_again(
    sandbox: Sandbox, image: Layout, tmp_path: Path
) -> None:
    """The other one has read the tag before us, and writes what it knows of it after us."""
    name = pushed(sandbox, image, "1")
    program("sign", f"{name}:1", "--key", "two.key", "--sign-format", "sig", cwd=tmp_path)
    theirs = sandbox.store.manifest("team/app", sig_tag(image)) or b""
    digest = Digest.of(theirs)
    first = [True]

    def overwrite(event: Event) -> None:
        if first and isinstance(event, LogMessage) and "signed under the tag" in event.text:
            first.clear()
            stored = sandbox.store.find_manifest("team/app", digest)
            assert stored is not None
            sandbox.store.add_manifest("team/app", stored, theirs, (sig_tag(image),))

    rule = SignRule(str(tmp_path / "one.key"), ("sig",))
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("HOME", str(tmp_path / "home"))
        push(f"oci:{image.path}", f"{name}:1", sign=[rule], on_event=overwrite)
    assert first == []
    assert len(layers(sandbox, sig_tag(image))) == 2


@pytest.mark.parametrize(
    ("more", "count"), [((), 1), (("--recursive",), 3), (("--recursive", "--platform", "linux/arm64"), 1)]
)
def test_of_an_index_all_that_it_lists_is_signed_where_that_is_said(
    more: tuple[str, ...], count: int, sandbox: Sandbox, tmp_path: Path
) -> None:
    """Each by its own digest, and the index last: whoever finds that signed finds all."""
    index = two_platforms(tmp_path / "index")
    name = pushed(sandbox, index, "1")
    line = ("sign", f"{name}:1", "--key", "one.key", *more)
    done = program(*line, "--json", cwd=tmp_path)
    check_json(done.stdout, Signing)
    images = json.loads(done.stdout)["images"]
    digests = [one["digest"] for one in images]
    assert len(set(digests)) == count
    assert [len(one["signed"]) for one in images] == [2] * count
    if "--platform" not in more:
        assert digests[-1] == index.digest
    for digest in digests:
        program("verify", f"{name}@{digest}", "--key", "one.pub", cwd=tmp_path)
    assert program(*line, cwd=tmp_path).stdout.count("(was there)") == 2 * count


def test_an_index_is_not_signed_before_all_that_it_lists(sandbox: Sandbox, tmp_path: Path) -> None:
    index = two_platforms(tmp_path / "index")
    name = pushed(sandbox, index, "1")
    first, second = (str(one["digest"]) for one in children_of(index))
    path = f"manifests/{first.replace(':', '-')}.sig"
    sandbox.faults.add(Fault("PUT", path, times=0, action=Answer(403)))
    line = ("sign", f"{name}:1", "--key", "one.key", "--recursive", "--json")
    done = program(*line, cwd=tmp_path, code=1)
    assert f"{index.digest} is not signed, as {first}, which it lists, is not" in done.stderr
    assert bundles(sandbox, index) == []
    program("verify", f"{name}@{second}", "--key", "one.pub", cwd=tmp_path)
    sandbox.faults.clear()
    program(*line, cwd=tmp_path)
    program("verify", f"{name}:1", "--key", "one.pub", cwd=tmp_path)


def test_of_an_index_that_lists_what_is_not_there_nothing_is_signed(sandbox: Sandbox, tmp_path: Path) -> None:
    index = two_platforms(tmp_path / "index")
    name = pushed(sandbox, index, "1")
    gone = children_of(index)[0]["digest"]
    program("delete", f"{name}@{gone}", "--yes", cwd=tmp_path)
    done = program("sign", f"{name}:1", "--key", "one.key", "--recursive", cwd=tmp_path, code=5)
    assert f"@{gone}" in done.stderr
    assert "OCP-NOT-FOUND" in done.stderr
    assert len(sandbox.store.tags("team/app")) == 1
