"""Where a copy is read from."""

from __future__ import annotations

import pytest

from oci_push.engine.replicate import nearest
from oci_push.model.endpoint import RegistryEndpoint

A, B, C = RegistryEndpoint("a.example"), RegistryEndpoint("b.example"), RegistryEndpoint("c.example")


@pytest.mark.parametrize(
    ("distances", "chosen"),
    [
        ({A: 0.08, B: 0.02, C: 0.1}, B),
        ({A: None, B: 0.3, C: None}, B),
        ({A: None, B: None, C: None}, A),
        ({A: 0.02, B: 0.02, C: 0.02}, A),
    ],
)
def test_the_nearest_finished_registry_is_read(
    distances: dict[RegistryEndpoint, float | None], chosen: RegistryEndpoint
) -> None:
    assert nearest((A, B, C), distances.__getitem__) is chosen
