"""Make the picture of the live display: `python docs/pictures/make_live.py` writes `live.svg` beside this file.

An image is pushed for real, to two registries inside the process, over a line of bounded rate. Its events (which blobs
there are, what they are, which were there) are then shown as if they came at an even pace, so that the same program
makes the same picture. With ``--check`` nothing is written, and the exit code says whether the picture's text is as it
was; how letters are placed is up to rich.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from msgspec.structs import replace
from rich.console import Console
from rich.text import Text

from oci_push import events
from oci_push.api import this_environment
from oci_push.cli.live import LiveDisplay
from oci_push.cli.tally import Tally
from oci_push.cli.wording import short, size
from oci_push.engine.pusher import Options, Pusher
from oci_push.engine.unit import PushUnit, UnitTarget, perform
from oci_push.events import Event
from oci_push.model.outcomes import BlobOutcome
from oci_push.model.reference import Repository
from oci_push.runtime.clock import FakeClock
from oci_push.runtime.context import Context
from oci_push.sandbox.server import RehearsalRegistry
from oci_push.transport.session import TransportSettings

PICTURE = Path(__file__).with_name("live.svg")
COLUMNS, ROWS = 96, 14
BASE = (31_000_000, 2_300_000)
OWN = (47_000_000, 18_500_000, 9_100_000, 4_200_000, 310_000, 12_000)
HOSTS = ("registry.example.com", "mirror.example.net")
TAGS = ("1.4.2", "latest")
RATE, AT_ONCE, SECONDS = 12_000_000, 3, 5.0
COMMAND = f"$ oci-push push image.tar {HOSTS[0]}/team/app:1.4.2,latest {HOSTS[1]}/team/app:1.4.2,latest"


def make_layout(folder: Path, *sizes: int) -> str:
    """Write an image whose layers have these sizes; return it as a SOURCE."""
    blobs = folder / "blobs/sha256"
    blobs.mkdir(parents=True)

    def add(data: bytes, media_type: str) -> dict[str, object]:
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        return {"mediaType": f"application/vnd.oci.image.{media_type}", "digest": f"sha256:{digest}", "size": len(data)}

    layers = [b"%08d" % size * (size // 8) for size in sizes]
    config = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}}
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": add(json.dumps(config).encode(), "config.v1+json"),
        "layers": [add(layer, "layer.v1.tar") for layer in layers],
    }
    index = {"schemaVersion": 2, "manifests": [add(json.dumps(manifest).encode(), "manifest.v1+json")]}
    (folder / "index.json").write_text(json.dumps(index))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return f"oci:{folder}"


def pushed() -> list[Event]:
    """Push an image whose base is at the first registry already; return what happened, with names for the hosts."""
    found: list[Event] = []
    with tempfile.TemporaryDirectory() as place, RehearsalRegistry() as first, RehearsalRegistry() as second:
        options = Options(transport=TransportSettings(limit_bytes_per_s=RATE), remember=False)
        base, image = make_layout(Path(place, "base"), *BASE), make_layout(Path(place, "image"), *BASE, *OWN)
        names = dict(zip((first.address, second.address), HOSTS, strict=True))
        push(base, [first.address], ("base",), options, events.ignore)
        push(image, list(names), TAGS, options, found.append)
    return [_named(event, names) for event in found]


def push(source: str, hosts: list[str], tags: tuple[str, ...], options: Options, emit: events.Emit) -> None:
    """Push with a clock whose waits take no time."""
    context = Context(FakeClock())
    targets = tuple(UnitTarget(Repository(host, "team/app"), tags) for host in hosts)
    with closing(Pusher(context, options, this_environment(), emit)) as pusher:
        done = perform(PushUnit(source, targets), pusher, context, emit)
    if done.error is not None:
        raise done.error


def _named(event: Event, names: dict[str, str]) -> Event:
    repository = getattr(event, "repository", None)
    if isinstance(event, events.SourceOpened):
        return replace(event, source="image.tar")
    if repository is None:
        return event
    return replace(event, repository=Repository(names[repository.host], repository.path))


def until(seconds: float, happened: list[Event]) -> Iterator[tuple[float, Event]]:
    """Return the events of a push as they come on an even line, with their times."""
    yield from ((0.0, event) for event in happened if isinstance(event, events.SourceOpened))
    for host in HOSTS:
        here = [event for event in happened if getattr(getattr(event, "repository", None), "host", "") == host]
        yield from ((0.0, event) for event in here if isinstance(event, events.TargetStarted))
        begun = {event.digest: event for event in here if isinstance(event, events.BlobStarted)}
        done = [event for event in here if isinstance(event, events.BlobDone)]
        done.sort(key=lambda event: (-event.size_bytes, str(event.digest)))
        lines = [0.0] * AT_ONCE
        for event in done:
            line = lines.index(min(lines))
            start, whole = lines[line], event.size_bytes
            if event.outcome is not BlobOutcome.UPLOADED:
                yield start, begun[event.digest]
                yield start, event
                continue
            speed = RATE / len(HOSTS) / AT_ONCE
            end = lines[line] = start + whole / speed
            yield start, begun[event.digest]
            for tick in range(1, int((min(end, seconds) - start) / 0.2) + 1):
                at = start + tick * 0.2
                yield at, events.BlobProgress(event.repository, event.digest, int((at - start) * speed), whole)
            yield end, event


def picture() -> str:
    """Return the display in the middle of a push, as SVG."""
    clock, tally = FakeClock(0.0), Tally()
    display = LiveDisplay(tally, clock, {})
    happened = sorted(enumerate(until(SECONDS, pushed())), key=lambda one: (one[1][0], one[0]))
    looks = 0.0
    for _, (at, event) in happened:
        while looks < min(at, SECONDS):
            tally.look(looks)
            looks += 0.125
        if at <= SECONDS:
            tally.add(event, "", at)
    console = Console(record=True, file=io.StringIO(), width=COLUMNS, force_terminal=True, color_system="truecolor")
    console.print(Text(COMMAND, overflow="fold"))
    if (image := tally.image) is not None:
        what = f"{image.blobs} blobs, {size(image.size_bytes)}"
        console.print(Text(f"Image {short(image.root)} ({what}) from {image.source}"))
    for line in display.lines(COLUMNS, ROWS, SECONDS):
        console.print(line, no_wrap=True)
    svg = console.export_svg(title="oci-push", unique_id="live")
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)  # a picture asks no server for its letters
    svg = re.sub(r'x="([\d.]+)" y="([\d.]+)" textLength="([\d.]+)"([^>]*)>((?:&#160;)+)(?=[^<&])', _moved, svg)
    return re.sub(r"[ \t]+\n", "\n", svg)


def _moved(match: re.Match[str]) -> str:
    """Begin a text where its first letter is: some programs leave out blanks before it."""
    x, y, length, more, blanks = match.groups()
    shift = 12.2 * blanks.count(";")
    return f'x="{float(x) + shift:.1f}" y="{y}" textLength="{float(length) - shift:.1f}"{more}>'


def texts(svg: str) -> list[str]:
    """Return what stands in a picture."""
    return [text for text in re.findall(r"<text[^>]*>([^<]*)</text>", svg) if text.strip()]


def main() -> int:
    """Write the picture, or compare it."""
    made = picture()
    if "--check" in sys.argv[1:]:
        return int(not PICTURE.exists() or texts(PICTURE.read_text(encoding="utf-8")) != texts(made))
    PICTURE.write_text(made, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
