"""The sweeps against Debian's registry: each request of a push broken in each way, and the push stopped at each."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import pytest
from faulttable import KINDS, MOMENTS
from front import RegistryFront
from registries import DebianRegistry
from scenarios import SCENARIOS
from sweeping import Sweep, sweep

CHOSEN = {
    "one image": dataclasses.replace(SCENARIOS["one image"], thin=5),
    "two repositories": dataclasses.replace(SCENARIOS["two repositories"], thin=16),
}


@pytest.fixture(scope="module", params=list(CHOSEN))
def pushes(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sweep]:
    """Give the sweep of one scenario; what the registry keeps is in its folder's ``content``."""
    folder = tmp_path_factory.mktemp("registry")
    with DebianRegistry(folder) as registry:
        front = RegistryFront(registry, folder / "content")
        with sweep(CHOSEN[request.param], tmp_path_factory.mktemp("sweep"), front) as running:
            yield running
        front.stop()


@pytest.mark.parametrize("fault", list(KINDS))
def test_one_broken_request_loses_nothing(
    fault: str, pushes: Sweep, thin: int, record_property: Callable[[str, object], None]
) -> None:
    figures = pushes.begin()
    for number in pushes.cases(fault, thin=thin or pushes.scenario.thin):
        pushes.run([(number, fault, KINDS[fault])])
    record_property("sweep", figures.counts)
    assert figures.wrong == [], "\n".join(figures.wrong)


@pytest.mark.parametrize("moment", list(MOMENTS))
def test_a_push_that_is_stopped_leaves_nothing_and_can_be_run_again(
    moment: str, pushes: Sweep, thin: int, record_property: Callable[[str, object], None]
) -> None:
    figures = pushes.begin()
    for number in pushes.cases(moment, thin=thin or min(2, pushes.scenario.thin)):
        pushes.stop(number, moment)
    record_property("sweep", figures.counts)
    assert figures.wrong == [], "\n".join(figures.wrong)
