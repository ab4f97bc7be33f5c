"""Push a small layout to a sandbox registry through the library, with nothing from outside."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from equipment.faults import Action, Fault
from equipment.sandbox import Sandbox
from images import Layout, LayoutWriter, layer
from published import check_events, check_form, check_results

from oci_push.engine.push import PushOptions, PushResult
from oci_push.engine.pusher import Environment, Options, Pusher
from oci_push.errors import OciPushError
from oci_push.events import Event, ignore
from oci_push.model import media
from oci_push.model.digest import Digest
from oci_push.model.endpoint import Credential, RegistryEndpoint, TlsConfig
from oci_push.model.manifest import Manifest
from oci_push.model.platform import Platform
from oci_push.model.reference import Destination
from oci_push.runner.image_plan import ImagePlan
from oci_push.runtime.clock import Clock, SystemClock
from oci_push.runtime.context import Context
from oci_push.runtime.retry import RetryPolicy
from oci_push.secret import Secret
from oci_push.transport.settings import TransportSettings
from oci_push.transport.sockets import Network

LOGIN = Credential("sandbox", Secret("sandbox"), source="test")
QUICK = RetryPolicy(attempts=3, base_s=0.001, cap_s=0.002)


def closing(image: Layout, action: Action, *, times: int = 1) -> Fault:
    """Break the request that closes the upload of an image's largest blob; beyond its first chunk it carries the rest.

    At the speed of loopback the rest is less than what leaves in `CHUNK_S`.
    """
    return Fault("PUT", closes(image), times=times, action=action)


def closes(image: Layout) -> str:
    """Return what is found in the path of that request only."""
    largest = max(image.blobs, key=image.blobs.__getitem__)
    return f"/blobs/uploads/.*{largest.partition(':')[2]}"


@dataclass
class Pushing:
    """Hold what a push needs, and the events it gave; with a `home` it remembers there."""

    clock: Clock = field(default_factory=SystemClock)
    credential: Credential | None = None
    events: list[Event] = field(default_factory=list)
    stall_s: float = 60.0
    at_once: int = 4
    spare: int = 0
    endpoints: Mapping[str, RegistryEndpoint] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    policy: RetryPolicy = QUICK
    remember: bool = False
    home: Path | None = None
    limit_bytes_per_s: float = 0.0
    push_options: PushOptions = field(default_factory=PushOptions)
    mount: bool = True
    foreign_layers: bool = False
    context: Context | None = None
    platform: Platform | None = None
    listener: Callable[[Event], None] = ignore
    network: Network = field(default_factory=Network)
    pinned: Mapping[tuple[str, int], tuple[str, ...]] = field(default_factory=dict)

    def push(self, source: Layout | str, *destinations: str) -> tuple[PushResult, ...]:
        """Push a layout, or what a reference names, to ``address/repository:tags``."""
        return self.push_to(_text(source), [Destination.parse(one) for one in destinations])

    def push_to(self, text: str, destinations: Sequence[Destination]) -> tuple[PushResult, ...]:
        """Push with destinations taken apart already."""
        with self.pusher() as pusher:
            return self._push(pusher, text, destinations)

    def push_each(self, source: Layout | str, *destinations: str) -> list[tuple[PushResult, ...]]:
        """Push to one destination after the other, in one run."""
        with self.pusher() as pusher:
            return [self._push(pusher, _text(source), [Destination.parse(one)]) for one in destinations]

    @contextmanager
    def pusher(self) -> Iterator[Pusher]:
        """Give the run's pusher."""
        options = Options(
            credential=self.credential,
            endpoints=self.endpoints,
            remember=self.remember or self.home is not None,
            foreign_layers=self.foreign_layers,
            blob_retry=self.policy,
            push_options=self.push_options,
            mount=self.mount,
            transport=TransportSettings(
                call_retry=self.policy,
                stall_s=self.stall_s,
                near_requests=self.at_once,
                far_requests=self.at_once,
                spare_requests=self.spare,
                limit_bytes_per_s=self.limit_bytes_per_s,
                env=self.env,
                network=self.network,
                pinned=self.pinned,
            ),
        )
        around = Environment(self.env, self.home or Path("/nonexistent"), 0, lambda: 0.5)
        context = self.context or Context(self.clock, what="test")
        with contextlib.closing(Pusher(context, options, around, self._hear)) as pusher:
            yield pusher

    def _hear(self, event: Event) -> None:
        self.events.append(event)
        self.listener(event)

    def _push(self, pusher: Pusher, text: str, destinations: Sequence[Destination]) -> tuple[PushResult, ...]:
        targets = pusher.targets(destinations)
        with pusher.open(text, pusher.context, targets=len(targets)) as source:
            plan, results = pusher.push(source, targets, pusher.context, self.platform)
        check_form(ImagePlan.of(plan))
        check_events(self.events)
        check_results(results)
        return results


def _text(source: Layout | str) -> str:
    return source if isinstance(source, str) else f"oci:{source.path}"


def public(
    sandbox: Sandbox, host: str = "registry.example.com", credential: Credential | None = None
) -> Mapping[str, RegistryEndpoint]:
    """Let a sandbox stand in for a registry with a public name."""
    return {host: RegistryEndpoint(host, credential, TlsConfig(plain_http=True), address=sandbox.address)}


def is_whole(sandbox: Sandbox, repository: str, tag: str, layout: Layout) -> bool:
    """Say whether a tag points at the layout's image and every byte of it is there."""
    return difference(sandbox, repository, tag, layout) == ""


def difference(sandbox: Sandbox, repository: str, target: str, layout: Layout) -> str:
    """Compare what a tag or digest names with the layout, byte for byte; says what differs, or nothing."""
    waiting = [(target, Digest.parse(layout.digest))]
    while waiting:
        name, digest = waiting.pop()
        ours = (layout.path / "blobs" / digest.algorithm / digest.encoded).read_bytes()
        theirs = sandbox.store.manifest(repository, name)
        if theirs != ours:
            return f"{name} is {theirs and Digest.of(theirs)}, not {digest}"
        node = Manifest.parse(ours, "", digest)
        waiting += [(str(c.digest), c.digest) for c in node.children if c.media_type in media.MANIFESTS]
        for blob in node.blobs:
            file = layout.path / "blobs" / blob.digest.algorithm / blob.digest.encoded
            there = sandbox.store.blob_path(repository, blob.digest)
            if not there.exists() or there.read_bytes() != file.read_bytes():
                return f"blob {blob.digest} is {'different' if there.exists() else 'missing'}"
    return ""


def annotated(path: Path) -> tuple[Layout, int]:
    """Write an image whose manifest stays one when a certain byte of it changes; gives the byte's offset, too."""
    writer = LayoutWriter(path)
    image = writer.close(writer.image(layer(1), annotations={"note": "harmless"}))
    return image, manifest_of(image).index(b"harmless")


def flipped(layout: Layout, at: int) -> bytes:
    """Give a layout's root manifest as it is after one byte was taken for another."""
    raw = bytearray(manifest_of(layout))
    raw[at] ^= 1
    return bytes(raw)


def manifest_of(layout: Layout) -> bytes:
    """Give the bytes of a layout's root manifest."""
    digest = Digest.parse(layout.digest)
    return (layout.path / "blobs" / digest.algorithm / digest.encoded).read_bytes()


def error_of(results: Sequence[PushResult]) -> OciPushError | None:
    """Give the error of a push to one repository."""
    (result,) = results
    return result.error


def outcomes(result: PushResult) -> list[tuple[str, str]]:
    """Give each tag with what became of it."""
    return [(tag.tag, tag.outcome) for tag in result.tags]
