"""artifact push and pull: the manifest that is made, the files that are written, and those that are not."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from around import asked, pushed
from equipment.faults import Answer, Fault
from equipment.options import SandboxOptions
from equipment.sandbox import Sandbox
from images import Layout, LayoutWriter, tar_of
from program import program
from published import check_json

from oci_push.engine.artifacts.fetch import Fetching
from oci_push.engine.artifacts.push import ArtifactPush
from oci_push.model import media
from oci_push.model.digest import Digest

TYPE = ("--type", "application/vnd.example+type")
TITLE, UNPACK = "org.opencontainers.image.title", "io.deis.oras.content.unpack"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "foo.txt").write_text("foo\n")
    (tmp_path / "bar.txt").write_text("bar\n")
    (tmp_path / "manuals" / "deep").mkdir(parents=True)
    (tmp_path / "manuals" / "run").write_text("run")
    (tmp_path / "manuals" / "run").chmod(0o755)
    (tmp_path / "manuals" / "deep" / "x").write_text("x")
    return tmp_path


def manifest(sandbox: Sandbox, target: str) -> dict[str, object]:
    value = json.loads(sandbox.store.manifest("team/app", target) or b"{}")
    assert isinstance(value, dict)
    return value


def test_files_make_the_manifest_that_oras_describes(sandbox: Sandbox, files: Path) -> None:
    name = f"{sandbox.address}/team/app"
    words = ("foo.txt:application/vnd.custom.type", "bar.txt:application/vnd.custom.type", f"{name}:1,2")
    done = program("artifact", "push", *words, *TYPE, "-a", "a=b", "--json", cwd=files)
    check_json(done.stdout, ArtifactPush)
    assert manifest(sandbox, "1") == {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "artifactType": "application/vnd.example+type",
        "config": {
            "mediaType": "application/vnd.oci.empty.v1+json",
            "digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
            "size": 2,
        },
        # The digests of the example in oras-go's documentation of its file store.
        "layers": [
            {
                "mediaType": "application/vnd.custom.type",
                "digest": "sha256:b5bb9d8014a0f9b1d61e21e796d78dccdf1352f23cd32812f4850b878ae4944c",
                "size": 4,
                "annotations": {TITLE: "foo.txt"},
            },
            {
                "mediaType": "application/vnd.custom.type",
                "digest": "sha256:7d865e959b2466918c9863afca942d0fb89d7c9ac0c99bafc3749504ded97730",
                "size": 4,
                "annotations": {TITLE: "bar.txt"},
            },
        ],
        "annotations": {"a": "b"},
    }
    assert sandbox.store.tags("team/app") == ("1", "2")
    assert json.loads(done.stdout)["digest"] == str(Digest.of(sandbox.store.manifest("team/app", "2") or b""))


def test_a_folder_is_a_tar_to_be_unpacked(sandbox: Sandbox, files: Path) -> None:
    program("artifact", "push", "manuals/", f"{sandbox.address}/team/app:1", *TYPE, cwd=files)
    (layer,) = manifest(sandbox, "1")["layers"]  # type: ignore[misc]
    packed = sandbox.store.blob_path("team/app", layer["digest"]).read_bytes()
    assert layer["mediaType"] == "application/vnd.oci.image.layer.v1.tar+gzip"
    plain = gzip.decompress(packed)
    assert layer["annotations"] == {
        TITLE: "manuals",
        UNPACK: "true",
        "io.deis.oras.content.digest": str(Digest.of(plain)),
    }


def test_a_round_trip_gives_the_same_files(sandbox: Sandbox, files: Path) -> None:
    name = f"{sandbox.address}/team/app:1"
    program("artifact", "push", "foo.txt", "manuals", name, *TYPE, cwd=files)
    done = program("artifact", "pull", name, "-o", "out", "--json", cwd=files)
    check_json(done.stdout, Fetching)
    assert (files / "out" / "foo.txt").read_text() == "foo\n"
    assert (files / "out" / "manuals" / "deep" / "x").read_text() == "x"
    assert (files / "out" / "manuals" / "run").stat().st_mode & 0o100
    assert sorted(one.name for one in (files / "out").iterdir()) == ["foo.txt", "manuals"]


def test_titles_are_paths_and_what_leads_elsewhere_has_its_name_alone(sandbox: Sandbox, files: Path) -> None:
    name = f"{sandbox.address}/team/app:1"
    words = ("./manuals//run", str(files / "foo.txt"), "../bar.txt")
    (files / "manuals" / "manuals").mkdir()
    (files / "manuals" / "manuals" / "run").write_text("")
    program("artifact", "push", *words, name, *TYPE, cwd=files / "manuals")
    titles = [one["annotations"][TITLE] for one in manifest(sandbox, "1")["layers"]]  # type: ignore[attr-defined]
    assert titles == ["manuals/run", "foo.txt", "bar.txt"]


def test_a_subject_needs_no_tag_and_may_be_named_shortly(sandbox: Sandbox, files: Path, image: Layout) -> None:
    name = pushed(sandbox, image, "1")
    found = {
        program("artifact", "push", "foo.txt:text/plain", name, "--subject", subject, cwd=files).stdout
        for subject in ("1", image.digest, f"{name}:1")
    }
    (line,) = found
    digest = line.strip().rpartition("@")[2]
    assert manifest(sandbox, digest)["subject"]["digest"] == image.digest  # type: ignore[index]
    assert sandbox.store.tags("team/app") == ("1",)
    assert digest in program("referrers", f"{name}:1", cwd=files).stdout


@pytest.mark.parametrize(
    ("words", "code", "error"),
    [
        (("HOST/team/app:1",), 2, "files and a destination are wanted"),
        (("foo.txt", "HOST/team/app:1"), 2, "foo.txt: its content does not tell"),
        (("foo.txt:a/b", "bar.txt:a/c", "HOST/team/app:1"), 2, "the files are of several types"),
        (("foo.txt", "manuals/../foo.txt", "HOST/team/app:1", *TYPE), 2, "would both be called foo.txt"),
        (("foo.txt", "none", "HOST/team/app:1", *TYPE), 3, "none: no such file or folder"),
        (("foo.txt:a/b", "HOST/team/app:1", "--subject", "HOST/other:1"), 2, "lies in another repository"),
        (("foo.txt:a/b", "HOST/team/app:1", "--platform", "linux/amd64"), 2, "no effect without --subject"),
        (("foo.txt:a/b", "HOST/team/app", "--subject", "9"), 5, "404"),
        (("foo.txt:a/b", "team/app:1:2"), 2, "destination"),
    ],
)
def test_what_cannot_be_pushed_is_refused_before_anything_is_sent(
    words: tuple[str, ...], code: int, error: str, sandbox: Sandbox, files: Path
) -> None:
    given = [word.replace("HOST", sandbox.address) for word in words]
    assert error in program("artifact", "push", *given, cwd=files, code=code).stderr
    assert {one.partition(" ")[0] for one in asked(sandbox)} <= {"GET", "HEAD"}


def test_a_refusal_of_the_registry_is_in_the_json_too(files: Path) -> None:
    with Sandbox(options=SandboxOptions(immutable_tags=True)) as sandbox:
        name = f"{sandbox.address}/team/app:1"
        program("artifact", "push", "foo.txt", name, *TYPE, cwd=files)
        done = program("artifact", "push", "bar.txt", name, *TYPE, "--json", cwd=files, code=5)
    check_json(done.stdout, ArtifactPush)
    assert json.loads(done.stdout)["error"]["exit_code"] == 5


# Writing files


def layout_of(folder: Path, *layers: tuple[str, bytes, Mapping[str, str]]) -> str:
    """Write a layout with an artifact of these layers; gives it as a SOURCE."""
    writer = LayoutWriter(folder / "made")
    stored = [{**writer.put(content, kind), "annotations": dict(said)} for kind, content, said in layers]
    fields = {"artifactType": "a/b", "config": writer.put(b"{}", media.OCI_EMPTY), "layers": stored}
    writer.close(writer.manifest(fields, media.OCI_MANIFEST))
    return f"oci:{folder / 'made'}"


def titled(title: str, content: bytes = b"x", **more: str) -> tuple[str, bytes, Mapping[str, str]]:
    return "text/plain", content, {TITLE: title, **more}


def folder_layer(title: str, *members: tuple[str, bytes]) -> tuple[str, bytes, Mapping[str, str]]:
    return media.OCI_LAYER_GZIP, gzip.compress(tar_of(*members)), {TITLE: title, UNPACK: "true"}


HOSTILE = {
    "up": [titled("../x")],
    "absolute": [titled("/etc/x")],
    "up inside": [titled("a/../../x")],
    "backslash": [titled("..\\x")],
    "control": [titled("a\nb")],
    "control of eight bits": [titled("a\u009b31mb")],
    "nothing": [titled("./")],
    "long": [titled("x" * 256)],
    "twice": [titled("x"), titled("./x", b"y")],
    "twice but for case": [titled("x"), titled("X", b"y")],
    "twice but for how an accent is written": [titled("\u00e9"), titled("e\u0301", b"y")],
    "a file as a folder": [titled("x"), titled("x/y", b"y")],
    "a file in a folder that is unpacked": [folder_layer("x", ("x/a", b"")), titled("x/y")],
    "tar that leads out": [titled("ok"), folder_layer("x", ("x/../../y", b""))],
    "tar of another name": [titled("ok"), folder_layer("x", ("y/a", b""))],
    "tar that is none": [titled("ok"), ("a/b", b"no tar", {TITLE: "x", UNPACK: "true"})],
    "another tar": [
        ("a/b", tar_of(("x/a", b"")), {TITLE: "x", UNPACK: "true", "io.deis.oras.content.digest": "sha256:" + "0" * 64})
    ],
    "no digest": [("a/b", tar_of(("x/a", b"")), {TITLE: "x", UNPACK: "true", "io.deis.oras.content.digest": "x"})],
}


@pytest.mark.parametrize("name", HOSTILE)
def test_an_artifact_that_means_harm_writes_nothing(name: str, tmp_path: Path) -> None:
    source = layout_of(tmp_path, *HOSTILE[name])
    (tmp_path / "there").mkdir()
    done = program("artifact", "pull", source, "-o", "there/out", cwd=tmp_path, code=None)
    assert done.returncode == 3, done.stderr
    assert [one for one in (tmp_path / "there").rglob("*") if one.name != "out"] == []


def test_what_is_there_is_kept_unless_it_is_to_be_replaced(tmp_path: Path) -> None:
    source = layout_of(tmp_path, titled("a", b"new"), titled("b/c", b"new"))
    (tmp_path / "out" / "b").mkdir(parents=True)
    (tmp_path / "out" / "b" / "c").write_text("old")
    done = program("artifact", "pull", source, "-o", "out", cwd=tmp_path, code=2)
    assert "out/b/c: is there already; nothing was written" in done.stderr
    assert sorted(os.listdir(tmp_path / "out")) == ["b"]
    program("artifact", "pull", source, "-o", "out", "--overwrite", cwd=tmp_path)
    assert (tmp_path / "out" / "b" / "c").read_text() == (tmp_path / "out" / "a").read_text() == "new"


def test_nothing_is_written_through_a_link_that_is_there(tmp_path: Path) -> None:
    source = layout_of(tmp_path, titled("d/x", b"new"), titled("l", b"new"))
    (tmp_path / "out").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "secret").write_text("old")
    os.symlink("../elsewhere", tmp_path / "out" / "d")
    os.symlink("../secret", tmp_path / "out" / "l")
    done = program("artifact", "pull", source, "-o", "out", "--overwrite", cwd=tmp_path, code=2)
    assert "out/d: is a link, and nothing is written through it" in done.stderr
    (tmp_path / "out" / "d").unlink()
    program("artifact", "pull", source, "-o", "out", "--overwrite", cwd=tmp_path)
    assert (tmp_path / "secret").read_text() == "old"
    assert (tmp_path / "out" / "l").read_text() == "new"
    assert not (tmp_path / "out" / "l").is_symlink()


def test_a_folder_goes_into_one_that_is_there_and_its_other_files_stay(tmp_path: Path) -> None:
    source = layout_of(tmp_path, folder_layer("d", ("d/a", b"new"), ("d/e/b", b"new")))
    (tmp_path / "d" / "e").mkdir(parents=True)
    (tmp_path / "d" / "e" / "b").write_text("old")
    (tmp_path / "d" / "own").write_text("own")
    assert "d: is there already" in program("artifact", "pull", source, cwd=tmp_path, code=2).stderr
    assert not (tmp_path / "d" / "a").exists()
    program("artifact", "pull", source, "--overwrite", cwd=tmp_path)
    texts = {str(one.relative_to(tmp_path)): one.read_text() for one in (tmp_path / "d").rglob("*") if one.is_file()}
    assert texts == {"d/a": "new", "d/e/b": "new", "d/own": "own"}


def test_bytes_that_are_not_those_of_the_digest_are_not_written(sandbox: Sandbox, files: Path) -> None:
    name = f"{sandbox.address}/team/app:1"
    program("artifact", "push", "foo.txt", "bar.txt", name, *TYPE, cwd=files)
    sandbox.faults.add(Fault("GET", "/blobs/sha256:7d865e", action=Answer(200, body=b"BAR\n"), times=0))
    done = program("artifact", "pull", name, "-o", "out", cwd=files, code=3)
    assert "bar.txt: content has digest" in done.stderr
    assert list((files / "out").iterdir()) == []


def test_a_download_that_breaks_goes_on(sandbox: Sandbox, files: Path) -> None:
    name = f"{sandbox.address}/team/app:1"
    program("artifact", "push", "foo.txt", name, *TYPE, cwd=files)
    sandbox.faults.add(Fault("GET", "/blobs/", action=Answer(503)))
    program("artifact", "pull", name, "-o", "out", cwd=files)
    assert (files / "out" / "foo.txt").read_text() == "foo\n"


def test_only_what_is_wanted_is_written_and_a_folder_may_stay_an_archive(tmp_path: Path) -> None:
    source = layout_of(tmp_path, titled("a"), folder_layer("d", ("d/x", b"")))
    program("artifact", "pull", source, "-o", "one", "--type", "text/*", cwd=tmp_path)
    assert os.listdir(tmp_path / "one") == ["a"]
    program("artifact", "pull", source, "-o", "two", "--no-unpack", cwd=tmp_path)
    assert sorted(os.listdir(tmp_path / "two")) == ["a", "d.tar.gz"]
    none = program("artifact", "pull", source, "-o", "three", "--type", "image/*", cwd=tmp_path, code=2)
    assert "no file is of type image/*" in none.stderr
    assert not (tmp_path / "three").exists()


def test_an_image_has_no_files_and_layers_without_title_are_told_of(image: Layout, tmp_path: Path) -> None:
    done = program("artifact", "pull", f"oci:{image.path}", "-o", "out", cwd=tmp_path, code=3)
    assert "none of its 2 layers has a title" in done.stderr
    source = layout_of(tmp_path, titled("a"), ("text/plain", b"y", {}))
    assert "1 layer without a title" in program("artifact", "pull", source, "-o", "out", cwd=tmp_path).stderr
