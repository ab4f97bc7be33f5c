"""The program where a container gives it next to nothing.

No home, a user whom nobody knows, a root that is read-only, no `/tmp`, no git, no PATH, no variable, stdin closed: what
needs none of them works, and what needs one says which, before anything is pushed.
"""

from __future__ import annotations

import gzip
import json
import os
import subprocess
from pathlib import Path

import pytest
from bare import PROGRAM, BarePlace, Done, Mount
from images import config_of, docker_archive, layer
from real_images import RealImages
from registries import DebianRegistry
from skopeo import Skopeo
from workshop import Workshop

PIPELINE = """
version: "1.0"
steps:
  build:
    type: build
    image_name: bare/run
    tag: "1"
  push:
    type: push
    candidate: ${{build}}
    tag: "2"
    registry: inner
"""
NOTHING_WRITABLE = "name another folder with --tmpdir or TMPDIR; in a container without one, mount a volume there"


class Bare:
    """Run the program in a bare place with images in `/images`, and at will with volumes."""

    def __init__(self, workshop: Workshop) -> None:
        self._workshop = workshop
        self.images = workshop.place("images")
        self.volume = workshop.place("volume")

    def __call__(
        self,
        *words: str,
        code: int = 0,
        env: dict[str, str] | None = None,
        stdin: str | None = None,
        has_volume: bool = False,
        cwd: str = "/",
    ) -> Done:
        mounts = {"/images": Mount(self.images, is_read_only=True)}
        if has_volume:
            mounts["/volume"] = Mount(self.volume)
        done = BarePlace(mounts=mounts).run([PROGRAM, *words], env=env or {}, stdin=stdin, cwd=cwd)
        assert done.code == code, done.said
        assert "Traceback" not in done.said
        return done


@pytest.fixture
def bare(open_registry: DebianRegistry, real_images: RealImages, tmp_path: Path) -> Bare:
    return Bare(Workshop(tmp_path, real_images, open_registry.host))


SOURCES = ["oci:/images/layout", "oci:/images/several", "/images/oci-archive.tar", "/images/kaniko.tar"]


@pytest.mark.parametrize("source", SOURCES)
def test_an_image_that_is_compressed_is_pushed_with_nothing(
    source: str, bare: Bare, open_registry: DebianRegistry, skopeo: Skopeo
) -> None:
    target = f"{open_registry.host}/bare/{Path(source).stem}"
    one = layer(1)
    archive = docker_archive(("1.tar.gz", gzip.compress(one)), config=config_of(one), paths=["1.tar.gz"])
    (bare.images / "kaniko.tar").write_bytes(archive)

    done = bare("push", source, f"{target}:1")

    assert done.out == f"{target}:1@{skopeo.digest(f'docker://{target}:1')}\n"
    assert "warning" not in done.said


@pytest.mark.parametrize("words", [("/images/docker-archive.tar",), ("-",)])
def test_what_needs_a_temporary_file_says_how_to_give_one_a_place(
    words: tuple[str, ...], bare: Bare, open_registry: DebianRegistry
) -> None:
    open_registry.forget()
    done = bare("push", *words, f"{open_registry.host}/bare/temporary:1", code=3, stdin="")
    assert "\nerror: no temporary file can be made (No usable temporary directory found in" in f"\n{done.said}"
    assert f"\n  hint: {NOTHING_WRITABLE}\n" in done.said
    assert [request for request in open_registry.requests() if request.method in ("PUT", "PATCH")] == []


def test_volumes_are_used_for_temporary_files_and_what_is_remembered(
    bare: Bare, open_registry: DebianRegistry, real_images: RealImages, skopeo: Skopeo
) -> None:
    target = f"{open_registry.host}/bare/volumes"
    words = ("push", "/images/docker-archive.tar", f"{target}:1", "--tmpdir", "/volume")
    files = ("--report", "/volume/report.json", "--export", "/volume/push.env")
    cache = {"XDG_CACHE_HOME": "/volume/cache"}

    first = bare(*words, *files, env=cache, has_volume=True)
    second = bare(*words, env=cache, has_volume=True)

    assert first.out == second.out
    assert (": compressed to" in first.said, ": compressed to" in second.said) == (True, False)
    assert skopeo.config(f"docker://{target}:1") == skopeo.config(real_images.archive.reference)
    assert json.loads((bare.volume / "report.json").read_text())["targets"][0]["repository"] == target
    assert f"push_imageRepoDigest={target}@sha256:" in (bare.volume / "push.env").read_text()
    # Temporary files have no names, and are gone however the program ends.
    assert sorted(path.name for path in bare.volume.iterdir()) == ["cache", "push.env", "report.json"]


@pytest.mark.parametrize("home", ["/", "/nonexistent"])
def test_a_home_that_cannot_be_written_to_is_told_once_and_done_without(
    home: str, bare: Bare, open_registry: DebianRegistry
) -> None:
    # OpenShift gives a user whom nobody knows HOME=/.
    words = ("push", "oci:/images/layout", f"{open_registry.host}/bare/home:1")
    done = bare(*words, env={"HOME": home})
    assert "warning" not in bare(*words, "--no-memory", env={"HOME": home}).said
    (warning,) = (line for line in done.said.splitlines() if line.startswith("warning"))
    assert "remembered facts are not used in this run (Read-only file system); XDG_CACHE_HOME names another" in warning


def test_a_pipeline_runs_with_nothing(bare: Bare, open_registry: DebianRegistry, skopeo: Skopeo) -> None:
    (bare.images / "pipeline.yml").write_text(PIPELINE)
    (bare.images / "oci-push.yaml").write_text(
        f"registries:\n  - name: inner\n    provider: other\n    domain: {open_registry.host}\n"
    )
    done = bare("run", "/images/pipeline.yml", "--candidate", "build=oci:/images/layout")
    target = f"{open_registry.host}/bare/run"
    assert done.out == f"{target}:2@{skopeo.digest(f'docker://{target}:2')}\n"


@pytest.mark.parametrize(
    ("path", "reason"),
    [("", "git cannot be run (No such file or directory)"), ("/usr/bin", "detected dubious ownership in repository")],
)
def test_without_gits_word_a_variable_is_missing_and_the_reason_can_be_asked_for(
    path: str, reason: str, bare: Bare
) -> None:
    if path and os.geteuid() != 0:
        pytest.skip("only root can be another user than the folder's owner")
    # git answers nobody but the owner of a folder, which in a container is often another user.
    subprocess.run(["git", "init", "-q", bare.images], check=True)
    (bare.images / "pipeline.yml").write_text(PIPELINE.replace('"2"', "${{CF_BRANCH}}"))
    words = ("run", "pipeline.yml", "--candidate", "build=oci:/images/layout", "--sandbox")
    # A PATH that is not there is one that finds everything.
    env = {"PATH": path or "/nowhere"}

    done = bare(*words, code=2, env={**env, "TMPDIR": "/volume"}, has_volume=True, cwd="/images")

    assert "unresolved variable ${{CF_BRANCH}}" in done.said
    assert "`oci-push variables` tells why it is not known" in done.said
    assert f"git was no help: {reason}" in bare("variables", env=env, cwd="/images").out


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("index.json", ("push", "oci:/images/layout")),
        ("oci-archive.tar", ("push", "/images/oci-archive.tar")),
    ],
)
def test_what_a_builder_lets_nobody_else_read_is_told_with_the_way_out(
    name: str, words: tuple[str, ...], bare: Bare, open_registry: DebianRegistry
) -> None:
    for path in bare.images.rglob(name):
        path.chmod(0)
    done = bare(*words, f"{open_registry.host}/bare/unreadable:1", code=3)
    assert "cannot be read (Permission denied)" in done.said
    assert (
        "hint: this user may not: run as the one who wrote it, or let all read it there with chmod -R a+rX" in done.said
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("push", "-", "{host}/bare/closed:1"), "source -: stdin is closed"),
        (
            ("push", "/images/layout", "{host}/bare/closed:1", "-u", "x", "--password-stdin"),
            "--password-stdin: stdin is",
        ),
        (("run", "-"), "-: stdin is closed"),
    ],
)
def test_a_closed_stdin_is_told_by_what_reads_it(
    words: tuple[str, ...], said: str, bare: Bare, open_registry: DebianRegistry
) -> None:
    code = 3 if words[1] == "-" and words[0] == "push" else 2
    done = bare(*(word.format(host=open_registry.host) for word in words), code=code)
    assert done.said.startswith(f"error: {said}")


@pytest.mark.parametrize("option", ["--report", "--export"])
def test_a_file_that_could_not_be_written_is_refused_before_anything_is_pushed(
    option: str, bare: Bare, open_registry: DebianRegistry
) -> None:
    open_registry.forget()
    done = bare("push", "oci:/images/layout", f"{open_registry.host}/bare/files:1", option, "/result", code=2)
    assert f"{option} /result: / cannot be written to" in done.said
    assert open_registry.requests() == []


@pytest.mark.parametrize("user", [(), ("--username", "robot")])
def test_a_login_without_a_terminal_asks_for_no_more_than_is_missing(
    user: tuple[str, ...], bare: Bare, open_registry: DebianRegistry
) -> None:
    said = bare("login", open_registry.host, *user, code=2).said
    assert "login needs --password-stdin where there is no terminal" in said
    assert ("--username NAME is wanted too" in said) is (not user)
