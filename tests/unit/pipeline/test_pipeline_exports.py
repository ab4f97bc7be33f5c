"""Exports: names, forms, and which form is chosen."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oci_push.errors import ConfigError
from oci_push.variables.exports import (
    ExportForm,
    check_export_names,
    choose_form,
    export_name,
    exported_values,
    format_exports,
)


@pytest.mark.parametrize(
    ("step", "member", "name"),
    [
        ("push", "imageRepoDigest", "push_imageRepoDigest"), ("push-prod eu", "imageId", "push_prod_eu_imageId"),
        ("1st", "result", "_1st_result"), ("größe", "result", "gr__e_result"), ("p", "output.V", "p_output_V"),
        ("-", "result", "__result"),
    ],
)  # fmt: skip
def test_names_are_made_from_step_and_member(step: str, member: str, name: str) -> None:
    assert export_name(step, member) == name


@pytest.mark.parametrize("other", ["a b", "A-b", "a_b"])
def test_steps_of_the_same_export_name_are_refused_before_the_run(other: str) -> None:
    check_export_names(["a-b", "a", "ab"])
    with pytest.raises(ConfigError, match=r"steps 'a-b' and '.*' would be exported under the same names") as caught:
        check_export_names(["a-b", other])
    assert caught.value.hint == "rename one of them"


def test_members_that_share_a_name_are_refused() -> None:
    assert exported_values({"a": {"x": "1", "y": "2"}, "b": {"x": "3"}}) == {"a_x": "1", "a_y": "2", "b_x": "3"}
    with pytest.raises(ConfigError, match=r"a\.b_c and a_b\.c would both be exported as a_b_c"):
        exported_values({"a": {"b_c": "1"}, "a_b": {"c": "2"}})


def read_github(text: str) -> dict[str, str]:
    """Read a file of outputs as GitHub's runner does."""
    found, lines = {}, text.split("\n")
    while lines != [""]:
        name, _, delimiter = lines.pop(0).partition("<<")
        end = lines.index(delimiter)
        found[name] = "\n".join(lines[:end])
        del lines[: end + 1]
    return found


@given(st.dictionaries(st.from_regex(r"[a-z_]+", fullmatch=True), st.text()))
def test_github_reads_the_same_values(values: dict[str, str]) -> None:
    assert read_github(format_exports(values, ExportForm.GITHUB)) == values


def test_a_value_cannot_end_itself_and_set_another() -> None:
    first = format_exports({"A": "x"}, ExportForm.GITHUB)
    value = f"x\n{first.splitlines()[2]}\nB<<E\nevil\nE"
    assert read_github(format_exports({"A": value}, ExportForm.GITHUB)) == {"A": value}


def test_gitlabs_form_has_no_quotes_and_refuses_what_it_cannot_hold() -> None:
    assert format_exports({"A": "x y", "B": ""}, ExportForm.GITLAB) == "A=x y\nB=\n"
    for value in ("a\nb", "a\rb", " a", "a\t"):
        with pytest.raises(ConfigError, match="A: GitLab's dotenv reports hold no"):
            format_exports({"A": value}, ExportForm.GITLAB)


def test_dotenv_quotes_where_needed() -> None:
    assert format_exports({"A": "r.io/x@sha256:ab", "B": "x y"}, ExportForm.DOTENV) == "A=r.io/x@sha256:ab\nB='x y'\n"


@pytest.mark.parametrize(
    ("path", "given", "env", "form"),
    [
        ("out.env", "", {}, ExportForm.DOTENV),
        ("out.env", "github", {"GITLAB_CI": "true"}, ExportForm.GITHUB),
        ("/tmp/o", "", {"GITHUB_OUTPUT": "/tmp/o"}, ExportForm.GITHUB),
        ("/tmp/o", "", {"GITHUB_ENV": "/tmp/o", "GITHUB_OUTPUT": "/tmp/p"}, ExportForm.GITHUB),
        ("/tmp/q", "", {"GITHUB_OUTPUT": "/tmp/o"}, ExportForm.DOTENV),
        ("/tmp/o", "dotenv", {"GITHUB_OUTPUT": "/tmp/o"}, ExportForm.DOTENV),
        ("out.env", "", {"GITLAB_CI": "true"}, ExportForm.GITLAB),
    ],
)
def test_the_form_follows_the_option_the_file_and_the_ci(
    path: str, given: str, env: dict[str, str], form: ExportForm
) -> None:
    assert choose_form(path, given, env) is form


def test_an_unknown_form_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="--export-format 'json' is not known") as caught:
        choose_form("x", "json", {})
    assert caught.value.hint == "known: dotenv, github, gitlab"
