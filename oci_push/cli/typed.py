"""The command line as Typer sees it: what says help and explains mistakes."""

from __future__ import annotations

import difflib
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, NoReturn

import typer
from typer.core import TyperCommand

from oci_push.cli.describe import describe
from oci_push.cli.examples import EXAMPLES
from oci_push.cli.output import tell
from oci_push.cli.words import Argument, Command, Parameter, call, parameters, seconds
from oci_push.errors import link_of

_MAY_BE_EMPTY = ("allow_env",)  # a list of names, that may well hold none
_UsageError: Any = typer.BadParameter.__mro__[1]
"""What Typer raises for all that is wrong with words; it has no public name."""


class Mistake(typer.BadParameter):
    """Tell of a value that cannot be meant so, and of the option or argument that it is for."""

    def __init__(self, ctx: typer.Context, parameter: Parameter, problem: str, hint: str = "") -> None:
        super().__init__(problem, ctx, param_hint=parameter.names[0] if parameter.names else parameter.metavar)
        self.shown = f"{self.param_hint} {problem}"
        self.hint = hint


class StrictCommand(TyperCommand):
    """Typer's command, which refuses values that are empty (of variables that are not set) or outside what is allowed.

    Its help has the options under their headings, and examples.
    """

    command: ClassVar[Command]
    path: ClassVar[tuple[str, ...]]

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]  # its base's own
        """Look at what was typed, then let Typer read it."""
        try:
            typed, _, _ = self.make_parser(ctx).parse_args(args=list(args))
        except _UsageError as mistake:
            mistake.ctx = ctx
            raise
        for one in parameters(self.command):
            given = typed.get(one.name)
            for word in given if isinstance(given, (list, tuple)) else [given]:
                if word == "" and one.names and one.name not in _MAY_BE_EMPTY:
                    raise Mistake(ctx, one, "is empty", "is the variable set that it was made of?")
                problem, hint = one.refusal(word) if isinstance(word, str) and word else ("", "")
                if problem:
                    raise Mistake(ctx, one, problem, hint)
        return super().parse_args(ctx, args)

    def format_usage(self, ctx: typer.Context, formatter: Any) -> None:  # type: ignore[override]
        """Write how it is called."""
        formatter.write_usage(ctx.command_path, describe(self.command).usage)

    def format_options(self, ctx: typer.Context, formatter: Any) -> None:  # type: ignore[override]
        """Write arguments and options under their headings."""
        for heading, rows in describe(self.command).headings.items():
            with formatter.section(heading):
                formatter.write_dl([(row.written, row.text) for row in rows])

    def format_epilog(self, ctx: typer.Context, formatter: Any) -> None:  # type: ignore[override]
        """Write the examples, none of which is wrapped: they are there to be copied."""
        examples = EXAMPLES.get(" ".join(self.path), ())
        if examples:
            with formatter.section("Examples"):
                for number, example in enumerate(examples):
                    formatter.write(f"{chr(10) if number else ''}  # {example.text}\n  {example.line}\n")


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
) -> typer.Typer:
    """Build Typer's application; of the commands that are not `named` it knows the name and the summary alone.

    `table` has, by name, a summary and either where a command is, for `find`, or a table of its own.
    """
    app = typer.Typer(
        name="oci-push",
        help=about,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": list(help_names)},
    )

    def nothing() -> None:
        """Stand for a command that is not called."""

    def add(into: typer.Typer, table: Mapping[str, Any], named: Sequence[str], *above: str) -> None:
        for name, (summary, place) in table.items():
            if not isinstance(place, str):
                inner = typer.Typer(no_args_is_help=True, help=summary)
                add(inner, place, named[1:] if named[:1] == [name] else [], *above, name)
                into.add_typer(inner, name=name)
            elif named[:1] == [name]:
                command = find(place)
                kind = type("Called", (StrictCommand,), {"command": staticmethod(command), "path": (*above, name)})
                into.command(name, cls=kind)(_for_typer(command))
            else:
                into.command(name, help=summary, short_help=summary)(nothing)

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
    """Return what Typer reads a parameter by; what is said of it is ours."""
    read = Parameter(parameter)
    hint = parameter.annotation.__origin__
    if isinstance(read.marker, Argument):
        return Annotated[hint, typer.Argument(metavar=read.metavar)]
    if read.kind is float:
        return Annotated[hint, typer.Option(*read.names, parser=_seconds)]
    return Annotated[hint, typer.Option(*read.names)]


def _seconds(value: str | float) -> float | None:
    """Read a time that has been looked at already, or the default."""
    return seconds(value) if isinstance(value, str) else value


def run(app: typer.Typer) -> NoReturn:
    """Run an application, and tell of a mistake in our words."""
    try:
        code = app(prog_name="oci-push", standalone_mode=False)
    except _UsageError as mistake:
        _tell(mistake)
    except typer.Abort:
        tell("aborted")
        sys.exit(1)
    else:
        sys.exit(code or 0)


def _tell(mistake: Any) -> NoReturn:
    context = mistake.ctx
    if type(mistake).__name__ == "NoArgsIsHelpError":
        mistake.show()
        sys.exit(2)
    name = getattr(mistake, "option_name", "")
    text = getattr(mistake, "shown", "") or mistake.format_message().partition(" (Possible")[0].rstrip(".")
    text = text[:1].lower() + text[1:] if text[1:2].islower() else text
    hint = getattr(mistake, "hint", "")
    if name and context is not None:
        known = [word for one in context.command.params for word in (*one.opts, *one.secondary_opts)]
        near = difflib.get_close_matches(name, known, n=2, cutoff=0.7)
        hint = f"did you mean {' or '.join(near)}?" if near and name not in known else ""
    tell(f"error: {text}")
    tell(f"  hint: {hint or f'see {context.command_path} --help'}")
    tell(f"  help: OCP-USAGE {link_of('OCP-USAGE')}")
    sys.exit(2)
