"""Manifests, tags, lists and referrers of the sandbox against the specification's text."""

import json

import pytest
from equipment.options import REHEARSAL
from equipment.sandbox import Sandbox
from sandboxclient import CONFIG, OCI_INDEX, OCI_MANIFEST, Client, digest_of, image, index


def test_ping_names_the_api_version(serve):
    got = serve()[1].ask("GET", "/v2/")
    assert (got.status, got.headers["docker-distribution-api-version"]) == (200, "registry/2.0")


def test_manifest_comes_back_byte_for_byte_by_tag_and_digest(serve):
    sandbox, client = serve()
    name = client.push_image("v1")
    by_tag, by_digest = (client.ask("GET", f"/v2/app/manifests/{ref}") for ref in ("v1", name))
    assert by_tag.body == by_digest.body == image() == sandbox.store.manifest("app", "v1")
    assert (by_tag.headers["content-type"], by_tag.headers["docker-content-digest"]) == (OCI_MANIFEST, name)


def test_unknown_manifest_is_404(serve):
    _, client = serve()
    assert client.ask("GET", "/v2/app/manifests/.INVALID_MANIFEST_NAME").codes == ["MANIFEST_UNKNOWN"]
    assert client.ask("HEAD", "/v2/app/manifests/none").status == 404


def test_every_missing_blob_is_named(serve):
    got = serve()[1].push_manifest(image(b"gone"), "v1")
    assert (got.status, got.codes) == (400, ["MANIFEST_BLOB_UNKNOWN"] * 2)
    assert {e["detail"]["digest"] for e in got.json["errors"]} == {digest_of(b"gone"), digest_of(CONFIG)}


def test_index_needs_its_children_as_manifests(serve):
    _, client = serve()
    assert client.push_manifest(index(image()), "all", media_type=OCI_INDEX).codes == ["MANIFEST_BLOB_UNKNOWN"]
    client.push_image("v1")
    assert client.push_manifest(index(image()), "all", media_type=OCI_INDEX).status == 201


def test_missing_blobs_can_be_allowed(serve):
    assert serve(require_manifest_blobs=False)[1].push_manifest(image(), "v1").status == 201


def test_descriptor_with_a_wrong_size_is_refused(serve):
    _, client = serve()
    client.push_image("v1")
    value = json.loads(image())
    value["layers"][0]["size"] += 1
    assert client.push_manifest(json.dumps(value).encode(), "v2").codes == ["SIZE_INVALID"]


@pytest.mark.parametrize("media_type", ["", OCI_INDEX, "application/vnd.docker.distribution.manifest.v1+json"])
def test_content_type_must_be_the_media_type(serve, media_type):
    _, client = serve()
    client.push_image("v1")
    got = client.push_manifest(image(), "v2", media_type=media_type)
    assert (got.status, got.codes) == (400, ["MANIFEST_INVALID"])


def test_unknown_media_type_is_accepted_if_it_is_json(serve):
    _, client = serve()
    assert client.push_manifest(b'{"a":1}', "v1", media_type="application/vnd.x+json").status == 201
    assert client.push_manifest(b"a=1", "v2", media_type="application/vnd.x+json").codes == ["MANIFEST_INVALID"]


def test_manifest_over_four_mebibytes_is_413(serve):
    got = serve()[1].push_manifest(b" " * (4 * 1024 * 1024 + 1), "v1")
    assert got.status == 413


def test_manifest_under_a_wrong_digest_is_refused(serve):
    _, client = serve()
    client.push_image("v1")
    assert client.push_manifest(image(), digest_of(b"other")).codes == ["DIGEST_INVALID"]


def test_a_tag_can_name_a_sha512_manifest_where_its_digest_is_given(serve):
    sandbox, client = serve(tag_digest=True)
    client.push_image("v1")
    name = digest_of(image(), "sha512")
    got = client.push_manifest(image(), f"v2?digest={name}")
    assert (got.status, got.headers["docker-content-digest"]) == (201, name)
    assert str(sandbox.store.find_manifest("app", "v2").descriptor.digest) == name
    wrong = client.push_manifest(image(), f"v3?digest={digest_of(b'other', 'sha512')}")
    assert (wrong.status, wrong.codes) == (400, ["DIGEST_INVALID"])
    assert sandbox.store.tags("app") == ("v1", "v2")


def test_a_rehearsals_registry_can_do_all_that_clients_ask_for():
    with Sandbox(options=REHEARSAL) as sandbox, Client(sandbox) as client:
        blob = b"hello"
        posted = client.ask("POST", f"/v2/one/blobs/uploads/?digest={digest_of(blob)}", blob)
        mounted = client.ask("POST", f"/v2/two/blobs/uploads/?mount={digest_of(blob)}")
        assert (posted.status, mounted.status) == (201, 201)
        client.push_image("v1")
        name = digest_of(image(), "sha512")
        tagged = client.push_manifest(image(), f"{name}?tag=v2&tag=v3")
        assert tagged.status == 201
        assert client.ask("HEAD", "/v2/app/manifests/v3").headers["docker-content-digest"] == name
        assert sandbox.store.tags("app") == ("v1", "v2", "v3")


def test_sha512_manifest_is_found_by_its_digest(serve):
    _, client = serve(require_manifest_blobs=False)
    name = digest_of(image(), "sha512")
    assert client.push_manifest(image(), name).status == 201
    assert client.ask("GET", f"/v2/app/manifests/{name}").body == image()


@pytest.mark.parametrize("target", ["-bad", "a" * 129])
def test_bad_tag_is_refused(serve, target):
    assert serve()[1].push_manifest(image(), target).codes == ["MANIFEST_INVALID"]


def test_many_tags_in_one_put_are_named(serve):
    sandbox, client = serve(multi_tag=True)
    name = client.push_image("v1")
    got = client.push_manifest(image(), f"{name}?tag=a&tag=b")
    assert [value for key, value in got.all_headers if key == "oci-tag"] == ["a", "b"]
    assert sandbox.store.tags("app") == ("a", "b", "v1")


def test_many_tags_are_ignored_where_they_are_not_known(serve):
    sandbox, client = serve()
    name = client.push_image("v1")
    got = client.push_manifest(image(), f"{name}?tag=a")
    assert (got.status, "oci-tag" in got.headers, sandbox.store.tags("app")) == (201, False, ("v1",))


def test_too_many_tags_are_414_and_tags_beside_a_tag_400(serve):
    _, client = serve(multi_tag=True)
    name = client.push_image("v1")
    assert client.push_manifest(image(), f"{name}?" + "&".join(f"tag=t{n}" for n in range(47))).status == 414
    assert client.push_manifest(image(), "v1?tag=a").status == 400


def test_immutable_tag_is_refused_even_for_the_same_digest(serve):
    _, client = serve(immutable_tags=True, multi_tag=True)
    name = client.push_image("v1")
    got = client.push_manifest(image(), "v1")
    assert (got.status, got.codes) == (400, ["TAG_INVALID"])
    partly = client.push_manifest(image(), f"{name}?tag=v1&tag=v2")
    assert [value for key, value in partly.all_headers if key == "oci-tag"] == ["v2"]


def test_deleting_a_tag_keeps_the_manifest(serve):
    sandbox, client = serve()
    name = client.push_image("v1")
    assert client.ask("DELETE", "/v2/app/manifests/v1").status == 202
    assert sandbox.store.tags("app") == ()
    assert client.ask("HEAD", f"/v2/app/manifests/{name}").status == 200


def test_deleting_a_manifest_takes_its_tags(serve):
    sandbox, client = serve()
    name = client.push_image("v1")
    assert client.ask("DELETE", f"/v2/app/manifests/{name}").status == 202
    assert sandbox.store.tags("app") == ()
    assert client.ask("DELETE", f"/v2/app/manifests/{name}").status == 404


def test_delete_can_be_switched_off(serve):
    _, client = serve(delete=False)
    name = client.push_image("v1")
    for path in ("manifests/v1", f"manifests/{name}", f"blobs/{digest_of(CONFIG)}"):
        assert client.ask("DELETE", f"/v2/app/{path}").codes == ["UNSUPPORTED"]


def test_tags_are_sorted_and_paged(serve):
    _, client = serve()
    for tag in ("c", "B", "a", "d"):
        client.push_image(tag)
    assert client.ask("GET", "/v2/app/tags/list").json == {"name": "app", "tags": ["B", "a", "c", "d"]}
    page = client.ask("GET", "/v2/app/tags/list?n=2")
    assert (page.json["tags"], page.headers["link"]) == (["B", "a"], '</v2/app/tags/list?n=2&last=a>; rel="next"')
    rest = client.ask("GET", "/v2/app/tags/list?n=2&last=a")
    assert (rest.json["tags"], "link" in rest.headers) == (["c", "d"], False)
    assert client.ask("GET", "/v2/app/tags/list?n=0").json["tags"] == []


def test_page_size_caps_a_page(serve):
    _, client = serve(page_size=1)
    client.push_image("a")
    client.push_image("b")
    assert client.ask("GET", "/v2/app/tags/list?n=50").json["tags"] == ["a"]


def test_lists_refuse_what_they_do_not_know(serve):
    _, client = serve()
    assert client.ask("GET", "/v2/none/tags/list").codes == ["NAME_UNKNOWN"]
    client.push_image("a")
    assert client.ask("GET", "/v2/app/tags/list?n=x").codes == ["PAGINATION_NUMBER_INVALID"]


def test_catalog_lists_repositories(serve):
    _, client = serve()
    client.push_blob(b"x", "b/c")
    client.push_blob(b"x", "a")
    assert client.ask("GET", "/v2/_catalog").json == {"repositories": ["a", "b/c"]}


def test_referrers_are_listed_filtered_and_acknowledged(serve):
    _, client = serve()
    name = client.push_image("v1")
    subject = {"mediaType": OCI_MANIFEST, "digest": name, "size": len(image())}
    raw = image(subject=subject, artifactType="application/x-sbom", annotations={"k": "v"})
    assert client.push_manifest(raw, digest_of(raw)).headers["oci-subject"] == name
    got = client.ask("GET", f"/v2/app/referrers/{name}")
    assert (got.status, got.headers["content-type"]) == (200, OCI_INDEX)
    [entry] = got.json["manifests"]
    assert (entry["digest"], entry["artifactType"], entry["annotations"]) == (
        digest_of(raw),
        "application/x-sbom",
        {"k": "v"},
    )
    other = client.ask("GET", f"/v2/app/referrers/{name}?artifactType=other")
    assert (other.json["manifests"], other.headers["oci-filters-applied"]) == ([], "artifactType")


def test_subject_may_be_missing_and_referrers_of_nothing_are_empty(serve):
    _, client = serve()
    client.push_image("v1")
    subject = {"mediaType": OCI_MANIFEST, "digest": digest_of(b"nowhere"), "size": 7}
    assert client.push_manifest(image(subject=subject), "v2").status == 201
    assert client.ask("GET", f"/v2/none/referrers/{digest_of(b'x')}").json["manifests"] == []
    assert client.ask("GET", "/v2/app/referrers/sha256:short").status == 400


def test_referrers_can_be_unknown(serve):
    _, client = serve(referrers=False)
    name = client.push_image("v1")
    raw = image(subject={"mediaType": OCI_MANIFEST, "digest": name, "size": len(image())})
    assert "oci-subject" not in client.push_manifest(raw, "v2").headers
    assert client.ask("GET", f"/v2/app/referrers/{name}").status == 404


def test_warning_is_sent(serve):
    assert serve(warning='say "hi"')[1].ask("GET", "/v2/").headers["warning"] == '299 - "say \\"hi\\""'


def test_wrong_method_and_path_are_refused_in_json(serve):
    _, client = serve()
    assert client.ask("PUT", "/v2/app/tags/list").status == 405
    assert client.ask("GET", "/elsewhere").codes == ["UNSUPPORTED"]
