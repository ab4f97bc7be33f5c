"""Reading an expression's characters: names, numbers, quoted texts, operators. What a token is depends on what may
stand there (``.5`` is a number, in ``a.b`` the point is not), so the parser asks for what it expects.

Wordings are those of jsep, the parser that this language was written for, so that a message can be looked up.
"""

from __future__ import annotations

import math
import re

from oci_push.expressions.javascript.values import ExpressionError

PRECEDENCE = {
    "||": 1, "&&": 2, "|": 3, "^": 4, "&": 5, "==": 6, "!=": 6, "===": 6, "!==": 6, "<": 7, ">": 7, "<=": 7, ">=": 7,
    "<<": 8, ">>": 8, ">>>": 8, "+": 9, "-": 9, "*": 10, "/": 10, "%": 10,
}  # fmt: skip
"""How tightly a binary operator binds. Those that the language lacks are read too: the message then names them."""

UNARY = ("-", "!", "~", "+")

_BLANKS = re.compile(r"[ \t\n\r]*")
_NAME = re.compile(r"[A-Za-z_$\x80-\U0010ffff][A-Za-z0-9_$\x80-\U0010ffff]*")
_NUMBER = re.compile(r"[0-9]*\.?[0-9]*(?:[eE][+-]?[0-9]*)?")
_BINARY = re.compile("|".join(re.escape(operator) for operator in sorted(PRECEDENCE, key=len, reverse=True)))
_QUOTED = {quote: re.compile(rf"(?:[^{quote}\\]|\\.)*", re.DOTALL) for quote in "'\""}
_ESCAPE = re.compile(r"\\(.?)", re.DOTALL)
_CONTROLS = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", "v": "\v"}


class Scanner:
    """Walk through an expression; `at` is the place of the next character."""

    def __init__(self, units: str) -> None:
        self._units = units
        self.at = 0

    @property
    def is_done(self) -> bool:
        """Return whether nothing is left."""
        return self.at >= len(self._units)

    def peek(self) -> str:
        """Return the next character, or nothing at the end."""
        return self._units[self.at : self.at + 1]

    def peek_after_blanks(self) -> str:
        """Skip blanks and return the next character."""
        self._match(_BLANKS)
        return self.peek()

    def take(self, char: str) -> bool:
        """Step over `char` if it comes next."""
        found = self.peek() == char
        self.at += found
        return found

    def take_after_blanks(self, char: str) -> bool:
        """Skip blanks, then step over `char` if it comes next."""
        self._match(_BLANKS)
        return self.take(char)

    def binary_operator(self) -> str:
        """Read a binary operator, the longest that fits, or nothing."""
        self._match(_BLANKS)
        return self._match(_BINARY)

    def unary_operator(self) -> str:
        """Read a unary operator, or nothing."""
        char = self.peek_after_blanks()
        return char if char in UNARY and self.take(char) else ""

    def is_at_name(self) -> bool:
        """Return whether a name comes next."""
        return _NAME.match(self._units, self.at) is not None

    def name(self) -> str:
        """Read a name."""
        name = self._match(_NAME)
        if not name:
            raise self.error(f"Unexpected {self.peek() or 'end'}")
        return name

    def number(self) -> float:
        """Read a decimal number; a lonely point is not a number, and no error."""
        number = self._match(_NUMBER)
        following = self.peek()
        if number[-1] in "eE+-":
            raise self.error(f"Expected exponent ({number}{following})")
        if self.is_at_name():
            raise self.error(f"Variable names cannot start with a number ({number}{following})")
        if following == ".":
            raise self.error("Unexpected period")
        return math.nan if number[0] == "." and not number[1:2].isdigit() else float(number)

    def text(self) -> str:
        """Read a quoted text."""
        quote = self.peek()
        self.at += 1
        body = self._match(_QUOTED[quote])
        text = _ESCAPE.sub(lambda escape: _CONTROLS.get(escape[1], escape[1]), body)
        if not self.take(quote):
            self.at = len(self._units)
            raise self.error(f'Unclosed quote after "{text}"')
        return text

    def error(self, message: str) -> ExpressionError:
        """Make an error about this place."""
        return ExpressionError(f"{message} at character {self.at}", self.at)

    def _match(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self._units, self.at)
        if found is None:
            return ""
        self.at = found.end()
        return found[0]
