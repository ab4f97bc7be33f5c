"""Signing without a key where Fulcio, the log, an authority for timestamps or the configuration itself is hostile.

What does not count is found before a public log has it, wherever that can be known.
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cloudendpoints import Answered, Asked, Endpoint
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from identityrun import Run, running
from keyless import IDENTITY, ISSUER
from sigstoreservers import FULCIO, REKOR, REKOR_2, TSA, SigstoreServers, Timestamps, key_in

from oci_push.engine.signing.job_identity import JobIdentity
from oci_push.errors import (
    Cancelled,
    ConfigError,
    CredentialsError,
    NetworkError,
    OciPushError,
    ProtocolViolationError,
    UnavailableError,
)
from oci_push.events import LogMessage
from oci_push.model.trust import Keyless, TrustedIdentity
from oci_push.runtime.clock import FakeClock
from oci_push.signing.keyless import IdentityVerifier

NAMES = x509.ObjectIdentifier("2.5.29.17")
USER_NAME = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.7")
ISSUER_OID = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.1")
PAST = {"start": "2020-01-01T00:00:00Z", "end": "2021-01-01T00:00:00Z"}
Answer = Callable[[SigstoreServers, Asked], Answered]


def uris(*texts: str) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName([x509.UniformResourceIdentifier(one) for one in texts])


def other(value: bytes, kind: x509.ObjectIdentifier = USER_NAME) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName([x509.OtherName(kind, value)])


def certified(servers: SigstoreServers, asked: Asked, **how: object) -> x509.Certificate:
    key = key_in(json.loads(asked.body))
    assert key is not None
    return servers.sigstore.certificate(key, **how)  # type: ignore[arg-type]  # one of several kinds


def changed(before: str, after: str, *more: x509.UnrecognizedExtension) -> Answer:
    """Give a certificate with bytes of it changed."""

    def answer(servers: SigstoreServers, asked: Asked) -> Answered:
        der = certified(servers, asked, more=more).public_bytes(Encoding.DER)
        assert bytes.fromhex(before) in der
        text = base64.encodebytes(der.replace(bytes.fromhex(before), bytes.fromhex(after))).decode()
        pem = f"-----BEGIN CERTIFICATE-----\n{text}-----END CERTIFICATE-----\n"
        return Answered(200, {"signedCertificateEmbeddedSct": {"chain": {"certificates": [pem]}}})

    return answer


def naming(names: x509.ExtensionType) -> Answer:
    return lambda servers, asked: servers.certified(certified(servers, asked, names=names))


def extension(number: int) -> x509.UnrecognizedExtension:
    return x509.UnrecognizedExtension(x509.ObjectIdentifier(f"1.2.3.{number}"), b"\5\0")


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (naming(uris(IDENTITY, "https://github.com/other")), "names several"),
        (naming(x509.SubjectAlternativeName([x509.RFC822Name("a@b.c"), *uris(IDENTITY)])), "names several"),
        (naming(uris("")), "does not say whose it is"),
        (naming(x509.SubjectAlternativeName([x509.DNSName("a.example")])), "does not say whose it is"),
        (naming(x509.UnrecognizedExtension(NAMES, bytes.fromhex("3004a3023000"))), "does not say whose it is"),
        (naming(x509.UnrecognizedExtension(NAMES, bytes.fromhex("3004ff"))), "does not say whose it is"),
        (naming(other(b"\x0c\x03\xff\xfe\xfd")), "does not say whose it is"),
        (naming(other(b"\x0c\x03who", x509.ObjectIdentifier("1.2.3"))), "does not say whose it is"),
        (naming(uris("https://a.example/\x1b[31m\n")), "not printable"),
        (naming(uris("https://a.example/" + "a" * 100_000)), "longer than 2048 letters"),
        (lambda one, asked: one.certified(certified(one, asked, issuer="")), "does not say whose it is"),
        (lambda one, asked: one.certified(certified(one, asked, signs_code=False)), "not for signing code"),
        (changed("06032a0305", "06032a0304", extension(4), extension(5)), "does not say whose it is"),
        (changed("a003020102", "a003020109"), "is no certificate"),
        (changed("06082a8648ce3d040302", "06082a8648ce3d04037f"), "its authority is none"),
    ],
    ids=range(15),
)
def test_a_certificate_that_names_nobody_for_sure_signs_nothing(answer: Answer, why: str, tmp_path: Path) -> None:
    with SigstoreServers() as servers, running(servers, tmp_path) as run:
        servers.answers[FULCIO] = lambda asked: answer(servers, asked)
        with pytest.raises(ProtocolViolationError, match=f"Fulcio .*: its answer does not count: .*{why}"):
            run.sign("a")
        assert servers.paths() == [FULCIO]


def test_a_user_who_is_no_address_signs_by_that_name(tmp_path: Path) -> None:
    with SigstoreServers() as servers, running(servers, tmp_path) as run:
        servers.answers[FULCIO] = lambda asked: naming(other(b"\x0c\x10name!example.com"))(servers, asked)
        run.sign("a")
        assert "signed as name!example.com: entry " in run.said()


def test_what_is_beside_the_certificates_of_a_chain_is_published_nowhere(tmp_path: Path) -> None:
    def answer(servers: SigstoreServers, asked: Asked, times: int = 1) -> Answered:
        found = servers.certify(asked)
        assert isinstance(found.body, dict)
        listed = found.body["signedCertificateEmbeddedSct"]["chain"]["certificates"]
        listed[1:] = [f"{asked.headers['authorization']}\n{listed[1]}"] * times
        return found

    with SigstoreServers() as servers, running(servers, tmp_path) as run:
        servers.answers[FULCIO] = lambda asked: answer(servers, asked)
        chain = run.layer(b"{}")["dev.sigstore.cosign/chain"]
        assert chain.startswith("-----BEGIN CERTIFICATE-----\n")
        assert chain.count("-----") == 4
    with SigstoreServers() as servers, running(servers, tmp_path) as run:
        servers.answers[FULCIO] = lambda asked: answer(servers, asked, 20)
        with pytest.raises(ProtocolViolationError, match="holds 21 certificates"):
            run.sign("a")


@pytest.mark.parametrize(
    ("answer", "kind", "why"),
    [
        (Answered(200, "<html>"), CredentialsError, "not a JSON object"),
        (Answered(200, b"{" + b" " * 3_000_000), CredentialsError, "longer than 262144 bytes"),
        (Answered(302, "", {"Location": "http://169.254.169.254/"}), CredentialsError, "redirects"),
        (Answered(429, "", {"Retry-After": "36000"}), OciPushError, "429"),
    ],
    ids=range(4),
)
def test_an_answer_that_is_none_is_told_as_fulcios(
    answer: Answered, kind: type[Exception], why: str, tmp_path: Path
) -> None:
    with SigstoreServers() as servers, running(servers, tmp_path) as run:
        servers.answers[FULCIO] = lambda _: answer
        with pytest.raises(kind, match=f"Fulcio {servers.url}: .*{why}"):
            run.sign("a")
        assert servers.paths() == [FULCIO]


@pytest.mark.parametrize(
    ("before", "after"),
    [('"logIndex"', '"x": NaN, "logIndex"'), ("log.example", r"\ud800"), ('"logIndex"', '"more": "x", "logIndex"')],
    ids=range(3),
)
def test_an_entry_that_no_bundle_may_hold_is_refused(before: str, after: str, tmp_path: Path) -> None:
    def enter(asked: Asked) -> Answered:
        return Answered(201, json.dumps(servers.enter_2(asked).body).replace(before, after, 1))

    with SigstoreServers(tmp_path / "tsa") as servers, running(servers, tmp_path) as run:
        servers.answers[REKOR_2] = enter
        with pytest.raises(ProtocolViolationError, match=f"log {servers.url}: its answer does not count"):
            run.sign("a")


def _of_another(times: Timestamps, asked: Asked) -> Answered:
    return times.answer(Asked("POST", TSA, {}, {}, asked.body[:-10] + bytes(7) + asked.body[-3:]))


STAMPS: list[Callable[[Timestamps, Asked], Answered]] = [
    lambda times, asked: Answered(200, b"junk"),
    lambda times, asked: Answered(200, b""),
    _of_another,
]


@pytest.mark.parametrize("answer", STAMPS, ids=range(3))
def test_a_timestamp_that_does_not_count_is_found_before_the_log_is_asked(
    answer: Callable[[Timestamps, Asked], Answered], tmp_path: Path
) -> None:
    with SigstoreServers(tmp_path / "tsa") as servers, running(servers, tmp_path) as run:
        assert servers.times is not None
        servers.answers[TSA] = lambda asked: answer(servers.times, asked)  # type: ignore[arg-type]
        with pytest.raises(ProtocolViolationError, match=f"timestamps of {servers.address}: the answer does not count"):
            run.sign("a")
        assert servers.paths() == [FULCIO, TSA]


@pytest.mark.parametrize("answer", [*STAMPS, lambda times, asked: times.answer(asked)], ids=range(4))
def test_a_timestamp_that_does_not_count_is_not_stored_where_the_logs_time_will_do(
    answer: Callable[[Timestamps, Asked], Answered], tmp_path: Path
) -> None:
    """The last one is good, but by an authority that the trust root does not know."""
    with SigstoreServers() as servers:
        times = Timestamps(tmp_path / "tsa")
        servers.answers[TSA] = lambda asked: answer(times, asked)
        config = servers.config()
        config["signingConfig"]["tsaUrls"] = [{**config["signingConfig"]["caUrls"][0], "url": servers.url + TSA}]  # type: ignore[index]  # JSON
        with running(servers, tmp_path, config) as run:
            assert b"rfc3161" not in run.sign("a")
            assert [one.level for one in run.events if isinstance(one, LogMessage)] == ["warning", "info"]
            assert "the log's own time has to do" in run.said()
        assert servers.paths() == [FULCIO, TSA, REKOR]


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://user:hunter2@127.0.0.1:1", "the address of 127.0.0.1 has a login in it"),
        ("https://", "is no URL of http or https"),
        ("ftp://a.example", "is no URL of http or https"),
        ("https://a.example/\r\nX: y", "is no URL of http or https"),
        ("https://a.example:99999999", "is no URL"),
        ("https://[::1", "is no URL"),
        ("https://a.example?a=b", "has more in it than a host and a path"),
    ],
    ids=range(7),
)
def test_an_address_that_is_none_is_told_before_anything_is_asked(url: str, why: str, tmp_path: Path) -> None:
    with SigstoreServers() as servers:
        for name in ("caUrls", "rekorTlogUrls"):
            config = servers.config()
            config["signingConfig"][name][0]["url"] = url  # type: ignore[index]  # JSON
            with pytest.raises(ConfigError, match=why) as caught:
                Run(servers, tmp_path, config)
            assert "hunter2" not in str(caught.value)
            assert str(tmp_path / "trust.json") in str(caught.value)


@pytest.mark.parametrize(
    ("selector", "is_good"),
    [({"selector": "ANY"}, True), ({"selector": "ALL"}, False), ({"selector": "EXACT", "count": 2}, False)],
    ids=range(3),
)
def test_entries_in_several_logs_are_not_promised(selector: object, is_good: bool, tmp_path: Path) -> None:
    with SigstoreServers() as servers:
        config = servers.config()
        signing = config["signingConfig"]
        assert isinstance(signing, dict)
        signing["rekorTlogUrls"].append({**signing["rekorTlogUrls"][0], "operator": "another"})
        signing["rekorTlogConfig"] = selector
        if is_good:
            with running(servers, tmp_path, config) as run:
                run.sign("a")
            return
        with pytest.raises(ConfigError, match="it wants entries in 2 logs"):
            Run(servers, tmp_path, config)


@pytest.mark.parametrize("kind", ["tlogs", "ctlogs", "certificateAuthorities"])
@pytest.mark.parametrize("is_old", [False, True])
def test_a_root_by_which_nothing_of_today_counts_is_told_before_anything_is_logged(
    kind: str, is_old: bool, tmp_path: Path
) -> None:
    with SigstoreServers() as servers:
        config = servers.config()
        root = config["trustedRoot"]
        assert isinstance(root, dict)
        for one in root[kind]:
            one.get("publicKey", one)["validFor"] = PAST
        if not is_old:
            root[kind] = []
        with (
            pytest.raises(OciPushError, match=r"cannot be signed with|was trusted at that time"),
            running(servers, tmp_path, config) as run,
        ):
            run.sign("a")
        assert REKOR not in servers.paths()


@pytest.mark.parametrize(("path", "what"), [(FULCIO, "Fulcio"), (REKOR, "log")])
def test_an_answer_that_does_not_end_is_not_waited_for(path: str, what: str, tmp_path: Path) -> None:
    """The clock goes on while the answer is under way."""

    def late(asked: Asked) -> Answered:
        run.clock.time += 301
        over.wait(20)
        return good(asked)

    over = threading.Event()
    with SigstoreServers() as servers, running(servers, tmp_path) as run:
        good = servers.answers[path]
        servers.answers[path] = late
        with pytest.raises(NetworkError, match=f"{what} {servers.url}: gave no whole answer in 300 s"):
            run.sign("a")
        over.set()


def test_a_fulcio_that_gives_nothing_is_asked_once_for_many_images(tmp_path: Path) -> None:
    with SigstoreServers() as servers, running(servers, tmp_path) as run:
        good = servers.answers[FULCIO]
        servers.answers[FULCIO] = lambda _: Answered(503, "")
        for name in ("a", "b", "c"):
            with pytest.raises(UnavailableError, match=f"Fulcio {servers.url}: POST answered 503"):
                run.sign(name)
        assert servers.paths() == [FULCIO]
        servers.answers[FULCIO] = good
        run.clock.time += 31
        run.sign("a")


def test_who_is_stopped_while_fulcio_is_waited_for_takes_nobody_along(tmp_path: Path) -> None:
    with SigstoreServers() as servers, running(servers, tmp_path) as run:
        one = run.context.child()
        good = servers.answers[FULCIO]

        def stopped(asked: Asked) -> Answered:
            one.cancel(Cancelled("stopped"))
            return Answered(503, "")

        servers.answers[FULCIO] = stopped
        with pytest.raises(Cancelled):
            run.job.prepare(one)
        servers.answers[FULCIO] = good
        run.sign("a")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"trustedRoot": {"tlogs": []}, ', "it has 'trustedRoot' twice in one object"),
        ('{"more": NaN, ', "not every reader takes"),
        ("[" * 100_000, "nested too deeply"),
        ("<html>", "is not JSON"),
    ],
    ids=range(4),
)
def test_a_configuration_that_is_read_in_two_ways_or_in_none_is_refused(text: str, why: str, tmp_path: Path) -> None:
    with SigstoreServers() as servers, running(servers, tmp_path) as run:
        file = tmp_path / "trust.json"
        file.write_text(text + file.read_text()[1:])
        for use in (lambda: JobIdentity(Keyless(str(file)), run.clients.cloud()), lambda: trusting(file)):
            with pytest.raises(ConfigError, match=why):
                use()
        file.write_text("\ufeff" + json.dumps(servers.config()))
        JobIdentity(Keyless(str(file)), run.clients.cloud())
        assert servers.asked == []


def trusting(root: Path) -> IdentityVerifier:
    return IdentityVerifier(TrustedIdentity(IDENTITY, ISSUER, root.read_text(), "trust.json"))


class _Watch(FakeClock):
    """Two clocks: one may be set, the other may stand still while the machine sleeps."""

    set_s = asleep_s = 0.0

    def now(self) -> float:
        return self.time + self.set_s

    def monotonic(self) -> float:
        return self.time - self.asleep_s


@pytest.mark.parametrize(
    ("passed", "is_renewed"),
    [
        ({"set_s": 3600.0}, True),
        ({"set_s": -3600.0}, False),
        ({"set_s": -3600.0, "time": 560.0}, True),
        ({"asleep_s": 3600.0, "time": 3600.0}, True),
    ],
    ids=["set on", "set back", "set back, and time passes", "asleep"],
)
def test_a_certificate_is_as_old_as_the_clock_says_that_went_further(
    passed: dict[str, float], is_renewed: bool, tmp_path: Path
) -> None:
    with SigstoreServers() as servers, running(servers, tmp_path, clock=_Watch()) as run:
        run.job.prepare(run.context)
        for name, seconds in passed.items():
            setattr(run.clock, name, getattr(run.clock, name) + seconds)
        run.job.prepare(run.context)
        assert servers.paths() == [FULCIO] * (1 + is_renewed)


def test_many_threads_have_one_certificate(tmp_path: Path) -> None:
    with SigstoreServers() as servers, running(servers, tmp_path) as run, ThreadPoolExecutor(8) as pool:
        bundles = list(pool.map(run.sign, [str(number // 2) for number in range(60)]))
        assert len(set(bundles)) == 30
        assert servers.paths().count(FULCIO) == 1
        assert servers.paths().count(REKOR) == 30


def test_a_certificate_that_has_no_life_is_not_taken(tmp_path: Path) -> None:
    def answer(asked: Asked) -> Answered:
        return servers.certified(certified(servers, asked, minutes=-1))

    with SigstoreServers() as servers, running(servers, tmp_path) as run:
        servers.answers[FULCIO] = answer
        with pytest.raises(ProtocolViolationError, match="ends before it begins"):
            run.sign("a")


def test_an_entry_that_the_log_has_and_shows_nowhere_is_made_anew_with_another_signature(tmp_path: Path) -> None:
    """And nobody goes where a log says that it is, to another host above all."""
    with SigstoreServers() as servers, running(servers, tmp_path) as run, Endpoint({}) as stranger:
        elsewhere = [{"Location": f"{stranger.url}{REKOR}/{'a' * 64}"}, {"Location": "../../../../x"}, {}]
        servers.answers[REKOR] = lambda asked: (
            Answered(409, "", elsewhere.pop(0)) if len(elsewhere) > 1 else servers.enter(asked)
        )
        run.sign("a")
        bodies = [one.body for one in servers.asked if (one.method, one.path) == ("POST", REKOR)]
        assert len(set(bodies)) == 3
        assert stranger.asked == []
