"""ECR's data plane for tests: Debian's registry, one for a region, behind ECR's host names and ECR's manners.

Clients reach it as their https proxy: a CONNECT to an ECR host is answered here, with a certificate for that name,
and what follows goes to the region's registry. So names, TLS and logins are as in the real thing, on loopback.
"""

from __future__ import annotations

import http.client
import json
import re
import shutil
import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from awsservice import ACCOUNT, AwsService
from certificates import Certificate
from registries import DebianRegistry
from serving import end, serving

_MANIFEST = re.compile(r"/v2/(?P<name>.+)/manifests/(?P<target>[^/]+)")
_NAME = re.compile(r"/v2/(?P<name>.+?)/(?:manifests|blobs|tags)/")
_HOP = {"connection", "transfer-encoding", "keep-alive", "date", "server"}


def host_of(region: str, account: str = ACCOUNT) -> str:
    """Give the host of an account's registry in a region; all accounts share one registry here."""
    return f"{account}.dkr.ecr.{region}.amazonaws.com"


@dataclass
class Refusal:
    """Answer the next request whose method and path match with an error instead of passing it on."""

    method: str
    path: str
    status: int
    code: str
    text: str


@dataclass
class EcrFront:
    """Serve `registries` by region; `seen` lists what came, as ``REGION METHOD PATH STATUS``.

    `connects` lists the hosts that somebody wanted to reach, those that are not served included.
    """

    registries: Mapping[str, DebianRegistry]
    aws: AwsService
    certificate: Certificate
    seen: list[str] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    connects: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._context = self.certificate.server_context()
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = serving(self._server, 0.05)
        self._thread.start()

    @property
    def url(self) -> str:
        """Give what ``HTTPS_PROXY`` names."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def stop(self) -> None:
        """Close the port."""
        end(self._server, self._thread)

    def count(self, pattern: str) -> int:
        """Count the requests that match."""
        return sum(1 for line in self.seen if re.search(pattern, line))

    def replicate(self, path: str, source: str, target: str, *, without_tag: str = "") -> None:
        """Copy a repository from one region's registry to another's, as ECR does behind the scenes."""
        come, go = (self.registries[region]._folder / "content/docker/registry/v2" for region in (source, target))
        for part in ("blobs", f"repositories/{path}"):
            skip = shutil.ignore_patterns(without_tag) if without_tag else None
            shutil.copytree(come / part, go / part, dirs_exist_ok=True, ignore=skip)

    def answer(
        self, region: str, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        """Answer as ECR would, or hand the request to the region's registry."""
        with self._lock:
            refusal = next((r for r in self.refusals if r.method == method and re.search(r.path, path)), None)
            if refusal is not None:
                self.refusals.remove(refusal)
        if refusal is not None:
            return _refuse(refusal.status, refusal.code, refusal.text)
        if "authorization" in {name.lower() for name in headers}:
            name = _NAME.match(path)
            if name and (region, name["name"]) not in self.aws.repositories:
                return _refuse(404, "NAME_UNKNOWN", f"The repository with name '{name['name']}' does not exist")
            manifest = _MANIFEST.fullmatch(path)
            if method == "PUT" and manifest and self._is_taken(region, manifest, headers):
                return _refuse(
                    400, "TAG_INVALID", f"The image tag '{manifest['target']}' already exists and cannot be overwritten"
                )
        if "mount=" in path and self.aws.blob_mounting == "DISABLED":
            path = path.partition("?")[0]
        return self._pass_on(region, method, path, headers, body)

    def _is_taken(self, region: str, manifest: re.Match[str], headers: Mapping[str, str]) -> bool:
        repository = self.aws.repositories[region, manifest["name"]]
        if repository.get("imageTagMutability") != "IMMUTABLE" or ":" in manifest["target"]:
            return False
        wanted = {"Authorization": headers["Authorization"], "Accept": headers["Content-Type"]}
        return self._pass_on(region, "HEAD", manifest[0], wanted, b"")[0] == 200

    def _pass_on(
        self, region: str, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.registries[region].port, timeout=300)
        try:
            connection.request(method, path, body, {k: v for k, v in headers.items() if k.lower() not in _HOP})
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            connection.close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        front = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            region = ""

            def do_CONNECT(self) -> None:
                front.connects.append(self.path)
                named = re.match(r"\d{12}\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com:443$", self.path)
                if named is None or named[1] not in front.registries:
                    self.send_error(502, "no such registry")
                    return
                self.region = named[1]
                self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
                self.connection = front._context.wrap_socket(self.connection, server_side=True)
                self.rfile = self.connection.makefile("rb", -1)
                self.wfile = self.connection.makefile("wb", 0)
                self.close_connection = False

            def _any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                status, headers, answer = front.answer(
                    self.region, self.command, self.path, dict(self.headers.items()), body
                )
                front.seen.append(f"{self.region} {self.command} {self.path} {status}")
                self.send_response(status)
                for name, value in headers:
                    if name.lower() not in _HOP and not (name.lower() == "content-length" and self.command != "HEAD"):
                        self.send_header(name, value)
                if self.command != "HEAD":
                    self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(answer)

            do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _any

            def handle(self) -> None:
                try:
                    super().handle()
                except (OSError, ssl.SSLError):
                    return  # the client went away
                finally:
                    if self.connection is not self.request:
                        self.connection.close()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        return Handler


def _refuse(status: int, code: str, text: str) -> tuple[int, list[tuple[str, str]], bytes]:
    body = json.dumps({"errors": [{"code": code, "message": text}]}).encode()
    return status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))], body
