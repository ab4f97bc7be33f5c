"""Push one tiny image with the standard library's HTTP client: the harness is proved without our own code."""

from __future__ import annotations

import hashlib
import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from registries import DebianRegistry

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
CONFIG = b'{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}'


@dataclass(frozen=True, slots=True)
class Answer:
    """Hold an answer whose body has been read; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def codes(self) -> list[str]:
        """Give the error codes in the body."""
        return [error["code"] for error in json.loads(self.body)["errors"]]


def ask(
    connection: http.client.HTTPConnection,
    method: str,
    target: str,
    *,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Send one request and read its answer."""
    connection.request(method, target, body, dict(headers or {}))
    reply = connection.getresponse()
    return Answer(reply.status, {name.lower(): value for name, value in reply.getheaders()}, reply.read())


def ask_once(registry: DebianRegistry, method: str, target: str, *, headers: Mapping[str, str] | None = None) -> Answer:
    """Send one request without a body on a connection of its own."""
    connection = registry.connection()
    try:
        return ask(connection, method, target, headers=headers)
    finally:
        connection.close()


def digest(data: bytes) -> str:
    """Give the digest as registries write it."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def push_tiny(
    registry: DebianRegistry, name: str, tag: str, *, authorization: str | None = None
) -> tuple[str, list[int]]:
    """Push an image without layers; give its digest and the statuses of POST, PUT (blob) and PUT (manifest)."""
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": digest(CONFIG),
                "size": len(CONFIG),
            },
            "layers": [],
        }
    ).encode()
    headers = {"Authorization": authorization} if authorization else {}
    connection = registry.connection()
    try:
        opened = ask(connection, "POST", f"/v2/{name}/blobs/uploads/", headers=headers)
        if opened.status != 202:
            return digest(manifest), [opened.status]
        place = urlsplit(opened.headers["location"])
        target = f"{place.path}?{place.query}&digest={digest(CONFIG)}"
        stored = ask(connection, "PUT", target, body=CONFIG, headers=headers)
        typed = {**headers, "Content-Type": MANIFEST_TYPE}
        tagged = ask(connection, "PUT", f"/v2/{name}/manifests/{tag}", body=manifest, headers=typed)
    finally:
        connection.close()
    return digest(manifest), [opened.status, stored.status, tagged.status]
