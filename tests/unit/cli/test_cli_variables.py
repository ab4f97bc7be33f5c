"""`oci-push variables`, as a user runs it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from program import program


def variables(cwd: Path, *arguments: str, code: int = 0, **env: str) -> subprocess.CompletedProcess[str]:
    """Run the program outside any repository, with an empty home."""
    return program(
        "variables", *arguments, cwd=cwd, code=code, HOME=str(cwd), GIT_CEILING_DIRECTORIES=str(cwd.parent), **env
    )


def shown(done: subprocess.CompletedProcess[str]) -> dict[str, tuple[str | None, str | None]]:
    return {row["name"]: (row["value"], row["origin"]) for row in json.loads(done.stdout)["system"]}


def test_values_are_shown_with_where_they_are_from(tmp_path: Path) -> None:
    (tmp_path / "oci-push.yaml").write_text("variables: {CF_ACCOUNT: 'config-${{N}}', CF_URL: config, N: '7'}\n")
    (tmp_path / "a.env").write_text("CF_URL=first\nCF_PIPELINE_NAME=first\n")
    (tmp_path / "b.env").write_text("CF_URL=second\n")
    event = tmp_path / "event.json"
    event.write_text('{"pull_request": {"title": "Fix"}}')
    done = variables(
        tmp_path, "--config", "oci-push.yaml", "--json", "--var", "CF_BUILD_ID=one", "--var", "CF_BUILD_ID=b-${{N}}",
        "--var-file", "a.env", "--var-file", "b.env",
        GITHUB_ACTIONS="true", GITHUB_HEAD_REF="Feature/x", GITHUB_SHA="0123456789", GITHUB_EVENT_PATH=str(event),
        CF_COMMIT_AUTHOR="Ann",
    )  # fmt: skip
    found = shown(done)
    expected = {
        "CF_BUILD_ID": ("b-${{N}}", "--var"),
        "CF_URL": ("second", "--var-file b.env"),
        "CF_PIPELINE_NAME": ("first", "--var-file a.env"),
        "CF_ACCOUNT": ("config-7", "variables: in oci-push.yaml"),
        "CF_COMMIT_AUTHOR": ("Ann", "environment"),
        "CF_BRANCH": ("Feature/x", "GitHub Actions (GITHUB_HEAD_REF)"),
        "CF_BRANCH_TAG_NORMALIZED_LOWER_CASE": ("feature_x", "derived from CF_BRANCH_TAG_NORMALIZED"),
        "CF_SHORT_REVISION": ("0123456", "derived from CF_REVISION"),
        "CF_PULL_REQUEST_TITLE": ("Fix", "GitHub Actions (event)"),
        "CF_RELEASE_TAG": (None, None),
    }
    assert {name: found[name] for name in expected} == expected


def test_what_git_knows_is_shown_and_why_it_knows_nothing(tmp_path: Path) -> None:
    assert json.loads(variables(tmp_path, "--json").stdout)["git_problem"].startswith("not a git repository")
    assert "git was no help: not a git repository" in variables(tmp_path).stdout
    subprocess.run(["git", "init", "-q", "-b", "main"], cwd=tmp_path, check=True)
    done = variables(tmp_path, "--json")
    assert shown(done)["CF_BRANCH"] == ("main", "git")
    assert json.loads(done.stdout)["git_problem"] is None


def test_secrets_and_values_of_own_variables_are_not_shown(tmp_path: Path) -> None:
    (tmp_path / "oci-push.yaml").write_text(
        "variables: {P: '${PW}', CF_URL: 'x-${{secrets.store.key}}', CF_ACCOUNT: 'a-${{secrets.file.key}}'}\n"
        "secrets: {store: {key: '${PW}'}}\n"
    )
    (tmp_path / "v.env").write_text("secrets.file.key=planted\n")
    arguments = ("--config", "oci-push.yaml", "--var", "Q=planted", "--var-file", "v.env")
    for form in ((), ("--json",)):
        done = variables(tmp_path, *form, *arguments, PW="planted")
        assert "planted" not in done.stdout + done.stderr
        assert "secrets.file.key" in done.stdout
    assert shown(done)["CF_URL"] == ("***", "variables: in oci-push.yaml")
    assert shown(done)["CF_ACCOUNT"] == ("***", "variables: in oci-push.yaml")


def test_what_a_stranger_called_a_branch_gives_no_secret_and_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "oci-push.yaml").write_text("secrets: {store: {key: planted}}\n")
    (tmp_path / "v.env").write_text("CF_COMMIT_MESSAGE='${{secrets.store.key}}'\n")
    branch = "${{secrets.store.key}}"
    done = variables(tmp_path, "--json", "--var", f"CF_BRANCH={branch}", "--var-file", "v.env")
    assert shown(done)["CF_BRANCH"] == (branch, "--var")
    assert shown(done)["CF_COMMIT_MESSAGE"] == (branch, "--var-file v.env")
    assert "planted" not in done.stdout + done.stderr
    assert "note: --var: the ${{…}} in the value of CF_BRANCH stays as it is written" in done.stderr
    assert "note: --var-file v.env: the ${{…}} in the value of CF_COMMIT_MESSAGE" in done.stderr


def test_a_list_for_people_has_one_line_for_each_and_cannot_command_the_terminal(tmp_path: Path) -> None:
    done = variables(tmp_path, "--var", "CF_COMMIT_MESSAGE=a\n\x1b[2Jb\u202ec", "--var", "X=1")
    lines = done.stdout.splitlines()
    line = next(line for line in lines if line.startswith("CF_COMMIT_MESSAGE "))
    assert line.split(maxsplit=1)[1] == r"a\n\x1b[2Jb\u202ec  (--var)"
    assert any(line.split() == ["X", "(--var)"] for line in lines)
    assert any(line.startswith("CF_RELEASE_TAG ") for line in lines[lines.index("not set:") :])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--var", "A"), "error: --var 'A': expected NAME=VALUE"),
        (("--var-file", "no.env"), "error: no.env: cannot be read (No such file or directory)"),
        (("--var-file", "bad.env"), "error: bad.env:2:1: expected NAME=VALUE"),
        (("--var-file", "latin.env"), "error: latin.env: the file is not UTF-8 text"),
    ],
)
def test_mistakes_are_told(tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    (tmp_path / "bad.env").write_text("A=1\nB\n")
    (tmp_path / "latin.env").write_bytes(b"A=\xe4\n")
    assert variables(tmp_path, *arguments, code=2).stderr.splitlines()[0] == message
