"""Rate limits told in headers, what servers repeat of secrets, and the API's root."""

from __future__ import annotations

import base64
import json

import pytest
from scripted import drive, reply

from oci_push.errors import NotFoundError, ProtocolViolationError
from oci_push.protocol.call import Call
from oci_push.protocol.error_responses import error_for
from oci_push.protocol.notices import rate_limits
from oci_push.protocol.ping import ping
from oci_push.protocol.tokens import granted
from oci_push.secret import Secret


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        ({}, ""),
        ({"ratelimit-limit": "100;w=21600", "ratelimit-remaining": "76;w=21600"}, "rate limit 100 in 6 h, 76 left"),
        (
            {"ratelimit-limit": "10;w=60", "ratelimit-remaining": "0;w=60", "docker-ratelimit-source": "192.0.2.1"},
            "rate limit 10 in 1 min, 0 left, counted for 192.0.2.1",
        ),
        ({"ratelimit-limit": "200;w=90"}, "rate limit 200 in 90 s"),
        ({"x-ratelimit-limit": "5000", "x-ratelimit-remaining": "4999"}, "rate limit 5000, 4999 left"),
        ({"x-ms-ratelimit-remaining-calls-per-second": "166.6"}, "rate limit: 166.6 calls a second left"),
        ({"ratelimit-limit": "a lot", "ratelimit-remaining": "-1"}, ""),
    ],
)
def test_rate_limits_are_told_in_words(headers: dict[str, str], told: str) -> None:
    assert rate_limits(reply(200, **headers)) == told


def test_a_429_tells_what_the_limit_is() -> None:
    headers = {"ratelimit-limit": "100;w=21600", "ratelimit-remaining": "0;w=21600"}
    error = error_for(Call("GET", "/v2/", what="hub"), reply(429, **headers), lambda: 0.0)
    assert "rate limit 100 in 6 h, 0 left" in str(error)


def test_a_secret_cut_by_the_messages_length_is_taken_out_first() -> None:
    secret = "s" * 1000
    call = Call("GET", "/v2/", {"Authorization": f"Bearer {Secret(secret).reveal()}"})
    body = json.dumps({"errors": [{"code": "X", "message": f"bad {secret}"}]}).encode()
    assert "ssss" not in str(error_for(call, reply(400, body), lambda: 0.0))


@pytest.mark.parametrize(
    ("statuses", "passes"),
    [
        (
            (408, 425, 429, 499, 500, 502, 503, 504, 509, 520, 521, 522, 523, 524, 525, 526, 527, 529, 530, 598, 599),
            True,
        ),
        ((400, 401, 403, 404, 405, 409, 410, 413, 418, 451, 501, 505, 506, 507, 508, 510, 511, 600), False),
    ],
)
def test_what_a_server_has_trouble_with_may_pass_and_what_it_cannot_do_does_not(
    statuses: tuple[int, ...], passes: bool
) -> None:
    errors = [error_for(Call("GET", "/v2/"), reply(status), lambda: 0.0) for status in statuses]
    assert [error.status for error in errors if error.transient is not passes] == []


class TestPing:
    def test_the_time_and_limits_are_read(self) -> None:
        headers = {"date": "Thu, 01 Jan 1970 00:01:40 GMT", "ratelimit-limit": "5"}
        pong, calls = drive(ping("reg.example"), reply(200, **headers))
        assert (pong.moment, pong.limits) == (100.0, "rate limit 5")
        assert [(call.method, call.url) for call in calls] == [("GET", "/v2/")]

    def test_a_date_that_is_none_is_no_time(self) -> None:
        assert drive(ping("reg.example"), reply(200, date="soon"))[0].moment is None

    def test_404_is_no_registry(self) -> None:
        with pytest.raises(ProtocolViolationError, match=r"reg\.example: is not a registry"):
            drive(ping("reg.example"), NotFoundError("gone", status=404))


def token(claims: object) -> Secret:
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return Secret(f"e30.{payload}.sig")


@pytest.mark.parametrize(
    ("text", "scopes"),
    [
        (
            token({"access": [{"type": "repository", "name": "a", "actions": ["push", "pull"]}]}),
            ("repository:a:pull,push",),
        ),
        (token({"access": []}), ()),
        (token({"sub": "x"}), None),
        (token([1]), None),
        (Secret("opaque"), None),
        (Secret("a.!!!.c"), None),
    ],
)
def test_what_a_token_opens_is_read_where_it_says_so(text: Secret, scopes: tuple[str, ...] | None) -> None:
    assert granted(text) == scopes


@pytest.mark.parametrize("actions", ["pull", "pull,push"])
def test_who_reads_a_manifest_that_is_not_there_is_not_told_of_pushing(actions: str) -> None:
    answer = reply(404, body=b'{"errors":[{"code":"MANIFEST_UNKNOWN"}]}')
    call = Call("GET", "/v2/a/manifests/1", scopes=(f"repository:a:{actions}",))
    assert error_for(call, answer, lambda: 0.0).hint == "see what there is with oci-push tags"


@pytest.mark.parametrize(
    ("actions", "hint"),
    [
        ("pull", "the repository does not exist there, or this login may not see it; check its name"),
        ("pull,push", "the repository does not exist there; create it first"),
    ],
)
def test_who_reads_a_repository_that_is_not_there_is_not_told_to_create_it(actions: str, hint: str) -> None:
    answer = reply(404, body=b'{"errors":[{"code":"NAME_UNKNOWN"}]}')
    call = Call("GET", "/v2/a/manifests/1", scopes=(f"repository:a:{actions}",))
    assert error_for(call, answer, lambda: 0.0).hint == hint
