"""Which hosts may stand in a URL, held against httpx: what it refuses never gets into a request."""

from __future__ import annotations

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from oci_push.errors import ProtocolViolationError
from oci_push.transport.redirects import base_of, host_header, origin

HOSTS = st.from_regex(r"[a-f0-9_.:%-]{1,20}|[0-9]{1,4}(\.[0-9]{1,4}){2,4}\.?|\[[0-9a-f:.%]{1,24}\]", fullmatch=True)


@pytest.mark.parametrize("host", ["256.1.1.1", "1.2.3.04", "[::1::2]", "[12345::]", "[1.2.3.4]:80"])
def test_what_looks_like_an_address_and_is_none_is_refused(host: str) -> None:
    with pytest.raises(ProtocolViolationError, match="not a"):
        host_header(origin(f"http://{host}/v2/"))


@pytest.mark.parametrize(
    ("url", "header"),
    [
        ("http://reg.example:5000/v2/", "reg.example:5000"),
        ("https://reg.example:443/", "reg.example"),
        ("http://127.0.0.1:80/", "127.0.0.1"),
        ("https://[::1]:5000/", "[::1]:5000"),
        ("http://1.2.3/", "1.2.3"),
        ("http://registry_1/", "registry_1"),
        ("http://reg.example./", "reg.example."),
    ],
)
def test_a_host_is_sent_as_it_stands(url: str, header: str) -> None:
    assert host_header(origin(url)) == header


@given(HOSTS)
@example("1.2.3.256")
@example("[fe80::1%eth0]")
def test_no_more_is_let_pass_than_httpx_does(host: str) -> None:
    try:
        where = origin(f"http://{host}/")
    except ProtocolViolationError:
        return
    try:
        httpx.URL(base_of(where))
    except httpx.InvalidURL:
        with pytest.raises(ProtocolViolationError):
            host_header(where)
    else:
        assert host_header(where) == base_of(where).removeprefix("http://")
