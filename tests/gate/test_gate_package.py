"""What is built from this project: the wheel and the source archive hold what they should, and nothing else."""

from __future__ import annotations

import email
import os
import re
import subprocess
import tarfile
import zipfile
from importlib.metadata import distributions
from pathlib import Path

import packages
import pytest
from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder

from oci_push import __version__

ROOT = Path(__file__).parents[2]
LICENSE = (ROOT / "LICENSE").read_bytes()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Build the wheel; its files by name."""
    (path,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path_factory.mktemp("wheel")), versions=["standard"])
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def sdist_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the source archive."""
    (path,) = SdistBuilder(str(ROOT)).build(directory=str(tmp_path_factory.mktemp("sdist")), versions=["standard"])
    return Path(path)


@pytest.fixture(scope="module")
def sdist(sdist_file: Path) -> set[str]:
    """List the source archive's files, without the folder that they are all in."""
    with tarfile.open(sdist_file) as archive:
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
        ".ci/judges",
        ".ci/programs",
        "Containerfile",
        "release/tree.py",
        "oci_push/api.py",
        "tests/conftest.py",
    }
    assert needed <= sdist
    if (ROOT / ".git").exists():
        command = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard"]
        known = set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines())
        assert sdist - known == {"PKG-INFO"}


def test_the_same_sources_give_the_same_bytes(sdist_file: Path, tmp_path: Path) -> None:
    """Unpack the source archive twice, with other times and other rights, and build from both."""
    built = list[dict[str, bytes]]()
    for mask, time in ((0o022, 1_000_000_000), (0o077, 1_700_000_000)):
        folder = tmp_path / str(time)
        before = os.umask(mask)
        try:
            with tarfile.open(sdist_file) as archive:
                archive.extractall(folder, filter="data")
            for path in folder.rglob("*"):
                path.chmod((0o777 if path.is_dir() or path.stat().st_mode & 0o100 else 0o666) & ~mask)
                os.utime(path, (time, time))
            (project,) = folder.iterdir()
            (wheel,) = WheelBuilder(str(project)).build(directory=str(folder), versions=["standard"])
            (sdist,) = SdistBuilder(str(project)).build(directory=str(folder), versions=["standard"])
        finally:
            os.umask(before)
        built.append({Path(path).name: Path(path).read_bytes() for path in (wheel, sdist)})
    assert built[0] == built[1]
    assert [*built[0]] == [f"oci_push-{__version__}-py3-none-any.whl", f"oci_push-{__version__}.tar.gz"]


def test_the_version_has_its_part_of_the_changelog() -> None:
    headings = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] == "Unreleased"
    assert re.fullmatch(rf"{re.escape(__version__)} - \d{{4}}-\d\d-\d\d", headings[1])


def test_what_is_installed_with_it_is_listed_with_its_licence() -> None:
    """The list is kept by hand, so that a package, or another licence, is something that a person has looked at."""
    rows = re.findall(r"^\| ([a-z0-9-]+) \| ([^|]+) \|", (ROOT / "docs/dependencies.md").read_text(), re.MULTILINE)
    found = {name: packages.licence_of(package) for name, package in packages.installed().items()}
    del found[packages.US]
    found.setdefault("isal", "PSF-2.0")  # which not all platforms have
    assert dict(rows) == found


@pytest.mark.parametrize(
    "said",
    ["License-Expression: MIT AND GPL-3.0-only", "License: Proprietary", "Classifier: License :: Free For Home Use"],
)
def test_a_licence_that_nobody_has_looked_at_stops_a_release(said: str, tmp_path: Path) -> None:
    (tmp_path / "odd-1.0.dist-info").mkdir()
    (tmp_path / "odd-1.0.dist-info" / "METADATA").write_text(
        f"Metadata-Version: 2.4\nName: odd\nVersion: 1.0\n{said}\n"
    )
    (odd,) = distributions(path=[str(tmp_path)])
    with pytest.raises(LookupError, match="odd: its licence is unknown or not allowed"):
        packages.licence_of(odd)


def test_an_install_stays_as_small_as_it_is_said_to_be() -> None:
    """Bounds a little above what README and docs/dependencies.md state: what grows past them is to be decided on."""
    found = packages.installed()
    del found[packages.US]
    files = {path.locate() for package in found.values() for path in package.files or () if path.suffix != ".pyc"}
    ours = (ROOT / "oci_push").rglob("*.py")
    size_bytes = sum(Path(str(path)).stat().st_size for path in (*files, *ours))
    assert len(found) <= 29
    assert size_bytes <= 90_000_000
    for page in ("README.md", "docs/install.md", "docs/dependencies.md"):
        stated = re.findall(r"\b(8\d) MB", (ROOT / page).read_text())
        assert stated, page
        assert all(abs(float(text) * 1e6 - size_bytes) < 5_000_000 for text in stated), page
