"""The table's auth cases: who is told what, how often, and what is done when the answer is no."""

from __future__ import annotations

import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from certificates import Authority
from equipment.faults import Answer, Fault, FaultScript, Redirect
from equipment.options import SandboxOptions
from equipment.sandbox import Sandbox
from images import Layout, config_of, docker_archive, layer, make_layout
from pushing import LOGIN, Pushing, error_of, is_whole

from oci_push.errors import CredentialsError, DeniedError, ProtocolViolationError
from oci_push.events import BlobDone, Event
from oci_push.model.endpoint import Credential, RegistryEndpoint, TlsConfig
from oci_push.model.reference import Destination
from oci_push.runtime.clock import FakeClock
from oci_push.runtime.retry import RetryPolicy
from oci_push.secret import Secret

UPLOADS = r"/blobs/uploads/"
BEARER = SandboxOptions(auth="bearer")


@pytest.mark.case("AU-001", "AU-021")
def test_one_token_request_names_service_and_every_scope_and_the_call_is_repeated_once(image: Layout) -> None:
    with Sandbox(options=BEARER) as sandbox:
        results = Pushing(credential=LOGIN).push(image, f"{sandbox.address}/a:1", f"{sandbox.address}/b:1")
        assert [result.error for result in results] == [None, None]
        (asked,) = sandbox.traffic.tokens
        assert asked.scopes == ("repository:a:pull,push", "repository:b:pull,push")
        (token,) = sandbox.traffic.select(path_pattern="^/token")
        assert "service=oci-push-sandbox&" in token.path
        assert sandbox.traffic.count(status=401) == 1


@pytest.mark.case("AU-004")
def test_a_scheme_that_is_not_supported_is_named_and_not_asked_twice(image: Layout) -> None:
    refusal = Answer(401, {"WWW-Authenticate": 'Negotiate, Digest realm="x", nonce="y"'})
    with Sandbox(faults=FaultScript([Fault(times=0, action=refusal)])) as sandbox:
        error = error_of(Pushing(credential=LOGIN).push(image, f"{sandbox.address}/a:1"))
        assert isinstance(error, CredentialsError)
        assert "negotiate, digest" in str(error)
        assert sandbox.traffic.count() == 1


@pytest.mark.parametrize(
    ("challenge", "words"),
    [
        ('Bearer realm="",service="x"', "asks for a token, and names no token server"),
        ('Bearer realm="/token"', "its token server: sent to '/token', which is not an http or https URL"),
        ('Bearer realm="http://[::1/token"', "its token server: sent to 'http://[::1/token', which is not a URL"),
    ],
)
def test_a_token_server_that_is_no_address_is_told_as_the_registrys_fault(
    challenge: str, words: str, image: Layout
) -> None:
    refusal = Answer(401, {"WWW-Authenticate": challenge})
    with Sandbox(faults=FaultScript([Fault(times=0, action=refusal)])) as sandbox:
        error = error_of(Pushing(credential=LOGIN).push(image, f"{sandbox.address}/a:1"))
        assert error is not None
        assert str(error).startswith(f"{sandbox.address}: {words}")
        assert error.hint


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("nth", [1, 2])
def test_a_token_server_that_fails_is_asked_as_often_as_one_call_may_be(nth: int, status: int, image: Layout) -> None:
    with Sandbox(options=BEARER) as sandbox:
        ended = {"WWW-Authenticate": f'Bearer realm="{sandbox.url}/token",error="invalid_token"'}
        sandbox.faults.add(Fault(path="^/token", nth=nth, times=0, action=Answer(status)))
        sandbox.faults.add(Fault("POST", UPLOADS, times=0, action=Answer(401, ended)))
        policy = RetryPolicy(attempts=4, base_s=0.001, cap_s=0.002)
        pushing = Pushing(credential=LOGIN, policy=policy, at_once=1, mount=False)
        error = error_of(pushing.push(image, f"{sandbox.address}/a:1"))
        assert f"GET answered {status}; given up after 4 attempts" in str(error)
        assert sandbox.traffic.count(path_pattern="^/token") == nth - 1 + 4


@pytest.mark.parametrize("target", ["{path}", "/to ken"])
def test_a_login_that_a_token_server_sends_elsewhere_is_not_called_refused(target: str, image: Layout) -> None:
    other = FaultScript([Fault(times=0, action=Answer(401))])
    with Sandbox(faults=other) as elsewhere, Sandbox(options=BEARER) as sandbox:
        sandbox.faults.add(Fault(path="^/token", times=0, action=Redirect(307, f"{elsewhere.url}{target}")))
        error = error_of(Pushing(credential=LOGIN).push(image, f"{sandbox.address}/a:1"))
        assert isinstance(error, CredentialsError)
        assert f" at {elsewhere.url}/to" in str(error)
        assert "refused the credentials" not in str(error)
        assert error.hint == "the token server sent us there; that place gets no login"


@pytest.mark.case("AU-007")
def test_a_challenge_that_comes_with_the_first_upload_is_used(image: Layout) -> None:
    with Sandbox(options=BEARER, faults=FaultScript([Fault("HEAD", times=0, action=Answer(404))])) as sandbox:
        assert error_of(Pushing(credential=LOGIN).push(image, f"{sandbox.address}/a:1")) is None
        assert is_whole(sandbox, "a", "1", image)
        assert sandbox.traffic.count(path_pattern="^/v2/$") == 0


@pytest.mark.case("AU-011")
def test_a_token_that_would_run_out_is_renewed_before_the_next_request(image: Layout) -> None:
    clock = FakeClock()
    with Sandbox(options=SandboxOptions(auth="bearer", token_life_s=60), clock=clock) as sandbox:

        def let_time_pass(event: Event) -> None:
            if isinstance(event, BlobDone):
                clock.time += 50

        pushing = Pushing(credential=LOGIN, clock=clock, at_once=1, listener=let_time_pass)
        assert error_of(pushing.push(image, f"{sandbox.address}/a:1")) is None
        assert len(sandbox.traffic.tokens) == 1 + len(image.blobs)
        assert sandbox.traffic.count(status=401) == 1


@pytest.mark.case("AU-013")
def test_a_second_401_is_final_and_names_the_scope_that_was_refused(image: Layout) -> None:
    with Sandbox(options=BEARER) as sandbox:
        challenge = (
            f'Bearer realm="{sandbox.url}/token",service="s",scope="repository:a:pull,push",error="insufficient_scope"'
        )
        refusal = Answer(401, {"WWW-Authenticate": challenge}, code="UNAUTHORIZED")
        sandbox.faults.add(Fault("HEAD", "/manifests/", times=0, action=refusal))
        error = error_of(Pushing(credential=LOGIN).push(image, f"{sandbox.address}/a:1"))
        assert isinstance(error, DeniedError)
        assert "repository:a:pull,push" in str(error)
        assert len(sandbox.traffic.tokens) == 1
        assert sandbox.traffic.count(path_pattern="/manifests/") == 2


def test_uploads_are_closed_though_many_repositories_ask_for_the_scope_of_deleting_at_once(tmp_path: Path) -> None:
    content = layer(1)
    source = tmp_path / "a.tar"
    source.write_bytes(docker_archive(("l.tar", content), config=config_of(content), paths=["l.tar"]))
    with Sandbox(options=BEARER) as sandbox, Pushing(credential=LOGIN, at_once=32).pusher() as pusher:
        begin = threading.Barrier(16)

        def push(number: int) -> None:
            targets = pusher.targets([Destination.parse(f"{sandbox.address}/r{number}:1")])
            begin.wait(60)
            with pusher.open(f"docker-archive:{source}", pusher.context) as opened:
                _, results = pusher.push(opened, targets, pusher.context)
            assert error_of(results) is None

        with ThreadPoolExecutor(16) as threads:
            list(threads.map(push, range(16)))
        assert sandbox.traffic.count(method="DELETE", status=204) == 16
        assert sandbox.store.uploads() == ()


@pytest.mark.case("AU-014")
def test_a_403_that_names_a_scope_is_one_new_token_and_one_repeat(image: Layout) -> None:
    with Sandbox(options=BEARER) as sandbox:
        context = "repository:a:delete,pull,push"
        challenge = f'Bearer realm="{sandbox.url}/token",service="s",scope="{context}",error="insufficient_scope"'
        refusal = Answer(403, {"WWW-Authenticate": challenge}, code="DENIED")
        sandbox.faults.add(Fault("POST", UPLOADS, action=refusal))
        assert error_of(Pushing(credential=LOGIN, at_once=1).push(image, f"{sandbox.address}/a:1")) is None
        assert [asked.scopes for asked in sandbox.traffic.tokens] == [("repository:a:pull,push",), (context,)]
        assert sandbox.traffic.count(status=403) == 1


@pytest.mark.case("AU-015", "RT-008")
def test_a_plain_403_is_not_repeated_and_its_reason_is_shown(image: Layout) -> None:
    body = b'{"errors":[{"code":"DENIED","message":"quota of 10 GB is used up"}]}'
    refusal = Answer(403, {"Content-Type": "application/json"}, body)
    with Sandbox(options=BEARER, faults=FaultScript([Fault("POST", UPLOADS, times=0, action=refusal)])) as sandbox:
        error = error_of(Pushing(credential=LOGIN, at_once=1).push(image, f"{sandbox.address}/a:1"))
        assert isinstance(error, DeniedError)
        assert "403 DENIED (quota of 10 GB is used up)" in str(error)
        asked = [r.path for r in sandbox.traffic.select(method="POST", path_pattern=UPLOADS)]
        assert len(asked) == len(set(asked))
        assert len(sandbox.traffic.tokens) == 1


@pytest.mark.case("AU-018")
def test_a_token_server_that_refuses_ends_the_push_without_an_anonymous_try(image: Layout) -> None:
    credential = Credential("sandbox", Secret("wrong"), source="config.json (auths x)")
    with Sandbox(options=BEARER) as sandbox:
        error = error_of(Pushing(credential=credential).push(image, f"{sandbox.address}/a:1"))
        assert isinstance(error, CredentialsError)
        assert f"token server {sandbox.url}/token: refused the credentials" in str(error)
        assert "config.json (auths x)" in str(error)
        assert [(r.method, r.status) for r in sandbox.traffic.requests] == [("HEAD", 401), ("GET", 401)]


@pytest.mark.case("AU-019")
def test_without_a_login_the_token_is_asked_for_anonymously(image: Layout) -> None:
    with Sandbox(options=BEARER) as sandbox:
        Pushing().push(image, f"{sandbox.address}/a:1")
        (token, *_) = sandbox.traffic.select(path_pattern="^/token")
        assert "authorization" not in token.headers
        assert sandbox.traffic.tokens[0].grant == "anonymous"


@pytest.mark.case("AU-020")
def test_ten_threads_that_need_a_token_at_once_cost_one_token_request(tmp_path: Path) -> None:
    image = make_layout(tmp_path / "image", *(layer(n) for n in range(9)))
    faults = FaultScript([Fault("HEAD", "/manifests/", action=Answer(404))])
    with Sandbox(options=BEARER, faults=faults) as sandbox:
        assert error_of(Pushing(credential=LOGIN, at_once=10).push(image, f"{sandbox.address}/a:1")) is None
        assert sandbox.traffic.count(path_pattern="^/token") == 1
        assert is_whole(sandbox, "a", "1", image)


@pytest.mark.case("AU-024")
def test_each_registry_sees_its_own_login_only(image: Layout) -> None:
    other_login = Credential("other", Secret("secret"), source="test")
    theirs = SandboxOptions(auth="bearer", username="other", password=Secret("secret"))
    with Sandbox(options=BEARER) as one, Sandbox(options=theirs) as two:
        endpoints = {
            one.address: RegistryEndpoint(one.address, LOGIN),
            two.address: RegistryEndpoint(two.address, other_login),
        }
        results = Pushing(endpoints=endpoints).push(image, f"{one.address}/a:1", f"{two.address}/a:1")
        assert [result.error for result in results] == [None, None]
        assert {asked.account for asked in one.traffic.tokens} == {"sandbox"}
        assert {asked.account for asked in two.traffic.tokens} == {"other"}


@pytest.mark.case("AU-025")
def test_a_redirect_to_another_host_is_followed_without_credentials(image: Layout) -> None:
    with Sandbox(options=BEARER) as registry, Sandbox() as storage:
        Pushing(credential=LOGIN).push(image, f"{registry.address}/a:1")
        Pushing().push(image, f"{storage.address}/a:1")
        registry.faults.add(Fault("GET", "/blobs/", times=0, action=Redirect(307, f"{storage.url}{{path}}")))
        storage.traffic.clear()
        with Sandbox() as target:
            endpoints = {registry.address: RegistryEndpoint(registry.address, LOGIN)}
            pushing = Pushing(endpoints=endpoints)
            assert error_of(pushing.push(f"docker://{registry.address}/a:1", f"{target.address}/b:1")) is None
            assert is_whole(target, "b", "1", image)
        assert storage.traffic.count(method="GET") == len(image.blobs)
        assert [r for r in storage.traffic.requests if "authorization" in r.headers] == []


@pytest.mark.case("AU-026")
def test_a_redirect_on_the_same_host_keeps_the_credentials(image: Layout) -> None:
    with Sandbox(
        options=BEARER, faults=FaultScript([Fault("POST", UPLOADS, action=Redirect(307, "{path}"))])
    ) as sandbox:
        assert error_of(Pushing(credential=LOGIN, at_once=1).push(image, f"{sandbox.address}/a:1")) is None
        first, second = sandbox.traffic.select(method="POST", path_pattern=UPLOADS)[:2]
        assert (first.status, second.status) == (307, 202)
        assert second.headers["authorization"] == "Bearer"


@pytest.mark.case("AU-027")
def test_a_redirect_from_https_to_http_is_refused(image: Layout, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    options = SandboxOptions(ssl_context=authority.issue("registry").server_context())
    with Sandbox() as plain, Sandbox(options=options) as sandbox:
        sandbox.faults.add(Fault("POST", UPLOADS, times=0, action=Redirect(307, f"{plain.url}{{path}}")))
        endpoints = {sandbox.address: RegistryEndpoint(sandbox.address, None, TlsConfig(ca_file=str(authority.path)))}
        error = error_of(Pushing(endpoints=endpoints).push(image, f"{sandbox.address}/a:1"))
        assert isinstance(error, ProtocolViolationError)
        assert "from https to plain http" in str(error)
        assert plain.traffic.count() == 0


@pytest.mark.case("AU-030")
def test_a_registry_with_a_token_for_each_repository_gets_one_for_each(image: Layout) -> None:
    with Sandbox(options=SandboxOptions(auth="bearer", one_scope=True, mount=False)) as sandbox:
        results = Pushing(credential=LOGIN).push(image, f"{sandbox.address}/a:1", f"{sandbox.address}/b:1")
        assert [result.error for result in results] == [None, None]
        assert is_whole(sandbox, "b", "1", image)
        granted = [asked.granted for asked in sandbox.traffic.tokens]
        assert set(granted) == {("repository:a:pull,push",), ("repository:b:pull,push",)}


@pytest.mark.case("AU-033", "RT-002")
@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_token_server_is_waited_for_as_it_asks(status: int, image: Layout) -> None:
    clock = FakeClock()
    busy = Fault(path="^/token", action=Answer(status, {"Retry-After": "40"}))
    with Sandbox(options=BEARER, faults=FaultScript([busy])) as sandbox:
        pushing = Pushing(credential=LOGIN, clock=clock, policy=RetryPolicy(cap_s=1.0))
        assert error_of(pushing.push(image, f"{sandbox.address}/a:1")) is None
        assert sandbox.traffic.count(path_pattern="^/token") == 2
    assert max(clock.waits) >= 40


@pytest.mark.case("AU-034")
def test_a_token_with_less_than_was_asked_for_is_told_as_such(image: Layout) -> None:
    with Sandbox(options=BEARER) as sandbox:
        error = error_of(Pushing().push(image, f"{sandbox.address}/a:1"))
        assert isinstance(error, DeniedError)
        assert error.hint is not None
        assert "asked for repository:a:pull,push, granted was repository:a:pull" in str(error)
        assert sandbox.traffic.count(method="PUT") == 0


@pytest.mark.case("AU-035")
def test_a_failure_at_the_start_is_not_remembered(image: Layout) -> None:
    with Sandbox(options=BEARER, faults=FaultScript([Fault(path="^/token", action=Answer(401))])) as sandbox:
        one, two = Pushing(credential=LOGIN).push_each(image, f"{sandbox.address}/a:1", f"{sandbox.address}/b:1")
        assert error_of(one) is not None
        assert error_of(two) is None
        assert is_whole(sandbox, "b", "1", image)


@pytest.mark.case("CR-014")
@pytest.mark.parametrize("auth", ["basic", "bearer"])
def test_a_helper_is_asked_again_when_its_login_is_refused_later_on(auth: str, image: Layout, tmp_path: Path) -> None:
    helper = tmp_path / "docker-credential-test"
    answer = '{"Username":"sandbox","Secret":"sandbox"}'
    helper.write_text(f"#!/bin/sh\nread server\necho \"$server\" >> {tmp_path}/asked\necho '{answer}'\n")
    helper.chmod(0o755)
    with Sandbox(options=SandboxOptions(auth=auth)) as sandbox:  # type: ignore[arg-type]
        config = json.dumps({"credHelpers": {sandbox.address: "test"}})
        env = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "DOCKER_AUTH_CONFIG": config}
        if auth == "basic":
            refusal = Answer(401, {"WWW-Authenticate": 'Basic realm="x"'})
            sandbox.faults.add(Fault("PUT", "/manifests/", action=refusal))
        else:
            refusal = Answer(401, {"WWW-Authenticate": f'Bearer realm="{sandbox.url}/token",error="invalid_token"'})
            sandbox.faults.add(Fault("PUT", "/manifests/", action=refusal))
            sandbox.faults.add(Fault(path="^/token", nth=2, action=Answer(401)))
        assert error_of(Pushing(env=env).push(image, f"{sandbox.address}/a:1")) is None
        assert is_whole(sandbox, "a", "1", image)
        assert (tmp_path / "asked").read_text().split() == [sandbox.address] * 2
