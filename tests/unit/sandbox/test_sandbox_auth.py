"""Basic and Bearer: challenges, tokens, scopes, expiry."""

import base64
from urllib.parse import urlencode

import pytest
from sandboxclient import digest_of, with_digest

from oci_push.protocol.challenge import parse
from oci_push.runtime.clock import FakeClock

PUSH = "repository:app:pull,push"
RIGHT = "Basic " + base64.b64encode(b"sandbox:sandbox").decode()
WRONG = "Basic " + base64.b64encode(b"sandbox:wrong").decode()


def challenge(got):
    return parse([got.headers["www-authenticate"]])[0]


def token(client, *scopes, credential=RIGHT, **more):
    query = urlencode([("service", "s"), *(("scope", context) for context in scopes), *more.items()])
    got = client.ask("GET", f"/token?{query}", **({"Authorization": credential} if credential else {}))
    assert got.status == 200, got
    return got.json


def bearer(client, *scopes, **more):
    return f"Bearer {token(client, *scopes, **more)['token']}"


def test_basic_lets_in_who_knows_the_password(serve):
    _, client = serve(auth="basic")
    refused = client.ask("GET", "/v2/", Authorization=WRONG)
    assert (refused.status, challenge(refused).scheme) == (401, "basic")
    assert client.ask("GET", "/v2/").status == 401
    assert client.ask("GET", "/v2/", Authorization="Basic not-base64").status == 401
    assert client.ask("GET", "/v2/", Authorization=RIGHT).status == 200


def test_bearer_challenge_names_realm_service_and_scope(serve):
    sandbox, client = serve(auth="bearer")
    got = client.open()
    found = challenge(got)
    assert (got.status, found.scheme, found.scopes) == (401, "bearer", (PUSH,))
    assert found.parameters["realm"] == f"{sandbox.url}/token"
    assert "error" not in found.parameters


def test_token_lets_push_and_its_scopes_are_logged(serve):
    sandbox, client = serve(auth="bearer")
    allowed = bearer(client, PUSH)
    got = client.ask("POST", "/v2/app/blobs/uploads/", b"", Authorization=allowed)
    done = client.ask("PUT", with_digest(got.headers["location"], digest_of(b"x")), b"x", Authorization=allowed)
    assert done.status == 201
    [asked] = sandbox.traffic.tokens
    assert (asked.grant, asked.account, asked.scopes, asked.granted) == ("basic", "sandbox", (PUSH,), (PUSH,))


def test_scopes_may_stand_in_one_parameter(serve):
    sandbox, client = serve(auth="bearer")
    token(client, f"{PUSH} repository:b:pull")
    assert sandbox.traffic.tokens[0].scopes == (PUSH, "repository:b:pull")


def test_anonymous_gets_pull_only(serve):
    _, client = serve(auth="bearer")
    got = client.ask("POST", "/v2/app/blobs/uploads/", b"", Authorization=bearer(client, PUSH, credential=""))
    assert (got.status, challenge(got).parameters["error"]) == (401, "insufficient_scope")
    read = client.ask("HEAD", "/v2/app/manifests/v1", Authorization=bearer(client, PUSH, credential=""))
    assert read.status == 404


def test_wrong_password_is_refused_at_the_token_server(serve):
    _, client = serve(auth="bearer")
    assert client.ask("GET", f"/token?scope={PUSH}", Authorization=WRONG).status == 401


def test_mount_needs_both_scopes_and_the_challenge_names_them(serve):
    _, client = serve(auth="bearer")
    path = f"/v2/app/blobs/uploads/?mount={digest_of(b'x')}&from=other"
    got = client.ask("POST", path, b"", Authorization=bearer(client, PUSH))
    assert (got.status, set(challenge(got).scopes)) == (401, {PUSH, "repository:other:pull"})
    assert client.ask("POST", path, b"", Authorization=bearer(client, PUSH, "repository:other:pull")).status == 202


def test_anonymous_mount_finds_only_what_the_token_may_pull(serve):
    _, client = serve(auth="bearer", anonymous_mount=True)
    other = bearer(client, "repository:other:*")
    begun = client.ask("POST", "/v2/other/blobs/uploads/", b"", Authorization=other)
    client.ask("PUT", with_digest(begun.headers["location"], digest_of(b"x")), b"x", Authorization=other)
    path = f"/v2/app/blobs/uploads/?mount={digest_of(b'x')}"
    assert client.ask("POST", path, b"", Authorization=bearer(client, PUSH)).status == 202
    assert client.ask("POST", path, b"", Authorization=bearer(client, PUSH, "repository:other:pull")).status == 201


def test_delete_of_an_upload_needs_delete(serve):
    _, client = serve(auth="bearer")
    allowed = bearer(client, PUSH)
    location = client.ask("POST", "/v2/app/blobs/uploads/", b"", Authorization=allowed).headers["location"]
    assert challenge(client.ask("DELETE", location, Authorization=allowed)).scopes == ("repository:app:delete",)


def test_token_expires_by_the_clock_given(serve):
    clock = FakeClock()
    _, client = serve(auth="bearer", clock=clock, token_life_s=100)
    allowed = bearer(client)
    clock.time += 99
    assert client.ask("GET", "/v2/", Authorization=allowed).status == 200
    clock.time += 2
    got = client.ask("GET", "/v2/", Authorization=allowed)
    assert (got.status, challenge(got).parameters["error"]) == (401, "invalid_token")


@pytest.mark.parametrize("text", ["x", "a.b.c", "..", "\u00e9"])
def test_token_that_is_not_ours_is_invalid(serve, text):
    _, client = serve(auth="bearer")
    got = client.ask("GET", "/v2/", Authorization=f"Bearer {text}")
    assert challenge(got).parameters["error"] == "invalid_token"


def test_tampered_token_is_invalid(serve):
    _, client = serve(auth="bearer")
    head, claims, signature = bearer(client, PUSH).split(".")
    got = client.ask("GET", "/v2/", Authorization=f"{head}.{claims[:-4]}AAAA.{signature}")
    assert got.status == 401


def test_password_form_gives_a_refresh_token_that_gives_tokens(serve):
    sandbox, client = serve(auth="bearer")
    form = {"grant_type": "password", "client_id": "t", "username": "sandbox", "password": "sandbox"}
    first = client.ask("POST", "/token", urlencode({**form, "access_type": "offline", "scope": PUSH}))
    refresh = {"grant_type": "refresh_token", "client_id": "t", "refresh_token": first.json["refresh_token"]}
    second = client.ask("POST", "/token", urlencode({**refresh, "scope": PUSH}))
    allowed = f"Bearer {second.json['access_token']}"
    assert client.ask("POST", "/v2/app/blobs/uploads/", b"", Authorization=allowed).status == 202
    assert [asked.grant for asked in sandbox.traffic.tokens] == ["password", "refresh_token"]


def test_refresh_token_is_no_bearer_token_and_the_other_way_round(serve):
    _, client = serve(auth="bearer")
    given = token(client, PUSH, offline_token="true")
    assert client.ask("GET", "/v2/", Authorization=f"Bearer {given['refresh_token']}").status == 401
    form = {"grant_type": "refresh_token", "client_id": "t", "refresh_token": given["token"]}
    assert client.ask("POST", "/token", urlencode(form)).status == 401


@pytest.mark.parametrize("form", [{"grant_type": "magic", "client_id": "t"}, {"grant_type": "password"}])
def test_form_without_a_known_grant_or_client_is_400(serve, form):
    assert serve(auth="bearer")[1].ask("POST", "/token", urlencode(form)).status == 400


def test_no_secret_reaches_the_traffic(serve):
    sandbox, client = serve(auth="bearer")
    allowed = bearer(client, PUSH)
    client.ask("GET", "/v2/", Authorization=allowed)
    assert [r.headers["authorization"] for r in sandbox.traffic.requests] == ["Basic", "Bearer"]
    assert allowed.removeprefix("Bearer ") not in repr(sandbox.traffic.requests)
