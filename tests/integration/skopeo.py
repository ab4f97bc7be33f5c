"""Debian's `skopeo` as an independent reader (and converter) of images: what it can read back, we pushed right.

References are skopeo's own, with the transport in front: `docker://host/name:tag`, `oci:folder:tag`.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from programs import clean_environment, run


class Skopeo:
    """Run skopeo with an empty home. `tls` is a folder of CA certificates; without it registries are not verified."""

    def __init__(self, home: Path, *, tls: Path | None = None, credential: tuple[str, str] | None = None) -> None:
        self._env = clean_environment(home)
        self._trust = tls
        self._login = credential

    def raw(self, reference: str) -> bytes:
        """Give the manifest or index exactly as stored."""
        return self._run("inspect", *self._access(), "--raw", reference)

    def digest(self, reference: str) -> str:
        """Give the digest of the bytes that `raw` gives."""
        return f"sha256:{hashlib.sha256(self.raw(reference)).hexdigest()}"

    def config(self, reference: str) -> bytes:
        """Give the configuration exactly as stored; of an index, that of this machine's platform."""
        return self._run("inspect", *self._access(), "--raw", "--config", reference)

    def tags(self, repository: str) -> list[str]:
        """Give the tags of `docker://host/name`, sorted."""
        answer = json.loads(self._run("list-tags", *self._access(), repository))
        return sorted(answer["Tags"])

    def copy(self, source: str, target: str, *, every_platform: bool = True) -> None:
        """Copy an image byte for byte, its blobs checked on the way; fails where the digest could not be kept."""
        options = ["--preserve-digests", *(["--all"] if every_platform else [])]
        self._run("copy", *options, *self._access("src-"), *self._access("dest-"), source, target)

    def sync(self, file: Path, destination: str, *, scoped: bool = False) -> None:
        """Copy what a YAML file says, whole indexes, to below ``host/prefix``."""
        options = ["--all", "--preserve-digests", *(["--scoped"] if scoped else [])]
        access = [*self._access("src-"), *self._access("dest-")]
        self._run("sync", "--src", "yaml", "--dest", "docker", *options, *access, str(file), destination)

    def convert(self, source: str, target: str, *, form: str = "", every_platform: bool = False) -> None:
        """Copy an image into a form that has other manifests, such as `docker-archive:`, or that `form` names."""
        options = [*(["--format", form] if form else []), *(["--all"] if every_platform else [])]
        self._run("copy", *options, *self._access("src-"), *self._access("dest-"), source, target)

    def _access(self, side: str = "") -> list[str]:
        found = [f"--{side}tls-verify={'false' if self._trust is None else 'true'}"]
        if self._trust is not None:
            found.append(f"--{side}cert-dir={self._trust}")
        if self._login is not None:
            found.append(f"--{side}creds={':'.join(self._login)}")
        return found

    def _run(self, *arguments: str) -> bytes:
        # Whose signatures are asked for is the machine's business; no test here is about them.
        return run(["skopeo", "--insecure-policy", "--override-os=linux", *arguments], env=self._env).out
