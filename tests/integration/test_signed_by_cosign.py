"""What cosign 2 and 3 have signed and attested: we verify it, take it along, and add to it without a loss; so do they.

cosign 2 writes tags, cosign 3 bundles that refer to the image; Debian's registry keeps no list of those, so cosign and
we write one and the same list.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from images import layer, make_layout
from judges import PASSPHRASE, Cosign
from program import program
from registries import DebianRegistry
from signingkeys import pair

SBOM = {"spdxVersion": "SPDX-2.3"}
SPDX = "https://spdx.dev/Document"
_NO_BRACKETS = str.maketrans("[]", "-0")


@dataclass(frozen=True, slots=True)
class Image:
    """An image in a registry, and a folder with keys: one.key and two.key are cosign's, with their NAME.pub."""

    folder: Path
    name: str
    digest: str

    @property
    def by_digest(self) -> str:
        return f"{self.name}@{self.digest}"

    def run(self, *words: str, code: int = 0) -> str:
        done = program(*words, "--plain-http", cwd=self.folder, code=code, COSIGN_PASSWORD=PASSPHRASE)
        return done.stdout

    def told(self, *words: str, name: str = "") -> list[str]:
        """Return what `verify` says of the image; of many signatures the order is not told."""
        first, *lines = self.run("verify", f"{name or self.name}:1", *words).splitlines()
        assert first == f"{name or self.name}@{self.digest}"
        return sorted(line.strip() for line in lines)

    def put(self, name: str = "") -> None:
        self.run("push", f"oci:{self.folder / 'image'}", f"{name or self.name}:1")


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with a key pair by each cosign, and an image."""
    folder = tmp_path_factory.mktemp("keys")
    Cosign(2, folder).make_key("one")
    Cosign(3, folder).make_key("two")
    (folder / "sbom.json").write_text(json.dumps(SBOM))
    make_layout(folder / "image", layer(1))
    return folder


@pytest.fixture
def image(keys: Path, open_registry: DebianRegistry, request: pytest.FixtureRequest) -> Image:
    digest = json.loads((keys / "image" / "index.json").read_text())["manifests"][0]["digest"]
    made = Image(keys, f"{open_registry.host}/cosign/{request.node.name.translate(_NO_BRACKETS)}", digest)
    made.put()
    return made


@pytest.mark.parametrize(("version", "kind"), [(2, "one"), (2, "ed25519"), (3, "one"), (3, "rsa")])
def test_what_cosign_signs_and_attests_is_verified(version: int, kind: str, image: Image) -> None:
    """By a key of each kind that it makes, or encrypts; by Ed25519 cosign 3.1 signs what it does not verify itself."""
    cosign = Cosign(version, image.folder)
    if kind != "one":
        pair(image.folder, f"plain-{kind}", kind)
        Cosign(3, image.folder).import_key(f"plain-{kind}.key", kind)
    cosign.sign(image.by_digest, f"{kind}.key", f"by={version}")
    cosign.attest(image.by_digest, f"{kind}.key", "spdxjson", "sbom.json")
    form, attested = ("sig", "att") if version == 2 else ("bundle", "bundle")
    public = ("--key", f"{kind}.pub")
    assert image.told(*public, "-a", f"by={version}") == [f"signature  by {kind}.pub  ({form})  by={version}"]
    assert image.told(*public, "--type", "spdxjson") == [f"attestation ({SPDX})  by {kind}.pub  ({attested})"]
    image.run("verify", f"{image.name}:1", *public, "-a", "by=4", code=8)
    image.run("verify", f"{image.name}:1", "--key", "two.pub", code=8)
    image.run("verify", f"{image.name}:1", "--key", "two.pub", "--type", "spdxjson", code=8)


@pytest.mark.parametrize(("version", "form"), [(2, "sig"), (3, "bundle")])
def test_what_cosign_has_signed_with_the_key_is_not_signed_again(version: int, form: str, image: Image) -> None:
    Cosign(version, image.folder).sign(image.by_digest, "two.key", "once=yes")
    line = ("sign", f"{image.name}:1", "--key", "two.key", "-a", "once=yes", "--sign-format", form)
    assert image.run(*line).endswith("  (was there)\n")


def test_all_that_cosign_wrote_goes_along_with_a_copy(image: Image) -> None:
    for version, key in ((2, "one"), (3, "two")):
        cosign = Cosign(version, image.folder)
        cosign.sign(image.by_digest, f"{key}.key", f"by={key}")
        cosign.attest(image.by_digest, f"{key}.key", "spdxjson", "sbom.json")
    copied = f"{image.name}/copy"
    image.run("copy", f"{image.name}:1", f"{copied}:1")
    for key, form, attested in (("one", "sig", "att"), ("two", "bundle", "bundle")):
        public = ("--key", f"{key}.pub")
        assert image.told(*public, name=copied) == [f"signature  by {key}.pub  ({form})  by={key}"]
        assert image.told(*public, "--type", SPDX, name=copied) == [f"attestation ({SPDX})  by {key}.pub  ({attested})"]
    assert Cosign(2, image.folder).verify(f"{copied}:1", "one.pub", "by=one")
    assert Cosign(3, image.folder).verify(f"{copied}:1", "two.pub", "by=two")
    assert Cosign(2, image.folder).verify_attestations(f"{copied}:1", "one.pub", "spdxjson", tag=True)
    assert Cosign(3, image.folder).verify_attestations(f"{copied}:1", "two.pub", "spdxjson")


def test_what_cosign_3_lists_without_its_type_is_shown_and_counted_by_it(image: Image) -> None:
    cosign = Cosign(3, image.folder)
    cosign.sign(image.by_digest, "two.key")
    cosign.attest(image.by_digest, "two.key", "spdxjson", "sbom.json")
    tree = json.loads(image.run("referrers", f"{image.name}:1", "--type", "*sigstore*", "--json"))
    kinds = {one["annotations"]["dev.sigstore.bundle.predicateType"] for one in tree["referrers"]}
    assert kinds == {"https://sigstore.dev/cosign/sign/v1", SPDX}
    done = image.run("copy", f"{image.name}:1", f"{image.name}/typed:1", "--json")
    assert json.loads(done)["referrers"]["kinds"] == {"attestation": 1, "signature": 1}


def test_who_signs_after_another_loses_nothing_of_it(image: Image) -> None:
    """cosign 2, cosign 3, we, and both again, all with one key: nobody drops what another wrote under the same tags."""
    two, three = Cosign(2, image.folder), Cosign(3, image.folder)
    two.sign(image.by_digest, "one.key", "by=two-before")
    three.sign(image.by_digest, "one.key", "by=three-before")
    image.run("sign", f"{image.name}:1", "--key", "one.key", "-a", "by=us")
    image.run("attest", f"{image.name}:1", "--key", "one.key", "--type", "spdxjson", "--predicate", "sbom.json")
    two.sign(image.by_digest, "one.key", "by=two-after")
    three.sign(image.by_digest, "one.key", "by=three-after")
    two.attest(image.by_digest, "one.key", "spdxjson", "sbom.json")
    three.attest(image.by_digest, "one.key", "spdxjson", "sbom.json")
    expected = [f"signature  by one.pub  (bundle)  by={who}" for who in ("three-after", "three-before", "us")]
    expected += [f"signature  by one.pub  (sig)  by={who}" for who in ("two-after", "two-before", "us")]
    assert image.told("--key", "one.pub") == expected
    attested = [f"attestation ({SPDX})  by one.pub  ({form})" for form in ("att", "bundle", "bundle")]
    assert image.told("--key", "one.pub", "--type", SPDX) == attested
    for by in ("two-before", "us", "two-after"):
        assert len(two.verify(f"{image.name}:1", "one.pub", f"by={by}")) == 1
    for by in ("three-before", "us", "three-after"):
        assert len(three.verify(f"{image.name}:1", "one.pub", f"by={by}")) == 1
