"""`oci-push variables`: the variables a pipeline would see, and where each is from."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import asdict

from oci_push.api import this_environment
from oci_push.cli.command import run_command, takes
from oci_push.cli.inputs import read_config, tell_found
from oci_push.cli.options import AsJson, ConfigOptions
from oci_push.cli.output import say, say_json
from oci_push.cli.variable_inputs import VariableOptions, gather_variables
from oci_push.library.variables import git_of
from oci_push.runtime.context import Context
from oci_push.variables.lookup import Variables
from oci_push.variables.system import MEANINGS, GitFacts


@takes(ConfigOptions, VariableOptions)
def variables_command(as_json: AsJson = False, *, config: ConfigOptions, given: VariableOptions) -> None:
    """List the variables of pipelines: their values, and where each is from."""

    def work(context: Context) -> int:
        env = this_environment().env
        asked: list[GitFacts] = []
        read_git = git_of(env, context.clock)

        def note(revision: str) -> GitFacts:
            asked.append(read_git(revision))
            return asked[-1]

        settings = read_config(None, config, env)
        tell_found(settings)
        variables = gather_variables(given, settings, env, context.clock, read_git=note)
        rows = [_row(variables, name, meaning) for name, meaning in MEANINGS.items()]
        others = _others(variables)
        problem = next((facts.problem for facts in asked if facts.problem), "")
        if as_json:
            say_json(_to_json(rows, others, problem))
        else:
            _print(rows, others, problem)
        return 0

    run_command(work, what="variables")


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
    """Return what the user has set besides; without values, as they may be passwords."""
    own = [name for source in variables.sources if source.may_name_secrets for name in source.values]
    return tuple(_Row(name, None, variables.origin(name), "") for name in dict.fromkeys(own) if name not in MEANINGS)


def _to_json(rows: Sequence[_Row], others: Sequence[_Row], problem: str) -> dict[str, object]:
    return {
        "system": [asdict(row) for row in rows],
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
