"""Every option has its effect, or is refused with the reason before anything is sent."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
import zstandard
from equipment.options import SandboxOptions
from equipment.sandbox import Sandbox
from images import LayoutWriter, config_of, docker_archive, layer, make_layout, make_raw_layout
from program import program

from oci_push.api import parse_destinations
from oci_push.errors import ConfigError
from oci_push.model import media
from oci_push.secret import Secret

ONE, TWO = layer(1), layer(2)
ECR = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/app:1"


@pytest.fixture(autouse=True)
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with an image in every form."""
    monkeypatch.chdir(tmp_path)
    make_layout(tmp_path / "layout", ONE)
    packed = zstandard.ZstdCompressor().compress(ONE)
    for name, stored in (("plain", ONE), ("gzip", gzip.compress(ONE)), ("zstd", packed)):
        (tmp_path / f"{name}.tar").write_bytes(docker_archive(("a", stored), config=config_of(ONE), paths=["a"]))
    mixed = docker_archive(("a", gzip.compress(ONE)), ("b", TWO), config=config_of(ONE, TWO), paths=["a", "b"])
    (tmp_path / "mixed.tar").write_bytes(mixed)
    make_raw_layout(tmp_path / "artifact", b"text")
    (tmp_path / "ca.pem").write_text("")
    return tmp_path


REFUSED = {
    "two platforms": ("oci:layout HOST/a:1 --platform linux/amd64 --platform linux/arm64", "no image for linux/arm64"),
    "two platforms in one": ("oci:layout HOST/a:1 --platform linux/amd64,linux/arm64", "no image for linux/arm64"),
    "another platform": ("oci:layout HOST/a:1 --platform linux/arm64", "has no image for linux/arm64"),
    "another platform of an archive": ("plain.tar HOST/a:1 --platform linux/arm64", "has no image for linux/arm64"),
    "zstd of a layout in gzip": ("oci:layout HOST/a:1 --compression zstd", "is stored in gzip and is sent as it is"),
    "none of a layout in gzip": ("oci:layout HOST/a:1 --compression none", "is stored in gzip and is sent as it is"),
    "zstd of layers in gzip": ("gzip.tar HOST/a:1 --compression zstd", "layer a is stored in gzip"),
    "none of layers in gzip": ("gzip.tar HOST/a:1 --compression none", "layer a is stored in gzip"),
    "gzip of layers in zstd": ("zstd.tar HOST/a:1 --compression gzip", "layer a is stored in zstd"),
    "zstd of some layers in gzip": ("mixed.tar HOST/a:1 --compression zstd", "layer a is stored in gzip"),
    "none of an artifact": ("oci:artifact HOST/a:1 --compression none", "it is no image, but an artifact"),
    "one annotation twice": ("oci:layout HOST/a:1 --annotation a=b --annotation manifest:a=c", "a is there twice"),
    "a level for a layout": ("oci:layout HOST/a:1 --compression-level 3", "no layer of layout is compressed here"),
    "a level for layers in gzip": ("gzip.tar HOST/a:1 --compression-level 3", "no layer of gzip.tar is compressed"),
    "a level of none": ("plain.tar HOST/a:1 --compression none --compression-level 3", "has no effect with"),
    "a level that does not exist": ("plain.tar HOST/a:1 --compression-level 11", "level 11 does not exist for gzip"),
    "docker's form with zstd": ("plain.tar HOST/a:1 --compression zstd --format docker", "do not know zstd"),
    "docker's form for layers in zstd": ("zstd.tar HOST/a:1 --format docker", "do not know"),
    "a CA without TLS": ("oci:layout HOST/a:1 --plain-http --ca-file ca.pem", "--ca-file has no effect with"),
    "unchecked without TLS": ("oci:layout HOST/a:1 --plain-http --skip-tls-verify", "--skip-tls-verify has no effect"),
    "a pair without TLS": ("oci:layout HOST/a:1 --plain-http --cert-file ca.pem", "--cert-file has no effect with"),
    "a CA that is not looked at": ("oci:layout HOST/a:1 --skip-tls-verify --ca-file ca.pem", "--ca-file has no effect"),
    "a user without a password": ("oci:layout HOST/a:1 --username me", "go together"),
    "one login, two registries": (
        "oci:layout HOST/a:1 other.example/a:1 -u me --password-stdin",
        "one password is for one",
    ),
    "an unknown compression": ("oci:layout HOST/a:1 --recompress lz4", "'lz4' is not known"),
    "zstd:chunked": ("oci:layout HOST/a:1 --recompress zstd:chunked", "give zstd"),
    "a level too high": ("oci:layout HOST/a:1 --recompress zstd:23", "level 23 does not exist for zstd"),
    "two compressions": ("plain.tar HOST/a:1 --recompress gzip --compression gzip", "has no effect with --recompress"),
    "two levels": ("plain.tar HOST/a:1 --recompress gzip --compression-level 3", "--recompress gzip:LEVEL"),
    "all in zstd for docker": ("oci:layout HOST/a:1 --recompress zstd --format docker", "do not know zstd"),
    "annotations of docker's form": ("oci:layout HOST/a:1 --annotation a=b --format docker", "have no annotations"),
    "an annotation without a value": ("oci:layout HOST/a:1 --annotation a", "expected [WHERE:]KEY=VALUE"),
    "an annotation of what is not known": ("oci:layout HOST/a:1 --annotation tag:a=b", "WHERE is manifest:, index:"),
    "an annotation of no index": ("oci:layout HOST/a:1 --annotation index:a=b", "it is one image, and no index"),
    "an annotation of no index in a tar": ("plain.tar HOST/a:1 --annotation index:a=b", "it is one image, and no"),
    "two platforms of a tar": ("plain.tar HOST/a:1 --platform linux/amd64,linux/arm64", "no image for linux/arm64"),
    "an index of a platform": ("oci:layout HOST/a:1 --annotation index[linux/amd64]:a=b", "an index has no platform"),
    "an annotation of no platform": ("oci:layout HOST/a:1 --annotation manifest[linux]:a=b", "is not a platform"),
    "no time": ("oci:layout HOST/a:1 --source-date-epoch yesterday", "seconds since 1970"),
    "sparse and one image": ("oci:layout HOST/a:1 --sparse --platform linux/amd64", "it is one image, and no index"),
    "sparse without platforms": ("oci:layout HOST/a:1 --sparse", "--sparse needs --platform"),
    "sparse and changed": (
        "oci:layout HOST/a:1 --sparse --platform linux/amd64 --recompress zstd",
        "nothing in it can be changed",
    ),
    "regions elsewhere": ("oci:layout HOST/a:1 --regions eu-west-1", "ECR's private registries only"),
    "creation elsewhere": ("oci:layout HOST/a:1 --create-repository", "is not a private ECR registry"),
    "replication elsewhere": ("oci:layout HOST/a:1 --wait-replication", "is not a private ECR registry"),
    "one of two regions is none": (
        f"oci:layout {ECR} --regions eu-west-1 --regions nowhere",
        "'nowhere' is not an AWS",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_an_option_without_effect_is_refused_and_nobody_is_asked(case: str, tmp_path: Path) -> None:
    words, message = REFUSED[case]
    with Sandbox() as sandbox:
        words = words.replace("HOST", sandbox.address)
        done = program("push", *words.split(), cwd=tmp_path, code=None, stdin="secret")
        assert done.returncode in (2, 3), done.stderr
        assert message in done.stderr
        assert not sandbox.traffic.requests


TAKEN = {
    "one platform twice": ("oci:layout HOST/a:1 --platform linux/amd64 --platform linux/amd64", media.OCI_LAYER_GZIP),
    "gzip of a layout in gzip": ("oci:layout HOST/a:1 --compression gzip --format oci", media.OCI_LAYER_GZIP),
    "docker's form for a layout": ("oci:layout HOST/a:1 --format docker", media.DOCKER_LAYER_GZIP),
    "zstd": ("plain.tar HOST/a:1 --compression zstd --compression-level 4 --format oci", media.OCI_LAYER_ZSTD),
    "zstd of layers in zstd": ("zstd.tar HOST/a:1 --compression zstd", media.OCI_LAYER_ZSTD),
    "none": ("plain.tar HOST/a:1 --compression none --format docker", media.DOCKER_LAYER),
    "gzip of some layers in gzip": ("mixed.tar HOST/a:1 --compression gzip --format oci", media.OCI_LAYER_GZIP),
    "foreign layers where there are none": ("plain.tar HOST/a:1 --foreign-layers", media.DOCKER_LAYER_GZIP),
}


@pytest.mark.parametrize("case", TAKEN)
def test_an_option_that_is_fulfilled_is_taken(case: str, tmp_path: Path) -> None:
    words, layer_type = TAKEN[case]
    with Sandbox() as sandbox:
        program("push", *words.replace("HOST", sandbox.address).split(), cwd=tmp_path)
        manifest = json.loads(sandbox.store.manifest("a", "1") or b"")
        assert {one["mediaType"] for one in manifest["layers"]} == {layer_type}


def test_a_form_that_one_image_of_a_run_cannot_have_is_a_warning_and_the_others_have_it(tmp_path: Path) -> None:
    with Sandbox() as sandbox:
        (tmp_path / "p.yml").write_text(
            "version: '1.0'\nsteps:\n"
            f"  a: {{type: push, candidate: 'oci:zstd', image_name: a, tag: '1', registry: '{sandbox.address}'}}\n"
            f"  b: {{type: push, candidate: 'oci:layout', image_name: b, tag: '1', registry: '{sandbox.address}'}}\n"
        )
        writer = LayoutWriter(tmp_path / "zstd")
        stored = writer.put(zstandard.compress(ONE), media.OCI_LAYER_ZSTD)
        config = writer.put(config_of(ONE), media.OCI_CONFIG)
        writer.close(writer.manifest({"config": config, "layers": [stored]}, media.OCI_MANIFEST))
        done = program("run", "p.yml", "--format", "docker", "--json", cwd=tmp_path)
        assert "layers[0] is in zstd, which docker's form does not know" in done.stderr
        kept, made = (json.loads(sandbox.store.manifest(name, "1") or b"")["mediaType"] for name in ("a", "b"))
    assert (kept, made) == (media.OCI_MANIFEST, media.DOCKER_MANIFEST)
    of_a, of_b = (step.get("changed") for step in json.loads(done.stdout)["steps"])
    assert (of_a, of_b["done"]) == (None, ["converted to docker schema 2"])


def test_a_higher_level_makes_other_bytes(tmp_path: Path) -> None:
    sizes = []
    with Sandbox() as sandbox:
        for level in ("1", "3", "9"):
            program("push", "plain.tar", f"{sandbox.address}/a:{level}", "--compression-level", level, cwd=tmp_path)
            sizes.append(json.loads(sandbox.store.manifest("a", level) or b"")["layers"][0]["digest"])
    assert len(set(sizes)) == 3


def test_a_plan_is_in_the_report_that_was_asked_for(tmp_path: Path) -> None:
    with Sandbox() as sandbox:
        program("push", "oci:layout", f"{sandbox.address}/a:1", "--plan", "--report", "report.json", cwd=tmp_path)
    assert json.loads((tmp_path / "report.json").read_text())["status"] == "planned"


def test_the_password_of_a_destination_is_not_shown_to_the_source(tmp_path: Path) -> None:
    asking = SandboxOptions(auth="basic", username="me", password=Secret("secret"))
    with Sandbox(options=asking) as source, Sandbox(options=asking) as target:
        words = ("push", f"{source.address}/a:1", f"{target.address}/a:1", "-u", "me", "--password-stdin")
        assert program(*words, cwd=tmp_path, code=None, stdin="secret").returncode != 0
        assert not [one for one in source.traffic.requests if one.status != 401]


def test_what_one_image_of_a_run_cannot_take_is_a_warning(tmp_path: Path) -> None:
    with Sandbox() as sandbox:
        (tmp_path / "p.yml").write_text(
            "version: '1.0'\nsteps:\n"
            f"  a: {{type: push, candidate: ./gzip.tar, image_name: a, tag: '1', registry: '{sandbox.address}'}}\n"
            f"  b: {{type: push, candidate: ./plain.tar, image_name: b, tag: '1', registry: '{sandbox.address}'}}\n"
        )
        done = program("run", "p.yml", "--compression", "zstd", cwd=tmp_path)
        assert "is stored in gzip and is sent as it is" in done.stderr
        kept, made = (json.loads(sandbox.store.manifest(name, "1") or b"")["layers"][0] for name in ("a", "b"))
    assert "gzip" in kept["mediaType"]
    assert "zstd" in made["mediaType"]


@pytest.mark.parametrize(
    "words",
    ["--tag=", "--regions=", "--limit-rate=", "--tmpdir=", "--report=", "--config=", "--username=", "--ca-file="],
)
def test_an_empty_value_is_refused(words: str, tmp_path: Path) -> None:
    with Sandbox() as sandbox:
        for given in ([words], [words.rstrip("="), ""]):
            done = program("push", "oci:layout", f"{sandbox.address}/a:1", *given, cwd=tmp_path, code=2)
            assert f"error: {words.rstrip('=')} is empty\n" in done.stderr
            assert "is the variable set that it was made of?" in done.stderr
        assert not sandbox.traffic.requests


@pytest.mark.parametrize("value", ["nan", "inf", "1e400"])
def test_a_time_limit_is_a_number(value: str, tmp_path: Path) -> None:
    done = program("push", "oci:layout", "127.0.0.1:9/a:1", "--timeout", value, cwd=tmp_path, code=2)
    assert "is no number of seconds" in done.stderr


def test_a_plan_exports_nothing_and_says_so(tmp_path: Path) -> None:
    done = program("push", "oci:layout", "127.0.0.1:9/a:1", "--plan", "--export", "e.env", cwd=tmp_path, code=2)
    assert "--export has no effect with --plan" in done.stderr


def test_an_empty_tag_of_a_caller_is_no_tag() -> None:
    with pytest.raises(ConfigError, match="tag is empty"):
        parse_destinations(["reg.example/app:1"], [""])
