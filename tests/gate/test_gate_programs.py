"""How the gate gets the programs it needs: `.ci/programs`, with an apt-get of our own making."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

PROGRAMS = Path(__file__).parents[2] / ".ci" / "programs"
LOCKED = "E: Could not get lock /var/lib/apt/lists/lock. It is held by process 1 (apt-get)"
APT = """#!/bin/sh
echo "apt-get $*" >>"$LOG"
[ "$1" = update ] || exit 0
count=$(grep -c '^apt-get update' "$LOG")
[ "$count" -gt "$REFUSALS" ] && exit 0
echo "$REFUSAL" >&2
exit 100
"""


def install(folder: Path, *, refusals: int, refusal: str) -> tuple[int, list[str], str]:
    """Ask for a program that is not there, where apt refuses to update so often; gives what was run, and said."""
    tools = folder / "tools"
    tools.mkdir()
    for name, text in {
        "apt-get": APT,
        "sleep": '#!/bin/sh\necho "sleep $*" >>"$LOG"\n',
        "id": "#!/bin/sh\necho 0\n",
    }.items():
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    log = folder / "log"
    log.touch()
    done = subprocess.run(
        [PROGRAMS, "no-such-program"],
        env={"PATH": f"{tools}:{os.environ['PATH']}", "LOG": str(log), "REFUSALS": str(refusals), "REFUSAL": refusal},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, log.read_text().splitlines(), done.stderr


def test_another_apt_at_work_is_waited_for(tmp_path: Path) -> None:
    status, ran, _ = install(tmp_path, refusals=2, refusal=LOCKED)
    assert status == 0
    assert [line.split()[1] for line in ran if line.startswith("apt-get")] == ["update", "update", "update", "install"]
    assert sum(line.startswith("sleep") for line in ran) == 2
    assert all("DPkg::Lock::Timeout=600" in line for line in ran if line.startswith("apt-get"))


@pytest.mark.parametrize(("refusal", "updates"), [(LOCKED, 120), ("E: Failed to fetch", 1)])
def test_what_cannot_be_installed_is_said(refusal: str, updates: int, tmp_path: Path) -> None:
    status, ran, said = install(tmp_path, refusals=10_000, refusal=refusal)
    assert status == 1
    assert sum(line.startswith("apt-get update") for line in ran) == updates
    assert refusal in said
    assert "missing: no-such-program" in said
    assert not any("install" in line for line in ran)
