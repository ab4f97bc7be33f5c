"""Files of variables: what a line means, what is refused where, and that what is written is read back."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oci_push.errors import ConfigError, Diagnostic
from oci_push.variables.dotenv import format_dotenv, parse_dotenv


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("A=1", "1"), ("A=", ""), ("A = x y ", "x y"), ("  export A=1", "1"), ("export\tA='x'", "x"), ("A=a=b", "a=b"),
        ("A=a#b", "a#b"), ("A=#b", "#b"), ("A=a #b", "a"), ("A= # b", ""), ("A=a\t# 'b", "a"), ("A='a' # b", "a"),
        ("A='a #b'", "a #b"), ("A='$X ${Y} `z` \\n'", "$X ${Y} `z` \\n"), ("A=$X", "$X"), ("A=${{B}}", "${{B}}"),
        ('A="a\\nb\\t\\"\\\\\\$\\`\\x"', 'a\nb\t"\\$`\\x'), ("A='a\nb'", "a\nb"), ('A="a\r\nb"', "a\r\nb"),
        ("A=a'b'", "a'b'"), ("A=1\nA=2", "2"), ("A=1\r\n", "1"), ("# c\n\n \t\nA=1", "1"), ("\ufeffA=1", "1"),
        ("A=\u2028x", "\u2028x"), ("A=''", ""),
    ],
)  # fmt: skip
def test_a_line_sets_a_variable(text: str, value: str) -> None:
    assert parse_dotenv(text, "f.env") == {"A": value}


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_end_as_on_any_system(end: str) -> None:
    assert parse_dotenv(end.join(["A=1", "", "# c", "B='2'", "C=3"]), "f") == {"A": "1", "B": "2", "C": "3"}


@pytest.mark.parametrize("name", ["secrets.my-store.token", "build.imageId", "größe", "export", "a/b"])
def test_names_are_those_of_variables(name: str) -> None:
    assert parse_dotenv(f"{name}=x", "f") == {name: "x"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("A=1\nB", "f.env:2:1: expected NAME=VALUE"),
        ("A B=1", "f.env:1:1: expected NAME=VALUE"),
        ("=1", "f.env:1:1: expected NAME=VALUE"),
        ("\n  export\nB=1", "f.env:2:9: expected NAME=VALUE"),
        ("${A}=1", "f.env:1:1: expected NAME=VALUE"),
        ("A='x' y", "f.env:1:6: nothing may follow the closing '"),
        ('A=1\r\nB=  "x', 'f.env:2:5: the " that opens here is never closed'),
        ("A='a\nb\nC=1", "f.env:1:3: the ' that opens here is never closed"),
    ],
)
def test_mistakes_are_told_with_their_place(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_dotenv(text, "f.env")
    assert str(caught.value) == message


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_dotenv("A\nB=1\n'C'\nD='\n\n' x\nE", "f")
    assert [(p.line, p.column) for p in caught.value.problems] == [(1, 1), (3, 1), (6, 2), (7, 1)]


def test_long_rows_of_blanks_take_no_time() -> None:
    assert parse_dotenv("A=x" + " " * 300_000 + "y", "f")["A"][-1] == "y"


NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]*", fullmatch=True)


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    problems: tuple[Diagnostic, ...] = ()
    try:
        parse_dotenv(text, "f")
    except ConfigError as error:
        problems = error.problems
    assert all(problem.line >= 1 and problem.column >= 1 for problem in problems)


@given(st.dictionaries(NAMES, st.text()))
def test_what_is_written_is_read_back(values: dict[str, str]) -> None:
    assert parse_dotenv(format_dotenv(values), "f") == values


def test_a_shell_reads_the_same_values(tmp_path: Path) -> None:
    values = {"A": "plain", "B": 'it\'s $HOME `id` "x" \\n', "C": "two\nlines", "D": "", "E": "*  ;#", "F": "it's\n$X"}
    (tmp_path / "f.env").write_text(format_dotenv(values))
    script = 'set -a; . ./f.env; printf \'%s\\0\' "$A" "$B" "$C" "$D" "$E" "$F"'
    done = subprocess.run(["sh", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split("\0")[:-1] == list(values.values())
