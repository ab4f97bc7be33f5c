"""Branches: which of them run a step, and which items can match none."""

from __future__ import annotations

import pytest

from oci_push.language.branches import allows, find_bad_patterns
from oci_push.language.document import Location
from oci_push.language.steps import Branches, Text


def texts(*items: str) -> tuple[Text, ...]:
    return tuple(Text(item, Location("p.yml", number, 3)) for number, item in enumerate(items, 1))


@pytest.mark.parametrize(
    ("item", "branch", "matches"),
    [
        ("master", "master", True), ("master", "master-2", False), ("master", "Master", False), ("a.c", "abc", False),
        ("/hotfix$/", "release/x-hotfix", True), ("/^FB-/", "fb-42", False), ("/FB-/i", "xfb-1", True),
        ("/a\\/b/", "x/a/b", True), ("/a/b/", "x/a/b", True), ("/x$/m", "x\ny", True), ("/a/gi", "XA", True),
        ("/[/", "x", False), ("/[/", "/[/", False), ("/a/b", "a", False), ("/a/b", "/a/b", True),
        ("/a/ii", "a", False), ("//", "a", False), ("//", "//", True), ("/", "/", True), ("/a", "a", False),
        ("a/", "a/", True), ("/^$/", "", True), ("", "", True), ("/a/ ", "a", False),
    ],
)  # fmt: skip
def test_an_item_is_a_name_or_a_regular_expression(item: str, branch: str, matches: bool) -> None:
    assert allows(Branches(only=texts(item)), branch).runs is matches
    assert allows(Branches(ignore=texts(item)), branch).runs is not matches


@pytest.mark.parametrize(
    ("branches", "branch", "runs"),
    [
        (Branches(), "a", True), (Branches(), None, True), (Branches(only=texts("a", "b")), "b", True),
        (Branches(only=()), "a", False), (Branches(ignore=()), "a", True),
        (Branches(only=texts("a", "b"), ignore=texts("b")), "b", False),
        (Branches(only=texts("a", "b"), ignore=texts("b")), "a", True),
        (Branches(only=texts("a"), ignore=texts("b")), "c", False), (Branches(only=texts("/./")), None, False),
        (Branches(ignore=texts("/./")), None, True), (Branches(only=texts("/[/", "/a/")), "a", True),
    ],
)  # fmt: skip
def test_only_and_ignore_must_agree(branches: Branches, branch: str | None, runs: bool) -> None:
    assert allows(branches, branch).runs is runs


@pytest.mark.parametrize(
    ("branches", "branch", "reason"),
    [
        (Branches(only=texts("a", "/b/i")), "x", "branch 'x' is not among a, /b/i"),
        (Branches(only=()), "x", "branch 'x' is not among (nothing)"),
        (Branches(ignore=texts("a", "/x/")), "x", "branch 'x' is ignored by /x/"),
        (Branches(only=texts("a")), None, "the branch is not known (CF_BRANCH is not set), so it is not among a"),
        (Branches(only=texts("/[/")), "x",
         "branch 'x' is not among /[/ (Invalid regular expression: /[/: Unterminated character class)"),
        (Branches(only=texts("a")), "a", ""),
    ],
)  # fmt: skip
def test_the_reason_is_told(branches: Branches, branch: str | None, reason: str) -> None:
    assert allows(branches, branch).reason == reason


def test_a_search_that_takes_too_long_is_no_match_and_told() -> None:
    found = allows(Branches(only=texts("/(a|aa)*[bc]/")), "a" * 200)
    assert not found.runs
    assert "searching took longer than 1 s" in found.reason


def test_items_that_match_nothing_are_found_with_their_places() -> None:
    branches = Branches(only=texts("main", "/[/", "/ok/i"), ignore=texts("/a/b", "/a/ii", "/${{X}}[/"))
    found = find_bad_patterns(branches, "steps.p.when.branch")
    assert [(problem.path, problem.line, problem.column, problem.file, problem.message) for problem in found] == [
        ("steps.p.when.branch.only.1", 2, 3, "p.yml",
         "branch pattern matches nothing: Invalid regular expression: /[/: Unterminated character class"),
        ("steps.p.when.branch.ignore.0", 1, 3, "p.yml",
         "branch '/a/b' matches nothing: a name cannot begin with a slash"),
        ("steps.p.when.branch.ignore.1", 2, 3, "p.yml",
         "branch pattern matches nothing: Invalid regular expression flags: /a/ii"),
    ]  # fmt: skip
    assert all(problem.hint for problem in found)
    assert find_bad_patterns(Branches(), "x") == ()
