"""Requests on their way out: what of a call is sent, and where to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from oci_push.errors import CredentialsError, OciPushError, ProtocolViolationError
from oci_push.protocol.call import Body, Call
from oci_push.protocol.endpoints import bare
from oci_push.runtime.context import Context
from oci_push.transport.limits import Bandwidth

_SECRET_HEADERS = ("Authorization", "X-IDENTITY-HEADER")


def body_blocks(body: Body, context: Context, bandwidth: Bandwidth) -> Iterator[bytes | memoryview]:
    """Return the blocks of `body` within `bandwidth`, stopping between them when `context` has ended."""
    # A view goes to the socket as it is; h11 only asks for its length.
    return bandwidth.paced(body, context)


def leave_secrets_behind(call: Call, headers: dict[str, str], url: str) -> None:
    """Make a call of ours fit to be sent to another origin than it was meant for, or refuse."""
    if "urlencoded" in headers.get("Content-Type", ""):
        raise ProtocolViolationError(
            f"{call.what or bare(call.url)}: points at {url}, where its form with secrets is not sent; refused"
        )
    for name in _SECRET_HEADERS:
        headers.pop(name, None)


def check_headers(subject: str, headers: Mapping[str, str], who: str) -> None:
    """Refuse what no header can carry (RFC 9110 5.5), without showing it; `who` is whose Authorization it is.

    What is read from files, helpers and answers is checked there; this is the last door, and no fault of the network.
    """
    for name, value in headers.items():
        if value.isascii() and value.isprintable() and value == value.strip():
            continue
        if name in _SECRET_HEADERS:
            raise CredentialsError(
                f"{subject}: the login{f' ({who})' if who else ''} holds a character that no request can carry",
                hint="is there a line end or a blank before or after the password or token?",
            )
        raise OciPushError(f"{subject}: the request's {name} holds a character that no request can carry")
