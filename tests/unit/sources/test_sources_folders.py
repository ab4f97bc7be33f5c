"""Folders as layers: equal bytes for equal files, and nothing that leaves the folder when one is unpacked."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from oci_push.errors import ContentMismatchError, SourceError
from oci_push.model.digest import Digest
from oci_push.runtime.clock import SystemClock
from oci_push.runtime.context import Context
from oci_push.sources.files import SpoolSpace
from oci_push.sources.folders import Packed, pack, stays_inside, unpack
from oci_push.sources.settings import Limits

CONTEXT = Context(SystemClock(), deadline=None, what="test")


@pytest.fixture
def spool() -> Iterator[SpoolSpace]:
    space = SpoolSpace(None, 64 * 1024 * 1024)
    yield space
    space.close()


def folder_of(path: Path, names: list[str]) -> Path:
    (path / "deep").mkdir(parents=True)
    for name in names:
        (path / name).write_text(name)
    (path / "run").write_text("run")
    (path / "run").chmod(0o700)
    os.symlink("deep/x", path / "link")
    os.symlink("../run", path / "deep" / "up")
    return path


def bytes_of(packed: Packed) -> bytes:
    return b"".join(bytes(block) for block in packed.body.blocks())


def unpacked(tmp_path: Path, spool: SpoolSpace, content: bytes, title: str = "a", plain: Digest | None = None) -> Path:
    target = tmp_path / "unpacked"
    unpack(CONTEXT, iter([content]), "it", title, target, spool, Limits(), plain)
    return target


def member(
    name: str, kind: bytes = tarfile.REGTYPE, link: str = "", data: bytes = b""
) -> tuple[tarfile.TarInfo, bytes]:
    header = tarfile.TarInfo(name)
    header.type, header.linkname, header.size, header.mode = kind, link, len(data), 0o6755
    return header, data


def tar(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for header, data in members:
            archive.addfile(header, io.BytesIO(data))
    return out.getvalue()


def test_the_same_files_make_the_same_bytes_whatever_the_disk_says(tmp_path: Path, spool: SpoolSpace) -> None:
    one = folder_of(tmp_path / "one", ["b", "a", "deep/x"])
    other = folder_of(tmp_path / "other", ["a", "deep/x", "b"])
    os.utime(other / "a", (1, 1))
    (other / "b").chmod(0o600)
    made = [pack(CONTEXT, path, "a/b", spool, Limits()) for path in (one, other)]
    assert made[0].digest == made[1].digest == Digest.of(bytes_of(made[0]))
    assert made[0].plain == Digest.of(gzip.decompress(bytes_of(made[0])))


def test_a_tar_has_the_title_before_each_name_and_nobody_s_name(tmp_path: Path, spool: SpoolSpace) -> None:
    packed = pack(CONTEXT, folder_of(tmp_path / "x", ["a"]), "a/b", spool, Limits())
    with tarfile.open(fileobj=io.BytesIO(bytes_of(packed)), mode="r:gz") as archive:
        members = archive.getmembers()
    assert [one.name for one in members] == ["a/b", "a/b/a", "a/b/deep", "a/b/deep/up", "a/b/link", "a/b/run"]
    assert {(one.uid, one.gid, one.uname, one.gname, one.mtime) for one in members} == {(0, 0, "", "", 0)}


def test_a_tar_ends_with_its_end_mark(tmp_path: Path, spool: SpoolSpace) -> None:
    """oras reads to there, and what it has read must have the digest that is said."""
    tar = gzip.decompress(bytes_of(pack(CONTEXT, folder_of(tmp_path / "a", ["x"]), "a", spool, Limits())))
    stream = io.BytesIO(tar)
    with tarfile.open(fileobj=stream) as archive:
        last = archive.getmembers()[-1]
    assert len(tar) == last.offset_data + (last.size + 511) // 512 * 512 + 1024
    assert not tar[-1024:].strip(b"\0")


def test_what_was_packed_comes_out_again(tmp_path: Path, spool: SpoolSpace) -> None:
    packed = pack(CONTEXT, folder_of(tmp_path / "x", ["a", "deep/x"]), "a", spool, Limits())
    target = unpacked(tmp_path, spool, bytes_of(packed), plain=packed.plain)
    assert (target / "deep" / "x").read_text() == (target / "link").read_text() == "deep/x"
    assert (target / "run").stat().st_mode & 0o100
    assert not (target / "a").stat().st_mode & 0o100
    assert os.readlink(target / "deep" / "up") == "../run"


@pytest.mark.parametrize("link", ["/etc/passwd", "../x", "deep/../../x", "x/..", "a\0b", ""])
def test_a_link_that_may_lead_out_is_none_that_stays(link: str) -> None:
    assert not stays_inside(link, 0)


@pytest.mark.parametrize(("link", "depth"), [("x", 0), ("./x/y", 0), ("../x", 1), ("../../x/y", 2), (".", 0)])
def test_a_link_below_the_top_stays(link: str, depth: int) -> None:
    assert stays_inside(link, depth)


def test_a_link_out_of_the_folder_is_not_packed(tmp_path: Path, spool: SpoolSpace) -> None:
    (tmp_path / "x").mkdir()
    os.symlink("../secret", tmp_path / "x" / "link")
    with pytest.raises(SourceError, match="leads out of the folder"):
        pack(CONTEXT, tmp_path / "x", "a", spool, Limits())


def test_a_folder_may_be_deep_but_not_endless(tmp_path: Path, spool: SpoolSpace) -> None:
    inner = tmp_path
    for _ in range(130):
        inner = inner / "d"
        inner.mkdir()
    with pytest.raises(SourceError, match="more than 128 folders deep"):
        pack(CONTEXT, tmp_path, "a", spool, Limits())
    inner.rmdir()
    assert pack(CONTEXT, tmp_path / "d", "a", spool, Limits()).size


def test_what_is_no_file_is_not_packed(tmp_path: Path, spool: SpoolSpace) -> None:
    (tmp_path / "x").mkdir()
    os.mkfifo(tmp_path / "x" / "pipe")
    with pytest.raises(SourceError, match="neither a file, a folder nor a link"):
        pack(CONTEXT, tmp_path / "x", "a", spool, Limits())


TOP = member("a", tarfile.DIRTYPE)
HOSTILE: dict[str, tuple[list[tuple[tarfile.TarInfo, bytes]], str]] = {
    "absolute": ([member("/etc/x")], "outside of the folder"),
    "up": ([member("a/../../x")], "outside of the folder"),
    "another folder": ([member("b/x")], "outside of the folder"),
    "a longer name": ([member("ab/x")], "outside of the folder"),
    "link out": ([member("a/l", tarfile.SYMTYPE, "../../x")], "leads out"),
    "absolute link": ([member("a/l", tarfile.SYMTYPE, "/etc")], "leads out"),
    "link over links": (
        [member("a/d/e/up", tarfile.SYMTYPE, ".."), member("a/d/e/y", tarfile.SYMTYPE, "up/../..")],
        "leads out",
    ),
    "through a link": ([member("a/l", tarfile.SYMTYPE, "."), member("a/l/x", data=b"x")], "no folder"),
    "a link for the folder": ([member("a", tarfile.SYMTYPE, "b")], "the folder itself"),
    "hard link out": ([member("a/h", tarfile.LNKTYPE, "../x")], "outside of the folder"),
    "hard link to what is beside": ([member("a/h", tarfile.LNKTYPE, "x")], "outside of the folder"),
    "hard link to a link": ([member("a/l", tarfile.SYMTYPE, "x"), member("a/h", tarfile.LNKTYPE, "a/l")], "no file"),
    "hard link to nothing": ([member("a/h", tarfile.LNKTYPE, "a/x")], "no file before it"),
    "twice": ([member("a/x"), member("a/x")], "there twice"),
    "a file for a folder": ([member("a/x"), member("a/x/y")], "no folder"),
    "too deep": ([member("a/" + "d/" * 129)], "more than 128 folders deep"),
    "device": ([member("a/x", tarfile.CHRTYPE)], "neither a file, a folder nor a link"),
    "pipe": ([member("a/x", tarfile.FIFOTYPE)], "neither a file, a folder nor a link"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_nothing_is_written_outside_of_the_folder(name: str, tmp_path: Path, spool: SpoolSpace) -> None:
    members, expected = HOSTILE[name]
    with pytest.raises(SourceError, match=expected):
        unpacked(tmp_path, spool, tar(TOP, *members))
    assert [one.name for one in tmp_path.iterdir()] == ["unpacked"]


def test_a_hard_link_to_a_file_before_it_is_that_file(tmp_path: Path, spool: SpoolSpace) -> None:
    content = tar(TOP, member("a/x", data=b"x"), member("a/h", tarfile.LNKTYPE, "a/x"))
    assert (unpacked(tmp_path, spool, content) / "h").read_bytes() == b"x"


def test_of_a_mode_only_that_it_may_be_run_is_taken(tmp_path: Path, spool: SpoolSpace) -> None:
    path = unpacked(tmp_path, spool, tar(member("./a//x", data=b"x"))) / "x"
    assert path.stat().st_mode & 0o7111 == 0o111 & ~umask()


def umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


def test_another_tar_than_was_said_is_refused_before_anything_is_written(tmp_path: Path, spool: SpoolSpace) -> None:
    with pytest.raises(ContentMismatchError, match="its tar has digest"):
        unpacked(tmp_path, spool, tar(TOP), plain=Digest.of(b"other"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: gzip.compress(b"\0" * (1 << 20)), "grows more than"),
        (lambda: tar(*(member(f"a/{n}") for n in range(20))), "more than 10 members"),
        (lambda: tar(TOP, member("a/x", data=b"x" * 2000))[:1700], "cut short"),
        (lambda: gzip.compress(tar(TOP))[:-9], "cut short"),
        (lambda: b"no tar" * 100, "not a readable tar"),
    ],
)
def test_bombs_and_damage_are_told(make: Callable[[], bytes], expected: str, tmp_path: Path, spool: SpoolSpace) -> None:
    limits = Limits(members=10, expansion_ratio=20, free_bytes=65536)
    with pytest.raises((SourceError, ContentMismatchError), match=expected):
        unpack(CONTEXT, iter([make()]), "it", "a", tmp_path / "unpacked", spool, limits)
