"""Faults: which request meets which, and what the client sees."""

import http.client
import re
import socket
import ssl

import pytest
from equipment import faults
from equipment.faults import Fault, FaultScript
from equipment.sandbox import Sandbox
from sandboxclient import Client, digest_of, with_digest

BROKEN = (http.client.HTTPException, ConnectionError)


def script(action, **where):
    return FaultScript([Fault(action=action, **where)])


def test_nth_matching_request_gets_the_fault():
    answer = faults.Answer(503)
    rules = script(answer, method="PATCH", path="/uploads/", nth=3)
    taken = [rules.take(n, "PATCH", "/v2/a/blobs/uploads/x") for n in range(1, 6)]
    assert taken == [None, None, answer, None, None]
    assert rules.take(9, "PUT", "/uploads/") is None
    assert rules.pending() == ()


def test_two_equal_rules_break_two_requests():
    one, two = faults.Answer(500), faults.Answer(502)
    rules = FaultScript([Fault(action=one), Fault(action=two)])
    assert [rules.take(n, "GET", "/") for n in (1, 2, 3)] == [one, two, None]


def test_request_number_and_for_ever():
    rules = FaultScript([Fault(request=2, action=faults.Answer(500)), Fault(times=0, action=faults.DropReply())])
    taken = [type(rules.take(n, "GET", "/")) for n in (1, 2, 3)]
    assert taken == [faults.DropReply, faults.Answer, faults.DropReply]


def test_rule_that_never_fired_is_pending():
    rule = Fault(path="/never")
    assert FaultScript([rule]).pending() == (rule,)


def test_bad_pattern_is_refused_at_once():
    with pytest.raises(re.error):
        FaultScript([Fault(path="(")])


def test_answer_reads_the_body_and_keeps_the_connection(serve):
    rules = script(faults.Answer(503, headers={"Retry-After": "2"}, code="UNAVAILABLE"), method="PUT")
    sandbox, client = serve(faults=rules)
    location = client.open().headers["location"]
    got = client.ask("PUT", with_digest(location, digest_of(b"abc")), b"abc")
    assert (got.status, got.headers["retry-after"], got.codes) == (503, "2", ["UNAVAILABLE"])
    assert client.ask("PUT", with_digest(location, digest_of(b"abc")), b"abc").status == 201
    logged = sandbox.traffic.requests
    assert [(r.status, r.fault, r.received_bytes, r.connection) for r in logged] == [
        (202, "", 0, 1),
        (503, "Answer", 3, 1),
        (201, "", 3, 1),
    ]


def test_answer_before_the_body_reaches_a_client_that_waits_for_it(serve):
    sandbox, client = serve(faults=script(faults.Answer(413, before_body=True), method="PUT"))
    client.connection.putrequest("PUT", "/v2/app/blobs/uploads/x")
    client.connection.putheader("Content-Length", str(1 << 30))
    client.connection.endheaders()
    assert client.connection.getresponse().status == 413
    assert sandbox.traffic.requests[0].received_bytes == 0


@pytest.mark.parametrize("reset", [False, True])
def test_drop_before_ends_the_connection_without_an_answer(serve, reset):
    sandbox, client = serve(faults=script(faults.DropBefore(reset=reset)))
    with pytest.raises(ConnectionResetError if reset else http.client.RemoteDisconnected) as seen:
        client.ask("GET", "/v2/")
    # RemoteDisconnected is a ConnectionResetError too: only the system's own carries a number.
    assert (seen.value.errno is not None) == reset
    assert sandbox.traffic.requests[0].status == 0


def test_drop_inside_a_body_keeps_what_came_before(serve):
    sandbox, client = serve(faults=script(faults.DropAfter(1 << 20), method="PATCH"))
    location = client.open().headers["location"]
    with pytest.raises(BROKEN):
        client.ask("PATCH", location, b"x" * (3 << 20))
    with Client(sandbox) as again:
        got = again.ask("GET", location)
    assert (got.status, got.headers["range"]) == (204, f"0-{(1 << 20) - 1}")


def test_broken_body_kills_the_upload_where_there_is_no_resume(serve):
    sandbox, client = serve(resume=False, faults=script(faults.DropAfter(10), method="PATCH"))
    location = client.open().headers["location"]
    with pytest.raises(BROKEN):
        client.ask("PATCH", location, b"x" * 100)
    with Client(sandbox) as again:
        got = again.ask("GET", location)
    assert (got.status, got.codes) == (404, ["BLOB_UPLOAD_INVALID"])


def test_drop_behind_a_short_body_does_not_finish_the_upload(serve):
    sandbox, client = serve(faults=script(faults.DropAfter(1000), method="PUT"))
    location = client.open().headers["location"]
    with pytest.raises(BROKEN):
        client.ask("PUT", with_digest(location, digest_of(b"abc")), b"abc")
    assert [upload.size for upload in sandbox.store.uploads()] == [3]


def test_drop_reply_does_the_work(serve):
    sandbox, client = serve(faults=script(faults.DropReply(), method="PUT"))
    location = client.open().headers["location"]
    with pytest.raises(BROKEN):
        client.ask("PUT", with_digest(location, digest_of(b"abc")), b"abc")
    assert sandbox.store.blob_exists("app", digest_of(b"abc"))


def test_truncated_reply_is_shorter_than_it_says(serve):
    sandbox, client = serve(faults=script(faults.TruncateReply(2), method="GET"))
    name = client.push_blob(b"hello")
    with pytest.raises(http.client.IncompleteRead) as seen:
        client.ask("GET", f"/v2/app/blobs/{name}")
    assert seen.value.partial == b"he"
    assert sandbox.traffic.count(method="GET", status=200) == 1


def test_garbage_is_no_http(serve):
    _, client = serve(faults=script(faults.Garbage()))
    with pytest.raises(http.client.BadStatusLine):
        client.ask("GET", "/v2/")


def test_headers_are_changed(serve):
    action = faults.Headers(set={"docker-content-digest": "sha256:lie"}, remove=("Location",))
    _, client = serve(faults=script(action, method="POST"))
    got = client.open()
    assert (got.status, "location" in got.headers) == (202, False)
    assert got.headers["docker-content-digest"] == "sha256:lie"


def test_redirect_can_keep_the_path(serve):
    _, client = serve(faults=script(faults.Redirect(307, "http://other.test{path}")))
    assert client.ask("GET", "/v2/?a=b").headers["location"] == "http://other.test/v2/?a=b"


def test_http_1_0_answer_ends_with_the_connection(serve):
    _, client = serve(faults=script(faults.Http10Close()))
    client.connection.request("GET", "/v2/")
    reply = client.connection.getresponse()
    assert (reply.version, reply.getheader("Content-Length"), reply.read()) == (10, None, b"{}")


def test_stall_ends_when_the_sandbox_stops():
    sandbox = Sandbox(faults=script(faults.Stall(600))).start()
    with Client(sandbox) as client:
        client.connection.request("GET", "/v2/")
        assert sandbox.traffic.wait_until(lambda traffic: traffic.count() == 1)
        sandbox.stop()
        with pytest.raises(BROKEN):
            client.connection.getresponse()


def test_stall_goes_on_as_if_nothing_had_been(serve):
    assert serve(faults=script(faults.Stall(0.01)))[1].ask("GET", "/v2/").status == 200


@pytest.mark.parametrize(("after", "stored"), [(0, 0), (2, 2)])
def test_stall_ends_when_the_client_goes_away(serve, after, stored):
    sandbox, client = serve(faults=script(faults.Stall(600, after=after), method="PATCH"))
    path = client.open().headers["location"].removeprefix(sandbox.url)
    host, port = sandbox.address.split(":")
    with socket.create_connection((host, int(port))) as raw:
        raw.sendall(f"PATCH {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc".encode())
        assert sandbox.traffic.wait_until(lambda t: t.count(method="PATCH") == 1)
    assert sandbox.traffic.wait_until(lambda t: all(r.done for r in t.select(method="PATCH")))
    assert sandbox.store.uploads()[0].size == stored


@pytest.mark.parametrize(("at", "seen"), [(0, b"Abc"), (2, b"abC"), (-1, b"abC"), (3, b"abc")])
def test_a_byte_of_the_body_is_flipped_on_its_way(serve, at, seen):
    sandbox, client = serve(faults=script(faults.FlipByte(at, 0x20), method="PUT"))
    digest = digest_of(seen)
    assert client.ask("PUT", with_digest(client.open().headers["location"], digest), b"abc").status == 201
    assert sandbox.store.blob_path("app", digest).read_bytes() == seen


def test_a_digit_of_the_digest_is_changed_on_its_way(serve):
    _, client = serve(faults=script(faults.OtherDigest(), method="PUT"))
    got = client.ask("PUT", with_digest(client.open().headers["location"], digest_of(b"abc")), b"abc")
    assert got.codes == ["DIGEST_INVALID"]


def test_a_request_is_carried_out_twice(serve):
    sandbox, client = serve(faults=script(faults.Repeat(), times=2))
    location = client.open().headers["location"]
    assert len(sandbox.store.uploads()) == 2
    got = client.ask("PATCH", location, b"abc")
    assert (got.status, got.headers["range"]) == (416, "0-2")


def test_an_answer_comes_twice(serve):
    sandbox, client = serve(faults=script(faults.Twice(), method="HEAD", path="manifests"))
    name = client.push_image("v1")
    host, port = sandbox.address.split(":")
    with socket.create_connection((host, int(port))) as raw, raw.makefile("rb") as answer:
        raw.sendall(b"HEAD /v2/app/manifests/v1 HTTP/1.1\r\nHost: x\r\n\r\n")
        heads = [b"".join(iter(answer.readline, b"\r\n")) for _ in range(2)]
        assert heads[0] == heads[1]
        assert name.encode() in heads[0]
        raw.sendall(b"GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"200" in answer.readline()


def test_a_request_is_carried_out_though_no_answer_can_be_sent(serve):
    sandbox, client = serve(faults=script(faults.HalfClose("before"), method="PUT"))
    location = client.open().headers["location"]
    with pytest.raises(BROKEN):
        client.ask("PUT", with_digest(location, digest_of(b"abc")), b"abc")
    assert sandbox.traffic.wait_until(lambda t: all(r.done for r in t.requests))
    assert sandbox.store.blob_exists("app", digest_of(b"abc"))


def test_a_side_that_is_closed_inside_a_body_keeps_what_came(serve):
    sandbox, client = serve(faults=script(faults.HalfClose("inside", 2), method="PATCH"))
    got = client.ask("PATCH", client.open().headers["location"], b"abc")
    assert got.status == 499
    assert sandbox.store.uploads()[0].size == 2


def test_a_connection_is_half_closed_after_an_answer_that_does_not_say_so(serve):
    _, client = serve(faults=script(faults.HalfClose("after")))
    got = client.ask("GET", "/v2/")
    assert (got.status, got.headers.get("connection")) == (200, None)
    with pytest.raises(BROKEN):
        client.ask("GET", "/v2/")


def test_client_that_vanishes_inside_a_body_leaves_what_it_sent(serve, capfd):
    sandbox, client = serve()
    path = client.open().headers["location"].removeprefix(sandbox.url)
    host, port = sandbox.address.split(":")
    with socket.create_connection((host, int(port))) as raw:
        raw.sendall(f"PATCH {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc".encode())
    assert sandbox.traffic.wait_until(lambda t: any(r.done for r in t.select(method="PATCH")))
    assert sandbox.store.uploads()[0].size == 3
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "head",
    [
        "NONSENSE\r\n\r\n",
        "GET /v2/ HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        "POST /v2/ HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
)
def test_what_is_not_http_is_400(serve, head):
    sandbox, _ = serve()
    host, port = sandbox.address.split(":")
    with socket.create_connection((host, int(port))) as raw:
        raw.sendall(head.encode())
        with raw.makefile("rb") as answer:
            assert b"400" in answer.readline()


def test_expect_continue_is_answered_when_the_body_is_wanted(serve):
    sandbox, client = serve()
    path = client.open().headers["location"].removeprefix(sandbox.url)
    host, port = sandbox.address.split(":")
    with socket.create_connection((host, int(port))) as raw, raw.makefile("rb") as answer:
        raw.sendall(f"PATCH {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n".encode())
        assert answer.readline() == b"HTTP/1.1 100 Continue\r\n"
        raw.sendall(b"abc")
        assert answer.readline() == b"\r\n"
        assert b"202" in answer.readline()


def test_client_that_does_not_speak_tls_does_no_harm(serve):
    sandbox, client = serve(ssl_context=ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    assert sandbox.url.startswith("https://")
    with pytest.raises((*BROKEN, OSError)):
        client.ask("GET", "/v2/")


def test_traffic_counts_selects_and_forgets(serve):
    sandbox, client = serve()
    client.push_blob(b"hello")
    assert sandbox.traffic.count(method="PUT", path_pattern="/uploads/", status=201) == 1
    assert sandbox.traffic.bodies_sent() == (5,)
    assert sandbox.traffic.received_bytes(method="POST") == 0
    sandbox.traffic.clear()
    assert sandbox.traffic.requests == ()


def test_slow_reads_all_of_the_body(serve):
    sandbox, client = serve(faults=script(faults.Slow(2, 0.001), method="PUT"))
    name = client.push_blob(b"abcdef")
    assert sandbox.store.blob_size("app", name) == 6
