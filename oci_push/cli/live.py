"""The display on a terminal: a line for each repository that is pushed to and each blob on its way, and the sum of all.

It holds as many lines as the window has and no more; what is done becomes a count. It is drawn a few times a second
from a thread of its own, out of what events have left in a `Tally`: a push waits for no picture. What must last, such
as warnings, is printed above it by the door.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from oci_push.cli import output
from oci_push.cli.tally import Moving, Tally, Target
from oci_push.cli.wording import counted, duration, familiar, part, size
from oci_push.model.display import clean
from oci_push.runtime.clock import Clock

if TYPE_CHECKING:
    from rich.text import Text

FRAME_S = 0.125
"""How often it is drawn."""
_BEGIN_S = 0.4
"""A push that is over by then shows none: a line that comes and goes is a flicker."""
_YOUNG_S = 0.3
"""A blob that takes no longer has no line of its own."""
_MOST_LINES = 24
_NAME, _AMOUNT, _RATE = 19, 15, 10
_BAR = (8, 40)
"""The widths of columns; a bar has what is left, within these bounds."""
_SUM_BAR, _WIDE = 20, 80
_LEAST_FIRST = ("amount", "time", "done", "rate", "retries", "left")


class _Signs(Struct, frozen=True):
    """What is drawn with."""

    done: str = "━"
    rest: str = "─"
    dot: str = " · "
    more: str = "…"


_ASCII = _Signs("#", "-", ", ", "...")


class LiveDisplay:
    """A picture at the foot of a terminal.

    `size_of` returns the window's size, `env` says which colours it has; `has_signs` that it shows more than ASCII.
    """

    def __init__(
        self,
        tally: Tally,
        clock: Clock,
        env: Mapping[str, str],
        *,
        size_of: Callable[[], os.terminal_size] = output.terminal_size,
        has_signs: bool = True,
    ) -> None:
        self._tally = tally
        self._clock = clock
        self._env = env
        self._size_of = size_of
        self._signs = _Signs() if has_signs else _ASCII
        self._began = clock.monotonic()
        self._next: tuple[str, tuple[int, ...]] = "", ()
        self._widths: tuple[int, ...] = ()

    def tick(self) -> None:
        """Draw it anew."""
        now = self._clock.monotonic()
        if now - self._began < _BEGIN_S:
            return
        window = self._size_of()
        lines = self.lines(window.columns, window.lines, now)
        self._next = _rendered(lines, window.columns, self._env), tuple(line.cell_len for line in lines)
        output.show_picture(self)

    def over(self) -> str:
        """Return what moves to its first character. A window that became narrower has broken its lines."""
        columns = max(1, self._size_of().columns)
        rows = sum(max(1, math.ceil(width / columns)) for width in self._widths)
        return f"\x1b[{rows}A\r" if rows else "\r"

    def drawn(self) -> str:
        """Return it as it was last made."""
        text, self._widths = self._next
        return text

    def lines(self, columns: int, rows: int, now: float) -> list[Text]:
        """Return what is shown in a window of this size; no line is wider, and there are fewer lines than rows."""
        with self._tally.lock:
            self._tally.look(now)
            room = max(1, min(rows - 2, _MOST_LINES) - 1)
            reading = self._reading(columns, room // 2 if self._tally.under_way else room)
            lines = [*reading, *self._copies(columns, now), *self._repositories(columns, room - len(reading), now)]
            return [*lines[:room], self._sum(columns, now)]

    def _repositories(self, columns: int, room: int, now: float) -> list[Text]:
        targets = self._tally.under_way
        shown = targets[: max(1, room // 2)]
        left = room - len(shown) - (len(shown) < len(targets))
        lines: list[Text] = []
        for number, target in enumerate(shown):
            old = [one for one in self._tally.blobs_of(target) if now - one.started >= _YOUNG_S]
            moving = [one for one in old if one.sent_bytes]
            waiting = len(old) - len(moving)
            share = left // (len(shown) - number)
            if len(moving) > share:
                hidden, moving = len(moving) - max(0, share - 1), moving[: max(0, share - 1)]
            else:
                hidden = 0
            lines.append(self._repository(target, waiting, columns))
            lines += [self._blob(one, columns) for one in moving]
            if hidden and share:
                lines.append(_text((f"  {self._signs.more} {counted(hidden, 'more blob')}", "dim")))
            left -= min(share, len(moving) + bool(hidden and share))
        if len(shown) < len(targets):
            rest = counted(len(targets) - len(shown), "more repository", "more repositories")
            lines.append(_text((f"{self._signs.more} {rest}", "dim")))
        return lines

    def _copies(self, columns: int, now: float) -> list[Text]:
        """Return how far many copies are, and the blobs of theirs that are on their way."""
        copies = self._tally.copies
        if copies is None:
            return []
        said = [f"{copies.done}/{counted(copies.tags, 'tag')}"]
        said += [f"{copies.failed} failed"] if copies.failed else []
        moving = [one for one in self._tally.moving.values() if now - one.started >= _YOUNG_S and one.sent_bytes]
        head = _ends("Copying", self._signs.dot.join(said), columns, self._signs.more, "bold")
        return [head, *(self._blob(one, columns) for one in moving)]

    def _repository(self, target: Target, waiting: int, columns: int) -> Text:
        state = [f"{target.done_blobs}/{counted(target.blobs, 'blob')}"]
        if target.image is None:
            state = [counted(target.done_blobs, "blob")]
        ways = ((target.mounted, "mounted"), (target.there, "there"), (waiting, "waiting"))
        state += [f"{count} {way}" for count, way in ways if count]
        if target.tagged:
            state = [f"tagged {len(target.tagged)}/{len(target.tags)}"]
        elif target.image is not None and target.done_blobs >= target.blobs:
            state = ["writing manifest"]
        said = clean(self._signs.dot.join(state))
        name = clean(f"[{target.step}] " * bool(target.step) + familiar(target.repository))
        return _ends(name, said, columns, self._signs.more, "bold")

    def _blob(self, one: Moving, columns: int) -> Text:
        name = f"  {one.kind:<6} {one.digest.short}"
        rate = one.rate.per_s()
        return self._measured(name, one.sent_bytes, one.size_bytes, f"{size(rate)}/s" if rate else "", columns)

    def _reading(self, columns: int, room: int) -> list[Text]:
        found = list(self._tally.reading.values())
        if not found:
            is_begin = self._tally.image is None and not self._tally.targets and self._tally.copies is None
            return [_text(("Reading the image", "bold"))] if is_begin else []
        lines = [
            self._measured(
                f"  {'pack' if one.is_compressed else 'read'}   {one.diff_id.short}",
                one.read_bytes,
                one.size_bytes,
                "",
                columns,
            )
            for one in found
        ]
        title = "Compressing layers" if any(one.is_compressed for one in found) else "Reading the image"
        if len(lines) >= room:
            hidden = len(lines) - max(0, room - 2)
            lines[max(0, room - 2) :] = [_text((f"  {self._signs.more} {counted(hidden, 'more layer')}", "dim"))]
        return [_text((title, "bold")), *lines]

    def _sum(self, columns: int, now: float) -> Text:
        """Return the last line; in a narrow window the words that matter least are left out."""
        tally = self._tally
        words = {"time": duration(now - self._began)}
        bar: list[tuple[str, str]] = []
        if tally.under_way and tally.is_known:
            there = sum(map(tally.position_of, tally.under_way))
            whole = sum(one.size_bytes for one in tally.under_way)
            words["share"] = f"{there * 100 // whole if whole else 100} %"
            words["amount"] = part(there, whole)
            bar = [*self._bar(there, whole, _SUM_BAR, "cyan"), ("  ", "")] if columns >= _WIDE else []
        elif tally.went_out:
            words["amount"] = f"{size(tally.went_out)} sent"
        if tally.moving and tally.per_s:
            words["rate"] = f"{size(tally.per_s)}/s"
            if tally.left_s is not None:
                words["left"] = f"{duration(tally.left_s)} left"
        if tally.retries:
            words["retries"] = counted(tally.retries, "retry", "retries")
        done = sum(one.is_finished for one in tally.targets.values())
        if done:
            words["done"] = f"{counted(done, 'repository', 'repositories')} done"
        room = columns - 1 - sum(len(text) for text, _ in bar)
        for name in _LEAST_FIRST:
            if len(self._signs.dot.join(words.values())) > room:
                words.pop(name, None)
        return _text(*bar, (self._signs.dot.join(words.values()), "cyan"))

    def _measured(self, name: str, count: int, whole: int, rate: str, columns: int) -> Text:
        """Return a name, a bar, an amount and a rate; in a narrow window without the bar, then without the rate."""
        amount, speed = f" {part(count, whole):>{_AMOUNT}}", f" {rate:>{_RATE}}"
        width = min(columns - 2 - len(name) - len(amount) - len(speed), _BAR[1])
        if width < _BAR[0]:
            return _text((name, ""), (amount, ""), (speed if width > -2 else "", ""))
        return _text((name, ""), (" ", ""), *self._bar(count, whole, width, "green"), (amount + speed, ""))

    def _bar(self, count: int, whole: int, width: int, style: str) -> list[tuple[str, str]]:
        filled = min(width, width * count // whole) if whole else width
        return [(self._signs.done * filled, style), (self._signs.rest * (width - filled), "dim")]


def _text(*parts: tuple[str, str]) -> Text:
    from rich.text import Text  # loaded with the first picture, by its thread

    return Text.assemble(*parts)


def _ends(left: str, right: str, columns: int, more: str, style: str) -> Text:
    """Return a line with a text at its begin, cut where there is no room, and one after it."""
    room = columns - 1 - len(right) - 2
    if len(left) > room:
        # What tells repositories apart stands at the end of their names.
        left = f"{more}{left[len(left) - max(0, room - len(more)) :]}"
    return _text((left, style), (f"  {right}", ""))


def _rendered(lines: Sequence[Text], columns: int, env: Mapping[str, str]) -> str:
    made = output.console(columns, env)
    with made.capture() as captured:
        for line in lines:
            line.truncate(max(1, columns - 1))
            made.print(line, no_wrap=True, crop=True)
    return captured.get()
