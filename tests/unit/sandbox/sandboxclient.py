"""A plain HTTP client for tests of the sandbox, on `http.client`, so that our own transport is not its own witness."""

from __future__ import annotations

import hashlib
import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from equipment.sandbox import Sandbox

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = b'{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}'


@dataclass(frozen=True)
class Got:
    status: int
    headers: Mapping[str, str]
    all_headers: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def codes(self):
        return [error["code"] for error in self.json["errors"]]


class Client:
    def __init__(self, sandbox: Sandbox) -> None:
        self.connection = http.client.HTTPConnection(sandbox.address, timeout=60)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()

    def ask(self, method, url, body=None, **headers) -> Got:
        parts = urlsplit(url)
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.connection.request(method, target, body, named)
        reply = self.connection.getresponse()
        pairs = tuple((name.lower(), value) for name, value in reply.getheaders())
        return Got(reply.status, dict(pairs), pairs, reply.read())

    def open(self, repository="app", query="") -> Got:
        return self.ask("POST", f"/v2/{repository}/blobs/uploads/{query}", b"")

    def push_blob(self, data: bytes, repository="app", algorithm="sha256") -> str:
        name = digest_of(data, algorithm)
        got = self.ask("PUT", with_digest(self.open(repository).headers["location"], name), data)
        assert got.status == 201, got
        return name

    def push_manifest(self, raw: bytes, target: str, repository="app", media_type=OCI_MANIFEST) -> Got:
        return self.ask("PUT", f"/v2/{repository}/manifests/{target}", raw, Content_Type=media_type)

    def push_image(self, tag: str, layer=b"layer", repository="app", **more) -> str:
        self.push_blob(CONFIG, repository)
        self.push_blob(layer, repository)
        raw = image(layer, **more)
        got = self.push_manifest(raw, tag, repository)
        assert got.status == 201, got
        return digest_of(raw)


def digest_of(data: bytes, algorithm="sha256") -> str:
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


def with_digest(location: str, digest: str) -> str:
    return f"{location}&digest={digest.replace(':', '%3A')}"


def descriptor(data: bytes, media_type: str) -> dict:
    return {"mediaType": media_type, "digest": digest_of(data), "size": len(data)}


def image(layer=b"layer", **more) -> bytes:
    value = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": descriptor(CONFIG, "application/vnd.oci.image.config.v1+json"),
        "layers": [descriptor(layer, "application/vnd.oci.image.layer.v1.tar")],
        **more,
    }
    return json.dumps(value).encode()


def index(*children: bytes) -> bytes:
    listed = [descriptor(child, OCI_MANIFEST) for child in children]
    return json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": listed}).encode()
