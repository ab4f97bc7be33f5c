"""The program killed at each request of a push, and run again: the right image, and no byte that had arrived lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from images import Layout, layer, make_layout
from pushing import difference

from oci_push.sandbox.faults import Fault, Stall
from oci_push.sandbox.options import SandboxOptions
from oci_push.sandbox.server import Sandbox

ROOT = Path(__file__).parents[2]


def command(sandbox: Sandbox, image: Layout, name: str, home: Path) -> subprocess.Popen[str]:
    """Start a push of the image to a repository of this name."""
    return subprocess.Popen(
        [sys.executable, "-m", "oci_push", "push", "-q", "-j", "1", f"oci:{image.path}", f"{sandbox.address}/{name}:1"],
        env={"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(child: subprocess.Popen[str]) -> str:
    """Wait for a push and give what it said; it must have succeeded."""
    out, errors = child.communicate(timeout=60)
    assert child.returncode == 0, errors
    assert "Traceback" not in errors
    return out


@pytest.mark.parametrize(("options", "size"), [(SandboxOptions(), 3000), (SandboxOptions(chunk_max=60_000), 300_000)])
def test_a_push_killed_at_any_request_is_finished_by_the_next_one(
    options: SandboxOptions, size: int, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    image = make_layout(tmp_path / "image", layer(1, size))
    runs = 0
    with Sandbox(options=options) as sandbox:
        finish(command(sandbox, image, "whole", tmp_path / "home"))
        count = sandbox.traffic.count()
        assert count > 4
        for number in range(1, count + 1):
            name, home = f"killed{number}", tmp_path / f"home{number}"
            sandbox.faults.add(Fault(path=f"/v2/{name}/", nth=number, action=Stall(3600)))
            sandbox.traffic.clear()
            child = command(sandbox, image, name, home)
            assert sandbox.traffic.wait_until(lambda t: len(t.requests) >= number, 60)  # noqa: B023
            child.send_signal(signal.SIGKILL)
            child.communicate(timeout=60)
            assert all(difference(sandbox, name, tag, image) == "" for tag in sandbox.store.tags(name))
            out = finish(command(sandbox, image, name, home))
            assert out.split() == [f"{sandbox.address}/{name}:1@{image.digest}"]
            assert difference(sandbox, name, "1", image) == "", f"killed at request {number}"
            runs += 1
    record_property("sweep", (runs, runs, 0))
