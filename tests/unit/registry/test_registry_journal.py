"""What is kept of an open upload between runs, who may read it, and who may go on with it."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from oci_push.model.descriptor import Descriptor
from oci_push.model.digest import Digest
from oci_push.model.reference import Repository
from oci_push.protocol.uploads import UploadSession
from oci_push.registry.upload_store import StoredUpload, UploadStore
from oci_push.runtime.cache import UPLOAD_S, SqliteCache
from oci_push.runtime.clock import FakeClock

HOST = "registry.test"
REPOSITORY = Repository(HOST, "team/app")
DATA = b"x" * 100
BLOB = Descriptor("x", Digest.of(DATA), len(DATA))
SECRET = "https://registry.test/v2/team/app/blobs/uploads/1?_state=signed-and-secret"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def cache(tmp_path: Path, clock: FakeClock) -> Iterator[SqliteCache]:
    with closing(SqliteCache(tmp_path / "memory.sqlite3", clock, pytest.fail)) as opened:
        yield opened


@pytest.fixture
def upload_store(cache: SqliteCache, tmp_path: Path) -> UploadStore:
    return UploadStore(cache, tmp_path)


def take(upload_store: UploadStore, repository: Repository = REPOSITORY, blob: Descriptor = BLOB) -> StoredUpload:
    entry = upload_store.claim(HOST, repository, blob)
    assert entry is not None
    return entry


def test_what_one_run_noted_the_next_one_finds(upload_store: UploadStore, cache: SqliteCache, tmp_path: Path) -> None:
    first = take(upload_store)
    first.note(UploadSession(SECRET, 5, 7), 60)
    first.release()
    assert take(UploadStore(cache, tmp_path)).find() == (UploadSession(SECRET, 5, 7), 60)


def test_a_note_is_in_the_file_before_the_run_ends(upload_store: UploadStore, tmp_path: Path, clock: FakeClock) -> None:
    take(upload_store).note(UploadSession(SECRET), 60)
    with closing(SqliteCache(tmp_path / "memory.sqlite3", clock, pytest.fail)) as another:
        assert another.find_upload(HOST, "team/app", BLOB.digest) is not None


def test_two_runs_never_go_on_with_one_upload(upload_store: UploadStore, cache: SqliteCache, tmp_path: Path) -> None:
    first = take(upload_store)
    assert UploadStore(cache, tmp_path).claim(HOST, REPOSITORY, BLOB) is None
    first.release()
    assert UploadStore(cache, tmp_path).claim(HOST, REPOSITORY, BLOB) is not None


def test_a_url_that_carries_a_secret_is_in_no_file(
    upload_store: UploadStore, cache: SqliteCache, tmp_path: Path
) -> None:
    take(upload_store).note(UploadSession(SECRET), 60)
    cache.close()
    for path in tmp_path.iterdir():
        assert b"signed-and-secret" not in path.read_bytes()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_note_copied_to_another_blob_or_repository_is_none(upload_store: UploadStore, cache: SqliteCache) -> None:
    first = take(upload_store)
    first.note(UploadSession(SECRET), 60)
    noted = cache.find_upload(HOST, "team/app", BLOB.digest)
    assert noted is not None
    cache.note_upload(HOST, "team/other", BLOB.digest, noted)
    assert take(upload_store, Repository(HOST, "team/other")).find() is None


@pytest.mark.parametrize("damage", [b"", b"short", b"A" * 43 + b"="], ids=["empty", "short", "another"])
def test_a_lost_key_costs_the_upload_and_is_replaced(upload_store: UploadStore, tmp_path: Path, damage: bytes) -> None:
    entry = take(upload_store)
    entry.note(UploadSession(SECRET), 60)
    (tmp_path / "uploads.key").write_bytes(damage)
    assert entry.find() is None
    entry.note(UploadSession(SECRET), 70)
    assert entry.find() == (UploadSession(SECRET), 70)


def test_an_upload_of_long_ago_is_not_gone_on_with(upload_store: UploadStore, clock: FakeClock) -> None:
    entry = take(upload_store)
    entry.note(UploadSession(SECRET), 60)
    clock.time += UPLOAD_S + 1
    assert entry.find() is None


def test_more_bytes_than_the_blob_has_are_not_believed(upload_store: UploadStore) -> None:
    entry = take(upload_store)
    entry.note(UploadSession(SECRET), 101)
    assert entry.find() is None


def test_a_finished_upload_is_forgotten(upload_store: UploadStore) -> None:
    entry = take(upload_store)
    entry.note(UploadSession(SECRET), 60)
    entry.forget()
    assert entry.find() is None


def test_where_nothing_can_be_written_nothing_is_resumed_and_nothing_fails(cache: SqliteCache, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    assert UploadStore(cache, tmp_path / "file").claim(HOST, REPOSITORY, BLOB) is None


def test_a_key_that_cannot_be_made_fails_nothing(upload_store: UploadStore, tmp_path: Path) -> None:
    entry = take(upload_store)
    (tmp_path / "uploads.key").mkdir()
    entry.note(UploadSession(SECRET), 60)
    assert entry.find() is None
