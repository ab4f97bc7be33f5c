"""Replacing ``${{NAME}}`` in a text: what is looked up, how often, and where it ends.

A value may hold variables itself and is expanded on its own, so nothing that one value holds can become part of a
token together with its neighbours. Each name is expanded once; depth and size are bounded. Where names come from is
not the subject here: see `variables`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from msgspec import Struct

from oci_push.errors import ConfigError
from oci_push.secret import Secret, repr_without

_OPEN = "${{"
_CLOSE = "}}"
MAX_DEPTH = 10
MAX_CHARACTERS = 1024 * 1024


class Interpolated(Struct, frozen=True):
    """A text after interpolation, the names it still lacks, and the secrets it now holds.

    It is finished: interpolating it again would replace what only looks like a variable.
    """

    text: str
    undefined: tuple[str, ...] = ()
    secrets: tuple[Secret, ...] = ()

    def __repr__(self) -> str:
        return f"Interpolated({'***' if self.secrets else repr(self.text)}, {self.undefined!r})"


class Literal(Struct, frozen=True):
    """A value that is taken as it stands: written by strangers, or a `secret`."""

    text: str
    secret: Secret | None = None

    def __repr__(self) -> str:
        return repr_without(self, "text")


class Derived(Struct, frozen=True):
    """A variable that is made from another one, once that is known."""

    base: str
    make: Callable[[str], str]


class TemplateToken(Struct, frozen=True):
    """A ``${{NAME}}`` in a text, from `start` up to `end`; the name may be empty."""

    start: int
    end: int
    name: str


Found = str | Literal | Derived | None
Find = Callable[[str], Found]


def interpolate(text: str, find: Find) -> Interpolated:
    """Replace what is defined; raises `ConfigError` for a circle, and for what grows or nests beyond all use.

    `find` is given a name without the blanks around it. The values of plain strings are expanded as well.
    """
    return _Expander(find).expand(text)


def value_of(name: str, find: Find) -> Interpolated | None:
    """Return the whole value of one variable, as `interpolate` would put it into a text."""
    return _Expander(find).value(name)


def names_in(text: str) -> tuple[str, ...]:
    """List the names a text refers to."""
    return tuple(token.name for token in tokens_in(text) if token.name)


def only_name(text: str) -> str | None:
    """Return the name if the text is one variable and nothing else."""
    stripped = text.strip()
    first = next(tokens_in(stripped), None)
    return first.name or None if first is not None and (first.start, first.end) == (0, len(stripped)) else None


def tokens_in(text: str) -> Iterator[TemplateToken]:
    """Find the tokens, as the vendor's pattern does: ``${{``, one or more characters but no newline, ``}}``.

    The first ``}}`` closes. Searched for by hand, as the pattern takes quadratic time over ``${{${{${{…``.
    """
    start = text.find(_OPEN)
    close = newline = 0
    while start >= 0:
        name_start = start + len(_OPEN)
        if close <= name_start:
            close = text.find(_CLOSE, name_start + 1)
        if newline < name_start:
            newline = text.find("\n", name_start)
            newline = len(text) if newline < 0 else newline
        if close < 0:
            return
        if newline < close:
            start = text.find(_OPEN, start + 1)
            continue
        yield TemplateToken(start, close + len(_CLOSE), text[name_start:close].strip())
        start = text.find(_OPEN, close + len(_CLOSE))


class _Expander:
    """Expand one text; remembers every name's value, so that work grows with the text and not with its result."""

    def __init__(self, find: Find) -> None:
        self._find = find
        self._values: dict[str, Interpolated | None] = {}
        self._heights: dict[str, int] = {}
        self._chain: list[str] = []

    def expand(self, text: str) -> Interpolated:
        pieces: list[str] = []
        size = end = 0
        undefined: dict[str, None] = {}
        secrets: dict[Secret, None] = {}
        merged: set[str] = set()
        for token in tokens_in(text):
            name = token.name
            found = self.value(name) if name else None
            pieces += (text[end : token.start], text[token.start : token.end] if found is None else found.text)
            end = token.end
            size += len(pieces[-2]) + len(pieces[-1])
            if size > MAX_CHARACTERS:
                what = f"variable {self._chain[0]}" if self._chain else f"a text with ${{{{{name}}}}}"
                raise self._error(f"{what} becomes longer than {MAX_CHARACTERS} characters")
            if name in merged or not name:
                continue
            merged.add(name)
            if found is None:
                undefined[name] = None
            else:
                undefined.update(dict.fromkeys(found.undefined))
                secrets.update(dict.fromkeys(found.secrets))
        pieces.append(text[end:])
        return Interpolated("".join(pieces), tuple(undefined), tuple(secrets))

    def value(self, name: str) -> Interpolated | None:
        """Return a name's value, or nothing where it is undefined or made from what is undefined."""
        if name in self._chain:
            circle = [*self._chain[self._chain.index(name) :], name]
            raise self._error(f"variable {name} refers to itself ({' -> '.join(circle)})")
        if name not in self._values:
            self._values[name] = self._made(name)
        # A remembered value may stand deeper now than where it was made.
        height = self._heights.get(name, 0)
        if len(self._chain) + height >= MAX_DEPTH:
            outermost = (*self._chain, name)[0]
            raise self._error(f"variable {outermost} refers to others more than {MAX_DEPTH} deep")
        if self._chain:
            parent = self._chain[-1]
            self._heights[parent] = max(self._heights.get(parent, 0), height + 1)
        return self._values[name]

    def _made(self, name: str) -> Interpolated | None:
        found = self._find(name)
        if found is None:
            return None
        if isinstance(found, Literal):
            return Interpolated(found.text, (), (found.secret,) if found.secret is not None else ())
        if len(self._chain) >= MAX_DEPTH:
            raise self._error(f"variable {self._chain[0]} refers to others more than {MAX_DEPTH} deep")
        self._chain.append(name)
        try:
            if isinstance(found, str):
                return self.expand(found)
            base = self.value(found.base)
        finally:
            self._chain.pop()
        if base is None or base.undefined:
            return None
        return Interpolated(found.make(base.text), (), base.secrets)

    def _error(self, message: str) -> ConfigError:
        return ConfigError(message, hint="give one of these variables a value without ${{…}}")
