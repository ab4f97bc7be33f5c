"""Compare a push by `oci-push` with one by skopeo: seconds, processor seconds, peak memory. `make bench` runs it.

Both push the same OCI layout to Debian's registry on loopback, so the registry's hashing bounds both; what differs is
what the client adds. Numbers are medians over the rounds, each round with an empty registry. It measures; it judges
nothing and fails only when a push does.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "integration"))

from programs import clean_environment, require
from registries import DebianRegistry

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Cost:
    """Hold what one run of a program took; memory is the peak of its resident set."""

    seconds: float
    processor_s: float
    memory_mib: float


@dataclass(frozen=True, slots=True)
class Contender:
    """Name a program and the words that make it push; `{source}` and `{target}` are filled in."""

    name: str
    words: tuple[str, ...]

    def push(self, source: Path, target: str, home: Path) -> Cost:
        """Push once. Raises `SystemExit` with what the program said if it fails."""
        words = [word.format(source=source, target=target) for word in self.words]
        with (home / "said").open("w+b") as said:
            began = time.perf_counter()
            child = subprocess.Popen(
                words, env=clean_environment(home), stdin=subprocess.DEVNULL, stdout=said, stderr=said
            )
            _, status, usage = os.wait4(child.pid, 0)
            seconds = time.perf_counter() - began
            # The child has been waited for behind the back of its object, which would warn of a zombie.
            child.returncode = os.waitstatus_to_exitcode(status)
            said.seek(0)
            if child.returncode != 0:
                raise SystemExit(f"{self.name} failed: {said.read().decode(errors='replace')}")
        return Cost(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def main() -> None:
    """Read the options, measure, print a table."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--layers", type=int, default=4, help="layers of the image (4)")
    options.add_argument("--mib", type=int, default=128, help="size of each in MiB (128)")
    options.add_argument("--rounds", type=int, default=3, help="times each program pushes (3)")
    chosen = options.parse_args()

    contenders = (
        Contender("oci-push", (str(Path(sys.executable).with_name("oci-push")), "push", "oci:{source}:v1", "{target}")),
        Contender(
            "skopeo",
            (
                *(require("skopeo"), "--insecure-policy", "copy", "--quiet", "--preserve-digests"),
                *("--dest-tls-verify=false", "oci:{source}:v1", "docker://{target}"),
            ),
        ),
    )
    with tempfile.TemporaryDirectory(prefix="oci-push-bench-") as folder:
        source = make_layout(Path(folder) / "layout", chosen.layers, chosen.mib * MIB)
        total_mib = chosen.layers * chosen.mib
        print(f"{chosen.layers} layers of {chosen.mib} MiB, median of {chosen.rounds}\n")
        print(f"{'program':10} {'what':18} {'seconds':>8} {'MiB/s':>8} {'cpu s':>8} {'peak MiB':>9}")
        for contender in contenders:
            first, again = measure(contender, source, Path(folder), chosen.rounds)
            show(contender.name, "all blobs new", first, total_mib)
            show(contender.name, "all blobs there", again, None)


def measure(contender: Contender, source: Path, folder: Path, rounds: int) -> tuple[list[Cost], list[Cost]]:
    """Give the costs of pushing to an empty registry, and of pushing the same again under another tag."""
    first, again = [], []
    for number in range(rounds):
        home = folder / f"{contender.name}-{number}"
        home.mkdir()
        with DebianRegistry(home / "registry") as registry:
            first.append(contender.push(source, f"{registry.host}/bench/image:v1", home))
            again.append(contender.push(source, f"{registry.host}/bench/image:v2", home))
        # A registry's content is as large as the image: kept, it would fill the disk over the rounds.
        subprocess.run(["rm", "-rf", home], check=True)
    return first, again


def show(name: str, what: str, costs: Sequence[Cost], mib: int | None) -> None:
    """Print one line of the table; a rate only where bytes were sent."""
    seconds = statistics.median(cost.seconds for cost in costs)
    rate = "" if mib is None else f"{mib / seconds:.0f}"
    processor = statistics.median(cost.processor_s for cost in costs)
    cache = statistics.median(cost.memory_mib for cost in costs)
    print(f"{name:10} {what:18} {seconds:8.2f} {rate:>8} {processor:8.2f} {cache:9.0f}", flush=True)


def make_layout(folder: Path, layers: int, size: int) -> Path:
    """Write an OCI layout whose layers cannot be compressed; the same bytes on every run."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    block = random.Random(1).randbytes(MIB - 8)

    def write(media_type: str, data: bytes) -> dict[str, object]:
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}

    def write_layer(number: int) -> dict[str, object]:
        running = hashlib.sha256()
        path = blobs / "unfinished"
        with path.open("wb") as out:
            for index in range(size // MIB):
                piece = number.to_bytes(4, "big") + index.to_bytes(4, "big") + block
                running.update(piece)
                out.write(piece)
        path.rename(blobs / running.hexdigest())
        digest = f"sha256:{running.hexdigest()}"
        return {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest, "size": size}

    written = [write_layer(number) for number in range(layers)]
    diff_ids = [layer["digest"] for layer in written]
    config = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": diff_ids}}
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": write("application/vnd.oci.image.config.v1+json", json.dumps(config).encode()),
        "layers": written,
    }
    root = write("application/vnd.oci.image.manifest.v1+json", json.dumps(manifest).encode())
    root["annotations"] = {"org.opencontainers.image.ref.name": "v1"}
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [root]}))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return folder


if __name__ == "__main__":
    main()
