"""What a SOURCE text means: nothing is guessed."""

from __future__ import annotations

import pytest

from oci_push.errors import ConfigError
from oci_push.model.digest import Digest
from oci_push.model.reference import Destination, shown
from oci_push.model.source import IsPath, SourceGrammar, SourceSpec
from oci_push.sources.table import GRAMMAR, SOURCES

DIGEST = Digest.of(b"x")


def parse_source(text: str, is_path: IsPath) -> SourceSpec:
    return SourceGrammar(SOURCES, is_path).parse(text)


def nowhere(_: str) -> bool:
    """Say that no path exists."""
    return False


@pytest.mark.parametrize(
    ("text", "kind", "path", "ref"),
    [
        ("-", "stdin", "-", ""),
        ("oci:build/image", "oci", "build/image", ""),
        ("oci:build/image:1", "oci", "build/image", "1"),
        ("oci-archive:x.tar:team/app:1", "oci-archive", "x.tar", "team/app:1"),
        (f"docker-archive:x.tar@{DIGEST}", "docker-archive", "x.tar", f"@{DIGEST}"),
        ("docker-archive:x.tar:@1", "docker-archive", "x.tar", "@1"),
        ("docker://alpine:3", "registry", "alpine:3", ""),
        ("docker://docker.io/library/alpine", "registry", "docker.io/library/alpine", ""),
        ("registry.example.com/team/app:1", "registry", "registry.example.com/team/app:1", ""),
        ("localhost/app", "registry", "localhost/app", ""),
        ("localhost:5000/app:1", "registry", "localhost:5000/app:1", ""),
        ("host:5000/app", "registry", "host:5000/app", ""),
        ("[::1]:5000/app", "registry", "[::1]:5000/app", ""),
        ("127.0.0.1:5000/a/b:1", "registry", "127.0.0.1:5000/a/b:1", ""),
        (f"reg.example/app:1@{DIGEST}", "registry", f"reg.example/app:1@{DIGEST}", ""),
    ],
)
def test_a_form_is_read(text: str, kind: str, path: str, ref: str) -> None:
    found = parse_source(text, nowhere)
    assert (found.kind, found.path, found.ref, found.text) == (kind, path, ref, text)


@pytest.mark.parametrize(
    "text",
    [
        "./app",
        "../app",
        "/app",
        "~/app",
        ".",
        "..",
        "~",
        "image.tar",
        "out/image.tar",
        "image.TAR.GZ",
        "x.tgz",
        "a.tar.xz",
        "image.tar:v1",
        "a.tar.bz2@0",
        "registry.example.com/app.tar",
        "C:\\images\\app",
        "C:/images/app",
    ],
)
def test_what_looks_like_a_path_is_one_also_when_it_does_not_exist(text: str) -> None:
    assert parse_source(text, nowhere).kind == "file"


@pytest.mark.parametrize(
    ("text", "image"),
    [
        ("build/image", "docker.io/build/image:latest"),
        ("alpine", "docker.io/library/alpine:latest"),
        ("alpine:3", "docker.io/library/alpine:3"),
        ("team/app:1", "docker.io/team/app:1"),
        ("imageA/x".lower(), "docker.io/imagea/x:latest"),
        ("wrong:thing", "docker.io/library/wrong:thing"),
        (f"team/app@{DIGEST}", f"docker.io/team/app@{DIGEST}"),
    ],
)
def test_a_word_that_names_no_registry_is_never_docker_hubs(text: str, image: str) -> None:
    with pytest.raises(ConfigError, match="no such file or folder, and it names no registry") as caught:
        parse_source(text, nowhere)
    assert f"docker://{image}" in str(caught.value.hint)
    assert GRAMMAR.known in str(caught.value.hint)


@pytest.mark.parametrize("text", ["No Such Thing", "", " ", "a//b", "TEAM/App", "a:b:c", "::1/app", DIGEST.encoded])
def test_nonsense_is_told_the_forms(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_source(text, nowhere)
    assert GRAMMAR.known in str(caught.value.hint)


@pytest.mark.parametrize(
    ("text", "scheme", "advice"),
    [
        ("docker-daemon:app:1", "docker-daemon:", "docker save NAME | oci-push push -"),
        ("dir:build/image", "dir:", "skopeo copy"),
        ("sif:x.sif", "sif:", "skopeo copy"),
        ("ostree:app@/repo", "ostree:", "skopeo copy"),
        ("http://reg.example/app", "http:", "docker://HOST/REPO:TAG"),
        ("https://reg.example/app:1", "https:", "docker://HOST/REPO:TAG"),
        ("HTTPS://reg.example/app:1", "HTTPS:", "docker://HOST/REPO:TAG"),
        ("file:///tmp/image", "file:", "the path alone"),
        ("s3://bucket/image", "s3:", "oci-archive:FILE"),
        ("foo:bar/baz", "foo:", "oci-archive:FILE"),
        ("foo+bar:a/b:c", "foo+bar:", "oci-archive:FILE"),
        ("OCI:Dir", "OCI:", "oci-archive:FILE"),
    ],
)
def test_an_unknown_scheme_is_an_error_that_says_what_to_do(text: str, scheme: str, advice: str) -> None:
    with pytest.raises(ConfigError, match="is no form that is known") as caught:
        parse_source(text, nowhere)
    assert f" {scheme} " in str(caught.value)
    assert advice in str(caught.value.hint)
    assert GRAMMAR.known in str(caught.value.hint)


@pytest.mark.parametrize(
    "image",
    ["app", "localhost/app:1", "docker.io/library/app@sha256:0", "[vfs@/srv/store+/run/store:a=b]app:1", "0c1d2e"],
)
def test_all_behind_containers_storage_is_left_to_who_opens_it(image: str) -> None:
    found = parse_source(f"containers-storage:{image}", lambda path: True)
    assert (found.kind, found.path, found.ref) == ("storage", image, "")


@pytest.mark.parametrize(
    "text",
    ["containers-storage:", "oci:", "oci-archive:", "docker-archive:", "docker://", "docker://a b", "docker://X"],
)
def test_a_form_without_what_it_needs_is_an_error(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_source(text, nowhere)


@pytest.mark.parametrize("text", ["localhost", "localhost:5000", "registry.example.com", "registry.example.com:5000/"])
def test_a_registry_alone_is_no_source(text: str) -> None:
    with pytest.raises(ConfigError, match="as a registry it lacks a repository"):
        parse_source(text, nowhere)


@pytest.mark.parametrize("text", ["docker://localhost:5000", "docker://registry.example.com", "reg.example/App"])
def test_a_registry_without_a_repository_is_an_error(text: str) -> None:
    with pytest.raises(ConfigError, match="repository"):
        parse_source(text, nowhere)


@pytest.mark.parametrize("text", ["image", "build/image", "image:v1", "containers-storage", "dir:x", "alpine:3"])
def test_a_path_that_exists_is_a_path(text: str) -> None:
    found = parse_source(text, lambda path: path == text)
    assert (found.kind, found.path, found.ref) == ("file", text, "")


def test_a_path_that_exists_may_have_a_name_or_digest_behind_it() -> None:
    assert parse_source("image:v1", lambda path: path == "image").ref == "v1"
    assert parse_source(f"build/image@{DIGEST}", lambda path: path == "build/image").ref == f"@{DIGEST}"


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("localhost:5000/app:1", "localhost"),
        ("reg.example/app:1", "reg.example/app"),
        ("reg.example/app", "reg.example/app"),
    ],
)
def test_what_is_a_path_and_a_registrys_image_is_not_guessed(text: str, path: str) -> None:
    with pytest.raises(ConfigError, match="is a path that exists, and an image on the registry") as caught:
        parse_source(text, lambda one: one == path)
    assert f"./{text}" in str(caught.value.hint)
    assert f"docker://{text}" in str(caught.value.hint)
    assert parse_source(f"docker://{text}", lambda one: one == path).kind == "registry"
    assert parse_source(f"./{text}", lambda one: one == f"./{path}").kind == "file"


def test_every_form_is_listed() -> None:
    assert all(form.written in GRAMMAR.known for form in SOURCES)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("localhost:5000", "names the registry localhost:5000 and no repository"),
        ("localhost", "names the registry localhost and no repository"),
        ("registry.example.com", "names the registry registry.example.com and no repository"),
        ("127.0.0.1:5000", "and no repository"),
        ("[::1]:5000", "and no repository"),
        ("localhost:5000/", "and no repository"),
        ("app", "names no registry"),
        ("team/app", "names no registry"),
        ("team/app:1", "names no registry"),
        ("registry/app:1", "names no registry"),
        ("app:latest", "names no registry"),
        ("::1/app:1", "stands in brackets"),
        ("C:\\app", "names no registry"),
        ("docker://reg.example/app", "without a scheme"),
        ("https://reg.example/app:1", "without a scheme"),
        ("oci:reg.example/app", "names no registry"),
    ],
)
def test_a_destination_names_a_registry_and_a_repository(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Destination.parse(text)


def test_docker_hub_is_a_destination_by_its_name() -> None:
    assert str(Destination.parse("docker.io/app:1")) == "docker.io/library/app:1"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://me:secret@reg.example/app", "https://***@reg.example/app"),
        ("docker://me:se/cr@et@reg.example/app:1", "docker://***@reg.example/app:1"),
        ("me:secret@reg.example/app", "***@reg.example/app"),
        (f"me:secret@reg.example/app@{DIGEST}", f"***@reg.example/app@{DIGEST}"),
        (f"reg.example/app:1@{DIGEST}", f"reg.example/app:1@{DIGEST}"),
        ("image.tar@0", "image.tar@0"),
    ],
)
def test_a_password_in_a_reference_is_not_repeated(text: str, expected: str) -> None:
    assert shown(text) == expected
    if "secret" in text:
        with pytest.raises(ConfigError) as caught:
            parse_source(text, nowhere)
        assert "secret" not in f"{caught.value} {caught.value.hint}"
