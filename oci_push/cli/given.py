"""Values of options as they were typed: what no option can mean is refused before the command begins."""

from __future__ import annotations

import math

import typer
from typer.core import TyperCommand

_MAY_BE_EMPTY = ("allow_env",)  # a list of names, that may well hold none


class Command(TyperCommand):
    """Refuse empty values, which come of variables that are not set, and numbers that are none."""

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
