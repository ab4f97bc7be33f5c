"""Without a key: cosign 2 and 3 and skopeo take what we sign, and we what they sign, by one Fulcio and one Rekor.

The servers are those of the other tests, so what these programs do with them says that they are as real ones.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from images import layer, make_layout
from judges import Cosign, PolicySkopeo
from keyless import IDENTITY, ISSUER
from program import program
from programs import ProgramError
from registries import DebianRegistry
from sigstoreservers import SigstoreServers

MAIL = "release@example.com"


class Place:
    """A folder with the files of a Sigstore, and an image in a registry."""

    def __init__(self, folder: Path, name: str, servers: SigstoreServers) -> None:
        self.folder, self.name, self.servers = folder, name, servers
        config = servers.config()
        root = config["trustedRoot"]
        assert isinstance(root, dict)
        for file, value in {"trust": config, "root": root, "signing": config["signingConfig"]}.items():
            (folder / f"{file}.json").write_text(json.dumps(value))
        self._pem("rekor.pub", "PUBLIC KEY", root["tlogs"][0]["publicKey"]["rawBytes"])
        self._pem("ct.pub", "PUBLIC KEY", root["ctlogs"][0]["publicKey"]["rawBytes"])
        (authority,) = root["certificateAuthorities"]
        self._pem("ca.pem", "CERTIFICATE", authority["certChain"]["certificates"][0]["rawBytes"])
        self.digest = make_layout(folder / "image", layer(1)).digest
        self.run("push", "oci:image", f"{name}:1")

    def _pem(self, file: str, kind: str, text: str) -> None:
        lines = "\n".join(textwrap.wrap(text, 64))
        (self.folder / file).write_text(f"-----BEGIN {kind}-----\n{lines}\n-----END {kind}-----\n")

    def run(self, *words: str, code: int = 0) -> str:
        """Run ours, as a job with a token."""
        token = self.servers.token()
        return program(*words, "--plain-http", cwd=self.folder, code=code, SIGSTORE_ID_TOKEN=token).stdout

    def sign(self, *words: str) -> str:
        return self.run("sign", f"{self.name}:1", "--keyless", "--trust-root", "trust.json", *words)

    def verify(self, *words: str, identity: str = IDENTITY, code: int = 0) -> str:
        who = ("--identity", identity, "--issuer", ISSUER, "--trust-root", "root.json")
        return self.run("verify", f"{self.name}:1", *who, *words, code=code)

    def by_cosign(self, version: int, *words: str, identity: str = IDENTITY) -> str:
        """Verify by cosign, which is told whom to trust by one file, or as cosign 2 has it by three."""
        who = ("--certificate-identity", identity, "--certificate-oidc-issuer", ISSUER)
        root = ("--trusted-root", "root.json") if version == 3 else ("--offline",)
        return self.cosign(version, "verify", *who, *root, *words, f"{self.name}:1")

    def cosign(self, version: int, *words: str) -> str:
        trusted = {"REKOR_PUBLIC_KEY": "rekor.pub", "ROOT_FILE": "ca.pem", "CT_LOG_PUBLIC_KEY_FILE": "ct.pub"}
        more = {f"SIGSTORE_{name}": file for name, file in trusted.items()} if version == 2 else {}
        return Cosign(version, self.folder, more).run(*words).text


@pytest.fixture(params=[1, 2], ids=["rekor1", "rekor2"])
def place(request: pytest.FixtureRequest, open_registry: DebianRegistry, tmp_path: Path) -> Iterator[Place]:
    name = f"{open_registry.host}/keyless/{request.node.name.translate(str.maketrans('[]', '-0')).lower()}"
    with SigstoreServers(tmp_path / "tsa" if request.param == 2 else None) as servers:
        yield Place(tmp_path, name, servers)


def test_cosign_3_takes_our_bundle_and_refuses_another_identity(place: Place) -> None:
    place.sign("-a", "stage=prod")
    times = ("--use-signed-timestamps",) if place.servers.is_version_2 else ()
    assert place.digest in place.by_cosign(3, "-a", "stage=prod", *times)
    with pytest.raises(ProgramError):
        place.by_cosign(3, "-a", "stage=prod", *times, identity="https://github.com/other")
    with pytest.raises(ProgramError):
        place.by_cosign(3, "-a", "stage=test", *times)


def test_what_cosign_3_has_signed_is_verified_and_not_signed_again(place: Place) -> None:
    where = ("--signing-config", "signing.json", "--trusted-root", "root.json", "--identity-token")
    place.cosign(3, "sign", "--yes", *where, place.servers.token(), f"{place.name}@{place.digest}")
    assert f"  signature  by {IDENTITY} of {ISSUER}  (bundle)" in place.verify()
    assert place.sign().endswith("(was there)\n")
    place.verify(identity="https://github.com/other", code=8)


@pytest.mark.parametrize("place", [1], indirect=True)
def test_cosign_2_and_skopeo_take_our_tag(place: Place, open_registry: DebianRegistry) -> None:
    place.servers.identity = MAIL
    place.sign("--sign-format", "sig")
    assert place.digest in place.by_cosign(2, identity=MAIL)
    with pytest.raises(ProgramError):
        place.by_cosign(2)
    skopeo = PolicySkopeo(place.folder, open_registry.host)
    skopeo.take_from_identity(f"{place.name}:1", MAIL, ISSUER)
    with pytest.raises(ProgramError):
        skopeo.take_from_identity(f"{place.name}:1", "other@example.com", ISSUER)


@pytest.mark.parametrize("place", [1], indirect=True)
def test_what_cosign_2_has_signed_is_verified_and_not_signed_again(place: Place) -> None:
    where = ("--fulcio-url", place.servers.url, "--rekor-url", place.servers.url, "--identity-token")
    place.cosign(2, "sign", "--yes", *where, place.servers.token(), f"{place.name}@{place.digest}")
    assert f"  signature  by {IDENTITY} of {ISSUER}  (sig)" in place.verify()
    assert place.sign("--sign-format", "sig").endswith("(was there)\n")
    place.verify(identity="https://github.com/other", code=8)
