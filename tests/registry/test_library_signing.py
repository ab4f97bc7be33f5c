"""The library signs, attests and verifies as the commands do, with keys and without, and says what failed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from calling import FORGETFUL
from equipment.faults import Answer, Fault
from equipment.sandbox import Sandbox
from images import Layout
from keyless import IDENTITY, ISSUER
from signingkeys import pair
from sigstoreservers import FULCIO, REKOR, SigstoreServers

import oci_push
from oci_push import (
    ConfigError,
    IncompleteError,
    JobToken,
    Keyless,
    Requirement,
    SignRule,
    TrustedIdentity,
    TrustedKey,
    UntrustedError,
)

pytestmark = pytest.mark.usefixtures("own_home")
SPDX = "https://spdx.dev/Document"


@pytest.fixture
def name(image: Layout, sandbox: Sandbox, tmp_path: Path) -> str:
    pair(tmp_path, "one")
    pair(tmp_path, "two")
    oci_push.push(image.path, f"{sandbox.address}/team/app:1,2", options=FORGETFUL)
    sandbox.traffic.clear()
    return f"{sandbox.address}/team/app"


def by(tmp_path: Path, key: str = "one") -> list[SignRule]:
    return [SignRule(str(tmp_path / f"{key}.key"))]


def key(tmp_path: Path, name: str = "one") -> TrustedKey:
    return TrustedKey(name, (tmp_path / f"{name}.pub").read_text())


def test_what_is_signed_by_a_key_is_verified_by_it_and_by_no_other(name: str, image: Layout, tmp_path: Path) -> None:
    signed = oci_push.sign(f"{name}:1", by=by(tmp_path))
    assert [one.file for one in signed.images[0].signed] == ["signature (bundle)", "signature (sig)"]
    again = oci_push.sign(f"{name}:1", by=by(tmp_path))
    assert [one.outcome for one in again.images[0].signed] == ["exists", "exists"]
    found = oci_push.verify(f"{name}:1", require=Requirement((key(tmp_path),)))
    assert str(found.images[0].digest) == image.digest
    assert {one.key for one in found.images[0].accepted} == {"one"}
    with pytest.raises(UntrustedError, match="no signature by two") as caught:
        oci_push.verify(f"{name}:1", require=Requirement((key(tmp_path, "two"),)))
    assert not caught.value.report.images[0].verified


def test_a_predicate_is_bytes_a_mapping_or_a_file(name: str, tmp_path: Path) -> None:
    sbom = {"spdxVersion": "SPDX-2.3"}
    (tmp_path / "sbom.json").write_text(json.dumps(sbom))
    required = Requirement((key(tmp_path),), attestations=(SPDX,), signature=False)
    for predicate in (json.dumps(sbom).encode(), sbom, tmp_path / "sbom.json"):
        done = oci_push.attest(f"{name}:1", type="spdxjson", predicate=predicate, by=by(tmp_path))
        assert done.images[0].signed[0].file == f"attestation ({SPDX})"
    found = oci_push.verify(f"{name}:1", require=required)
    assert [one.type for one in found.images[0].accepted] == [SPDX]
    by_word = Requirement((key(tmp_path),), attestations=("spdxjson",), signature=False)
    assert oci_push.verify(f"{name}:1", require=by_word) == found


def test_a_job_signs_without_a_key(name: str, tmp_path: Path) -> None:
    with SigstoreServers() as servers:
        (tmp_path / "trust.json").write_text(json.dumps(servers.config()))
        (tmp_path / "token").write_text(servers.token())
        keyless = Keyless(str(tmp_path / "trust.json"), JobToken(file=str(tmp_path / "token")))
        rule = SignRule(keyless=keyless)
        oci_push.sign(f"{name}:1", f"{name}:2", by=[rule])
        assert servers.paths() == [FULCIO, REKOR]
    who = TrustedIdentity(IDENTITY, ISSUER, (tmp_path / "trust.json").read_text(), "trust.json")
    found = oci_push.verify(f"{name}:1", f"{name}:2", require=Requirement((), identities=(who,)))
    assert [one.verified for one in found.images] == [True, True]


def test_of_several_that_which_failed_is_told_with_the_rest(name: str, sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.faults.add(Fault("GET", "/manifests/2", action=Answer(403, code="DENIED"), times=0))
    sandbox.faults.add(Fault("HEAD", "/manifests/2", action=Answer(403, code="DENIED"), times=0))
    with pytest.raises(IncompleteError, match="1 of 2 images failed") as caught:
        oci_push.sign(f"{name}:1", f"{name}:2", by=by(tmp_path))
    assert [one.error is None for one in caught.value.report.images] == [True, False]


def test_the_same_is_awaited(name: str, tmp_path: Path) -> None:
    async def main() -> bool:
        await oci_push.aio.sign(f"{name}:1", by=by(tmp_path))
        return (await oci_push.aio.verify(f"{name}:1", require=Requirement((key(tmp_path),)))).images[0].verified

    assert asyncio.run(main())


@pytest.mark.parametrize(
    ("call", "error", "why"),
    [
        (lambda: oci_push.sign(by=[SignRule("k")]), ValueError, "no reference"),
        (lambda: oci_push.sign("r.example/a:1", by=[]), ValueError, "by is empty"),
        (lambda: oci_push.sign("r.example/a:1", by=SignRule("k")), TypeError, "give a sequence"),
        (lambda: oci_push.sign("r.example/a:1", by=["k"]), TypeError, "by is of type str"),
        (lambda: oci_push.sign("r.example/a:1", by=[SignRule()]), ValueError, "neither a key nor keyless"),
        (lambda: oci_push.sign("r.example/a:1", by=[SignRule("none.key")]), ConfigError, "none.key: cannot be read"),
        (lambda: oci_push.verify("r.example/a:1", require="k"), TypeError, "require is of type str"),
        (lambda: oci_push.push("oci:i", "r.example/a:1", sign=SignRule("k")), TypeError, "give sign="),
        (
            lambda: oci_push.verify("r.example/a:1", require=Requirement((), attestations=("x",))),
            ValueError,
            "'x' is no predicate type",
        ),
        (
            lambda: oci_push.attest("r.example/a:1", type="spdxjson", predicate="x.json", by=[SignRule("k")]),
            TypeError,
            "predicate is a str; give a Path",
        ),
        (
            lambda: oci_push.attest("r.example/a:1", type="x", predicate={}, by=[SignRule("k")]),
            ValueError,
            "'x' is no predicate type",
        ),
        (
            lambda: oci_push.attest("r.example/a:1", type="spdxjson", predicate={}, by=[SignRule("k")]),
            ConfigError,
            "the predicate: is no predicate of https://spdx.dev/Document",
        ),
    ],
    ids=range(12),
)
def test_what_makes_no_sense_is_refused_before_anything_is_asked(
    call: Callable[[], object], error: type[Exception], why: str
) -> None:
    with pytest.raises(error, match=why):
        call()
