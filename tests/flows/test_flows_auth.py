from __future__ import annotations

import json

import pytest
from scripted import drive, reply

from oci_push.errors import CredentialsError
from oci_push.model.endpoint import Credential
from oci_push.protocol import challenge, tokens
from oci_push.protocol.challenge import Challenge, canonical, covers
from oci_push.protocol.error_responses import parse_body, retry_after
from oci_push.secret import Secret

BEARER = Challenge("bearer", {"realm": "https://auth.test/token?x=1", "service": "a b"})
SCOPES = ("repository:a:pull,push", "repository:b:pull")


@pytest.mark.case("AU-005")
def test_several_challenges_with_quotes_and_commas_are_kept_apart() -> None:
    found = challenge.parse(
        ['Basic realm="a, \\"b\\"", bearer Realm="https://t/x",scope="repository:a:pull,push",error=invalid_token']
    )
    assert found == (
        Challenge("basic", {"realm": 'a, "b"'}),
        Challenge("bearer", {"realm": "https://t/x", "scope": "repository:a:pull,push", "error": "invalid_token"}),
    )


@pytest.mark.case("AU-022")
def test_scopes_are_merged_to_one_canonical_form() -> None:
    given = ["repository:h:5000/a:push", "repository:b:*,pull", "repository:h:5000/a:pull,push"]
    assert canonical(given) == ("repository:h:5000/a:pull,push", "repository:b:*")


def test_a_wildcard_covers_every_action_and_nothing_else() -> None:
    assert covers(["repository:a:*"], ["repository:a:pull,push"])
    assert not covers(["repository:a:pull"], ["repository:a:pull,push"])
    assert not covers(["repository:a:*"], ["repository:b:pull"])


def test_a_token_is_asked_for_with_the_target_first_and_the_realms_query_kept() -> None:
    credential = Credential("user", Secret("p:ß"), source="flag")
    token, calls = drive(
        tokens.request(BEARER, SCOPES, credential, 100.0), reply(200, b'{"token":"t","expires_in":300}')
    )
    assert calls[0].url.startswith("https://auth.test/token?x=1&service=a%20b&scope=repository:a:pull,push&scope=")
    assert calls[0].headers["Authorization"] == "Basic dXNlcjpwOsOf"
    assert "p:ß" not in repr(calls)
    assert token.expires_at == 400.0


@pytest.mark.case("AU-009", "AU-010")
def test_a_missing_life_is_sixty_seconds_from_our_own_clock() -> None:
    token, _ = drive(
        tokens.request(BEARER, SCOPES, None, 7.0),
        reply(200, b'{"access_token":"t","issued_at":"2099-01-01T00:00:00Z"}'),
    )
    assert token.expires_at == 67.0


@pytest.mark.case("AU-017")
def test_an_identity_token_is_posted_and_falls_back_to_get() -> None:
    credential = Credential(identity_token=Secret("refresh"))
    _, calls = drive(tokens.request(BEARER, SCOPES, credential, 0.0), reply(404), reply(200, b'{"token":"t"}'))
    assert [c.method for c in calls] == ["POST", "GET"]
    assert calls[0].body is not None
    assert b"grant_type=refresh_token" in next(iter(calls[0].body.blocks()))
    assert "refresh" not in repr(calls[0].body)


def test_blanks_round_a_token_of_an_answer_are_no_part_of_it() -> None:
    token, _ = drive(tokens.request(BEARER, SCOPES, None, 0.0), reply(200, b'{"token":"tok\\r\\n"}'))
    assert token.text == Secret("tok")


@pytest.mark.parametrize("field", ["token", "access_token"])
def test_an_answer_whose_token_no_header_can_carry_names_the_realm_and_no_value(field: str) -> None:
    body = json.dumps({"token": "good", field: "s3cr3t\nX-Other: s3cr3t"}).encode()
    if field == "access_token":
        body = body.replace(b'"token": "good", ', b"")
    with pytest.raises(
        CredentialsError, match=r"token server https://auth\.test/token: its answer: the token"
    ) as caught:
        drive(tokens.request(BEARER, SCOPES, None, 0.0), reply(200, body))
    assert "s3cr3t" not in f"{caught.value!r}{caught.value.hint}"
    assert not caught.value.transient


@pytest.mark.case("AU-008")
def test_an_answer_without_a_token_names_the_realm() -> None:
    with pytest.raises(CredentialsError, match=r"https://auth\.test/token: .* neither"):
        drive(tokens.request(BEARER, SCOPES, None, 0.0), reply(200, b"{}"))


def test_refused_credentials_name_user_and_source_and_never_the_password() -> None:
    credential = Credential("robot", Secret("hidden"), source="/etc/x.json")
    with pytest.raises(CredentialsError) as caught:
        drive(tokens.request(BEARER, SCOPES, credential, 0.0), reply(401))
    assert "robot" in str(caught.value)
    assert "/etc/x.json" in str(caught.value)
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize(
    ("body", "codes", "text"),
    [
        (b'{"errors":[{"code":"DENIED","message":"quota","detail":"10 GB"}]}', ("DENIED",), "quota: 10 GB"),
        (b'{"errors":{"code":1}}', (), ""),
        (b'{"code":7,"message":"x"}', ("7",), "x"),
        (b"<html>no</html>", (), ""),
        (b"plain \x1b[31mtext", (), "plain [31mtext"),
        (b'["', (), '["'),
        (b"", (), ""),
    ],
)
@pytest.mark.case("ER-002", "ER-003")
def test_any_error_body_is_read_without_fail(body: bytes, codes: tuple[str, ...], text: str) -> None:
    assert parse_body(body) == (codes, text)


def test_retry_after_is_read_in_seconds_and_as_a_date() -> None:
    assert retry_after("7", 0) == 7.0
    assert retry_after("Tue, 14 Nov 2023 22:13:30 GMT", 1_700_000_000) == 10.0
    assert retry_after("soon", 0) is None
