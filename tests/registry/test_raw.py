"""blob and manifest: bytes that are what they are said to be, what is sent, and what is said where it cannot be."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from around import asked, children_of, pushed, short, two_platforms
from equipment.faults import Answer, Fault, TruncateReply
from equipment.options import SandboxOptions
from equipment.sandbox import Sandbox
from images import Layout, layer, make_layout
from program import program
from published import check_json
from pushing import Pushing

from oci_push.engine import raw
from oci_push.errors import ContentMismatchError, UploadRejectedError
from oci_push.model import media
from oci_push.model.digest import Digest
from oci_push.model.reference import Repository
from oci_push.runtime.clock import SystemClock
from oci_push.runtime.context import Context
from oci_push.secret import Secret
from oci_push.sources.files import FileBody

HELLO = "sha256:" + hashlib.sha256(b"hello\n").hexdigest()
UNKNOWN = "application/vnd.example.thing.manifest.v1+json"


def content(layout: Layout, digest: str) -> bytes:
    return (layout.path / "blobs" / digest.replace(":", "/")).read_bytes()


def layer_of(layout: Layout) -> str:
    return str(json.loads(content(layout, layout.digest))["layers"][0]["digest"])


def test_a_blob_is_written_whole_and_under_no_other_name(sandbox: Sandbox, tmp_path: Path) -> None:
    layout = make_layout(tmp_path / "image", layer(1))
    name, digest = pushed(sandbox, layout, "1"), layer_of(layout)
    printed = program("blob", "get", f"{name}@{digest}", "-o", "out/layer", "--json", cwd=_folder(tmp_path)).stdout
    check_json(printed, raw.BlobSaved)
    assert (tmp_path / "out/layer").read_bytes() == content(layout, digest)
    assert os.listdir(tmp_path / "out") == ["layer"]
    assert asked(sandbox) == [f"{method} team/app/blobs/{short(digest)}" for method in ("HEAD", "GET")]


def _folder(path: Path) -> Path:
    (path / "out").mkdir()
    return path


def test_a_download_goes_on_where_it_broke(sandbox: Sandbox, tmp_path: Path) -> None:
    layout = make_layout(tmp_path / "image", layer(1, 3_000_000))
    name, digest = pushed(sandbox, layout, "1"), layer_of(layout)
    sandbox.faults.add(Fault(method="GET", path="/blobs/", action=TruncateReply(1_200_000)))
    program("blob", "get", f"{name}@{digest}", "-o", "layer", cwd=tmp_path)
    assert (tmp_path / "layer").read_bytes() == content(layout, digest)
    ranges = [one.headers.get("range", "") for one in sandbox.traffic.requests]
    assert ranges[:2] == ["", ""]
    assert [int(one.removeprefix("bytes=").removesuffix("-")) > 0 for one in ranges[2:]] == [True]


def test_wrong_bytes_leave_no_file_and_the_old_one_stays(sandbox: Sandbox, tmp_path: Path) -> None:
    layout = make_layout(tmp_path / "image", layer(1))
    name, digest = pushed(sandbox, layout, "1"), layer_of(layout)
    (_folder(tmp_path) / "out/layer").write_bytes(b"old")
    wrong = content(layout, digest)[:-1] + b"?"
    for target in ("out/layer", "out/new"):
        sandbox.faults.add(Fault(method="GET", path="/blobs/", action=Answer(200, body=wrong)))
        failed = program("blob", "get", f"{name}@{digest}", "-o", target, cwd=tmp_path, code=3).stderr
        assert "content has digest sha256:" in failed
    assert os.listdir(tmp_path / "out") == ["layer"]
    assert (tmp_path / "out/layer").read_bytes() == b"old"


def test_a_blob_goes_to_stdout_byte_for_byte(sandbox: Sandbox, tmp_path: Path) -> None:
    layout = make_layout(tmp_path / "image", layer(1))
    name, digest = pushed(sandbox, layout, "1"), layer_of(layout)
    line = [sys.executable, "-m", "oci_push", "blob", "get", f"{name}@{digest}"]
    env = {**os.environ, "HOME": str(tmp_path)}
    assert subprocess.run(line, env=env, capture_output=True, check=True).stdout == content(layout, digest)


def test_a_blob_that_is_not_there_is_told_of(sandbox: Sandbox, tmp_path: Path) -> None:
    name = pushed(sandbox, make_layout(tmp_path / "image", layer(1)), "1")
    failed = program("blob", "get", f"{name}@{HELLO}", "-o", "x", cwd=tmp_path, code=5).stderr
    assert f"{name}@{HELLO}: there is no such blob" in failed
    assert not (tmp_path / "x").exists()


def test_a_blob_whose_size_nobody_tells_is_read_and_checked_all_the_same(sandbox: Sandbox, tmp_path: Path) -> None:
    layout = make_layout(tmp_path / "image", layer(1))
    name, digest = pushed(sandbox, layout, "1"), layer_of(layout)
    silent = {"docker-content-digest": digest}
    wrong = Answer(200, body=content(layout, digest)[:-1] + b"?")
    for code, told in ((0, ""), (3, "content has digest sha256:")):
        sandbox.faults.add(Fault(method="HEAD", path="/blobs/", action=Answer(200, silent)))
        sandbox.faults.add(Fault(method="GET", path="/blobs/", action=Answer(416, silent)))
        if code:
            sandbox.faults.add(Fault(method="GET", path="/blobs/", action=wrong))
        assert told in program("blob", "get", f"{name}@{digest}", "-o", "layer", cwd=tmp_path, code=code).stderr
        assert (tmp_path / "layer").read_bytes() == content(layout, digest)


def test_a_blob_is_put_once_and_its_digest_printed(sandbox: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "hello").write_text("hello\n")
    name = f"{sandbox.address}/team/raw"
    assert program("blob", "put", name, "hello", cwd=tmp_path).stdout == f"{HELLO}\n"
    assert sandbox.store.blob_exists("team/raw", HELLO)
    sandbox.traffic.clear()
    again = program("blob", "put", name, "-", "--json", stdin="hello\n", cwd=tmp_path).stdout
    check_json(again, raw.BlobStored)
    assert json.loads(again)["outcome"] == "exists"
    assert asked(sandbox) == [f"HEAD team/raw/blobs/{short(HELLO)}"]


def test_a_blob_that_is_not_what_it_should_be_is_not_sent(sandbox: Sandbox, tmp_path: Path) -> None:
    name = f"{sandbox.address}/team/raw"
    wanted = f"sha256:{'0' * 64}"
    failed = program("blob", "put", name, "-", "--digest", wanted, stdin="hello\n", cwd=tmp_path, code=3).stderr
    assert f"stdin: has digest {HELLO}, and not {wanted}" in failed
    assert asked(sandbox) == []
    odd = "sha512:" + hashlib.sha512(b"hello\n").hexdigest()
    assert program("blob", "put", name, "-", "--digest", odd, stdin="hello\n", cwd=tmp_path).stdout == f"{odd}\n"


def test_a_large_blob_goes_in_chunks_that_the_registry_takes(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(layer(3, 200_000))
    with Sandbox(options=SandboxOptions(max_body=65_536, chunk_max=65_536)) as sandbox:
        digest = program("blob", "put", f"{sandbox.address}/team/raw", "large", cwd=tmp_path).stdout.strip()
        assert digest == "sha256:" + hashlib.sha256((tmp_path / "large").read_bytes()).hexdigest()
        assert sandbox.traffic.count(method="PATCH") > 2


def test_head_tells_sizes_and_its_exit_code_tells_the_rest(sandbox: Sandbox, tmp_path: Path) -> None:
    layout = make_layout(tmp_path / "image", layer(1))
    name, digest = pushed(sandbox, layout, "1"), layer_of(layout)
    done = program("blob", "head", f"{name}@{digest}", f"{name}@{HELLO}", cwd=tmp_path, code=1).stdout
    size = len(content(layout, digest))
    assert done.splitlines() == [f"{name}@{digest}  {size} bytes", f"{name}@{HELLO}  does not exist"]
    assert not sandbox.traffic.count(method="GET")
    sandbox.faults.add(Fault(path=HELLO, action=Answer(403, code="DENIED"), times=0))
    printed = program("blob", "head", f"{name}@{HELLO}", "--json", cwd=tmp_path, code=5).stdout
    check_json(printed, raw.BlobsFound)
    assert json.loads(printed)["blobs"][0]["exists"] is None


def test_a_page_that_answers_for_a_registry_is_no_blob(sandbox: Sandbox, tmp_path: Path) -> None:
    page = Answer(200, {"content-type": "text/html"}, b"<html>")
    sandbox.faults.add(Fault(path="/blobs/", action=page, times=0))
    name = f"{sandbox.address}/team/app@{HELLO}"
    for words in (("get", name, "-o", "x"), ("head", name)):
        failed = program("blob", *words, cwd=tmp_path, code=5).stderr
        assert "what the registry answers is a web page, and no blob" in failed
    assert not (tmp_path / "x").exists()


def test_a_head_that_tells_no_size_is_asked_a_second_time(sandbox: Sandbox, tmp_path: Path) -> None:
    layout = make_layout(tmp_path / "image", layer(1))
    name, digest = pushed(sandbox, layout, "1"), layer_of(layout)
    empty = Answer(200, {"docker-content-digest": digest, "content-length": "0"})
    sandbox.faults.add(Fault(method="HEAD", path="/blobs/", action=empty, times=0))
    done = program("blob", "head", f"{name}@{digest}", cwd=tmp_path).stdout
    assert done == f"{name}@{digest}  {len(content(layout, digest))} bytes\n"
    assert sandbox.traffic.requests[-1].headers["range"] == "bytes=0-0"
    program("blob", "get", f"{name}@{digest}", "-o", "layer", cwd=tmp_path)
    assert (tmp_path / "layer").read_bytes() == content(layout, digest)


def test_a_blob_is_deleted_after_a_look_and_a_question(tmp_path: Path) -> None:
    options = SandboxOptions(auth="bearer", password=Secret("right"))
    with Sandbox(options=options) as sandbox:
        login = ("-u", "sandbox", "--password-stdin")
        name = f"{sandbox.address}/team/raw"
        (tmp_path / "hello").write_text("hello\n")
        program("blob", "put", name, "hello", *login, stdin="right", cwd=tmp_path)
        refused = program("blob", "delete", f"{name}@{HELLO}", cwd=tmp_path, code=2).stderr
        assert "there is no terminal" in refused
        shown = program("blob", "delete", f"{name}@{HELLO}", "--dry-run", *login, stdin="right", cwd=tmp_path).stdout
        assert shown == f"{name}@{HELLO}  6 bytes\n"
        assert not sandbox.traffic.count(method="DELETE")
        line = ("blob", "delete", f"{name}@{HELLO}", "--yes", "--json", *login)
        printed = program(*line, stdin="right", cwd=tmp_path).stdout
        check_json(printed, raw.BlobsDeleted)
        assert json.loads(printed)["deleted"][0]["outcome"] == "deleted"
        assert not sandbox.store.blob_exists("team/raw", HELLO)
        gone = program(*line, stdin="right", cwd=tmp_path, code=5).stderr
        assert f"{name}@{HELLO}: is not there" in gone


def test_a_registry_that_deletes_no_blobs_is_told_of(tmp_path: Path) -> None:
    with Sandbox(options=SandboxOptions(delete=False)) as sandbox:
        name = f"{sandbox.address}/team/raw"
        program("blob", "put", name, "-", stdin="hello\n", cwd=tmp_path)
        failed = program("blob", "delete", f"{name}@{HELLO}", "--yes", cwd=tmp_path, code=5).stderr
    assert "this registry deletes no blob that it is asked to by its API" in failed
    assert "storage.delete.enabled" in failed


def test_a_manifest_comes_byte_for_byte_also_one_image_of_an_index(sandbox: Sandbox, tmp_path: Path) -> None:
    layout = two_platforms(tmp_path / "image")
    name = pushed(sandbox, layout, "1")
    assert program("manifest", "get", f"{name}:1", cwd=tmp_path).stdout.encode() == content(layout, layout.digest)
    assert asked(sandbox) == ["GET team/app/manifests/1"]
    child = str(children_of(layout)[1]["digest"])
    line = ("manifest", "get", f"{name}:1", "--platform", "linux/arm64", "-o", "child", "--json")
    printed = program(*line, cwd=tmp_path).stdout
    check_json(printed, raw.ManifestSaved)
    assert json.loads(printed)["digest"] == child
    assert (tmp_path / "child").read_bytes() == content(layout, child)


def test_a_manifest_that_was_changed_on_its_way_is_refused(sandbox: Sandbox, tmp_path: Path) -> None:
    layout = make_layout(tmp_path / "image", layer(1))
    name = pushed(sandbox, layout, "1")
    wrong = Answer(200, {"content-type": media.OCI_MANIFEST, "docker-content-digest": layout.digest}, b"{}")
    sandbox.faults.add(Fault(method="GET", path="/manifests/", action=wrong))
    failed = program("manifest", "get", f"{name}:1", "-o", "x", cwd=tmp_path, code=5).stderr
    assert "manifest bytes have digest" in failed
    assert not (tmp_path / "x").exists()


def test_a_manifest_of_another_type_is_put_and_asked_for_by_that_type(sandbox: Sandbox, tmp_path: Path) -> None:
    name, text = f"{sandbox.address}/team/raw", f'{{ "mediaType": "{UNKNOWN}" }}\n'
    digest = "sha256:" + hashlib.sha256(text.encode()).hexdigest()
    printed = program("manifest", "put", f"{name}:1", "-", "--json", stdin=text, cwd=tmp_path).stdout
    check_json(printed, raw.ManifestStored)
    assert json.loads(printed)["digest"] == digest
    assert sandbox.traffic.requests[-1].headers["content-type"] == UNKNOWN
    got = program("manifest", "get", f"{name}:1", "--media-type", UNKNOWN, cwd=tmp_path).stdout
    assert got == text
    assert sandbox.traffic.requests[-1].headers["accept"] == UNKNOWN
    for media_type in ("text", "a/b, c/d", "a/b;q=1"):
        program("manifest", "get", f"{name}:1", "--media-type", media_type, cwd=tmp_path, code=2)


def test_a_manifest_is_put_under_a_tag_or_by_its_digest_and_says_what_it_is(sandbox: Sandbox, tmp_path: Path) -> None:
    layout = make_layout(tmp_path / "image", layer(1))
    name = pushed(sandbox, layout, "1")
    (tmp_path / "m.json").write_bytes(content(layout, layout.digest))
    assert program("manifest", "put", f"{name}:2", "m.json", cwd=tmp_path).stdout == f"{layout.digest}\n"
    program("manifest", "put", name, "m.json", cwd=tmp_path)
    program("manifest", "put", f"{name}:3@{layout.digest}", "m.json", cwd=tmp_path)
    assert asked(sandbox) == [f"PUT team/app/manifests/{one}" for one in ("2", short(layout.digest), "3")]
    assert sandbox.store.tags("team/app") == ("1", "2", "3")
    sandbox.traffic.clear()
    failed = program("manifest", "put", f"{name}@{HELLO}", "m.json", cwd=tmp_path, code=2).stderr
    assert f"the manifest has digest {layout.digest}, and not {HELLO}" in failed
    failed = program("manifest", "put", name, "m.json", "--media-type", media.DOCKER_MANIFEST, cwd=tmp_path, code=3)
    assert f"says itself that it is {media.OCI_MANIFEST}" in failed.stderr
    assert asked(sandbox) == []


@pytest.mark.parametrize("text", ["", "[]", "no JSON", '{"schemaVersion": 2}'])
def test_what_is_no_manifest_is_not_sent(text: str, sandbox: Sandbox, tmp_path: Path) -> None:
    failed = program("manifest", "put", f"{sandbox.address}/a:1", "-", stdin=text, cwd=tmp_path, code=3).stderr
    assert "the manifest cannot be sent: " in failed
    assert asked(sandbox) == []


@pytest.mark.parametrize("said", ["text", "a/b\r\nX-More: 1", "a/b; c=d"])
def test_what_is_no_media_type_is_not_sent(said: str, sandbox: Sandbox, tmp_path: Path) -> None:
    name = f"{sandbox.address}/a:1"
    given = ("manifest", "put", name, "-")
    failed = program(*given, "--media-type", said, stdin="{}", cwd=tmp_path, code=3).stderr
    failed += program(*given, stdin=json.dumps({"mediaType": said}), cwd=tmp_path, code=3).stderr
    assert failed.count("is no media type") == 2
    assert asked(sandbox) == []


def test_a_manifest_that_is_refused_says_what_it_misses(sandbox: Sandbox, tmp_path: Path) -> None:
    layout = two_platforms(tmp_path / "image")
    name = pushed(sandbox, layout, "1")
    child = str(children_of(layout)[0]["digest"])
    for digest, kind in ((layout.digest, "manifest"), (child, "blob")):
        (tmp_path / "m.json").write_bytes(content(layout, digest))
        failed = program("manifest", "put", f"{sandbox.address}/other:1", "m.json", cwd=tmp_path, code=5).stderr
        assert f"{sandbox.address}/other lacks {kind} sha256:" in failed
    assert name


def test_a_manifest_that_refers_to_another_is_listed_under_it(tmp_path: Path) -> None:
    layout = make_layout(tmp_path / "image", layer(1))
    with Sandbox(options=SandboxOptions(referrers=False)) as sandbox:
        name = pushed(sandbox, layout, "1")
        subject = {"mediaType": media.OCI_MANIFEST, "digest": layout.digest, "size": 401}
        program("blob", "put", name, "-", stdin="{}", cwd=tmp_path)
        empty = {"mediaType": media.OCI_EMPTY, "digest": "sha256:" + hashlib.sha256(b"{}").hexdigest(), "size": 2}
        manifest = {"schemaVersion": 2, "mediaType": media.OCI_MANIFEST, "config": empty, "layers": [empty]}
        text = json.dumps({**manifest, "artifactType": "text/plain", "subject": subject})
        program("manifest", "put", name, "-", stdin=text, cwd=tmp_path)
        assert layout.digest.replace(":", "-") in sandbox.store.tags("team/app")


def test_head_tells_digest_type_and_size(sandbox: Sandbox, tmp_path: Path) -> None:
    layout = make_layout(tmp_path / "image", layer(1))
    name = pushed(sandbox, layout, "1")
    done = program("manifest", "head", f"{name}:1", f"{name}:2", cwd=tmp_path, code=1).stdout.splitlines()
    size = len(content(layout, layout.digest))
    assert done == [f"{name}:1  {layout.digest}  {media.OCI_MANIFEST}  {size} bytes", f"{name}:2  does not exist"]
    assert not sandbox.traffic.count(method="GET")
    check_json(program("manifest", "head", f"{name}:1", "--json", cwd=tmp_path).stdout, raw.ManifestsFound)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("blob", "get", f"r.io/a@{HELLO}", "--json"), "cannot both go to stdout"),
        (("blob", "get", "r.io/a:1"), "a blob is named by its digest"),
        (("blob", "get", f"r.io/a@{HELLO}", "-o", "no/where"), "there is no folder no"),
        (("blob", "put", "r.io/a", "f", "--digest", "sha256:1"), "--digest: sha256 digest must be 64"),
        (("blob", "put", "r.io/a:1", "f"), "names an image, and a repository is wanted"),
        (("blob", "put", "r.io/a", "-", "-u", "me", "--password-stdin"), "cannot both read stdin"),
        (("manifest", "get", "r.io/a:1", "--json"), "cannot both go to stdout"),
        (("manifest", "get", "r.io/a:1", "--platform", "linux/amd64", "--media-type", "a/b"), "do not go together"),
        (("manifest", "put", "r.io/a:1", "-", "-u", "me", "--password-stdin"), "cannot both read stdin"),
        (("manifest", "put", "r.io/a:1", "missing"), "cannot be read"),
    ],
)
def test_words_that_do_not_fit_are_refused_before_anything_is_asked(
    words: tuple[str, ...], told: str, tmp_path: Path
) -> None:
    assert told in program(*words, cwd=tmp_path, code=2).stderr


def test_a_file_that_is_not_there_and_a_pipe_that_is(sandbox: Sandbox, tmp_path: Path) -> None:
    name = f"{sandbox.address}/team/raw"
    assert "missing: cannot be read" in program("blob", "put", name, "missing", cwd=tmp_path, code=3).stderr
    line = f'{sys.executable} -m oci_push blob put {name} <(printf "hello\\n")'
    env = {**os.environ, "HOME": str(tmp_path)}
    done = subprocess.run(["bash", "-c", line], env=env, capture_output=True, text=True, check=True)
    assert done.stdout == f"{HELLO}\n"


@pytest.mark.skipif(not Path("/proc/version").exists(), reason="no files that the system makes up")
def test_a_file_that_says_it_is_empty_and_is_not_goes_whole(sandbox: Sandbox, tmp_path: Path) -> None:
    assert not Path("/proc/version").stat().st_size
    digest = program("blob", "put", f"{sandbox.address}/team/app", "/proc/version", cwd=tmp_path).stdout.strip()
    assert digest == str(Digest.of(Path("/proc/version").read_bytes()))


def test_a_file_that_changes_while_it_is_sent_is_told_from_bytes_that_change_on_their_way(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x" * 1000)
    body = FileBody(str(file), 0, 1000, "file")
    refused = Fault("PUT", "/uploads/", times=0, action=Answer(400, code="DIGEST_INVALID"))
    with Pushing().pusher() as pusher:
        target = pusher.target(Repository.parse(f"{sandbox.address}/team/app"), ())
        client = pusher.clients.repository(target.endpoint, target.repository)
        context = Context(SystemClock())
        blob = raw.described(context, body, None, "file")
        file.write_bytes(b"y" * 1000)
        with pytest.raises(ContentMismatchError, match="file: changed while it was sent"):
            raw.put_blob(context, client, blob, body, "file")
        sandbox.faults.add(refused)
        with pytest.raises(UploadRejectedError) as caught:
            raw.put_blob(context, client, raw.described(context, body, None, "file"), body, "file")
        assert "the file's bytes are right" in str(caught.value.hint)


def test_what_a_login_may_not_do_is_told(sandbox: Sandbox, tmp_path: Path) -> None:
    name = f"{sandbox.address}/team/raw"
    program("blob", "put", name, "-", stdin="hello\n", cwd=tmp_path)
    sandbox.faults.add(Fault(method="DELETE", action=Answer(403, code="DENIED"), times=0))
    failed = program("blob", "delete", f"{name}@{HELLO}", "--yes", cwd=tmp_path, code=5).stderr
    assert "deleting takes a right of its own" in failed
    sandbox.faults.add(Fault(path="/manifests/", action=Answer(403, code="DENIED"), times=0))
    program("manifest", "head", f"{name}:1", cwd=tmp_path, code=5)


def test_a_manifest_by_a_digest_of_another_algorithm_keeps_that(sandbox: Sandbox, tmp_path: Path) -> None:
    layout = make_layout(tmp_path / "image", layer(1))
    name = pushed(sandbox, layout, "1")
    raw_bytes = content(layout, layout.digest)
    (tmp_path / "m.json").write_bytes(raw_bytes)
    odd = "sha512:" + hashlib.sha512(raw_bytes).hexdigest()
    assert program("manifest", "put", f"{name}@{odd}", "m.json", cwd=tmp_path).stdout == f"{odd}\n"
    assert asked(sandbox)[-1].startswith("PUT team/app/manifests/sha512:")
