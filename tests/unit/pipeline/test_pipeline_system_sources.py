"""Where system variables are taken from first, and when git is asked."""

from __future__ import annotations

import json

import pytest

from oci_push.variables.lookup import Variables, VariableSource
from oci_push.variables.repository_url import RepositoryUrl, parse_repository_url
from oci_push.variables.system import Build, GitFacts, system_sources

SHA = "0123456789abcdef0123456789abcdef01234567"
HEAD = "f" * 40
FACTS = GitFacts(SHA, "main", "v1", "Ann", "it's", "https://u:hunter2@github.com/octo/app.git")


class Git:
    """Answer with the same facts always, and remember what was asked."""

    def __init__(self, facts: GitFacts = FACTS) -> None:
        self.facts = facts
        self.asked: list[str] = []

    def __call__(self, revision: str) -> GitFacts:
        self.asked.append(revision)
        return self.facts


def variables(env: dict[str, str], git: Git, *, event: str = "", build: Build | None = None) -> Variables:
    system = system_sources(env, git, build or Build(1.5), event=event)
    return Variables([VariableSource("environment", env, is_literal=True), *system])


def test_git_is_asked_once_and_only_for_what_nobody_else_knows() -> None:
    git = Git()
    found = variables({"CF_BRANCH": "b"}, git)
    assert found.interpolate("${{CF_BRANCH_TAG_NORMALIZED}} ${{CI}} ${{NOPE}} ${{CF_BUILD_ID}}").text == (
        "b true ${{NOPE}} ${{CF_BUILD_ID}}"
    )
    assert git.asked == []
    assert found.interpolate("${{CF_REVISION}} ${{CF_COMMIT_AUTHOR}}").text == f"{SHA} Ann"
    assert git.asked == [""]


def test_git_gives_what_the_language_has_names_for() -> None:
    found = variables({}, Git())
    names = ("CF_BRANCH", "CF_REVISION", "CF_COMMIT_MESSAGE", "CF_COMMIT_URL", "CF_REPO_OWNER", "CF_REPO_NAME")
    assert {name: found.lookup(name) for name in names} == {
        "CF_BRANCH": "main",
        "CF_REVISION": SHA,
        "CF_COMMIT_MESSAGE": "it\\'s",
        "CF_COMMIT_URL": f"https://github.com/octo/app/commit/{SHA}",
        "CF_REPO_OWNER": "octo",
        "CF_REPO_NAME": "app",
    }
    assert found.origin("CF_REVISION") == "git"
    assert "hunter2" not in repr(FACTS) + repr(dict(found.names()))


def test_git_gives_the_tag_where_no_branch_is_checked_out_and_nothing_for_nothing() -> None:
    assert variables({}, Git(GitFacts(tag="v1"))).lookup("CF_BRANCH") == "v1"
    assert variables({}, Git(GitFacts(problem="no git"))).lookup("CF_BRANCH") is None


def test_a_ci_wins_over_git_which_is_asked_about_the_commit_that_the_ci_names() -> None:
    git = Git()
    env = {"GITHUB_ACTIONS": "true", "GITHUB_REF_NAME": "7/merge", "GITHUB_HEAD_REF": "fix", "GITHUB_SHA": SHA}
    event = json.dumps({"pull_request": {"number": 7, "head": {"sha": HEAD}}})
    found = variables(env, git, event=event)
    assert (found.lookup("CF_BRANCH"), found.lookup("CF_REVISION")) == ("fix", HEAD)
    assert found.origin("CF_BRANCH") == "GitHub Actions (GITHUB_HEAD_REF)"
    assert found.origin("CF_REVISION") == "GitHub Actions (event)"
    assert git.asked == []
    assert found.lookup("CF_COMMIT_AUTHOR") == "Ann"
    assert git.asked == [HEAD]


def test_a_run_without_ci_is_begun_by_the_user() -> None:
    found = variables({"LOGNAME": "ann"}, Git(), build=Build(1_700_000_000.25, "run-1"))
    text = "${{CF_BUILD_TRIGGER}} ${{CF_BUILD_INITIATOR}} ${{CF_BUILD_ID}} ${{CF_BUILD_TIMESTAMP}}"
    assert found.interpolate(text).text == "build ann run-1 1700000000250"
    assert found.origin("CF_BUILD_INITIATOR") == "this run (LOGNAME)"


def test_a_run_in_a_ci_says_nothing_of_its_user() -> None:
    found = variables({"JENKINS_URL": "j", "USER": "jenkins"}, Git())
    assert found.lookup("CF_BUILD_INITIATOR") is None
    assert found.lookup("CF_BUILD_TRIGGER") is None


def test_values_of_a_ci_are_never_expanded() -> None:
    env = {"GITHUB_ACTIONS": "true", "GITHUB_HEAD_REF": "x-${{TOKEN}}", "TOKEN": "hunter2"}
    assert variables(env, Git()).interpolate("${{CF_BRANCH}}").text == "x-${{TOKEN}}"


@pytest.mark.parametrize(
    ("text", "host", "owner", "name", "page"),
    [
        ("https://github.com/octo/app.git", "github.com", "octo", "app", "https://github.com/octo/app/commit/abc"),
        ("https://u:p@github.com/octo/app/", "github.com", "octo", "app", "https://github.com/octo/app/commit/abc"),
        ("https://u:p@ss@github.com/o/a", "github.com", "o", "a", "https://github.com/o/a/commit/abc"),
        ("git@github.com:octo/app.git", "github.com", "octo", "app", "https://github.com/octo/app/commit/abc"),
        ("ssh://git@gitlab.x.org:2222/g/s/app.git", "gitlab.x.org:2222", "g/s", "app",
         "https://gitlab.x.org/g/s/app/-/commit/abc"),
        ("git@ssh.dev.azure.com:v3/org/proj/app", "ssh.dev.azure.com", "org/proj", "app", ""),
        ("https://dev.azure.com/org/proj/_git/app", "dev.azure.com", "org/proj", "app",
         "https://dev.azure.com/org/proj/_git/app/commit/abc"),
        ("http://bitbucket.org:8080/o/a", "bitbucket.org:8080", "o", "a", "http://bitbucket.org:8080/o/a/commits/abc"),
        ("https://git.x.org/o/a.git", "git.x.org", "o", "a", ""),
        ("https://git.x.org/a", "git.x.org", "", "a", ""),
    ],
)  # fmt: skip
def test_addresses_of_repositories_are_taken_apart(text: str, host: str, owner: str, name: str, page: str) -> None:
    found = parse_repository_url(text)
    assert (found.host, found.owner, found.name, found.commit_url("abc")) == (host, owner, name, page)
    assert found.commit_url("") == ""


@pytest.mark.parametrize(
    "text", ["", "/srv/git/app.git", "../app", "file:///srv/app.git", "ext::sh -c evil", "C:", "https://", "https://h/"]
)
def test_folders_and_other_things_are_no_addresses(text: str) -> None:
    assert parse_repository_url(text) == RepositoryUrl()
