"""The command line as Typer sees it: what says help, completes words and explains mistakes."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from oci_push.cli.words import (
    LOGIN,
    OUTPUT,
    SAFETY,
    SOURCE,
    SPEED,
    TARGET,
    Argument,
    Command,
    Parameter,
    call,
    parameters,
)

_MAY_BE_EMPTY = ("allow_env",)  # a list of names, that may well hold none
_HEADINGS = ("Arguments", TARGET, SOURCE, LOGIN, SPEED, SAFETY, OUTPUT, "Options")
_METAVARS = {"int": "N", "float": "SECONDS", "Path": "PATH", "str": "TEXT"}


class StrictCommand(TyperCommand):
    """Typer's command, which refuses empty values (of variables that are not set) and numbers that are none.

    Its help has the options under their headings.
    """

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]  # its base's own
        """Look at what was typed, then let Typer read it."""
        typed, _, _ = self.make_parser(ctx).parse_args(args=list(args))
        left = super().parse_args(ctx, args)
        for option in self.params:
            name = option.name or ""
            value = typed.get(name) if option.param_type_name == "option" else None
            if name not in _MAY_BE_EMPTY and "" in (value if isinstance(value, list) else [value]):
                raise typer.BadParameter("it is empty; is the variable set that it was made of?", ctx, option)
            number = ctx.params.get(name)
            if isinstance(number, float) and not math.isfinite(number):
                raise typer.BadParameter(f"{number} is no number of seconds; 0 is none", ctx, option)
        return left

    def format_options(self, ctx: typer.Context, formatter: Any) -> None:  # type: ignore[override]
        """Write arguments and options under their headings."""
        headings: dict[str, list[tuple[str, str]]] = {}
        for one in self.get_params(ctx):
            record = one.get_help_record(ctx)
            if record is not None:
                kind = "Arguments" if one.param_type_name == "argument" else "Options"
                headings.setdefault(getattr(one, "rich_help_panel", None) or kind, []).append(record)
        for heading in sorted(headings, key=_HEADINGS.index):
            with formatter.section(heading):
                formatter.write_dl(headings[heading])


def every_command(table: Mapping[str, Any], *above: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """Return each command of a table (see `application`) as the words that call it and its place."""
    for name, (_, place) in table.items():
        if isinstance(place, str):
            yield (*above, name), place
        else:
            yield from every_command(place, *above, name)


def application(
    named: Sequence[str],
    table: Mapping[str, Any],
    find: Callable[[str], Command],
    *,
    about: str,
    help_names: Sequence[str],
    with_completion: bool,
) -> typer.Typer:
    """Build Typer's application; of the commands that are not `named` it knows the name and the summary alone.

    `table` has, by name, a summary and either where a command is, for `find`, or a table of its own.
    """
    app = typer.Typer(
        name="oci-push",
        help=about,
        no_args_is_help=True,
        add_completion=with_completion,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": list(help_names)},
    )

    def nothing() -> None:
        """Stand for a command that is not called."""

    def add(into: typer.Typer, table: Mapping[str, Any], named: Sequence[str]) -> None:
        for name, (summary, place) in table.items():
            if isinstance(place, str):
                is_called = named[:1] == [name]
                command = _for_typer(find(place)) if is_called else nothing
                into.command(name, cls=StrictCommand, help=None if is_called else summary)(command)
            else:
                inner = typer.Typer(no_args_is_help=True, help=summary)
                add(inner, place, named[1:] if named[:1] == [name] else [])
                into.add_typer(inner, name=name)

    app.callback()(nothing)
    add(app, table, list(named))
    return app


def _for_typer(command: Command) -> Command:
    """Return a command with Typer's markers in the place of ours."""

    takes = parameters(command)

    def called(**given: Any) -> None:
        call(command, takes, given)

    taken = [
        one.replace(annotation=_marked(one), kind=inspect.Parameter.KEYWORD_ONLY)
        for one in inspect.signature(command, eval_str=True).parameters.values()
    ]
    called.__signature__ = inspect.Signature(taken)  # type: ignore[attr-defined]  # for typer
    called.__annotations__ = {one.name: one.annotation for one in taken}
    called.__name__, called.__doc__ = command.__name__, command.__doc__
    return called


def _marked(parameter: inspect.Parameter) -> Any:
    read = Parameter(parameter)
    hint, marker = parameter.annotation.__origin__, read.marker
    if isinstance(marker, Argument):
        return Annotated[hint, typer.Argument(metavar=marker.metavar, help=marker.help)]
    return Annotated[
        hint,
        typer.Option(
            *read.names,
            help=marker.help,
            metavar=None if read.kind is bool else marker.metavar or _METAVARS[read.kind.__name__],
            min=marker.min,
            max=marker.max,
            rich_help_panel=marker.under,
        ),
    ]
