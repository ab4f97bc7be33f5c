"""A terminal's screen, as far as the program writes to one: text that wraps, and the few commands that it sends."""

from __future__ import annotations

import re

_PART = re.compile(r"\x1b\[(\??)([0-9;]*)([A-Za-z])|([\r\n])|([^\x1b\r\n])")


class Screen:
    """Lines of `columns` and `rows`; `above` are those that have scrolled away. What it does not know is an error."""

    def __init__(self, columns: int, rows: int = 24) -> None:
        self.columns = columns
        self.rows = rows
        self.above: list[str] = []
        self.lines = [""]
        self.row = self.column = 0
        self.frames = 0
        self.styles: set[str] = set()

    def feed(self, text: str) -> None:
        """Take what was written."""
        at = 0
        for match in _PART.finditer(text):
            assert match.start() == at, f"not known: {text[at : at + 20]!r}"
            at = match.end()
            private, number, command, move, char = match.groups()
            if char:
                self._put(char)
            elif move:
                self.column = 0
                if move == "\n":
                    self._down()
            elif private:
                assert (number, command) in (("2026", "h"), ("2026", "l"))
                self.frames += command == "h"
            else:
                self._command(number, command)
        assert at == len(text), f"not known: {text[at : at + 20]!r}"

    def shown(self) -> list[str]:
        """Return what stands on the screen, without empty lines at its end."""
        lines = [line.rstrip() for line in self.lines]
        while lines and not lines[-1]:
            lines.pop()
        return lines

    def _command(self, number: str, command: str) -> None:
        if command == "A":
            assert self.row >= int(number) or self.above, "moved above all that was written"
            self.row = max(0, self.row - int(number))
        elif command == "K":
            self.lines[self.row] = self.lines[self.row][: self.column]
        elif command == "J":
            self.lines[self.row :] = [self.lines[self.row][: self.column]]
        else:
            assert command == "m", command
            self.styles.add(number)

    def _put(self, char: str) -> None:
        if self.column == self.columns:
            self.column = 0
            self._down()
        line = self.lines[self.row].ljust(self.column)
        self.lines[self.row] = line[: self.column] + char + line[self.column + 1 :]
        self.column += 1

    def _down(self) -> None:
        self.row += 1
        if self.row == len(self.lines):
            self.lines.append("")
        if len(self.lines) > self.rows:
            self.above.append(self.lines.pop(0))
            self.row -= 1
