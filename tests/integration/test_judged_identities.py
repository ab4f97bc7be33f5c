"""What we sign without a key is judged by cosign 3 and by npm, with the trust root of a Sigstore on this machine."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from images import layer, make_layout
from judges import Cosign, npm_says
from keyless import IDENTITY, ISSUER
from program import program
from programs import ProgramError
from registries import DebianRegistry
from sigstoreservers import SigstoreServers

SIGNED = "https://sigstore.dev/cosign/sign/v1"


@dataclass(frozen=True, slots=True)
class Signed:
    """An image that a job has signed; `folder` has root.json, which trusts that Sigstore, and other.json, another."""

    folder: Path
    name: str

    def bundle(self) -> bytes:
        tree = json.loads(
            program("referrers", f"{self.name}:1", "--type", "*bundle*", "--json", cwd=self.folder).stdout
        )
        (digest,) = [one["digest"] for one in tree["referrers"]]
        raw = program("manifest", "get", f"{self.name}@{digest}", cwd=self.folder).stdout
        program("blob", "get", f"{self.name}@{json.loads(raw)['layers'][0]['digest']}", "-o", "blob", cwd=self.folder)
        found = (self.folder / "blob").read_bytes()
        (self.folder / "blob").unlink()
        return found


@pytest.fixture(scope="module", params=[1, 2], ids=["rekor-1", "rekor-2"])
def signed(
    request: pytest.FixtureRequest, open_registry: DebianRegistry, tmp_path_factory: pytest.TempPathFactory
) -> Signed:
    folder = tmp_path_factory.mktemp("identities")
    made = Signed(folder, f"{open_registry.host}/identities/rekor-{request.param}")
    image = make_layout(folder / "image", layer(1))
    for name in ("other", "root"):
        (folder / name).mkdir()
        with SigstoreServers(folder / name if request.param == 2 else None) as servers:
            config = servers.config()
            (folder / f"{name}.json").write_text(json.dumps(config["trustedRoot"]))
            (folder / "trust.json").write_text(json.dumps(config))
            if name == "root":
                line = (
                    "push",
                    f"oci:{image.path}",
                    f"{made.name}:1",
                    "--sign",
                    "keyless",
                    "--trust-root",
                    "trust.json",
                )
                program(*line, cwd=folder, SIGSTORE_ID_TOKEN=servers.token())
    return made


def test_cosign_3_accepts_the_identity_and_no_other(signed: Signed) -> None:
    cosign = Cosign(3, signed.folder)
    assert cosign.verify_identity(f"{signed.name}:1", "root.json", IDENTITY, ISSUER) == [(SIGNED, {})]
    for root, identity, issuer in (
        ("root.json", f"{IDENTITY}x", ISSUER),
        ("root.json", IDENTITY, f"{ISSUER}/x"),
        ("other.json", IDENTITY, ISSUER),
    ):
        with pytest.raises(ProgramError, match="no matching attestations"):
            cosign.verify_identity(f"{signed.name}:1", root, identity, issuer)


def test_npm_accepts_the_identity_and_no_other(signed: Signed) -> None:
    bundle = signed.bundle()
    assert npm_says(signed.folder, bundle, "root.json", IDENTITY, ISSUER) == "verified"
    for root, identity, issuer in (
        ("root.json", f"{IDENTITY}x", ISSUER),
        ("root.json", IDENTITY, f"{ISSUER}/x"),
        ("other.json", IDENTITY, ISSUER),
    ):
        assert npm_says(signed.folder, bundle, root, identity, issuer) != "verified"
