"""What tests against the sandbox share: a small image and a registry without faults."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from equipment.sandbox import Sandbox
from images import Layout, layer, make_layout, make_raw_layout, noise


@pytest.fixture
def image(tmp_path: Path) -> Layout:
    """Give an image of two layers."""
    return make_layout(tmp_path / "image", layer(1), layer(2, 200_000))


@pytest.fixture
def older(tmp_path: Path) -> Layout:
    """Give an image that shares nothing with `image`."""
    return make_layout(tmp_path / "older", layer(7))


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """Give an open registry; a defect of it fails the test."""
    with Sandbox() as started:
        yield started
        assert started.problems == ()


@pytest.fixture
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give this process an empty home: the library looks for logins there, and remembers."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("XDG_CACHE_HOME", "XDG_RUNTIME_DIR", "DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "DOCKER_AUTH_CONFIG"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    """Give an image whose one layer goes in pieces."""
    return make_raw_layout(tmp_path_factory.mktemp("large") / "image", noise(24 * 1024 * 1024))
