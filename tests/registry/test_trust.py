"""verify and require: what counts as a signature, what does not and why, and that nothing is sent before."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from around import pushed
from equipment.faults import Answer, Fault
from equipment.options import SandboxOptions
from equipment.sandbox import Sandbox
from images import Layout, layer, make_layout
from program import program
from published import check_json
from signingkeys import pair

from oci_push.engine.signing.trust import Verification
from oci_push.errors import ConfigError
from oci_push.language.config import load_config
from oci_push.model.descriptor import Descriptor
from oci_push.model.digest import Digest
from oci_push.model.endpoint import RegistryEndpoint, find_endpoint
from oci_push.sandbox.store import StoredManifest
from oci_push.secret import Secret
from oci_push.signing.bundle import make_bundle
from oci_push.signing.keys import read_signing_key
from oci_push.signing.statement import SIGNATURE, Predicate, simple_payload, statement

BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
SIMPLE = "application/vnd.dev.cosign.simplesigning.v1+json"
OCI = "application/vnd.oci.image.manifest.v1+json"
REFUSED = 8


@pytest.fixture(autouse=True)
def keys(tmp_path: Path) -> None:
    pair(tmp_path, "one")
    pair(tmp_path, "two")


@pytest.fixture
def name(sandbox: Sandbox, image: Layout, tmp_path: Path) -> str:
    """Give an image that is signed with key one, and its repository."""
    found = pushed(sandbox, image, "1")
    program("sign", f"{found}:1", "--key", "one.key", "-a", "stage=prod", cwd=tmp_path)
    sandbox.traffic.clear()
    return f"{found}:1"


def refused(*words: str, cwd: Path) -> str:
    done = program("verify", *words, cwd=cwd, code=REFUSED)
    assert done.stdout == ""
    assert "OCP-UNTRUSTED" in done.stderr
    return done.stderr


def put_bundle(name: str, raw: bytes, image: Layout, sandbox: Sandbox, tmp_path: Path) -> None:
    """Store any bytes as a bundle about an image."""
    repository = name.rpartition(":")[0]
    (tmp_path / "bundle.json").write_bytes(raw)
    program(
        "artifact", "push", f"bundle.json:{BUNDLE}", repository, "--type", BUNDLE, "--subject", image.digest,
        cwd=tmp_path,
    )  # fmt: skip


def put_sig(name: str, image: Layout, payload: bytes, signature: bytes, tmp_path: Path) -> None:
    """Store any payload with any signature under an image's tag."""
    repository = name.rpartition(":")[0]
    (tmp_path / "payload").write_bytes(payload)
    (tmp_path / "config").write_bytes(b"{}")
    for one in ("payload", "config"):
        program("blob", "put", repository, one, cwd=tmp_path)
    described = {"mediaType": SIMPLE, "digest": str(Digest.of(payload)), "size": len(payload)}
    annotations = {"dev.cosignproject.cosign/signature": base64.b64encode(signature).decode()}
    config = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": str(Digest.of(b"{}")), "size": 2}
    value = {
        "schemaVersion": 2,
        "mediaType": OCI,
        "config": config,
        "layers": [{**described, "annotations": annotations}],
    }
    (tmp_path / "sig.json").write_text(json.dumps(value))
    program("manifest", "put", f"{repository}:{image.digest.replace(':', '-')}.sig", "sig.json", cwd=tmp_path)


def test_a_signed_image_is_verified_and_its_digest_printed(name: str, image: Layout, tmp_path: Path) -> None:
    done = program("verify", name, "--key", "one.pub", cwd=tmp_path)
    assert done.stdout == (
        f"{name.rpartition(':')[0]}@{image.digest}\n"
        "  signature  by one.pub  (bundle)  stage=prod\n"
        "  signature  by one.pub  (sig)  stage=prod\n"
    )
    program("verify", name, "--key", "two.pub", "--key", "one.pub", "-a", "stage=prod", cwd=tmp_path)
    told = program("verify", name, "--key", "one.pub", "--json", cwd=tmp_path).stdout
    check_json(told, Verification)
    assert json.loads(told)["images"][0]["digest"] == image.digest


@pytest.mark.parametrize("form", ["bundle", "sig"])
def test_each_form_alone_is_enough(form: str, sandbox: Sandbox, image: Layout, tmp_path: Path) -> None:
    found = pushed(sandbox, image, "1")
    program("sign", f"{found}:1", "--key", "one.key", "--sign-format", form, cwd=tmp_path)
    assert f"({form})" in program("verify", f"{found}:1", "--key", "one.pub", cwd=tmp_path).stdout


def test_another_key_is_refused(name: str, tmp_path: Path) -> None:
    said = refused(name, "--key", "two.pub", cwd=tmp_path)
    assert "no signature by two.pub; found: 2 that are not signed with a key that is trusted" in said


def test_another_annotation_is_refused(name: str, tmp_path: Path) -> None:
    said = refused(name, "--key", "one.pub", "-a", "stage=test", cwd=tmp_path)
    assert "no signature by one.pub with stage=test; found: bundle sha256:" in said
    assert "its annotation stage is 'prod'" in said


def test_what_is_not_signed_is_refused(sandbox: Sandbox, image: Layout, tmp_path: Path) -> None:
    said = refused(f"{pushed(sandbox, image, '1')}:1", "--key", "one.pub", cwd=tmp_path)
    assert f"{image.digest} is refused: no signature by one.pub; nothing is signed about it there" in said


def test_an_image_that_is_named_by_its_digest_is_named_once(sandbox: Sandbox, image: Layout, tmp_path: Path) -> None:
    by_digest = f"{pushed(sandbox, image, '1')}@{image.digest}"
    said = refused(by_digest, "--key", "one.pub", cwd=tmp_path)
    assert f"error: {by_digest} is refused: no signature by one.pub" in said
    assert said.count(image.digest) == 1


def test_an_image_under_the_same_tag_with_another_digest_is_refused(
    name: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    pushed(sandbox, make_layout(tmp_path / "other", layer(9)), "1")
    assert "nothing is signed about it" in refused(name, "--key", "one.pub", cwd=tmp_path)


def test_a_signature_of_another_image_counts_for_nothing(name: str, sandbox: Sandbox, tmp_path: Path) -> None:
    """Both forms are taken from a signed image and put beside one that is not, as who may push could."""
    other = make_layout(tmp_path / "other", layer(9))
    pushed(sandbox, other, "2")
    key = read_signing_key(Secret((tmp_path / "one.key").read_text()), None, "k")
    signed = Digest.parse(program("digest", name, cwd=tmp_path).stdout.strip())
    put_bundle(name, make_bundle(statement(signed, SIGNATURE, {}), key), other, sandbox, tmp_path)
    payload = simple_payload("x.example/y", signed, {})
    put_sig(name, other, payload, key.sign(payload), tmp_path)
    said = refused(f"{name.rpartition(':')[0]}:2", "--key", "one.pub", cwd=tmp_path)
    assert said.count("is about another image") == 2


def test_an_attestation_is_no_signature(sandbox: Sandbox, image: Layout, tmp_path: Path) -> None:
    found = f"{pushed(sandbox, image, '1')}:1"
    (tmp_path / "sbom.json").write_text('{"spdxVersion": "SPDX-2.3"}')
    program("attest", found, "--type", "spdxjson", "--predicate", "sbom.json", "--key", "one.key", cwd=tmp_path)
    said = refused(found, "--key", "one.pub", cwd=tmp_path)
    assert "no signature by one.pub" in said
    assert "is an attestation of https://spdx.dev/Document" in said
    told = program("verify", found, "--key", "one.pub", "--type", "spdxjson", cwd=tmp_path).stdout
    assert "attestation (https://spdx.dev/Document)  by one.pub" in told
    assert "no attestation of https://slsa.dev/provenance/v1" in refused(
        found, "--key", "one.pub", "--type", "slsaprovenance1", cwd=tmp_path
    )


def test_a_signature_is_no_attestation(name: str, tmp_path: Path) -> None:
    said = refused(name, "--key", "one.pub", "--type", "spdxjson", cwd=tmp_path)
    assert "no attestation of https://spdx.dev/Document by one.pub" in said
    assert "is a signature" in said


def test_annotations_beside_what_was_signed_count_for_nothing(
    name: str, image: Layout, sandbox: Sandbox, tmp_path: Path
) -> None:
    """The signature is right; the manifest and the layer around it say more than was signed."""
    key = read_signing_key(Secret((tmp_path / "two.key").read_text()), None, "k")
    payload = simple_payload("x.example/y", Digest.parse(image.digest), {})
    put_sig(name, image, payload, key.sign(payload), tmp_path)
    program("verify", name, "--key", "two.pub", cwd=tmp_path)
    assert "it has no annotation stage" in refused(name, "--key", "two.pub", "-a", "stage=prod", cwd=tmp_path)


@pytest.mark.parametrize("at", ["payload", "sig"])
def test_a_changed_bundle_is_signed_by_nobody(at: str, sandbox: Sandbox, image: Layout, tmp_path: Path) -> None:
    found = f"{pushed(sandbox, image, '1')}:1"
    key = read_signing_key(Secret((tmp_path / "one.key").read_text()), None, "k")
    value = json.loads(make_bundle(statement(Digest.parse("sha256:" + "0" * 64), SIGNATURE, {}), key))
    envelope = value["dsseEnvelope"]
    if at == "payload":
        envelope["payload"] = base64.b64encode(statement(Digest.parse(image.digest), SIGNATURE, {})).decode()
    else:
        envelope["signatures"] = [{"sig": ""}, {"sig": "AAAA"}]
    put_bundle(found, json.dumps(value).encode(), image, sandbox, tmp_path)
    assert "1 that is not signed with a key that is trusted" in refused(found, "--key", "one.pub", cwd=tmp_path)


def put_under(name: str, tag: str, kind: str, raw: bytes, tmp_path: Path, **more: object) -> None:
    """Store bytes as the layer of a manifest under a tag."""
    repository = name.rpartition(":")[0]
    (tmp_path / "layer").write_bytes(raw)
    (tmp_path / "config").write_bytes(b"{}")
    for one in ("layer", "config"):
        program("blob", "put", repository, one, cwd=tmp_path)
    config = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": str(Digest.of(b"{}")), "size": 2}
    described = {"mediaType": kind, "digest": str(Digest.of(raw)), "size": len(raw), **more}
    value = {"schemaVersion": 2, "mediaType": OCI, "config": config, "layers": [described]}
    (tmp_path / "manifest.json").write_text(json.dumps(value))
    program("manifest", "put", f"{repository}:{tag}", "manifest.json", cwd=tmp_path)


def test_an_attestation_under_cosign_2s_tag_counts(name: str, image: Layout, sandbox: Sandbox, tmp_path: Path) -> None:
    key = read_signing_key(Secret((tmp_path / "one.key").read_text()), None, "k")
    said = statement(Digest.parse(image.digest), Predicate("https://spdx.dev/Document"), {})
    envelope = json.dumps(json.loads(make_bundle(said, key))["dsseEnvelope"]).encode()
    tag = f"{image.digest.replace(':', '-')}.att"
    put_under(name, tag, "application/vnd.dsse.envelope.v1+json", envelope, tmp_path)
    told = program("verify", name, "--key", "one.pub", "--type", "spdxjson", cwd=tmp_path).stdout
    assert "attestation (https://spdx.dev/Document)  by one.pub  (att)" in told
    refused(name, "--key", "two.pub", "--type", "spdxjson", cwd=tmp_path)


@pytest.mark.parametrize(
    ("annotations", "said"),
    [({"dev.cosignproject.cosign/signature": "no base64!"}, "is no base64"), ({}, "1 that is not signed")],
)
def test_what_is_damaged_under_the_tag_is_told(
    annotations: dict[str, str], said: str, sandbox: Sandbox, image: Layout, tmp_path: Path
) -> None:
    found = f"{pushed(sandbox, image, '1')}:1"
    payload = simple_payload("x.example/y", Digest.parse(image.digest), {})
    tag = f"{image.digest.replace(':', '-')}.sig"
    put_under(found, tag, SIMPLE, payload, tmp_path, annotations=annotations)
    assert said in refused(found, "--key", "one.pub", cwd=tmp_path)
    program("sign", found, "--key", "one.key", "--sign-format", "sig", cwd=tmp_path)
    program("verify", found, "--key", "one.pub", cwd=tmp_path)


def test_a_damaged_manifest_under_the_tag_hides_no_bundle(
    name: str, image: Layout, sandbox: Sandbox, tmp_path: Path
) -> None:
    path = rf"manifests/{image.digest.replace(':', '-')}\.sig"
    answer = Answer(200, {"Content-Type": OCI}, b'{"schemaVersion": 2, "layers": [{"size": -1}]}')
    sandbox.faults.add(Fault("GET", path, times=0, action=answer))
    assert "(bundle)" in program("verify", name, "--key", "one.pub", cwd=tmp_path).stdout
    assert "sig sha256:" in refused(name, "--key", "two.pub", cwd=tmp_path)


def test_what_several_keys_have_signed_is_read_once(sandbox: Sandbox, image: Layout, tmp_path: Path) -> None:
    found = f"{pushed(sandbox, image, '1')}:1"
    program("sign", found, "--key", "one.key", "--key", "two.key", "--sign-format", "sig", cwd=tmp_path)
    sandbox.traffic.clear()
    told = program("verify", found, "--key", "one.pub", "--key", "two.pub", cwd=tmp_path).stdout
    assert told.count("(sig)") == 2
    assert sandbox.traffic.count(method="GET", path_pattern="blobs") == 1


def test_an_annotation_has_one_value(name: str, tmp_path: Path) -> None:
    done = program("verify", name, "--key", "one.pub", "-a", "stage=test", "-a", "stage=prod", cwd=tmp_path, code=2)
    assert "gives one name several values" in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("sign", "NAME", "--key", "one.key", "-a", "BAD"),
        ("verify", "NAME", "--key", "one.pub", "-a", "BAD"),
        ("push", "docker://NAME", "NAME", "--sign", "one.key", "--sign-annotation", "BAD"),
        ("attach", "NAME", "one.pub:text/plain", "-a", "BAD"),
    ],
    ids=lambda words: words[0],
)
def test_an_annotation_that_is_no_text_is_told(words: tuple[str, ...], name: str, tmp_path: Path) -> None:
    line = [one.replace("NAME", name).replace("BAD", "stage=\udcff") for one in words]
    assert "is no text in UTF-8" in program(*line, cwd=tmp_path, code=2).stderr


def test_a_signature_that_is_gone_is_told_and_no_failure_of_the_rest(
    name: str, image: Layout, sandbox: Sandbox, tmp_path: Path
) -> None:
    payload = simple_payload(name.rpartition(":")[0], Digest.parse(image.digest), {"stage": "prod"})
    assert sandbox.store.remove_blob("team/app", Digest.of(payload))
    assert "(bundle)" in program("verify", name, "--key", "one.pub", cwd=tmp_path).stdout
    assert "sig sha256:" in refused(name, "--key", "two.pub", cwd=tmp_path)


def test_what_cannot_be_read_does_not_hide_what_can(name: str, image: Layout, sandbox: Sandbox, tmp_path: Path) -> None:
    put_bundle(name, b"no bundle", image, sandbox, tmp_path)
    program("verify", name, "--key", "one.pub", cwd=tmp_path)
    assert "is not JSON" in refused(name, "--key", "two.pub", cwd=tmp_path)


def test_a_registry_that_fails_is_no_image_without_signatures(name: str, sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.faults.add(Fault("GET", r"manifests/sha256-.*\.sig", times=0, action=Answer(500)))
    done = program("verify", name, "--key", "one.pub", cwd=tmp_path, code=5)
    assert "OCP-UNAVAILABLE" in done.stderr


def test_no_more_is_read_than_there_is_room_for(name: str, image: Layout, sandbox: Sandbox, tmp_path: Path) -> None:
    repository = name.rpartition(":")[0]
    (tmp_path / "empty").write_bytes(b"{}")
    program("blob", "put", repository, "empty", cwd=tmp_path)
    there = {"digest": str(Digest.of(b"{}")), "size": 2}
    for number in range(3):
        layer = {**there, "mediaType": BUNDLE, "size": 60 * 1024 * 1024 + number}
        config = {**there, "mediaType": "application/vnd.oci.empty.v1+json"}
        raw = json.dumps({"schemaVersion": 2, "mediaType": OCI, "config": config, "layers": [layer]}).encode()
        about = Descriptor(OCI, Digest.of(raw), len(raw), artifact_type=BUNDLE)
        sandbox.store.add_manifest("team/app", StoredManifest(about, Digest.parse(image.digest)), raw, ())
    said = refused(name, "--key", "two.pub", cwd=tmp_path)
    assert said.count("is not what its manifest says") == 2
    assert said.count("is not read: all that is signed about this has more than 134217728 bytes") == 1


def test_a_key_that_no_file_can_be_is_told(sandbox: Sandbox, image: Layout, tmp_path: Path) -> None:
    (tmp_path / "named.yaml").write_text(
        f'registries: [{{name: r, domain: "{sandbox.address}", sign: {{keys: "a\\0b"}}}}]'
    )
    env = {"OCI_PUSH_CONFIG": str(tmp_path / "named.yaml")}
    done = program("push", f"oci:{image.path}", f"{sandbox.address}/x:1", cwd=tmp_path, code=2, **env)
    assert "cannot be read" in done.stderr


def test_of_several_images_each_is_told(name: str, sandbox: Sandbox, tmp_path: Path) -> None:
    pushed(sandbox, make_layout(tmp_path / "other", layer(9)), "2")
    other = f"{name.rpartition(':')[0]}:2"
    done = program("verify", name, other, "--key", "one.pub", cwd=tmp_path, code=1)
    assert done.stdout.count("signature  by one.pub") == 2
    assert f"error: {other}: " in done.stderr


POLICY = """\
policies:
- repository: '*/team/*'
  require: {keys: [one.pub, two.pub], match: MATCH, annotations: {stage: prod}}
"""


def test_a_policy_says_who_must_have_signed_which_repositories(name: str, tmp_path: Path) -> None:
    (tmp_path / "any.yaml").write_text(POLICY.replace("MATCH", "any"))
    (tmp_path / "all.yaml").write_text(POLICY.replace("MATCH", "all"))
    program("verify", name, "--policy", "any.yaml", cwd=tmp_path)
    assert "no signature by two.pub with stage=prod" in refused(name, "--policy", "all.yaml", cwd=tmp_path)
    program("sign", name, "--key", "two.key", "-a", "stage=prod", cwd=tmp_path)
    program("verify", name, "--policy", "all.yaml", cwd=tmp_path)


def test_one_key_under_two_names_is_not_two_that_have_signed(name: str, tmp_path: Path) -> None:
    (tmp_path / "two.pub").write_bytes((tmp_path / "one.pub").read_bytes())
    (tmp_path / "all.yaml").write_text(POLICY.replace("MATCH", "all"))
    (tmp_path / "any.yaml").write_text(POLICY.replace("MATCH", "any"))
    assert "one.pub and two.pub are one key" in refused(name, "--policy", "all.yaml", cwd=tmp_path)
    program("verify", name, "--policy", "any.yaml", cwd=tmp_path)


def test_what_is_attested_cannot_become_a_signature(sandbox: Sandbox, image: Layout, tmp_path: Path) -> None:
    found = pushed(sandbox, image, "1")
    (tmp_path / "p.json").write_text("{}")
    words = ("--type", "https://sigstore.dev/cosign/sign/v1", "--predicate", "p.json", "--key", "one.key")
    done = program("attest", f"{found}:1", *words, cwd=tmp_path, code=2)
    assert "is the type of a signature" in done.stderr
    assert "nothing is signed about it there" in refused(f"{found}:1", "--key", "one.pub", cwd=tmp_path)


def test_a_repository_that_no_policy_names_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text(POLICY.replace("MATCH", "any").replace("team", "other"))
    assert "no rule of policy.yaml names it" in refused(name, "--policy", "policy.yaml", cwd=tmp_path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("policies: [{repository: '*'}]", "require"),
        ("policies: [{repository: '*', require: {}}]", "keys"),
        ("policies: [{repository: '*', require: {keys: [none.pub]}}]", "none.pub: cannot be read"),
        ("policies: [{repository: '*', require: {keys: [one.pub], attestations: [sbom]}}]", "no predicate type"),
        ("policies: [{repository: '*', require: {keys: [one.pub], match: some}}]", "match"),
        ("rules: []", "policies"),
    ],
)
def test_a_wrong_policy_is_told_with_its_place(text: str, said: str, name: str, tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text(text)
    done = program("verify", name, "--policy", "policy.yaml", cwd=tmp_path, code=2)
    assert said in done.stderr
    assert "policy.yaml:1:" in done.stderr


def described(sandbox: Sandbox, tmp_path: Path, **more: object) -> Mapping[str, str]:
    """Write an oci-push.yaml that is named; gives the environment."""
    entry = {"name": "r", "domain": sandbox.address, **more}
    (tmp_path / "named.yaml").write_text(json.dumps({"registries": [entry]}))
    return {"OCI_PUSH_CONFIG": str(tmp_path / "named.yaml")}


@pytest.mark.parametrize(
    "words",
    [
        ("push", "docker://NAME", "TO/team/app:1"),
        ("push", "docker://NAME", "TO/team/app:1", "--plan"),
        ("push", "docker://NAME", "TO/team/app:1", "--annotation", "a=b"),
        ("copy", "NAME", "TO/team/app"),
        ("pull", "NAME", "oci:saved"),
        ("index", "create", "TO/team/app:1", "NAME=linux/amd64"),
        ("mirror", "mirror.yml"),
        ("run", "pipeline.yml"),
    ],
    ids=lambda words: " ".join(words[::3]),
)
def test_what_is_not_signed_as_required_goes_nowhere(
    words: tuple[str, ...], name: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    with Sandbox() as to:
        (tmp_path / "mirror.yml").write_text(f"images: [{{from: '{name}', to: '{to.address}/team/app'}}]\n")
        (tmp_path / "pipeline.yml").write_text(
            "version: '1.0'\nsteps:\n"
            f"  p: {{type: push, candidate: '{name}', image_name: team/app, registry: to, tag: '1'}}\n"
        )
        entry = {"name": "r", "domain": sandbox.address, "require": {"keys": ["two.pub"]}}
        other = {"name": "to", "domain": to.address}
        (tmp_path / "named.yaml").write_text(json.dumps({"registries": [entry, other]}))
        line = [one.replace("NAME", name).replace("TO", to.address) for one in words]
        env = {"OCI_PUSH_CONFIG": str(tmp_path / "named.yaml")}
        done = program(*line, cwd=tmp_path, code=None, **env)
        assert done.returncode in (REFUSED, 1)
        assert "no signature by two.pub" in done.stderr + done.stdout
        assert to.store.repositories() == ()
        assert not (tmp_path / "saved/index.json").exists()
        (tmp_path / "named.yaml").write_text((tmp_path / "named.yaml").read_text().replace("two.pub", "one.pub"))
        program(*line, cwd=tmp_path, **env)


def test_the_digest_that_is_verified_is_the_one_that_is_pushed(name: str, sandbox: Sandbox, tmp_path: Path) -> None:
    env = described(sandbox, tmp_path, require={"keys": ["one.pub"]})
    with Sandbox() as to:
        program("push", f"docker://{name}", f"{to.address}/team/app:1", "--no-memory", cwd=tmp_path, **env)
    tag = name.rpartition(":")[2]
    asked = [one.path for one in sandbox.traffic.requests if one.path.endswith(f"/manifests/{tag}")]
    assert len(asked) == 1


def test_what_is_required_holds_in_any_letter_case(name: str, sandbox: Sandbox, tmp_path: Path) -> None:
    host = sandbox.address.replace("127.0.0.1", "localhost")
    entry = {"name": "r", "domain": host, "require": {"keys": ["two.pub"]}}
    (tmp_path / "named.yaml").write_text(json.dumps({"registries": [entry]}))
    source = f"docker://{name.replace(sandbox.address, host.upper())}"
    env = {"OCI_PUSH_CONFIG": str(tmp_path / "named.yaml")}
    program("push", source, f"{sandbox.address}/other:1", cwd=tmp_path, code=REFUSED, **env)
    assert "other" not in sandbox.store.repositories()


STEP = "version: '1.0'\nsteps:\n  p: {type: push, candidate: 'NAME', image_name: app, registry: to, tag: '1'MORE}\n"
BUILD = STEP.replace("steps:\n", "steps:\n  b: {type: build, image_name: app}\n").replace("NAME", "${{b}}")


@pytest.mark.parametrize(
    ("pipeline", "more", "words"),
    [
        (BUILD, "", ("--candidate", "b=docker://NAME")),
        (BUILD, "", ("--candidate", "b=docker://NAME", "--on", "local:1")),
        (STEP, ", registry_context: other", ()),
    ],
    ids=["image of a build", "image of a build, elsewhere", "another login of the host"],
)
def test_no_way_of_a_pipeline_leads_past_what_is_required(
    pipeline: str, more: str, words: tuple[str, ...], name: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    with Sandbox() as to:
        registries = [
            {"name": "r", "domain": sandbox.address, "require": {"keys": ["two.pub"]}},
            {"name": "other", "domain": sandbox.address, "primary": False},
            {"name": "to", "domain": to.address},
        ]
        (tmp_path / "named.yaml").write_text(json.dumps({"registries": registries}))
        (tmp_path / "pipeline.yml").write_text(pipeline.replace("NAME", name).replace("MORE", more))
        line = ["run", "pipeline.yml", "--config", "named.yaml", *(one.replace("NAME", name) for one in words)]
        done = program(*line, cwd=tmp_path, code=1)
        assert "no signature by two.pub" in done.stderr
        assert to.store.repositories() == ()
        (tmp_path / "named.yaml").write_text(json.dumps({"registries": registries}).replace("two.pub", "one.pub"))
        program(*line, cwd=tmp_path)


def test_a_worker_requires_what_its_own_file_says_of_the_host(name: str, sandbox: Sandbox, tmp_path: Path) -> None:
    """Whatever the plan was made with, and with whichever login of the host the image is pulled."""
    with Sandbox() as to:
        registries = [
            {"name": "r", "domain": sandbox.address, "require": {"keys": ["one.pub"]}},
            {"name": "other", "domain": sandbox.address, "primary": False},
            {"name": "to", "domain": to.address},
        ]
        (tmp_path / "plan.yaml").write_text(json.dumps({"registries": registries}))
        (tmp_path / "work.yaml").write_text(json.dumps({"registries": registries}).replace("one.pub", "two.pub"))
        step = STEP.replace("NAME", name).replace("MORE", ", registry_context: other")
        (tmp_path / "pipeline.yml").write_text(step)
        program("plan", "pipeline.yml", "--units", "u.jsonl", "--config", "plan.yaml", cwd=tmp_path)
        done = program("work", "u.jsonl", "--config", "work.yaml", cwd=tmp_path, code=REFUSED)
        assert "no signature by two.pub" in done.stderr
        assert to.store.repositories() == ()
        program("work", "u.jsonl", "--config", "plan.yaml", cwd=tmp_path)


def test_what_is_required_holds_where_a_fallback_is_read(name: str, sandbox: Sandbox, tmp_path: Path) -> None:
    """Who can make a registry fail does not choose what is pushed."""
    with Sandbox() as gone, Sandbox() as to:
        registries = [
            {"name": "r", "domain": gone.address, "require": {"keys": ["two.pub"]}, "fallback_registry": "back"},
            {"name": "back", "domain": sandbox.address},
            {"name": "to", "domain": to.address},
        ]
        (tmp_path / "named.yaml").write_text(json.dumps({"registries": registries}))
        there = name.replace(sandbox.address, gone.address)
        (tmp_path / "pipeline.yml").write_text(STEP.replace("NAME", there).replace("MORE", ""))
        line = ("run", "pipeline.yml", "--config", "named.yaml")
        done = program(*line, cwd=tmp_path, code=1)
        assert f"trying {name}" in done.stderr
        assert "no signature by two.pub" in done.stderr
        assert to.store.repositories() == ()
        registries[1]["require"] = {"keys": ["one.pub"]}  # one of its own goes before
        (tmp_path / "named.yaml").write_text(json.dumps({"registries": registries}))
        program(*line, cwd=tmp_path)


@pytest.mark.parametrize("said", ["registry.example.com", "Registry.Example.com:443"])
@pytest.mark.parametrize(
    "host",
    ["registry.example.com", "registry.example.com:443", "REGISTRY.example.com:443", "registry.example.com:0443"],
)
def test_what_is_said_of_a_registry_holds_however_it_is_spelled(host: str, said: str) -> None:
    config = load_config(f"registries: [{{name: r, domain: '{said}'}}]", "c.yaml", {}, lambda _: "")
    found = config.for_pull(host)
    assert found is not None
    assert find_endpoint({said: RegistryEndpoint(said)}, host) == RegistryEndpoint(said)
    assert config.for_pull("registry.example.com:8443") is None
    assert find_endpoint({said: RegistryEndpoint(said)}, "registry.example.com:8443") is None


ECR = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"


def test_what_is_required_of_an_ecr_without_domain_is_required_of_its_roles_account() -> None:
    entry = "registries: [{name: e, provider: ecr, region: eu-west-1, ROLE require: {keys: [k]}}]"
    role = "role_arn: 'arn:aws:iam::123456789012:role/x',"
    config = load_config(entry.replace("ROLE", role), "c.yaml", {}, lambda _: "PEM")
    found = config.for_pull(ECR)
    assert found is not None
    assert found.endpoint(with_login=False).require is not None
    with pytest.raises(ConfigError, match='"require" goes by the host, and the account is not known here'):
        load_config(entry.replace("ROLE", ""), "c.yaml", {}, lambda _: "PEM")


def test_what_belongs_to_a_verified_image_comes_along_unasked(name: str, sandbox: Sandbox, tmp_path: Path) -> None:
    env = described(sandbox, tmp_path, require={"keys": ["one.pub"]})
    with Sandbox() as to:
        told = program("copy", name, f"{to.address}/team/app", cwd=tmp_path, **env)
        assert "2 signatures" in told.stderr
        program("verify", f"{to.address}/team/app:1", "--key", "one.pub", cwd=tmp_path)
    program("pull", name, "oci:saved", "--referrers", cwd=tmp_path, **env)


def test_an_entry_says_what_is_signed(sandbox: Sandbox, image: Layout, tmp_path: Path) -> None:
    env = described(sandbox, tmp_path, sign={"keys": ["one.key"], "forms": "bundle", "annotations": {"by": "ci"}})
    found = f"{sandbox.address}/team/app:1"
    program("push", f"oci:{image.path}", found, cwd=tmp_path, **env)
    told = program("verify", found, "--key", "one.pub", "-a", "by=ci", cwd=tmp_path).stdout
    assert told.endswith("  signature  by one.pub  (bundle)  by=ci\n")


def test_a_file_that_was_found_may_not_sign_and_is_not_passed_over(
    sandbox: Sandbox, image: Layout, tmp_path: Path
) -> None:
    entry = {"name": "r", "domain": sandbox.address, "sign": {"keys": ["one.key"]}}
    (tmp_path / "oci-push.yaml").write_text(json.dumps({"registries": [entry]}))
    done = program("push", f"oci:{image.path}", f"{sandbox.address}/team/app:1", cwd=tmp_path, code=2)
    assert "was found, not named, and may not say what is signed" in done.stderr
    assert sandbox.traffic.requests == ()


def test_a_required_key_that_cannot_be_read_lets_nothing_through(name: str, sandbox: Sandbox, tmp_path: Path) -> None:
    for named in (True, False):
        file = tmp_path / ("named.yaml" if named else "oci-push.yaml")
        entry = {"name": "r", "domain": sandbox.address, "require": {"keys": ["none.pub"]}}
        file.write_text(json.dumps({"registries": [entry]}))
        env = {"OCI_PUSH_CONFIG": str(file)} if named else {}
        with Sandbox() as to:
            done = program("push", f"docker://{name}", f"{to.address}/a:1", cwd=tmp_path, code=2, **env)
            assert "none.pub: cannot be read" in done.stderr
            assert to.traffic.requests == ()


def test_a_mirror_may_hold_the_signatures_or_the_place_that_was_named(
    name: str, sandbox: Sandbox, image: Layout, tmp_path: Path
) -> None:
    with Sandbox(options=SandboxOptions(referrers=False)) as mirror, Sandbox() as to:
        pushed(mirror, image, "1")
        folder = tmp_path / "home/.config/containers"
        folder.mkdir(parents=True)
        (folder / "registries.conf").write_text(
            f'[[registry]]\nlocation = "{sandbox.address}"\n[[registry.mirror]]\nlocation = "{mirror.address}"\n'
            "insecure = true\n"
        )
        env = described(sandbox, tmp_path, require={"keys": ["one.pub"]})
        done = program("push", f"docker://{name}", f"{to.address}/team/app:1", cwd=tmp_path, **env)
        assert "is read from the mirror" in done.stderr
        assert "is signed as required, by one.pub" in done.stderr


@pytest.mark.parametrize("is_signed", [True, False])
def test_a_mirror_with_all_that_is_required_stands_in_for_a_registry_that_is_away(
    is_signed: bool, name: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    """What is not known is not taken for signed."""
    with Sandbox() as mirror, Sandbox() as to:
        words = () if is_signed else ("--no-referrers",)
        program("copy", name, f"{mirror.address}/team/app", *words, cwd=tmp_path)
        folder = tmp_path / "home/.config/containers"
        folder.mkdir(parents=True)
        (folder / "registries.conf").write_text(
            f'[[registry]]\nlocation = "{sandbox.address}"\n[[registry.mirror]]\nlocation = "{mirror.address}"\n'
            "insecure = true\n"
        )
        sandbox.faults.add(Fault(times=0, action=Answer(403)))
        env = described(sandbox, tmp_path, require={"keys": ["one.pub"]})
        line = ("push", f"docker://{name}", f"{to.address}/team/app:1")
        done = program(*line, cwd=tmp_path, code=0 if is_signed else 5, **env)
        assert ("is signed as required" in done.stderr) == is_signed
        assert bool(to.store.repositories()) == is_signed


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("require: []", '"require" must be a mapping with keys'),
        ("sign: x", '"sign" must be a mapping with keys'),
        ("oidc: []", '"oidc" must be auto, or one of env'),
    ],
)
def test_what_is_no_mapping_is_told_by_its_key(key: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load_config(f"registries: [{{name: r, domain: quay.io, username: a+b, {key}}}]", "c.yaml", {}, lambda _: "")
