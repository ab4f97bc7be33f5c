"""Signing without a key: what goes to Fulcio, to the log and to the registry, in which order, and what does not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from around import pushed
from cloudendpoints import Endpoint
from equipment.sandbox import Sandbox
from images import Layout, layer, make_layout
from jobs import CIS, Job
from keyless import IDENTITY, ISSUER
from program import program
from signingkeys import pair
from sigstoreservers import FULCIO, REKOR, REKOR_2, TSA, SigstoreServers

from oci_push.model.digest import Digest

BY = ("--identity", IDENTITY, "--issuer", ISSUER)
SIGN = ("--sign", "keyless", "--trust-root", "trust.json")
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[SigstoreServers]:
    with SigstoreServers() as found:
        (tmp_path / "trust.json").write_text(json.dumps(found.config()))
        yield found


def line(image: Layout, *names: str) -> tuple[str, ...]:
    return ("push", f"oci:{image.path}", *names, *SIGN, "--retries", "0")


def bundles(sandbox: Sandbox, image: Layout, repository: str = "team/app") -> list[bytes]:
    """Give the bundles that have an image as their subject."""
    found = []
    for one in sandbox.store.manifests(repository):
        if str(one.subject) == image.digest:
            value = json.loads(sandbox.store.manifest(repository, str(one.descriptor.digest)) or b"{}")
            blob = Digest.parse(value["layers"][0]["digest"])
            found.append(sandbox.store.blob_path(repository, blob).read_bytes())
    return found


def test_the_token_goes_to_fulcio_alone_and_the_signature_before_the_tag(
    sandbox: Sandbox, image: Layout, servers: SigstoreServers, tmp_path: Path
) -> None:
    name, token = f"{sandbox.address}/team/app", servers.token()
    program(*line(image, f"{name}:1"), cwd=tmp_path, SIGSTORE_ID_TOKEN=token)
    assert servers.paths() == [FULCIO, REKOR]
    assert servers.asked[0].headers["authorization"] == f"Bearer {token}"
    assert list(json.loads(servers.asked[0].body)) == ["certificateSigningRequest"]
    everything = [str(one.headers) + one.body.decode() for one in servers.asked[1:]]
    assert token not in "".join(everything)
    puts = [one.path.rpartition("/")[2] for one in sandbox.traffic.select(method="PUT", path_pattern="/manifests/")]
    assert (puts[0], puts[-1]) == (image.digest, "1")
    assert len(puts) == 3
    told = program("verify", f"{name}:1", *BY, "--trust-root", "trust.json", cwd=tmp_path).stdout
    assert f"  signature  by {IDENTITY} of {ISSUER}  (bundle)\n" in told


def test_what_is_signed_once_is_the_same_everywhere(
    sandbox: Sandbox, image: Layout, servers: SigstoreServers, tmp_path: Path
) -> None:
    names = [f"{sandbox.address}/team/{one}:1" for one in ("a", "b", "c")]
    program(*line(image, *names), cwd=tmp_path, SIGSTORE_ID_TOKEN=servers.token())
    assert servers.paths() == [FULCIO, REKOR]
    found = [bundles(sandbox, image, f"team/{one}") for one in ("a", "b", "c")]
    assert len(found[0]) == 1
    assert found[0] == found[1] == found[2]


def test_what_the_identity_has_said_is_not_said_again(
    sandbox: Sandbox, image: Layout, servers: SigstoreServers, tmp_path: Path
) -> None:
    name, env = f"{sandbox.address}/team/app:1", {"SIGSTORE_ID_TOKEN": servers.token()}
    program(*line(image, name), cwd=tmp_path, **env)
    again = program("sign", name, "--keyless", "--trust-root", "trust.json", cwd=tmp_path, **env).stdout
    assert again.endswith("(was there)\n")
    program(*line(image, name), cwd=tmp_path, **env)
    assert servers.paths() == [FULCIO, REKOR, FULCIO, FULCIO]
    assert len(bundles(sandbox, image)) == 1


def test_what_the_identity_has_said_in_other_words_is_not_said_again(
    sandbox: Sandbox, image: Layout, servers: SigstoreServers, tmp_path: Path
) -> None:
    """cosign 3 writes annotations also where there are none."""
    name = f"{pushed(sandbox, image, '1')}:1"
    subject = {"digest": {"sha256": image.digest.partition(":")[2]}, "annotations": {}}
    kind = {"_type": "https://in-toto.io/Statement/v1", "predicateType": "https://sigstore.dev/cosign/sign/v1"}
    (tmp_path / "theirs.json").write_bytes(
        servers.sigstore.sign(json.dumps({**kind, "subject": [subject], "predicate": {}}).encode())
    )
    put = ("artifact", "push", f"theirs.json:{BUNDLE}", name[:-2], "--type", BUNDLE, "--subject", image.digest)
    program(*put, cwd=tmp_path)
    words = ("--keyless", "--trust-root", "trust.json")
    env = {"SIGSTORE_ID_TOKEN": servers.token()}
    assert program("sign", name, *words, cwd=tmp_path, **env).stdout.endswith("(was there)\n")
    assert "(was there)" not in program("sign", name, *words, "-a", "stage=prod", cwd=tmp_path, **env).stdout
    assert servers.paths() == [FULCIO, FULCIO, REKOR]


def test_another_identity_of_the_same_issuer_signs_for_itself(
    sandbox: Sandbox, image: Layout, servers: SigstoreServers, tmp_path: Path
) -> None:
    name, env = f"{sandbox.address}/team/app:1", {"SIGSTORE_ID_TOKEN": servers.token()}
    program(*line(image, name), cwd=tmp_path, **env)
    servers.identity = "release@example.com"
    program(*line(image, name), cwd=tmp_path, **env)
    assert len(bundles(sandbox, image)) == 2
    who = ("--identity", "release@example.com", "--issuer", ISSUER)
    assert (
        "by release@example.com of" in program("verify", name, *who, "--trust-root", "trust.json", cwd=tmp_path).stdout
    )


def test_an_image_is_attested_without_a_key(
    sandbox: Sandbox, image: Layout, servers: SigstoreServers, tmp_path: Path
) -> None:
    name, env = f"{pushed(sandbox, image, '1')}:1", {"SIGSTORE_ID_TOKEN": servers.token()}
    (tmp_path / "sbom.json").write_text('{"spdxVersion": "SPDX-2.3"}')
    words = ("--type", "spdxjson", "--predicate", "sbom.json", "--keyless", "--trust-root", "trust.json")
    assert "attestation (https://spdx.dev/Document)" in program("attest", name, *words, cwd=tmp_path, **env).stdout
    assert program("attest", name, *words, cwd=tmp_path, **env).stdout.endswith("(was there)\n")
    verified = program("verify", name, *BY, "--trust-root", "trust.json", "--type", "spdxjson", cwd=tmp_path)
    assert "attestation (https://spdx.dev/Document)  by" in verified.stdout
    assert servers.paths().count(REKOR) == 1


def test_a_key_and_no_key_sign_side_by_side(
    sandbox: Sandbox, image: Layout, servers: SigstoreServers, tmp_path: Path
) -> None:
    pair(tmp_path, "one")
    name = f"{sandbox.address}/team/app:1"
    words = (*line(image, name), "--sign", "one.key", "--json")
    told = program(*words, cwd=tmp_path, SIGSTORE_ID_TOKEN=servers.token()).stdout
    attached = [one["file"] for one in json.loads(told)["targets"][0]["attached"]]
    assert attached == ["signature (bundle)", "signature (sig)", "signature (bundle)"]
    program("verify", name, "--key", "one.pub", cwd=tmp_path)
    program("verify", name, *BY, "--trust-root", "trust.json", cwd=tmp_path)


def test_cosigns_tag_is_written_where_it_is_asked_for_and_once_for_each_repository(
    sandbox: Sandbox, image: Layout, servers: SigstoreServers, tmp_path: Path
) -> None:
    names = [f"{sandbox.address}/team/{one}:1" for one in ("a", "b")]
    words = (*line(image, *names), "--sign-format", "sig", "--sign-annotation", "stage=prod")
    program(*words, cwd=tmp_path, SIGSTORE_ID_TOKEN=servers.token())
    assert servers.paths() == [FULCIO, REKOR, REKOR]
    value = json.loads(sandbox.store.manifest("team/a", image.digest.replace(":", "-") + ".sig") or b"{}")
    (only,) = value["layers"]
    assert sorted(only["annotations"]) == [
        "dev.cosignproject.cosign/signature",
        "dev.sigstore.cosign/bundle",
        "dev.sigstore.cosign/certificate",
        "dev.sigstore.cosign/chain",
    ]
    assert sorted(json.loads(only["annotations"]["dev.sigstore.cosign/bundle"])) == ["Payload", "SignedEntryTimestamp"]
    assert bundles(sandbox, image, "team/a") == []
    program(*words, cwd=tmp_path, SIGSTORE_ID_TOKEN=servers.token())
    assert servers.paths()[3:] == [FULCIO]
    told = program("verify", *names, *BY, "--trust-root", "trust.json", "-a", "stage=prod", cwd=tmp_path).stdout
    assert told.count(f"  signature  by {IDENTITY} of {ISSUER}  (sig)  stage=prod\n") == 2


def test_a_layer_with_the_promise_for_another_signature_is_not_ours(
    sandbox: Sandbox, image: Layout, servers: SigstoreServers, tmp_path: Path
) -> None:
    name, tag = f"{sandbox.address}/team/app:1", image.digest.replace(":", "-") + ".sig"
    words = (*line(image, name), "--sign-format", "sig")
    program(*words, cwd=tmp_path, SIGSTORE_ID_TOKEN=servers.token())
    value = json.loads(sandbox.store.manifest("team/app", tag) or b"{}")
    said = value["layers"][0]["annotations"]
    promise = json.loads(said["dev.sigstore.cosign/bundle"])
    promise["Payload"]["integratedTime"] += 1
    said["dev.sigstore.cosign/bundle"] = json.dumps(promise)
    (tmp_path / "changed.json").write_text(json.dumps(value))
    program("manifest", "put", f"{sandbox.address}/team/app:{tag}", "changed.json", cwd=tmp_path)
    program(*words, cwd=tmp_path, SIGSTORE_ID_TOKEN=servers.token())
    assert servers.paths().count(REKOR) == 2
    layers = json.loads(sandbox.store.manifest("team/app", tag) or b"{}")["layers"]
    assert len(layers) == 2


def test_a_log_of_version_2_is_timed_by_others(sandbox: Sandbox, image: Layout, tmp_path: Path) -> None:
    name = f"{sandbox.address}/team/app:1"
    with SigstoreServers(tmp_path / "tsa") as servers:
        (tmp_path / "trust.json").write_text(json.dumps(servers.config()))
        env = {"SIGSTORE_ID_TOKEN": servers.token()}
        refused = program(*line(image, name), "--sign-format", "sig", cwd=tmp_path, code=2, **env).stderr
        assert "a log of version 2 makes no promise" in refused
        assert servers.asked == []
        program(*line(image, name), cwd=tmp_path, **env)
        program(*line(image, name), cwd=tmp_path, **env)
        assert servers.paths() == [FULCIO, TSA, REKOR_2, FULCIO]
    program("verify", name, *BY, "--trust-root", "trust.json", cwd=tmp_path)


@pytest.mark.parametrize("service", ["GitHub Actions", "GitLab CI", "Buildkite"])
def test_the_ci_is_asked_for_a_token_for_sigstore(
    service: str, sandbox: Sandbox, image: Layout, servers: SigstoreServers, tmp_path: Path
) -> None:
    with Endpoint({}) as endpoint:
        job = Job(servers.issuer, tmp_path, endpoint)
        CIS[service](job, "sigstore")
        program(*line(image, f"{sandbox.address}/team/app:1"), cwd=tmp_path, **job.env)
        assert job.questions() == ([] if service == "GitLab CI" else ["sigstore"])
    assert servers.paths() == [FULCIO, REKOR]


def config(sandbox: Sandbox, tmp_path: Path, **sign: object) -> None:
    entry = {"name": "here", "domain": sandbox.address, "sign": {"trust_root": "trust.json", **sign}}
    (tmp_path / "oci-push.yaml").write_text(json.dumps({"registries": [entry]}))


def test_what_is_copied_to_a_registry_is_signed_as_its_entry_says_with_one_certificate(
    sandbox: Sandbox, image: Layout, servers: SigstoreServers, tmp_path: Path
) -> None:
    pushed(sandbox, image, "1", repository="from/app")
    other = make_layout(tmp_path / "other", layer(9))
    pushed(sandbox, other, "2", repository="from/app")
    (tmp_path / "token").write_text(servers.token())
    config(sandbox, tmp_path, keyless=True, oidc={"file": "token"}, annotations={"stage": "prod"})
    words = (f"{sandbox.address}/from/app", f"{sandbox.address}/team/app", "--all-tags")
    program("copy", *words, "--config", "oci-push.yaml", cwd=tmp_path)
    assert sorted(servers.paths()) == [REKOR, REKOR, FULCIO]
    for tag in ("1", "2"):
        name = f"{sandbox.address}/team/app:{tag}"
        program("verify", name, *BY, "--trust-root", "trust.json", "-a", "stage=prod", cwd=tmp_path)


def test_a_program_may_give_the_token(
    sandbox: Sandbox, image: Layout, servers: SigstoreServers, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text(servers.token())
    config(sandbox, tmp_path, keyless=True, oidc={"command": ["cat", "token"]})
    name = f"{sandbox.address}/team/app:1"
    program("push", f"oci:{image.path}", name, "--config", "oci-push.yaml", cwd=tmp_path)
    program("verify", name, *BY, "--trust-root", "trust.json", cwd=tmp_path)


@pytest.mark.parametrize(
    ("sign", "why"),
    [
        ({}, "keys or keyless: true must be there"),
        ({"keyless": False, "oidc": "auto"}, "has no effect without keyless: true"),
        ({"keyless": True, "oidc": "always"}, "oidc"),
        ({"keyless": True, "trust_root": "none.json"}, "none.json: cannot be read"),
        ({"keyless": True, "forms": "sg"}, "forms"),
    ],
    ids=range(5),
)
def test_mistakes_of_an_entry_are_told_before_anything_is_sent(
    sign: dict[str, object], why: str, sandbox: Sandbox, image: Layout, servers: SigstoreServers, tmp_path: Path
) -> None:
    config(sandbox, tmp_path, **sign)
    words = ("push", f"oci:{image.path}", f"{sandbox.address}/team/app:1", "--config", "oci-push.yaml")
    assert why in program(*words, cwd=tmp_path, code=2).stderr
    assert (sandbox.traffic.requests, servers.asked) == ((), [])


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--trust-root", "trust.json"), "--trust-root has no effect without --sign keyless"),
        (("--sign", "one.key", "--trust-root", "trust.json"), "--trust-root has no effect without --sign keyless"),
        (("--sign", "keyless", "--trust-root", "none.json"), "none.json: cannot be read"),
        (("--sign", "keyless", "--trust-root", "bad.json"), "bad.json: cannot be signed with: it does not say where"),
        (("--sign", "keyless", "--trust-root", "old.json"), "No valid Rekor transparency log found"),
        (("--sign", "keyless", "--trust-root", "timeless.json"), "a log of version 2 says no time"),
    ],
    ids=range(6),
)
def test_mistakes_are_told_before_anything_is_sent(
    words: tuple[str, ...], why: str, sandbox: Sandbox, image: Layout, servers: SigstoreServers, tmp_path: Path
) -> None:
    (tmp_path / "bad.json").write_text(json.dumps(servers.sigstore.trust_root()))
    past = {"start": "2020-01-01T00:00:00Z", "end": "2021-01-01T00:00:00Z"}
    for name, change in {"old": {"validFor": past}, "timeless": {"majorApiVersion": 2}}.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(servers.config(**change)))
    line = ("push", f"oci:{image.path}", f"{sandbox.address}/team/app:1", *words)
    assert why in program(*line, cwd=tmp_path, code=2, SIGSTORE_ID_TOKEN=servers.token()).stderr
    assert (sandbox.traffic.requests, servers.asked) == ((), [])


def test_a_plan_asks_for_no_certificate(
    sandbox: Sandbox, image: Layout, servers: SigstoreServers, tmp_path: Path
) -> None:
    words = (*line(image, f"{sandbox.address}/team/app:1"), "--plan")
    told = program(*words, cwd=tmp_path, SIGSTORE_ID_TOKEN=servers.token()).stdout
    assert "sign     with keyless (bundle), unless that is there" in told
    assert servers.asked == []
