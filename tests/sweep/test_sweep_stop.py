"""A push stopped at each request, as SIGTERM and Ctrl-C do it, and run again."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from faulttable import MOMENTS
from sweeping import Sweep


@pytest.mark.parametrize("moment", list(MOMENTS))
def test_a_push_that_is_stopped_leaves_nothing_and_can_be_run_again(
    moment: str, pushes: Sweep, thin: int, record_property: Callable[[str, object], None]
) -> None:
    figures = pushes.begin()
    for number in pushes.cases(moment, thin=thin or min(3, pushes.scenario.thin)):
        pushes.stop(number, moment)
    record_property("sweep", figures.counts)
    assert figures.wrong == [], "\n".join(figures.wrong)
