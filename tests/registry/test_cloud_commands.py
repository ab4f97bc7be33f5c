"""Commands on registries whose logins a cloud hands out, described in oci-push.yaml."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from cloudendpoints import Endpoint, GoogleTokens
from equipment.options import SandboxOptions
from equipment.sandbox import Sandbox
from images import layer, make_layout
from program import program

from oci_push.secret import Secret


@pytest.fixture
def google() -> GoogleTokens:
    return GoogleTokens()


@pytest.fixture
def endpoint(google: GoogleTokens) -> Iterator[Endpoint]:
    with Endpoint({"/token": google.answer}) as started:
        yield started


@pytest.fixture
def registry(google: GoogleTokens) -> Iterator[Sandbox]:
    options = SandboxOptions(auth="bearer", username="oauth2accesstoken", password=Secret(google.access_token))
    with Sandbox(options=options) as started:
        yield started


@pytest.fixture
def folder(google: GoogleTokens, endpoint: Endpoint, registry: Sandbox, tmp_path: Path) -> Path:
    (tmp_path / "key.json").write_text(json.dumps(google.keyfile(f"{endpoint.url}/token")))
    (tmp_path / "oci-push.yaml").write_text(
        f"""
registries:
  - {{name: cloud, provider: gar, location: europe, keyfile_path: key.json, repositoryPrefix: project/images,
     plain_http: true, address: '{registry.address}'}}
"""
    )
    return tmp_path


def test_login_keeps_the_access_token_and_not_the_key(folder: Path, google: GoogleTokens) -> None:
    done = program("login", "cloud", cwd=folder, OCI_PUSH_CONFIG="oci-push.yaml")
    assert done.stdout.startswith("logged in to europe-docker.pkg.dev as oauth2accesstoken, kept in")
    text = (folder / "home/.docker/config.json").read_text()
    entry = json.loads(text)["auths"]["europe-docker.pkg.dev"]
    assert base64.b64decode(entry["auth"]).decode() == f"oauth2accesstoken:{google.access_token}"
    assert google.account not in text


def test_explain_tells_whose_token_it_is(folder: Path, google: GoogleTokens) -> None:
    done = program("auth", "explain", "cloud", cwd=folder, OCI_PUSH_CONFIG="oci-push.yaml")
    assert f"from service account {google.account}, the keyfile of registry 'cloud'" in done.stdout
    assert "repository:project/images/oci-push-explain:pull,push" in done.stdout
    assert google.access_token not in done.stdout + done.stderr


def test_doctor_works_below_the_prefix(folder: Path) -> None:
    value = json.loads(program("doctor", "cloud", "--json", cwd=folder, OCI_PUSH_CONFIG="oci-push.yaml").stdout)
    assert value["error"] is None
    assert value["repository"] == "europe-docker.pkg.dev/project/images/oci-push-doctor"


def test_whoami_asks_nobody(folder: Path, endpoint: Endpoint) -> None:
    rows = json.loads(program("whoami", "cloud", "--json", cwd=folder, OCI_PUSH_CONFIG="oci-push.yaml").stdout)
    assert (rows[0]["user"], rows[0]["kind"]) == ("Google key file", "cloud identity")
    assert endpoint.asked == []


def test_a_pipeline_pushes_with_it(folder: Path, registry: Sandbox, endpoint: Endpoint) -> None:
    make_layout(folder / "image", layer(1))
    (folder / "pipeline.yml").write_text(
        "version: '1.0'\nsteps:\n"
        "  one: {type: push, candidate: 'oci:image', image_name: app, registry: cloud, tags: ['1', '2']}\n"
    )
    program("run", "pipeline.yml", cwd=folder, OCI_PUSH_CONFIG="oci-push.yaml")
    assert tuple(registry.store.tags("project/images/app")) == ("1", "2")
    assert endpoint.paths() == ["/token"]


def test_a_revoked_key_is_said_to_be_refused(folder: Path, google: GoogleTokens) -> None:
    other = GoogleTokens()
    google.key = other.key
    done = program("login", "cloud", cwd=folder, OCI_PUSH_CONFIG="oci-push.yaml", code=4)
    assert "refused, POST answered 400 (Invalid JWT Signature.)" in done.stderr
    assert "is the key still active" in done.stderr
