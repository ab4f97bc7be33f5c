"""One credential file's bytes: keys, entries, and messages that never show a value."""

from __future__ import annotations

import base64
import json

import pytest

from oci_push.credentials.format import AuthFile, AuthKey
from oci_push.errors import CredentialsError
from oci_push.model.endpoint import Credential
from oci_push.secret import Secret


def login_of(entry: object) -> Credential | None:
    return AuthFile.parse(json.dumps({"auths": {"reg.example": entry}}).encode(), "f.json").credential("reg.example")


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


SOURCE = "f.json (reg.example)"


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"auth": b64("u:p")}, Credential("u", Secret("p"), source=SOURCE)),
        ({"auth": b64("u:p:with:colons")}, Credential("u", Secret("p:with:colons"), source=SOURCE)),
        ({"auth": b64("u:p\0\0")}, Credential("u", Secret("p"), source=SOURCE)),
        ({"auth": b64("u:pä")}, Credential("u", Secret("pä"), source=SOURCE)),
        ({"auth": b64("u:p")[:4] + "\n" + b64("u:p")[4:]}, Credential("u", Secret("p"), source=SOURCE)),
        ({"username": "u", "password": "p"}, Credential("u", Secret("p"), source=SOURCE)),
        ({"auth": b64("u:p"), "username": "other", "password": "x"}, Credential("u", Secret("p"), source=SOURCE)),
        ({"auth": b64("00:"), "identitytoken": "t"}, Credential("00", None, Secret("t"), source=SOURCE)),
        ({"identitytoken": "t"}, Credential(identity_token=Secret("t"), source=SOURCE)),
        ({"registrytoken": "t"}, Credential(registry_token=Secret("t"), source=SOURCE)),
        ({"auth": b64("<token>:t")}, Credential(identity_token=Secret("t"), source=SOURCE)),
        ({"username": "<token>", "password": "t"}, Credential(identity_token=Secret("t"), source=SOURCE)),
        ({}, None),
        ({"email": "u@x.example"}, None),
        ({"auth": ""}, None),
        ({"auth": b64("u:")}, None),
    ],
)
@pytest.mark.case("CR-015")
def test_entry_gives_the_login(entry: object, expected: Credential | None) -> None:
    assert login_of(entry) == expected


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("text", "is not an object"),
        ({"auth": 7}, "auth is not a string"),
        ({"auth": "%%%"}, "auth is not base64 of user:password"),
        ({"auth": b64("nocolon")}, "auth is not base64 of user:password"),
        ({"auth": base64.b64encode(b"u:\xff").decode()}, "auth is not base64 of user:password"),
        ({"identitytoken": ["t"]}, "identitytoken is not a string"),
    ],
)
def test_damaged_entry_is_named_by_file_and_key(entry: object, message: str) -> None:
    with pytest.raises(CredentialsError) as caught:
        login_of(entry)
    assert str(caught.value) == f"f.json: entry 'reg.example': {message}"


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"[1]", "f.json: is not a JSON object"),
        (b'{"auths": []}', "f.json: auths is not an object"),
        (b'{"credHelpers": "x"}', "f.json: credHelpers is not an object"),
        (b'{"credHelpers": {"a": 1}}', "f.json: credsStore and credHelpers must be names of helpers"),
        (b'{"credsStore": 1}', "f.json: credsStore and credHelpers must be names of helpers"),
        (b"\xff\xfe{}", "f.json: is not UTF-8 text"),
        (b"[" * 100_000, "f.json: is not JSON that can be read"),
    ],
)
def test_damaged_file_is_named(raw: bytes, message: str) -> None:
    with pytest.raises(CredentialsError) as caught:
        AuthFile.parse(raw, "f.json")
    assert str(caught.value) == message


def test_byte_order_mark_is_passed_over() -> None:
    assert AuthFile.parse(b'\xef\xbb\xbf{"credsStore": "pass"}', "f.json").store == "pass"


def test_null_sections_hold_nothing() -> None:
    assert AuthFile.parse(b'{"auths": null, "credHelpers": null}', "f.json") == AuthFile("f.json")


@pytest.mark.parametrize(
    ("text", "host", "path", "depth"),
    [
        ("reg.example", "reg.example", "", 0),
        ("reg.example:5000/a/b", "reg.example:5000", "a/b", 2),
        ("https://reg.example/a/", "reg.example", "a", 1),
        ("https://index.docker.io/v1/", "docker.io", "", 0),
        ("index.docker.io/v1", "docker.io", "", 0),
        ("reg.example/v2", "reg.example", "v2", 1),
        ("docker.io/team", "docker.io", "team", 1),
        ("[::1]:5000/a", "[::1]:5000", "a", 1),
        ("", "", "", 0),
    ],
)
def test_key_is_read(text: str, host: str, path: str, depth: int) -> None:
    key = AuthKey.parse(text)
    assert (key.host, key.path, key.depth) == (host, path, depth)


def test_file_never_shows_its_entries() -> None:
    file = AuthFile.parse(b'{"auths": {"reg.example": {"password": "hunter2"}}}', "f.json")
    assert "hunter2" not in repr(file)
