"""Each request of a push broken in each way, once: the right image, or a clean error, and nothing left behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from faulttable import KINDS
from scenarios import LARGE, SCENARIOS
from sweeping import Sweep, sweep


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Take the large images where all is swept."""
    chosen = SCENARIOS | (LARGE if metafunc.config.getoption("--sweep") == "all" else {})
    metafunc.parametrize("pushes", list(chosen), indirect=True, scope="module")


@pytest.fixture(scope="module")
def pushes(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sweep]:
    """Give the sweep of one scenario."""
    with sweep((SCENARIOS | LARGE)[request.param], tmp_path_factory.mktemp("sweep")) as running:
        yield running


@pytest.mark.parametrize("fault", list(KINDS))
def test_one_broken_request_loses_nothing(
    fault: str, pushes: Sweep, thin: int, record_property: Callable[[str, object], None]
) -> None:
    figures = pushes.begin()
    for number in pushes.cases(fault, thin=thin or pushes.scenario.thin):
        pushes.run([(number, fault, KINDS[fault])])
    record_property("sweep", figures.counts)
    assert figures.wrong == [], "\n".join(figures.wrong)
