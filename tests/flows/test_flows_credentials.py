"""Credentials are checked where they are read, and told of by place, never by value."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from oci_push.errors import CredentialsError
from oci_push.protocol.credentials import basic_password, basic_user, bearer_token, header, refresh_token

BAD = [f"s3cr3t{sign}t0ken" for sign in (" ", "\n", "\r", "\0", "é", '"', ",", "\x7f")]


@pytest.mark.parametrize("text", ["s3cr3t\n", " s3cr3t\r\n", "\ufeffs3cr3t", "\ts3cr3t \n"])
def test_blanks_round_a_token_are_no_part_of_it(text: str) -> None:
    assert bearer_token(text, "here").reveal() == "s3cr3t"
    assert refresh_token(text, "here").reveal() == "s3cr3t"


@pytest.mark.parametrize("text", ["a.b-c_d~e+f/g==", "eyJh==.e30=.x", "1//0e-g"])
def test_tokens_of_all_kinds_are_good(text: str) -> None:
    assert bearer_token(text, "here").reveal() == text


@pytest.mark.parametrize("text", [*BAD, "", " \n"])
def test_what_no_header_can_carry_is_refused_by_its_place(text: str) -> None:
    with pytest.raises(CredentialsError, match=r"^here: the token") as caught:
        bearer_token(text, "here")
    assert "s3cr3t" not in f"{caught.value!r} {caught.value.hint}"
    assert not caught.value.transient


def test_a_refresh_token_may_hold_every_visible_sign() -> None:
    assert refresh_token('M.R3*!"|,', "here").reveal() == 'M.R3*!"|,'
    with pytest.raises(CredentialsError):
        refresh_token("a b", "here")


@pytest.mark.parametrize("text", ['pä ss:\t"x', '{\n  "type": "service_account"\n}'])
@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_password_may_hold_anything_less_its_last_line_end(text: str, end: str) -> None:
    assert basic_password(f"{text}{end}", "here").reveal() == text


@pytest.mark.parametrize("text", ["s3cr3t\nother", "s3cr3t\0", "s3cr3t\rother", '{"a":\0}'])
def test_a_password_of_many_lines_is_a_mistake(text: str) -> None:
    with pytest.raises(CredentialsError, match=r"^here: the password") as caught:
        basic_password(text, "here")
    assert "s3cr3t" not in f"{caught.value!r}"


def test_a_user_of_many_lines_is_a_mistake() -> None:
    assert basic_user("me\n", "here") == "me"
    with pytest.raises(CredentialsError, match=r"^here: the user name"):
        basic_user("me\nyou", "here")


@pytest.mark.parametrize("read", [basic_password, basic_user])
def test_half_a_character_is_told_of_before_it_is_sent(read: Callable[[str, str], object]) -> None:
    with pytest.raises(CredentialsError, match=r"^here: the .* is not text that can be sent") as caught:
        read("s3cr3t\ud800", "here")
    assert "s3cr3t" not in f"{caught.value!r}"


@pytest.mark.parametrize(("name", "value"), [("a b", "x"), ("a", "x\ny"), ("a\r\nb", "x"), ("", "x"), ("a", "é")])
def test_a_header_that_would_be_two_is_refused(name: str, value: str) -> None:
    with pytest.raises(CredentialsError, match=r"^here: "):
        header(name, value, "here")
