"""What shells are told at a TAB: from a table that is what the commands say, and without loading them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from oci_push.cli import complete_words
from oci_push.cli.app import COMMANDS
from oci_push.cli.complete import answer, split
from oci_push.cli.completion import source_of_table
from oci_push.cli.typed import every_command

CONFIG = """\
# - name: commented
registries:
  - name: hub   # ours
    provider: dockerhub
    username: nobody
  - domain: "reg.example:5000"
    name: 'mine'
  -
    name: third
    domain: ${HOST}
candidates:
  name: no
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in a folder with a few files."""
    (tmp_path / "image").mkdir()
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "app.tar").touch()
    (tmp_path / "oci-push.yaml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def offered(*typed: str, **env: str) -> list[str]:
    return [line.partition("\t")[0] for line in answer(["fish", *typed], env).splitlines()]


def test_the_table_is_what_the_commands_say() -> None:
    written = Path(complete_words.__file__).read_text()
    assert written == source_of_table(), "run `make words`"


def test_every_command_is_offered_where_it_stands() -> None:
    for path, _ in every_command(COMMANDS):
        assert path[-1] in offered(*path[:-1], "")


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        (["val"], ["validate"]),
        (["--"], ["--help", "--version"]),
        (["ecr", "replication", ""], ["show", "set", "wait"]),
        (["push", "--compression", ""], ["gzip", "zstd", "none"]),
        (["push", "--compression", "z"], ["zstd"]),
        (["push", "--compression=z"], ["--compression=zstd"]),
        (["push", "--no-such="], []),
        (["push", "--limit-rate", ""], []),
        (["push", "--ca-file", "a"], ["app.tar"]),
        (["push", "--tmpdir", ""], ["image/"]),
        (["push", "oci:"], ["oci:image/"]),
        (["push", "oci-archive:a"], ["oci-archive:app.tar"]),
        (["push", "docker://"], []),
        (["push", "app.tar", ""], ["reg.example:5000/"]),
        (["push", "app.tar", "one/app", "reg"], ["reg.example:5000/"]),
        (["push", "-t", "1", "app.tar", "reg"], ["reg.example:5000/"]),
        (["push", "--all-or"], ["--all-or-nothing"]),
        (["push", "--verify", "--verif"], []),
        (["push", "--tag", "a", "--ta"], ["--tag"]),
        (["login", ""], ["hub", "mine", "reg.example:5000", "third"]),
        (["login", "hub", ""], []),
        (["whoami", "hub", "m"], ["mine"]),
        (["doctor", "thi"], ["third"]),
        (["auth", "explain", "reg"], ["reg.example:5000"]),
        (["schema", "conf"], ["config"]),
        (["completion", ""], ["bash", "zsh", "fish"]),
        (["validate", "oci"], ["oci-push.yaml"]),
        (["nope", ""], []),
        (["push", ".h"], [".hidden/"]),
        (["push", "missing/"], []),
    ],
    ids=" ".join,
)
def test_what_is_offered(typed: list[str], expected: list[str], here: Path) -> None:
    assert offered(*typed) == expected


def test_a_source_begins_with_a_scheme_or_is_a_file(here: Path) -> None:
    found = offered("push", "")
    assert {"oci:", "oci-archive:", "docker-archive:", "docker://", "image/", "app.tar"} <= set(found)
    assert ".hidden/" not in found


def test_registries_are_those_of_the_file_that_a_command_would_read(here: Path) -> None:
    (here / "named.yaml").write_text("registries:\n- name: other\n")
    (here / "own" / "oci-push").mkdir(parents=True)
    (here / "own" / "oci-push" / "oci-push.yaml").write_text("registries:\n- name: own\n")
    assert offered("login", "", OCI_PUSH_CONFIG="named.yaml") == ["other"]
    (here / "oci-push.yaml").unlink()
    assert offered("login", "", XDG_CONFIG_HOME="own") == ["own"]
    assert offered("login", "", HOME=str(here / "nowhere")) == []


def test_bash_gets_what_stands_behind_its_last_break(here: Path) -> None:
    assert answer(["bash", "oci-push push oci:im", " :="], {}) == "files nospace\nimage/"
    assert answer(["bash", "oci-push push --compression=z", " :="], {}) == "\nzstd"
    assert answer(["bash", "oci-push push oci:im", " "], {}) == "files nospace\noci:image/"


def test_what_has_no_picture_is_not_offered(here: Path) -> None:
    (here / "bad\x1b[31m.tar").touch()
    (here / "bad\n.tar").touch()
    assert offered("push", "bad") == []


def test_a_configuration_that_cannot_be_read_offers_nothing(here: Path) -> None:
    (here / "oci-push.yaml").write_bytes(b"registries:\n- name: \xff\xfe\x00\n- [")
    assert offered("login", "a") == []


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("oci-push push", ["oci-push", "push"]),
        ("oci-push push ", ["oci-push", "push", ""]),
        ("a 'b c' d\\ e \"f g", ["a", "b c", "d e", "f g"]),
        ("a ''", ["a", ""]),
        ("", [""]),
    ],
)
def test_a_line_is_split_as_shells_do(line: str, words: list[str]) -> None:
    assert split(line) == words


def test_a_tab_loads_the_table_and_nothing_else(here: Path) -> None:
    code = "import sys; from oci_push.cli.app import main\ntry: main()\nfinally: print(*sys.modules, file=sys.stderr)"
    done = _python(code, "__complete", "bash", "oci-push login ", ":=")
    plain = _python("import sys; print(*sys.modules)")
    found = set(done.stderr.split()) - set(plain.stdout.split())
    assert {name for name in found if not name.startswith("oci_push")} <= {"__future__", "gc"}
    ours = {"oci_push", "oci_push.cli", "oci_push.cli.app", "oci_push.cli.complete", "oci_push.cli.complete_words"}
    assert {name for name in found if name.startswith("oci_push")} == ours
    assert "hub" in done.stdout.split()


def _python(*words: str) -> subprocess.CompletedProcess[str]:
    env = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")}
    return subprocess.run([sys.executable, "-c", *words], capture_output=True, text=True, check=True, env=env)
