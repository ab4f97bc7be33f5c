"""A registry sends us to another origin: what that place answers is its own word, and gets no login."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator

import pytest
from equipment.faults import Answer, Fault, Redirect
from equipment.options import SandboxOptions
from equipment.sandbox import Sandbox
from images import Layout
from pushing import LOGIN, Pushing, error_of
from rawserver import RawServer

from oci_push.errors import DeniedError, OciPushError
from oci_push.model.endpoint import RegistryEndpoint

UPLOADS = r"/blobs/uploads/"
CHALLENGES = {
    "bearer": 'Bearer realm="http://{here}/token",service="s",scope="repository:a:pull,push"',
    "basic": 'Basic realm="x"',
    "insufficient": 'Bearer realm="http://{here}/token",error="insufficient_scope",scope="repository:a:push"',
}


class Stranger(RawServer):
    """Ask everybody for a login, and hand out tokens for one."""

    def __init__(self, status: int, challenge: str) -> None:
        super().__init__(self._say)
        self._status = status
        self._challenge = challenge

    def _say(self, head: bytes, connection: socket.socket) -> None:
        body = b'{"token":"theirs"}' if head.startswith(b"GET /token") else b"{}"
        status = 200 if head.startswith(b"GET /token") else self._status
        challenge = self._challenge.format(here=self.host)
        lines = f"HTTP/1.1 {status} X\r\nWWW-Authenticate: {challenge}\r\nContent-Length: {len(body)}\r\n"
        # Nothing is left unread, so that the answer is not lost in a reset.
        size = re.search(rb"(?i)content-length: *(\d+)", head)
        left = int(size[1]) - len(head.partition(b"\r\n\r\n")[2]) if size else 0
        while left > 0:
            left -= len(connection.recv(65536)) or left
        connection.sendall(lines.encode() + b"Connection: close\r\n\r\n" + body)

    def asked_for_a_token(self) -> list[bytes]:
        """Give the heads of requests that carry a login or ask for a token."""
        return [head for head in self.heads if b"authorization" in head.lower() or b"/token" in head]


@pytest.fixture
def registry() -> Iterator[Sandbox]:
    """Give a registry with a token server."""
    with Sandbox(options=SandboxOptions(auth="bearer")) as sandbox:
        yield sandbox


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("kind", list(CHALLENGES))
@pytest.mark.parametrize("way", ["location", "redirect"])
def test_a_challenge_from_elsewhere_teaches_nothing_and_is_told_as_that_places_refusal(
    way: str, kind: str, status: int, registry: Sandbox, image: Layout
) -> None:
    with Stranger(status, CHALLENGES[kind]) as stranger:
        there = f"http://{stranger.host}/x?state=hidden"
        action = Answer(202, {"Location": there}) if way == "location" else Redirect(307, there)
        registry.faults.add(Fault("POST", UPLOADS, times=0, action=action))
        error = error_of(Pushing(credential=LOGIN, at_once=1).push(image, f"{registry.address}/a:1"))
        assert isinstance(error, DeniedError)
        assert f"at http://{stranger.host}/x: " in str(error)
        assert "hidden" not in str(error)
        assert registry.address in str(error.hint)
        assert stranger.asked_for_a_token() == []
        assert len(stranger.heads) <= len(image.blobs)
    assert len(registry.traffic.tokens) == 1


@pytest.mark.parametrize("there", ["http://xn--a.invalid/x", "http://xn--.invalid/x", "http://256.1.1.1/x"])
def test_a_place_whose_name_is_none_is_an_error_of_ours(there: str, registry: Sandbox, image: Layout) -> None:
    registry.faults.add(Fault("POST", UPLOADS, times=0, action=Answer(202, {"Location": there})))
    error = error_of(Pushing(credential=LOGIN, at_once=1).push(image, f"{registry.address}/a:1"))
    assert isinstance(error, OciPushError)
    assert there.split("/")[2] in str(error)


def test_a_challenge_to_a_download_that_was_sent_elsewhere_teaches_nothing(registry: Sandbox, image: Layout) -> None:
    Pushing(credential=LOGIN).push(image, f"{registry.address}/a:1")
    registry.traffic.clear()
    with Stranger(401, CHALLENGES["bearer"]) as stranger, Sandbox() as target:
        registry.faults.add(Fault("GET", "/blobs/", times=0, action=Redirect(307, f"http://{stranger.host}{{path}}")))
        endpoints = {registry.address: RegistryEndpoint(registry.address, LOGIN)}
        pushing = Pushing(endpoints=endpoints, at_once=1)
        error = error_of(pushing.push(f"docker://{registry.address}/a:1", f"{target.address}/b:1"))
        assert f"http://{stranger.host}/v2/a/blobs/" in str(error)
        assert stranger.asked_for_a_token() == []
    assert len(registry.traffic.tokens) == 1


def test_a_303_makes_a_get_of_a_post_without_its_body(image: Layout) -> None:
    with Sandbox() as sandbox:
        sandbox.faults.add(Fault("POST", UPLOADS, times=0, action=Redirect(303, "/elsewhere")))
        assert error_of(Pushing(at_once=1).push(image, f"{sandbox.address}/a:1")) is not None
        asked = sandbox.traffic.select(path_pattern="^/elsewhere")
        assert {(one.method, one.headers.get("content-length")) for one in asked} == {("GET", None)}


def test_a_warning_from_elsewhere_is_not_the_registrys(image: Layout) -> None:
    with Sandbox(options=SandboxOptions(warning="pay me")) as storage, Sandbox() as registry:
        registry.faults.add(Fault("POST", UPLOADS, times=0, action=Redirect(307, f"{storage.url}{{path}}")))
        pushing = Pushing(at_once=1)
        pushing.push(image, f"{registry.address}/a:1")
        assert storage.traffic.count(method="PUT") > 0
        assert [event for event in pushing.events if "pay me" in str(event)] == []
