"""What is remembered between runs, and that failing storage never fails the work."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from oci_push.model.digest import Digest
from oci_push.runtime.cache import CAPABILITY_S, DAY_S, KEEP_BLOBS, KEEP_S, REFUSAL_S, Cache, NoCache, SqliteCache
from oci_push.runtime.clock import FakeClock
from oci_push.runtime.context import Context
from oci_push.runtime.tasks import run_all

HOST = "reg.example"


def digest(text: str) -> Digest:
    return Digest.of(text.encode())


class Run:
    """Runs over one memory file: each `open` is a new process's view of it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = FakeClock()
        self.warnings: list[str] = []
        self.opened: list[SqliteCache] = []

    def open(self) -> SqliteCache:
        self.opened.append(SqliteCache(self.path, self.clock, self.warnings.append))
        return self.opened[-1]

    def rows(self, table: str) -> int:
        database = sqlite3.connect(self.path)
        try:
            return int(database.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
        finally:
            database.close()


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    made = Run(tmp_path / "cache" / "memory.sqlite3")
    yield made
    for cache in made.opened:
        cache.close()


class TestBlobs:
    def test_repository_that_held_a_blob_is_found_in_the_next_run(self, run: Run) -> None:
        first = run.open()
        first.remember_blob(HOST, "team/app", digest("a"))
        first.close()
        assert run.open().find_mounts(HOST, digest("a"), "team/other") == ("team/app",)

    def test_blob_noted_in_this_run_is_found_before_it_is_closed(self, run: Run) -> None:
        cache = run.open()
        cache.remember_blob(HOST, "team/app", digest("a"))
        assert cache.find_mounts(HOST, digest("a"), "team/other") == ("team/app",)

    def test_another_registry_or_blob_gives_nothing(self, run: Run) -> None:
        cache = run.open()
        cache.remember_blob(HOST, "team/app", digest("a"))
        assert cache.find_mounts("other.example", digest("a"), "x") == ()
        assert cache.find_mounts(HOST, digest("b"), "x") == ()

    def test_the_target_itself_is_no_place_to_mount_from(self, run: Run) -> None:
        cache = run.open()
        cache.remember_blob(HOST, "team/app", digest("a"))
        assert cache.find_mounts(HOST, digest("a"), "team/app") == ()

    def test_most_alike_in_path_comes_first_then_the_latest(self, run: Run) -> None:
        cache = run.open()
        for path in ("other/late", "team/old/x", "team/new/x", "team/app/base", "teamwork/x"):
            cache.remember_blob(HOST, path, digest("a"))
            run.clock.time += 1
        found = cache.find_mounts(HOST, digest("a"), "team/app/web", limit=5)
        assert found == ("team/app/base", "team/new/x", "team/old/x", "teamwork/x", "other/late")

    def test_one_of_the_same_team_is_found_beneath_many_later_ones_of_others(self, run: Run) -> None:
        cache = run.open()
        for path in ("team/base", *(f"others/app{number}" for number in range(300))):
            cache.remember_blob(HOST, path, digest("a"))
            run.clock.time += 1
        assert cache.find_mounts(HOST, digest("a"), "team/app") == ("team/base", "others/app299")

    def test_answer_is_cut_to_the_limit(self, run: Run) -> None:
        cache = run.open()
        for number in range(5):
            cache.remember_blob(HOST, f"r{number}", digest("a"))
        assert len(cache.find_mounts(HOST, digest("a"), "x", limit=3)) == 3

    def test_forgotten_blob_is_not_found(self, run: Run) -> None:
        cache = run.open()
        cache.remember_blob(HOST, "team/app", digest("a"))
        cache.forget_blob(HOST, "team/app", digest("a"))
        assert cache.find_mounts(HOST, digest("a"), "x") == ()

    def test_seen_again_counts_as_late(self, run: Run) -> None:
        cache = run.open()
        for path in ("one", "two", "one"):
            run.clock.time += 1
            cache.remember_blob(HOST, path, digest("a"))
        assert cache.find_mounts(HOST, digest("a"), "x") == ("one", "two")


class TestLayers:
    def test_what_a_layer_became_is_found_with_the_same_settings_only(self, run: Run) -> None:
        cache = run.open()
        cache.store(digest("diff"), "gzip-6", digest("gz"), 42)
        assert cache.find(digest("diff"), "gzip-6") == (digest("gz"), 42)
        assert cache.find(digest("diff"), "zstd-3") is None
        assert cache.find(digest("other"), "gzip-6") is None

    def test_it_is_written_at_once_so_that_a_killed_run_has_it(self, run: Run) -> None:
        run.open().store(digest("diff"), "gzip-6", digest("gz"), 42)
        assert run.rows("layers") == 1

    @pytest.mark.parametrize(("text", "size"), [("sha256:short", 1), (str(digest("x")), -1), (str(digest("x")), "big")])
    def test_row_that_makes_no_sense_is_as_good_as_none(self, run: Run, text: str, size: object) -> None:
        run.open().store(digest("diff"), "gzip-6", digest("gz"), 42)
        database = sqlite3.connect(run.path)
        with database:
            database.execute("UPDATE layers SET digest = ?, size = ?", (text, size))
        database.close()
        assert run.open().find(digest("diff"), "gzip-6") is None


class TestCapabilities:
    @pytest.mark.parametrize(("name", "value"), [("multi_tag", "no"), ("piece_limit", "1024")])
    def test_what_a_registry_refused_is_tried_again_after_a_day(self, run: Run, name: str, value: str) -> None:
        cache = run.open()
        cache.remember_capability(HOST, name, value)
        run.clock.time += REFUSAL_S
        assert cache.find_capability(HOST, name) == value
        run.clock.time += 1
        assert cache.find_capability(HOST, name) is None

    def test_last_value_is_believed_for_a_week(self, run: Run) -> None:
        cache = run.open()
        cache.remember_capability(HOST, "multi_tag", "no")
        cache.remember_capability(HOST, "multi_tag", "yes")
        run.clock.time += CAPABILITY_S
        assert cache.find_capability(HOST, "multi_tag") == "yes"
        run.clock.time += 1
        assert cache.find_capability(HOST, "multi_tag") is None

    def test_unknown_capability_is_none(self, run: Run) -> None:
        assert run.open().find_capability(HOST, "multi_tag") is None


class TestCleaning:
    def test_facts_not_seen_for_long_are_dropped(self, run: Run) -> None:
        first = run.open()
        first.remember_blob(HOST, "old", digest("a"))
        first.store(digest("diff"), "gzip", digest("gz"), 1)
        first.remember_capability(HOST, "x", "y")
        first.close()
        run.clock.time += KEEP_S + 1
        second = run.open()
        second.remember_blob(HOST, "new", digest("a"))
        second.close()
        assert (run.rows("blobs"), run.rows("layers"), run.rows("abilities")) == (1, 0, 0)

    def test_blobs_over_the_limit_go_oldest_first(self, run: Run) -> None:
        first = run.open()
        first.remember_blob(HOST, "seed", digest("seed"))
        first.close()
        database = sqlite3.connect(run.path)
        now = run.clock.time
        with database:
            rows = ((HOST, str(number), "r", now - number * 0.01) for number in range(KEEP_BLOBS + 50))
            database.executemany("INSERT INTO blobs VALUES (?, ?, ?, ?)", rows)
        database.close()
        run.clock.time += DAY_S + 1
        second = run.open()
        second.remember_blob(HOST, "new", digest("a"))
        second.close()
        assert run.rows("blobs") == KEEP_BLOBS
        assert run.open().find_mounts(HOST, digest("a"), "x") == ("new",)

    def test_cleaning_happens_once_a_day(self, run: Run) -> None:
        def visit(path: str) -> None:
            cache = run.open()
            cache.remember_blob(HOST, path, digest("a"))
            cache.close()

        visit("first")
        database = sqlite3.connect(run.path)
        with database:
            database.execute("UPDATE blobs SET seen = 0")
        database.close()
        visit("same-day")
        assert run.rows("blobs") == 2
        run.clock.time += DAY_S + 1
        visit("next-day")
        assert run.rows("blobs") == 2  # the outdated one is gone

    def test_run_that_learns_nothing_writes_nothing(self, run: Run) -> None:
        first = run.open()
        first.remember_blob(HOST, "a", digest("a"))
        first.close()
        before = run.path.read_bytes()
        run.clock.time += KEEP_S * 2
        second = run.open()
        second.find_mounts(HOST, digest("a"), "x")
        second.close()
        assert run.path.read_bytes() == before


class TestFile:
    def test_nothing_is_made_before_the_first_use(self, run: Run) -> None:
        run.open().close()
        assert not run.path.parent.exists()

    def test_file_and_folder_are_for_the_owner_only(self, run: Run) -> None:
        cache = run.open()
        cache.store(digest("d"), "s", digest("e"), 1)
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (run.path.parent, *run.path.parent.iterdir())}
        assert modes.pop("cache") == 0o700
        assert set(modes.values()) == {0o600}

    def test_damaged_file_is_set_aside_and_the_memory_begins_afresh(self, run: Run) -> None:
        run.path.parent.mkdir()
        run.path.write_bytes(b"this is no database, but long enough to look at" * 100)
        cache = run.open()
        cache.remember_blob(HOST, "a", digest("a"))
        assert cache.find_mounts(HOST, digest("a"), "x") == ("a",)
        assert run.path.with_name("memory.sqlite3.damaged").exists()
        assert [text.split(": ")[1].split(",")[0] for text in run.warnings] == ["damaged"]

    def test_file_damaged_inside_is_set_aside_too(self, run: Run) -> None:
        first = run.open()
        for number in range(2000):
            first.remember_blob(HOST, f"r{number}", digest(str(number)))
        first.close()
        raw = bytearray(run.path.read_bytes())
        raw[4096:] = b"\xff" * (len(raw) - 4096)
        run.path.write_bytes(raw)
        cache = run.open()
        cache.remember_blob(HOST, "a", digest("a"))
        assert cache.find_mounts(HOST, digest("a"), "x") == ("a",)
        assert len(run.warnings) == 1

    def test_folder_that_cannot_be_made_is_one_warning(self, run: Run) -> None:
        run.path.parent.write_text("a file is in the way")
        cache = run.open()
        cache.store(digest("d"), "s", digest("e"), 1)
        cache.remember_blob(HOST, "a", digest("a"))
        assert cache.find(digest("d"), "s") is None
        cache.close()
        assert len(run.warnings) == 1
        assert "not used in this run" in run.warnings[0]

    def test_file_of_an_older_version_is_emptied(self, run: Run) -> None:
        run.path.parent.mkdir()
        database = sqlite3.connect(run.path)
        database.execute("CREATE TABLE blobs (something TEXT)")
        database.close()
        cache = run.open()
        cache.remember_blob(HOST, "a", digest("a"))
        assert cache.find_mounts(HOST, digest("a"), "x") == ("a",)
        assert run.warnings == []

    def test_file_of_a_newer_version_is_left_alone(self, run: Run) -> None:
        run.path.parent.mkdir()
        database = sqlite3.connect(run.path)
        database.execute("CREATE TABLE future (something TEXT)")
        database.execute("PRAGMA user_version = 99")
        database.close()
        assert run.open().find_capability(HOST, "x") is None
        assert run.rows("future") == 0
        assert "newer version" in run.warnings[0]

    def test_two_memories_write_to_one_file(self, run: Run) -> None:
        one, two = run.open(), run.open()
        one.store(digest("1"), "s", digest("x"), 1)
        two.store(digest("2"), "s", digest("y"), 2)
        assert one.find(digest("2"), "s") == (digest("y"), 2)
        assert two.find(digest("1"), "s") == (digest("x"), 1)

    def test_a_process_that_holds_the_file_costs_a_warning_not_the_push(self, run: Run) -> None:
        run.open().store(digest("1"), "s", digest("x"), 1)
        holder = sqlite3.connect(run.path, isolation_level=None)
        holder.execute("BEGIN EXCLUSIVE")
        cache = SqliteCache(run.path, run.clock, run.warnings.append, busy_s=0)
        cache.store(digest("2"), "s", digest("y"), 2)
        holder.close()
        assert "locked" in run.warnings[0]

    def test_several_processes_write_at_once(self, run: Run) -> None:
        code = (
            "import sys; from pathlib import Path\n"
            "from oci_push.model.digest import Digest\n"
            "from oci_push.runtime.clock import SystemClock\n"
            "from oci_push.runtime.cache import SqliteCache\n"
            "def fail(text): raise SystemExit(text)\n"
            "cache = SqliteCache(Path(sys.argv[1]), SystemClock(), fail)\n"
            "for number in range(100):\n"
            "    cache.store(Digest.of(f'{sys.argv[2]}-{number}'.encode()), 's', Digest.of(b''), number)\n"
            "cache.close()\n"
        )
        processes = [subprocess.Popen([sys.executable, "-c", code, str(run.path), str(n)]) for n in range(3)]
        assert [process.wait(300) for process in processes] == [0, 0, 0]
        assert run.rows("layers") == 300

    def test_many_threads_note_and_ask_at_once(self, run: Run) -> None:
        cache = run.open()

        def work(number: int) -> tuple[str, ...]:
            for blob in range(50):
                cache.remember_blob(HOST, f"r{number}", digest(f"{number}-{blob}"))
            return cache.find_mounts(HOST, digest(f"{number}-49"), "x")

        outcomes = run_all(Context(run.clock), [lambda _, n=n: work(n) for n in range(8)], limit=8)
        assert [outcome.get() for outcome in outcomes] == [(f"r{n}",) for n in range(8)]

    def test_warning_may_come_back_to_the_memory(self, run: Run) -> None:
        run.path.parent.write_text("a file is in the way")
        done = threading.Event()

        def warn(text: str) -> None:
            cache.find_capability(HOST, "x")
            done.set()

        cache = SqliteCache(run.path, run.clock, warn)
        cache.store(digest("d"), "s", digest("e"), 1)
        assert done.is_set()


def test_switched_off_memory_has_the_same_methods_and_knows_nothing() -> None:
    cache: Cache = NoCache()
    cache.remember_blob(HOST, "a", digest("a"))
    cache.forget_blob(HOST, "a", digest("a"))
    cache.store(digest("d"), "s", digest("e"), 1)
    cache.remember_capability(HOST, "x", "y")
    cache.close()
    known = (cache.find_mounts(HOST, digest("a"), "x"), cache.find(digest("d"), "s"), cache.find_capability(HOST, "x"))
    assert known == ((), None, None)


def test_sqlite_is_not_imported_until_it_is_needed() -> None:
    code = "import sys; import oci_push.runtime.cache; sys.exit('sqlite3' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
