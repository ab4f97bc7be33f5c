"""The API's root (end-1): is this a registry, and does it know us."""

from __future__ import annotations

from msgspec import Struct

from oci_push.errors import NotFoundError, ProtocolViolationError
from oci_push.protocol.call import Call, Flow
from oci_push.protocol.notices import rate_limits


class ApiVersionCheck(Struct, frozen=True):
    """What a registry says of itself: its time of day (seconds since 1970, if told), and its limits."""

    moment: float | None = None
    limits: str = ""


def ping(host: str) -> Flow[ApiVersionCheck]:
    """Ask for ``/v2/``; `host` begins the messages. Whoever answers 404 is no registry."""
    try:
        reply = yield Call("GET", "/v2/", what=host)
    except NotFoundError as error:
        raise ProtocolViolationError(
            f"{host}: is not a registry, /v2/ answered 404",
            hint="check the host's name; some registries have a port of their own",
            status=error.status,
        ) from error
    return ApiVersionCheck(_moment(reply.headers.get("date", "")), rate_limits(reply))


def _moment(text: str) -> float | None:
    from email.utils import parsedate_to_datetime

    try:
        return parsedate_to_datetime(text).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None
