"""Others' programs that say whether a signature counts: cosign 2 and 3, skopeo's policy, and npm's @sigstore/verify.

`.ci/judges` fetches them into the checkout. Each reads and writes registries over http on loopback, and asks no service
of Sigstore: signatures by a key need none.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from programs import Output, clean_environment, run

_FOLDER = Path(__file__).parents[2] / ".judges"
_NODE_SCRIPT = Path(__file__).with_name("judge.cjs")
NO_LOG = "--insecure-ignore-tlog"
PASSPHRASE = "kept by cosign"
NOWHERE = "http://127.0.0.1:1"
ALONE = {"HTTP_PROXY": NOWHERE, "HTTPS_PROXY": NOWHERE}
"""Variables with which a program reaches loopback alone: whoever asks for more is refused at once, and never waits."""
_ROOT = {"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1"}
_SERVICES = {
    "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
    "rekorTlogConfig": {},
    "tsaConfig": {},
}
"""What cosign writes for a trust root and for services of which there are none: nothing is fetched or logged."""


def judge(name: str) -> Path:
    """Find a judge or fail the test: a missing one is never a reason to skip."""
    path = _FOLDER / "bin" / name
    if not path.exists():
        pytest.fail(f"{path} is not there; `make test` fetches it, or: make judges", pytrace=False)
    return path


class Cosign:
    """Run cosign 2 or 3 in a folder, with its keys there, and `PASSPHRASE` for those that are encrypted.

    `more` are further variables.
    """

    def __init__(self, version: int, folder: Path, more: Mapping[str, str] | None = None) -> None:
        self.version = version
        self._program = judge(f"cosign{version}")
        self._folder = folder
        self._env = clean_environment(
            folder / f"home-cosign{version}", {"COSIGN_PASSWORD": PASSPHRASE, **ALONE, **(more or {})}
        )
        (folder / "nothing-trusted.json").write_text(json.dumps(_ROOT))
        (folder / "no-services.json").write_text(json.dumps(_SERVICES))

    def run(self, *words: str) -> Output:
        """Run it to its end; raises `ProgramError` unless it ends with status 0."""
        return run([self._program, *words], env=self._env, cwd=self._folder)

    def make_key(self, name: str) -> None:
        """Write NAME.key, encrypted, and NAME.pub."""
        self.run("generate-key-pair", "--output-key-prefix", name)

    def import_key(self, pem: str, name: str) -> None:
        """Write NAME.key, encrypted, and NAME.pub of a key in PEM."""
        self.run("import-key-pair", "--key", pem, "--output-key-prefix", name)

    def sign(self, image: str, key: str, *annotations: str) -> None:
        """Sign an image that is named by its digest."""
        self.run("sign", "--yes", "--key", key, *self._no_log(), *_each("-a", annotations), image)

    def attest(self, image: str, key: str, kind: str, predicate: str) -> None:
        """Attest the predicate in a file."""
        self.run("attest", "--yes", "--key", key, *self._no_log(), "--type", kind, "--predicate", predicate, image)

    def verify(self, image: str, key: str, *annotations: str) -> list[tuple[str, dict[str, str] | None]]:
        """Return the type and the annotations of each signature that counts; raises `ProgramError` where none does.

        cosign 3 takes every bundle by the key for a signature unless it is asked for annotations.
        """
        found = json.loads(self.run("verify", "--key", key, NO_LOG, *_each("-a", annotations), image).out)
        return [(one["critical"]["type"], one["optional"]) for one in found]

    def verify_attestations(self, image: str, key: str, kind: str, *, tag: bool = False) -> list[dict[str, Any]]:
        """Return each statement of a type that counts; raises `ProgramError` where none does.

        They are looked for in bundles, which is what cosign 3 does by itself; with `tag` where cosign 2 does.
        """
        where = () if tag or self.version == 3 else ("--new-bundle-format", "--trusted-root", "nothing-trusted.json")
        told = self.run("verify-attestation", "--key", key, NO_LOG, "--type", kind, *where, image).out
        return [json.loads(base64.b64decode(json.loads(line)["payload"])) for line in told.splitlines()]

    def verify_identity(
        self, image: str, root: str, identity: str, issuer: str
    ) -> list[tuple[str, dict[str, str] | None]]:
        """Do as `verify`, by the identity that a certificate names and a trust root; only cosign 3 asks nobody then."""
        by = ("--certificate-identity", identity, "--certificate-oidc-issuer", issuer)
        found = json.loads(self.run("verify", "--trusted-root", root, *by, image).out)
        return [(one["critical"]["type"], one["optional"]) for one in found]

    def _no_log(self) -> tuple[str, ...]:
        if self.version == 2:
            return ("--tlog-upload=false",)
        return ("--signing-config", "no-services.json", "--trusted-root", "nothing-trusted.json")


class PolicySkopeo:
    """A skopeo that takes from a registry nothing but what a key has signed, and looks where cosign puts signatures."""

    def __init__(self, folder: Path, host: str) -> None:
        self._folder = folder
        self._host = host
        self._env = clean_environment(folder / "home-skopeo", ALONE)
        self._program = judge("skopeo")
        (folder / "registries.d").mkdir(exist_ok=True)
        attached = {"docker": {host: {"use-sigstore-attachments": True}}}
        (folder / "registries.d" / "attached.yaml").write_text(json.dumps(attached))

    def take(self, image: str, key: str, identity: Mapping[str, str] | None = None) -> None:
        """Copy an image; raises `ProgramError` where the policy refuses it. `identity` is who it must be signed as."""
        self._take(image, {"keyPath": str(self._folder / key)}, identity or {"type": "matchRepository"})

    def take_from_identity(self, image: str, mail: str, issuer: str) -> None:
        """Copy an image that was signed without a key; its authority is in ca.pem, the log's key in rekor.pub."""
        fulcio = {"caPath": str(self._folder / "ca.pem"), "oidcIssuer": issuer, "subjectEmail": mail}
        by = {"fulcio": fulcio, "rekorPublicKeyPath": str(self._folder / "rekor.pub")}
        self._take(image, by, {"type": "matchRepository"})

    def _take(self, image: str, by: Mapping[str, object], signed_as: Mapping[str, str]) -> None:
        wanted = {"type": "sigstoreSigned", **by, "signedIdentity": signed_as}
        policy = {"default": [{"type": "reject"}], "transports": {"docker": {self._host: [wanted]}}}
        (self._folder / "policy.json").write_text(json.dumps(policy))
        options = ("--policy", "policy.json", "--registries.d", "registries.d")
        words = [self._program, *options, "copy", "--src-tls-verify=false", f"docker://{image}", "dir:taken"]
        run(words, env=self._env, cwd=self._folder)


def npm_says(folder: Path, bundle: bytes, *trusted: str) -> str:
    """Return what npm's @sigstore/verify says of a bundle: ``verified``, or why not.

    `trusted` is the file of a public key; or that of a trust root, with an identity and its issuer.
    """
    (folder / "bundle.json").write_bytes(bundle)
    modules = _FOLDER / "debian14" / "usr" / "share" / "nodejs" / "npm" / "node_modules"
    env = clean_environment(folder / "home-node", {"NODE_PATH": str(modules)})
    return run([judge("node"), _NODE_SCRIPT, "bundle.json", *trusted], env=env, cwd=folder).text


def _each(option: str, values: Sequence[str]) -> list[str]:
    return [word for value in values for word in (option, value)]
