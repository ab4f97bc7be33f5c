"""Drive a protocol flow with scripted answers and keep the calls it made."""

from __future__ import annotations

from typing import TypeVar

from oci_push.errors import OciPushError
from oci_push.protocol.call import Call, Flow, Reply
from oci_push.protocol.error_responses import error_for

T = TypeVar("T")


def drive(flow: Flow[T], *replies: Reply | OciPushError) -> tuple[T, list[Call]]:
    """Answer each call with the next reply, as a session would; gives the result and the calls."""
    script = list(replies)
    calls: list[Call] = []
    try:
        call = next(flow)
        while True:
            calls.append(call)
            answer = script.pop(0)
            if isinstance(answer, Reply) and answer.status not in call.ok_statuses:
                answer = error_for(call, answer, lambda: 0.0)
            call = flow.throw(answer) if isinstance(answer, OciPushError) else flow.send(answer)
    except StopIteration as end:
        assert not script, "the flow ended before the script"
        return end.value, calls


def reply(status: int, body: bytes = b"", url: str = "https://registry.test/v2/a/x", **headers: str) -> Reply:
    """Make an answer; underscores in header names stand for dashes."""
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    return Reply(status, named, url, body, tuple(named.items()))
