"""The harness itself: registries, token server, proxy and images do what the tests that use them count on."""

from __future__ import annotations

import base64
import http.client
import json
import socket
import ssl
import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from urllib.error import HTTPError

import pytest
from certificates import Authority
from programs import ProgramError, clean_environment, require, run
from proxy import TcpProxy
from rawpush import ask, ask_once, push_tiny
from real_images import RealImages, make_real_images
from registries import DebianRegistry, Mode
from skopeo import Skopeo
from tokenserver import TokenRequest, TokenServer

MakeRegistry = Callable[[Mode], DebianRegistry]


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def fetch_token(
    server: TokenServer, *scopes: str, credential: tuple[str, str] | None = None, **more: str
) -> dict[str, str]:
    query = urllib.parse.urlencode([("service", server.service), *(("scope", s) for s in scopes), *more.items()])
    request = urllib.request.Request(f"{server.url}?{query}")
    if credential is not None:
        request.add_header("Authorization", basic(*credential))
    with urllib.request.urlopen(request, timeout=120) as reply:
        return dict(json.load(reply))


def post_token(server: TokenServer, **fields: str) -> dict[str, str]:
    data = urllib.parse.urlencode({"service": server.service, **fields}).encode()
    with urllib.request.urlopen(server.url, data, timeout=120) as reply:
        return dict(json.load(reply))


# Programs


def test_missing_program_fails_and_says_what_to_install() -> None:
    with pytest.raises(pytest.fail.Exception, match="apt-get install no-such-program"):
        require("no-such-program")


def test_failing_program_raises_with_what_it_said(tmp_path: Path) -> None:
    with pytest.raises(ProgramError, match="no such file or directory"):
        run(["skopeo", "inspect", f"oci:{tmp_path}/absent:v1"], env=clean_environment(tmp_path / "home"))


def test_connections_to_other_machines_are_refused() -> None:
    with socket.socket() as outward, pytest.raises(RuntimeError, match="this machine only"):
        outward.connect(("192.0.2.1", 80))


# Registries


def test_registry_logs_exactly_the_requests_that_were_sent(open_registry: DebianRegistry) -> None:
    open_registry.forget()
    push_tiny(open_registry, "harness/logged", "v1")
    seen = open_registry.requests()
    assert [(request.method, request.status) for request in seen] == [("POST", 202), ("PUT", 201), ("PUT", 201)]
    assert [request.path for request in seen][0::2] == [
        "/v2/harness/logged/blobs/uploads/",
        "/v2/harness/logged/manifests/v1",
    ]
    assert "digest=sha256" in seen[1].query


def test_skopeo_reads_what_was_pushed(open_registry: DebianRegistry, skopeo: Skopeo) -> None:
    digest, statuses = push_tiny(open_registry, "harness/read", "v1")
    assert statuses == [202, 201, 201]
    assert skopeo.digest(f"docker://{open_registry.host}/harness/read:v1") == digest
    assert skopeo.tags(f"docker://{open_registry.host}/harness/read") == ["v1"]


def test_restart_keeps_port_content_and_upload_sessions(make_registry: MakeRegistry, skopeo: Skopeo) -> None:
    registry = make_registry(Mode(relative_urls=True))
    port = registry.port
    digest, _ = push_tiny(registry, "harness/kept", "v1")
    location = ask_once(registry, "POST", "/v2/harness/kept/blobs/uploads/").headers["location"]
    registry.restart()
    assert registry.port == port
    assert skopeo.digest(f"docker://{registry.host}/harness/kept:v1") == digest
    assert ask_once(registry, "GET", location).status == 204


def test_killed_registry_refuses_connections(make_registry: MakeRegistry) -> None:
    registry = make_registry(Mode())
    registry.kill()
    with pytest.raises(ConnectionRefusedError):
        registry.connection().connect()


@pytest.mark.parametrize(("relative", "start"), [(True, "/v2/"), (False, "http://127.0.0.1:")])
def test_location_is_relative_only_where_asked_for(make_registry: MakeRegistry, relative: bool, start: str) -> None:
    registry = make_registry(Mode(relative_urls=relative))
    opened = ask_once(registry, "POST", "/v2/harness/place/blobs/uploads/")
    assert opened.headers["location"].startswith(start)


def test_deletion_can_be_switched_off(make_registry: MakeRegistry) -> None:
    registry = make_registry(Mode(can_delete=False))
    digest, _ = push_tiny(registry, "harness/deleted", "v1")
    assert ask_once(registry, "DELETE", f"/v2/harness/deleted/manifests/{digest}").status == 405


def test_password_registry_takes_the_right_password_only(
    password_registry: DebianRegistry, users: dict[str, str], trusting_skopeo: Skopeo
) -> None:
    _, without = push_tiny(password_registry, "harness/password", "v1")
    _, wrong = push_tiny(password_registry, "harness/password", "v1", authorization=basic("robot", "guess"))
    right = basic("robot", users["robot"])
    digest, good = push_tiny(password_registry, "harness/password", "v1", authorization=right)
    assert (without, wrong, good) == ([401], [401], [202, 201, 201])
    assert trusting_skopeo.digest(f"docker://{password_registry.host}/harness/password:v1") == digest


def test_password_registry_is_not_trusted_without_the_authority(password_registry: DebianRegistry) -> None:
    stranger = http.client.HTTPSConnection(
        "127.0.0.1", password_registry.port, timeout=120, context=ssl.create_default_context()
    )
    with pytest.raises(ssl.SSLCertVerificationError, match="unable to get local issuer"):
        stranger.connect()


# Tokens


def test_challenge_leads_to_a_token_that_lets_push(
    token_registry: DebianRegistry, token_server: TokenServer, users: dict[str, str]
) -> None:
    refused = ask_once(token_registry, "POST", "/v2/harness/token/blobs/uploads/")
    assert refused.status == 401
    assert f'Bearer realm="{token_server.url}",service="{token_server.service}"' in refused.headers["www-authenticate"]
    credential = ("robot", users["robot"])
    token = fetch_token(token_server, "repository:harness/token:pull,push", credential=credential)["token"]
    _, statuses = push_tiny(token_registry, "harness/token", "v1", authorization=f"Bearer {token}")
    assert statuses == [202, 201, 201]
    scopes = ("repository:harness/token:pull,push",)
    assert token_server.requests == (TokenRequest("GET", "basic", "robot", token_server.service, scopes, 200),)


def test_post_gives_tokens_for_passwords_and_for_refresh_tokens(
    token_registry: DebianRegistry, token_server: TokenServer, users: dict[str, str]
) -> None:
    scope = "repository:harness/post:pull,push"
    password = {"username": "robot", "password": users["robot"], "access_type": "offline"}
    first = post_token(token_server, grant_type="password", scope=scope, **password)
    again = post_token(token_server, grant_type="refresh_token", refresh_token=first["refresh_token"], scope=scope)
    token = again["access_token"]
    _, statuses = push_tiny(token_registry, "harness/post", "v1", authorization=f"Bearer {token}")
    assert statuses == [202, 201, 201]
    assert [request.grant for request in token_server.requests] == ["password", "refresh_token"]


@pytest.mark.parametrize("credential", [None, ("robot", "guess"), ("nobody", "guest-pass")])
def test_token_server_refuses_who_it_does_not_know(
    token_server: TokenServer, credential: tuple[str, str] | None
) -> None:
    with pytest.raises(HTTPError, match="401") as refused:
        fetch_token(token_server, "repository:harness/token:pull", credential=credential)
    refused.value.close()
    assert [request.status for request in token_server.requests] == [401]


def test_withheld_action_and_expired_token_are_refused_by_the_registry(
    token_registry: DebianRegistry, token_server: TokenServer, users: dict[str, str]
) -> None:
    def refusal() -> str:
        credential = ("robot", users["robot"])
        token = fetch_token(token_server, "repository:harness/no:pull,push", credential=credential)["token"]
        headers = {"Authorization": f"Bearer {token}"}
        answer = ask_once(token_registry, "POST", "/v2/harness/no/blobs/uploads/", headers=headers)
        return f"{answer.status} {answer.headers.get('www-authenticate', '')}"

    token_server.withheld.add(("harness/no", "push"))
    assert refusal().endswith('error="insufficient_scope"')
    token_server.withheld.clear()
    token_server.lifetime_s = -120
    assert refusal().endswith('error="invalid_token"')
    token_server.lifetime_s = 300
    assert refusal() == "202 "


def test_anonymous_token_can_only_pull(authority: Authority) -> None:
    with TokenServer(authority.issue("anonymous"), {}, anonymous_pull=True) as server:
        token = fetch_token(server, "repository:a:pull,push")["token"]
    claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    assert claims["access"] == [{"type": "repository", "name": "a", "actions": ["pull"]}]


def test_token_server_speaks_tls(authority: Authority, users: dict[str, str]) -> None:
    with TokenServer(authority.issue("tls-signer"), users, tls=authority.issue("token-tls")) as server:
        url = f"{server.url}?service={server.service}"
        request = urllib.request.Request(url, headers={"Authorization": basic("robot", users["robot"])})
        with urllib.request.urlopen(request, timeout=120, context=authority.client_context()) as reply:
            assert reply.status == 200


# The proxy


def test_proxy_passes_requests_on_and_counts_them(open_registry: DebianRegistry, proxy: TcpProxy) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=120)
    location = ask(connection, "POST", "/v2/harness/proxy/blobs/uploads/").headers["location"]
    connection.close()
    assert location.startswith(f"http://{proxy.host}/")
    assert (proxy.connections, proxy.bytes_up > 50, proxy.bytes_down > 50) == (1, True, True)


def test_proxy_cuts_a_connection_after_so_many_bytes_and_the_next_passes(proxy: TcpProxy) -> None:
    proxy.cut_after(100_000)
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=120)
    with pytest.raises(OSError, match=r"reset|Broken pipe|closed"):
        ask(connection, "PUT", "/v2/harness/cut/manifests/v1", body=bytes(8_000_000))
    assert proxy.bytes_up == 100_000
    connection.close()
    assert ask(connection, "GET", "/v2/").status == 200
    connection.close()


def test_frozen_proxy_says_nothing_until_it_thaws(proxy: TcpProxy) -> None:
    proxy.freeze()
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=0.2) as waiting:
        waiting.sendall(b"GET /v2/ HTTP/1.0\r\n\r\n")
        with pytest.raises(TimeoutError):
            waiting.recv(1)
        proxy.thaw()
        waiting.settimeout(120)
        assert waiting.recv(12).startswith(b"HTTP/1.0 200")


def test_killed_connection_is_seen_as_a_reset(proxy: TcpProxy) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=120)
    assert ask(connection, "GET", "/v2/").status == 200
    proxy.kill_connections()
    with pytest.raises(OSError, match=r"reset|Broken pipe|closed"):
        ask(connection, "GET", "/v2/")
    connection.close()


@pytest.mark.parametrize("slow_down", [lambda proxy: proxy.delay(0.15), lambda proxy: proxy.throttle(500)])
def test_slowed_proxy_takes_its_time(proxy: TcpProxy, slow_down: Callable[[TcpProxy], None]) -> None:
    slow_down(proxy)
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=120)
    began = time.monotonic()
    assert ask(connection, "GET", "/v2/").status == 200
    connection.close()
    assert time.monotonic() - began >= 0.2


# Images


@pytest.mark.parametrize("form", ["layout", "layout_archive", "several"])
def test_oci_image_keeps_its_digest_through_a_registry(
    form: str, real_images: RealImages, open_registry: DebianRegistry, skopeo: Skopeo, tmp_path: Path
) -> None:
    image = getattr(real_images, form)
    there = f"docker://{open_registry.host}/harness/{form}:v1"
    back = f"oci:{tmp_path}/back:v1"
    skopeo.copy(image.reference, there)
    skopeo.copy(there, back)
    assert skopeo.digest(image.reference) == skopeo.digest(there) == skopeo.digest(back)


def test_images_are_what_they_are_said_to_be(real_images: RealImages, skopeo: Skopeo) -> None:
    layers = {image.transport: len(json.loads(skopeo.raw(image.reference))["layers"]) for image in real_images.single}
    index = json.loads(skopeo.raw(real_images.several.reference))
    assert layers == {"oci": 2, "oci-archive": 2, "docker-archive": 2}
    assert [child["platform"]["architecture"] for child in index["manifests"]] == ["amd64", "arm64"]


def test_images_are_the_same_each_time_they_are_made(real_images: RealImages, skopeo: Skopeo, tmp_path: Path) -> None:
    again = make_real_images(tmp_path / "again")
    first, second = (
        [skopeo.digest(image.reference) for image in (*made.single, made.several)] for made in (real_images, again)
    )
    assert first == second
