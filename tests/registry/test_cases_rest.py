"""The table's cases about errors, networks, retries, sources and many things at once."""

from __future__ import annotations

import gzip
import itertools
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from certificates import Authority
from equipment.faults import Answer, DropAfter, Fault, FaultScript, Stall, TruncateReply
from equipment.options import SandboxOptions
from equipment.sandbox import Sandbox
from images import Layout, LayoutWriter, config_of, docker_archive, layer, make_layout, tar_of
from pushing import Pushing, difference, error_of, is_whole, public

from oci_push.errors import (
    Cancelled,
    ConfigError,
    CredentialsError,
    DeniedError,
    NetworkError,
    SourceError,
)
from oci_push.events import BlobDone, BlobProgress, LayerCompressed, LogMessage, RetryScheduled
from oci_push.model import media
from oci_push.model.digest import Digest
from oci_push.model.endpoint import RegistryEndpoint, TlsConfig
from oci_push.model.outcomes import BlobOutcome
from oci_push.model.platform import Platform
from oci_push.runtime.clock import SystemClock
from oci_push.runtime.context import Context

UPLOADS = r"/blobs/uploads/"


def archive(path: Path, *layers: bytes) -> str:
    """Write what docker saves, with layers stored uncompressed, and give the SOURCE."""
    names = [f"{n}/layer.tar" for n in range(len(layers))]
    path.write_bytes(docker_archive(*zip(names, layers, strict=True), config=config_of(*layers), paths=names))
    return f"docker-archive:{path}"


@pytest.mark.case("ER-004")
def test_a_403_without_a_body_is_asked_again_for_its_reason(image: Layout) -> None:
    body = json.dumps({"errors": [{"code": "DENIED", "message": "the project is locked"}]}).encode()
    refusal = Answer(403, {"Content-Type": "application/json"}, body)
    with Sandbox(faults=FaultScript([Fault(path="/manifests/", times=0, action=refusal)])) as sandbox:
        error = error_of(Pushing().push(image, f"{sandbox.address}/a:1"))
        assert isinstance(error, DeniedError)
        assert "the project is locked" in str(error)
        assert [r.method for r in sandbox.traffic.requests] == ["HEAD", "GET"]


@pytest.mark.case("ER-005")
def test_a_registry_that_knows_no_head_is_asked_by_get(image: Layout) -> None:
    with Sandbox(faults=FaultScript([Fault("HEAD", "/manifests/", times=0, action=Answer(405))])) as sandbox:
        assert error_of(Pushing().push(image, f"{sandbox.address}/a:1")) is None
        sandbox.traffic.clear()
        assert error_of(Pushing().push(image, f"{sandbox.address}/a:1")) is None
        assert sandbox.traffic.count(method="PUT") == 0


@contextmanager
def listener() -> Iterator[tuple[int, list[bytes]]]:
    """Answer 502 to whatever comes, and keep the first lines."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    heard.append(connection.recv(65536).partition(b"\r\n")[0])
                    connection.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield server.getsockname()[1], heard
        server.shutdown(socket.SHUT_RDWR)
        thread.join(120)


@pytest.mark.case("TL-008")
def test_a_proxy_is_used_except_for_the_hosts_it_is_not_for(sandbox: Sandbox, image: Layout) -> None:
    with listener() as (port, heard):
        env = {"HTTP_PROXY": f"http://127.0.0.1:{port}", "NO_PROXY": "other.example,.example.net"}
        endpoints = dict(public(sandbox)) | dict(public(sandbox, "deep.example.net"))
        pushing = Pushing(env=env, endpoints=endpoints)
        assert error_of(pushing.push(image, "registry.example.com/a:1")) is not None
        assert heard[0].startswith(b"HEAD http://registry.example.com/v2/a/manifests/1 ")
        heard.clear()
        assert error_of(pushing.push(image, "deep.example.net/a:1")) is None
        assert error_of(pushing.push(image, f"{sandbox.address}/a:1")) is None
        assert heard == []


@pytest.mark.case("TL-004")
def test_an_unknown_authority_is_final_at_once_and_says_how_to_trust_it(image: Layout, tmp_path: Path) -> None:
    options = SandboxOptions(ssl_context=Authority(tmp_path / "ca").issue("registry").server_context())
    with Sandbox(options=options) as sandbox:
        pushing = Pushing(
            endpoints={sandbox.address: RegistryEndpoint(sandbox.address, None, TlsConfig(plain_http=False))}
        )
        error = error_of(pushing.push(image, f"{sandbox.address}/a:1"))
        assert isinstance(error, NetworkError)
        assert "is not trusted" in str(error)
        assert "--ca-file" in str(error.hint)
        assert [e for e in pushing.events if isinstance(e, RetryScheduled)] == []


def test_a_certificate_is_for_the_names_it_lists_and_not_for_its_common_name(image: Layout, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    options = SandboxOptions(ssl_context=authority.issue("localhost", hosts=("127.0.0.1",)).server_context())
    with Sandbox(options=options) as sandbox:
        named = sandbox.address.replace("127.0.0.1", "localhost")
        tls = TlsConfig(ca_file=str(authority.path))
        pushing = Pushing(endpoints={host: RegistryEndpoint(host, None, tls) for host in (named, sandbox.address)})
        assert error_of(pushing.push(image, f"{sandbox.address}/a:1")) is None
        error = error_of(pushing.push(image, f"{named}/a:2"))
        assert isinstance(error, NetworkError)
        assert "localhost" in str(error)
        assert sandbox.store.tags("a") == ("1",)


def test_roots_of_the_environment_that_cannot_be_read_are_an_error_that_names_the_variable(
    image: Layout, tmp_path: Path
) -> None:
    for content in (None, "", "no certificate"):
        path = tmp_path / f"roots-{content}.pem"
        if content is not None:
            path.write_text(content)
        with pytest.raises(ConfigError, match="SSL_CERT_FILE"):
            Pushing(env={"SSL_CERT_FILE": str(path)}).push(image, "registry.example.com/a:1")


@pytest.mark.case("TL-007")
def test_nothing_falls_back_from_https_to_http(sandbox: Sandbox, image: Layout) -> None:
    endpoints = {sandbox.address: RegistryEndpoint(sandbox.address, None, TlsConfig(plain_http=False))}
    error = error_of(Pushing(endpoints=endpoints).push(image, f"{sandbox.address}/a:1"))
    assert isinstance(error, NetworkError)
    assert "does not speak TLS" in str(error)
    assert [r for r in sandbox.traffic.requests if "/v2/" in r.path] == []


@pytest.mark.case("TL-009")
def test_a_warning_is_passed_on_once_though_all_is_well(image: Layout) -> None:
    with Sandbox(options=SandboxOptions(warning='the "old" plan ends')) as sandbox:
        pushing = Pushing()
        assert error_of(pushing.push(image, f"{sandbox.address}/a:1")) is None
        notes = [event.text for event in pushing.events if isinstance(event, LogMessage)]
        assert notes == [f'{sandbox.address} warns: the "old" plan ends']


@pytest.mark.case("RT-015")
def test_progress_goes_back_by_what_was_lost_and_never_over_the_whole(tmp_path: Path) -> None:
    image = make_layout(tmp_path / "image", layer(7, 24_000_000))
    broken = Fault("PUT", UPLOADS, action=DropAfter(9_000_000))
    with Sandbox(options=SandboxOptions(resume=False), faults=FaultScript([broken])) as sandbox:
        pushing = Pushing(at_once=1)
        assert error_of(pushing.push(image, f"{sandbox.address}/a:1")) is None
    told = [event for event in pushing.events if isinstance(event, BlobProgress)]
    sent = [event.sent_bytes for event in told]
    assert all(event.sent_bytes <= event.size_bytes for event in told)
    assert any(after <= before for before, after in itertools.pairwise(sent))


@pytest.mark.case("RT-016")
def test_requests_are_bounded_by_how_many_are_open_at_once(sandbox: Sandbox, tmp_path: Path) -> None:
    image = make_layout(tmp_path / "image", *(layer(n) for n in range(9)))
    assert error_of(Pushing(at_once=2).push(image, f"{sandbox.address}/a:1")) is None
    assert len({request.connection for request in sandbox.traffic.requests}) <= 2


@pytest.mark.case("CO-002")
def test_five_images_of_ten_layers_share_one_bound(sandbox: Sandbox, tmp_path: Path) -> None:
    writer = LayoutWriter(tmp_path / "many")
    images = [writer.image(*(layer(10 * n + m) for m in range(10))) for n in range(5)]
    image = writer.close(writer.index(*images))
    assert error_of(Pushing(at_once=4).push(image, f"{sandbox.address}/a:1")) is None
    assert is_whole(sandbox, "a", "1", image)
    assert len({request.connection for request in sandbox.traffic.requests}) <= 4


@pytest.mark.case("CO-004")
def test_the_largest_blob_goes_first(sandbox: Sandbox, tmp_path: Path) -> None:
    image = make_layout(tmp_path / "image", layer(1), layer(2, 900_000), layer(3, 50_000))
    assert error_of(Pushing(at_once=1).push(image, f"{sandbox.address}/a:1")) is None
    sizes = [r.received_bytes for r in sandbox.traffic.select(method="PUT", path_pattern=UPLOADS)]
    assert sizes == sorted(image.blobs.values(), reverse=True)


@pytest.mark.case("CO-005")
def test_three_registries_cost_one_compression_and_a_dead_one_stops_nobody(tmp_path: Path) -> None:
    source = archive(tmp_path / "image.tar", layer(1), layer(2, 50_000))
    with Sandbox() as one, Sandbox() as two:
        pushing = Pushing()
        first, dead, second = pushing.push(source, f"{one.address}/a:1", "127.0.0.1:1/a:1", f"{two.address}/a:1")
        assert (first.error, second.error) == (None, None)
        assert isinstance(dead.error, NetworkError)
        assert one.store.manifest("a", "1") == two.store.manifest("a", "1")
    assert len([e for e in pushing.events if isinstance(e, LayerCompressed)]) == 2


@pytest.mark.case("CO-009")
def test_who_may_not_push_is_told_before_anything_is_compressed(tmp_path: Path) -> None:
    source = archive(tmp_path / "image.tar", layer(1))
    with Sandbox(options=SandboxOptions(auth="bearer")) as sandbox:
        pushing = Pushing()
        with pytest.raises((DeniedError, CredentialsError)):
            pushing.push(source, f"{sandbox.address}/a:1")
        assert [e for e in pushing.events if isinstance(e, LayerCompressed)] == []
    with Sandbox() as sandbox:
        assert error_of(Pushing().push(source, f"{sandbox.address}/a:1")) is None
        post, delete = sandbox.traffic.requests[:2]
        assert (post.method, delete.method) == ("POST", "DELETE")
        assert sandbox.store.uploads() == ()


@pytest.mark.case("UP-016")
def test_an_empty_blob_is_one_session_with_an_empty_body(sandbox: Sandbox, tmp_path: Path) -> None:
    writer = LayoutWriter(tmp_path / "empty")
    layers = [writer.put(b"", media.OCI_LAYER)]
    image = writer.close(
        writer.manifest({"config": writer.put(b"{}", media.OCI_CONFIG), "layers": layers}, media.OCI_MANIFEST)
    )
    assert error_of(Pushing().push(image, f"{sandbox.address}/a:1")) is None
    assert is_whole(sandbox, "a", "1", image)
    (put,) = sandbox.traffic.select(method="PUT", path_pattern=Digest.of(b"").encoded)
    assert put.headers["content-length"] == "0"
    assert sandbox.traffic.count(method="PATCH") == 0
    assert [r for r in sandbox.traffic.requests if "transfer-encoding" in r.headers] == []


@pytest.mark.case("UP-030")
@pytest.mark.parametrize("status", [400, 404, 405, 415])
def test_a_blob_in_one_request_that_is_refused_goes_the_usual_way(status: int, image: Layout, tmp_path: Path) -> None:
    refusal = Fault("POST", r"[?]digest=", times=0, action=Answer(status))
    with Sandbox(faults=FaultScript([refusal])) as sandbox:
        pushing = Pushing(env={"XDG_CACHE_HOME": str(tmp_path)}, remember=True, at_once=1)
        assert error_of(pushing.push(image, f"{sandbox.address}/a:1")) is None
        assert is_whole(sandbox, "a", "1", image)
        assert sandbox.traffic.count(method="POST", path_pattern=r"[?]digest=") == 1


@pytest.mark.case("CH-001")
def test_a_504_for_a_whole_blob_leads_to_the_whole_blob_again(sandbox: Sandbox, image: Layout) -> None:
    sandbox.faults.add(Fault("PUT", UPLOADS, action=Answer(504)))
    assert error_of(Pushing(at_once=1).push(image, f"{sandbox.address}/a:1")) is None
    assert is_whole(sandbox, "a", "1", image)
    assert sandbox.store.uploads() == ()


@pytest.mark.case("CH-015")
def test_a_source_that_has_changed_is_not_gone_on_with(tmp_path: Path) -> None:
    here = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    old = make_layout(tmp_path / "image", layer(1, 300_000))
    options = SandboxOptions(chunk_max=60_000)
    with Sandbox(options=options, faults=FaultScript([Fault("PATCH", nth=2, action=Stall(60))])) as sandbox:
        context = Context(SystemClock(), what="test")
        results: list[tuple[object, ...]] = []
        pushing = Pushing(env=here, remember=True, context=context, at_once=1)
        thread = threading.Thread(target=lambda: results.append(pushing.push(old, f"{sandbox.address}/a:1")))
        thread.start()
        assert sandbox.traffic.wait_until(lambda t: t.count(method="PATCH") == 2)
        context.cancel()
        thread.join(120)
        assert isinstance(error_of(results[0]), Cancelled)
        new = make_layout(tmp_path / "image", layer(2, 300_000))
        sandbox.traffic.clear()
        assert error_of(Pushing(env=here, remember=True).push(new, f"{sandbox.address}/a:1")) is None
        assert sandbox.traffic.select(method="PATCH")[0].headers["content-range"].startswith("0-")
        assert is_whole(sandbox, "a", "1", new)


@pytest.mark.case("UP-024", "UP-025")
def test_a_stream_is_spooled_first_and_its_digests_are_right(sandbox: Sandbox, tmp_path: Path) -> None:
    plain = layer(1, 50_000)
    source = archive(tmp_path / "image.tar.gz", plain)
    (tmp_path / "image.tar.gz").write_bytes(gzip.compress((tmp_path / "image.tar.gz").read_bytes()))
    sandbox.faults.add(Fault("PUT", UPLOADS, action=DropAfter(100)))
    assert error_of(Pushing(at_once=1).push(source, f"{sandbox.address}/a:1")) is None
    manifest = json.loads(sandbox.store.manifest("a", "1") or b"")
    (described,) = manifest["layers"]
    stored = sandbox.store.blob_path("a", described["digest"]).read_bytes()
    assert (str(Digest.of(stored)), len(stored)) == (described["digest"], described["size"])
    assert gzip.decompress(stored) == plain


@pytest.mark.case("SR-002")
def test_a_tar_that_is_no_image_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(tar_of(("hello", b"world")))
    with pytest.raises(SourceError, match="neither an OCI layout nor manifest"):
        Pushing().push(str(tmp_path / "x.tar"), "localhost:1/a:1")


@pytest.mark.case("SR-017")
@pytest.mark.parametrize("is_first", [True, False])
def test_the_index_may_come_before_the_blobs_or_after(
    is_first: bool, sandbox: Sandbox, image: Layout, tmp_path: Path
) -> None:
    files = sorted(
        (f for f in image.path.rglob("*") if f.is_file()), key=lambda f: (f.name == "index.json") != is_first
    )
    (tmp_path / "x.tar").write_bytes(tar_of(*((str(f.relative_to(image.path)), f.read_bytes()) for f in files)))
    assert error_of(Pushing().push(f"oci-archive:{tmp_path / 'x.tar'}", f"{sandbox.address}/a:1")) is None
    assert is_whole(sandbox, "a", "1", image)


@pytest.mark.case("SR-018")
def test_one_platform_of_an_index_goes_under_its_own_digest(sandbox: Sandbox, tmp_path: Path) -> None:
    writer = LayoutWriter(tmp_path / "index")
    arm = writer.image(layer(1)) | {"platform": {"os": "linux", "architecture": "arm64"}}
    amd = writer.image(layer(2)) | {"platform": {"os": "linux", "architecture": "amd64"}}
    image = writer.close(writer.index(arm, amd))
    pushing = Pushing(platform=Platform.parse("linux/arm64"))
    assert error_of(pushing.push(image, f"{sandbox.address}/a:1")) is None
    assert str(Digest.of(sandbox.store.manifest("a", "1") or b"")) == arm["digest"]
    assert sandbox.store.find_manifest("a", str(amd["digest"])) is None


@pytest.mark.case("SR-019")
def test_data_in_a_descriptor_stands_for_the_blob(sandbox: Sandbox, tmp_path: Path) -> None:
    writer = LayoutWriter(tmp_path / "data")
    config = writer.put(b"{}", media.OCI_CONFIG)
    image = writer.close(writer.manifest({"config": config | {"data": "e30="}, "layers": []}, media.OCI_MANIFEST))
    (image.path / "blobs" / "sha256" / str(config["digest"]).partition(":")[2]).unlink()
    assert error_of(Pushing().push(image, f"{sandbox.address}/a:1")) is None
    assert sandbox.store.blob_path("a", str(config["digest"])).read_bytes() == b"{}"


@pytest.mark.case("SR-020")
def test_a_download_that_breaks_goes_on_where_it_was(sandbox: Sandbox, tmp_path: Path) -> None:
    image = make_layout(tmp_path / "image", layer(1, 3_000_000))
    Pushing().push(image, f"{sandbox.address}/a:1")
    sandbox.faults.add(Fault("GET", "/blobs/", action=TruncateReply(700_000)))
    with Sandbox() as target:
        assert error_of(Pushing(at_once=1).push(f"docker://{sandbox.address}/a:1", f"{target.address}/b:1")) is None
        assert difference(target, "b", "1", image) == ""
        assert target.traffic.count(method="PUT", path_pattern=UPLOADS) == len(image.blobs)
    assert sandbox.traffic.select(method="GET", path_pattern="/blobs/")[1].headers["range"] == "bytes=524288-"


@pytest.mark.case("SR-021")
def test_a_write_that_fails_once_is_repeated(sandbox: Sandbox, image: Layout) -> None:
    Pushing().push(image, f"{sandbox.address}/a:1")
    with Sandbox(faults=FaultScript([Fault("PUT", UPLOADS, action=Answer(503))])) as target:
        pushing = Pushing(at_once=1)
        assert error_of(pushing.push(f"docker://{sandbox.address}/a:1", f"{target.address}/b:1")) is None
        assert is_whole(target, "b", "1", image)
    outcomes = {event.outcome for event in pushing.events if isinstance(event, BlobDone)}
    assert outcomes == {BlobOutcome.UPLOADED.value}
