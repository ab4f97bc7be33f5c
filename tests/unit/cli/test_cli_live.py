"""The display on a terminal, as a screen shows it: at any width, with any number of layers, and beside other lines."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Iterable

import pytest
from happenings import APP, MB, begun, blob, copied, done, ended, under_way
from screen import Screen

from oci_push import events
from oci_push.cli import output
from oci_push.cli.live import LiveDisplay
from oci_push.cli.output import Door
from oci_push.cli.progress import LineRenderer
from oci_push.cli.tally import Tally
from oci_push.events import Event
from oci_push.model.outcomes import BlobOutcome, CopyOutcome, TagOutcome
from oci_push.model.reference import Repository
from oci_push.runtime.clock import FakeClock
from oci_push.secret import Secret

COLOURS = {"TERM": "xterm-256color"}


class Terminal(io.StringIO):
    """A stream that a screen shows."""

    def __init__(self, columns: int, rows: int) -> None:
        super().__init__()
        self.screen = Screen(columns, rows)
        self.written = ""

    def write(self, text: str) -> int:
        self.written += text
        self.screen.feed(text)
        return len(text)


class Shown:
    """A display on a terminal of some size, and a clock that is moved by hand."""

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        columns: int = 100,
        rows: int = 24,
        *,
        env: dict[str, str] | None = None,
        has_signs: bool = True,
    ) -> None:
        self.terminal = Terminal(columns, rows)
        monkeypatch.setattr(sys, "stderr", Door(self.terminal))
        self.clock = FakeClock(1_000.0)
        tally = Tally()
        self.lines = LineRenderer(beside_display=True, tally=tally, clock=self.clock)
        self.display = LiveDisplay(
            tally, self.clock, COLOURS if env is None else env, size_of=self.size, has_signs=has_signs
        )

    def size(self) -> os.terminal_size:
        screen = self.terminal.screen
        return os.terminal_size((screen.columns, screen.rows))

    def tell(self, *happened: Iterable[Event]) -> None:
        for events_of_one in happened:
            for event in events_of_one:
                self.lines(event)

    def at(self, seconds: float) -> list[str]:
        self.clock.time = 1_000.0 + seconds
        self.display.tick()
        return self.terminal.screen.shown()


def two_layers(shown: Shown) -> None:
    """Half of a push."""
    shown.tell(begun(4, 100 * MB, tags=("1", "latest")), done(0, 400), under_way(1, 80 * MB), under_way(2, 19 * MB))
    shown.at(0.5)
    progress = (events.BlobProgress(APP, blob(1), 20 * MB, 80 * MB), events.BlobProgress(APP, blob(2), MB, 19 * MB))
    shown.tell(progress)


WIDTHS = {
    60: [
        "Image sha256:4813494d137e (4 blobs, 100.0 MB) from oci:image",
        "registry.example.com/team/app  1/4 blobs",
        "  layer  6b86b273ff34 ━━────────    20.0/80.0 MB   8.0 MB/s",
        "  layer  d4735e3a265e ──────────     1.0/19.0 MB 400.0 kB/s",
        "2.5 s · 21 % · 21.0/100.0 MB · 8.4 MB/s · 9.4 s left",
    ],
    100: [
        "Image sha256:4813494d137e (4 blobs, 100.0 MB) from oci:image",
        "registry.example.com/team/app  1/4 blobs",
        "  layer  6b86b273ff34 ━━━━━━━━━━──────────────────────────────    20.0/80.0 MB   8.0 MB/s",
        "  layer  d4735e3a265e ━━──────────────────────────────────────     1.0/19.0 MB 400.0 kB/s",
        "━━━━────────────────  2.5 s · 21 % · 21.0/100.0 MB · 8.4 MB/s · 9.4 s left",
    ],
}
WIDTHS[160] = WIDTHS[100]


@pytest.mark.parametrize("columns", [60, 100, 160])
def test_each_blob_under_way_has_a_line_in_a_window_of_any_width(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = Shown(monkeypatch, columns)
    two_layers(shown)
    assert shown.at(2.5) == WIDTHS[columns]


@pytest.mark.parametrize("columns", [1, 10, 20, 36, 45])
def test_no_line_is_wider_than_a_narrow_window(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = Shown(monkeypatch, columns, 60)
    two_layers(shown)
    shown.at(2.5)
    rows = len(shown.terminal.screen.lines)
    for number in range(5):
        shown.at(3 + number)
    assert len(shown.terminal.screen.lines) == rows


def test_a_push_that_is_soon_over_shows_no_display(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = Shown(monkeypatch)
    shown.tell(begun(1, MB), done(1, MB), ended())
    shown.at(0.3)
    assert shown.terminal.written == "Image sha256:4813494d137e (1 blob, 1.0 MB) from oci:image\n"


def test_two_hundred_layers_fill_no_more_than_the_window(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = Shown(monkeypatch, 100, 12)
    shown.tell(begun(400, 400 * MB), *(done(n, MB) for n in range(1, 201)))
    shown.tell(*(under_way(n, MB, 1) for n in range(201, 401)))
    for tenth in range(5, 60, 5):
        lines = shown.at(tenth / 10)
        assert len(lines) <= 11
    assert lines[1] == "registry.example.com/team/app  200/400 blobs"
    assert lines[-2] == "  … 193 more blobs"
    assert not shown.terminal.screen.above


def test_twenty_repositories_share_the_window(monkeypatch: pytest.MonkeyPatch) -> None:
    targets = [Repository("registry.example.com", f"app{n}") for n in range(20)]
    shown = Shown(monkeypatch, 100, 14)
    shown.tell(begun(2, 2 * MB, *targets), *(under_way(1, MB, 1, target) for target in targets))
    lines = shown.at(2)
    assert len(lines) <= 13
    assert "… 15 more repositories" in lines
    shown.tell(*(ended(target) for target in targets[:18]))
    lines = shown.at(3)
    assert lines[-1].endswith("18 repositories done")
    assert sum(line.startswith("registry.example.com") for line in lines) == 2


def test_what_was_mounted_or_there_is_counted_and_the_end_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = Shown(monkeypatch)
    shown.tell(begun(3, 30 * MB, tags=("1", "2")), done(1, 10 * MB, BlobOutcome.EXISTS))
    shown.tell(done(2, 10 * MB, BlobOutcome.MOUNTED))
    assert shown.at(1)[1] == "registry.example.com/team/app  2/3 blobs · 1 mounted · 1 there"
    shown.tell(done(3, 10 * MB))
    assert shown.at(2)[1] == "registry.example.com/team/app  writing manifest"
    shown.tell(list(ended(tags=("1", "2")))[:1])
    assert shown.at(3)[1] == "registry.example.com/team/app  tagged 1/2"


def test_blobs_that_wait_for_their_turn_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = Shown(monkeypatch)
    shown.tell(begun(3, 30 * MB), under_way(1, 10 * MB, MB), under_way(2, 10 * MB), under_way(3, 10 * MB))
    lines = shown.at(1)
    assert lines[1] == "registry.example.com/team/app  0/3 blobs · 2 waiting"
    assert [line.split()[1] for line in lines[2:-1]] == ["6b86b273ff34"]


def test_compressing_is_shown_beside_layers_that_go_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = Shown(monkeypatch, 60)
    assert shown.at(1) == ["Reading the image", "1.0 s"]
    shown.tell([events.LayerReading(blob(1), 10 * MB, 40 * MB, True)])
    shown.tell([events.TargetStarted(APP, ("1",))], done(2, 5 * MB))
    assert shown.at(2) == [
        "Compressing layers",
        "  pack   6b86b273ff34 ━━────────    10.0/40.0 MB",
        "registry.example.com/team/app  1 blob",
        "2.0 s · 5.0 MB sent",
    ]


def test_many_layers_that_are_compressed_fill_no_more_than_their_share(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = Shown(monkeypatch, 60, 12)
    shown.tell([events.LayerReading(blob(n), MB, 4 * MB, False) for n in range(30)])
    lines = shown.at(1)
    assert lines[0] == "Reading the image"
    assert lines[-2] == "  … 23 more layers"
    assert len(lines) == 10


def test_lines_are_printed_above_the_display_and_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = Shown(monkeypatch, 60)
    two_layers(shown)
    shown.at(2.5)
    output.tell("SIGINT received: stopping (again: stop at once)")
    shown.tell([events.RetryScheduled(f"{APP}: blob x", "503 " * 20, 1, 0.5)])
    print("warning by Python", file=sys.stderr)
    lines = shown.at(2.5)
    assert lines[0] == WIDTHS[60][0]
    assert lines[1] == "SIGINT received: stopping (again: stop at once)"
    assert lines[-5] == "warning by Python"
    assert lines[-4:-1] == WIDTHS[60][1:-1]
    assert lines[-1].endswith("1 retry")


def test_at_the_end_nothing_of_it_is_left_and_the_cursor_is_where_the_next_line_goes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown = Shown(monkeypatch)
    two_layers(shown)
    shown.at(2.5)
    output.show_picture(None)
    output.tell("the end")
    assert shown.terminal.screen.shown() == [WIDTHS[100][0], "the end"]
    assert "\x1b[?25l" not in shown.terminal.written  # a cursor that nobody hides needs nobody to show it


def test_a_process_that_dies_leaves_the_cursor_below_the_display(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = Shown(monkeypatch)
    two_layers(shown)
    shown.at(2.5)
    assert shown.terminal.screen.column == 0
    assert shown.terminal.screen.row == len(shown.terminal.screen.shown())


def test_a_window_that_becomes_narrower_breaks_lines_which_are_drawn_over(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = Shown(monkeypatch, 100)
    two_layers(shown)
    shown.at(2.5)
    screen = shown.terminal.screen
    for width in (70, 50):
        text, screen.lines, screen.row = screen.lines, [], 0
        screen.columns = width
        for line in text[:-1]:
            parts = [line[at : at + width] for at in range(0, max(1, len(line)), width)]
            screen.lines += parts
        screen.row, screen.column = len(screen.lines), 0
        screen.lines.append("")
        lines = shown.at(2.5)
        assert sum("registry.example.com/team/app" in line for line in lines) == 1
        assert sum("6b86b273ff34" in line for line in lines) == 1


def test_a_frame_is_one_change_and_leaves_lines_that_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = Shown(monkeypatch)
    two_layers(shown)
    shown.at(2.5)
    before = len(shown.terminal.written)
    shown.at(2.6)
    frame = shown.terminal.written[before:]
    assert frame.startswith("\x1b[?2026h")
    assert frame.endswith("\x1b[?2026l")
    # Nothing is cleared before it is written again, which would flicker where mode 2026 is not known.
    assert frame.index("\x1b[J") > frame.rindex("left")


def test_without_colours_bars_differ_by_their_signs(monkeypatch: pytest.MonkeyPatch) -> None:
    coloured = Shown(monkeypatch)
    two_layers(coloured)
    coloured.at(2.5)
    assert {"32", "36"} <= coloured.terminal.screen.styles
    plain = Shown(monkeypatch, env={**COLOURS, "NO_COLOR": "1"})
    two_layers(plain)
    assert plain.at(2.5) == coloured.terminal.screen.shown()
    assert not {style for style in plain.terminal.screen.styles if style.startswith("3")}


def test_without_unicode_it_is_drawn_with_plain_signs(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = Shown(monkeypatch, 60, has_signs=False)
    two_layers(shown)
    lines = shown.at(2.5)
    assert lines[2] == "  layer  6b86b273ff34 ##--------    20.0/80.0 MB   8.0 MB/s"
    assert lines[-1] == "2.5 s, 21 %, 21.0/100.0 MB, 8.4 MB/s, 9.4 s left"
    assert "".join(lines).isascii()


def test_secrets_and_controls_of_strangers_are_not_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = Secret("planted-in-display").reveal()
    shown = Shown(monkeypatch, 200)
    target = Repository("registry.example.com", secret)
    shown.tell([events.SourceOpened(f"\x1b]0;{secret}", blob(1), 1, 2, 2)])
    step = f"{secret}\x1b[1m"
    shown.tell([events.Within(step, events.TargetStarted(target, (secret,)))], under_way(1, MB, 1, target))
    assert len(shown.at(2)) == 4
    shown.tell([events.TagDone(target, secret, blob(1), 1, TagOutcome.PUSHED)])
    shown.at(3)
    assert secret not in shown.terminal.written


def test_nothing_of_rich_is_loaded_before_the_first_frame() -> None:
    script = (
        "import sys, oci_push.cli.push\n"
        "from oci_push.cli.live import LiveDisplay\n"
        "from oci_push.cli.tally import Tally\n"
        "from oci_push.runtime.clock import FakeClock\n"
        "clock = FakeClock(0.0)\n"
        "display = LiveDisplay(Tally(), clock, {})\n"
        "display.tick()\n"
        "before = 'rich' in sys.modules\n"
        "clock.time = 1.0\n"
        "display.tick()\n"
        "print(before, 'rich' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "False True\n"


def test_many_copies_are_one_line_and_what_is_on_its_way(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = Shown(monkeypatch, 60)
    shown.tell([events.CopyStarted(5000)], begun(4, 100 * MB), under_way(1, 80 * MB))
    shown.at(0.5)
    shown.tell([events.BlobProgress(APP, blob(1), 20 * MB, 80 * MB)], begun(2, 9 * MB), ended())
    shown.tell([copied("1"), copied("2", CopyOutcome.UNCHANGED), copied("3", CopyOutcome.FAILED, "it broke")])
    assert shown.at(1.0) == [
        "Copying  3/5000 tags · 1 failed",
        "  layer  6b86b273ff34 ━━────────    20.0/80.0 MB  20.0 MB/s",
        "1.0 s · 20.0 MB sent · 20.0 MB/s",
    ]
    shown.tell(ended(error="it broke"))
    assert shown.at(2.0)[0] == "Copying  3/5000 tags · 1 failed"
    assert not any("layer" in line for line in shown.at(2.0))
