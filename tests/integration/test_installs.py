"""Installing as users do: wheel and source archive, in empty environments, on every Python of this machine that is new
enough; what is installed pushes.

`uv` asks the index for what oci-push needs, as a user's install does.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder
from programs import clean_environment, run

from oci_push import __version__

ROOT = Path(__file__).parents[2]
THIS = f"{sys.version_info[0]}.{sys.version_info[1]}"
UV = str(Path(sys.executable).with_name("uv"))


def _pythons() -> dict[str, Path]:
    """Return one Python of each version from 3.11 on: this one, those on PATH, those that pyenv and uv keep."""
    folders = [Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep)]
    folders += [Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"]
    folders += [Path.home() / ".local/share/uv/python"]
    names = [
        path for folder in folders for path in sorted((*folder.glob("python3.*"), *folder.glob("*/bin/python3.*")))
    ]
    found = {THIS: Path(sys.executable)}
    for path in names:
        match = re.fullmatch(r"python(3\.(\d+))", path.name)
        if match and int(match[2]) >= 11 and match[1] not in found and _runs(path):
            found[match[1]] = path
    return found


def _runs(python: Path) -> bool:
    """Tell whether it is one: a shim of pyenv may find that its version is not chosen."""
    return subprocess.run([python, "-c", "pass"], capture_output=True, check=False).returncode == 0


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = str(tmp_path_factory.mktemp("built"))
    (wheel,) = WheelBuilder(str(ROOT)).build(directory=folder, versions=["standard"])
    (sdist,) = SdistBuilder(str(ROOT)).build(directory=folder, versions=["standard"])
    return {"wheel": wheel, "sdist": sdist}


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Give an environment in which what was fetched is kept for the next install."""
    env = {**os.environ, "UV_CACHE_DIR": str(tmp_path_factory.mktemp("cache")), "UV_NO_CONFIG": "1"}
    return {name: value for name, value in env.items() if not name.startswith(("COVERAGE_", "VIRTUAL_ENV"))}


def _install(what: str, python: Path, folder: Path, kept: dict[str, str]) -> Path:
    """Install into an environment that has not even pip; return the program."""
    run([UV, "venv", "--quiet", "--no-project", "--python", python, folder], env=kept)
    run([UV, "pip", "install", "--quiet", "--python", folder / "bin/python", what], env=kept)
    return folder / "bin/oci-push"


@pytest.mark.parametrize(("form", "version"), [("sdist", THIS), *(("wheel", version) for version in _pythons())])
def test_an_empty_environment_gets_a_program_that_pushes(
    form: str, version: str, built: dict[str, str], kept: dict[str, str], tmp_path: Path
) -> None:
    program = _install(built[form], _pythons()[version], tmp_path / "env", kept)
    env = clean_environment(tmp_path / "home")
    assert run([program, "--version"], env=env).text == f"oci-push {__version__}"
    listed = run([UV, "pip", "list", "--python", tmp_path / "env/bin/python"], env=kept).text.splitlines()[2:]
    assert len(listed) <= 30
    pushed = run([program, "run", ROOT / "fixtures/demo/pipeline.yml", "--sandbox"], env=env, cwd=ROOT)
    assert "/demo/hello:1.4.2@sha256:" in pushed.text
    assert "Build finished: success" in pushed.said
    shutil.rmtree(tmp_path / "env")
