r"""Files of variables, one ``NAME=VALUE`` a line: read for ``--var-file``, written for ``--export``.

Lines may be empty, begin with ``#``, or with ``export``. A value without quotes goes up to the end of the line or to a
``#`` after a blank. Between single quotes everything stands for itself; between double quotes ``\n``, ``\r``, ``\t``,
``\"``, ``\\``, ``\$`` and ``\``` are escapes. Both may go over several lines. Nothing is ever expanded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from oci_push.errors import ConfigError, Diagnostic

_BLANK = re.compile(r"[ \t]*")
_LINE_END = re.compile(r"\r\n?|\n")
_NAME = re.compile(r"[^\s=#'\"{}\ufeff]+")
_PLAIN = re.compile(r"[^\r\n]*")
_COMMENT = re.compile(r"(?<![ \t])[ \t]+#.*")  # looks behind, or a long row of blanks would take quadratic time
_SINGLE = re.compile(r"'([^']*)'")
_DOUBLE = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_ESCAPE = re.compile(r"\\([nrt\"\\$`])")
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t"}
_SAFE = re.compile(r"[A-Za-z0-9_./:@%+,=-]*")


def parse_dotenv(text: str, path: str) -> Mapping[str, str]:
    """Read variables, the last of one name winning; raises one `ConfigError` with every mistake's place."""
    reader = _Reader(text.removeprefix("\ufeff"), path)
    reader.read()
    if reader.problems:
        raise ConfigError(problems=reader.problems)
    return reader.found


def format_dotenv(values: Mapping[str, str]) -> str:
    """Write variables so that `parse_dotenv` and a shell's ``source`` read the same values."""
    return "".join(f"{name}={_quoted(value)}\n" for name, value in values.items())


def _quoted(value: str) -> str:
    if _SAFE.fullmatch(value):
        return value
    if "'" not in value:
        return f"'{value}'"
    escaped = re.sub(r'([\\"$`])', r"\\\1", value)
    return f'"{escaped}"'


class _Reader:
    def __init__(self, text: str, path: str) -> None:
        self._text = text
        self._path = path
        self._at = 0
        self._line = 1
        self._line_start = 0
        self.found: dict[str, str] = {}
        self.problems: list[Diagnostic] = []

    def read(self) -> None:
        while self._at < len(self._text):
            self._take(_BLANK)
            if not self._is_line_end() and self._text[self._at] != "#":
                self._assignment()
            self._take(_PLAIN)  # a comment, or what a mistake leaves over
            self._take(_LINE_END)

    def _assignment(self) -> None:
        start = self._at
        name = self._take(_NAME)
        self._take(_BLANK)
        if name == "export" and not self._text.startswith("=", self._at):
            start = self._at
            name = self._take(_NAME)
            self._take(_BLANK)
        if not name or not self._text.startswith("=", self._at):
            self._say(start, "expected NAME=VALUE")
            return
        self._at += 1
        value = self._value()
        if value is not None:
            self.found[name] = value

    def _value(self) -> str | None:
        blanks = self._take(_BLANK)
        quote = self._text[self._at : self._at + 1]
        if quote not in ("'", '"'):
            return _COMMENT.sub("", blanks + self._take(_PLAIN)).strip(" \t")
        start = self._at
        raw = self._take(_SINGLE if quote == "'" else _DOUBLE)
        if not raw:
            self._say(start, f"the {quote} that opens here is never closed")
            self._at = len(self._text)
            return None
        end = self._at
        rest = _BLANK.sub("", self._take(_PLAIN), count=1)
        if rest and not rest.startswith("#"):
            self._say(end, f"nothing may follow the closing {quote}")
            return None
        inner = raw[1:-1]
        return inner if quote == "'" else _ESCAPE.sub(lambda match: _ESCAPED.get(match[1], match[1]), inner)

    def _take(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._at)
        if match is None:
            return ""
        self._at = match.end()
        return match[0]

    def _is_line_end(self) -> bool:
        return self._at == len(self._text) or self._text[self._at] in "\r\n"

    def _say(self, at: int, message: str) -> None:
        for match in _LINE_END.finditer(self._text, self._line_start, at):
            self._line += 1
            self._line_start = match.end()
        self.problems.append(Diagnostic(message, self._path, self._line, at - self._line_start + 1))
