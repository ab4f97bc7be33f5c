r"""JavaScript's regular expressions: read as ECMA-262 defines them (with its annex B), written again for our engine.

Everything is read and written anew, and nothing is passed through, as the two languages differ in most places: ``$``
and ``.`` know other line ends, ``\d`` and ``\w`` are ASCII, ``\s`` is not, ``[]`` and ``[^]`` are classes, a reference
to a group that took no part matches nothing, and ``(?i)``, ``(?>…)`` or ``a*+`` are errors. Only whether a text matches
is asked, so groups lose their names.

What cannot be had: groups are not forgotten when a loop comes round again, and without `u` a few letters (``ſ``, the
Kelvin sign) match their relatives when case is ignored.
"""

from __future__ import annotations

import re

from msgspec import Struct

from oci_push.expressions.javascript.pattern_classes import (
    DIGITS,
    LAST,
    RELATIVES,
    SPACES,
    WORDS,
    Ranges,
    class_text,
    complement,
    literal,
)

MAX_DEPTH = 50
"""How deep groups may stand inside each other."""

MAX_COUNT = 12_001
"""Counts above this mean this: no text that is searched is as long."""

MAX_WEIGHT = 20_000
"""How many parts an expression may have. The engine writes `low` repetitions out and puts the loop behind them, at
every level: ``(((a+)+)+)+`` grows as the powers of two do, and compiling cannot be told to give up."""

_CLASSES = {"d": DIGITS, "w": WORDS, "s": SPACES}
_LINE_END = r"\n\r\u2028\u2029"
_WORD = "(?-i:[0-9A-Z_a-z])"
_CONTROLS = {"t": 9, "n": 10, "v": 11, "f": 12, "r": 13}
_COUNTS = re.compile(r"\{([0-9]+)(?:(,)([0-9]*))?\}")
_GROUP_NAME = re.compile(r"([^>]*)>")
_PROPERTY = re.compile(r"\{([A-Za-z_]+(?:=[A-Za-z0-9_]+)?|[A-Za-z0-9_]+)\}")
_GROUP_NUMBER = re.compile("[1-9][0-9]*")
_HEX = re.compile("[0-9a-fA-F]+")
_BRACED = re.compile(r"\{([0-9a-fA-F]+)\}")
_PAIR = re.compile(r"([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})")
_OPENERS = re.compile(r"\\.?|\[(?:[^\]\\]|\\.?)*\]?|\(\?<(?![=!])|\(\?|\(", re.DOTALL)
_TOO_LARGE = "Regular expression too large"
_SYNTAX = "^$\\.*+?()[]{}|/"
_UNLIMITED = 10**9


class PatternError(ValueError):
    """Refuse a regular expression, or give up searching for it; the message is complete."""


class Flags(Struct, frozen=True):
    """The flags that change what an expression means; `g`, `y` and `d` do not when only a test is made."""

    ignore_case: bool = False
    multiline: bool = False
    dot_all: bool = False
    unicode: bool = False


class _Part(Struct, frozen=True):
    """What was written, what it weighs, whether it may be repeated, and whether it only looks ahead."""

    text: str
    weight: int = 1
    repeats: bool = True
    is_lookahead: bool = False


def translate(body: str, flags: Flags) -> str:
    """Write `body` for the engine; it is in UTF-16 units, or with `unicode` in characters. Raises `PatternError`."""
    return _Translator(body, flags).all()


class _Translator:
    def __init__(self, body: str, flags: Flags) -> None:
        self._body = body
        self._flags = flags
        self._at = 0
        self._depth = 0
        self._opened = 0
        self._open: list[int] = []
        self._groups, self._names = _survey(body)

    def all(self) -> str:
        text = self._disjunction().text
        if self._at < len(self._body):
            raise PatternError("Unmatched ')'")
        return text

    def _disjunction(self) -> _Part:
        branches: list[str] = []
        weight = 0
        while True:
            branch = self._alternative()
            branches.append(branch.text)
            weight += branch.weight + 1
            if weight > MAX_WEIGHT:
                raise PatternError(_TOO_LARGE)
            if not self._take("|"):
                return _Part("|".join(branches), weight)

    def _alternative(self) -> _Part:
        parts: list[str] = []
        weight = 0
        while self._at < len(self._body) and self._body[self._at] not in "|)":
            part = self._quantified(self._term())
            parts.append(part.text)
            weight += part.weight
        return _Part("".join(parts), weight)

    def _quantified(self, part: _Part) -> _Part:
        """Read the quantifier behind a part, if there is one."""
        low, high = 0, _UNLIMITED
        if counts := _COUNTS.match(self._body, self._at):
            self._at = counts.end()
            low = _count(counts[1])
            high = _count(counts[3]) if counts[3] else _UNLIMITED if counts[2] else low
        elif self._take("?"):
            high = 1
        elif self._take("+"):
            low = 1
        elif not self._take("*"):
            if self._flags.unicode and self._peek() == "{":
                raise PatternError("Incomplete quantifier")
            return part
        if not part.repeats:
            raise PatternError("Nothing to repeat")
        if low > high:
            raise PatternError("numbers out of order in {} quantifier")
        low = min(low, MAX_COUNT)
        weight = part.weight * (low + 1) + 1
        if weight > MAX_WEIGHT:
            raise PatternError(_TOO_LARGE)
        lazy = "?" if self._take("?") else ""
        if part.is_lookahead:
            # A round that takes no character ends a loop, so what looks ahead is asked once or not at all.
            return _Part(part.text if low else f"{part.text}{{0}}", part.weight)
        return _Part(f"{part.text}{{{low},{'' if high > MAX_COUNT else high}}}{lazy}", weight)

    def _term(self) -> _Part:
        char = self._next()
        match char:
            case "^":
                return _Part(rf"(?<![^{_LINE_END}])" if self._flags.multiline else r"\A", repeats=False)
            case "$":
                return _Part(rf"(?![^{_LINE_END}])" if self._flags.multiline else r"\Z", repeats=False)
            case "(":
                return self._group()
            case ".":
                return _Part("(?s:.)" if self._flags.dot_all else f"[^{_LINE_END}]")
            case "[":
                return self._class()
            case "\\":
                return self._escape()
            case "*" | "+" | "?":
                raise PatternError("Nothing to repeat")
            case "{" if _COUNTS.match(self._body, self._at - 1):
                raise PatternError("Nothing to repeat")
            case "{" | "}" | "]" if self._flags.unicode:
                raise PatternError("Lone quantifier brackets")
        return _Part(literal(ord(char)))

    def _group(self) -> _Part:
        """Read a group behind its parenthesis."""
        start, is_capture, repeats, is_lookahead = "(", False, True, False
        if not self._take("?"):
            is_capture = True
        elif self._take(":"):
            start = "(?:"
        elif self._peek() in ("=", "!"):
            start, repeats, is_lookahead = f"(?:(?{self._next()}", not self._flags.unicode, True
        elif not self._take("<"):
            raise PatternError("Invalid group")
        elif self._peek() in ("=", "!"):
            start, repeats = f"(?:(?<{self._next()}", False
        else:
            self._at = self._body.index(">", self._at) + 1  # the survey has checked the name
            is_capture = True
        if self._depth == MAX_DEPTH:
            raise PatternError(f"Groups nested more than {MAX_DEPTH} deep")
        self._depth += 1
        if is_capture:
            self._opened += 1
            self._open.append(self._opened)
        inner = self._disjunction()
        if not self._take(")"):
            raise PatternError("Unterminated group")
        if is_capture:
            self._open.pop()
        self._depth -= 1
        return _Part(f"{start}{inner.text}{')' * start.count('(')}", inner.weight + 2, repeats, is_lookahead)

    def _escape(self) -> _Part:
        """Read what stands behind a backslash, outside a class."""
        char = self._peek()
        if not char:
            raise PatternError("\\ at end of pattern")
        if char.lower() in _CLASSES:
            self._at += 1
            text = class_text(_CLASSES[char.lower()], is_negated=char.isupper())
            return _Part(f"(?-i:{text})")
        if char in "bB":
            self._at += 1
            second, first = (f"(?!{_WORD})", f"(?={_WORD})") if char == "b" else (f"(?={_WORD})", f"(?!{_WORD})")
            return _Part(f"(?:(?<={_WORD}){second}|(?<!{_WORD}){first})", 5, repeats=False)
        if char == "k" and (self._names or self._flags.unicode):
            self._at += 1
            return self._reference(self._named_group())
        if digits := _GROUP_NUMBER.match(self._body, self._at):
            number = _count(digits[0])
            if number <= self._groups:
                self._at = digits.end()
                return self._reference(number)
            if self._flags.unicode:
                raise PatternError("Invalid escape")
        if char in "pP" and self._flags.unicode:
            return _Part(self._property())
        return _Part(literal(self._character(in_class=False)))

    def _reference(self, number: int) -> _Part:
        """Refer to a group; one that took no part yet, or is not finished, matches nothing."""
        return _Part("(?:)" if number in self._open else rf"(?:(?({number})\{number}|))", 3)

    def _named_group(self) -> int:
        name = _GROUP_NAME.match(self._body, self._at + 1) if self._peek() == "<" else None
        if name is None:
            raise PatternError("Invalid named reference")
        if name[1] not in self._names:
            raise PatternError("Invalid named capture referenced")
        self._at = name.end()
        return self._names[name[1]]

    def _property(self) -> str:
        found = _PROPERTY.match(self._body, self._at + 1)
        if found is None:
            raise PatternError("Invalid property name")
        kind = self._next()
        self._at = found.end()
        return rf"\{kind}{found[0]}"

    def _character(self, *, in_class: bool) -> int:
        """Read an escaped character and give its code."""
        char = self._next()
        is_strict = self._flags.unicode
        if char in _CONTROLS:
            return _CONTROLS[char]
        if in_class and char == "b":
            return 8
        if char in "01234567" and not (is_strict and (char != "0" or self._peek().isdigit())):
            return self._octal(char)
        if char == "c":
            letter = self._peek()
            if letter.isascii() and (letter.isalpha() or (in_class and not is_strict and re.match(r"[0-9_]", letter))):
                return ord(self._next()) % 32
            if is_strict:
                raise PatternError("Invalid unicode escape")
            self._at -= 1  # the backslash stands for itself, and the c is read again
            return ord("\\")
        if char in "xu":
            code = self._hexadecimal(char)
            if code is not None:
                return code
        if is_strict and char not in _SYNTAX and not (in_class and char == "-"):
            raise PatternError("Invalid class escape" if in_class else "Invalid escape")
        return ord(char)

    def _octal(self, digit: str) -> int:
        """Read up to two more digits, as long as the code stays below 256."""
        code = int(digit)
        while self._peek() and self._peek() in "01234567" and code < 32:
            code = code * 8 + int(self._next())
        return code

    def _hexadecimal(self, kind: str) -> int | None:
        if kind == "u" and self._flags.unicode:
            if braced := _BRACED.match(self._body, self._at):
                self._at = braced.end()
                code = int(braced[1][-9:], 16)
                if code > LAST or len(braced[1].lstrip("0")) > 6:
                    raise PatternError("Invalid Unicode escape")
                return code
            if pair := _PAIR.match(self._body, self._at):
                self._at = pair.end()
                return 0x10000 + (int(pair[1], 16) - 0xD800) * 0x400 + int(pair[2], 16) - 0xDC00
        length = 2 if kind == "x" else 4
        digits = self._body[self._at : self._at + length]
        if len(digits) == length and _HEX.fullmatch(digits):
            self._at += length
            return int(digits, 16)
        return None

    def _class(self) -> _Part:
        """Read a class behind its bracket."""
        is_negated = self._take("^")
        ranges: Ranges = []
        properties = ""
        while not self._take("]"):
            first = self._class_item()
            if self._peek() == "-" and self._body[self._at + 1 : self._at + 2] not in ("]", ""):
                self._at += 1
                last = self._class_item()
                if isinstance(first, int) and isinstance(last, int):
                    if first > last:
                        raise PatternError("Range out of order in character class")
                    ranges.append((first, last))
                    continue
                if self._flags.unicode:
                    raise PatternError("Invalid character class")
                ranges.append((0x2D, 0x2D))
                properties += _add(last, ranges)
            properties += _add(first, ranges)
        text = class_text(ranges, is_negated=is_negated, properties=properties)
        return _Part(text, len(ranges) + 1)

    def _class_item(self) -> int | Ranges | str:
        """Read a character, the ranges of an escape such as ``\\d``, or a property as it is written."""
        char = self._next()
        if not char:
            raise PatternError("Unterminated character class")
        if char != "\\":
            return ord(char)
        char = self._peek()
        if not char:
            raise PatternError("\\ at end of pattern")
        if char.lower() not in _CLASSES:
            is_property = char in "pP" and self._flags.unicode
            return self._property() if is_property else self._character(in_class=True)
        self._at += 1
        ranges = _CLASSES[char.lower()]
        if char.islower():
            return ranges
        return complement(sorted(ranges + RELATIVES) if char == "W" and self._flags.ignore_case else ranges)

    def _peek(self) -> str:
        return self._body[self._at : self._at + 1]

    def _next(self) -> str:
        char = self._peek()
        self._at += 1
        return char

    def _take(self, char: str) -> bool:
        found = self._peek() == char
        self._at += found
        return found


def _survey(body: str) -> tuple[int, dict[str, int]]:
    """Count the groups that capture and number the named ones: references may stand before them."""
    count = 0
    names: dict[str, int] = {}
    for found in _OPENERS.finditer(body):
        if found[0] == "(":
            count += 1
        elif found[0] == "(?<":
            count += 1
            name = _GROUP_NAME.match(body, found.end())
            if name is None or not name[1].replace("$", "_").isidentifier():
                raise PatternError("Invalid capture group name")
            if name[1] in names:
                raise PatternError("Duplicate capture group name")
            names[name[1]] = count
    return count, names


def _add(item: int | Ranges | str, ranges: Ranges) -> str:
    """Add an item to `ranges`, or give it back if it is a property."""
    if isinstance(item, str):
        return item
    ranges.extend([(item, item)] if isinstance(item, int) else item)
    return ""


def _count(digits: str) -> int:
    """Read a number of any length; all the large ones are the same."""
    significant = digits.lstrip("0")
    return int(significant or "0") if len(significant) < 10 else _UNLIMITED
