"""Digests: what is one, and what it compares to."""

from __future__ import annotations

import hashlib

import pytest

from oci_push.model.digest import Digest

HEX = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.mark.parametrize("text", [f"sha256:{HEX}", f"sha512:{HEX}{HEX}"])
def test_parse_and_str_are_inverse(text: str) -> None:
    assert str(Digest.parse(text)) == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not a digest"),
        (HEX, "is not a digest"),
        ("sha256", "is not a digest"),
        ("sha256:", "must be 64 lower-case hex digits"),
        (f"sha256:{HEX[1:]}", "must be 64 lower-case hex digits"),
        (f"sha256:{HEX}0", "must be 64 lower-case hex digits"),
        (f"sha256:{HEX.upper()}", "must be 64 lower-case hex digits"),
        (f"sha256:{HEX[:-1]}\n", "must be 64 lower-case hex digits"),
        (f"sha256:{HEX}\n", "must be 64 lower-case hex digits"),
        (f"sha256:{HEX[:-1]}g", "must be 64 lower-case hex digits"),
        (f"sha256:{HEX[:-1]}٣", "must be 64 lower-case hex digits"),
        (f"sha512:{HEX}", "must be 128 lower-case hex digits"),
        (f"SHA256:{HEX}", "is not supported"),
        (f"md5:{HEX[:32]}", "is not supported"),
        (f":{HEX}", "is not supported"),
        (f"sha256+b64:{HEX}", "is not supported"),
    ],
)
def test_anything_else_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Digest.parse(text)


def test_message_about_a_long_text_is_short() -> None:
    with pytest.raises(ValueError, match="is not a digest") as caught:
        Digest.parse("x" * 100_000)
    assert len(str(caught.value)) < 200


def test_of_hashes_bytes() -> None:
    assert Digest.of(b"") == Digest("sha256", HEX)
    assert Digest.of(b"x", "sha512").encoded == hashlib.sha512(b"x").hexdigest()


def test_finished_hash_matches_or_not() -> None:
    digest = Digest.of(b"content")
    running = digest.new_hash()
    running.update(b"con")
    assert not digest.matches(running)
    running.update(b"tent")
    assert digest.matches(running)


def test_short_form_is_twelve_digits() -> None:
    assert Digest("sha256", HEX).short == "e3b0c44298fc"


def test_equal_digests_are_one_key() -> None:
    assert len({Digest.of(b"a"), Digest.of(b"a"), Digest.of(b"b")}) == 2
