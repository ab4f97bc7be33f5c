"""Where a registry may send us: the address that a socket would connect to decides, whatever it is spelt like."""

from __future__ import annotations

import socket

import pytest
from equipment.faults import Action, Answer, Fault, Redirect
from equipment.sandbox import Sandbox
from images import Layout
from internet import Internet
from pushing import LOGIN, Pushing
from rawserver import RawServer

from oci_push.errors import NetworkError, OciPushError, ProtocolViolationError
from oci_push.model.endpoint import RegistryEndpoint, TlsConfig

HOST = "registry.example.com"
PUBLIC, PRIVATE, LOOPBACK = "8.8.8.8", "10.20.30.40", "127.0.0.1"
NAMES: dict[str, list[str] | str] = {
    "localhost": "127.0.0.1",
    "localhost.": "127.0.0.1",
    "metadata": "169.254.169.254",
    "private.example.com": "10.1.2.3",
    "mixed.example.com": "8.8.4.4 10.1.2.3",
    "six.example.com": "fd12::1",
    "public.example.com": "8.8.4.4",
}
FORBIDDEN = [
    *("169.254.169.254", "127.0.0.1:1", "10.1.2.3", "172.16.0.1:8080", "192.168.1.1", "100.64.0.1", "0.0.0.0"),
    *("127.1", "0x7f.0.0.1", "2130706433", "169.254.43518", "0xa9fea9fe", "10.66051", "127.0.0.1."),
    *("[::1]:80", "[::]", "[fe80::1]", "[fd12::1]", "[::ffff:10.1.2.3]", "[::ffff:a9fe:a9fe]", "[::127.0.0.1]"),
    *("[64:ff9b::a9fe:a9fe]", "[64:ff9b::7f00:1]", "[2002:a01:203::]", "[2001:0:4136:e378:8000:63bf:80ff:fffe]"),
    *("168.63.129.16", "[fd00:ec2::254]", "224.0.0.1", "255.255.255.255", "198.18.0.1", "192.0.2.1"),
    *NAMES,
]
FORBIDDEN.remove("public.example.com")


def away(way: str, url: str) -> Fault:
    """Send a client elsewhere in one of the ways a registry has."""
    if way == "realm":
        return Fault(times=0, action=Answer(401, {"WWW-Authenticate": f'Bearer realm="{url}",service="s"'}))
    action: Action = Answer(202, {"Location": url}) if way == "location" else Redirect(307, url)
    return Fault("POST", "/blobs/uploads/", times=0, action=action)


def push(image: Layout, network: Internet, **options: object) -> OciPushError | None:
    """Push to the registry by its name."""
    endpoints = {HOST: RegistryEndpoint(HOST, LOGIN, TlsConfig(plain_http=True))}
    (result,) = Pushing(endpoints=endpoints, network=network, at_once=1, **options).push(image, f"{HOST}/a:1")  # type: ignore[arg-type]
    return result.error


@pytest.mark.case("UP-009")
@pytest.mark.parametrize("way", ["location", "redirect", "realm"])
@pytest.mark.parametrize("host", FORBIDDEN)
def test_a_public_registry_cannot_send_us_to_an_address_that_is_not_public(host: str, way: str, image: Layout) -> None:
    with Sandbox() as sandbox:
        network = Internet({**NAMES, HOST: PUBLIC}, {PUBLIC: sandbox.address})
        sandbox.faults.add(away(way, f"http://{host}/latest?x=1"))
        error = push(image, network)
        assert isinstance(error, ProtocolViolationError)
        assert "refused" in str(error)
        assert f"{HOST}: points at the " in str(error)
        assert set(network.connected) == {PUBLIC}


@pytest.mark.parametrize("way", ["location", "redirect", "realm"])
@pytest.mark.parametrize(
    ("home", "target", "is_allowed"),
    [
        (PUBLIC, "8.8.4.4", True),
        (PUBLIC, "public.example.com", True),
        (PRIVATE, "8.8.4.4", True),
        (PRIVATE, "private.example.com", True),
        (PRIVATE, "[fd12::1]", True),
        (PRIVATE, "localhost", False),
        (PRIVATE, "metadata", False),
        (LOOPBACK, "10.1.2.3", True),
        (LOOPBACK, "[::1]:1", True),
        (LOOPBACK, "169.254.169.254", False),
        (LOOPBACK, "0.0.0.0", False),
        ("169.254.10.10", "metadata", False),
    ],
)
def test_a_registry_may_send_us_to_what_is_as_near_as_itself_or_less(
    home: str, target: str, is_allowed: bool, way: str, image: Layout
) -> None:
    with Sandbox() as sandbox:
        doors = {home: sandbox.address}
        network = Internet({**NAMES, HOST: home}, doors)
        sandbox.faults.add(away(way, f"http://{target}/latest"))
        error = push(image, network)
        assert isinstance(error, NetworkError if is_allowed else ProtocolViolationError)
        assert any(where not in doors for where in network.connected) is is_allowed


def test_a_number_that_programs_read_differently_is_no_host(image: Layout) -> None:
    with Sandbox() as sandbox:
        network = Internet({HOST: PUBLIC}, {PUBLIC: sandbox.address})
        sandbox.faults.add(away("location", "http://0177.0.0.1/x"))
        assert isinstance(push(image, network), ProtocolViolationError)
        assert set(network.connected) == {PUBLIC}


def test_a_name_is_resolved_once_for_each_connection_so_that_it_cannot_change_after_it_was_judged(
    image: Layout,
) -> None:
    with Sandbox() as sandbox:
        names: dict[str, list[str] | str] = {HOST: PUBLIC, "rebinding.example.com": ["8.8.4.4", "127.0.0.1"]}
        network = Internet(names, {PUBLIC: sandbox.address})
        sandbox.faults.add(away("location", "http://rebinding.example.com/x"))
        assert push(image, network) is not None
        assert "127.0.0.1" not in network.connected
        assert network.connected.count("8.8.4.4") == 1


def test_a_registry_that_was_seen_far_away_stays_so_when_its_name_leads_near(image: Layout) -> None:
    with Sandbox() as sandbox:
        names: dict[str, list[str] | str] = {HOST: [PUBLIC, LOOPBACK]}
        network = Internet(names, {PUBLIC: sandbox.address, LOOPBACK: sandbox.address})
        change = {"Location": "http://10.1.2.3/x", "Connection": "close"}
        sandbox.faults.add(Fault("POST", "/blobs/uploads/", times=0, action=Answer(202, change)))
        sandbox.faults.add(Fault("HEAD", times=0, action=Answer(404, {"Connection": "close"})))
        assert isinstance(push(image, network), ProtocolViolationError)
        assert "10.1.2.3" not in network.connected


def behind_proxy(location: str) -> RawServer:
    """Be a proxy before a registry whose uploads are elsewhere."""

    def answer(head: bytes, connection: socket.socket) -> None:
        if head.startswith(b"POST http://registry.example.com/"):
            text = f"HTTP/1.1 202 OK\r\nLocation: {location}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        else:
            text = "HTTP/1.1 404 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        connection.sendall(text.encode())

    return RawServer(answer)


@pytest.mark.parametrize(
    "host", ["127.1", "10.1.2.3", "0xa9fea9fe", "[::ffff:7f00:1]", "private.example.com", "localhost."]
)
def test_through_a_proxy_what_can_be_judged_here_is(host: str, image: Layout) -> None:
    with behind_proxy(f"http://{host}/x") as proxy:
        network = Internet({**NAMES, "proxy": "10.0.0.1"}, {"10.0.0.1": proxy.host})
        error = push(image, network, env={"http_proxy": "http://proxy:3128"})
        assert isinstance(error, ProtocolViolationError)
        assert all(b" http://registry.example.com/" in head for head in proxy.heads)


def test_through_a_proxy_a_name_that_only_the_proxy_knows_is_its_business(image: Layout) -> None:
    with behind_proxy("http://storage.example.com/x") as proxy:
        network = Internet({"proxy": "10.0.0.1"}, {"10.0.0.1": proxy.host})
        assert push(image, network, env={"http_proxy": "http://proxy:3128"}) is not None
        assert any(head.startswith(b"PUT http://storage.example.com/x?digest") for head in proxy.heads)
