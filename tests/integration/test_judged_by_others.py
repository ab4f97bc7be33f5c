"""What we sign is judged by programs that people verify with: cosign 2 and 3, skopeo's policy, and npm.

Each must accept what a key has signed in the forms that it reads, and refuse another key, another image, and what was
changed. cosign 2 and skopeo look for signatures under tags alone, npm at bundles, cosign 3 at tags where no bundle is.
"""

from __future__ import annotations

import json
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import pytest
from around import children_of, two_platforms
from images import Layout, layer, make_layout
from judges import PASSPHRASE, Cosign, PolicySkopeo, npm_says
from program import program
from programs import ProgramError
from registries import DebianRegistry
from signingkeys import pair

from oci_push.model import media
from oci_push.signing.keys import read_verifying_key

SIGNED = "https://sigstore.dev/cosign/sign/v1"
SIMPLE = "cosign container image signature"
PROVENANCE = {
    "buildDefinition": {"buildType": "https://example.com/build", "externalParameters": {}},
    "runDetails": {"builder": {"id": "https://example.com/builder"}},
}
PROVENANCE_TYPE = "https://slsa.dev/provenance/v1"
VERIFIED, REFUSED = "verified", "signature verification failed"
KEYS = ("ecdsa", "rsa", "ed25519", "cosign2", "cosign3")
"""Keys in PEM of each kind, and those that each cosign has made and encrypted."""


@dataclass(frozen=True, slots=True)
class Signed:
    """An image that each of `KEYS` has signed and attested by our commands; `folder` has their public keys."""

    folder: Path
    registry: DebianRegistry
    image: Layout
    name: str

    @property
    def tag(self) -> str:
        return f"{self.name}:1"

    def get(self, path: str, accepted: str = "*/*") -> bytes:
        url = f"{self.registry.url}/v2/{self.name.partition('/')[2]}/{path}"
        with urllib.request.urlopen(urllib.request.Request(url, headers={"Accept": accepted}), timeout=120) as answer:
            content = answer.read()
        assert isinstance(content, bytes)
        return content

    def bundle(self, key: str, kind: str) -> bytes:
        """Return the bundle with what a key says of a type."""
        hint = read_verifying_key((self.folder / f"{key}.pub").read_text(), key).hint
        listed = json.loads(self.get(f"manifests/{self.image.digest.replace(':', '-')}", media.OCI_INDEX))["manifests"]
        for one in listed:
            if one["annotations"]["dev.sigstore.bundle.predicateType"] == kind:
                (layer,) = json.loads(self.get(f"manifests/{one['digest']}", media.OCI_MANIFEST))["layers"]
                found = self.get(f"blobs/{layer['digest']}")
                if json.loads(found)["verificationMaterial"]["publicKey"]["hint"] == hint:
                    return found
        raise LookupError(key)


@pytest.fixture(scope="module")
def signed(open_registry: DebianRegistry, tmp_path_factory: pytest.TempPathFactory) -> Signed:
    folder = tmp_path_factory.mktemp("signed")
    for kind in ("ecdsa", "rsa", "ed25519", "other"):
        pair(folder, kind, "ecdsa" if kind == "other" else kind)
    for version in (2, 3):
        Cosign(version, folder).make_key(f"cosign{version}")
    image = make_layout(folder / "image", layer(1))
    made = Signed(folder, open_registry, image, f"{open_registry.host}/judged/app")
    sign = [word for key in KEYS for word in ("--sign", f"{key}.key")]
    line = ("push", f"oci:{image.path}", made.tag, *sign, "--sign-annotation", "build=42", "--plain-http")
    program(*line, cwd=folder, COSIGN_PASSWORD=PASSPHRASE)
    (folder / "provenance.json").write_text(json.dumps(PROVENANCE))
    keys = [word.replace("--sign", "--key") for word in sign]
    line = ("attest", made.tag, "--type", "slsaprovenance1", "--predicate", "provenance.json", *keys, "--plain-http")
    program(*line, cwd=folder, COSIGN_PASSWORD=PASSPHRASE)
    return made


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize(("version", "kind"), [(2, SIMPLE), (3, SIGNED)])
def test_cosign_accepts_what_a_key_has_signed_and_refuses_another(
    version: int, kind: str, key: str, signed: Signed
) -> None:
    """cosign 2 looks under the tag, and 3 at bundles: the type of what it accepts tells."""
    cosign = Cosign(version, signed.folder)
    assert cosign.verify(signed.tag, f"{key}.pub", "build=42") == [(kind, {"build": "42"})]
    with pytest.raises(ProgramError, match=r"no matching (signatures|attestations)"):
        cosign.verify(signed.tag, "other.pub")


@pytest.mark.parametrize("version", [2, 3])
def test_cosign_refuses_other_annotations(version: int, signed: Signed) -> None:
    with pytest.raises(ProgramError, match="missing or incorrect annotation"):
        Cosign(version, signed.folder).verify(signed.tag, "ecdsa.pub", "build=43")


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("version", [2, 3])
def test_cosign_accepts_what_a_key_has_attested_in_a_bundle(version: int, key: str, signed: Signed) -> None:
    cosign = Cosign(version, signed.folder)
    (found,) = cosign.verify_attestations(signed.tag, f"{key}.pub", "slsaprovenance1")
    assert found["subject"] == [{"digest": {"sha256": signed.image.digest.removeprefix("sha256:")}}]
    assert found["predicate"] == PROVENANCE


@pytest.mark.parametrize("version", [2, 3])
def test_to_cosign_a_bundle_is_of_one_type_and_by_one_key(version: int, signed: Signed) -> None:
    cosign = Cosign(version, signed.folder)
    (found,) = cosign.verify_attestations(signed.tag, "ecdsa.pub", SIGNED)
    subject = {"digest": {"sha256": signed.image.digest.removeprefix("sha256:")}, "annotations": {"build": "42"}}
    assert found["subject"] == [subject]
    with pytest.raises(ProgramError, match="none of the attestations matched the predicate type"):
        cosign.verify_attestations(signed.tag, "ecdsa.pub", "cyclonedx")
    with pytest.raises(ProgramError, match="no matching attestations"):
        cosign.verify_attestations(signed.tag, "other.pub", "slsaprovenance1")


@pytest.mark.parametrize("key", KEYS)
def test_npm_accepts_a_bundle_by_the_key_and_no_other(key: str, signed: Signed) -> None:
    assert npm_says(signed.folder, signed.bundle(key, SIGNED), f"{key}.pub") == VERIFIED
    assert npm_says(signed.folder, signed.bundle(key, SIGNED), "other.pub") == REFUSED


def test_npm_refuses_a_bundle_that_was_changed(signed: Signed) -> None:
    changed, other = (json.loads(signed.bundle("ecdsa", kind)) for kind in (SIGNED, PROVENANCE_TYPE))
    assert npm_says(signed.folder, json.dumps(other).encode(), "ecdsa.pub") == VERIFIED
    changed["dsseEnvelope"]["payload"] = other["dsseEnvelope"]["payload"]
    assert npm_says(signed.folder, json.dumps(changed).encode(), "ecdsa.pub") == REFUSED


@pytest.mark.parametrize("key", KEYS)
def test_skopeo_takes_an_image_by_the_key_and_no_other(key: str, signed: Signed) -> None:
    skopeo = PolicySkopeo(signed.folder, signed.registry.host)
    skopeo.take(signed.tag, f"{key}.pub")
    with pytest.raises(ProgramError, match="Source image rejected"):
        skopeo.take(signed.tag, "other.pub")


def test_skopeo_takes_what_was_signed_as_another_repository_only_where_that_is_said(signed: Signed) -> None:
    """A copy has the signature of where it came from, until it is signed where it is."""
    skopeo = PolicySkopeo(signed.folder, signed.registry.host)
    origin, copied = (f"{signed.registry.host}/judged/{name}" for name in ("origin", "copy"))
    signs = ("--sign", "ecdsa.key", "--plain-http")
    program("push", f"oci:{signed.image.path}", f"{origin}:1", *signs, cwd=signed.folder)
    program("copy", f"{origin}:1", f"{copied}:1", "--plain-http", cwd=signed.folder)
    skopeo.take(f"{copied}:1", "ecdsa.pub", {"type": "exactRepository", "dockerRepository": origin})
    with pytest.raises(ProgramError, match=r"Signature for identity .* is not accepted"):
        skopeo.take(f"{copied}:1", "ecdsa.pub")
    program("sign", f"{copied}:1", "--key", "ecdsa.key", "--plain-http", cwd=signed.folder)
    skopeo.take(f"{copied}:1", "ecdsa.pub")


def test_nobody_accepts_the_signature_of_another_image(signed: Signed) -> None:
    other = make_layout(signed.folder / "another", layer(2))
    program("push", f"oci:{other.path}", f"{signed.name}:2", "--plain-http", cwd=signed.folder)
    ours, theirs = (f"{signed.name}:{one.digest.replace(':', '-')}.sig" for one in (signed.image, other))
    program("copy", ours, theirs, "--plain-http", cwd=signed.folder)
    for version in (2, 3):
        with pytest.raises(ProgramError, match="invalid or missing digest in claim"):
            Cosign(version, signed.folder).verify(f"{signed.name}:2", "ecdsa.pub")
    with pytest.raises(ProgramError, match=f"Signature for digest {signed.image.digest} does not match"):
        PolicySkopeo(signed.folder, signed.registry.host).take(f"{signed.name}:2", "ecdsa.pub")
    program("verify", f"{signed.name}:2", "--key", "ecdsa.pub", "--plain-http", cwd=signed.folder, code=8)
    # The same with bundles: the list of one image lies where that of the other should.
    listed, taken = (f"{signed.name}:{one.digest.replace(':', '-')}" for one in (signed.image, other))
    (signed.folder / "list").write_text(program("manifest", "get", listed, "--plain-http", cwd=signed.folder).stdout)
    program("manifest", "put", taken, "list", "--plain-http", cwd=signed.folder)
    with pytest.raises(ProgramError, match="no matching attestations"):
        Cosign(3, signed.folder).verify(f"{signed.name}:2", "ecdsa.pub")
    for version in (2, 3):
        with pytest.raises(ProgramError, match="no matching attestations"):
            Cosign(version, signed.folder).verify_attestations(f"{signed.name}:2", "ecdsa.pub", "slsaprovenance1")
    program("verify", f"{signed.name}:2", "--key", "ecdsa.pub", "--plain-http", cwd=signed.folder, code=8)


def test_cosign_3_reads_the_tag_where_there_is_no_bundle(signed: Signed) -> None:
    name = f"{signed.registry.host}/judged/tag-alone:1"
    line = ("push", f"oci:{signed.image.path}", name, "--sign", "ecdsa.key", "--sign-format", "sig", "--plain-http")
    program(*line, cwd=signed.folder)
    assert Cosign(3, signed.folder).verify(name, "ecdsa.pub") == [(SIMPLE, None)]


def test_cosign_asks_for_the_signature_of_an_index_and_skopeo_for_that_of_its_image(signed: Signed) -> None:
    name = f"{signed.registry.host}/judged/index:1"
    skopeo = PolicySkopeo(signed.folder, signed.registry.host)
    line = ("sign", name, "--key", "ecdsa.key", "-a", "of=index", "--plain-http")
    program("index", "create", name, signed.tag, "--plain-http", cwd=signed.folder)
    program(*line, cwd=signed.folder)
    assert Cosign(2, signed.folder).verify(name, "ecdsa.pub") == [(SIMPLE, {"of": "index"})]
    assert Cosign(3, signed.folder).verify(name, "ecdsa.pub") == [(SIGNED, {"of": "index"})]
    with pytest.raises(ProgramError, match="A signature was required, but no signature exists"):
        skopeo.take(name, "ecdsa.pub")
    program(*line, "--recursive", cwd=signed.folder)
    skopeo.take(name, "ecdsa.pub")


def test_skopeo_takes_the_image_of_an_index_that_was_pushed_with_all_that_it_lists_signed(signed: Signed) -> None:
    skopeo = PolicySkopeo(signed.folder, signed.registry.host)
    index = two_platforms(signed.folder / "index")
    names = [f"{signed.registry.host}/judged/pushed-{how}:1" for how in ("alone", "whole")]
    for name, more in zip(names, ((), ("--sign-recursive",)), strict=True):
        line = ("push", f"oci:{index.path}", name, "--sign", "ecdsa.key", *more, "--plain-http")
        program(*line, cwd=signed.folder)
    with pytest.raises(ProgramError, match="A signature was required, but no signature exists"):
        skopeo.take(names[0], "ecdsa.pub")
    skopeo.take(names[1], "ecdsa.pub")
    with pytest.raises(ProgramError, match="Source image rejected"):
        skopeo.take(names[1], "other.pub")
    for version, kind in ((2, SIMPLE), (3, SIGNED)):
        for digest in (index.digest, *(one["digest"] for one in children_of(index))):
            found = Cosign(version, signed.folder).verify(f"{names[1][:-2]}@{digest}", "ecdsa.pub")
            assert [one for one, _ in found] == [kind]
