"""AWS for tests: moto in server mode, and before it a thin shim for what moto lacks or cannot be told to do.

The shim answers replication (rules and status), account settings, layer availability and ECR Public's token itself,
refuses or throttles what a test says, keeps a list of the calls, and hands the rest to moto as it is.
"""

from __future__ import annotations

import http.client
import json
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from programs import clean_environment
from registries import find_free_port
from serving import end, serving

ACCOUNT, PARTNER = "123456789012", "210987654321"
PASSWORD = f"{ACCOUNT}-auth-token"
"""What moto hands out for the account of keys that belong to no role."""
_START_LIMIT_S = 30.0
_ECR = "AmazonEC2ContainerRegistry_V20150921."
_PUBLIC = "SpencerFrontendService."

Answer = Callable[[str, dict[str, object]], object]
"""Gives the members of an answer for the region and the members of a call."""


class AwsError(Exception):
    """Let an answer be an error: AWS's code, what it says, and the status."""

    def __init__(self, code: str, text: str = "no", status: int = 400) -> None:
        super().__init__(code)
        self.code = code
        self.text = text
        self.status = status


class Moto:
    """Run moto's server as a child process."""

    def __init__(self, folder: Path) -> None:
        self.port = find_free_port()
        program = Path(sys.executable).with_name("moto_server")
        with (folder / "moto.log").open("wb") as log:
            self._child = subprocess.Popen(
                [program, "-H", "127.0.0.1", "-p", str(self.port)],
                env=clean_environment(folder / "home"),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        limit = threading.Event()
        for _ in range(int(_START_LIMIT_S / 0.1)):
            if self._is_ready():
                return
            limit.wait(0.1)
        pytest.fail(f"moto did not start:\n{(folder / 'moto.log').read_text()}", pytrace=False)

    def _is_ready(self) -> bool:
        try:
            return self.send("GET", "/moto-api/", {}, b"")[0] == 200
        except OSError:
            return False

    def reset(self) -> None:
        """Forget every account."""
        self.send("POST", "/moto-api/reset", {"Content-Length": "0"}, b"")

    def send(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        """Hand on one request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def stop(self) -> None:
        """End it."""
        self._child.terminate()
        self._child.wait(10)


class AwsService:
    """The shim: `url` is what ``AWS_ENDPOINT_URL`` names, `calls` what came, as ``REGION OPERATION``.

    `answers` are operations that a test answers itself, by name; `once` those that fail the next time only.
    """

    def __init__(self, moto: Moto) -> None:
        moto.reset()
        self.calls: list[str] = []
        self.parameters: list[dict[str, object]] = []
        self.answers: dict[str, Answer] = {
            "GetAccountSetting": lambda _, __: {"name": "BLOB_MOUNTING", "value": self.blob_mounting},
            "PutReplicationConfiguration": self._put_rules,
            "DescribeRegistry": lambda region, _: {
                "registryId": ACCOUNT,
                "replicationConfiguration": {"rules": self.rules.get(region, [])},
            },
        }
        self.once: dict[str, list[AwsError]] = {}
        self.blob_mounting = "ENABLED"
        self.rules: dict[str, object] = {}
        self.repositories: dict[tuple[str, str], dict[str, object]] = {}
        self._moto = moto
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = serving(self._server, 0.05)
        self._thread.start()

    @property
    def url(self) -> str:
        """Give the endpoint of every service."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def named(self, operation: str) -> list[str]:
        """Give the regions in which an operation was called, in order."""
        return [call.split()[0] for call in self.calls if call.split()[1] == operation]

    def sent(self, operation: str) -> list[dict[str, object]]:
        """Give the members of the calls of an operation."""
        both = zip(self.calls, self.parameters, strict=True)
        return [parameters for call, parameters in both if call.split()[1] == operation]

    def create(self, region: str, path: str, settings: Mapping[str, object]) -> None:
        """Make a repository behind the scenes: no call is counted."""
        members = {"repositoryName": path, **settings}
        headers = {
            "X-Amz-Target": f"{_ECR}CreateRepository",
            "Content-Type": "application/x-amz-json-1.1",
            "Authorization": f"AWS4-HMAC-SHA256 Credential=AKIATEST/20260101/{region}/ecr/aws4_request, "
            "SignedHeaders=host, Signature=none",
        }
        status, _, answer = self._moto.send("POST", "/", headers, json.dumps(members).encode())
        assert status == 200, answer
        self.repositories[region, path] = members

    def stop(self) -> None:
        """Close the port."""
        end(self._server, self._thread)

    def answer(self, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        """Answer one request, or hand it to moto."""
        operation, members = _read(headers, body)
        found = re.search(r"Credential=[^/]+/\d+/([^/]+)/", headers.get("Authorization", ""))
        region = found[1] if found else "-"
        with self._lock:
            self.calls.append(f"{region} {operation}")
            self.parameters.append(members)
            errors = self.once.get(operation, [])
            error = errors.pop(0) if errors else None
        try:
            if error is not None:
                raise error
            if operation in self.answers:
                return _json(200, self.answers[operation](region, members))
        except AwsError as refusal:
            is_query = "X-Amz-Target" not in headers
            return (
                _xml(refusal) if is_query else _json(refusal.status, {"__type": refusal.code, "message": refusal.text})
            )
        done = self._moto.send("POST", "/", headers, body)
        if operation == "CreateRepository" and done[0] == 200:
            self.repositories[region, str(members["repositoryName"])] = members
        return done

    def _put_rules(self, region: str, members: dict[str, object]) -> object:
        configuration = members["replicationConfiguration"]
        assert isinstance(configuration, dict)
        self.rules[region] = configuration["rules"]
        return {"replicationConfiguration": configuration}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                status, headers, answer = service.answer(dict(self.headers.items()), body)
                self.send_response(status)
                self.send_header("Content-Type", headers.get("Content-Type", "application/x-amz-json-1.1"))
                self.send_header("x-amzn-RequestId", "test")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        return Handler


def _read(headers: dict[str, str], body: bytes) -> tuple[str, dict[str, object]]:
    target = headers.get("X-Amz-Target", "")
    if target:
        return target.removeprefix(_ECR).removeprefix(_PUBLIC), json.loads(body or b"{}")
    form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
    return form.get("Action", ""), dict(form)


def _json(status: int, value: object) -> tuple[int, dict[str, str], bytes]:
    return status, {"Content-Type": "application/x-amz-json-1.1"}, json.dumps(value).encode()


def _xml(refusal: AwsError) -> tuple[int, dict[str, str], bytes]:
    text = (
        '<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>'
        f"<Code>{refusal.code}</Code><Message>{refusal.text}</Message></Error></ErrorResponse>"
    )
    return refusal.status, {"Content-Type": "text/xml"}, text.encode()
