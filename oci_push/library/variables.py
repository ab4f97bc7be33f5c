"""Where a pipeline's variables are looked up, in order of precedence: the same for a command and for a program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from secrets import token_hex

from oci_push.language.integrations import Config
from oci_push.runtime.clock import Clock
from oci_push.runtime.commands import command_runner
from oci_push.variables.git import git_environment, git_reader
from oci_push.variables.lookup import Variables, VariableSource
from oci_push.variables.system import Build, ReadGit, system_sources

_MOST_EVENT_BYTES = 25 * 1024 * 1024  # GitHub sends no larger ones


def gather(
    given: Sequence[VariableSource],
    config: Config,
    env: Mapping[str, str],
    clock: Clock,
    *,
    own: Mapping[str, str],
    read_git: ReadGit | None = None,
) -> Variables:
    """Return all sources together: `given` by hand, `config`, the pipeline's `own`, the environment, CI and git.

    `read_git` asks git, about the working folder if it is not given.
    """
    return Variables(
        [
            *given,
            VariableSource("variables: in oci-push.yaml", config.variables, is_literal=not config.is_named),
            VariableSource("the pipeline", own, is_literal=True),
            VariableSource("environment", env, is_literal=True),
            *system_sources(env, read_git or git_of(env, clock), Build(clock.now(), token_hex(12)), event=_event(env)),
        ],
        secrets=config.secrets,
    )


def git_of(env: Mapping[str, str], clock: Clock) -> ReadGit:
    """Return what asks git about the working folder."""
    return git_reader(command_runner(git_environment(env), clock), Path(), clock)


def _event(env: Mapping[str, str]) -> str:
    """Read the file in which GitHub describes the event; without it, less is known."""
    path = env.get("GITHUB_EVENT_PATH") if env.get("GITHUB_ACTIONS") else None
    if not path:
        return ""
    try:
        with Path(path).open("rb") as file:
            return file.read(_MOST_EVENT_BYTES).decode(errors="replace")
    except OSError:
        return ""
