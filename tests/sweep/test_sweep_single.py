"""Each request of a push broken in each way, once: the right image, or a clean error, and nothing left behind."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from faulttable import KINDS
from sweeping import Sweep


@pytest.mark.parametrize("fault", list(KINDS))
def test_one_broken_request_loses_nothing(
    fault: str, pushes: Sweep, thin: int, record_property: Callable[[str, object], None]
) -> None:
    figures = pushes.begin()
    for number in pushes.cases(fault, thin=thin or pushes.scenario.thin):
        pushes.run([(number, fault, KINDS[fault])])
    record_property("sweep", figures.counts)
    assert figures.wrong == [], "\n".join(figures.wrong)
