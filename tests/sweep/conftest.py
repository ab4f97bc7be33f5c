"""How much of the sweeps is run."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def thin(request: pytest.FixtureRequest) -> int:
    """Give 1 where every request is to be broken in every way (``--sweep all``), else 0: as each scenario says."""
    return 1 if request.config.getoption("--sweep") == "all" else 0
