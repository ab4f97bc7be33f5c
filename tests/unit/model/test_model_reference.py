"""References, repositories, destinations and tags, by tables."""

from __future__ import annotations

import re

import pytest

from oci_push.model.digest import Digest
from oci_push.model.reference import (
    Destination,
    Reference,
    Repository,
    canonical_host,
    check_tag,
    is_host,
    is_tag,
    split,
)

DIGEST = Digest.of(b"x")


@pytest.mark.parametrize(
    ("text", "host", "path"),
    [
        ("nginx", "docker.io", "library/nginx"),
        ("team/app", "docker.io", "team/app"),
        ("docker.io/nginx", "docker.io", "library/nginx"),
        ("index.docker.io/team/app", "docker.io", "team/app"),
        ("registry-1.docker.io/nginx", "docker.io", "library/nginx"),
        ("localhost/app", "localhost", "app"),
        ("localhost:5000/a/b/c", "localhost:5000", "a/b/c"),
        ("reg.example/app", "reg.example", "app"),
        ("host:5000/app", "host:5000", "app"),
        ("127.0.0.1:5000/app", "127.0.0.1:5000", "app"),
        ("[::1]:5000/app", "[::1]:5000", "app"),
        ("reg.example/a__b/c--d/e.f/0", "reg.example", "a__b/c--d/e.f/0"),
        ("xn--bcher-kva.example/app", "xn--bcher-kva.example", "app"),
    ],
)
def test_repository_is_read(text: str, host: str, path: str) -> None:
    repository = Repository.parse(text)
    assert (repository.host, repository.path) == (host, path)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        "reg.example/",
        "reg.example//app",
        "reg.example/App",
        "reg.example/a___b",
        "reg.example/-a",
        "reg.example/a-",
        "reg.example/a..b",
        "reg.example/../etc",
        "reg.example/a b",
        "reg.example/app\n",
        "reg.example/äpp",
        "reg.example:/app",
        "reg.example:abc/app",
        "-reg.example/app",
        "https://reg.example/app",
        "user@reg.example/app",
        "reg.example/" + "a" * 250,
    ],
)
def test_what_is_no_repository_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        Repository.parse(text)


def test_upper_case_name_gets_advice() -> None:
    with pytest.raises(ValueError, match="did you mean 'team/app'"):
        Repository.parse("reg.example/Team/App")


@pytest.mark.parametrize("text", ["reg.example:5000/team/app", "docker.io/library/nginx"])
def test_repository_parse_and_str_are_inverse(text: str) -> None:
    assert str(Repository.parse(text)) == text


@pytest.mark.parametrize(
    ("text", "familiar"),
    [
        ("nginx", "nginx"),
        ("docker.io/team/app", "team/app"),
        ("reg.example/library/app", "reg.example/library/app"),
    ],
)
def test_familiar_form_is_what_people_write(text: str, familiar: str) -> None:
    assert Repository.parse(text).familiar == familiar


@pytest.mark.parametrize(
    ("host", "canonical"),
    [
        ("docker.io", "docker.io"),
        ("index.docker.io", "docker.io"),
        ("Registry-1.Docker.io", "docker.io"),
        ("REG.example:5000", "reg.example:5000"),
        ("docker.io.example", "docker.io.example"),
    ],
)
def test_hosts_are_compared_in_canonical_form(host: str, canonical: str) -> None:
    assert canonical_host(host) == canonical


@pytest.mark.parametrize(
    ("text", "expected"),
    [("reg.example", True), ("host:5000", True), ("localhost", True), ("[::1]", True), ("team", False), (".", False)],
)
def test_first_component_is_a_host_or_not(text: str, expected: bool) -> None:
    assert is_host(text) is expected


@pytest.mark.parametrize(
    ("text", "name", "tag", "digest"),
    [
        ("app", "app", "", None),
        ("app:1.2", "app", "1.2", None),
        ("host:5000/app", "host:5000/app", "", None),
        ("host:5000/app:v1", "host:5000/app", "v1", None),
        (f"host:5000/app@{DIGEST}", "host:5000/app", "", DIGEST),
        (f"app:v1@{DIGEST}", "app", "v1", DIGEST),
        ("[::1]:5000/app:v1", "[::1]:5000/app", "v1", None),
    ],
)
def test_reference_is_cut_into_its_parts(text: str, name: str, tag: str, digest: Digest | None) -> None:
    assert split(text) == (name, tag, digest)


@pytest.mark.parametrize(
    "text", ["", " app", "app ", "app\n", "app:", "app:.x", "app@", "app@sha256:1", f"app@{DIGEST}@x"]
)
def test_what_is_no_reference_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        split(text)


def test_reference_without_tag_and_digest_gets_the_default() -> None:
    assert Reference.parse("app").tag == "latest"
    assert Reference.parse("app", default_tag="").tag == ""
    assert Reference.parse(f"app@{DIGEST}").tag == ""


def test_digest_decides_over_the_tag() -> None:
    assert Reference.parse(f"app:v1@{DIGEST}").target == str(DIGEST)
    assert Reference.parse("app:v1").target == "v1"


@pytest.mark.parametrize("text", ["reg.example/app:v1", f"reg.example/app@{DIGEST}", f"reg.example/app:v1@{DIGEST}"])
def test_reference_parse_and_str_are_inverse(text: str) -> None:
    assert str(Reference.parse(text)) == text


def test_bare_hex_is_an_image_id() -> None:
    with pytest.raises(ValueError, match="is an image id"):
        Reference.parse(DIGEST.encoded)


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        ("reg.example/app", ()),
        ("reg.example/app:v1", ("v1",)),
        ("reg.example:5000/app:v2,v1,latest", ("v2", "v1", "latest")),
        ("reg.example/app:v1,v1,v2", ("v1", "v2")),
    ],
)
def test_destination_keeps_its_tags_in_order_once_each(text: str, tags: tuple[str, ...]) -> None:
    assert Destination.parse(text).tags == tags


@pytest.mark.parametrize("text", [f"app@{DIGEST}", "app:", "app:v1,", "app:v1,-x", "App:v1"])
def test_what_is_no_destination_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        Destination.parse(text)


@pytest.mark.parametrize("tag", ["latest", "1.2.3", "_x", "A-b_c.d", "x" * 128])
def test_tag_is_accepted(tag: str) -> None:
    assert is_tag(tag)
    assert check_tag(tag) == tag


@pytest.mark.parametrize(
    ("tag", "message"),
    [
        ("", "tag is empty"),
        ("x" * 129, "has 129 characters, at most 128"),
        (".x", "starts with '.'"),
        ("-x", "starts with '-'"),
        ("a b", "contains ' '"),
        ("a+b", r"contains '\+'"),
        ("a/b", "contains '/'"),
        ("ä", "contains 'ä'"),
        ("a\n", "contains"),
        ("٣", "contains"),
    ],
)
def test_refused_tag_says_why(tag: str, message: str) -> None:
    assert not is_tag(tag)
    with pytest.raises(ValueError, match=message):
        check_tag(tag)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("127.0.0.1:99999/a", "ports are 1 to 65535"),
        ("127.0.0.1:0/a", "ports are 1 to 65535"),
        ("[::1]:70000/a", "ports are 1 to 65535"),
        ("256.1.1.1/a", "256.1.1.1 is no address"),
        ("[::::]:5000/a", "is no address"),
        ("::1:5000/a", "an IPv6 address stands in brackets"),
        ("127.0.0.1.:5000/a", "'127.0.0.1.:5000' is not a registry host"),
        ("https://user:word@reg.example/a", "written without a scheme"),
        ("user:word@reg.example/a", "no login"),
    ],
)
def test_a_destination_that_cannot_be_reached_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=re.escape(reason)):
        Destination.parse(text)
