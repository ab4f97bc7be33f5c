"""annotate and mutate: what is another image then, what of it is sent, what stays, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from around import asked, children_of, image, pushed, short, two_platforms
from equipment.faults import Answer, Fault
from equipment.options import SandboxOptions
from equipment.sandbox import Sandbox
from images import Layout, LayoutWriter, config_of, docker_archive, layer, make_layout, make_raw_layout
from program import program
from published import check_json

from oci_push.engine.editing.image import ImageEdit
from oci_push.model import media
from oci_push.model.digest import Digest
from oci_push.secret import Secret


def stored(sandbox: Sandbox, target: str, repository: str = "team/app") -> dict[str, Any]:
    """Give the manifest that a tag or digest names."""
    found: dict[str, Any] = json.loads(sandbox.store.manifest(repository, target) or b"")
    return found


def config(sandbox: Sandbox, manifest: dict[str, Any], repository: str = "team/app") -> dict[str, Any]:
    """Give the config that a manifest names."""
    found: dict[str, Any] = json.loads(sandbox.store.blob_path(repository, manifest["config"]["digest"]).read_bytes())
    return found


def odd_image(path: Path) -> Layout:
    """Write an image whose manifest and config have fields that nobody knows."""
    writer = LayoutWriter(path)
    packed = writer.put(layer(3), media.OCI_LAYER)
    inner = {"Env": ["PATH=/bin", "A=1"], "Labels": {"a": "b"}, "Healthcheck": {"Test": ["NONE"]}, "OnBuild": None}
    said = {
        "architecture": "amd64",
        "os": "linux",
        "com.example.config": [1, {"x": None}],
        "config": inner,
        "rootfs": {"type": "layers", "diff_ids": [str(Digest.of(layer(3)))]},
        "history": [{"created_by": "RUN step"}],
    }
    kept = writer.put(json.dumps(said).encode(), media.OCI_CONFIG)
    fields = {"config": kept, "layers": [packed], "com.example.manifest": {"y": 1}, "annotations": {"k": "v"}}
    return writer.close(writer.manifest(fields, media.OCI_MANIFEST))


def test_an_image_is_annotated_and_nothing_but_its_manifest_goes(sandbox: Sandbox, tmp_path: Path) -> None:
    layout = odd_image(tmp_path / "image")
    name = pushed(sandbox, layout, "1")
    before = stored(sandbox, "1")
    done = program("annotate", f"{name}:1", "team=a", "empty=", "k-", cwd=tmp_path)
    assert stored(sandbox, "1") == {**before, "annotations": {"team": "a", "empty": ""}}
    digest = Digest.of(sandbox.store.manifest("team/app", "1") or b"")
    assert done.stdout == f"{name}:1  {digest}\n"
    assert f"{layout.digest} became {digest}" in done.stderr
    tag = layout.digest.replace(":", "-")
    requests = asked(sandbox)
    assert requests[0] == "GET team/app/manifests/1"
    assert requests[-2:] == ["HEAD team/app/manifests/1", "PUT team/app/manifests/1"]
    about = {f"GET team/app/referrers/{short(layout.digest)}"}
    about |= {f"HEAD team/app/manifests/{tag[:11]}{ending}" for ending in (".sig", ".att", ".sbom")}
    assert set(requests[1:-2]) == about


def test_a_tag_of_its_own_leaves_the_one_that_was_read(sandbox: Sandbox, tmp_path: Path) -> None:
    layout = odd_image(tmp_path / "image")
    name = pushed(sandbox, layout, "1")
    printed = program("annotate", f"{name}:1", "a=b", "-t", "2", "--tag", "3", "--json", cwd=tmp_path).stdout
    check_json(printed, ImageEdit)
    told = json.loads(printed)
    assert (told["was"], [one["tag"] for one in told["tags"]]) == (layout.digest, ["2", "3"])
    assert program("digest", f"{name}:1", cwd=tmp_path).stdout.strip() == layout.digest
    assert program("digest", f"{name}:3", cwd=tmp_path).stdout.strip() == told["digest"]


def test_of_an_index_itself_its_images_or_one_of_them(sandbox: Sandbox, tmp_path: Path) -> None:
    layout = two_platforms(tmp_path / "image")
    name = pushed(sandbox, layout, "1")
    program("annotate", f"{name}:1", "a=1", "--tag", "index", cwd=tmp_path)
    index = stored(sandbox, "index")
    assert (index["annotations"], index["manifests"]) == ({"a": "1"}, stored(sandbox, "1")["manifests"])

    told = json.loads(program("annotate", f"{name}:1", "a=1", "--images", "-t", "all", "--json", cwd=tmp_path).stdout)
    index = stored(sandbox, "all")
    assert index["annotations"] == {"a": "1"}
    assert [one["digest"] for one in told["manifests"]] == [one["digest"] for one in index["manifests"]]
    assert [one["platform"] for one in told["manifests"]] == ["linux/amd64", "linux/arm64"]
    for child in index["manifests"]:
        assert stored(sandbox, child["digest"])["annotations"] == {"team": "a", "a": "1"}

    program("annotate", f"{name}:1", "a=1", "--platform", "linux/arm64", "-t", "one", cwd=tmp_path)
    index, old = stored(sandbox, "one"), stored(sandbox, "1")
    assert "annotations" not in index
    assert index["manifests"][0] == old["manifests"][0]
    assert stored(sandbox, index["manifests"][1]["digest"])["annotations"] == {"team": "a", "a": "1"}
    assert index["manifests"][1]["platform"] == old["manifests"][1]["platform"]
    program("check", f"{name}:one", cwd=tmp_path)


def test_an_attestation_stays_with_the_image_that_it_is_about(sandbox: Sandbox, tmp_path: Path) -> None:
    writer = LayoutWriter(tmp_path / "image")
    built = image(writer, "amd64", layer(1), created="2026-01-02T03:04:05Z")
    proof = image(writer, "unknown", layer(5), created="2026-01-02T03:04:05Z")
    about = {"vnd.docker.reference.digest": built["digest"], "vnd.docker.reference.type": "attestation-manifest"}
    proof |= {"annotations": about, "platform": {"os": "unknown", "architecture": "unknown"}}
    name = pushed(sandbox, writer.close(writer.index(built, proof)), "1")
    done = program("mutate", f"{name}:1", "--label", "a=b", cwd=tmp_path)
    made, attached = stored(sandbox, "1")["manifests"]
    assert made["digest"] != built["digest"]
    assert attached == {**proof, "annotations": {**about, "vnd.docker.reference.digest": made["digest"]}}
    assert "1 attestation in the index still describes the image as it was" in done.stderr


def test_a_config_is_changed_and_no_layer_is_asked_for(sandbox: Sandbox, tmp_path: Path) -> None:
    layout = odd_image(tmp_path / "image")
    name = pushed(sandbox, layout, "1")
    old = stored(sandbox, "1")
    before = config(sandbox, old)
    words = "--label c=d --label a- --env A=2 --env B=x=y --env PATH- --user 7:8 --workdir /app --stop-signal SIGINT"
    more = ("--entrypoint", '["/app", "--x y"]', "--cmd", "serve 'a b'", "--created", "2026-02-03T04:05:06+01:00")
    ports = ("--expose", "80", "--expose", "53/udp", "--volume", "/data")
    done = program("mutate", f"{name}:1", *words.split(), *more, *ports, cwd=tmp_path)
    new = stored(sandbox, "1")
    assert config(sandbox, new) == {
        **before,
        "created": "2026-02-03T04:05:06+01:00",
        "config": {
            "Env": ["A=2", "B=x=y"],
            "Labels": {"c": "d"},
            "Healthcheck": {"Test": ["NONE"]},
            "OnBuild": None,
            "User": "7:8",
            "WorkingDir": "/app",
            "StopSignal": "SIGINT",
            "Entrypoint": ["/app", "--x y"],
            "Cmd": ["serve", "a b"],
            "ExposedPorts": {"80/tcp": {}, "53/udp": {}},
            "Volumes": {"/data": {}},
        },
    }
    assert new == {**old, "config": new["config"]}
    assert done.stdout == f"{name}:1  {Digest.of(sandbox.store.manifest('team/app', '1') or b'')}\n"
    blobs = [one for one in asked(sandbox) if "blobs" in one]
    kept, made = short(old["config"]["digest"]), short(new["config"]["digest"])
    assert [one.split("?")[0] for one in blobs[:2]] == [f"GET team/app/blobs/{kept}", "POST team/app/blobs/uploads/"]
    assert len(blobs) == 3
    assert made.replace(":", "%3A") in blobs[2]
    assert not [one for one in blobs if short(old["layers"][0]["digest"]) in one]
    gone = "--label c- --user - --workdir - --stop-signal - --entrypoint - --cmd - --expose 80- --expose 53/udp-"
    program("mutate", f"{name}:1", *gone.split(), "--volume", "/data-", "--env", "A-", "--env", "B-", cwd=tmp_path)
    assert config(sandbox, stored(sandbox, "1"))["config"] == {"Healthcheck": {"Test": ["NONE"]}, "OnBuild": None}


def test_variables_that_are_not_named_stay_as_they_are_written(sandbox: Sandbox, tmp_path: Path) -> None:
    said = b'{"config":{"Env":["A=1","UNSET","B=1","A=2","B=2","=x"]},"ratio":1.50,"rootfs":{"diff_ids":[]}}'
    name = pushed(sandbox, manifest_with(tmp_path / "image", b"", said), "1")
    program("mutate", f"{name}:1", "--env", "B=3", "--env", "C=4", cwd=tmp_path)
    changed = config(sandbox, stored(sandbox, "1"))
    assert changed["config"]["Env"] == ["A=1", "UNSET", "B=3", "A=2", "=x", "C=4"]
    assert changed["ratio"] == 1.5


def test_every_image_of_an_index_or_one_of_them(sandbox: Sandbox, tmp_path: Path) -> None:
    layout = two_platforms(tmp_path / "image")
    name = pushed(sandbox, layout, "1")
    program("mutate", f"{name}:1", "--label", "a=b", "-t", "all", cwd=tmp_path)
    for child in stored(sandbox, "all")["manifests"]:
        assert config(sandbox, stored(sandbox, child["digest"]))["config"]["Labels"] == {"a": "b"}
    program("mutate", f"{name}:1", "--created", "1000000000", "--platform", "linux/amd64", "-t", "one", cwd=tmp_path)
    first, second = stored(sandbox, "one")["manifests"]
    assert config(sandbox, stored(sandbox, first["digest"]))["created"] == "2001-09-09T01:46:40Z"
    assert second == children_of(layout)[1]
    missing = program("mutate", f"{name}:1", "--label", "a=b", "--platform", "linux/s390x", cwd=tmp_path, code=3)
    assert "has no image for linux/s390x" in missing.stderr
    assert "it has: linux/amd64, linux/arm64" in missing.stderr


def test_what_says_it_already_stays(sandbox: Sandbox, tmp_path: Path) -> None:
    layout = odd_image(tmp_path / "image")
    name = pushed(sandbox, layout, "1")
    for words in (("annotate", f"{name}:1", "k=v", "z-"), ("mutate", f"{name}:1", "--label", "a=b", "--user", "-")):
        assert "nothing to change" in program(*words, cwd=tmp_path).stderr
    assert not [one for one in sandbox.traffic.requests if one.method in ("PUT", "POST", "HEAD")]
    program("mutate", f"{name}:1", "--label", "a=b", "--tag", "2", cwd=tmp_path)
    assert program("digest", f"{name}:2", cwd=tmp_path).stdout.strip() == layout.digest


def test_to_another_repository_what_stays_as_it_was_is_mounted(sandbox: Sandbox, tmp_path: Path) -> None:
    name = pushed(sandbox, two_platforms(tmp_path / "image"), "1")
    other = f"{sandbox.address}/other/app"
    printed = program("mutate", f"{name}:1", f"{other}:1,2", "--label", "a=b", "--json", cwd=tmp_path).stdout
    check_json(printed, ImageEdit)
    assert sandbox.store.tags("other/app") == ("1", "2")
    assert [one["tag"] for one in json.loads(printed)["tags"]] == ["1", "2"]
    child = stored(sandbox, "1", "other/app")["manifests"][0]
    assert config(sandbox, stored(sandbox, child["digest"], "other/app"), "other/app")["config"]["Labels"] == {"a": "b"}
    mounts = [one for one in asked(sandbox) if one.startswith("POST other/app") and "mount=" in one]
    assert len(mounts) >= 3
    program("check", f"{other}:1", cwd=tmp_path)


def test_an_archive_and_a_layout_are_changed_on_their_way(sandbox: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "image.tar").write_bytes(docker_archive(("l", layer(2)), config=config_of(layer(2)), paths=["l"]))
    make_layout(tmp_path / "layout", layer(1))
    for number, source in enumerate(("image.tar", "oci:layout")):
        name = f"{sandbox.address}/team/app:{number}"
        done = program("mutate", source, name, "--cmd", "serve", cwd=tmp_path)
        assert config(sandbox, stored(sandbox, str(number)))["config"] == {"Cmd": ["serve"]}
        assert done.stdout.startswith(f"{name}  sha256:")
        program("check", name, cwd=tmp_path)
    assert stored(sandbox, "0")["mediaType"] == media.DOCKER_MANIFEST  # docker's stays docker's


def test_a_tag_that_was_moved_meanwhile_is_left_alone(sandbox: Sandbox, tmp_path: Path) -> None:
    layout = odd_image(tmp_path / "image")
    name = pushed(sandbox, layout, "1")
    moved = {"Docker-Content-Digest": str(Digest.of(b"another")), "Content-Type": media.OCI_MANIFEST}
    sandbox.faults.add(Fault(method="HEAD", path="manifests/1$", action=Answer(200, headers=moved)))
    failed = program("annotate", f"{name}:1", "a=b", cwd=tmp_path, code=1).stderr
    assert "was moved by somebody else meanwhile" in failed
    assert "the same command again" in failed
    assert program("digest", f"{name}:1", cwd=tmp_path).stdout.strip() == layout.digest


def test_no_tag_moves_where_an_image_of_the_index_cannot_be_stored(sandbox: Sandbox, tmp_path: Path) -> None:
    layout = two_platforms(tmp_path / "image")
    name = pushed(sandbox, layout, "1")
    sandbox.faults.add(Fault(method="PUT", path="manifests/sha256:", action=Answer(403, code="DENIED"), times=0))
    failed = program("mutate", f"{name}:1", "-l", "a=b", cwd=tmp_path, code=5).stderr
    assert "403 DENIED" in failed
    assert program("digest", f"{name}:1", cwd=tmp_path).stdout.strip() == layout.digest


def test_what_fails_elsewhere_is_told_by_tag_or_as_a_whole(tmp_path: Path) -> None:
    layout = odd_image(tmp_path / "image")
    with Sandbox(options=SandboxOptions(immutable_tags=True)) as sandbox:
        name = pushed(sandbox, layout, "1")
        other = pushed(sandbox, layout, "1", repository="other/app")
        words = ("mutate", f"{name}:1", f"{other}:1,2", "-l", "a=c", "--json")
        done = json.loads(program(*words, cwd=tmp_path, code=1).stdout)
        assert [one["error"] is None for one in done["tags"]] == [False, False]
        assert "may not be moved" in done["tags"][0]["error"]["message"]
        missing = program("mutate", f"{name}:9", f"{other}:3", "-l", "a=c", cwd=tmp_path, code=5).stderr
        assert "404 MANIFEST_UNKNOWN" in missing


def test_a_tag_that_may_not_move_is_a_failure_and_another_tag_the_way_out(tmp_path: Path) -> None:
    layout = odd_image(tmp_path / "image")
    with Sandbox(options=SandboxOptions(immutable_tags=True)) as sandbox:
        name = pushed(sandbox, layout, "1")
        failed = program("annotate", f"{name}:1", "a=b", cwd=tmp_path, code=5).stderr
        assert "may not be moved" in failed
        program("annotate", f"{name}:1", "a=b", "--tag", "2", cwd=tmp_path)
        assert stored(sandbox, "2")["annotations"]["a"] == "b"


def test_referrers_and_signatures_of_what_was_read_are_told_of(sandbox: Sandbox, tmp_path: Path) -> None:
    layout = odd_image(tmp_path / "image")
    name = pushed(sandbox, layout, "1")
    program("tag", f"{name}:1", f"{layout.digest.replace(':', '-')}.sig", cwd=tmp_path)
    program("index", "create", f"{name}:about", f"{name}:1", "--subject", "1", cwd=tmp_path)
    told = program("annotate", f"{name}:1", "a=b", cwd=tmp_path).stderr
    assert f"1 referrer and the tag {layout.digest.replace(':', '-')}.sig are about {layout.digest}" in told
    again = json.loads(program("mutate", f"{name}@{layout.digest}", "-l", "a=c", "--json", cwd=tmp_path).stdout)
    assert again["left"].startswith("1 referrer and the tag")
    assert again["tags"] == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("annotate", "IMAGE", "a"), "annotation 'a': has no value"),
        (("annotate", "IMAGE", "=a"), "annotation '=a': has no key"),
        (("annotate", "IMAGE", "a=b", "--images"), "--images has no effect: it is one image"),
        (("annotate", "IMAGE", "a=b", "--platform", "linux/amd64"), "--platform has no effect: it is one image"),
        (("annotate", "IMAGE", "a=b", "--images", "--platform", "a/b"), "cannot both be"),
        (("annotate", "DOCKER", "a=b"), "which has no annotations"),
        (("mutate", "docker://localhost:1/BAD", "-l", "a=b"), "is not a repository name"),
        (("mutate", "IMAGE", "BAD", "-l", "a=b"), "names no registry"),
        (("mutate", "IMAGE"), "nothing is to be changed"),
        (("mutate", "IMAGE", "--platform", "linux/amd64"), "nothing is to be changed"),
        (("mutate", "IMAGE", "OTHER", "--tag", "2", "-l", "a=b"), "--tag has no effect with DEST"),
        (("mutate", "oci:image", "-l", "a=b"), "give DEST"),
        (("mutate", "IMAGE", "-l", "a"), "--label 'a': has no value"),
        (("mutate", "IMAGE", "--cmd", "a 'b"), '--cmd "a \'b": No closing quotation'),
        (("mutate", "IMAGE", "--entrypoint", "[1]"), "--entrypoint '[1]': not a list of words"),
        (("mutate", "IMAGE", "--created", "yesterday"), "--created 'yesterday': is no time"),
        (("mutate", "IMAGE", "--created", "2026-01-02T03:04:05"), "is no time"),
        (("mutate", "IMAGE", "--created", "99999999999999"), "is no time"),
        (("mutate", "IMAGE", "--created", "99999999999999999999"), "is no time"),
        (("mutate", "IMAGE", "--expose", "http"), "--expose 'http': is no port"),
        (("mutate", "IMAGE", "--expose", "70000"), "--expose '70000': is no port"),
        (("mutate", "IMAGE", "--volume", "/a", "--volume", "/a-"), "is there twice"),
        (("mutate", "ARTIFACT", "-l", "a=b"), "has no effect: it is no image, but an artifact"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_written(
    words: tuple[str, ...], message: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    (tmp_path / "image.tar").write_bytes(docker_archive(("l", layer(2)), config=config_of(layer(2)), paths=["l"]))
    name = pushed(sandbox, make_layout(tmp_path / "image", layer(1)), "image")
    pushed(sandbox, make_raw_layout(tmp_path / "artifact", b"any"), "artifact")
    program("push", "image.tar", f"{name}:docker", cwd=tmp_path)
    sandbox.traffic.clear()
    places = {
        "IMAGE": f"{name}:image",
        "DOCKER": f"{name}:docker",
        "ARTIFACT": f"{name}:artifact",
        "OTHER": f"{name}x:1",
    }
    failed = program(*(places.get(one, one) for one in words), cwd=tmp_path, code=2).stderr
    assert message in failed
    assert not [one for one in sandbox.traffic.requests if one.method in ("PUT", "POST", "PATCH")]


def manifest_with(path: Path, more: bytes, config: bytes | None = None) -> Layout:
    """Write an image with more text in its manifest, as nobody's JSON library would, and this config."""
    writer = LayoutWriter(path)
    stored = writer.put(config or config_of(layer(3)), media.OCI_CONFIG)
    fields = {"schemaVersion": 2, "mediaType": media.OCI_MANIFEST, "config": stored}
    fields |= {"layers": [writer.put(layer(3), media.OCI_LAYER)]}
    raw = json.dumps(fields).encode()
    return writer.close(writer.put(raw[:-1] + more + b"}", media.OCI_MANIFEST))


HALF = b',"annotations":{"a":"\\ud800"}'
LONG = b',"annotations":{"a":"' + b"x" * (media.MAX_MANIFEST_BYTES - 800) + b'"}'


@pytest.mark.parametrize(
    ("more", "config", "words", "message"),
    [
        (HALF, None, ("annotate", "c=b"), "half a character that no JSON may hold"),
        (b',"x":1e999', None, ("annotate", "a=b"), "a number or half a character"),
        (b',"x":{"a":1,"a":2}', None, ("annotate", "a=b"), "has 'a' twice in one object"),
        (b',"x":0.12345678901234567890123', None, ("annotate", "a=b"), "0.12345678901234567890123, of which not all"),
        (b',"x":1e-99999999999999999999', None, ("annotate", "a=b"), "of which not all digits can be kept"),
        (b"", b'{"config":{"User":"7"},"config":{"User":"8"}}', ("mutate", "--user", "9"), "has 'config' twice"),
        (LONG, None, ("annotate", f"b={'y' * 1000}"), "over the limit of 4194304"),
        (b"", b'{"config":"x"}', ("mutate", "--user", "7"), "config is not an object"),
        (b"", b'{"config":{"Env":[1]}}', ("mutate", "--env", "A=1"), "Env is not a list of texts"),
        (b"", b'{"config":{"Labels":[]}}', ("mutate", "--label", "a=1"), "Labels is not an object"),
        (b"", b"[]", ("mutate", "--user", "7"), "is not a JSON object"),
        (b"", b'{"x":"\\udc00"}', ("mutate", "--user", "7"), "half a character"),
        (b"", b'{"x":"' + b"y" * (8 << 20) + b'"}', ("mutate", "--user", "7"), "too many to be changed"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_what_cannot_be_written_again_is_an_error_of_the_image(
    more: bytes, config: bytes | None, words: tuple[str, ...], message: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    name = pushed(sandbox, manifest_with(tmp_path / "image", more, config), "1")
    failed = program(words[0], f"{name}:1", *words[1:], cwd=tmp_path, code=3).stderr
    assert message in failed
    assert not [one for one in sandbox.traffic.requests if one.method in ("PUT", "POST")]


def test_with_a_login_that_may_push_there_and_read_elsewhere(tmp_path: Path) -> None:
    options = SandboxOptions(auth="bearer", username="robot", password=Secret("secret-word"))
    layout = two_platforms(tmp_path / "image")
    words = ("-u", "robot", "--password-stdin")
    with Sandbox(options=options) as sandbox:
        one, other = f"{sandbox.address}/team/app", f"{sandbox.address}/other/app"
        for command in (
            ("push", f"oci:{layout.path}", f"{one}:1"),
            ("annotate", f"{one}:1", "a=b", "--images"),
            ("mutate", f"{one}:1", "--label", "a=b"),
            ("mutate", f"{one}:1", f"{other}:1", "--user", "7"),
            ("index", "create", f"{other}:2", f"{one}:1"),
            ("index", "annotate", f"{other}:2", "c=d"),
        ):
            program(*command, *words, cwd=tmp_path, stdin="secret-word")
        assert stored(sandbox, "2", "other/app")["annotations"] == {"c": "d"}
        program("check", f"{other}:2", *words, cwd=tmp_path, stdin="secret-word")
