"""Git facts: what the program ``git`` says of the repository around a folder, without running anything it configures.

A repository is not trusted: its configuration may name programs. Only commands that need none are run, with pagers,
file system monitors, signatures, transports and fetching of missing objects switched off. No git, no repository, no
commit and no time left are no errors: the facts are then empty.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from oci_push.runtime.clock import Clock
from oci_push.runtime.commands import RunCommand
from oci_push.secret import learn_logins
from oci_push.variables.system import GitFacts

TIME_LIMIT_S = 5.0
"""How long all of git's commands together may take."""

_HASH = re.compile(r"[0-9a-fA-F]{7,64}")  # nothing else may stand among git's arguments
_COMMAND = (
    "git",
    "--no-pager",
    "--no-optional-locks",
    *("-c", "core.fsmonitor=false"),
    *("-c", "core.hooksPath=/dev/null"),
    *("-c", "log.showSignature=false"),
)
_LOG = ("log", "-1", "--no-patch", "--no-show-signature", "--no-notes", "--no-color", "--encoding=UTF-8")
_FORMAT = "--format=%H%x00%an%x00%B"


def git_environment(env: Mapping[str, str]) -> dict[str, str]:
    """Return the environment that git is run with: it asks nobody, fetches nothing, and speaks English."""
    kept = {name: value for name, value in env.items() if not name.startswith("GIT_TRACE")}
    return {
        **kept,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ALLOW_PROTOCOL": "none",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        "LC_ALL": "C",
    }


def git_reader(run: RunCommand, folder: Path, clock: Clock) -> Callable[[str], GitFacts]:
    """Return what reads the facts of a commit, or of HEAD; `run` must use a `git_environment`."""
    return lambda revision: _Reader(run, folder, clock).read(revision)


class _Reader:
    def __init__(self, run: RunCommand, folder: Path, clock: Clock) -> None:
        self._run = run
        self._folder = folder
        self._clock = clock
        self._end = clock.monotonic() + TIME_LIMIT_S
        self._problem = ""

    def read(self, revision: str) -> GitFacts:
        if self._ask("rev-parse", "--git-dir") is None:
            return GitFacts(problem=self._problem)
        asked = revision if _HASH.fullmatch(revision) else "" if revision else "HEAD"
        log = self._ask(*_LOG, _FORMAT, asked, "--") if asked else None
        found, author, message = [*(log or "").split("\0", 2), "", ""][:3]
        branch = self._ask("symbolic-ref", "--quiet", "--short", "HEAD") or ""
        tag = "" if branch else self._ask("describe", "--tags", "--exact-match", "HEAD") or ""
        return GitFacts(revision or found, branch, tag, author, message.rstrip("\n"), self._remote())

    def _remote(self) -> str:
        names = (self._ask("remote") or "").split("\n")
        name = "origin" if "origin" in names else names[0] if len(names) == 1 else ""
        # With --get-url nothing is contacted; insteadOf is followed.
        url = (self._ask("ls-remote", "--get-url", "--", name) or "") if name else ""
        learn_logins(url)
        return url

    def _ask(self, *arguments: str) -> str | None:
        """Return a command's output without the line end, or nothing where there is none."""
        left = self._end - self._clock.monotonic()
        if left <= 0:
            return None
        try:
            done = self._run([*_COMMAND, "-C", str(self._folder), *arguments], b"", left)
        except TimeoutError:
            self._problem = f"git did not end within {TIME_LIMIT_S:g} s"
            self._end = self._clock.monotonic()
            return None
        except OSError as problem:
            self._problem = f"git cannot be run ({problem.strerror or problem})"
            self._end = self._clock.monotonic()
            return None
        if done.code != 0:
            self._problem = done.stderr.decode(errors="replace").strip().partition("\n")[0].removeprefix("fatal: ")
            return None
        return done.stdout.decode(errors="replace").removesuffix("\n")
