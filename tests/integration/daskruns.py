"""Images in a folder, commands that have a cluster push them, and what came of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from equipment.sandbox import Sandbox
from images import LayoutWriter, layer

from oci_push.model.digest import Digest

ROOT = Path(__file__).parents[2]
PROGRAM = Path(sys.executable).with_name("oci-push")
COUNT = 6


def lay_out(folder: Path, *registries: Sandbox, count: int = COUNT) -> dict[str, str]:
    """Write images and their units for some registries; return the digest of each repository."""
    base, made = layer(1000, 700_000), {}
    steps = ["version: '1.0'", "mode: parallel", "steps:"]
    for number in range(count):
        writer = LayoutWriter(folder / f"i{number}")
        made[f"work/i{number}"] = writer.close(writer.image(base, layer(number))).digest
        steps += [
            f"  s{number}_{place}: {{type: push, candidate: 'oci:i{number}', image_name: work/i{number}, tag: '1',"
            f" registry: '{one.address}'}}"
            for place, one in enumerate(registries)
        ]
    (folder / "p.yml").write_text("\n".join(steps))
    with start("plan", "p.yml", "--units", "u.jsonl", cwd=folder) as plan:
        _, said = plan.communicate(timeout=100)
    assert plan.returncode == 0, said
    return made


def start(*words: str, cwd: Path) -> subprocess.Popen[str]:
    """Start the program in a folder that is its home, too."""
    counted = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")}
    env = {"PATH": os.environ["PATH"], "HOME": str(cwd / "home"), "PYTHONPATH": str(ROOT), **counted}
    pipe = subprocess.PIPE
    return subprocess.Popen([PROGRAM, *words], cwd=cwd, env=env, stdout=pipe, stderr=pipe, text=True)


def there(registry: Sandbox) -> dict[str, str]:
    """Return the digests of the tag 1 by repository."""
    found = {name: registry.store.manifest(name, "1") for name in registry.store.repositories()}
    return {name: str(Digest.of(raw)) for name, raw in found.items() if raw is not None}


def results(folder: Path) -> list[dict]:
    """Return the whole lines of a file of results that may still be written."""
    path = folder / "r.jsonl"
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]
