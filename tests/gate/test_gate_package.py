"""What is built from this project: the wheel and the source archive hold what they should, and nothing else."""

from __future__ import annotations

import email
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest
from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).parents[2]
LICENSE = (ROOT / "LICENSE").read_bytes()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Build the wheel; its files by name."""
    (path,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path_factory.mktemp("wheel")), versions=["standard"])
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Build the source archive; its files' names without the folder that they are all in."""
    (path,) = SdistBuilder(str(ROOT)).build(directory=str(tmp_path_factory.mktemp("sdist")), versions=["standard"])
    with tarfile.open(path) as archive:
        return {name.partition("/")[2] for name in archive.getnames()}


def test_the_license_is_apache_2_in_full_and_travels_with_the_wheel(wheel: dict[str, bytes]) -> None:
    assert LICENSE.split()[:5] == b"Apache License Version 2.0, January".split()
    assert b"END OF TERMS AND CONDITIONS" in LICENSE
    assert [content for name, content in wheel.items() if name.endswith(".dist-info/licenses/LICENSE")] == [LICENSE]
    (metadata,) = (email.message_from_bytes(text) for name, text in wheel.items() if name.endswith("/METADATA"))
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] == ">=3.11"


def test_the_wheel_holds_the_package_alone(wheel: dict[str, bytes]) -> None:
    ours = {path.relative_to(ROOT).as_posix() for path in (ROOT / "oci_push").rglob("*.py")} | {"oci_push/py.typed"}
    others = {name for name in wheel if ".dist-info/" not in name}
    assert ours <= others
    assert all(name.startswith("oci_push/") and "__pycache__" not in name for name in others)


def test_the_source_archive_holds_what_the_gate_needs_and_no_more_than_git(sdist: set[str]) -> None:
    needed = {
        "LICENSE",
        "README.md",
        "Makefile",
        "pyproject.toml",
        ".ci/programs",
        "oci_push/api.py",
        "tests/conftest.py",
    }
    assert needed <= sdist
    if (ROOT / ".git").exists():
        command = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard"]
        known = set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines())
        assert sdist - known == {"PKG-INFO"}
