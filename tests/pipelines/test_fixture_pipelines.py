"""The pipelines of ``fixtures/pipelines``: each is valid, has the plan beside it, and runs in a rehearsal.

After a wanted change of a plan write it anew: ``oci-push plan FILE --json`` with the variables below.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from program import program

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "fixtures" / "pipelines"
PIPELINES = sorted(path.stem for path in FOLDER.glob("*.yml"))
VARIABLES = {
    "CF_BRANCH": "master",
    "CF_REVISION": "df6a04c9f1b2a3c4d5e6f708192a3b4c5d6e7f80",
    "DTR_USER": "me",
    "DTR_PASSWORD": "planted-password",
    "AWS_KEY": "AKIAEXAMPLE",
    "AWS_SECRET": "planted-secret",
}


def oci_push(*arguments: str, home: Path) -> subprocess.CompletedProcess[str]:
    """Run the program in the project's folder, with an empty home."""
    given = [word for name, value in VARIABLES.items() for word in ("--var", f"{name}={value}")]
    done = program(*arguments, *given, cwd=ROOT, HOME=str(home))
    assert "planted" not in done.stdout + done.stderr
    return done


def test_there_are_pipelines() -> None:
    assert len(PIPELINES) == 6


@pytest.mark.parametrize("name", PIPELINES)
def test_a_plan_is_the_one_beside_the_pipeline(name: str, tmp_path: Path) -> None:
    done = oci_push("plan", f"fixtures/pipelines/{name}.yml", "--json", home=tmp_path)
    assert json.loads(done.stdout) == json.loads((FOLDER / f"{name}.plan.json").read_text())


@pytest.mark.parametrize("name", PIPELINES)
def test_a_rehearsal_pushes_what_the_plan_says(name: str, tmp_path: Path) -> None:
    done = oci_push("run", f"fixtures/pipelines/{name}.yml", "--sandbox", "--no-memory", home=tmp_path)
    planned = json.loads((FOLDER / f"{name}.plan.json").read_text())
    wanted = [target for step in planned["steps"] for target in step["targets"]]
    # A rehearsal's references have the sandbox in front, and the host as the first part of the path.
    pushed = [line.split("@")[0].partition("/")[2] for line in done.stdout.splitlines()]
    assert sorted(pushed) == sorted(wanted)
    assert "Build finished: success" in done.stderr
