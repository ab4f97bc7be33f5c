"""The main job against Debian's registry: every source, every way to log in, read back by skopeo."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from certificates import Authority
from programs import clean_environment
from proxy import TcpProxy
from real_images import RealImage, RealImages
from registries import DebianRegistry, Mode
from skopeo import Skopeo
from tokenserver import TokenServer

Run = Callable[..., "subprocess.CompletedProcess[bytes]"]


@pytest.fixture
def oci_push(tmp_path: Path) -> Run:
    """Run the installed program with a home of its own."""
    home = tmp_path / "home"
    home.mkdir()
    program = Path(sys.executable).with_name("oci-push")

    def run(*arguments: str, stdin: bytes = b"", code: int = 0) -> subprocess.CompletedProcess[bytes]:
        done = subprocess.run(
            [program, *arguments],
            input=stdin,
            capture_output=True,
            env=clean_environment(home),
            timeout=300,
            check=False,
        )
        assert done.returncode == code, done.stderr.decode()
        assert b"Traceback" not in done.stderr
        return done

    return run


def _source(image: RealImage) -> str:
    kind = {"oci": "oci", "oci-archive": "oci-archive", "docker-archive": "docker-archive"}[image.transport]
    return f"{kind}:{image.path}:{image.tag}"


def _digest(done: subprocess.CompletedProcess[bytes]) -> str:
    return done.stdout.decode().split("@")[1].split()[0]


def _log_in(home: Path, host: str, user: str, password: str) -> None:
    (home / ".docker").mkdir()
    text = base64.b64encode(f"{user}:{password}".encode()).decode()
    (home / ".docker" / "config.json").write_text(json.dumps({"auths": {host: {"auth": text}}}))


@pytest.mark.parametrize("form", ["layout", "layout_archive", "archive", "several"])
def test_skopeo_reads_the_digest_that_was_printed(
    form: str, oci_push: Run, open_registry: DebianRegistry, real_images: RealImages, skopeo: Skopeo, tmp_path: Path
) -> None:
    target = f"{open_registry.host}/read/{form.replace('_', '-')}"
    done = oci_push("push", _source(getattr(real_images, form)), f"{target}:1,2")

    assert skopeo.digest(f"docker://{target}:1") == _digest(done)
    assert skopeo.tags(f"docker://{target}") == ["1", "2"]
    skopeo.copy(f"docker://{target}:2", f"oci:{tmp_path / 'back'}:x")


@pytest.mark.parametrize("form", ["layout_archive", "archive"])
def test_a_tar_on_stdin_is_the_same_image_as_the_file(
    form: str, oci_push: Run, open_registry: DebianRegistry, real_images: RealImages
) -> None:
    image: RealImage = getattr(real_images, form)
    target = f"{open_registry.host}/stdin/{form.replace('_', '-')}"
    from_file = oci_push("push", _source(image), f"{target}:file")
    from_stdin = oci_push("push", "-", f"{target}:stdin", stdin=image.path.read_bytes())

    assert _digest(from_stdin) == _digest(from_file)


@pytest.mark.parametrize("form", ["layout", "archive"])
def test_a_second_push_sends_no_blob_and_no_manifest(
    form: str, oci_push: Run, make_registry: Callable[[Mode], DebianRegistry], real_images: RealImages
) -> None:
    registry = make_registry(Mode())
    source = _source(getattr(real_images, form))
    oci_push("push", source, f"{registry.host}/twice:1")
    registry.forget()

    oci_push("push", source, f"{registry.host}/twice:1")

    assert {request.method for request in registry.requests()} == {"HEAD"}


def test_a_second_repository_is_mounted_from_the_first_without_a_body(
    oci_push: Run, make_registry: Callable[[Mode], DebianRegistry], real_images: RealImages
) -> None:
    registry = make_registry(Mode())
    oci_push("push", _source(real_images.layout), f"{registry.host}/one:1", f"{registry.host}/two:1")

    second = [r for r in registry.requests() if r.path.startswith("/v2/two/blobs/")]
    assert {(r.method, r.status) for r in second} == {("POST", 201)}
    assert all("mount=" in r.query and "from=one" in r.query for r in second)


def test_a_repository_of_an_earlier_run_is_mounted_from(
    oci_push: Run, make_registry: Callable[[Mode], DebianRegistry], real_images: RealImages
) -> None:
    registry = make_registry(Mode())
    oci_push("push", _source(real_images.layout), f"{registry.host}/team/first:1")
    registry.forget()

    oci_push("push", _source(real_images.layout), f"{registry.host}/team/later:1")

    assert not [r for r in registry.requests() if r.method in ("PUT", "PATCH") and "/blobs/" in r.path]


def test_a_copy_inside_a_registry_moves_no_blob(
    oci_push: Run, make_registry: Callable[[Mode], DebianRegistry], real_images: RealImages
) -> None:
    registry = make_registry(Mode())
    oci_push("push", "--no-memory", _source(real_images.several), f"{registry.host}/from:1")
    registry.forget()

    oci_push("push", "--no-memory", f"docker://{registry.host}/from:1", f"{registry.host}/to:1")

    moved = [r for r in registry.requests() if "/blobs/" in r.path and r.method in ("GET", "PUT", "PATCH")]
    assert moved == []


def test_htpasswd_over_tls_with_an_own_authority(
    oci_push: Run,
    password_registry: DebianRegistry,
    authority: Authority,
    users: dict[str, str],
    real_images: RealImages,
    tmp_path: Path,
) -> None:
    _log_in(tmp_path / "home", password_registry.host, "robot", users["robot"])
    target = f"{password_registry.host}/tls/app:1"

    done = oci_push("push", "--ca-file", str(authority.path), _source(real_images.layout), target)

    assert f"{password_registry.host}/tls/app:1@sha256:" in done.stdout.decode()


def test_an_unknown_authority_is_named_with_what_to_do(
    oci_push: Run, password_registry: DebianRegistry, real_images: RealImages, tmp_path: Path
) -> None:
    stranger = Authority(tmp_path / "stranger")
    target = f"{password_registry.host}/tls/no:1"
    done = oci_push("push", "--ca-file", str(stranger.path), _source(real_images.layout), target, code=6)
    assert b"is not trusted" in done.stderr
    assert b"hint:" in done.stderr


def test_a_refused_password_is_one_clear_message_without_the_password(
    oci_push: Run, password_registry: DebianRegistry, authority: Authority, real_images: RealImages, tmp_path: Path
) -> None:
    _log_in(tmp_path / "home", password_registry.host, "robot", "wrong-and-secret")
    target = f"{password_registry.host}/tls/refused:1"

    done = oci_push("push", "--ca-file", str(authority.path), _source(real_images.layout), target, code=5)

    assert b"401" in done.stderr
    assert b"wrong-and-secret" not in done.stderr + done.stdout


def test_a_token_is_asked_for_once_and_covers_the_mount_source(
    oci_push: Run,
    token_registry: DebianRegistry,
    token_server: TokenServer,
    users: dict[str, str],
    real_images: RealImages,
    tmp_path: Path,
) -> None:
    _log_in(tmp_path / "home", token_registry.host, "robot", users["robot"])
    host = token_registry.host

    oci_push("push", _source(real_images.layout), f"{host}/a/one:1", f"{host}/a/two:1,2")

    assert len(token_server.requests) == 1
    assert not [r for r in token_registry.requests() if r.status == 401][1:]


def test_a_wrong_password_at_the_token_server_names_the_server_and_the_file(
    oci_push: Run, token_registry: DebianRegistry, real_images: RealImages, tmp_path: Path
) -> None:
    _log_in(tmp_path / "home", token_registry.host, "robot", "wrong-and-secret")

    done = oci_push("push", _source(real_images.layout), f"{token_registry.host}/a/x:1", code=4)

    assert b"token server" in done.stderr
    assert b"config.json" in done.stderr
    assert b"wrong-and-secret" not in done.stderr


def test_one_registry_down_leaves_the_other_complete(
    oci_push: Run, make_registry: Callable[[Mode], DebianRegistry], real_images: RealImages, tmp_path: Path
) -> None:
    alive, dead = make_registry(Mode()), make_registry(Mode())
    dead.stop()
    report = tmp_path / "report.json"

    done = oci_push(
        "push", "--retries", "0", "--report", str(report), _source(real_images.layout),
        f"{alive.host}/a:1", f"{dead.host}/b:1", code=1,
    )  # fmt: skip

    first, second = json.loads(report.read_text())["targets"]
    assert first["error"] is None
    assert first["tags"] == [{"tag": "1", "outcome": "pushed", "error": None}]
    assert "cannot connect" in second["error"]["message"]
    assert f"{alive.host}/a:1@".encode() in done.stdout


def test_a_registry_that_goes_away_halfway_leaves_the_other_complete(
    oci_push: Run, make_registry: Callable[[Mode], DebianRegistry], real_images: RealImages, skopeo: Skopeo
) -> None:
    alive, failing = make_registry(Mode()), make_registry(Mode())
    with TcpProxy(failing.port) as proxy:
        proxy.cut_after(100_000, times=1000)
        done = oci_push(
            "push", "--retries", "0", _source(real_images.layout), f"{alive.host}/a:1", f"{proxy.host}/b:1", code=1
        )

    assert skopeo.digest(f"docker://{alive.host}/a:1") == _digest(done)
    assert f"{proxy.host}/b".encode() in done.stderr
    assert b"connection to" in done.stderr
    assert not [r for r in failing.requests() if r.method == "PUT" and "/manifests/" in r.path]
