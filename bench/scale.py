"""`python -m bench.scale`: many images to two registries, by one process, several, shards, and a Dask cluster.

It writes `bench/results/scale.json` and a plot of it. The processor seconds are those of all processes of ours: the
program, its workers, and Dask's scheduler; the registries' are not in them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from html import escape
from importlib.util import find_spec
from pathlib import Path

import msgspec
import yaml
from msgspec.structs import replace

from bench import machine, measuring
from bench.distance import Line
from bench.images import write_images
from bench.kills import Killed, children_of, kill_at_half
from bench.measuring import Command
from bench.plot import STYLE
from bench.registry import Registry, memory_folder

IMAGES = 200
SHARED_BYTES = 1_000_000
OWN_BYTES = 20_000
_RESULTS = Path(__file__).with_name("results")
_PROGRAM = str(Path(sys.executable).with_name("oci-push"))
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_LIMIT_S = 30.0


class Way(msgspec.Struct, frozen=True):
    """What one way took: seconds by the clock and of the processor, and the requests that one registry answered.

    `shared_sent` is how often the layer that all images have in common was sent to it. `killed` is another run, of
    which a process was killed.
    """

    name: str
    wall_s: float
    cpu_s: float
    requests: int
    shared_sent: int
    killed: Killed | None = None


class Scale(msgspec.Struct, frozen=True):
    """What was measured: `pushes` are images times registries."""

    machine: dict[str, str]
    pushes: int
    ways: tuple[Way, ...]


def main() -> int:
    """Measure each way with empty registries, write the results, and return the exit status."""
    about = machine.describe()
    with tempfile.TemporaryDirectory(prefix="oci-push-bench-scale-", dir=memory_folder()) as name:
        folder = Path(name)
        layouts = write_images(folder / "images", IMAGES, shared=SHARED_BYTES, own=OWN_BYTES)
        names = [key for key in _WAYS if key != "dask 2 x 4" or find_spec("distributed")]
        ways = [replace(_measured(folder, layouts, key), killed=_killed(folder, layouts, key)) for key in names]
    found = Scale(about, 2 * IMAGES, tuple(ways))
    _RESULTS.joinpath("scale.json").write_bytes(msgspec.json.format(msgspec.json.encode(found)) + b"\n")
    _RESULTS.joinpath("scale.svg").write_text(draw(found))
    for way in found.ways:
        told = f"{way.name:28} {way.wall_s:6.1f} s  {way.cpu_s / found.pushes * 1000:5.1f} ms a push  "
        told += f"{way.requests} requests, the common layer {way.shared_sent} times"
        if way.killed:
            told += f"  killed after {way.killed.pushes_before} pushes: {way.killed.after_s:.1f} s more"
        print(told)
    return 0


def _measured(folder: Path, layouts: Sequence[Path], name: str) -> Way:
    with _prepared(folder, layouts, name) as (env, registries), _around(name, env) as (address, pids):
        before = sum(map(processor_s, pids))
        cost = measuring.run(_WAYS[name](address), (), env)
        cpu_s = cost.cpu_s + sum(map(processor_s, pids)) - before
        return Way(
            name,
            round(cost.wall_s, 2),
            round(cpu_s, 2),
            registries[0].requests(),
            registries[0].uploads(_shared(layouts)),
        )


def _shared(layouts: Sequence[Path]) -> str:
    """Return the digest of the blob that all images have."""
    first, second = ({path.name for path in layout.glob("blobs/sha256/*")} for layout in layouts[:2])
    [digest] = first & second
    return digest


def _killed(folder: Path, layouts: Sequence[Path], name: str) -> Killed:
    """Do it once more, and kill a worker, or what nobody replaces, when half is done."""
    with _prepared(folder, layouts, f"{name} killed") as (env, registries), _around(name, env) as (address, pids):
        commands = _WAYS[name](address)
        if len(commands) > 1:
            measuring.run(commands[:-1], (), env)
        victims: Callable[[int], Sequence[int]] | None = None
        if pids:
            victims = lambda _: pids[1:]  # noqa: E731  # the first is the scheduler
        elif "local" in name:
            victims = children_of
        beside = _SHARDS if "shards" in name else [tuple(words) for words in commands[-1:]]
        return kill_at_half(beside, env, registries, 2 * IMAGES, victims)


@contextmanager
def _prepared(
    folder: Path, layouts: Sequence[Path], name: str
) -> Iterator[tuple[dict[str, str], tuple[Registry, Registry]]]:
    """Give a home with a pipeline, and the two empty registries that it pushes to."""
    home = folder / "".join(c if c.isalnum() else "-" for c in name)
    env = measuring.clean_environment(home, {})
    with Line() as line, Registry(line) as first, Registry(line) as second:
        registries = [{"name": key, "domain": one.host} for key, one in (("a", first), ("b", second))]
        candidates = {f"build{number}": f"oci:{layout}:v1" for number, layout in enumerate(layouts)}
        config = {"registries": registries, "candidates": candidates}
        (home / "oci-push.yaml").write_text(yaml.safe_dump(config))
        (home / "pipeline.yml").write_text(yaml.safe_dump(_pipeline(len(layouts))))
        yield env, (first, second)


def _around(name: str, env: dict[str, str]) -> AbstractContextManager[tuple[str, list[int]]]:
    """Return a cluster where a way needs one."""
    return cluster(env) if name.startswith("dask") else _nothing()


def _pipeline(images: int) -> dict[str, object]:
    """Return a pipeline with a build for each image, and a push of it to each of two registries."""
    steps: dict[str, object] = {}
    for number in range(images):
        steps[f"build{number}"] = {"type": "build", "image_name": f"bench/image{number}", "tag": "v1"}
        for registry in ("a", "b"):
            candidate = f"${{{{build{number}}}}}"
            steps[f"push{number}{registry}"] = {
                "type": "push",
                "candidate": candidate,
                "registry": registry,
                "tag": "v1",
            }
    return {"version": "1.0", "mode": "parallel", "steps": steps}


_TOLD = ("--config", "oci-push.yaml", "-q")
_LAY_OUT: Command = (_PROGRAM, "plan", "pipeline.yml", "--config", "oci-push.yaml", "--units", "units.jsonl")
_WORK = f"{_PROGRAM} work units.jsonl --config oci-push.yaml -q"
_SHARDS: list[Command] = [
    (*_WORK.split(), "--shard", f"{number}/2", "--results", f"results-{number}.jsonl") for number in (1, 2)
]
_WAYS: dict[str, Callable[[str], list[Command]]] = {
    "run": lambda _: [(_PROGRAM, "run", "pipeline.yml", *_TOLD)],
    "run --on local:2": lambda _: [(_PROGRAM, "run", "pipeline.yml", *_TOLD, "--on", "local:2")],
    "plan, work --on local:2": lambda _: [_LAY_OUT, (*_WORK.split(), "--on", "local:2")],
    "plan, work in two shards": lambda _: [
        _LAY_OUT,
        ("sh", "-c", f"{_WORK} --shard 1/2 & first=$!; {_WORK} --shard 2/2 && wait $first"),
    ],
    "dask 2 x 4": lambda address: [(_PROGRAM, "run", "pipeline.yml", *_TOLD, "--on", f"dask://{address}")],
}
"""The commands of each way, made of a cluster's address where there is one."""


@contextmanager
def _nothing() -> Iterator[tuple[str, list[int]]]:
    yield "", []


@contextmanager
def cluster(env: dict[str, str]) -> Iterator[tuple[str, list[int]]]:
    """Start a scheduler and two workers of four threads; give its address, and the numbers of their processes."""
    place = Path(env["HOME"]) / "scheduler.json"
    common = ["--host", "127.0.0.1", "--no-dashboard"]
    ours = {**env, "PATH": f"{Path(_PROGRAM).parent}:{env['PATH']}"}
    dask = [sys.executable, "-m", "distributed.cli"]
    words = [
        [*dask[:2], "distributed.cli.dask_scheduler", *common, "--port", "0", "--scheduler-file", str(place)],
        *(
            [
                *dask[:2],
                "distributed.cli.dask_worker",
                *common,
                "--no-nanny",
                "--nthreads",
                "4",
                "--scheduler-file",
                str(place),
            ]
            for _ in range(2)
        ),
    ]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    children = [subprocess.Popen(one, env=ours, cwd=env["HOME"], **quiet) for one in words]  # type: ignore[call-overload]
    try:
        end = time.monotonic() + _LIMIT_S
        while not place.exists() and time.monotonic() < end:
            time.sleep(0.05)
        address = str(json.loads(place.read_text())["address"]).removeprefix("tcp://")
        from distributed import Client

        with Client(address) as client:
            client.wait_for_workers(2, timeout=_LIMIT_S)
        yield address, [child.pid for child in children]
    finally:
        for child in children:
            child.kill()
            child.wait()


def processor_s(pid: int) -> float:
    """Return the processor's seconds of a process that runs."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * _TICK_S


def draw(found: Scale) -> str:
    """Return a picture: for each way bars of its seconds: by the clock, of the processor, after a kill."""
    width, left, row = 900, 240, 56
    height = 70 + row * len(found.ways)
    most = max(max(way.wall_s, way.cpu_s) for way in found.ways)
    title = (
        f"{found.pushes} pushes: seconds by the clock (grey), of the processor (green), from a kill at half on (orange)"
    )
    about = ", ".join(found.machine[key] for key in ("processor", "system", "python"))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">',
        f"<style>{STYLE}</style>",
        f'<rect class="paper" width="{width}" height="{height}"/>',
        f'<text class="text title" x="16" y="28">{title}</text>',
        f'<text class="quiet" x="16" y="48">{escape(about)}</text>',
    ]
    for number, way in enumerate(found.ways):
        y = 64 + row * number
        parts.append(f'<text class="text end" x="{left - 12}" y="{y + 29}">{escape(way.name)}</text>')
        bars = [(4, "even-bar", way.wall_s), (18, "reached", way.cpu_s)]
        bars += [(32, "missed", way.killed.after_s)] if way.killed else []
        for shift, kind, value in bars:
            long = (width - left - 120) * value / most
            parts.append(f'<rect class="{kind}" x="{left}" y="{y + shift}" width="{long:.1f}" height="11"/>')
            parts.append(f'<text class="quiet" x="{left + long + 6:.1f}" y="{y + shift + 10}">{value:.1f} s</text>')
    return "\n".join([*parts, "</svg>", ""])


if __name__ == "__main__":
    sys.exit(main())
