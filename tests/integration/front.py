"""A way to Debian's registry on which every fault of the sandbox can be met: HTTP in front, the real thing behind.

The sandbox's own connections act the faults out; what they would ask its router is asked of the registry. What the
registry holds is looked at in its files, past what it says.
"""

from __future__ import annotations

import http.client
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlencode

from equipment.connection import FaultyListener, FaultyService
from equipment.faults import FaultScript
from equipment.traffic import Traffic
from registries import DebianRegistry

from oci_push.model.digest import Digest
from oci_push.sandbox.body import BodyBrokenError
from oci_push.sandbox.exchange import Exchange, Response
from oci_push.sandbox.store import StoredManifest
from oci_push.sandbox.uploads import UploadInfo

_OF_ONE_HOP = {"connection", "transfer-encoding", "expect", "date", "server", "keep-alive"}


class RegistryFront:
    """Stand before a registry, as a world of the sweeps; `stop` it before the registry."""

    def __init__(self, registry: DebianRegistry, content: Path) -> None:
        self.faults = FaultScript()
        self.traffic = Traffic()
        self.store = RegistryFiles(content / "docker" / "registry" / "v2")
        self._problems: list[Exception] = []
        service = FaultyService(
            _Forwarder(registry.port).answer,
            threading.Event(),
            self._problems.append,
            traffic=self.traffic,
            script=self.faults,
        )
        self._listener = FaultyListener(0, service)
        host, port = self._listener.socket.getsockname()[:2]
        self.address = f"{host}:{port}"
        self.url = f"http://{self.address}"
        self._listener.begin()

    @property
    def problems(self) -> tuple[Exception, ...]:
        """Give what went wrong in passing on, which is no fault of the client's."""
        return tuple(self._problems)

    def stop(self) -> None:
        """End every connection."""
        self._listener.end()


class _Forwarder:
    """Pass each request on, on a connection of its own; a body that breaks off breaks off behind, too."""

    def __init__(self, port: int) -> None:
        self._port = port

    def answer(self, exchange: Exchange) -> Response:
        pairs = [(name, value) for name, values in exchange.query.items() for value in values]
        target = quote(exchange.path, safe="/:") + (f"?{urlencode(pairs)}" if pairs else "")
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=300)
        try:
            connection.putrequest(exchange.method, target, skip_host=True, skip_accept_encoding=True)
            for name, value in exchange.headers.items():
                if name not in _OF_ONE_HOP:
                    connection.putheader(name, value)
            connection.endheaders()
            for block in exchange.body.blocks():
                connection.send(bytes(block))
            reply = connection.getresponse()
            headers = tuple((name, value) for name, value in reply.getheaders() if name.lower() not in _OF_ONE_HOP)
            return Response(reply.status, headers, reply.read())
        except (OSError, http.client.HTTPException) as problem:
            raise BodyBrokenError(str(problem)) from problem  # the registry hung up: so do we
        finally:
            connection.close()


class RegistryFiles:
    """Read and write the files of distribution's filesystem driver below `root`."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def tags(self, repository: str) -> tuple[str, ...]:
        """Give the tags of a repository, sorted."""
        folder = self._of(repository) / "_manifests" / "tags"
        return tuple(sorted(tag.name for tag in folder.iterdir() if _link(tag / "current"))) if folder.exists() else ()

    def uploads(self) -> tuple[UploadInfo, ...]:
        """Give the uploads that are open."""
        return tuple(self._uploads())

    def manifest(self, repository: str, reference: Digest | str) -> bytes | None:
        """Give the bytes of a manifest named by tag or digest."""
        place = self._of(repository) / "_manifests"
        named = str(reference)
        if ":" not in named:
            named = _link(place / "tags" / named / "current")
        algorithm, _, encoded = named.partition(":")
        if not named or not _link(place / "revisions" / algorithm / encoded):
            return None
        return self._data(Digest.parse(named)).read_bytes()

    def blob_path(self, repository: str, digest: Digest | str) -> Path:
        """Give the file that holds a blob, or would."""
        digest = digest if isinstance(digest, Digest) else Digest.parse(digest)
        layer = self._of(repository) / "_layers" / digest.algorithm / digest.encoded
        return self._data(digest) if _link(layer) else layer / "absent"

    def add_blob(self, repository: str, digest: Digest, file: Path) -> None:
        """Move a complete file into a repository."""
        self._data(digest).parent.mkdir(parents=True, exist_ok=True)
        file.replace(self._data(digest))
        _write_link(self._of(repository) / "_layers" / digest.algorithm / digest.encoded, digest)

    def add_manifest(self, repository: str, stored: StoredManifest, raw: bytes, tags: tuple[str, ...]) -> None:
        """Keep a manifest and point `tags` at it."""
        digest, place = stored.descriptor.digest, self._of(repository) / "_manifests"
        self._data(digest).parent.mkdir(parents=True, exist_ok=True)
        self._data(digest).write_bytes(raw)
        _write_link(place / "revisions" / digest.algorithm / digest.encoded, digest)
        for tag in tags:
            _write_link(place / "tags" / tag / "index" / digest.algorithm / digest.encoded, digest)
            _write_link(place / "tags" / tag / "current", digest)

    def _of(self, repository: str) -> Path:
        return self._root / "repositories" / repository

    def _data(self, digest: Digest) -> Path:
        return self._root / "blobs" / digest.algorithm / digest.encoded[:2] / digest.encoded / "data"

    def _uploads(self) -> Iterator[UploadInfo]:
        top = self._root / "repositories"
        for folder, folders, _ in os.walk(top):
            is_uploads = folder.endswith("/_uploads")
            # A session that was closed leaves its hash behind, written after all else was deleted.
            for name in [n for n in folders if Path(folder, n, "startedat").exists()] if is_uploads else ():
                yield UploadInfo(name, Path(folder).parent.relative_to(top).as_posix(), 0)
            folders[:] = [name for name in folders if name not in ("_manifests", "_layers")]


def _link(folder: Path) -> str:
    try:
        return (folder / "link").read_text()
    except FileNotFoundError:
        return ""


def _write_link(folder: Path, digest: Digest) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "link").write_text(str(digest))
