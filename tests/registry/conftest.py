"""What tests against the sandbox share: a small image and a registry without faults."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from equipment.sandbox import Sandbox
from images import Layout, layer, make_layout


@pytest.fixture
def image(tmp_path: Path) -> Layout:
    """Give an image of two layers."""
    return make_layout(tmp_path / "image", layer(1), layer(2, 200_000))


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """Give an open registry; a defect of it fails the test."""
    with Sandbox() as started:
        yield started
        assert started.problems == ()
