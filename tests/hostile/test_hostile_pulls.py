"""Registries that harm who pulls from them: no file but a blob's is written, and no index lists what is not whole."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from around import pushed
from equipment.sandbox import Sandbox
from images import layer, make_layout, noise
from program import program
from rawserver import RawServer

from oci_push.model import media
from oci_push.model.digest import Digest

BLOB = noise(300_000)
EMPTY = {"mediaType": media.OCI_EMPTY, "digest": str(Digest.of(b"{}")), "size": 2}
CLIMBS = "sha256:../../../../../../tmp/climbed"


def head(kind: str, size: int) -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {size}\r\nConnection: close\r\n\r\n".encode()


def serving(layer: dict[str, object], blob: bytes = BLOB, **fields: object) -> Callable[[bytes, socket.socket], None]:
    """Answer with a manifest of one layer, and with one blob whatever is asked for."""
    value = {"schemaVersion": 2, "mediaType": media.OCI_MANIFEST, "config": EMPTY, "layers": [layer], **fields}
    manifest = json.dumps(value).encode()

    def answer(request: bytes, connection: socket.socket) -> None:
        path = request.split(b" ")[1]
        if b"/manifests/" in path:
            connection.sendall(head(media.OCI_MANIFEST, len(manifest)) + manifest)
        else:
            body = b"{}" if str(EMPTY["digest"]).encode() in path else blob
            connection.sendall(head(media.OCTET_STREAM, len(body)) + body)

    return answer


def layer_of(size: int, digest: str = "") -> dict[str, object]:
    return {"mediaType": media.OCI_LAYER_GZIP, "digest": digest or str(Digest.of(BLOB)), "size": size}


CASES: dict[str, tuple[Callable[[bytes, socket.socket], None], str]] = {
    "a size that is too small": (serving(layer_of(1000)), "1000"),
    "a size that is too large": (serving(layer_of(len(BLOB) + 1)), str(len(BLOB) + 1)),
    "a size beyond any disk": (serving(layer_of((1 << 63) - 1)), str((1 << 63) - 1)[:6]),
    "other content": (serving(layer_of(len(BLOB)), BLOB[:-1] + b"x"), "content has digest"),
    "a digest that is a path": (serving(layer_of(9, CLIMBS)), "hex digits"),
    "a digest of another kind": (serving(layer_of(9, "md5:00")), "'md5' is not supported"),
    "a manifest nobody asked for": (serving(layer_of(len(BLOB)), note="x" * 10), "digest"),
    "two sizes of one blob": (
        serving(layer_of(len(BLOB)), layers=[layer_of(len(BLOB)), layer_of(5)]),
        "is said to have",
    ),
}


@pytest.mark.parametrize("target", ["oci:out", "oci-archive:out.tar"])
@pytest.mark.parametrize("case", list(CASES))
def test_a_lie_is_one_clear_error_and_nothing_is_listed(case: str, target: str, tmp_path: Path) -> None:
    answer, told = CASES[case]
    reference = f"@{Digest.of(b'other')}" if case == "a manifest nobody asked for" else ":1"
    with RawServer(answer) as server:
        done = program("pull", f"{server.host}/app{reference}", target, "--retries", "0", cwd=tmp_path, code=None)
    assert done.returncode in (2, 3, 5), done.stderr
    assert told in done.stderr
    assert len(done.stderr) < 2000
    assert not (tmp_path / "out/index.json").exists()
    assert not (tmp_path / "out.tar").exists()
    places = {os.path.relpath(one, tmp_path).split(os.sep)[0] for one in tmp_path.rglob("*")}
    assert places <= {"out", "home"}
    assert not Path("/tmp/climbed").exists()


@pytest.mark.parametrize("name", ["index.json", "blobs", "blobs/sha256"])
def test_a_layout_that_leads_out_of_its_folder_is_written_nothing_into(
    name: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    image = pushed(sandbox, make_layout(tmp_path / "image", layer(1)), "1")
    (tmp_path / "elsewhere").mkdir()
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).symlink_to(tmp_path / "elsewhere" / ("new" if name == "index.json" else ""))
    told = program("pull", f"{image}:1", "oci:out", cwd=tmp_path, code=2).stderr
    assert f"{name} is a link that leads out of the folder" in told
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as started:
        yield started
