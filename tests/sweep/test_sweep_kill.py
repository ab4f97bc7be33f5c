"""The program itself ended by a signal at a request, and the same push again: the right image, and nothing left.

What a stop does at every request is `test_sweep_stop`'s to show, in this process; a few show that signals lead there.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from equipment.faults import Action, Fault, Stall, StallReply
from equipment.options import SandboxOptions
from equipment.sandbox import Sandbox
from images import layer, make_layout
from judging import sessions_left, tags_wrong
from pushing import Pushing

ROOT = Path(__file__).parents[2]
FOREVER_S = 3600.0
PLACES: dict[str, Fault] = {
    "inside a piece": Fault("PATCH", nth=2, action=Stall(FOREVER_S, after=100)),
    "at the answer to the closing PUT": Fault("PUT", "/uploads/", action=StallReply(-1, FOREVER_S)),
    "at the answer to the manifest": Fault("PUT", "/manifests/", action=StallReply(-1, FOREVER_S)),
}
ENDS = {signal.SIGKILL: {-9}, signal.SIGTERM: {143, 0}}
"""With what the program may end. 0: all was done when the signal came, as a last look has shown."""


def is_held(action: Action, sandbox: Sandbox) -> bool:
    """Say whether the registry holds a request back now."""
    requests = sandbox.traffic.requests
    if isinstance(action, Stall):
        return any(upload.size == 60_100 for upload in sandbox.store.uploads())
    return any(request.fault for request in requests)


@pytest.mark.parametrize("ended_by", ENDS, ids=lambda number: number.name)
@pytest.mark.parametrize("place", PLACES)
def test_a_push_ended_by_a_signal_is_finished_by_the_next_one(
    place: str, ended_by: signal.Signals, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    image, home = make_layout(tmp_path / "image", layer(1, 300_000)), tmp_path / "home"
    before = make_layout(tmp_path / "before", layer(2))
    with Sandbox(options=SandboxOptions(chunk_max=60_000, stale_cancel=False)) as sandbox:
        sandbox.faults.add(PLACES[place])
        child = subprocess.Popen(
            [sys.executable, "-m", "oci_push", "push", "-j1", f"oci:{image.path}", f"{sandbox.address}/app:1"],
            env={"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        while not is_held(PLACES[place].action, sandbox):
            assert child.poll() is None, child.communicate()
            sandbox.traffic.wait_until(lambda traffic: False, 0.05)
        child.send_signal(ended_by)
        _, said = child.communicate(timeout=300)
        assert child.returncode in ENDS[ended_by], said
        assert "Traceback" not in said
        assert child.returncode or sandbox.store.tags("app") == ("1",)
        assert list(tags_wrong(sandbox, "app", sandbox.store.tags("app"), image, before, is_done=True)) == []
        sandbox.faults.clear()
        (result,) = Pushing(home=home).push(image, f"{sandbox.address}/app:1")
        assert result.error is None
        assert list(tags_wrong(sandbox, "app", ["1"], image, before, is_done=True)) == []
        if ended_by is signal.SIGTERM:
            assert list(sessions_left(sandbox, "app")) == []
    record_property("sweep", (1, 1, 0))
