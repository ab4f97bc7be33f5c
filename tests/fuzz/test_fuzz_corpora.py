"""What the fuzz targets have been fed before, and what Hypothesis makes up, fed to them again in every test run."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path

import pytest
from fuzzing import CORPORA
from hypothesis import given, settings
from hypothesis import strategies as st

TARGETS = sorted(
    file.stem.removeprefix("fuzz_")
    for file in Path(__file__).parent.glob("fuzz_*.py")
    if "from fuzzing import run" in file.read_text()
)
"""Those that need no fuzzer to be imported; the pipeline's have tests of their own."""


def target_of(name: str) -> Callable[[bytes], None]:
    """Load a target."""
    loaded: Callable[[bytes], None] = importlib.import_module(f"fuzz_{name}").target
    return loaded


def test_every_target_has_a_corpus() -> None:
    assert [name for name in TARGETS if not any((CORPORA / name).iterdir())] == []
    assert len(TARGETS) >= 8


@pytest.mark.parametrize("name", TARGETS)
def test_the_corpus_does_not_break_its_target(name: str) -> None:
    target = target_of(name)
    for file in sorted((CORPORA / name).iterdir()):
        target(file.read_bytes())


@pytest.mark.parametrize("name", TARGETS)
def test_random_bytes_do_not_break_the_target(name: str) -> None:
    target = target_of(name)
    seeds = [file.read_bytes() for file in sorted((CORPORA / name).iterdir())]

    @settings(max_examples=100)
    @given(st.sampled_from(seeds), st.integers(0, 600), st.binary(max_size=20), st.integers(0, 20))
    def damaged(seed: bytes, place: int, piece: bytes, gone: int) -> None:
        target(seed[:place] + piece + seed[place + gone :])

    damaged()
