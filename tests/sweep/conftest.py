"""The sweeps of the scenarios, one for each module that asks for them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from scenarios import LARGE, SCENARIOS
from sweeping import Sweep, sweep


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Take the large images where all is swept."""
    if "pushes" in metafunc.fixturenames:
        chosen = SCENARIOS | (LARGE if metafunc.config.getoption("--sweep") == "all" else {})
        metafunc.parametrize("pushes", list(chosen), indirect=True, scope="module")


@pytest.fixture(scope="module")
def pushes(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sweep]:
    """Give the sweep of one scenario."""
    with sweep((SCENARIOS | LARGE)[request.param], tmp_path_factory.mktemp("sweep")) as running:
        yield running
