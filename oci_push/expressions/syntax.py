"""The grammar: an expression becomes instructions for a stack, in the order in which they are carried out.

The language evaluates every operand, so that order says all a tree would, and long expressions need no recursion.
What can be written but is always wrong (``===``, ``[1]``, ``a ? b : c``, a missing operand) becomes an instruction that
fails: a fault further left that was met before is then the one that is told.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TypeAlias

from msgspec import Struct

from oci_push.expressions.tokens import PRECEDENCE, Scanner

MAX_DEPTH = 100
"""How deep parentheses, brackets and arguments may stand inside each other."""

_WORDS: dict[str, bool | None] = {"true": True, "false": False, "null": None}


class Push(Struct, frozen=True):
    """Put a literal on the stack."""

    at: int
    value: str | float | bool | None


class Load(Struct, frozen=True):
    """Put a variable on the stack."""

    at: int
    name: str


class Member(Struct, frozen=True):
    """Replace an object by one of its members."""

    at: int
    name: str


class Unary(Struct, frozen=True):
    """Replace an operand by what `operator` makes of it."""

    at: int
    operator: str


class Binary(Struct, frozen=True):
    """Replace two operands by what `operator` makes of them."""

    at: int
    operator: str


class Find(Struct, frozen=True):
    """Fail if there is no such function: that is said before its arguments are looked at."""

    at: int
    function: str


class ExpressionCall(Struct, frozen=True):
    """Replace the last `count` values by what a function makes of them."""

    at: int
    function: str
    count: int


class Fail(Struct, frozen=True):
    """End the evaluation with `message`."""

    at: int
    message: str


Instruction: TypeAlias = Push | Load | Member | Unary | Binary | Find | ExpressionCall | Fail


class _Kind(StrEnum):
    """Name what stands at the root of a part; the names are those that messages use."""

    NOTHING = ""
    IDENTIFIER = "Identifier"
    LITERAL = "Literal"
    THIS = "ThisExpression"
    MEMBER = "MemberExpression"
    CALL = "CallExpression"
    UNARY = "UnaryExpression"
    BINARY = "BinaryExpression"
    LOGICAL = "LogicalExpression"
    CONDITIONAL = "ConditionalExpression"
    ARRAY = "ArrayExpression"


def parse(units: str) -> tuple[Instruction, ...]:
    """Read a trimmed expression; raises `ExpressionError` where it cannot be read."""
    return _Parser(Scanner(units)).read()


class _Parser:
    def __init__(self, scan: Scanner) -> None:
        self._scan = scan
        self._code: list[Instruction] = []
        self._depth = 0

    def read(self) -> tuple[Instruction, ...]:
        scan = self._scan
        found: list[int] = []
        while not scan.is_done:
            start = scan.at
            if scan.take(";") or scan.take(","):
                continue
            if self._expression():
                found.append(start)
            elif not scan.is_done:
                raise scan.error(f'Unexpected "{scan.peek()}"')
        if len(found) > 1:
            return (Fail(found[1], "Cannot handle compound expressions."),)
        return tuple(self._code) if found else (Push(0, False),)

    def _expression(self) -> _Kind:
        scan = self._scan
        if self._depth == MAX_DEPTH:
            raise scan.error(f"Nested more than {MAX_DEPTH} deep")
        self._depth += 1
        start = len(self._code)
        kind = self._operation()
        at = scan.at
        if scan.take_after_blanks("?"):
            self._branch()
            if not scan.take_after_blanks(":"):
                raise scan.error("Expected :")
            self._branch()
            self._fail_instead(start, at, "Trinary operator (?:) currently not supported.")
            kind = _Kind.CONDITIONAL
        self._depth -= 1
        return kind

    def _branch(self) -> None:
        if not self._expression():
            raise self._scan.error("Expected expression")

    def _operation(self) -> _Kind:
        """Read operands and the operators between them; a tighter operator is carried out first."""
        scan = self._scan
        kind = self._operand()
        waiting: list[Binary] = []
        while operator := scan.binary_operator():
            at = scan.at - len(operator)
            if not kind and not waiting:
                self._code.append(Fail(at, f"Expected expression before {operator}"))
            while waiting and PRECEDENCE[operator] <= PRECEDENCE[waiting[-1].operator]:
                self._code.append(waiting.pop())
            if not self._operand():
                raise scan.error(f"Expected expression after {operator}")
            waiting.append(Binary(at, operator))
            kind = _Kind.LOGICAL if waiting[0].operator in ("||", "&&") else _Kind.BINARY
        self._code.extend(reversed(waiting))
        return kind

    def _operand(self) -> _Kind:
        scan = self._scan
        signs: list[Unary] = []
        while operator := scan.unary_operator():
            signs.append(Unary(scan.at - 1, operator))
        kind = self._simple()
        if not signs:
            return kind
        if not kind:
            self._code.append(Fail(scan.at, f"Expected expression after {signs[-1].operator}"))
        self._code.extend(reversed(signs))
        return _Kind.UNARY

    def _simple(self) -> _Kind:
        scan = self._scan
        char = scan.peek_after_blanks()
        at = scan.at
        if char == "." or (char.isascii() and char.isdigit()):
            self._code.append(Push(at, scan.number()))
            return _Kind.LITERAL
        if char in ("'", '"'):
            self._code.append(Push(at, scan.text()))
            return _Kind.LITERAL
        if scan.take("["):
            start = len(self._code)
            self._arguments("]")
            self._fail_instead(start, at, "Array literals ([1, 2, 3]) currently not supported.")
            return _Kind.ARRAY
        if char == "(" or scan.is_at_name():
            return self._chain()
        return _Kind.NOTHING

    def _chain(self) -> _Kind:
        """Read a name or a group, and the members and calls that follow it."""
        scan = self._scan
        start = len(self._code)
        kind = self._group() if scan.take("(") else self._word()
        while (following := scan.peek_after_blanks()) and following in ".[(":
            at = scan.at
            scan.take(following)
            if not kind:
                self._code.append(Fail(at, f"Expected expression before {following}"))
            if following == "(":
                self._call(at, start, kind)
                kind = _Kind.CALL
            else:
                self._member(is_bracketed=following == "[")
                kind = _Kind.MEMBER
        return kind

    def _group(self) -> _Kind:
        kind = self._expression()
        if not self._scan.take_after_blanks(")"):
            raise self._scan.error("Unclosed (")
        return kind

    def _word(self) -> _Kind:
        at = self._scan.at
        name = self._scan.name()
        if name in _WORDS:
            self._code.append(Push(at, _WORDS[name]))
            return _Kind.LITERAL
        if name == "this":
            self._code.append(Fail(at, "keyword 'this' not supported."))
            return _Kind.THIS
        self._code.append(Load(at, name))
        return _Kind.IDENTIFIER

    def _member(self, *, is_bracketed: bool) -> None:
        """Read what follows a point or a bracket; to the vendor ``a[b]`` is ``a.b``, and ``a["b"]`` an error."""
        scan = self._scan
        start = len(self._code)
        scan.peek_after_blanks()
        at = scan.at
        if is_bracketed:
            self._expression()
            if not scan.take_after_blanks("]"):
                raise scan.error("Unclosed [")
        else:
            self._word()
        match self._code[start:]:
            case [Load(name=name)]:
                self._code[start:] = [Member(at, name)]
            case _:
                self._fail_instead(start, at, "Invalid identifier member: 'undefined'")

    def _call(self, at: int, start: int, kind: _Kind) -> None:
        """Read a call's arguments; what is called is the code from `start` on, of which only a name will do."""
        match self._code[start:]:
            case [Load(at=at, name=name)]:
                self._code[start:] = [Find(at, name)]
                self._code.append(ExpressionCall(at, name, self._arguments(")")))
            case _:
                self._arguments(")")
                self._fail_instead(start, at, f"Invalid function name type: '{kind or 'undefined'}'")

    def _arguments(self, end: str) -> int:
        """Read up to `end` and count: commas may be left out, as in the vendor's parser, but not doubled."""
        scan = self._scan
        count = commas = 0
        while not scan.is_done:
            if scan.take_after_blanks(end):
                if end == ")" and commas and commas >= count:
                    raise scan.error("Unexpected token )")
                return count
            if scan.take(","):
                commas += 1
                if commas == count:
                    continue
                if end == ")":
                    raise scan.error("Unexpected token ,")
                count = max(count, commas)
            elif self._expression():
                count += 1
            else:
                raise scan.error("Expected comma")
        raise scan.error(f"Expected {end}")

    def _fail_instead(self, start: int, at: int, message: str) -> None:
        """Replace the code from `start` on by a failure: nothing of it would be carried out."""
        self._code[start:] = [Fail(at, message)]
