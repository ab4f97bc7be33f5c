"""Signing without a key where something is wrong: no tag moves, the message says where, and the token is nowhere."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cloudendpoints import Answered, Asked, Endpoint
from cryptography.hazmat.primitives.asymmetric import ec
from equipment.sandbox import Sandbox
from identityrun import Run, running
from images import Layout
from keyless import IDENTITY, ISSUER, Sigstore
from program import program
from sigstoreservers import FULCIO, REKOR, TSA, SigstoreServers, key_in

from oci_push.errors import ConfigError, CredentialsError, ProtocolViolationError
from oci_push.model.digest import Digest
from oci_push.model.trust import TrustedIdentity
from oci_push.signing.keyless import IdentityVerifier, read_services
from oci_push.signing.statement import SIGNATURE, statement


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[SigstoreServers]:
    with SigstoreServers() as found:
        (tmp_path / "trust.json").write_text(json.dumps(found.config()))
        yield found


def push(
    sandbox: Sandbox, image: Layout, cwd: Path, token: str, *more: str, code: int, retries: int = 0
) -> tuple[str, list[str]]:
    """Push and sign, which must fail; gives what was said, and what the registry was sent."""
    name = f"{sandbox.address}/team/app:1"
    words = ("push", f"oci:{image.path}", name, "--sign", "keyless", "--trust-root", "trust.json", "--debug", *more)
    done = program(*words, "--retries", str(retries), cwd=cwd, code=code, SIGSTORE_ID_TOKEN=token)
    assert sandbox.store.tags("team/app") == ()
    said = done.stdout + done.stderr
    assert not token or token[-40:] not in said
    return said, [one.method for one in sandbox.traffic.requests if one.method in ("POST", "PUT", "PATCH")]


def test_a_refusal_of_fulcio_is_told_with_the_claims_before_anything_is_sent(
    sandbox: Sandbox, image: Layout, servers: SigstoreServers, tmp_path: Path
) -> None:
    token = servers.token()
    message = f"There was an error processing the identity token {token}: no such issuer"
    servers.answers[FULCIO] = lambda _: Answered(403, {"code": 7, "message": message})
    said, sent = push(sandbox, image, tmp_path, token, code=4)
    assert f"Fulcio {servers.url}: refused, POST answered 403 7 (There was an error processing" in said
    assert "no such issuer" in said
    assert f"the token says iss {ISSUER}" in said
    assert (sent, servers.paths()) == ([], [FULCIO])


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ({"life_s": -120}, "ended"),
        ({"aud": "somebody"}, "is for somebody, not for sigstore; it was not sent"),
    ],
    ids=range(2),
)
def test_a_token_that_is_no_good_is_not_sent(
    how: dict[str, object], why: str, sandbox: Sandbox, image: Layout, servers: SigstoreServers, tmp_path: Path
) -> None:
    said, sent = push(sandbox, image, tmp_path, servers.token(**how), code=4)
    assert why in said
    assert (sent, servers.asked) == ([], [])


def test_without_a_ci_it_is_told_where_a_token_may_come_from(
    sandbox: Sandbox, image: Layout, servers: SigstoreServers, tmp_path: Path
) -> None:
    said, sent = push(sandbox, image, tmp_path, "", code=4)
    assert "no CI was found that gives a job an ID token" in said
    assert "SIGSTORE_ID_TOKEN" in said
    assert (sent, servers.asked) == ([], [])


def _other_key(servers: SigstoreServers, asked: Asked) -> Answered:
    return servers.certified(servers.sigstore.certificate(ec.generate_private_key(ec.SECP256R1()).public_key()))


def _unpromised(servers: SigstoreServers, asked: Asked) -> Answered:
    key = key_in(json.loads(asked.body))
    assert key is not None
    return servers.certified(servers.sigstore.certificate(key, promised=False))


def _other_authority(servers: SigstoreServers, asked: Asked) -> Answered:
    key = key_in(json.loads(asked.body))
    assert key is not None
    return servers.certified(Sigstore().certificate(key))


def _detached(servers: SigstoreServers, asked: Asked) -> Answered:
    return Answered(200, {"signedCertificateDetachedSct": {"signedCertificateTimestamp": "AAAA"}})


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (_other_key, "is a certificate for another key than ours"),
        (_unpromised, "does not contain a signed certificate timestamp"),
        (_other_authority, "its authority is none of the trust root's"),
        (_detached, "apart from the certificate"),
        (lambda *_: Answered(200, {"signedCertificateEmbeddedSct": {"chain": {"certificates": ["no"]}}}), "no certif"),
        (lambda *_: Answered(200, {"signedCertificateEmbeddedSct": {"chain": {}}}), "holds no certificate"),
    ],
    ids=range(6),
)
def test_a_certificate_that_is_not_as_it_must_be_signs_nothing(
    answer: Callable[[SigstoreServers, Asked], Answered],
    why: str,
    sandbox: Sandbox,
    image: Layout,
    servers: SigstoreServers,
    tmp_path: Path,
) -> None:
    servers.answers[FULCIO] = lambda asked: answer(servers, asked)
    said, sent = push(sandbox, image, tmp_path, servers.token(), code=5)
    assert f"Fulcio {servers.url}: its answer does not count: " in said
    assert why in said
    assert (sent, servers.paths()) == ([], [FULCIO])


def test_a_log_that_is_away_is_asked_again_and_then_no_tag_moves(
    sandbox: Sandbox, image: Layout, servers: SigstoreServers, tmp_path: Path
) -> None:
    servers.answers[REKOR] = lambda _: Answered(503, "", {"Retry-After": "0"})
    said, sent = push(sandbox, image, tmp_path, servers.token(), code=5, retries=2)
    assert f"log {servers.url}: POST answered 503; given up after 3 attempts" in said
    assert servers.paths().count(REKOR) == 3
    assert "PUT" in sent  # the image, by its digest


def test_a_timestamp_that_is_not_to_be_had_is_missed_where_the_log_says_no_time_alone(
    sandbox: Sandbox, image: Layout, servers: SigstoreServers, tmp_path: Path
) -> None:
    with SigstoreServers(tmp_path / "tsa") as others:
        (tmp_path / "trust.json").write_text(json.dumps(others.config()))
        others.answers[TSA] = lambda _: Answered(404, "")
        said, _ = push(sandbox, image, tmp_path, others.token(), code=5)
        assert f"timestamps of {others.address}: POST answered 404" in said
        assert others.paths() == [FULCIO, TSA]
    name, token = f"{sandbox.address}/team/app:1", servers.token()
    words = ("push", f"oci:{image.path}", name, "--sign", "keyless", "--trust-root", "trust.json", "--retries", "0")
    value = servers.config()
    value["signingConfig"]["tsaUrls"] = [{**value["signingConfig"]["caUrls"][0], "url": f"{servers.url}/none"}]  # type: ignore[index]  # JSON
    (tmp_path / "trust.json").write_text(json.dumps(value))
    said = program(*words, cwd=tmp_path, SIGSTORE_ID_TOKEN=token).stderr
    assert "POST answered 404 (not_found); the log's own time has to do" in said


def _for_another(servers: SigstoreServers, asked: Asked) -> Answered:
    value = json.loads(asked.body)
    again = servers.sigstore.sign(b'{"_type":"https://in-toto.io/Statement/v1"}')
    envelope, material = (json.loads(again)[one] for one in ("dsseEnvelope", "verificationMaterial"))
    pem = "-----BEGIN CERTIFICATE-----\n" + material["certificate"]["rawBytes"] + "\n-----END CERTIFICATE-----\n"
    verifiers = [base64.b64encode(pem.encode()).decode()]
    value["spec"]["proposedContent"] = {"envelope": json.dumps(envelope), "verifiers": verifiers}
    return servers.enter(Asked("POST", REKOR, {}, {}, json.dumps(value).encode()))


def _late(servers: SigstoreServers, asked: Asked) -> Answered:
    servers.late_s = 3600
    return servers.enter(asked)


def _changed(servers: SigstoreServers, asked: Asked) -> Answered:
    text = json.dumps(servers.enter(asked).body)
    return Answered(201, text.replace('"signedEntryTimestamp": "ME', '"signedEntryTimestamp": "MF'))


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (_for_another, "log entry payload hash does not match bundle"),
        (_late, "is this machine's clock right?"),
        (_changed, "invalid log entry"),
        (lambda *_: Answered(201, {"uuid": {"body": "AAAA"}}), "is no entry of a log with its proof"),
        (lambda *_: Answered(201, "[" * 1000), "is no entry of a log with its proof"),
        (lambda *_: Answered(201, b"x" * 2_000_000), "answer is longer than 1048576 bytes"),
        (lambda *_: Answered(400, {"code": 400, "message": "invalid signature"}), "POST answered 400 400 (invalid sig"),
    ],
    ids=range(7),
)
def test_an_answer_of_the_log_that_does_not_fit_is_stored_nowhere(
    answer: Callable[[SigstoreServers, Asked], Answered],
    why: str,
    sandbox: Sandbox,
    image: Layout,
    servers: SigstoreServers,
    tmp_path: Path,
) -> None:
    servers.answers[REKOR] = lambda asked: answer(servers, asked)
    said, _ = push(sandbox, image, tmp_path, servers.token(), code=5)
    assert f"log {servers.url}: " in said or why.startswith("answer")
    assert why in said
    assert [one for one in sandbox.store.manifests("team/app") if one.subject] == []


@pytest.mark.parametrize("path", [FULCIO, REKOR])
def test_nobody_is_sent_elsewhere(
    path: str, sandbox: Sandbox, image: Layout, servers: SigstoreServers, tmp_path: Path
) -> None:
    with Endpoint({}) as stranger:
        servers.answers[path] = lambda _: Answered(307, "", {"Location": f"{stranger.url}{path}"})
        said, _ = push(sandbox, image, tmp_path, servers.token(), code=4 if path == FULCIO else 5)
        assert stranger.asked == []
    assert f"{servers.url}: " in said


def test_a_token_is_sent_by_https_alone(
    sandbox: Sandbox, image: Layout, servers: SigstoreServers, tmp_path: Path
) -> None:
    text = json.dumps(servers.config()).replace(servers.url, "http://fulcio.example")
    (tmp_path / "trust.json").write_text(text)
    said, _ = push(sandbox, image, tmp_path, servers.token(), code=4)
    assert "http://fulcio.example is not https" in said


def test_an_entry_whose_answer_was_lost_is_fetched(
    sandbox: Sandbox, image: Layout, servers: SigstoreServers, tmp_path: Path
) -> None:
    lost = [True]

    def enter(asked: Asked) -> Answered:
        found = servers.enter(asked)
        return Answered(502, "") if lost and lost.pop() else found

    servers.answers[REKOR] = enter
    words = ("push", f"oci:{image.path}", f"{sandbox.address}/team/app:1", "--sign", "keyless")
    token = servers.token()
    program(*words, "--trust-root", "trust.json", "--retries", "1", cwd=tmp_path, SIGSTORE_ID_TOKEN=token)
    assert [one.method for one in servers.asked] == ["POST", "POST", "POST", "GET"]
    assert len(servers.entries) == 1


@pytest.fixture
def run(servers: SigstoreServers, tmp_path: Path) -> Iterator[Run]:
    with running(servers, tmp_path) as found:
        yield found


def test_a_certificate_serves_until_shortly_before_its_end(run: Run, servers: SigstoreServers) -> None:
    run.sign("a")
    run.clock.time += 500
    run.sign("b")
    run.clock.time += 50
    run.sign("c")
    run.sign("c")
    assert servers.paths() == [FULCIO, REKOR, REKOR, FULCIO, REKOR]


def test_a_certificate_that_ends_while_the_log_is_waited_for_is_renewed_once(
    run: Run, servers: SigstoreServers
) -> None:
    def enter(asked: Asked) -> Answered:
        if not servers.late_s:
            run.clock.time += 200
            servers.late_s = 200
            return servers.enter(asked)
        servers.late_s = 0
        servers.late_s, found = 1, servers.enter(asked)
        return found

    servers.answers[REKOR] = enter
    servers.minutes = 2
    payload = statement(Digest.of(b"a"), SIGNATURE, {})
    root = json.dumps(servers.sigstore.trust_root())
    IdentityVerifier(TrustedIdentity(IDENTITY, ISSUER, root, "root")).check(run.sign("a"), payload)
    assert servers.paths() == [FULCIO, REKOR, FULCIO, REKOR]


def test_a_log_that_has_an_equal_entry_and_shows_none_is_asked_with_other_signatures_and_given_up(
    run: Run, servers: SigstoreServers
) -> None:
    servers.answers[REKOR] = lambda _: Answered(409, {"message": "an equal entry"})
    with pytest.raises(ProtocolViolationError, match="equal entry already"):
        run.sign("a")
    assert len({one.body for one in servers.asked if one.path == REKOR}) == 3


def test_a_failure_is_not_kept_for_long(run: Run, servers: SigstoreServers) -> None:
    good = servers.answers[FULCIO]
    servers.answers[FULCIO] = lambda _: Answered(401, {"message": "not yet"})
    with pytest.raises(CredentialsError, match="not yet"):
        run.sign("a")
    servers.answers[FULCIO] = good
    run.clock.time += 60
    run.sign("a")
    assert servers.paths() == [FULCIO, FULCIO, REKOR]


def test_the_public_sigstore_is_known_without_a_file_and_at_public_addresses_only() -> None:
    found = read_services("", "")
    assert (found.fulcio, found.log) == ("https://fulcio.sigstore.dev", "https://rekor.sigstore.dev")
    assert found.is_public
    assert found.name.startswith("the public Sigstore's root in sigstore ")


def test_what_the_public_root_does_not_know_is_told_with_what_may_be_the_reason() -> None:
    payload = statement(Digest.of(b"a"), SIGNATURE, {})
    verifier = IdentityVerifier(TrustedIdentity(IDENTITY, ISSUER))
    with pytest.raises(ValueError, match=r"which may be too old: pip install --upgrade sigstore, or give a newer one"):
        verifier.check(Sigstore().sign(payload), payload)


def test_without_the_extra_it_is_told_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sigstore.verify", None)
    with pytest.raises(ConfigError, match="nothing can be signed without a key: the package sigstore") as caught:
        read_services("", "")
    assert caught.value.hint == "pip install 'oci-push[keyless]'"
