"""What is on the disk, and that it is found again."""

import json

import pytest
from equipment.sandbox import Sandbox
from sandboxclient import digest_of, image, with_digest

from oci_push.sandbox.layout import blob_path, find_repositories, folder

NESTED = ["a", "a/b", "a/blobs", "a/blobs/sha256", "a/index.json", "a/oci-layout", "blobs"]


def test_repository_is_an_image_layout(serve, tmp_path):
    _, client = serve(root=tmp_path)
    name = client.push_image("v1", repository="team/app")
    place = tmp_path / "team" / "app"
    assert json.loads((place / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    [entry] = json.loads((place / "index.json").read_text())["manifests"]
    assert (entry["digest"], entry["annotations"]) == (name, {"org.opencontainers.image.ref.name": "v1"})
    assert (place / "blobs" / "sha256" / name.removeprefix("sha256:")).read_bytes() == image()


def test_restart_finds_everything_again(serve, tmp_path):
    _, client = serve(root=tmp_path)
    names = {client.push_image(tag, repository=name) for name in NESTED for tag in ("v1", "v2")}
    again, _ = serve(root=tmp_path)
    assert again.store.repositories() == tuple(sorted(NESTED))
    assert {again.store.tags(name) for name in NESTED} == {("v1", "v2")}
    assert {str(m.descriptor.digest) for m in again.store.manifests("a")} == names


def test_restart_mounts_what_was_there_without_being_told_from_where(serve, tmp_path):
    _, client = serve(root=tmp_path)
    blob = client.push_blob(b"layer", "a/blobs")
    _, client = serve(root=tmp_path, anonymous_mount=True)
    assert client.open("b", f"?mount={blob}").status == 201
    assert client.ask("GET", f"/v2/b/blobs/{blob}").body == b"layer"


def test_moved_tag_leaves_its_old_manifest(serve, tmp_path):
    _, client = serve(root=tmp_path)
    old = client.push_image("v1", layer=b"old")
    new = client.push_image("v1", layer=b"new")
    again, _ = serve(root=tmp_path)
    assert str(again.store.find_manifest("app", "v1").descriptor.digest) == new
    assert again.store.manifest("app", old) is not None


def test_no_two_repositories_share_a_path(tmp_path):
    assert len({folder(tmp_path, name) for name in NESTED}) == len(NESTED)
    assert folder(tmp_path, "a/blobs") != tmp_path / "a" / "blobs"


def test_uploads_outlive_a_process_that_keeps_its_folder(serve, tmp_path):
    first, client = serve(root=tmp_path)
    location = client.open().headers["location"]
    client.ask("PATCH", location, b"abc")
    first.stop()
    again, client = serve(root=tmp_path)
    assert [(u.repository, u.size) for u in again.store.uploads()] == [("app", 3)]
    path = location.partition("/v2/")[2]
    got = client.ask("GET", f"{again.url}/v2/{path}")
    assert (got.status, got.headers["range"]) == (204, "0-2")
    assert client.ask("PUT", with_digest(got.headers["location"], digest_of(b"abcd")), b"d").status == 201
    assert list((tmp_path / "_uploads").iterdir()) == []


def test_data_of_an_upload_that_nobody_knows_is_deleted(serve, tmp_path):
    (tmp_path / "_uploads").mkdir()
    (tmp_path / "_uploads" / "left").write_bytes(b"x")
    serve(root=tmp_path)
    assert list((tmp_path / "_uploads").iterdir()) == []
    assert list(find_repositories(tmp_path)) == []


def test_temporary_root_is_removed_at_stop(serve):
    sandbox = Sandbox().start()
    path = sandbox.store.blob_path("app", "sha256:" + "0" * 64)
    sandbox.stop()
    sandbox.stop()
    assert not path.parents[3].exists()


def test_address_is_known_only_while_started():
    with pytest.raises(RuntimeError, match="not started"):
        _ = Sandbox().address
    with pytest.raises(RuntimeError, match="never started"):
        _ = Sandbox().store


def test_blob_path_names_the_algorithm(tmp_path):
    from oci_push.model.digest import Digest

    digest = Digest.of(b"", "sha512")
    assert blob_path(tmp_path, "a", digest) == tmp_path / "a" / "blobs" / "sha512" / digest.encoded
