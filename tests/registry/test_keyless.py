"""verify by an identity in place of a key: what counts, and each thing about a certificate or a log that does not."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from around import pushed
from equipment.sandbox import Sandbox
from images import Layout, layer, make_layout
from keyless import IDENTITY, ISSUER, Sigstore
from program import program
from published import check_json
from signingkeys import pair

from oci_push.engine.signing.trust import Verification
from oci_push.errors import ConfigError
from oci_push.model.digest import Digest
from oci_push.model.trust import TrustedIdentity
from oci_push.signing.keyless import IdentityVerifier
from oci_push.signing.statement import SIGNATURE, SIGNED, Predicate, read_statement, statement

BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
OTHER = "https://github.com/other/app/.github/workflows/release.yml@refs/heads/main"
BY = ("--identity", IDENTITY, "--issuer", ISSUER, "--trust-root", "root.json")
REFUSED = 8
SBOM = Predicate("https://spdx.dev/Document", b'{"spdxVersion":"SPDX-2.3"}')


@pytest.fixture
def sigstore(tmp_path: Path) -> Sigstore:
    found = Sigstore()
    (tmp_path / "root.json").write_text(json.dumps(found.trust_root()))
    return found


@pytest.fixture
def name(sandbox: Sandbox, image: Layout) -> str:
    return f"{pushed(sandbox, image, '1')}:1"


def put(name: str, image: Layout, raw: bytes, tmp_path: Path) -> None:
    """Store any bytes as a bundle about an image, as who may push can."""
    (tmp_path / "bundle.json").write_bytes(raw)
    line = ("artifact", "push", f"bundle.json:{BUNDLE}", name.rpartition(":")[0], "--type", BUNDLE)
    program(*line, "--subject", image.digest, cwd=tmp_path)


def said(image: Layout, predicate: Predicate = SIGNATURE, **annotations: str) -> bytes:
    return statement(Digest.parse(image.digest), predicate, annotations)


def refused(*words: str, cwd: Path) -> str:
    done = program("verify", *words, cwd=cwd, code=REFUSED)
    assert done.stdout == ""
    assert "OCP-UNTRUSTED" in done.stderr
    return done.stderr


def test_who_signed_is_told_with_the_issuer(name: str, image: Layout, sigstore: Sigstore, tmp_path: Path) -> None:
    put(name, image, sigstore.sign(said(image, stage="prod")), tmp_path)
    done = program("verify", name, *BY, "-a", "stage=prod", cwd=tmp_path)
    by = f"{IDENTITY} of {ISSUER}"
    assert done.stdout == f"{name.rpartition(':')[0]}@{image.digest}\n  signature  by {by}  (bundle)  stage=prod\n"
    told = program("verify", name, *BY, "--json", cwd=tmp_path).stdout
    check_json(told, Verification)
    assert json.loads(told)["images"][0]["accepted"][0]["key"] == by


def test_the_root_may_be_in_a_clients_configuration(
    name: str, image: Layout, sigstore: Sigstore, tmp_path: Path
) -> None:
    put(name, image, sigstore.sign(said(image)), tmp_path)
    signing = {"mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json"}
    value = {
        "mediaType": "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json",
        "trustedRoot": sigstore.trust_root(),
        "signingConfig": {**signing, "rekorTlogConfig": {"selector": "ANY"}, "tsaConfig": {"selector": "ANY"}},
    }
    (tmp_path / "root.json").write_text(json.dumps(value))
    program("verify", name, *BY, cwd=tmp_path)


def test_what_is_attested_is_verified_by_its_type(name: str, image: Layout, sigstore: Sigstore, tmp_path: Path) -> None:
    put(name, image, sigstore.sign(said(image, SBOM)), tmp_path)
    told = program("verify", name, *BY, "--type", "spdxjson", cwd=tmp_path).stdout
    assert "attestation (https://spdx.dev/Document)  by https://github.com/team/app/" in told
    assert "is an attestation of https://spdx.dev/Document" in refused(name, *BY, cwd=tmp_path)


def test_what_cosign_3_has_signed_with_the_servers_of_these_tests_is_verified() -> None:
    """Written by cosign 3.1.1, by the configuration that `SigstoreServers` gives: so they are as real ones for it."""
    kept = json.loads((Path(__file__).parents[2] / "fixtures" / "signing" / "cosign-3.1.1.json").read_text())
    payload = base64.b64decode(kept["bundle"]["dsseEnvelope"]["payload"])
    trusted = TrustedIdentity(IDENTITY, ISSUER, json.dumps(kept["trustedRoot"]), "root")
    IdentityVerifier(trusted).check(json.dumps(kept["bundle"]).encode(), payload)
    said = read_statement(payload)
    assert said.type == SIGNED
    assert said.about(Digest.parse(kept["digest"])) == {}


def test_a_policy_without_a_trust_root_means_the_public_one(
    name: str, image: Layout, sigstore: Sigstore, tmp_path: Path
) -> None:
    who = {"identity": IDENTITY, "issuer": ISSUER}
    policy = {"policies": [{"repository": "*", "require": {"identities": [who]}}]}
    (tmp_path / "policy.yaml").write_text(json.dumps(policy))
    put(name, image, sigstore.sign(said(image)), tmp_path)
    for words in (("--policy", "policy.yaml"), BY[:4]):
        assert "by the public Sigstore's root in sigstore " in refused(name, *words, cwd=tmp_path)


SAID = b'{"critical":{}}'


def _changed(key: str, before: str, after: str) -> Callable[[dict[str, str]], dict[str, str]]:
    def change(annotations: dict[str, str]) -> dict[str, str]:
        assert before in annotations[key]
        return {**annotations, key: annotations[key].replace(before, after, 1)}

    return change


def check_layer(sigstore: Sigstore, annotations: dict[str, str], payload: bytes = SAID) -> None:
    root = json.dumps(sigstore.trust_root())
    IdentityVerifier(TrustedIdentity(IDENTITY, ISSUER, root, "root.json")).check_layer(annotations, payload)


def test_a_layer_of_cosigns_tag_is_verified_by_its_certificate_and_the_logs_promise(sigstore: Sigstore) -> None:
    check_layer(sigstore, sigstore.layer(SAID))


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ({"identity": OTHER}, "it is signed by https://github.com/other/app/"),
        ({"issuer": "https://issuer.example"}, "https://issuer.example vouches for that"),
        ({"minutes_late": 30}, "when the certificate was not valid"),
        ({"logged": b"something else"}, "has the promise of an entry for another signature"),
        ({"promised": False}, "does not contain a signed certificate timestamp"),
        ({"signs_code": False}, "is not for signing code"),
        ({"log": Sigstore()}, "keyring: invalid signature"),
    ],
    ids=range(7),
)
def test_a_layer_by_another_signer_at_another_time_or_of_another_log_is_refused(
    how: dict[str, object], why: str, sigstore: Sigstore
) -> None:
    with pytest.raises(ValueError, match=why):
        check_layer(sigstore, sigstore.layer(SAID, **how))  # type: ignore[arg-type]  # one of several kinds


def test_a_layer_by_another_authority_is_refused(sigstore: Sigstore) -> None:
    with pytest.raises(ValueError, match="candidates exhausted"):
        check_layer(sigstore, Sigstore().layer(SAID, log=sigstore))


@pytest.mark.parametrize(
    "change",
    [
        lambda found: {},
        lambda found: {**found, "dev.cosignproject.cosign/signature": "AAAA"},
        lambda found: {**found, "dev.sigstore.cosign/certificate": "AAAA"},
        lambda found: {**found, "dev.sigstore.cosign/bundle": "[" * 100_000},
        lambda found: {**found, "dev.sigstore.cosign/bundle": "null"},
        _changed("dev.sigstore.cosign/bundle", '"logIndex":', '"logIndex":1'),
        _changed("dev.sigstore.cosign/bundle", '"integratedTime":1', '"integratedTime":2'),
        _changed("dev.sigstore.cosign/bundle", '"body":"ey', '"body":"AA'),
        _changed("dev.sigstore.cosign/bundle", '"logID":"', '"logID":"x'),
    ],
    ids=range(9),
)
def test_a_layer_that_was_changed_is_refused(
    change: Callable[[dict[str, str]], dict[str, str]], sigstore: Sigstore
) -> None:
    with pytest.raises(ValueError, match=r"is no signature|is not signed|another signature|not valid"):
        check_layer(sigstore, change(sigstore.layer(SAID)))


def test_a_layer_says_nothing_of_other_bytes(sigstore: Sigstore) -> None:
    with pytest.raises(ValueError, match="is no signature"):
        check_layer(sigstore, sigstore.layer(SAID), b'{"critical":{"image":{}}}')


def _other_payload(raw: bytes) -> bytes:
    """Give the bundle with its payload changed, and all else as it was."""
    value = json.loads(raw)
    payload = base64.b64decode(value["dsseEnvelope"]["payload"]).replace(b'"prod"', b'"test"')
    value["dsseEnvelope"]["payload"] = base64.b64encode(payload).decode()
    return json.dumps(value).encode()


def _second_payload(raw: bytes) -> bytes:
    """Give the bundle with a key twice: readers differ in which of them counts."""
    value = json.loads(raw)
    inside = json.dumps(value.pop("dsseEnvelope"))
    changed = json.dumps(json.loads(_other_payload(raw))["dsseEnvelope"])
    return f'{json.dumps(value)[:-1]}, "dsseEnvelope": {inside}, "dsseEnvelope": {changed}}}'.encode()


def _without(key: str) -> Callable[[bytes], bytes]:
    def change(raw: bytes) -> bytes:
        value = json.loads(raw)
        del value["verificationMaterial"]["tlogEntries"][0][key]
        return json.dumps(value).encode()

    return change


@pytest.mark.parametrize(
    "change", [_other_payload, _second_payload, _without("inclusionPromise"), _without("inclusionProof")], ids=range(4)
)
def test_a_bundle_that_was_changed_is_refused(
    change: Callable[[bytes], bytes], name: str, image: Layout, sigstore: Sigstore, tmp_path: Path
) -> None:
    put(name, image, change(sigstore.sign(said(image, stage="prod"))), tmp_path)
    assert "no signature by https://github.com/team/app" in refused(name, *BY, cwd=tmp_path)


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ({"identity": OTHER}, "it is signed by https://github.com/other/app/"),
        ({"issuer": "https://issuer.example"}, "https://issuer.example vouches for that"),
        ({"minutes_late": 30}, "not valid at validation time"),
        ({"logged": b"something else"}, "log entry payload hash does not match"),
    ],
    ids=range(4),
)
def test_another_signer_another_time_and_another_entry_are_refused(
    how: dict[str, object], why: str, name: str, image: Layout, sigstore: Sigstore, tmp_path: Path
) -> None:
    put(name, image, sigstore.sign(said(image), **how), tmp_path)  # type: ignore[arg-type]  # one of several kinds
    assert why in refused(name, *BY, cwd=tmp_path)


def test_what_another_authority_certified_is_refused(
    name: str, image: Layout, sigstore: Sigstore, tmp_path: Path
) -> None:
    put(name, image, Sigstore().sign(said(image)), tmp_path)
    assert "failed to build timestamp certificate chain" in refused(name, *BY, cwd=tmp_path)


def test_what_is_signed_of_another_image_counts_for_nothing(
    name: str, image: Layout, sigstore: Sigstore, tmp_path: Path
) -> None:
    other = make_layout(tmp_path / "other", layer(9))
    put(name, image, sigstore.sign(said(other)), tmp_path)
    assert "is about another image" in refused(name, *BY, cwd=tmp_path)


def test_garbage_beside_it_hides_no_signature(name: str, image: Layout, sigstore: Sigstore, tmp_path: Path) -> None:
    good = sigstore.sign(said(image))
    value = json.loads(good)
    for bad in ("AAAA", 7, None, {"rawBytes": 7}):
        value["verificationMaterial"]["certificate"] = bad
        put(name, image, json.dumps(value).encode(), tmp_path)
    put(name, image, good, tmp_path)
    assert program("verify", name, *BY, cwd=tmp_path).stdout.count("(bundle)") == 1


def test_a_policy_may_want_an_identity_and_a_key(name: str, image: Layout, sigstore: Sigstore, tmp_path: Path) -> None:
    pair(tmp_path, "one")
    who = {"identity": IDENTITY, "issuer": ISSUER, "trust_root": "root.json"}
    require = {"keys": "one.pub", "identities": [who], "match": "all"}
    policy = {"policies": [{"repository": "*", "require": require}]}
    (tmp_path / "policy.yaml").write_text(json.dumps(policy))
    put(name, image, sigstore.sign(said(image)), tmp_path)
    assert "no signature by one.pub" in refused(name, "--policy", "policy.yaml", cwd=tmp_path)
    program("sign", name, "--key", "one.key", cwd=tmp_path)
    told = program("verify", name, "--policy", "policy.yaml", cwd=tmp_path).stdout
    assert told.count("  signature  by ") == 3


def test_what_a_registry_requires_is_seen_before_anything_is_sent(
    name: str, sandbox: Sandbox, image: Layout, sigstore: Sigstore, tmp_path: Path
) -> None:
    who = {"identity": IDENTITY, "issuer": ISSUER, "trust_root": "root.json"}
    entry = {"name": "here", "domain": sandbox.address, "require": {"identities": [who]}}
    (tmp_path / "oci-push.yaml").write_text(json.dumps({"registries": [entry]}))
    line = ("copy", name, f"{sandbox.address}/other/app:1", "--config", "oci-push.yaml")
    assert "no signature by https://github.com/team/app" in program(*line, cwd=tmp_path, code=REFUSED).stderr
    assert sandbox.store.tags("other/app") == ()
    put(name, image, sigstore.sign(said(image)), tmp_path)
    program(*line, cwd=tmp_path)
    assert sandbox.store.tags("other/app") == ("1",)


@pytest.mark.parametrize(
    ("require", "why"),
    [
        ({}, "keys or identities must be there"),
        ({"identities": [{"identity": IDENTITY, "trust_root": "root.json"}]}, '"issuer" is required'),
        ({"identities": [{"identity": "", "issuer": ISSUER, "trust_root": "root.json"}]}, "identity"),
        ({"identities": [{"identity": "x", "issuer": ISSUER, "trust_root": "none.json"}]}, "none.json: cannot be read"),
    ],
    ids=range(4),
)
def test_a_policy_without_a_whole_identity_is_refused(
    require: dict[str, object], why: str, name: str, sigstore: Sigstore, tmp_path: Path
) -> None:
    (tmp_path / "policy.yaml").write_text(json.dumps({"policies": [{"repository": "*", "require": require}]}))
    assert why in program("verify", name, "--policy", "policy.yaml", cwd=tmp_path, code=2).stderr


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (BY[:2], "go together"),
        (BY[4:], "go together"),
        ((*BY, "--policy", "policy.yaml"), "and not both"),
        ((*BY[:5], "none.json"), "none.json"),
        ((*BY[:5], "bad.json"), "bad.json: is no trust root: trustedRoot.tlogs: Field required"),
    ],
    ids=range(5),
)
def test_mistakes_are_told_before_anything_is_asked(
    words: tuple[str, ...], why: str, name: str, sandbox: Sandbox, sigstore: Sigstore, tmp_path: Path
) -> None:
    (tmp_path / "bad.json").write_text('{"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1"}')
    sandbox.traffic.clear()
    assert why in program("verify", name, *words, cwd=tmp_path, code=2).stderr
    assert sandbox.traffic.requests == ()


def test_without_the_extra_it_is_told_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sigstore.verify", None)
    with pytest.raises(ConfigError, match="sigstore is not installed") as caught:
        IdentityVerifier(TrustedIdentity(IDENTITY, ISSUER, "{}", "root.json"))
    assert "pip install 'oci-push[keyless]'" in str(caught.value.hint)
