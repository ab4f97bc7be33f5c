"""Two requests of one push broken, in pairs drawn at random, always the same ones."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from faulttable import KINDS
from scenarios import SCENARIOS
from sweeping import sweep

_SEED = 20261125
_QUICK = [name for name, kind in KINDS.items() if not kind.stalls]


@pytest.mark.parametrize("scenario", list(SCENARIOS))
def test_two_broken_requests_lose_nothing(
    scenario: str, thin: int, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    chance = random.Random(f"{_SEED} {scenario}")
    with sweep(SCENARIOS[scenario], tmp_path) as pushes:
        usable = [name for name in _QUICK if not KINDS[name].tokens or pushes.scenario.credential]
        for _ in range(400 if thin else 30):
            # The second one may break what only follows from the first: the repeat, the cancel, the question.
            first = chance.randint(1, pushes.requests)
            second = first + chance.randint(1, 4)
            one, two = chance.choice(usable), chance.choice(usable)
            pushes.run([(first, one, KINDS[one]), (second, two, KINDS[two])])
        figures = pushes.figures
    record_property("sweep", figures.counts)
    assert figures.wrong == [], "\n".join(figures.wrong)
