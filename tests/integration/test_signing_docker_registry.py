"""Signatures on Debian's registry, which keeps no list of referrers: openssl is the judge, four sign at once."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path

import pytest
from images import Layout, layer, make_layout
from program import program
from programs import ProgramError, clean_environment, run
from registries import DebianRegistry
from skopeo import Skopeo

from oci_push.signing.bundle import Envelope

ROOT = Path(__file__).parents[2]
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
KINDS = {
    "ecdsa": ("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"),
    "rsa": ("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"),
    "ed25519": ("genpkey", "-algorithm", "ED25519"),
}


@pytest.fixture
def image(tmp_path: Path) -> Layout:
    return make_layout(tmp_path / "image", layer(1))


def openssl(folder: Path, *words: str) -> bytes:
    return run(["openssl", *words], env=clean_environment(folder / "home"), cwd=folder).out


def make_key(folder: Path, name: str, kind: str) -> None:
    openssl(folder, *KINDS[kind], "-out", f"{name}.key")
    openssl(folder, "pkey", "-in", f"{name}.key", "-pubout", "-out", f"{name}.pub")


def judge(folder: Path, kind: str, key: str, data: bytes, signature: bytes) -> None:
    """Raise `ProgramError` unless openssl says that the signature is the key's of the data."""
    (folder / "data").write_bytes(data)
    (folder / "signature").write_bytes(signature)
    signed = ("-signature", "signature", "data")
    if kind == "ed25519":
        raw = ("-rawin", "-in", "data", "-sigfile", "signature")
        openssl(folder, "pkeyutl", "-verify", "-pubin", "-inkey", key, *raw)
    else:
        openssl(folder, "dgst", "-sha256", "-verify", key, *signed)


@pytest.mark.parametrize("kind", KINDS)
def test_openssl_accepts_both_forms_by_the_key_and_by_no_other(
    kind: str, image: Layout, open_registry: DebianRegistry, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        make_key(tmp_path, name, kind)
    name = f"{open_registry.host}/signed/{kind}"
    program("push", f"oci:{image.path}", f"{name}:1", "--sign", "one.key", "--plain-http", cwd=tmp_path)
    signed = [payload_of_tag(name, image, tmp_path), payload_of_bundle(name, tmp_path)]
    for data, signature in signed:
        judge(tmp_path, kind, "one.pub", data, signature)
        with pytest.raises(ProgramError):
            judge(tmp_path, kind, "two.pub", data, signature)
        with pytest.raises(ProgramError):
            judge(tmp_path, kind, "one.pub", data + b" ", signature)
    program("verify", f"{name}:1", "--key", "one.pub", "--plain-http", cwd=tmp_path)
    program("verify", f"{name}:1", "--key", "two.pub", "--plain-http", cwd=tmp_path, code=8)


def raw(name: str, words: str, tmp_path: Path) -> bytes:
    """Read a manifest as skopeo does."""
    return Skopeo(tmp_path / "skopeo").raw(f"docker://{name}{words}")


def blob(name: str, digest: str, tmp_path: Path) -> bytes:
    program("blob", "get", f"{name}@{digest}", "-o", "blob", "--plain-http", cwd=tmp_path)
    found = (tmp_path / "blob").read_bytes()
    (tmp_path / "blob").unlink()
    return found


def payload_of_tag(name: str, image: Layout, tmp_path: Path) -> tuple[bytes, bytes]:
    (one,) = json.loads(raw(name, f":{image.digest.replace(':', '-')}.sig", tmp_path))["layers"]
    signature = one["annotations"]["dev.cosignproject.cosign/signature"]
    return blob(name, one["digest"], tmp_path), base64.b64decode(signature)


def payload_of_bundle(name: str, tmp_path: Path) -> tuple[bytes, bytes]:
    tree = json.loads(program("referrers", f"{name}:1", "--json", "--plain-http", cwd=tmp_path).stdout)
    (digest,) = [one["digest"] for one in tree["referrers"] if one["artifact_type"] == BUNDLE]
    (one,) = json.loads(raw(name, f"@{digest}", tmp_path))["layers"]
    envelope = Envelope.of_bundle(blob(name, one["digest"], tmp_path))
    return envelope.signed, envelope.signatures[0]


def test_what_openssl_signs_is_verified(image: Layout, open_registry: DebianRegistry, tmp_path: Path) -> None:
    make_key(tmp_path, "one", "ecdsa")
    name = f"{open_registry.host}/signed/elsewhere"
    program("push", f"oci:{image.path}", f"{name}:1", "--plain-http", cwd=tmp_path)
    critical = {
        "identity": {"docker-reference": name},
        "image": {"docker-manifest-digest": image.digest},
        "type": "cosign container image signature",
    }
    (tmp_path / "payload").write_text(json.dumps({"optional": {"by": "openssl"}, "critical": critical}, indent=1))
    signature = openssl(tmp_path, "dgst", "-sha256", "-sign", "one.key", "payload")
    (tmp_path / "annotations.json").write_text(
        json.dumps({"payload": {"dev.cosignproject.cosign/signature": base64.b64encode(signature).decode()}})
    )
    simple = "application/vnd.dev.cosign.simplesigning.v1+json"
    tag = image.digest.replace(":", "-") + ".sig"
    line = ("artifact", "push", f"payload:{simple}", f"{name}:{tag}", "--annotation-file", "annotations.json")
    program(*line, "--type", simple, "--plain-http", cwd=tmp_path)
    told = program("verify", f"{name}:1", "--key", "one.pub", "-a", "by=openssl", "--plain-http", cwd=tmp_path).stdout
    assert told.endswith("  signature  by one.pub  (sig)  by=openssl\n")


def test_of_four_that_sign_at_once_none_is_lost(image: Layout, open_registry: DebianRegistry, tmp_path: Path) -> None:
    name = f"{open_registry.host}/signed/many"
    program("push", f"oci:{image.path}", f"{name}:1", "--plain-http", cwd=tmp_path)
    names = ("a", "b", "c", "d")
    for one in names:
        make_key(tmp_path, one, "ecdsa")
    writers = [signing(tmp_path, f"{name}:1", one) for one in names]
    ends = [(*writer.communicate(timeout=300), writer.returncode) for writer in writers]
    assert [code for _, _, code in ends] == [0] * len(names), ends
    for one in names:
        told = program("verify", f"{name}:1", "--key", f"{one}.pub", "--plain-http", cwd=tmp_path).stdout
        assert [line.split("  ")[3] for line in told.splitlines()[1:]] == ["(bundle)", "(sig)"]
    layers = json.loads(raw(name, f":{image.digest.replace(':', '-')}.sig", tmp_path))["layers"]
    assert len(layers) == len(names)


def signing(folder: Path, image: str, key: str) -> subprocess.Popen[str]:
    """Start a writer; a crowd is not what coverage should be counted in."""
    env = clean_environment(folder / f"home-{key}", {"PYTHONPATH": str(ROOT)})
    return subprocess.Popen(
        [sys.executable, "-m", "oci_push", "sign", image, "--key", f"{key}.key", "--plain-http"],
        env={key: value for key, value in env.items() if not key.startswith("COVERAGE_")},
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
