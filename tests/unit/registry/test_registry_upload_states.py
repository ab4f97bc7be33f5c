"""A blob's upload through any sequence of things that may happen to it: the table of states, and walks through it."""

from __future__ import annotations

import enum
import hashlib
import re
from itertools import product
from typing import TypeVar, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oci_push.errors import Cancelled, NetworkError, OciPushError
from oci_push.events import ignore
from oci_push.model.descriptor import Descriptor
from oci_push.model.digest import Digest
from oci_push.model.reference import Repository
from oci_push.protocol.call import BytesBody, Call, Flow, Reply
from oci_push.protocol.error_responses import error_for
from oci_push.protocol.uploads import UploadMethod, UploadSession
from oci_push.providers.base import Capabilities
from oci_push.registry import upload_states
from oci_push.registry.capabilities import LearntCapabilities
from oci_push.registry.upload import BlobUpload
from oci_push.registry.upload_states import (
    Broke,
    Done,
    Event,
    InDoubt,
    Left,
    Opened,
    Opening,
    Resumed,
    Sending,
    Stands,
    State,
    Stored,
    Taken,
    after,
)
from oci_push.registry.upload_store import StoredUpload
from oci_push.runtime.clock import FakeClock
from oci_push.runtime.context import Context
from oci_push.runtime.retry import RetryPolicy
from oci_push.transport.session import Session

T = TypeVar("T")
HOST = "https://registry.test"
REPOSITORY = Repository("registry.test", "app")
DATA = bytes(range(256)) * 160
BLOB = Descriptor("x", Digest.of(DATA), len(DATA))
CHUNK = 8 * 1024
UPLOAD = UploadSession(f"{HOST}/up/0")
STATES: dict[str, State] = {
    "Opening": Opening(),
    "Sending": Sending(UPLOAD, 1),
    "InDoubt": InDoubt(UPLOAD, 1, 2),
    "Done": Done(),
}
EVENTS: dict[str, Event] = {
    "Opened": Opened(UPLOAD),
    "Taken": Taken(UPLOAD, 2),
    "Stored": Stored(),
    "Broke": Broke(1),
    "Stands": Stands(UPLOAD, 2),
    "Left": Left(),
    "Resumed": Resumed(UPLOAD, 1, 2),
}


def drawn() -> dict[tuple[str, str], str]:
    """Read the table as the module's docstring draws it."""
    rows = [re.split(r"\s{2,}", line.strip()) for line in str(upload_states.__doc__).splitlines() if "    " in line]
    head, *body = rows
    return {(row[0], event): cell for row in body for event, cell in zip(head[1:], row[1:], strict=True)}


@pytest.mark.parametrize(("state", "event"), list(product(STATES, EVENTS)))
def test_the_table_is_what_its_drawing_says(state: str, event: str) -> None:
    expected = drawn()[state, event]
    if expected == "·":
        with pytest.raises(RuntimeError, match="cannot meet"):
            after(STATES[state], EVENTS[event])
    else:
        assert type(after(STATES[state], EVENTS[event])).__name__ == expected


class Happening(enum.Enum):
    """What becomes of one request."""

    DONE = "done"
    NEVER_LEFT = "it never arrives"
    BROKE = "half of its body arrives"
    UNANSWERED = "it is done, and the answer is lost"
    NO_RANGE = "it is done, and the answer says nothing of bytes"
    LOST = "the session is gone"
    STOPPED = "somebody stops the push"
    S400 = "400"
    S401 = "401"
    S405 = "405"
    S409 = "409"
    S413 = "413"
    S416 = "416"
    S429 = "429"
    S500 = "500"
    S503 = "503"


class Registry:
    """A registry with sessions, to whose requests things happen."""

    def __init__(self, happenings: list[Happening], context: Context) -> None:
        self.happenings = list(happenings)
        self.context = context
        self.sessions: dict[str, bytearray] = {}
        self.known: set[str] = set()
        self.closed: set[str] = set()
        self.confirmed: dict[str, int] = {}
        self.blob: bytes | None = None
        self.requests = 0

    def open(self, content: bytes = b"") -> str:
        number = str(len(self.sessions) + len(self.closed) + self.requests + 1)
        self.sessions[number] = bytearray(content)
        return number

    def answer(self, context: Context, call: Call) -> Reply:
        context.check()
        self.requests += 1
        assert self.requests < 200, "the upload does not come to an end"
        happening = self.happenings.pop(0) if self.happenings else Happening.DONE
        session = call.url.split("?")[0].rpartition("/")[2] if "/up/" in call.url else ""
        if call.method == "DELETE":
            self.closed.add(session)
        if happening is Happening.LOST:
            self.sessions.pop(session, None)
        if happening is Happening.STOPPED:
            self.context.cancel(Cancelled())
            context.check()
        if happening is Happening.NEVER_LEFT:
            raise NetworkError("refused")
        if happening.value.isdigit():
            return Reply(int(happening.value), {}, call.url)
        content = b"".join(bytes(block) for block in call.body.blocks()) if call.body else b""
        if happening is Happening.BROKE:
            if call.method in ("PATCH", "PUT") and session in self.sessions:
                self.take(session, call, content[: len(content) // 2])
            raise NetworkError("broken")
        reply = self.act(call, session, content)
        if happening is Happening.UNANSWERED:
            raise NetworkError("lost")
        if call.method == "POST" and reply.status == 202:
            self.known.add(reply.headers["location"].rpartition("/")[2])
        if happening is Happening.NO_RANGE:
            return Reply(reply.status, {k: v for k, v in reply.headers.items() if k != "range"}, reply.url)
        if len(self.sessions.get(session, "")) > 1:  # of one byte the answer says nothing sure
            self.confirmed[session] = len(self.sessions[session])
        return reply

    def act(self, call: Call, session: str, content: bytes) -> Reply:
        stored = {"docker-content-digest": str(BLOB.digest), "content-length": str(BLOB.size)}
        if call.method == "HEAD":
            return Reply(200, stored, call.url) if self.blob is not None else Reply(404, {}, call.url)
        if call.method == "POST" and "digest=" in call.url:
            self.blob = content
            return Reply(201, stored, call.url)
        if call.method == "POST":
            return Reply(202, {"location": f"{HOST}/up/{self.open()}"}, call.url)
        if session not in self.sessions:
            return Reply(404, {}, call.url)
        if call.method == "DELETE":
            del self.sessions[session]
            return Reply(204, {}, call.url)
        if call.method != "GET" and not self.take(session, call, content):
            return Reply(416, {}, call.url)
        if call.method == "PUT":
            whole = bytes(self.sessions.pop(session))
            if hashlib.sha256(whole).hexdigest() != BLOB.digest.encoded:
                return Reply(400, {}, call.url, b'{"errors": [{"code": "DIGEST_INVALID"}]}')
            self.blob = whole
            return Reply(201, stored, call.url)
        end = max(0, len(self.sessions[session]) - 1)
        return Reply(202 if call.method == "PATCH" else 204, {"location": call.url, "range": f"0-{end}"}, call.url)

    def take(self, session: str, call: Call, content: bytes) -> bool:
        held = self.sessions[session]
        start = int(call.headers.get("Content-Range", "0-").partition("-")[0])
        assert start >= self.confirmed.get(session, 0) or not content, "a confirmed byte is sent again"
        if start != len(held) and content:
            return False
        held += content
        return True


class OneSession:
    """What an upload needs of a session, over the registry above."""

    has_answered = True

    def __init__(self, registry: Registry) -> None:
        self.registry = registry

    def run_without_retry(self, context: Context, flow: Flow[T]) -> T:
        try:
            call = next(flow)
            while True:
                try:
                    reply = self.registry.answer(context, call)
                    if reply.status not in call.ok_statuses:
                        raise error_for(call, reply, lambda: 0.0)
                except OciPushError as error:
                    call = flow.throw(error)
                else:
                    call = flow.send(reply)
        except StopIteration as end:
            return cast(T, end.value)

    run = run_without_retry

    def bounded(self, policy: RetryPolicy) -> RetryPolicy:
        return policy

    def gave_up(self, error: OciPushError) -> None:
        pass

    def note_speed(self, bytes_per_s: float) -> None:
        pass


class Notes:
    """The entry of an upload store, which checks what is noted against what the registry holds."""

    def __init__(self, registry: Registry, found: tuple[UploadSession, int] | None) -> None:
        self.registry = registry
        self.kept = found

    def find(self) -> tuple[UploadSession, int] | None:
        return self.kept

    def note(self, upload: UploadSession, confirmed: int) -> None:
        session = upload.location.rpartition("/")[2]
        held = self.registry.sessions.get(session)
        assert held is None or len(held) >= confirmed, "more is noted than there is"
        self.kept = upload, confirmed

    def forget(self) -> None:
        self.kept = None

    def release(self) -> None:
        pass


METHODS = {
    "chunked": Capabilities(chunk_max_bytes=CHUNK),
    "monolithic": Capabilities(),
    "streamed": Capabilities(upload=UploadMethod.STREAMED, chunks=False),
    "in one request": Capabilities(single_post=True),
}


@settings(max_examples=400, deadline=None)
@given(
    happenings=st.lists(st.sampled_from([*Happening, *[Happening.DONE] * 8]), max_size=14),
    method=st.sampled_from(sorted(METHODS)),
    is_kept=st.booleans(),
    is_given=st.booleans(),
    left=st.none() | st.integers(0, 4).map(lambda chunks: chunks * CHUNK),
)
def test_any_walk_ends_with_the_blob_or_an_error_and_every_session_accounted_for(
    happenings: list[Happening], method: str, is_kept: bool, is_given: bool, left: int | None
) -> None:
    context = Context(FakeClock())
    registry = Registry(happenings, context)
    opened = None
    if is_given:
        registry.known.add(number := registry.open())
        opened = UploadSession(f"{HOST}/up/{number}")
    found = None
    if left is not None and is_kept:
        registry.known.add(number := registry.open(DATA[:left]))
        found = UploadSession(f"{HOST}/up/{number}"), left
    notes = Notes(registry, found)
    remembered = {"single_post": "yes"} if method == "in one request" else {}
    upload = BlobUpload(
        cast(Session, OneSession(registry)),  # all that an upload asks of a session
        REPOSITORY,
        BLOB,
        BytesBody(DATA),
        LearntCapabilities(METHODS[method], find=remembered.get, note=lambda *_: None, lasts=True),
        given=opened,
        entry=cast(StoredUpload, notes) if is_kept else None,  # the same
        emit=ignore,
    )

    try:
        upload.run(context, RetryPolicy(attempts=4), lambda: 0.5)
    except OciPushError:
        pass
    else:
        assert registry.blob == DATA

    kept = {notes.kept[0].location.rpartition("/")[2]} if is_kept and notes.kept else set()
    assert registry.sessions.keys() & registry.known <= registry.closed | kept
