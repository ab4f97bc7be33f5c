"""Kill a push in the middle with SIGKILL and run the same command again; tell what the second run still sends.

The registry is `oci-push sandbox` as a process of its own, with its data below the temporary folder. What arrived is
read from the sizes of its files, what was sent from the report of the second run.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from images import make_raw_layout, noise

ROOT = Path(__file__).parents[1]
MIB = 1024 * 1024
PROGRAM = str(Path(sys.executable).with_name("oci-push"))


def main() -> None:
    """Push once as a yardstick, once to be killed, and once more."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=1024, help="size of the one layer")
    parser.add_argument("--at", type=float, default=0.6, help="part that has arrived when the push is killed")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="oci-push-bench-") as folder:
        measure(Path(folder), options.mib * MIB, options.at)


def measure(folder: Path, size: int, part: float) -> None:
    """Print one line for each of the three pushes."""
    image = make_raw_layout(folder / "image", noise(size))
    environment = {**os.environ, "HOME": str(folder), "PYTHONPATH": str(ROOT)}
    store = folder / "registry"
    server = subprocess.Popen([PROGRAM, "sandbox", "--root", store], stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert server.stdout is not None
        host = server.stdout.readline().strip()
        push = [PROGRAM, "push", "--quiet", "--no-mount", "--report", folder / "report.json", f"oci:{image.path}"]
        print(f"whole push: {timed([*push, f'{host}/whole:1'], environment):.1f} s")

        began = time.perf_counter()
        with subprocess.Popen([*push, f"{host}/killed:1"], env=environment, stdout=subprocess.DEVNULL) as child:
            while arrived(store) < part * size:
                if child.poll() is not None:
                    raise SystemExit("the push ended before it could be killed")
                time.sleep(0.002)
            child.send_signal(signal.SIGKILL)
        killed_s = time.perf_counter() - began
        time.sleep(1)
        there = arrived(store)
        print(f"killed after {killed_s:.1f} s: {there / MIB:.1f} of {size / MIB:.0f} MiB are at the registry")

        seconds = timed([*push, f"{host}/killed:1"], environment)
        result = json.loads((folder / "report.json").read_text())["targets"][0]
        found, sent = result["bytes_found"] / MIB, result["bytes_sent"] / MIB
        print(
            f"again: {seconds:.1f} s, {found:.1f} MiB found, {sent:.1f} MiB sent, {result['bytes_resent']} bytes twice"
        )
    finally:
        server.terminate()
        server.wait()


def timed(command: list[object], environment: dict[str, str]) -> float:
    """Run a command that must succeed, and give its seconds."""
    began = time.perf_counter()
    subprocess.run([str(word) for word in command], env=environment, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def arrived(store: Path) -> int:
    """Give the bytes of the largest upload that is open."""
    sizes = []
    for path in (store / "_uploads").iterdir():
        try:
            sizes.append(path.stat().st_size)
        except FileNotFoundError:
            continue
    return max(sizes, default=0)


if __name__ == "__main__":
    main()
