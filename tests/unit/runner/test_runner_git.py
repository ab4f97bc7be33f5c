"""Git facts, read from repositories that git itself has made, friendly and hostile ones."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from oci_push.runtime.clock import FakeClock, SystemClock
from oci_push.runtime.commands import Finished, command_runner
from oci_push.variables.git import TIME_LIMIT_S, git_environment, git_reader
from oci_push.variables.system import GitFacts

WHO = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in {"NAME": "Änn Lee", "EMAIL": "a@x.org", "DATE": "2024-01-01T00:00:00Z"}.items()
}
ENV = {"PATH": os.environ["PATH"], "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1", **WHO}


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, env=ENV, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Make a repository without commits; what is above it is none."""
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "feature/x")
    return folder


def commit(folder: Path, message: str) -> str:
    git(folder, "commit", "-q", "--allow-empty", "--cleanup=verbatim", "-m", message)
    return git(folder, "rev-parse", "HEAD")


def read(folder: Path, revision: str = "", **env: str) -> GitFacts:
    ceiling = {"GIT_CEILING_DIRECTORIES": str(folder.parent)}
    run = command_runner(git_environment({**ENV, **ceiling, **env}), SystemClock())
    return git_reader(run, folder, SystemClock())(revision)


def test_a_branch_with_commits_gives_all_facts(repository: Path) -> None:
    git(repository, "remote", "add", "origin", "https://github.com/octo/app.git")
    revision = commit(repository, 'First\n\nit\'s "größer"\n')
    git(repository, "tag", "v1")
    assert read(repository) == GitFacts(
        revision, "feature/x", "", "Änn Lee", 'First\n\nit\'s "größer"', "https://github.com/octo/app.git"
    )


def test_a_folder_inside_a_repository_is_in_it(repository: Path) -> None:
    revision = commit(repository, "m")
    (repository / "deep" / "er").mkdir(parents=True)
    assert read(repository / "deep" / "er", GIT_CEILING_DIRECTORIES="").revision == revision


def test_a_commit_that_is_named_is_told_of_instead_of_the_one_checked_out(repository: Path) -> None:
    first = commit(repository, "First")
    commit(repository, "Second")
    facts = read(repository, first)
    assert (facts.revision, facts.message) == (first, "First")


@pytest.mark.parametrize("revision", ["f" * 40, "--output=planted", "HEAD", "main\n"])
def test_a_commit_that_is_not_there_or_no_hash_tells_nothing_about_another(repository: Path, revision: str) -> None:
    commit(repository, "First")
    facts = read(repository, revision)
    assert (facts.revision, facts.message, facts.author, facts.branch) == (revision, "", "", "feature/x")
    assert not (repository / "planted").exists()


def test_a_detached_head_on_a_tag_gives_the_tag(repository: Path) -> None:
    revision = commit(repository, "m")
    git(repository, "tag", "v1.2")
    git(repository, "checkout", "-q", "--detach")
    facts = read(repository)
    assert (facts.revision, facts.branch, facts.tag) == (revision, "", "v1.2")
    commit(repository, "n")
    assert read(repository).tag == ""


def test_a_repository_without_commits_gives_its_branch(repository: Path) -> None:
    assert read(repository) == GitFacts(branch="feature/x")


def test_the_only_remote_is_taken_where_none_is_called_origin(repository: Path) -> None:
    git(repository, "remote", "add", "upstream", "git@x.org:o/a.git")
    assert read(repository).remote_url == "git@x.org:o/a.git"
    git(repository, "remote", "add", "other", "git@x.org:o/b.git")
    assert read(repository).remote_url == ""


def test_no_repository_is_no_error_and_says_why(tmp_path: Path) -> None:
    facts = read(tmp_path)
    assert facts == GitFacts(problem=facts.problem)
    assert facts.problem.startswith("not a git repository")


def test_no_git_is_no_error_and_says_why(repository: Path) -> None:
    facts = read(repository, PATH=str(repository))
    assert facts == GitFacts(problem="git cannot be run (No such file or directory)")


def test_a_damaged_repository_is_no_error(repository: Path) -> None:
    commit(repository, "m")
    (repository / ".git" / "config").write_text("[nonsense")
    assert read(repository).revision == ""
    (repository / ".git" / "HEAD").write_bytes(b"\xff\xfe")
    assert read(repository).problem


def sign(folder: Path) -> None:
    """Give HEAD a signature, which git would have checked by a program."""
    head, _, message = git(folder, "cat-file", "commit", "HEAD").partition("\n\n")
    signature = "gpgsig -----BEGIN PGP SIGNATURE-----\n \n abc\n -----END PGP SIGNATURE-----"
    (folder / "signed").write_text(f"{head}\n{signature}\n\n{message}\n")
    git(folder, "update-ref", "HEAD", git(folder, "hash-object", "-t", "commit", "-w", "signed"))


def test_programs_that_a_repository_names_are_not_run(repository: Path) -> None:
    commit(repository, "m")
    sign(repository)
    planted = repository / "planted"
    evil = repository / "evil.sh"
    evil.write_text(f"#!/bin/sh\ntouch {planted}\n")
    evil.chmod(0o755)
    for key in (
        "core.fsmonitor", "core.pager", "pager.log", "gpg.program", "core.sshCommand", "core.editor", "diff.external",
        "credential.helper", "core.gitProxy", "alias.log", "interactive.diffFilter",
    ):  # fmt: skip
        git(repository, "config", key, str(evil))
    for key, value in {
        "log.showSignature": "true", "remote.origin.url": f"ext::{evil} %S", "protocol.ext.allow": "always",
        "remote.origin.promisor": "true", "extensions.partialClone": "origin", "core.repositoryformatversion": "1",
    }.items():  # fmt: skip
        git(repository, "config", key, value)
    hooks = repository / ".git" / "hooks"
    hooks.mkdir(exist_ok=True)
    for hook in ("reference-transaction", "post-checkout", "post-index-change", "fsmonitor-watchman"):
        evil_hook = hooks / hook
        evil_hook.write_text(evil.read_text())
        evil_hook.chmod(0o755)
    assert read(repository).message == "m"
    # A commit that is missing would be fetched from the remote, which is a program.
    assert read(repository, "a" * 40).message == ""
    assert not planted.exists()


def test_traces_that_the_user_wants_of_git_do_not_disturb(repository: Path) -> None:
    commit(repository, "m")
    assert read(repository, GIT_TRACE="1", GIT_TRACE2="1").message == "m"


def test_git_that_does_not_end_is_given_up_after_one_command() -> None:
    asked: list[Sequence[str]] = []

    def run(argv: Sequence[str], stdin: bytes, timeout_s: float) -> Finished:
        asked.append(argv)
        assert timeout_s == TIME_LIMIT_S
        raise TimeoutError

    assert git_reader(run, Path("."), FakeClock())("") == GitFacts(problem="git did not end within 5 s")
    assert len(asked) == 1


def test_all_commands_share_one_time_limit() -> None:
    clock = FakeClock()
    limits: list[float] = []

    def run(argv: Sequence[str], stdin: bytes, timeout_s: float) -> Finished:
        limits.append(timeout_s)
        clock.time += 2
        return Finished(0, b"x\n")

    git_reader(run, Path("."), clock)("")
    assert limits == [5, 3, 1]
