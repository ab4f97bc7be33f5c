"""Proxies: which one the environment means, and what a value that means none is called."""

from __future__ import annotations

import pytest

from oci_push.errors import ConfigError
from oci_push.transport.proxies import find_proxy
from oci_push.transport.redirects import Origin

PROXY = {"HTTPS_PROXY": "http://proxy:3128"}


def at(host: str, port: int = 443) -> Origin:
    return ("https", host, port)


@pytest.mark.parametrize(
    ("env", "shown"),
    [
        ({"HTTPS_PROXY": "http://proxy:3128"}, "http://proxy:3128 (HTTPS_PROXY)"),
        ({"HTTPS_PROXY": "proxy:3128"}, "http://proxy:3128 (HTTPS_PROXY)"),
        ({"HTTPS_PROXY": "proxy"}, "http://proxy:80 (HTTPS_PROXY)"),
        ({"HTTPS_PROXY": "user:p%40ss@proxy:3128"}, "http://proxy:3128 (HTTPS_PROXY)"),
        ({"https_proxy": "https://proxy"}, "https://proxy:443 (https_proxy)"),
        ({"https_proxy": "a:1", "HTTPS_PROXY": "b:1"}, "http://a:1 (https_proxy)"),
        ({"https_proxy": "", "HTTPS_PROXY": "b:1"}, "http://b:1 (HTTPS_PROXY)"),
        ({"ALL_PROXY": "socks5://proxy"}, "socks5://proxy:1080 (ALL_PROXY)"),
        ({"ALL_PROXY": "SOCKS5H://[::1]:9"}, "socks5h://[::1]:9 (ALL_PROXY)"),
        ({"ALL_PROXY": "a:1", "HTTPS_PROXY": "b:1"}, "http://b:1 (HTTPS_PROXY)"),
        ({"HTTP_PROXY": "a:1"}, "None"),
        ({"HTTPS_PROXY": "  "}, "None"),
        ({}, "None"),
    ],
)
def test_the_variables_are_read_as_curl_reads_them(env: dict[str, str], shown: str) -> None:
    assert str(find_proxy(at("registry.example.com"), env)) == shown


def test_a_login_is_taken_apart_and_never_shown() -> None:
    proxy = find_proxy(at("registry.example.com"), {"ALL_PROXY": "http://u%3Aser:p%40ss@proxy:1"})
    assert proxy is not None
    assert (proxy.user, proxy.password.reveal()) == ("u:ser", "p@ss")
    assert "p@ss" not in repr(proxy) + str(proxy)


@pytest.mark.parametrize(
    ("host", "no_proxy"),
    [
        ("registry.example.com", "*"),
        ("registry.example.com", "example.com"),
        ("registry.example.com", ".example.com"),
        ("registry.example.com", "*.example.com"),
        ("registry.example.com", "REGISTRY.example.com."),
        ("registry.example.com", "other registry.example.com"),
        ("registry.example.com", "other,\tregistry.example.com:443"),
        ("registry.example.com", "https://registry.example.com"),
        ("10.77.0.1", "10.77.0.0/16"),
        ("10.77.0.1", "localhost,127.0.0.0/8,10.0.0.0/8"),
        ("10.77.0.1", "10.77.3.3/16"),
        ("10.77.0.1", "10.77.0.1:443"),
        ("10.77.1", "10.77.0.1"),
        ("fd00::7", "fd00::/8"),
        ("fd00::7", "[fd00::]/8"),
        ("fd00::7", "[FD00:0::7]"),
        ("fd00::7", "[fd00::7]:443"),
        ("fd00::7", "fd00:0:0::7"),
        ("localhost", ""),
        ("127.0.0.1", ""),
        ("127.1", ""),
        ("::1", ""),
        ("a.localhost", ""),
        ("169.254.169.254", ""),
    ],
)
def test_these_are_reached_directly(host: str, no_proxy: str) -> None:
    assert find_proxy(at(host), {**PROXY, "NO_PROXY": no_proxy}) is None
    assert find_proxy(at(host), {**PROXY, "no_proxy": no_proxy, "NO_PROXY": no_proxy}) is None


@pytest.mark.parametrize(
    ("host", "no_proxy"),
    [
        ("registry.example.com", "registry.example.com:80"),
        ("registry.example.com", "gistry.example.com"),
        ("registry.example.com", "10.0.0.0/8,[fd00::]/8"),
        ("registry.example.com", "registry.example.com.evil"),
        ("registry.example.com", ","),
        ("10.77.0.1", "10.78.0.0/16"),
        ("10.77.0.1", "77.0.1"),
        ("10.77.0.1", "fd00::/8"),
        ("fd00::7", "[fd00::7]:80"),
        ("fd00::7", "10.0.0.0/8"),
    ],
)
def test_these_go_through_the_proxy(host: str, no_proxy: str) -> None:
    assert find_proxy(at(host), {**PROXY, "NO_PROXY": no_proxy}) is not None


@pytest.mark.parametrize(
    "value",
    [
        *("socks4://proxy:1080", "ftp://proxy", "://", "http://", "http://:80", "proxy:port", "proxy:99999"),
        *("http://[::1", "http://pro xy:1", "http://proxy\x1b[2J", "http://user:SECRET@pro xy", "SECRET@"),
        *("http://user:SE/CRET@proxy:1x", "socks4://u:SECRET@proxy"),
    ],
)
def test_a_value_that_is_no_proxy_is_an_error_that_names_the_variable(value: str) -> None:
    with pytest.raises(ConfigError) as caught:
        find_proxy(at("registry.example.com"), {"HTTPS_PROXY": value})
    assert str(caught.value).startswith("HTTPS_PROXY: ")
    assert "socks5" in str(caught.value.hint)
    assert "CRET" not in str(caught.value)
    assert "\x1b" not in str(caught.value)


def test_a_range_that_is_none_is_an_error_that_names_the_variable() -> None:
    with pytest.raises(ConfigError, match=r"no_proxy: '10\.0\.0\.0/99'"):
        find_proxy(at("10.1.1.1"), {**PROXY, "no_proxy": "10.0.0.0/99"})
