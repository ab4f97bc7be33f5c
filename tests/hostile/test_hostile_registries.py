"""Registries made to harm who talks to them: each a clear error, in bounded time and within the memory promised."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from images import layer, make_layout
from measured import oci_push
from rawserver import RawServer

from oci_push.model import media

MIB = 1024 * 1024
BLOCK = b"x" * MIB


def head(status: str, *headers: str) -> bytes:
    """Make an answer's head."""
    return "\r\n".join([f"HTTP/1.1 {status}", *headers, "Connection: close", "", ""]).encode()


def endless(first: bytes, block: bytes = BLOCK) -> Callable[[bytes, socket.socket], None]:
    """Answer with a body that does not end."""

    def answer(_: bytes, connection: socket.socket) -> None:
        connection.sendall(first)
        while True:
            connection.sendall(block)

    return answer


def once(*parts: bytes) -> Callable[[bytes, socket.socket], None]:
    """Answer every request with these bytes."""

    def answer(_: bytes, connection: socket.socket) -> None:
        for part in parts:
            connection.sendall(part)

    return answer


CHUNK = f"{MIB:x}\r\n".encode() + BLOCK + b"\r\n"
HUGE_INT = b"9" * 4000
MANIFEST = {"schemaVersion": 2, "mediaType": media.OCI_MANIFEST}

ANSWERS: dict[str, tuple[Callable[[bytes, socket.socket], None], tuple[int, ...]]] = {
    "an answer without end": (endless(head("200 OK")), (5,)),
    "an answer of endless chunks": (endless(head("200 OK", "Transfer-Encoding: chunked"), CHUNK), (5,)),
    "an answer that says it is a terabyte": (endless(head("200 OK", "Content-Length: 1099511627776")), (5,)),
    "an error without end": (endless(head("400 Bad Request")), (5,)),
    "a 500 without end": (endless(head("500 Oh No")), (5,)),
    "headers without end": (endless(b"HTTP/1.1 200 OK\r\n", b"X-A: " + b"y" * 8000 + b"\r\n"), (6,)),
    "one header of a mebibyte": (once(head("200 OK", "X-A: " + "y" * MIB)), (6,)),
    "a status line without end": (endless(b"HTTP/1.1 200 "), (6,)),
    "redirects without end": (once(head("302 Found", "Location: /v2/again", "Content-Length: 0")), (5,)),
    "a redirect of a mebibyte": (once(head("302 Found", "Location: /" + "a" * 60_000, "Content-Length: 0")), (5,)),
    "interim answers without end": (endless(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n" * 1000), (6,)),
    "gzip though none was asked for": (
        once(head("200 OK", "Content-Encoding: gzip", "Content-Length: 4"), b"\x1f\x8b\x08\x00"),
        (5,),
    ),
    "a manifest nested without end": (
        once(head("200 OK", "Content-Type: " + media.OCI_MANIFEST), b"[" * 4 * MIB),
        (5,),
    ),
    "a manifest of tiny values": (
        once(head("200 OK", "Content-Type: " + media.OCI_MANIFEST), b'{"a":[' + b"{}," * MIB + b"{}]}"),
        (5,),
    ),
    "a manifest with a size of four thousand digits": (
        once(
            head("200 OK", "Content-Type: " + media.OCI_MANIFEST),
            json.dumps(MANIFEST).encode()[:-1]
            + b',"config":{"mediaType":"x","digest":"sha256:'
            + b"a" * 64
            + b'","size":'
            + HUGE_INT
            + b"}}",
        ),
        (5,),
    ),
    "a login by a challenge of a mebibyte": (
        once(head("401 No", "WWW-Authenticate: Bearer " + 'a="b",' * 8000, "Content-Length: 0")),
        (4, 5),
    ),
    "a token server at the local link": (
        once(head("401 No", 'WWW-Authenticate: Bearer realm="http://169.254.169.254/token"', "Content-Length: 0")),
        (5,),
    ),
    "a token server that is no URL": (
        once(head("401 No", 'WWW-Authenticate: Bearer realm="http://[::1"', "Content-Length: 0")),
        (5,),
    ),
    "a wait of a year": (once(head("429 Slow", "Retry-After: 31536000", "Content-Length: 0")), (5,)),
    "escape sequences": (
        once(head("403 \x1b[2J", "Content-Type: text/plain"), b"\x1b]0;owned\x07\x1b[31mred" + b"\x9b5m" * 100),
        (5, 6),
    ),
}


@pytest.mark.case("ER-006")
@pytest.mark.parametrize("case", list(ANSWERS))
def test_a_hostile_answer_to_a_read_is_one_clear_error_in_bounded_memory(case: str, tmp_path: Path) -> None:
    answer, codes = ANSWERS[case]
    with RawServer(answer) as server:
        source = f"docker://{server.host}/a:1"
        done = oci_push("push", source, "127.0.0.1:1/b:1", "--retries", "0", home=tmp_path)
    assert done.code in codes, done.errors
    assert len(done.errors) < 2000
    assert "\x1b" not in done.errors


@pytest.mark.parametrize("case", list(ANSWERS))
def test_a_hostile_answer_to_a_push_is_one_clear_error_in_bounded_memory(case: str, tmp_path: Path) -> None:
    answer, _ = ANSWERS[case]
    image = make_layout(tmp_path / "image", layer(1))
    with RawServer(answer) as server:
        done = oci_push("push", f"oci:{image.path}", f"{server.host}/b:1", "--retries", "0", home=tmp_path)
    assert done.code in (4, 5, 6), done.errors
    assert len(done.errors) < 2000
    assert "\x1b" not in done.errors


@pytest.mark.parametrize(
    "token",
    [
        b'{"token":"t","expires_in":' + b"9" * 400 + b"}",
        b'{"token":"t","expires_in":NaN}',
        b'{"token":"t","expires_in":-1e999}',
        b'{"token":"t\\r\\nX-Evil: 1"}',
        b'{"token":"\xc3\xa4"}',
        b'{"token":["t"]}',
        b"[" * MIB,
        b"x" * MIB,
    ],
    ids=range(8),
)
def test_a_hostile_token_is_one_clear_error(token: bytes, tmp_path: Path) -> None:
    image = make_layout(tmp_path / "image", layer(1))

    def answer(request: bytes, connection: socket.socket) -> None:
        if request.startswith(b"GET /token"):
            connection.sendall(
                head("200 OK", "Content-Type: application/json", f"Content-Length: {len(token)}") + token
            )
        else:
            realm = f'WWW-Authenticate: Bearer realm="http://{server.host}/token"'
            connection.sendall(head("401 No", realm, "Content-Length: 0"))

    with RawServer(answer) as server:
        done = oci_push("push", f"oci:{image.path}", f"{server.host}/b:1", "--retries", "0", home=tmp_path)
        assert not any(b"X-Evil" in one for one in server.heads)
        assert len(server.heads) < 10
    assert done.code in (4, 5, 6), done.errors
