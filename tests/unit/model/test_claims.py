"""What a JSON Web Token says of itself is read from whatever it is, and nothing else is."""

from __future__ import annotations

import base64
import json

import pytest

from oci_push.protocol.claims import Claims, read_claims
from oci_push.secret import Secret


def token(claims: object) -> Secret:
    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    return Secret(f"{part({'alg': 'RS256'})}.{part(claims)}.c2lnbmF0dXJl")


def test_claims_are_read() -> None:
    value = {"iss": "https://ci.example", "sub": "repo:a", "aud": ["x", "y"], "iat": 1000, "exp": 1300.5}
    claims = read_claims(token(value))
    assert claims == Claims("https://ci.example", "repo:a", ("x", "y"), 1000.0, 1300.5)
    assert claims.life_s() == 300.5
    assert str(claims) == "iss https://ci.example, sub repo:a, aud x and y"


@pytest.mark.parametrize(
    ("claims", "read"),
    [
        ({}, Claims()),
        ({"iss": 1, "sub": None, "aud": {"a": "b"}, "iat": "1", "exp": True}, Claims()),
        ({"aud": [1, "x", None, ""]}, Claims(audiences=("x",))),
        ({"iat": -1, "exp": 1e300}, Claims()),
    ],
)
def test_what_is_no_claim_is_left_out(claims: object, read: Claims) -> None:
    found = read_claims(token(claims))
    assert found == read
    assert found.life_s() is None


@pytest.mark.parametrize(
    "text",
    ["", "a.b", "a.b.c.d", "..", "a.%%%.c", "a.aGFsbG8.c", "a.W10.c", f"a.{'Ww' * 20000}.c", "a.ÿ.c"],
)
def test_what_is_no_token_is_none(text: str) -> None:
    assert read_claims(Secret(text)) is None


@pytest.mark.parametrize(
    "subject",
    [
        "repo:octo-org@123456/octo-repo@789012:ref:refs/heads/main",
        "repo:octo-org/octo-repo:environment:prod",
        "project_path:group/app:ref_type:branch:ref:main",
        "organization:acme:pipeline:app:ref:refs/heads/main:commit:9f3182061f1e2cca4702c368cbc039b7dc9d4485:step:push",
        "org/00000000-1111-2222-3333-444444444444/project/x/user/y",
        "account:5f30ebd30312313ae7f17948:pipeline:64de5cd47626b3ca134e760a:scm_ref:main",
    ],
)
def test_each_cis_subject_is_told_as_it_is(subject: str) -> None:
    assert f"sub {subject}, " in str(Claims("https://ci.example", subject))


def test_claims_are_told_on_one_line_and_not_without_an_end() -> None:
    told = str(Claims("https://ci.example\n::error::", "x" * 1000))
    assert "\n" not in told
    assert len(told) < 700
    assert told.endswith(", aud missing")
