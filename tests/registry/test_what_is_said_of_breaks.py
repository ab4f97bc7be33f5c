"""What is said when no answer came, or none that can be used: the place really asked, and nothing that was sent."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest
from equipment.faults import Answer, Fault, FaultScript
from equipment.sandbox import Sandbox
from images import Layout, layer, make_layout
from internet import Internet
from pushing import LOGIN, Pushing, error_of
from rawserver import RawServer

from oci_push.errors import Cancelled, CredentialsError, NetworkError, OciPushError
from oci_push.events import RetryScheduled
from oci_push.model.endpoint import Credential, RegistryEndpoint, TlsConfig
from oci_push.runtime.clock import FakeClock, SystemClock
from oci_push.runtime.context import Context
from oci_push.runtime.retry import RetryPolicy
from oci_push.secret import Secret
from oci_push.transport.sockets import Address, Network

UPLOADS = r"/blobs/uploads/"
HOST = "registry.example.com"


def test_an_unreachable_location_is_named_with_who_named_it_and_not_waited_for_like_the_registry(
    tmp_path: Path,
) -> None:
    image = make_layout(tmp_path / "image", layer(1))
    with Sandbox() as sandbox:
        away = Answer(202, {"Location": "http://10.9.9.9:9/v2/x?state=SECRET"})
        sandbox.faults.add(Fault("POST", UPLOADS, times=0, action=away))
        network = Internet({HOST: "10.0.0.1"}, {"10.0.0.1": sandbox.address})
        pushing = Pushing(
            endpoints={HOST: RegistryEndpoint(HOST, None, TlsConfig(plain_http=True))},
            network=network,
            clock=FakeClock(),
            at_once=1,
            policy=RetryPolicy(attempts=2, patience_s=3600.0),
        )
        error = error_of(pushing.push(image, f"{HOST}/a:1"))
    assert isinstance(error, NetworkError)
    assert f"cannot connect to 10.9.9.9:9, where {HOST} sent us (http://10.9.9.9:9/v2/x) (Connection refused)" in str(
        error
    )
    assert "external URL" in str(error.hint)
    assert "SECRET" not in str(error)
    assert network.connected.count("10.9.9.9") <= 2 * len(image.blobs)


@pytest.mark.parametrize(
    "token", ["s3cr3t-token\n", "s3cr3t\rX: y", "s3cr3t token\0", "s3cr3t ", "s3cr3t\u00e4", "s3cr3t\x7f"]
)
def test_a_token_that_no_header_can_carry_is_not_shown_nor_sent_nor_tried_again(token: str, image: Layout) -> None:
    credential = Credential(registry_token=Secret(token), source="config.json")
    with Sandbox() as sandbox:
        pushing = Pushing(credential=credential)
        error = error_of(pushing.push(image, f"{sandbox.address}/a:1"))
        assert sandbox.traffic.count() == 0
    assert isinstance(error, CredentialsError)
    assert "s3cr3t" not in repr(error) + str(error) + str(error.hint)
    assert "config.json" in str(error)
    assert [event for event in pushing.events if isinstance(event, RetryScheduled)] == []


def test_what_a_server_says_instead_of_http_is_not_repeated(image: Layout) -> None:
    def answer(head: bytes, connection: socket.socket) -> None:
        connection.sendall(head.replace(b"HTTP/1.1", b"echo") + b"\r\n\r\n")

    credential = Credential(registry_token=Secret("s3cr3t-token"), source="config.json")
    with RawServer(answer) as server:
        error = error_of(Pushing(credential=credential).push(image, f"{server.host}/a:1"))
        assert any(b"s3cr3t-token" in head for head in server.heads)
        assert isinstance(error, NetworkError)
        assert f"connection to {server.host} broke (what came is not HTTP)" in str(error)


class Unanswered(Network):
    """Resolve nothing, for as long as nobody says so."""

    def __init__(self) -> None:
        super().__init__()
        self.is_asked, self.may_answer = threading.Event(), threading.Event()

    def resolve(self, host: str, port: int) -> tuple[Address, ...]:
        """Wait."""
        self.is_asked.set()
        self.may_answer.wait(60)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")


def test_a_cancel_does_not_wait_for_a_name_to_be_resolved(image: Layout) -> None:
    network, context = Unanswered(), Context(SystemClock(), what="test")
    results: list[tuple[object, ...]] = []
    pushing = Pushing(network=network, context=context)
    thread = threading.Thread(target=lambda: results.append(pushing.push(image, f"{HOST}/a:1")))
    thread.start()
    assert network.is_asked.wait(30)
    context.cancel()
    thread.join(30)
    assert not network.may_answer.is_set()
    assert isinstance(error_of(results[0]), Cancelled)
    network.may_answer.set()


HOSTILE = [
    *("http://", "http://[::1", "http://[x]/", "http:///x", "ftp://SECRET@x/", "http://x:99999/", "http://x:0/"),
    *("http://x:port/", "http://exa mple/", "http://ex\u00e4mple/", "http://a..b/", "http://a_b.-c.example/", "//"),
    *(
        "http://user:SECRET@/",
        "http://user:SECRET@[::/",
        "http://x\x01/",
        "http://\uff11\uff12\uff17.1/",
        "http://%31/",
    ),
    *("http://x" + "y" * 300 + ".example/", "http://" + "a." * 200 + "b/", "javascript:alert(1)", "http://x\\@y/"),
]


@pytest.mark.parametrize("location", HOSTILE)
@pytest.mark.parametrize("status", [202, 307])
def test_a_location_that_leads_nowhere_is_one_clean_error(location: str, status: int, image: Layout) -> None:
    def answer(head: bytes, connection: socket.socket) -> None:
        line = b"HTTP/1.1 404 No" if head.startswith(b"HEAD") else b"HTTP/1.1 %d X" % status
        extra = b"" if head.startswith(b"HEAD") else b"\r\nLocation: " + location.encode()
        connection.sendall(line + extra + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    with RawServer(answer) as server:
        pushing = Pushing(credential=LOGIN, at_once=1, network=Internet({}, {"127.0.0.1": server.host}))
        error = error_of(pushing.push(image, f"{server.host}/a:1"))
    assert isinstance(error, OciPushError)
    said = str(error) + str(error.hint)
    assert "SECRET" not in said
    assert said.isprintable()
    assert len(said) < 1200


def test_a_location_is_sent_as_it_is_without_user_and_fragment_and_blanks_as_browsers_do(tmp_path: Path) -> None:
    image = make_layout(tmp_path / "image", layer(1))
    shown = [{"Docker-Content-Digest": blob} for blob in sorted(image.blobs, key=lambda blob: -image.blobs[blob])]
    faults = FaultScript(
        [
            *(Fault("PUT", f"{blob['Docker-Content-Digest'][7:]}", action=Answer(201, blob)) for blob in shown),
            Fault("PUT", "/manifests/", times=0, action=Answer(201, {"Docker-Content-Digest": image.digest})),
        ]
    )
    with Sandbox(faults=faults) as sandbox:
        url = f"http://user:SECRET@{sandbox.address}/elsewhere/a b%41?sig=%2f+&x={{}}"
        sandbox.faults.add(Fault("POST", UPLOADS, times=0, action=Answer(202, {"Location": url})))
        assert error_of(Pushing().push(image, f"{sandbox.address}/a:1")) is None
        sent = sandbox.traffic.select(method="PUT", path_pattern="/elsewhere/")
        assert {request.path.partition("&digest=")[0] for request in sent} == {"/elsewhere/a%20b%41?sig=%2f+&x={}"}
        assert all("authorization" not in request.headers for request in sent)
