"""`oci-push variables`: the variables a pipeline would see, and where each is from; and how they are gathered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from secrets import token_hex
from typing import Annotated

import typer
from msgspec import Struct

from oci_push.api import this_environment
from oci_push.cli.failures import run_command
from oci_push.cli.inputs import given_source, pairs, read_bytes, read_config, tell_found
from oci_push.cli.options import ConfigOptions, takes
from oci_push.cli.output import say, say_json
from oci_push.errors import ConfigError
from oci_push.language.integrations import Config
from oci_push.runtime.clock import Clock
from oci_push.runtime.commands import command_runner
from oci_push.runtime.context import Context
from oci_push.variables.dotenv import parse_dotenv
from oci_push.variables.git import git_environment, git_reader
from oci_push.variables.lookup import Variables, VariableSource
from oci_push.variables.system import MEANINGS, Build, GitFacts, ReadGit, system_sources

VariableOption = Annotated[list[str] | None, typer.Option("--var", metavar="NAME=VALUE", help="Set a variable.")]
VariableFiles = Annotated[
    list[Path] | None, typer.Option("--var-file", metavar="FILE", help="Set the variables of a dotenv file.")
]

_MOST_EVENT_BYTES = 25 * 1024 * 1024  # GitHub sends no larger ones


@takes(ConfigOptions)
def variables_command(
    var: VariableOption = None,
    var_file: VariableFiles = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print them as JSON.")] = False,
    *,
    config: ConfigOptions,
) -> None:
    """List the variables of pipelines: their values, and where each is from."""

    def work(context: Context) -> int:
        env = this_environment().env
        asked: list[GitFacts] = []
        read_git = _git(env, context.clock)

        def note(revision: str) -> GitFacts:
            asked.append(read_git(revision))
            return asked[-1]

        settings = read_config(None, config, env)
        tell_found(settings)
        variables = gather_variables(var or [], var_file or [], settings, env, context.clock, read_git=note)
        rows = [_row(variables, name, meaning) for name, meaning in MEANINGS.items()]
        others = _others(variables)
        problem = next((facts.problem for facts in asked if facts.problem), "")
        if as_json:
            say_json(_to_json(rows, others, problem))
        else:
            _print(rows, others, problem)
        return 0

    run_command(work, what="variables")


def gather_variables(
    var: Sequence[str],
    var_files: Sequence[Path],
    config: Config,
    env: Mapping[str, str],
    clock: Clock,
    *,
    own: Mapping[str, str] | None = None,
    read_git: ReadGit | None = None,
) -> Variables:
    """Bring all sources together, in order of precedence; raises `ConfigError` for options and files that are wrong.

    A later option wins over an earlier one. `own` are those that a pipeline brings along. Git is asked about the
    working folder.
    """
    files = [given_source(f"--var-file {path}", _read_file(path)) for path in reversed(var_files)]
    build = Build(clock.now(), token_hex(12))
    return Variables(
        [
            given_source("--var", pairs(list(var), "--var", "NAME=VALUE")),
            *files,
            VariableSource("variables: in oci-push.yaml", config.variables, is_literal=not config.is_named),
            VariableSource("the pipeline", own or {}, is_literal=True),
            VariableSource("environment", env, is_literal=True),
            *system_sources(env, read_git or _git(env, clock), build, event=_event(env)),
        ],
        secrets=config.secrets,
    )


def _git(env: Mapping[str, str], clock: Clock) -> ReadGit:
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


class _Row(Struct, frozen=True):
    name: str
    value: str | None
    origin: str | None
    meaning: str


def _row(variables: Variables, name: str, meaning: str) -> _Row:
    origin = variables.origin(name)
    if origin is None:
        return _Row(name, None, None, meaning)
    done = variables.interpolate(f"${{{{{name}}}}}")
    return _Row(name, "***" if done.secrets else done.text, origin, meaning)


def _others(variables: Variables) -> tuple[_Row, ...]:
    """List what the user has set besides; their values stay unsaid, as they may be passwords."""
    own = [name for source in variables.sources if source.may_name_secrets for name in source.values]
    return tuple(_Row(name, None, variables.origin(name), "") for name in dict.fromkeys(own) if name not in MEANINGS)


def _to_json(rows: Sequence[_Row], others: Sequence[_Row], problem: str) -> dict[str, object]:
    return {
        "system": [
            {"name": row.name, "value": row.value, "origin": row.origin, "meaning": row.meaning} for row in rows
        ],
        "others": [{"name": row.name, "origin": row.origin} for row in others],
        "git_problem": problem or None,
    }


def _print(rows: Sequence[_Row], others: Sequence[_Row], problem: str) -> None:
    width = max(len(row.name) for row in [*rows, *others])
    for row in rows:
        if row.value is not None:
            say(f"{row.name:{width}}  {row.value}  ({row.origin or ''})")
    if others:
        say()
        say("set besides, values not shown:")
        for row in others:
            say(f"{row.name:{width}}  ({row.origin or ''})")
    say()
    say("not set:")
    for row in rows:
        if row.value is None:
            say(f"{row.name:{width}}  {row.meaning}")
    if problem:
        say()
        say(f"git was no help: {problem}")
