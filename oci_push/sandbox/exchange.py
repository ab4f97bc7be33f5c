"""One request and its answer as the sandbox's handlers see them, and refusals in the specification's JSON form.

Sockets and HTTP syntax are the business of `connection`; nothing here does I/O.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from oci_push.model.manifest import json_bytes
from oci_push.sandbox.body import RequestBody


class FileSlice(Struct, frozen=True):
    """Part of a file that is sent as an answer's body, in bytes."""

    path: Path
    start: int
    length: int


class Response(Struct, frozen=True):
    """An answer; its body is `file` where given, else `body`. Content-Length is added when it is sent."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    file: FileSlice | None = None

    @property
    def length(self) -> int:
        """Return the number of bytes of the body."""
        return self.file.length if self.file else len(self.body)

    def with_headers(self, *headers: tuple[str, str]) -> Response:
        """Return the same answer with more headers."""
        return Response(self.status, self.headers + headers, self.body, self.file)


class Complaint(Struct, frozen=True):
    """One entry of an error body: the specification's `code`, a sentence, and any JSON as `detail`."""

    code: str
    message: str
    detail: object = None


class Refusal(Exception):
    """Leave a handler with an error answer (distribution-spec, "Error Codes")."""

    def __init__(self, status: int, *complaints: Complaint, headers: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(f"{status} {', '.join(c.code for c in complaints)}")
        self.status = status
        self.complaints = complaints
        self.headers = headers

    @property
    def response(self) -> Response:
        """Return the answer to send."""
        errors = [{"code": c.code, "message": c.message, "detail": c.detail} for c in self.complaints]
        return json_response(self.status, {"errors": errors}, *self.headers)


class Exchange(Struct, frozen=True):
    """One request: `path` is decoded, `query` too, `headers` have lower-case names.

    `origin` is the scheme and host the client believes to talk to, as its Host header says.
    """

    method: str
    path: str
    query: Mapping[str, tuple[str, ...]]
    headers: Mapping[str, str]
    body: RequestBody
    origin: str

    def first(self, name: str) -> str:
        """Return the first value of a query parameter, or nothing."""
        return self.query.get(name, ("",))[0]

    def location(self, path: str) -> str:
        """Return the value of a Location header for `path`."""
        return self.origin + path


def refuse(status: int, code: str, message: str, detail: object = None) -> Refusal:
    """Return a refusal with one complaint."""
    return Refusal(status, Complaint(code, message, detail))


def json_response(status: int, value: object, *headers: tuple[str, str], media_type: str = "") -> Response:
    """Return an answer with a JSON body."""
    body = json_bytes(value)
    return Response(status, (("Content-Type", media_type or "application/json"), *headers), body)
