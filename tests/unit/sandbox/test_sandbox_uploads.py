"""Uploads as the distribution specification has them, and as registries differ from it."""

import pytest
from sandboxclient import Client, digest_of, with_digest

REPOSITORIES = [
    "app",
    "docker.io/library/app",
    "123456789012.dkr.ecr.us-east-1.amazonaws.com/app",
    "localhost-5000/app",
    "a/blobs/uploads",
    "a/manifests",
]


@pytest.mark.parametrize("repository", REPOSITORIES)
def test_blob_is_pushed_in_one_put_and_read_back(serve, repository):
    sandbox, client = serve()
    name = client.push_blob(b"hello", repository)
    got = client.ask("GET", f"/v2/{repository}/blobs/{name}")
    assert (got.status, got.body, got.headers["docker-content-digest"]) == (200, b"hello", name)
    assert sandbox.store.uploads() == ()


def test_head_of_a_blob_gives_length_and_no_body(serve):
    _, client = serve()
    name = client.push_blob(b"hello")
    got = client.ask("HEAD", f"/v2/app/blobs/{name}")
    assert (got.status, got.headers["content-length"], got.body) == (200, "5", b"")


def test_unknown_blob_is_404(serve):
    _, client = serve()
    got = client.ask("GET", f"/v2/app/blobs/{digest_of(b'no')}")
    assert (got.status, got.codes) == (404, ["BLOB_UNKNOWN"])


def test_empty_blob_can_be_pushed(serve):
    sandbox, client = serve()
    assert sandbox.store.blob_size("app", client.push_blob(b"")) == 0


def test_sha512_blob_can_be_pushed_without_announcing_it(serve):
    sandbox, client = serve()
    assert sandbox.store.blob_exists("app", client.push_blob(b"long", algorithm="sha512"))


def test_sha512_session_takes_chunks(serve):
    sandbox, client = serve()
    first = client.open(query="?digest-algorithm=sha512").headers["location"]
    second = client.ask("PATCH", first, b"ab").headers["location"]
    name = digest_of(b"abcd", "sha512")
    assert client.ask("PUT", with_digest(second, name), b"cd").status == 201
    assert sandbox.store.blob_exists("app", name)


def test_sha512_digest_of_chunks_hashed_as_sha256_is_checked_again(serve):
    _, client = serve()
    second = client.ask("PATCH", client.open().headers["location"], b"ab").headers["location"]
    assert client.ask("PUT", with_digest(second, digest_of(b"ab", "sha512"))).status == 201


def test_unknown_digest_algorithm_is_refused(serve):
    _, client = serve()
    assert client.open(query="?digest-algorithm=md5").codes == ["DIGEST_INVALID"]


def test_chunks_go_on_where_the_last_one_ended(serve):
    sandbox, client = serve()
    first = client.ask("PATCH", client.open().headers["location"], b"abc", Content_Range="0-2")
    assert (first.status, first.headers["range"]) == (202, "0-2")
    second = client.ask("PATCH", first.headers["location"], b"de", Content_Range="3-4")
    assert second.headers["range"] == "0-4"
    assert client.ask("PUT", with_digest(second.headers["location"], digest_of(b"abcde"))).status == 201
    assert sandbox.store.blob_size("app", digest_of(b"abcde")) == 5


def test_chunk_out_of_order_is_416_and_names_the_right_offset(serve):
    _, client = serve()
    first = client.ask("PATCH", client.open().headers["location"], b"abc", Content_Range="0-2")
    got = client.ask("PATCH", first.headers["location"], b"xx", Content_Range="7-8")
    assert (got.status, got.codes, got.headers["range"]) == (416, ["RANGE_INVALID"], "0-2")
    assert client.ask("PATCH", got.headers["location"], b"de", Content_Range="3-4").status == 202


@pytest.mark.parametrize(
    ("content_range", "code"),
    [("bytes 0-2", "BLOB_UPLOAD_INVALID"), ("2-0", "BLOB_UPLOAD_INVALID"), ("0-9", "SIZE_INVALID")],
)
def test_content_range_that_makes_no_sense_is_400(serve, content_range, code):
    _, client = serve()
    got = client.ask("PATCH", client.open().headers["location"], b"abc", Content_Range=content_range)
    assert (got.status, got.codes) == (400, [code])


def test_old_location_is_416(serve):
    _, client = serve()
    old = client.open().headers["location"]
    client.ask("PATCH", old, b"abc")
    assert client.ask("PUT", with_digest(old, digest_of(b"abc")), b"abc").status == 416


def test_location_without_its_state_is_no_upload(serve):
    _, client = serve()
    bare = client.open().headers["location"].partition("?")[0]
    assert client.ask("PATCH", bare, b"abc").codes == ["BLOB_UPLOAD_INVALID"]


def test_status_gives_range_and_fresh_location(serve):
    _, client = serve()
    old = client.open().headers["location"]
    new = client.ask("PATCH", old, b"abc").headers["location"]
    got = client.ask("GET", old)
    assert (got.status, got.headers["range"], got.headers["location"]) == (204, "0-2", new)


def test_chunked_transfer_encoding_is_read(serve):
    sandbox, client = serve()
    location = client.open().headers["location"]
    got = client.ask("PATCH", location, iter([b"ab", b"cd"]))
    assert client.ask("PUT", with_digest(got.headers["location"], digest_of(b"abcd"))).status == 201
    assert sandbox.store.blob_size("app", digest_of(b"abcd")) == 4


def test_wrong_digest_is_refused_and_ends_the_upload(serve):
    sandbox, client = serve()
    location = client.open().headers["location"]
    got = client.ask("PUT", with_digest(location, digest_of(b"other")), b"abc")
    assert (got.status, got.codes) == (400, ["DIGEST_INVALID"])
    assert sandbox.store.repositories() == ()
    assert sandbox.store.uploads() == ()


@pytest.mark.parametrize("digest", ["", "sha256:abc", "md5:00", "nonsense"])
def test_malformed_digest_is_400(serve, digest):
    _, client = serve()
    got = client.ask("PUT", f"{client.open().headers['location']}&digest={digest}", b"abc")
    assert (got.status, got.codes) == (400, ["DIGEST_INVALID"])


def test_cancel_ends_the_upload(serve):
    sandbox, client = serve()
    location = client.open().headers["location"]
    assert client.ask("DELETE", location).status == 204
    assert client.ask("GET", location).codes == ["BLOB_UPLOAD_UNKNOWN"]
    assert sandbox.store.uploads() == ()


def test_upload_of_another_repository_is_unknown(serve):
    _, client = serve()
    location = client.open("mine").headers["location"]
    assert client.ask("PATCH", location.replace("/mine/", "/other/"), b"x").status == 404


def test_mount_links_a_blob(serve):
    sandbox, client = serve()
    name = client.push_blob(b"hello", "source")
    got = client.open("target", f"?mount={name}&from=source")
    assert (got.status, got.headers["docker-content-digest"]) == (201, name)
    paths = [sandbox.store.blob_path(r, name) for r in ("source", "target")]
    assert paths[0].samefile(paths[1])


@pytest.mark.parametrize(
    "query", ["?mount=bad&from=source", "?mount={}&from=nowhere", "?mount={}&from=../up", "?mount={}"]
)
def test_mount_that_is_not_possible_opens_an_upload(serve, query):
    _, client = serve()
    got = client.open("target", query.format(client.push_blob(b"hello", "source")))
    assert got.status == 202
    assert "location" in got.headers


def test_mount_can_be_switched_off(serve):
    _, client = serve(mount=False)
    name = client.push_blob(b"hello", "source")
    assert client.open("target", f"?mount={name}&from=source").status == 202


def test_anonymous_mount_finds_the_blob_anywhere(serve):
    _, client = serve(anonymous_mount=True)
    assert client.open("target", f"?mount={client.push_blob(b'hello', 'source')}").status == 201


def test_single_post_makes_a_blob(serve):
    sandbox, client = serve(single_post=True)
    name = digest_of(b"abc")
    assert client.ask("POST", f"/v2/app/blobs/uploads/?digest={name}", b"abc").status == 201
    assert sandbox.store.blob_exists("app", name)
    assert sandbox.store.uploads() == ()


def test_single_post_is_thrown_away_where_it_is_not_known(serve):
    sandbox, client = serve()
    got = client.ask("POST", f"/v2/app/blobs/uploads/?digest={digest_of(b'abc')}", b"abc")
    assert (got.status, got.headers["range"]) == (202, "0-0")
    assert sandbox.store.uploads()[0].size == 0


def test_chunk_limits_are_announced_and_enforced(serve):
    _, client = serve(chunk_min=3, chunk_max=5)
    opened = client.open()
    assert opened.headers["oci-chunk-min-length"] == "3"
    assert opened.headers["oci-chunk-max-length"] == "5"
    assert client.ask("PATCH", opened.headers["location"], b"123456").codes == ["SIZE_INVALID"]


def test_chunk_after_a_short_one_is_refused(serve):
    _, client = serve(chunk_min=3)
    first = client.ask("PATCH", client.open().headers["location"], b"ab")
    assert client.ask("PATCH", first.headers["location"], b"abc").codes == ["SIZE_INVALID"]


def test_body_over_max_body_is_413_without_limit_headers(serve):
    _, client = serve(max_body=5)
    opened = client.open()
    assert "oci-chunk-max-length" not in opened.headers
    got = client.ask("PUT", with_digest(opened.headers["location"], digest_of(b"123456")), b"123456")
    assert got.status == 413


def test_chunked_body_over_the_limit_leaves_the_upload_as_it_was(serve):
    sandbox, client = serve(max_body=5)
    location = client.open().headers["location"]
    assert client.ask("PATCH", location, iter([b"123", b"456"])).status == 413
    with Client(sandbox) as again:
        assert again.ask("PUT", with_digest(location, digest_of(b"123")), b"123").status == 201


def test_patch_can_be_unsupported(serve):
    _, client = serve(patch=False)
    got = client.ask("PATCH", client.open().headers["location"], b"abc")
    assert (got.status, got.codes) == (405, ["UNSUPPORTED"])


def test_patch_answers_the_status_chosen(serve):
    _, client = serve(patch_status=201)
    assert client.ask("PATCH", client.open().headers["location"], b"abc").status == 201


def test_location_can_be_relative_or_elsewhere(serve):
    assert serve(relative_location=True)[1].open().headers["location"].startswith("/v2/app/")
    assert serve(location_host="store.test:81")[1].open().headers["location"].startswith("http://store.test:81/v2/")


def test_post_without_slash_is_redirected(serve):
    _, client = serve()
    got = client.ask("POST", "/v2/app/blobs/uploads", b"")
    assert (got.status, got.headers["location"]) == (301, "/v2/app/blobs/uploads/")


@pytest.mark.parametrize(
    ("asked", "status", "body"),
    [
        ("bytes=1-2", 206, b"el"),
        ("bytes=3-", 206, b"lo"),
        ("bytes=-2", 206, b"lo"),
        ("bytes=0-99", 206, b"hello"),
        ("bytes=2-1", 200, b"hello"),
        ("bytes=0-0,2-2", 200, b"hello"),
        ("lines=1-2", 200, b"hello"),
    ],
)
def test_range_of_a_blob(serve, asked, status, body):
    _, client = serve()
    got = client.ask("GET", f"/v2/app/blobs/{client.push_blob(b'hello')}", Range=asked)
    assert (got.status, got.body) == (status, body)


def test_range_behind_the_end_is_416(serve):
    _, client = serve()
    got = client.ask("GET", f"/v2/app/blobs/{client.push_blob(b'hello')}", Range="bytes=5-")
    assert (got.status, got.headers["content-range"]) == (416, "bytes */5")


def test_deleted_blob_is_gone(serve):
    _, client = serve()
    path = f"/v2/app/blobs/{client.push_blob(b'hello')}"
    assert client.ask("DELETE", path).status == 202
    assert client.ask("DELETE", path).status == 404


@pytest.mark.parametrize("name", ["App", "a//b", "../etc", "a/../../b", "_uploads", "-a", "a" * 300, "%2e%2e/x"])
def test_bad_repository_name_is_refused_and_never_reaches_the_disk(serve, tmp_path, name):
    root = tmp_path / "deep" / "root"
    _, client = serve(root=root)
    assert client.ask("POST", f"/v2/{name}/blobs/uploads/", b"").codes == ["NAME_INVALID"]
    assert [path.name for path in root.iterdir()] == ["_uploads"]


def test_a_registry_that_wants_the_newest_location_keeps_a_session_from_an_old_delete(serve):
    sandbox, client = serve(stale_cancel=False)
    old = client.open().headers["location"]
    new = client.ask("PATCH", old, b"abc").headers["location"]
    refused = client.ask("DELETE", old)
    assert (refused.status, refused.headers["location"]) == (416, new)
    assert len(sandbox.store.uploads()) == 1
    assert client.ask("DELETE", new).status == 204
    assert sandbox.store.uploads() == ()
