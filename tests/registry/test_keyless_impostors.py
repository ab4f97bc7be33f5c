"""verify by an identity: who is nearly the one that is trusted, or was it once, and who signs for two."""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from keyless import IDENTITY, ISSUER, Sigstore

from oci_push.engine.signing.signed import Found
from oci_push.engine.signing.trust import judge, lacking, read_identities
from oci_push.model.digest import Digest
from oci_push.model.trust import BUNDLE, Requirement, TrustedIdentity
from oci_push.signing.keyless import IdentityVerifier
from oci_push.signing.statement import SIGNATURE, statement

DIGEST = Digest.of(b"image")
SAID = statement(DIGEST, SIGNATURE, {})
PAST = {"start": "2020-01-01T00:00:00Z", "end": "2021-01-01T00:00:00Z"}
FUTURE = {"start": "2099-01-01T00:00:00Z"}
Check = Callable[[Sigstore, IdentityVerifier, dict[str, Any]], None]


def _bundle(sigstore: Sigstore, verifier: IdentityVerifier, how: dict[str, Any]) -> None:
    verifier.check(sigstore.sign(SAID, **how), SAID)


def _layer(sigstore: Sigstore, verifier: IdentityVerifier, how: dict[str, Any]) -> None:
    verifier.check_layer(sigstore.layer(SAID, **how), SAID)


both = pytest.mark.parametrize("check", [_bundle, _layer])


def verifier(root: object, identity: str = IDENTITY, issuer: str = ISSUER) -> IdentityVerifier:
    return IdentityVerifier(TrustedIdentity(identity, issuer, json.dumps(root), "root.json"))


@both
@pytest.mark.parametrize(
    ("identity", "issuer"),
    [
        (f"{IDENTITY}\n", ISSUER),
        (f" {IDENTITY}", ISSUER),
        (IDENTITY.upper(), ISSUER),
        (IDENTITY.replace("github.com", "githu\u0062.com").replace("release", "releas\u0435"), ISSUER),
        (IDENTITY.replace("main", "ma.n"), ISSUER),
        (IDENTITY.replace("release", "*"), ISSUER),
        (".*", ".*"),
        (IDENTITY, f"{ISSUER}/"),
        (IDENTITY, ISSUER.upper()),
        (IDENTITY, f"{ISSUER}\n"),
    ],
    ids=range(10),
)
def test_who_is_nearly_the_same_is_another(check: Check, identity: str, issuer: str) -> None:
    sigstore = Sigstore()
    check(sigstore, verifier(sigstore.trust_root()), {})
    with pytest.raises(ValueError, match="is not signed by"):
        check(sigstore, verifier(sigstore.trust_root(), identity, issuer), {})


@both
@pytest.mark.parametrize(
    "names",
    [
        [x509.UniformResourceIdentifier(IDENTITY), x509.UniformResourceIdentifier("https://other.example")],
        [x509.UniformResourceIdentifier("https://other.example"), x509.UniformResourceIdentifier(IDENTITY)],
        [x509.UniformResourceIdentifier(IDENTITY), x509.DNSName("other.example")],
        [x509.OtherName(x509.ObjectIdentifier("1.2.3"), b"\x0c" + bytes([len(IDENTITY)]) + IDENTITY.encode())],
    ],
    ids=range(4),
)
def test_a_certificate_that_names_several_or_in_another_way_is_nobodys(
    check: Check, names: list[x509.GeneralName]
) -> None:
    sigstore = Sigstore()
    with pytest.raises(ValueError, match=r"names several|does not say whose it is"):
        check(sigstore, verifier(sigstore.trust_root()), {"names": x509.SubjectAlternativeName(names)})


@both
@pytest.mark.parametrize("period", [PAST, FUTURE], ids=["past", "future"])
@pytest.mark.parametrize("kind", ["tlogs", "ctlogs", "certificateAuthorities"])
def test_who_was_not_trusted_when_it_was_signed_does_not_count(check: Check, kind: str, period: dict[str, str]) -> None:
    """Beside one that is trusted, as trust roots keep those that were given up for what they gave before."""
    sigstore, today = Sigstore(), Sigstore()
    root: dict[str, Any] = sigstore.trust_root()
    old = copy.deepcopy(root[kind])
    for one in old:
        one.get("publicKey", one)["validFor"] = period
    root[kind] = [*old, *today.trust_root()[kind]]  # type: ignore[misc]  # JSON
    with pytest.raises(ValueError, match="is not signed by"):
        check(sigstore, verifier(root), {})
    root[kind] = [*sigstore.trust_root()[kind], *root[kind]]  # type: ignore[misc]  # JSON
    check(sigstore, verifier(root), {})


@both
def test_who_was_trusted_then_and_is_not_now_counts(check: Check) -> None:
    sigstore = Sigstore()
    root: dict[str, Any] = sigstore.trust_root()
    start = root["certificateAuthorities"][0]["validFor"]["start"]
    ended = {"start": start, "end": sigstore.now_text(minutes=0.05)}
    for kind in ("tlogs", "ctlogs", "certificateAuthorities"):
        for one in root[kind]:
            one.get("publicKey", one)["validFor"] = ended
    check(sigstore, verifier(root), {})
    with pytest.raises(ValueError, match="was trusted at that time"):
        check(sigstore, verifier(root), {"minutes_late": 5})


def _entries(count: int) -> Callable[[dict[str, Any]], None]:
    def change(value: dict[str, Any]) -> None:
        value["verificationMaterial"]["tlogEntries"] *= count

    return change


def _wrong_second(value: dict[str, Any]) -> None:
    wrong = copy.deepcopy(value["verificationMaterial"]["tlogEntries"][0])
    wrong["logIndex"] = "0"
    value["verificationMaterial"]["tlogEntries"].append(wrong)


def _no_promise(value: dict[str, Any]) -> None:
    del value["verificationMaterial"]["tlogEntries"][0]["inclusionPromise"]


def _key_beside(value: dict[str, Any]) -> None:
    value["verificationMaterial"]["publicKey"] = {"hint": "x"}


def _two_signatures(value: dict[str, Any]) -> None:
    value["dsseEnvelope"]["signatures"] *= 2


def _message_instead(value: dict[str, Any]) -> None:
    envelope = value.pop("dsseEnvelope")
    digest = {"algorithm": "SHA2_256", "digest": base64.b64encode(bytes(32)).decode()}
    value["messageSignature"] = {"messageDigest": digest, "signature": envelope["signatures"][0]["sig"]}


@pytest.mark.parametrize(
    "change",
    [_entries(0), _entries(2), _wrong_second, _no_promise, _key_beside, _two_signatures, _message_instead],
    ids=range(7),
)
def test_a_bundle_with_more_or_less_than_it_needs_is_refused(change: Callable[[dict[str, Any]], None]) -> None:
    sigstore = Sigstore()
    value = json.loads(sigstore.sign(SAID))
    change(value)
    with pytest.raises(ValueError, match="is not signed by"):
        verifier(sigstore.trust_root()).check(json.dumps(value).encode(), SAID)


def test_the_chain_of_a_stranger_beside_a_signature_vouches_for_nothing() -> None:
    sigstore, stranger = Sigstore(), Sigstore()
    annotations = stranger.layer(SAID, log=sigstore)
    annotations["dev.sigstore.cosign/chain"] = stranger.root_pem()
    with pytest.raises(ValueError, match="is not signed by"):
        verifier(sigstore.trust_root()).check_layer(annotations, SAID)


def test_the_promise_of_another_signature_of_the_same_is_none() -> None:
    sigstore = Sigstore()
    one, other = sigstore.layer(SAID), sigstore.layer(SAID)
    one["dev.sigstore.cosign/bundle"] = other["dev.sigstore.cosign/bundle"]
    with pytest.raises(ValueError, match="another signature"):
        verifier(sigstore.trust_root()).check_layer(one, SAID)


@pytest.mark.parametrize("before", ["a003020102", "3059301306072a8648ce3d0201"], ids=["version", "key"])
def test_a_layer_whose_certificate_is_none_is_refused_and_nothing_worse(before: str) -> None:
    sigstore = Sigstore()
    annotations = sigstore.layer(SAID)
    pem = annotations["dev.sigstore.cosign/certificate"]
    der = x509.load_pem_x509_certificate(pem.encode()).public_bytes(Encoding.DER)
    assert bytes.fromhex(before) in der
    text = base64.encodebytes(der.replace(bytes.fromhex(before), bytes.fromhex(before[:-2] + "09"))).decode()
    annotations["dev.sigstore.cosign/certificate"] = f"-----BEGIN CERTIFICATE-----\n{text}-----END CERTIFICATE-----\n"
    with pytest.raises(ValueError, match="is no signature"):
        verifier(sigstore.trust_root()).check_layer(annotations, SAID)


def missing(required: Requirement, *bundles: bytes) -> list[str]:
    identities = read_identities(required)
    found = [Found(BUNDLE, DIGEST, payload=SAID, bundle=one) for one in bundles]
    accepted, _ = judge(found, DIGEST, (), identities, required)
    return lacking(accepted, (), identities, required)


def test_one_identity_by_two_roots_is_two_that_must_have_signed() -> None:
    one, two = Sigstore(), Sigstore()
    roots = [(json.dumps(root.trust_root()), f"{name}.json") for root, name in ((one, "one"), (two, "two"))]
    required = Requirement((), every=True, identities=tuple(TrustedIdentity(IDENTITY, ISSUER, *root) for root in roots))
    assert missing(required, one.sign(SAID)) == [f"no signature by {IDENTITY} of {ISSUER} by two.json"]
    assert missing(required, one.sign(SAID), two.sign(SAID)) == []


def test_two_that_are_called_the_same_are_not_taken_for_each_other() -> None:
    one, two = Sigstore(), Sigstore()
    identities = tuple(TrustedIdentity(IDENTITY, ISSUER, json.dumps(root.trust_root()), "root") for root in (one, two))
    (told,) = missing(Requirement((), every=True, identities=identities), one.sign(SAID))
    assert "stands for several" in told
