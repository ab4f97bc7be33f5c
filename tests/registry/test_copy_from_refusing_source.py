"""Copies whose source registry refuses: its answers are about itself, and teach nothing about the target."""

from __future__ import annotations

from pathlib import Path

import pytest
from equipment.faults import Answer, Fault, FaultScript
from equipment.sandbox import Sandbox
from images import layer, make_layout
from pushing import Pushing

from oci_push.errors import SourceError
from oci_push.runtime.clock import FakeClock
from oci_push.runtime.retry import RetryPolicy


@pytest.mark.parametrize("status", [400, 404, 405, 413, 415, 416])
def test_a_source_that_refuses_a_blob_is_blamed_and_the_target_is_asked_once(status: int, tmp_path: Path) -> None:
    image = make_layout(tmp_path / "image", layer(1))
    refused = Fault(method="GET", path="/app/blobs/", times=0, action=Answer(status))
    with Sandbox(faults=FaultScript([refused])) as source, Sandbox() as target:
        Pushing().push(image, f"{source.address}/app:1")
        (result,) = Pushing().push(f"docker://{source.address}/app:1", f"{target.address}/copy:1")

        assert isinstance(result.error, SourceError)
        assert f"{source.address}/app: blob sha256:" in str(result.error)
        opened = target.traffic.select(method="POST", path_pattern="/uploads/")
        # Closed by us, or by the registry, whose own way with a body that breaks off leaves nothing to close.
        assert not target.store.uploads()
        assert len(opened) <= len(image.blobs)
        assert tuple(target.store.tags("copy")) == ()


def test_after_a_429_that_names_no_time_nobody_asks_at_once(tmp_path: Path) -> None:
    image = make_layout(tmp_path / "image", layer(1))
    clock = FakeClock()
    with Sandbox() as target:
        target.faults.add(Fault(method="PUT", path="/manifests/", action=Answer(429)))
        policy = RetryPolicy(attempts=2, base_s=500, cap_s=0.001)
        (result,) = Pushing(clock=clock, policy=policy).push(f"oci:{image.path}", f"{target.address}/copy:1")
    assert result.error is None
    assert sum(clock.waits) > 490


def test_a_source_that_is_busy_for_a_moment_is_waited_for(tmp_path: Path) -> None:
    image = make_layout(tmp_path / "image", layer(1))
    busy = Fault(method="GET", path="/app/blobs/", times=2, action=Answer(503, headers={"Retry-After": "7"}))
    clock = FakeClock()
    with Sandbox(faults=FaultScript([busy])) as source, Sandbox() as target:
        Pushing().push(image, f"{source.address}/app:1")
        (result,) = Pushing(clock=clock).push(f"docker://{source.address}/app:1", f"{target.address}/copy:1")

        assert result.error is None
        assert tuple(target.store.tags("copy")) == ("1",)
        assert [wait for wait in clock.waits if wait >= 7]
