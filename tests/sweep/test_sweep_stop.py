"""A push stopped at each request, as SIGTERM and Ctrl-C do it, and run again."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from faulttable import MOMENTS
from scenarios import LARGE, SCENARIOS
from sweeping import Sweep, sweep


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Take the large images where all is swept."""
    chosen = SCENARIOS | (LARGE if metafunc.config.getoption("--sweep") == "all" else {})
    metafunc.parametrize("pushes", list(chosen), indirect=True, scope="module")


@pytest.fixture(scope="module")
def pushes(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sweep]:
    """Give the sweep of one scenario."""
    with sweep((SCENARIOS | LARGE)[request.param], tmp_path_factory.mktemp("stop")) as running:
        yield running


@pytest.mark.parametrize("moment", list(MOMENTS))
def test_a_push_that_is_stopped_leaves_nothing_and_can_be_run_again(
    moment: str, pushes: Sweep, thin: int, record_property: Callable[[str, object], None]
) -> None:
    figures = pushes.begin()
    for number in pushes.cases(moment, thin=thin or min(3, pushes.scenario.thin)):
        pushes.stop(number, moment)
    record_property("sweep", figures.counts)
    assert figures.wrong == [], "\n".join(figures.wrong)
