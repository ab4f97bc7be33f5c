"""The one file starts anywhere: what it unpacks, where, and what it refuses. A tiny program stands for oci-push."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import onefile
import pytest

PROGRAM = """
import sys
from pathlib import Path
def start():
    print(sys.argv[1:], Path(__file__).parents[2])
"""


def _make(folder: Path, program: str = PROGRAM) -> Path:
    lib = folder / "tree" / "lib"
    for name, text in {
        "oci_push/__init__.py": "",
        "oci_push/cli/__init__.py": "",
        "oci_push/cli/app.py": program,
        "oci_push-1.2.dist-info/METADATA": "Metadata-Version: 2.4\nName: oci-push\nVersion: 1.2\n",
    }.items():
        (lib / name).parent.mkdir(parents=True, exist_ok=True)
        (lib / name).write_text(text)
    return onefile.make(folder / "tree", folder / "made")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return _make(tmp_path)


def _start(file: Path, code: int = 0, **env: str) -> tuple[str, str]:
    done = subprocess.run([sys.executable, file, "a", "b"], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout.strip(), done.stderr


def _unwritable(folder: Path) -> str:
    """Return a path that cannot be made into a folder, by root neither."""
    folder.touch()
    return str(folder)


def test_its_name_says_what_it_runs_on_and_the_same_tree_gives_the_same_bytes(file: Path) -> None:
    platform = getattr(sys.implementation, "_multiarch", sys.platform)
    assert file.name == f"oci-push-1.2-cp{sys.version_info[0]}{sys.version_info[1]}-{platform}.pyz"
    assert os.access(file, os.X_OK)
    before = file.read_bytes()
    (file.parents[1] / "tree/lib/oci_push/cli/app.py").touch()
    assert onefile.make(file.parents[1] / "tree", file.parent).read_bytes() == before
    assert before.startswith(b"#!/usr/bin/env python3.")
    with zipfile.ZipFile(file) as archive:
        assert archive.namelist() == ["__main__.py", "lib.zip"]


def test_it_unpacks_once_into_the_cache_of_the_user(file: Path, tmp_path: Path) -> None:
    said, _ = _start(file, HOME=str(tmp_path / "home"))
    root = tmp_path / "home/.cache/oci-push/unpacked"
    (folder,) = root.iterdir()
    assert said == f"['a', 'b'] {folder}/lib"
    assert root.stat().st_mode & 0o777 == 0o700

    (folder / "lib/oci_push/cli/app.py").write_text("def start(): print('kept')")
    assert _start(file, HOME=str(tmp_path / "home"))[0] == "kept"


@pytest.mark.parametrize("variable", ["XDG_CACHE_HOME", "OCI_PUSH_UNPACK"])
def test_it_unpacks_where_it_is_told_to(variable: str, file: Path, tmp_path: Path) -> None:
    said, _ = _start(file, **{"HOME": str(tmp_path / "home"), variable: str(tmp_path / "there")})
    assert f" {tmp_path}/there/" in said
    assert not (tmp_path / "home").exists()


def test_without_a_home_it_unpacks_beside_temporary_files(file: Path, tmp_path: Path) -> None:
    said, _ = _start(file, HOME=_unwritable(tmp_path / "home"), TMPDIR=str(tmp_path))
    root = tmp_path / f"oci-push-{os.geteuid()}"
    assert said.startswith(f"['a', 'b'] {root}/")
    assert root.stat().st_mode & 0o777 == 0o700


def test_it_runs_nothing_that_another_user_could_have_written(file: Path, tmp_path: Path) -> None:
    root = tmp_path / f"oci-push-{os.geteuid()}"
    home = _unwritable(tmp_path / "home")
    root.mkdir()
    root.chmod(0o777)
    _, error = _start(file, 2, HOME=home, TMPDIR=str(tmp_path))
    assert f"{root}: is not a folder that this user alone can write to" in error
    assert "hint: name a folder that you can write to: OCI_PUSH_UNPACK=DIR" in error

    root.rmdir()
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    root.symlink_to(tmp_path / "elsewhere")
    _, error = _start(file, 2, HOME=home, TMPDIR=str(tmp_path))
    assert f"{root}: is not a folder" in error
    assert not any((tmp_path / "elsewhere").iterdir())


def test_another_content_is_unpacked_beside(file: Path, tmp_path: Path) -> None:
    _start(file, OCI_PUSH_UNPACK=str(tmp_path / "there"))
    other = _make(tmp_path / "other", PROGRAM.replace("print(", "print('new', "))
    assert other.name == file.name
    assert _start(other, OCI_PUSH_UNPACK=str(tmp_path / "there"))[0].startswith("new")
    assert len([*(tmp_path / "there").iterdir()]) == 2


def test_several_that_start_at_once_all_run_and_leave_one_folder(file: Path, tmp_path: Path) -> None:
    env = {"OCI_PUSH_UNPACK": str(tmp_path / "there")}
    children = [subprocess.Popen([sys.executable, file], env=env, stdout=subprocess.PIPE) for _ in range(4)]
    said = {child.communicate()[0] for child in children}
    assert [child.returncode for child in children] == [0] * 4
    assert len(said) == 1
    assert len([*(tmp_path / "there").iterdir()]) == 1


def test_another_python_is_told_which_one_is_needed(file: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(file) as archive:
        main = archive.read("__main__.py").decode()
    ours = f'PYTHON = "{sys.version_info[0]}.{sys.version_info[1]}"'
    assert ours in main
    (tmp_path / "main.py").write_text(main.replace(ours, 'PYTHON = "3.99"'))
    _, error = _start(tmp_path / "main.py", 2, HOME=str(tmp_path / "home"))
    assert error.startswith("error: this file is for CPython 3.99 on ")
    assert "hint: run it with python3.99," in error
    assert not (tmp_path / "home").exists()
