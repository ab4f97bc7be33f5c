"""The registry of rehearsals as the package has it, without what tests add to it, and the command that serves it."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from program import program
from sandboxclient import CONFIG, Client, digest_of, image

from oci_push.sandbox.server import RehearsalRegistry


@pytest.fixture
def client():
    with RehearsalRegistry() as registry, Client(registry) as made:
        yield made
        assert registry.problems == ()


def test_a_blob_may_come_in_one_request_and_be_mounted_without_a_source(client):
    digest = digest_of(b"layer")
    assert client.ask("POST", f"/v2/one/blobs/uploads/?digest={digest}", b"layer").status == 201
    assert client.ask("POST", f"/v2/two/blobs/uploads/?mount={digest}", b"").status == 201
    assert client.ask("GET", f"/v2/two/blobs/{digest}").body == b"layer"


def test_a_manifest_may_have_many_tags_and_a_digest_of_another_algorithm(client):
    raw = image()
    client.push_blob(CONFIG)
    client.push_blob(b"layer")
    assert client.push_manifest(raw, f"{digest_of(raw)}?tag=1&tag=2").status == 201
    assert client.push_manifest(raw, f"3?digest={digest_of(raw, 'sha512')}").status == 201
    assert client.ask("GET", "/v2/app/tags/list").json["tags"] == ["1", "2", "3"]


def test_an_upload_goes_on_after_a_chunk_and_old_locations_are_found_out(client):
    first = client.open()
    second = client.ask("PATCH", first.headers["location"], b"lay")
    assert (second.status, second.headers["range"]) == (202, "0-2")
    assert client.ask("PATCH", first.headers["location"], b"er").status == 416
    digest = digest_of(b"layer").replace(":", "%3A")
    assert client.ask("PUT", f"{second.headers['location']}&digest={digest}", b"er").status == 201


@pytest.mark.parametrize("path", ["/", "/token", "/v1/"])
def test_there_is_nothing_outside_the_api(client, path: str):
    assert client.ask("GET", path).status == 404


def test_a_port_that_is_taken_is_an_error_with_a_hint(tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = program("sandbox", "--port", str(port), code=2, cwd=tmp_path)
    assert f"port {port} cannot be used" in done.stderr
    assert "choose another --port" in done.stderr


def test_a_folder_that_cannot_be_used_is_an_error_with_a_hint(tmp_path: Path):
    (tmp_path / "file").touch()
    done = program("sandbox", "--root", "file/below", code=2, cwd=tmp_path)
    assert "file/below cannot be used" in done.stderr
    assert "choose another --root" in done.stderr
