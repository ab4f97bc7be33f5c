"""The plot of a report as SVG: one line for each row, its ratio on a logarithmic axis, and a mark for the goal.

Colours are classes of one style sheet, which has a second set for dark surroundings.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from html import escape
from itertools import groupby

from bench.results import Report, Result

_WIDTH = 900
_LEFT, _RIGHT = 280, 220  # margins: titles of rows, figures beside them
_ROW, _HEADING, _TOP, _BOTTOM = 20, 30, 118, 26
_TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)

STYLE = """
  svg { font: 12px system-ui, sans-serif; color-scheme: light dark }
  .paper { fill: #ffffff } .text { fill: #1f2328 } .quiet { fill: #59636e } .grid { stroke: #d1d9e0 }
  .even { stroke: #59636e }
  .even-bar { fill: #59636e } .reached { fill: #1a7f37 } .missed { fill: #bc4c00 } .goal { stroke: #0969da }
  .zone { fill: #1a7f37; opacity: 0.07 }
  line.reached, circle.reached { stroke: #1a7f37; stroke-width: 2 }
  line.missed, circle.missed { stroke: #bc4c00; stroke-width: 2 } circle.missed { fill: #ffffff }
  .title { font-size: 16px; font-weight: 600 } .heading { font-weight: 600 } .end { text-anchor: end }
  .middle { text-anchor: middle }
  @media (prefers-color-scheme: dark) {
    .paper { fill: #0d1117 } .text { fill: #f0f6fc } .quiet { fill: #9198a1 } .grid { stroke: #3d444d }
    .even { stroke: #9198a1 }
    .even-bar { fill: #9198a1 } .reached { fill: #3fb950 } .missed { fill: #f0883e } .goal { stroke: #4493f8 }
    .zone { fill: #3fb950; opacity: 0.12 }
    line.reached, circle.reached { stroke: #3fb950 }
    line.missed, circle.missed { stroke: #f0883e } circle.missed { fill: #0d1117 }
  }
"""

Scale = Callable[[float], float]


def draw(report: Report) -> str:
    """Return the whole picture; rows with neither a ratio nor a time for each unit are not in it."""
    drawn = [result for result in report.results if result.ratio is not None or result.each_ms is not None]
    groups = [(name, list(members)) for name, members in groupby(drawn, key=lambda result: result.row.group)]
    height = _TOP + _BOTTOM + sum(_HEADING + _ROW * len(members) for _, members in groups)
    ticks, scale = _axis(drawn)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" viewBox="0 0 {_WIDTH} {height}">',
        f"<style>{STYLE}</style>",
        f'<rect class="paper" width="{_WIDTH}" height="{height}"/>',
        *_head(report),
        *_grid(ticks, scale, height - _BOTTOM),
    ]
    y = float(_TOP)
    for name, members in groups:
        y += _HEADING
        parts.append(_text(16, y - 9, _heading(name), "text heading"))
        for result in members:
            parts += _row(result, scale, y + _ROW / 2)
            y += _ROW
    return "\n".join([*parts, "</svg>"]) + "\n"


def _axis(drawn: Iterable[Result]) -> tuple[list[float], Scale]:
    """Return the ticks that are needed, and where a ratio stands."""
    ratios = [result.ratio for result in drawn if result.ratio is not None]
    goals = [result.goal for result in drawn if result.goal is not None]
    least = min([0.5, *(ratio.least for ratio in ratios), *goals])
    most = max([2.0, *(ratio.most for ratio in ratios), *goals])
    low = max((tick for tick in _TICKS if tick <= least), default=_TICKS[0])
    high = min((tick for tick in _TICKS if tick >= most), default=_TICKS[-1])

    def scale(ratio: float) -> float:
        part = math.log(min(max(ratio, low), high) / low) / math.log(high / low)
        return _LEFT + part * (_WIDTH - _LEFT - _RIGHT)

    return [tick for tick in _TICKS if low <= tick <= high], scale


def _head(report: Report) -> list[str]:
    rivals = ", ".join(name for name in report.programs if name != "oci-push")
    absent = [what.removesuffix(": not on PATH") for what in report.not_run if what.endswith(": not on PATH")]
    missing = f" (the goals are for these too, which are not here: {', '.join(absent)})" if absent else ""
    machine = f"{report.machine['processor']}, {report.machine['system']}, {report.date}, mode {report.mode}"
    lines = [f"Rivals: {rivals or 'none'}{missing}", machine]
    return [
        _text(16, 26, "Seconds of oci-push, divided by those of the best rival", "text title"),
        *(_text(16, 46 + 17 * number, line, "quiet") for number, line in enumerate(lines)),
        *_legend(16, 86),
    ]


def _legend(x: float, y: float) -> list[str]:
    return [
        _dot("reached", x + 5, y - 4),
        _text(x + 15, y, "goal reached", "quiet"),
        _dot("missed", x + 105, y - 4),
        _text(x + 115, y, "goal missed", "quiet"),
        _goal(x + 202, y - 4),
        _text(x + 209, y, "goal", "quiet"),
        f'<line class="reached" x1="{x + 252}" y1="{y - 4}" x2="{x + 276}" y2="{y - 4}"/>',
        _text(x + 282, y, "least to most", "quiet"),
        f'<rect class="zone" x="{x + 374}" y="{y - 11}" width="24" height="14"/>',
        _text(x + 404, y, "faster", "quiet"),
    ]


def _grid(ticks: Iterable[float], scale: Scale, bottom: float) -> list[str]:
    parts = [f'<rect class="zone" x="{_LEFT}" y="{_TOP}" width="{scale(1) - _LEFT:.1f}" height="{bottom - _TOP:.0f}"/>']
    for tick in ticks:
        x = scale(tick)
        kind = "even" if tick == 1 else "grid"
        parts.append(f'<line class="{kind}" x1="{x:.1f}" y1="{_TOP}" x2="{x:.1f}" y2="{bottom}"/>')
        parts += [_text(x, place, f"{tick:g}", "quiet middle") for place in (_TOP - 4, bottom + 16)]
    return parts


def _row(result: Result, scale: Scale, y: float) -> list[str]:
    kind = "reached" if result.is_goal_reached else "missed"
    parts = [_text(28, y + 4, result.row.title, "text")]
    x = _WIDTH - _RIGHT + 52
    if result.ratio is None or result.best is None:
        parts.append(_text(x, y + 4, f"{result.each_ms:.1f}", f"{kind} end"))
        return [*parts, _text(x + 10, y + 4, f"ms each (goal {result.row.goal_each_ms:g})", "quiet")]
    against = f"× {result.best.program}"
    if result.each_ms is not None:
        against += f", {result.each_ms:.1f} ms each"
    least, most = scale(result.ratio.least), scale(result.ratio.most)
    if result.goal is not None:
        parts.append(_goal(scale(result.goal), y))
    return [
        *parts,
        f'<line class="{kind}" x1="{least:.1f}" y1="{y}" x2="{most:.1f}" y2="{y}"/>',
        _dot(kind, scale(result.ratio.median), y),
        _text(x, y + 4, f"{result.ratio.median:.2f}", f"{kind} end"),
        _text(x + 10, y + 4, against, "quiet"),
    ]


def _dot(kind: str, x: float, y: float) -> str:
    return f'<circle class="{kind}" cx="{x:.1f}" cy="{y}" r="4"/>'


def _goal(x: float, y: float) -> str:
    return f'<line class="goal" stroke-width="2.5" x1="{x:.1f}" y1="{y - 7}" x2="{x:.1f}" y2="{y + 7}"/>'


def _heading(group: str) -> str:
    return {"start-up": "Start-up, beside Python alone"}.get(group, group[0].upper() + group[1:])


def _text(x: float, y: float, words: str, kind: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{escape(words)}</text>'
