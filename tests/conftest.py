"""What holds for every test: where helper modules are found, who may be talked to, how Hypothesis runs.

This file makes `tests/` an import root, so that any test can `import` a helper module of this folder.
"""

from __future__ import annotations

import ipaddress
import os
import sys
from pathlib import Path

import pytest
from hypothesis import settings

from oci_push import secret

# Two cores are shared with servers and other workers: the time of one example says nothing about our code.
# Derandomised, so that a red run is red again on the next machine.
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.load_profile("repeatable")


def _refuse_other_machines(event: str, arguments: tuple[object, ...]) -> None:
    """Refuse connections that leave this machine: a test that needs the world is wrong, and must not pass by luck."""
    if event not in ("socket.connect", "socket.sendto"):
        return
    address = arguments[1]
    if not isinstance(address, tuple):
        return
    host = str(address[0])
    try:
        is_local = ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        is_local = host == "localhost"
    if not is_local:
        raise RuntimeError(f"a test tried to reach {host}: tests talk to this machine only")


sys.addaudithook(_refuse_other_machines)

# The sweeps push as the tests of registry/ do, with what these have beside them, and one of them a real registry.
for _shared in ("registry", "sweep"):
    sys.path.append(str(Path(__file__).with_name(_shared)))


ROOT = Path(__file__).parents[1]
_TOOLS_OWN = {".git", ".venv", ".judges", ".hypothesis", ".mypy_cache", ".pytest_cache", ".ruff_cache", "__pycache__"}
_before = pytest.StashKey[set[str]]()


def _files() -> set[str]:
    """List what lies in the project, but for what tools keep in folders of their own."""
    found = set[str]()
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in _TOOLS_OWN and not name.endswith(".egg-info")]
        place = os.path.relpath(folder, ROOT)
        found.update(os.path.join(place, name) for name in names if not name.startswith(".coverage"))
    return found


def pytest_sessionstart(session: pytest.Session) -> None:
    """See what lies in the project before the tests."""
    session.config.stash[_before] = _files()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run whose tests have written into the project: what they leave there is committed one day."""
    new = _files() - session.config.stash[_before]
    if new and not hasattr(session.config, "workerinput"):
        print(f"\ntests wrote into the project: {', '.join(sorted(new))}")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let `make sweep` run all of the fault sweeps; `make test` takes a part of them."""
    parser.addoption("--sweep", choices=("some", "all"), default="some", help="how much of the fault sweeps is run")


@pytest.fixture(scope="session")
def thin(request: pytest.FixtureRequest) -> int:
    """Give 1 where every request is to be broken in every way (``--sweep all``), else 0: as each scenario says."""
    return 1 if request.config.getoption("--sweep") == "all" else 0


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many pushes were broken on purpose and how they ended; tests record that as ``sweep``."""
    reports = [report for found in terminalreporter.stats.values() for report in found if hasattr(report, "when")]
    counts = [value for r in reports if r.when == "call" for name, value in r.user_properties if name == "sweep"]
    if counts:
        runs, recovered, errors = (sum(column) for column in zip(*counts, strict=True))
        wrong = runs - recovered - errors
        terminalreporter.write_line(
            f"fault sweep: {runs} broken pushes, {recovered} recovered, {errors} ended in a clean error, {wrong} wrong"
        )


@pytest.fixture(autouse=True)
def _knowing_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin each test as a run of its own: what another one called secret is an ordinary word here."""
    monkeypatch.setattr(secret, "_KNOWN", type(secret._KNOWN)())


@pytest.fixture(autouse=True)
def _uncounted_children(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep coverage out of the children of unit tests: some look at what a child imports, and it imports plenty."""
    if "unit" in request.path.parts:
        monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)
