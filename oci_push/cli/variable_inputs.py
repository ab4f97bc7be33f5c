"""Variables as commands get them: options, files, the environment, git and the CI service, in order of precedence."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from secrets import token_hex
from typing import Annotated

from msgspec import Struct

from oci_push.cli.inputs import read_bytes
from oci_push.cli.options import Var, given_source, pairs
from oci_push.cli.words import Option
from oci_push.errors import ConfigError
from oci_push.language.integrations import Config
from oci_push.runtime.clock import Clock
from oci_push.runtime.commands import command_runner
from oci_push.variables.dotenv import parse_dotenv
from oci_push.variables.git import git_environment, git_reader
from oci_push.variables.lookup import Variables, VariableSource
from oci_push.variables.system import Build, ReadGit, system_sources

_MOST_EVENT_BYTES = 25 * 1024 * 1024  # GitHub sends no larger ones


class VariableOptions(Struct, frozen=True):
    """Variables that are given by hand."""

    var: Var = None
    var_file: Annotated[list[Path] | None, Option("Set the variables of a dotenv file.", metavar="FILE")] = None


def gather_variables(
    given: VariableOptions,
    config: Config,
    env: Mapping[str, str],
    clock: Clock,
    *,
    own: Mapping[str, str] | None = None,
    read_git: ReadGit | None = None,
) -> Variables:
    """Return all sources together, in order of precedence; raises `ConfigError` for options and files that are wrong.

    A later option wins over an earlier one. `own` are those that a pipeline brings along. `read_git` asks git, about
    the working folder if it is not given.
    """
    files = [given_source(f"--var-file {path}", _read_file(path)) for path in reversed(given.var_file or [])]
    build = Build(clock.now(), token_hex(12))
    return Variables(
        [
            given_source("--var", pairs(given.var, "--var", "NAME=VALUE")),
            *files,
            VariableSource("variables: in oci-push.yaml", config.variables, is_literal=not config.is_named),
            VariableSource("the pipeline", own or {}, is_literal=True),
            VariableSource("environment", env, is_literal=True),
            *system_sources(env, read_git or git_of(env, clock), build, event=_event(env)),
        ],
        secrets=config.secrets,
    )


def git_of(env: Mapping[str, str], clock: Clock) -> ReadGit:
    """Return what asks git about the working folder."""
    return git_reader(command_runner(git_environment(env), clock), Path(), clock)


def _read_file(path: Path) -> Mapping[str, str]:
    try:
        return parse_dotenv(read_bytes(path).decode("utf-8-sig"), str(path))
    except UnicodeDecodeError as problem:
        raise ConfigError(f"{path}: the file is not UTF-8 text") from problem


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
