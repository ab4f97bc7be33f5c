"""Groups of options: declared once, as the fields of a value class, and taken by every command that names the class."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, get_type_hints


def takes(group: type[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make a command's last parameter, a `group`, into one option for each of its fields."""
    hints = get_type_hints(group, include_extras=True)
    fields = {
        name: inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=hints[name])
        for name, default in zip(group.__struct_fields__, group.__struct_defaults__, strict=True)
    }

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        *own, last = inspect.signature(command, eval_str=True).parameters.values()
        own = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in own]

        def taking(**given: Any) -> None:
            together = group(**{name: given.pop(name) for name in fields if name in given})
            command(**given, **{last.name: together})

        signature = inspect.Signature([*own, *fields.values()], return_annotation=None)
        taking.__signature__ = signature  # type: ignore[attr-defined]  # what typer reads a command's options from
        taking.__annotations__ = {one.name: one.annotation for one in signature.parameters.values()}
        taking.__name__, taking.__doc__ = command.__name__, command.__doc__
        return taking

    return decorate
