"""Answers that are errors, their waits and their warnings, and what token servers say: read without fail."""

from __future__ import annotations

import math

from fuzzing import run

from oci_push.errors import CredentialsError, RegistryError
from oci_push.protocol import tokens
from oci_push.protocol.call import Call, Reply
from oci_push.protocol.challenge import Challenge
from oci_push.protocol.error_responses import error_for
from oci_push.protocol.notices import warnings

CHALLENGE = Challenge("bearer", {"realm": "https://auth.test/token", "service": "s"})


def target(data: bytes) -> None:
    """Take the first line as a header's value, the rest as a body."""
    header, _, body = data.partition(b"\n")
    value = header.decode("latin-1")
    pairs = tuple((name, value) for name in ("retry-after", "warning", "www-authenticate", "content-type"))
    for status in (200, 400, 401, 404, 429, 503):
        reply = Reply(status, dict(pairs), "https://registry.test/v2/", body, pairs)
        error = error_for(Call("GET", "/v2/", what="x"), reply, lambda: 1_700_000_000.0)
        assert len(str(error)) < 4096
        assert str(error).isprintable()
        assert error.retry_after_s is None or error.retry_after_s >= 0
    assert all(text.isprintable() for text in warnings(reply))
    _token(Reply(200, {}, "https://auth.test/token", body))


def _token(reply: Reply) -> None:
    flow = tokens.request(CHALLENGE, ("repository:a:pull",), None, 0.0)
    next(flow)
    try:
        flow.send(reply)
    except StopIteration as end:
        assert end.value.text.reveal().isascii()
        assert 0 < end.value.expires_at < math.inf
        tokens.granted(end.value.text)
    except (CredentialsError, RegistryError):
        return


if __name__ == "__main__":
    run(target, "answer")
