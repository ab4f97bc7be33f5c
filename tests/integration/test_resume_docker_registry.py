"""Uploads to Debian's registry over a line that breaks, crawls and freezes, and past its own death.

It cannot go on with a body that broke off (2.8.2 answers 404), so what is proved here is that this costs a request and
the bytes, and never the push; going on is proved against the sandbox.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from images import Layout, make_raw_layout, noise
from proxy import TcpProxy
from registries import DebianRegistry, Mode

from oci_push import push
from oci_push.engine.pusher import Environment, Options, Pusher
from oci_push.errors import Cancelled
from oci_push.events import BlobProgress, Event, LogMessage, RetryScheduled
from oci_push.model.reference import Destination, Reference
from oci_push.runtime.clock import SystemClock
from oci_push.runtime.context import Context
from oci_push.runtime.retry import RetryPolicy
from oci_push.transport.settings import TransportSettings

MIB = 1024 * 1024
SIZE = 40 * MIB
PATIENT = RetryPolicy(attempts=4, base_s=0.05, patience_s=60)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    return make_raw_layout(tmp_path_factory.mktemp("image") / "layout", noise(SIZE))


@pytest.fixture
def registry(make_registry: Callable[[Mode], DebianRegistry]) -> DebianRegistry:
    return make_registry(Mode())


@pytest.fixture
def line(registry: DebianRegistry) -> Iterator[TcpProxy]:
    """Give a breakable way to the registry."""
    with TcpProxy(registry.port) as passing:
        yield passing


class Log:
    """Keep the retries, and act once when so many bytes of the large blob are on their way."""

    def __init__(self, at: int = 0, act: Callable[[], None] = lambda: None) -> None:
        self.retries: list[RetryScheduled] = []
        self.on_retry: Callable[[], None] = lambda: None
        self._at = at
        self._act = act

    def __call__(self, event: Event) -> None:
        if isinstance(event, RetryScheduled):
            self.retries.append(event)
            self.on_retry()
        if isinstance(event, BlobProgress) and self._at and event.sent_bytes >= self._at:
            self._at = 0
            self._act()


def send(image: Layout, host: str, log: Log, stall_s: float = 30.0) -> None:
    transport = TransportSettings(stall_s=stall_s, call_retry=PATIENT)
    options = Options(remember=False, blob_retry=PATIENT, transport=transport)
    push(f"oci:{image.path}", f"{host}/a:1", options=options, on_event=log)


def is_there(registry: DebianRegistry, image: Layout) -> bool:
    """Ask the registry itself, past the line, for the manifest and every blob."""
    connection = registry.connection()
    asked = [f"manifests/{Reference.parse(f'x/a@{image.digest}').target}", *(f"blobs/{name}" for name in image.blobs)]
    statuses = []
    for path in asked:
        connection.request("HEAD", f"/v2/a/{path}", headers={"Accept": "application/vnd.oci.image.manifest.v1+json"})
        reply = connection.getresponse()
        reply.read()
        statuses.append(reply.status)
    connection.close()
    return statuses == [200] * len(asked)


def bodies(registry: DebianRegistry) -> list[tuple[str, int]]:
    return [(r.method, r.status) for r in registry.requests() if "/blobs/uploads/" in r.path]


def test_a_line_that_breaks_costs_a_request_and_a_new_session(
    registry: DebianRegistry, line: TcpProxy, image: Layout
) -> None:
    log = Log()
    line.cut_after(SIZE // 4)  # in the first piece: the second one may take another connection
    send(image, line.host, log)
    assert is_there(registry, image)
    assert bodies(registry).count(("GET", 404)) == 1
    assert len(log.retries) == 1


def test_a_registry_that_is_killed_and_comes_back_gets_the_whole_image(
    registry: DebianRegistry, line: TcpProxy, image: Layout
) -> None:
    log = Log(SIZE // 2, registry.kill)
    log.on_retry = registry.start
    line.throttle(60 * MIB)  # so that it dies before the rest has left
    send(image, line.host, log)
    assert is_there(registry, image)
    assert log.retries


def test_a_line_that_freezes_is_broken_off_and_the_upload_gone_on_with(
    registry: DebianRegistry, line: TcpProxy, image: Layout
) -> None:
    log = Log(SIZE // 2, line.freeze)
    log.on_retry = line.thaw
    send(image, line.host, log, stall_s=3.0)
    assert is_there(registry, image)
    assert "no byte moved" in log.retries[0].why


def test_a_line_that_crawls_is_left_alone(registry: DebianRegistry, line: TcpProxy, image: Layout) -> None:
    log = Log()
    line.throttle(SIZE / 5)
    send(image, line.host, log, stall_s=2.5)
    assert is_there(registry, image)
    assert log.retries == []


def test_a_distant_registry_gets_every_blob_once(registry: DebianRegistry, line: TcpProxy, image: Layout) -> None:
    log = Log()
    line.delay(0.003)
    send(image, line.host, log)
    assert is_there(registry, image)
    assert log.retries == []
    # The config in one request; the blob in a piece, which shows the speed, and the rest with what closes it.
    assert sorted(bodies(registry)) == [("PATCH", 202)] + [("POST", 202)] * 2 + [("PUT", 201)] * 2


def test_a_stop_in_the_middle_of_a_piece_says_that_it_was_not_kept(
    registry: DebianRegistry, line: TcpProxy, image: Layout, tmp_path: Path
) -> None:
    context = Context(SystemClock(), what="test")
    notes: list[str] = []

    def listen(event: Event) -> None:
        if isinstance(event, LogMessage):
            notes.append(event.text)
        if isinstance(event, BlobProgress) and event.sent_bytes > SIZE // 2:
            context.cancel(Cancelled())

    line.throttle(40 * MIB)
    around = Environment({}, tmp_path, 0, lambda: 0.5)
    with contextlib.closing(Pusher(context, Options(), around, listen)) as pusher:
        targets = pusher.targets([Destination.parse(f"{line.host}/a:1")])
        with pusher.open(f"oci:{image.path}", context) as source:
            (result,) = pusher.execute(pusher.plan(source, targets, context), source, context)
    assert isinstance(result.error, Cancelled)
    assert [text for text in notes if "goes on from there" in text] == []
    assert notes[-1].endswith("the registry has not kept what was sent; the next push sends all of it")
    # Nobody can close such a session: 2.8.2 answers 404 to every request about it.
    assert bodies(registry).count(("GET", 404)) == 1
