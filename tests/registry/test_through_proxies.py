"""Pushes through proxies of every kind, and what is said of a proxy that does not serve."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from certificates import Authority
from equipment.faults import Answer, Fault, FaultScript
from equipment.options import SandboxOptions
from equipment.sandbox import Sandbox
from images import Layout
from internet import Internet
from pushing import Pushing, is_whole
from wayproxy import WayProxy

from oci_push.errors import ConfigError, NetworkError, OciPushError
from oci_push.model.endpoint import RegistryEndpoint, TlsConfig

HOST = "registry.example.com"


def push(image: Layout, tls: TlsConfig, door: str, env: dict[str, str]) -> OciPushError | None:
    """Push to a public registry that nobody but the proxy behind `door` knows the way to."""
    network = Internet({"proxy": "10.0.0.1", HOST: "8.8.8.8"}, {"10.0.0.1": door})
    endpoints = {HOST: RegistryEndpoint(HOST, None, tls)}
    (result,) = Pushing(endpoints=endpoints, env=env, network=network).push(image, f"{HOST}/a:1")
    assert "8.8.8.8" not in network.connected
    return result.error


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Give an authority that the registry's certificate is by."""
    return Authority(tmp_path / "ca")


@pytest.fixture
def secure(authority: Authority) -> SandboxOptions:
    """Give the options of a registry that speaks TLS."""
    return SandboxOptions(ssl_context=authority.issue(HOST, hosts=(HOST,)).server_context())


PLAIN = TlsConfig(plain_http=True)


@pytest.mark.parametrize("value", ["http://proxy:3128", "proxy:3128"])
def test_plain_requests_are_forwarded(value: str, image: Layout) -> None:
    with Sandbox() as sandbox, WayProxy(sandbox.address) as proxy:
        assert push(image, PLAIN, proxy.host, {"http_proxy": value}) is None
        assert is_whole(sandbox, "a", "1", image)
        assert all(one.startswith(f"http://{HOST}/v2/a/") for one in proxy.asked)


def test_tls_goes_through_a_tunnel_with_the_proxys_login_and_nobody_elses(
    image: Layout, authority: Authority, secure: SandboxOptions
) -> None:
    with Sandbox(options=secure) as sandbox, WayProxy(sandbox.address) as proxy:
        env = {"HTTPS_PROXY": "http://us%40er:pass@proxy:3128"}
        assert push(image, TlsConfig(ca_file=str(authority.path)), proxy.host, env) is None
        assert is_whole(sandbox, "a", "1", image)
        assert set(proxy.asked) == {f"{HOST}:443"}
        credential = b"Basic " + base64.b64encode(b"us@er:pass")
        assert all(credential in head and b"\r\nAuthorization" not in head for head in proxy.heads)
        assert all("proxy-authorization" not in request.headers for request in sandbox.traffic.requests)


def test_a_proxy_may_itself_be_spoken_to_by_tls(image: Layout, authority: Authority, secure: SandboxOptions) -> None:
    outer = authority.issue("proxy", hosts=("proxy",)).server_context()
    with Sandbox(options=secure) as sandbox, WayProxy(sandbox.address, context=outer) as proxy:
        env = {"https_proxy": "https://proxy:443", "SSL_CERT_FILE": str(authority.path)}
        assert push(image, TlsConfig(ca_file=str(authority.path)), proxy.host, env) is None
        assert is_whole(sandbox, "a", "1", image)
        assert set(proxy.asked) == {f"{HOST}:443"}


def test_a_plain_registry_behind_a_proxy_spoken_to_by_tls(image: Layout, authority: Authority) -> None:
    outer = authority.issue("proxy", hosts=("proxy",)).server_context()
    with Sandbox() as sandbox, WayProxy(sandbox.address, context=outer) as proxy:
        env = {"http_proxy": "https://proxy:443", "SSL_CERT_FILE": str(authority.path)}
        assert push(image, PLAIN, proxy.host, env) is None
        assert is_whole(sandbox, "a", "1", image)


@pytest.mark.parametrize(("scheme", "asked"), [("socks5", "8.8.8.8"), ("socks5h", HOST)])
@pytest.mark.parametrize("credential", ["", "user:pass"])
def test_socks_is_spoken_and_resolves_where_its_scheme_says(
    scheme: str, asked: str, credential: str, image: Layout, authority: Authority, secure: SandboxOptions
) -> None:
    with Sandbox(options=secure) as sandbox, WayProxy(sandbox.address, credential=credential) as proxy:
        before = f"{credential}@" if credential else ""
        env = {"ALL_PROXY": f"{scheme}://{before}proxy:1080"}
        assert push(image, TlsConfig(ca_file=str(authority.path)), proxy.host, env) is None
        assert is_whole(sandbox, "a", "1", image)
        assert set(proxy.asked) == {asked}


@pytest.mark.parametrize(
    ("value", "credential", "status", "said", "is_tried_again"),
    [
        ("http://u:SECRET@proxy:3128", "", 407, "it answered 407", False),
        ("http://u:SECRET@proxy:3128", "", 403, "it answered 403", False),
        ("http://u:SECRET@proxy:3128", "", 502, "it answered 502", True),
        ("socks5h://u:SECRET@proxy:3128", "x:y", 0, "it refuses the login", False),
        ("socks5h://u:SECRET@proxy:3128", "", 2, "it is not allowed there", False),
        ("socks5h://u:SECRET@proxy:3128", "", 4, "the host cannot be reached", True),
    ],
)
def test_a_proxy_that_does_not_serve_is_named_with_its_variable(
    value: str, credential: str, status: int, said: str, is_tried_again: bool, image: Layout
) -> None:
    with WayProxy("127.0.0.1:1", credential=credential, status=status) as proxy:
        error = push(image, TlsConfig(), proxy.host, {"HTTPS_PROXY": value})
    assert isinstance(error, NetworkError)
    shown = value.replace("u:SECRET@", "")
    assert f"the proxy {shown} (HTTPS_PROXY) does not let us through to {HOST} ({said})" in str(error)
    assert "SECRET" not in str(error) + str(error.hint)
    assert error.transient is is_tried_again


def test_a_407_to_a_plain_request_is_the_proxys_word_and_not_the_registrys(image: Layout) -> None:
    refusing = FaultScript([Fault(times=0, action=Answer(407))])
    with Sandbox(faults=refusing) as sandbox, WayProxy(sandbox.address) as proxy:
        error = push(image, PLAIN, proxy.host, {"http_proxy": "http://u:SECRET@proxy:3128"})
        assert isinstance(error, NetworkError)
        words = f"the proxy http://proxy:3128 (http_proxy) does not let us through to {HOST} (it answered 407)"
        assert words in str(error)
        assert "give its login" in str(error.hint)
        assert sandbox.traffic.count() == 1


def test_a_proxy_that_cannot_be_reached_is_named_with_its_variable(image: Layout) -> None:
    error = push(image, PLAIN, "127.0.0.1:1", {"http_proxy": "http://proxy:3128"})
    assert isinstance(error, NetworkError)
    assert "cannot connect to the proxy http://proxy:3128 (http_proxy) (Connection refused)" in str(error)


def test_a_value_that_is_no_proxy_ends_the_push_before_anything_is_asked(image: Layout) -> None:
    with pytest.raises(ConfigError, match="HTTPS_PROXY"):
        push(image, TlsConfig(), "127.0.0.1:1", {"HTTPS_PROXY": "socks4://proxy:1"})
