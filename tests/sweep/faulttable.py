"""Every way in which one request may go wrong, by name, and whether the push must get over it when it happens once."""

from __future__ import annotations

from dataclasses import dataclass

from equipment.faults import (
    Action,
    Answer,
    DropAfter,
    DropBefore,
    DropReply,
    FlipByte,
    Garbage,
    HalfClose,
    Headers,
    Http10Close,
    OtherDigest,
    Redirect,
    Repeat,
    Stall,
    StallReply,
    TruncateReply,
    Twice,
)

FOREVER_S = 3600.0
"""Longer than any test: the sandbox's stop ends such a stall."""


@dataclass(frozen=True, slots=True)
class Kind:
    """Hold one kind of fault. `passes` says that a push must get over it; else a clean error will do, too.

    `times` is how many requests in a row it hits; `tokens` says that it needs a registry with tokens. In texts
    ``{own}`` is the registry, ``{other}`` another one.
    """

    action: Action
    passes: bool = False
    times: int = 1
    tokens: bool = False

    @property
    def stalls(self) -> bool:
        """Say whether the client must wait for real before it notices."""
        return isinstance(self.action, Stall | StallReply)


def _answer(status: int, code: str = "", **more: object) -> Kind:
    passes, needs_tokens = bool(more.pop("passes", False)), bool(more.pop("tokens", False))
    return Kind(Answer(status, code=code, **more), passes, tokens=needs_tokens)  # type: ignore[arg-type]


def _location(text: str) -> Kind:
    return Kind(Headers({"Location": text}))


_INVALID = {"WWW-Authenticate": 'Bearer realm="{own}/token",service="oci-push-sandbox",error="invalid_token"'}
_NARROW = {
    "WWW-Authenticate": 'Bearer realm="{own}/token",service="s",scope="repository:x:pull",error="insufficient_scope"'
}
_JSON = {"Content-Type": "application/json"}

KINDS: dict[str, Kind] = {
    "close before the body": Kind(DropBefore(), passes=True),
    "reset before the body": Kind(DropBefore(reset=True), passes=True),
    "close in the middle of the body": Kind(DropAfter(100), passes=True),
    "reset in the middle of the body": Kind(DropAfter(100, reset=True), passes=True),
    "reset late in the body": Kind(DropAfter(9_000_000, reset=True), passes=True),
    "reset after the body": Kind(DropAfter(1 << 40, reset=True), passes=True),
    "answer lost": Kind(DropReply(), passes=True),
    "answer lost by a reset": Kind(DropReply(reset=True), passes=True),
    "no answer": Kind(Stall(FOREVER_S), passes=True),
    "answer stops in its head": Kind(StallReply(-1, FOREVER_S), passes=True),
    "answer stops after its head": Kind(StallReply(0, FOREVER_S)),
    "answer cut short": Kind(TruncateReply(5)),
    "400": _answer(400),
    "400 DIGEST_INVALID": _answer(400, "DIGEST_INVALID"),
    "400 MANIFEST_BLOB_UNKNOWN": _answer(400, "MANIFEST_BLOB_UNKNOWN"),
    "401": _answer(401),
    "401 invalid_token": _answer(401, headers=_INVALID, tokens=True),
    "401 insufficient_scope": _answer(401, headers=_NARROW, tokens=True),
    "401 before the body": _answer(401, headers=_INVALID, before_body=True, tokens=True),
    "403": _answer(403, "DENIED"),
    "403 before the body": _answer(403, "DENIED", before_body=True),
    "404": _answer(404),
    "404 BLOB_UPLOAD_UNKNOWN": _answer(404, "BLOB_UPLOAD_UNKNOWN"),
    "404 NAME_UNKNOWN": _answer(404, "NAME_UNKNOWN"),
    "405": _answer(405, "UNSUPPORTED"),
    "408": _answer(408, passes=True),
    "409": _answer(409),
    "413": _answer(413),
    "413 before the body": _answer(413, before_body=True),
    "416": _answer(416, "RANGE_INVALID"),
    "418": _answer(418),
    "429": _answer(429, "TOOMANYREQUESTS", passes=True),
    "429 Retry-After": _answer(429, headers={"Retry-After": "20"}, passes=True),
    "429 Retry-After as a date": _answer(429, headers={"Retry-After": "Tue, 14 Nov 2023 22:14:00 GMT"}, passes=True),
    "429 before the body": _answer(429, before_body=True, passes=True),
    "500": _answer(500, passes=True),
    "500 before the body": _answer(500, before_body=True, passes=True),
    "502": _answer(502, body=b"<html>bad gateway</html>", passes=True),
    "503": _answer(503, "UNAVAILABLE", passes=True),
    "503 Retry-After": _answer(503, headers={"Retry-After": "7"}, passes=True),
    "504": _answer(504, passes=True),
    "200 without a meaning": _answer(200),
    "202 without a meaning": _answer(202),
    "204": _answer(204),
    "garbage instead of HTTP": Kind(Garbage(), passes=True),
    "garbage JSON": _answer(200, headers=_JSON, body=b'{"errors": [{"code'),
    "garbage JSON in an error": _answer(400, headers=_JSON, body=b'{"errors": {"code": [null, 7]}}'),
    "deep JSON": _answer(200, headers=_JSON, body=b'{"a":' * 3000),
    "wrong digest header": Kind(Headers({"Docker-Content-Digest": f"sha256:{'0' * 64}"})),
    "digest header that is none": Kind(Headers({"Docker-Content-Digest": "sha256:\u00e4"})),
    "no Location": Kind(Headers(remove=("Location",))),
    "Location that is no URL": _location("http://[::1"),
    "Location with a bad port": _location("http://127.0.0.1:99999999/"),
    "Location of another scheme": _location("file:///etc/passwd"),
    "Location with spaces": _location("/v2/a b c\u00e9/"),
    "Location in the local link": _location("http://169.254.169.254/latest/meta-data"),
    "Location at another registry": _location("{other}/v2/stranger/blobs/uploads/x"),
    "Location that names the way up": _location("/../../../../v2/../x?y=/../"),
    "Range that is none": Kind(Headers({"Range": "0-99999999999999999999999"})),
    "Range that stands still": Kind(Headers({"Range": "0-0"})),
    "redirect loop": Kind(Redirect(307, "{path}"), times=11),
    "redirect to another host": Kind(Redirect(307, "{other}{{path}}")),
    "redirect to the local link": Kind(Redirect(302, "http://169.254.169.254{path}")),
    "redirect to nowhere": Kind(Redirect(301, "http://[/")),
    "HTTP/1.0 and close": Kind(Http10Close(), passes=True),
    "answer doubled": Kind(Twice(), passes=True),
    "byte of the body flipped": Kind(FlipByte(17, 0x29), passes=True),
    "first byte of the body flipped": Kind(FlipByte(0)),
    "last byte of the body flipped": Kind(FlipByte(-1)),
    "digest of the request flipped": Kind(OtherDigest()),
    "request repeated": Kind(Repeat()),
    "half closed before the answer": Kind(HalfClose("before"), passes=True),
    "half closed inside the body": Kind(HalfClose("inside", 100)),
    "half closed after the answer": Kind(HalfClose("after"), passes=True),
}
"""A byte that is flipped at 17 is white space of a manifest, which then is well-formed and another."""

MOMENTS: dict[str, Kind] = {
    "before the body": Kind(Stall(FOREVER_S)),
    "inside the body": Kind(Stall(FOREVER_S, after=100)),
    "before the answer": Kind(StallReply(-1, FOREVER_S)),
}
"""When a push may be stopped at a request, as what holds the registry there meanwhile."""
