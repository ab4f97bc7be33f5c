"""How settings of requests are written, what is refused of them, and from where blobs may be mounted."""

from __future__ import annotations

import pytest

from oci_push.model import traffic_words as words
from oci_push.model.reference import Repository
from oci_push.model.traffic import MountRule, Traffic
from oci_push.secret import Secret


def repository(path: str) -> Repository:
    return Repository("reg.example", path)


@pytest.mark.parametrize(
    ("text", "name", "host", "value"),
    [
        ("X-Team: builders", "X-Team", "", "builders"),
        ("X-Team:builders", "X-Team", "", "builders"),
        ("X-Team: a=b: c", "X-Team", "", "a=b: c"),
        ("X-Team@reg.example: v", "X-Team", "reg.example", "v"),
        ("X-Team@reg.example:5000: v", "X-Team", "reg.example:5000", "v"),
        ("X-Team@reg.example:5000", "X-Team", "reg.example", "5000"),
        ("X-Team@[::1]:5000: v", "X-Team", "[::1]:5000", "v"),
    ],
)
def test_a_header_is_read_with_the_registry_that_it_is_for(text: str, name: str, host: str, value: str) -> None:
    assert words.given_header(text) == words.Given((name, Secret(value)), host)


@pytest.mark.parametrize(
    "name",
    [
        *("Authorization", "proxy-authorization", "HOST", "Content-Length", "Transfer-Encoding", "Content-Type", "TE"),
        *("Connection", "Range", "If-Match", "Accept", "User-Agent", "Upgrade", "Expect", "X-IDENTITY-HEADER"),
        *("X-HTTP-Method-Override", "X-Method-Override", "X-Original-URL", "X-Rewrite-URL", "OCI-Subject", "a b", "ä"),
    ],
)
def test_no_header_takes_the_place_of_one_that_the_protocol_needs(name: str) -> None:
    with pytest.raises(ValueError, match=r"Authorization is made|belongs to|no name|setting of its own"):
        words.header_name(name)


@pytest.mark.parametrize("value", ["", "a\r\nHost: x", "a\nb", "a\0b", "hidden-\x7f", "hidden-ä", " hidden-word"])
def test_a_value_that_no_header_can_carry_is_refused_and_not_shown(value: str) -> None:
    with pytest.raises(ValueError, match="the value of X-Key") as caught:
        words.header("X-Key", Secret(value))
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize("text", ["nothing", ": v", "X-A@: v", "X-A@reg.example/x: v", "X-A@b_ad host: v"])
def test_what_is_no_header_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        words.given_header(text)


def test_one_header_in_two_spellings_is_refused() -> None:
    with pytest.raises(ValueError, match="x-a is given twice"):
        words.no_header_twice([("X-A", Secret("1")), ("x-a", Secret("2"))])


@pytest.mark.parametrize(("text", "size"), [("64k", 65536), ("16m", 16 << 20), ("100M", 100 << 20), ("1g", 1 << 30)])
def test_a_size_has_the_suffixes_of_curl(text: str, size: int) -> None:
    assert words.chunk_bytes(text) == size


@pytest.mark.parametrize("text", ["", "63k", "16 m", "16mb", "-1", "1.5m", "x"])
def test_what_is_no_size_of_a_chunk_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no size of a chunk"):
        words.chunk_bytes(text)


@pytest.mark.parametrize("text", ["0", "0.001", "-1", "ten", "1e3", "inf", ""])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no number of requests"):
        words.requests_per_s(text)


def test_places_are_read_with_one_or_several_addresses() -> None:
    given = ["Reg.Example:443:10.0.0.7", "[::1]:5000:[fe80::1],127.0.0.1"]
    assert words.pinned(given) == {
        ("reg.example", 443): ("10.0.0.7",),
        ("::1", 5000): ("fe80::1", "127.0.0.1"),
    }


@pytest.mark.parametrize("text", ["reg", "reg:443", "reg:x:1.2.3.4", "reg:443:other", "reg:0:1.2.3.4", "*:443:1.2.3.4"])
def test_what_is_no_place_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"write HOST:PORT:ADDRESS|is no IP address"):
        words.pinned([text])


@pytest.mark.parametrize(
    ("rule", "allowed"),
    [
        ("off", []),
        ("namespace", ["team/base", "team/deep/er"]),
        ("team/base", ["team/base"]),
        ("team/deep/*,other/lib", ["team/deep/er", "other/lib"]),
    ],
)
def test_blobs_are_mounted_from_where_the_rule_says(rule: str, allowed: list[str]) -> None:
    paths = ["team/base", "team/deep/er", "teams/base", "other/lib", "team"]
    made = words.mount_rule(rule)
    assert made is not None
    assert [path for path in paths if made.allows(repository(path), repository("team/app"))] == [
        *allowed,
        *(["team"] if rule == "namespace" else []),
    ]
    assert words.mount_rule("any") is None


@pytest.mark.parametrize("text", ["Team/App", ",", "team/*/x", "a,b c"])
def test_what_is_no_rule_for_mounts_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="repository"):
        words.mount_rule(text)


def test_what_is_given_goes_before_what_is_described_and_twice_changes_nothing() -> None:
    described = Traffic(5.0, 1, MountRule(), "file/1", (("X-A", Secret("file")), ("X-B", Secret("file"))))
    given = Traffic(chunk_bytes=2, headers=(("x-a", Secret("given")),))
    both = given.over(described)
    assert both == Traffic(5.0, 2, MountRule(), "file/1", (("x-a", Secret("given")), ("X-B", Secret("file"))))
    assert given.over(both) == both
