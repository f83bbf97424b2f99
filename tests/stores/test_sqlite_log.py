"""When a write-ahead log is on the disk, and when it is emptied."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from errors import StoreUnavailable
from risk.events import Draft, EventKind
from risk.ledger.sqlite import SqliteLedger
from risk.verification import examine
from stores.sqlite_checkpoints import Checkpoints
from stores.sqlite_connection import connect, transaction
from stores.sqlite_log import WriteAheadLog
from tests.book import Book
from tests.risk.test_ledger_contract import decision, result

AT = datetime(2026, 3, 2, 14, 0, tzinfo=UTC)


@pytest.fixture
def flushed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which files were brought to the disk."""
    names: list[str] = []
    flush = os.fdatasync

    def noted(descriptor: int) -> None:
        names.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        flush(descriptor)

    monkeypatch.setattr(os, "fdatasync", noted)
    return names


def test_a_durable_append_returns_once_the_log_is_on_the_disk(
    tmp_path: Path, flushed: list[str]
) -> None:
    with closing(SqliteLedger(tmp_path / "state.db")) as ledger:
        ledger.append([decision("d1")])
        assert flushed == []
        ledger.append([result("r1")], expected=0, durable=True)
        assert flushed == ["state.db-wal"]
        ledger.append([decision("d2")])
        ledger.persist()
        assert flushed == ["state.db-wal"] * 2


def test_a_log_that_began_anew_is_still_the_one_that_is_flushed(
    tmp_path: Path, flushed: list[str]
) -> None:
    path = tmp_path / "state.db"
    with closing(SqliteLedger(path)) as ledger, closing(connect(path, "mode=rw")) as other:
        ledger.append([decision("d1")], durable=True)
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        ledger.append([decision("d2")], durable=True)
        (named,) = set(flushed)
        assert (tmp_path / named).stat().st_size > 0


def test_after_a_flush_that_failed_nothing_is_stored_until_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "state.db"
    ledger = SqliteLedger(path)
    book = Book(ledger)
    with monkeypatch.context() as patch:

        def fails(_: int) -> None:
            raise OSError(5, "Input/output error")

        patch.setattr(os, "fdatasync", fails)
        with pytest.raises(StoreUnavailable, match=r"Input/output error.*restart the service"):
            book.result(-0.01, "t1")
    with pytest.raises(StoreUnavailable, match="may be lost"):
        book.result(-0.01, "t2")
    with pytest.raises(StoreUnavailable, match="may be lost"):
        ledger.append([decision("d1")])
    assert ledger.trouble is not None
    ledger.close()
    with closing(SqliteLedger(path)) as again:
        assert again.by_key("trade:t1") is not None
        assert Book(again, prefix="again").result(-0.01, "t1").duplicate
        assert examine(again).is_intact


def test_a_log_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="could not be brought to the disk"):
        WriteAheadLog(tmp_path / "nothing.db").flush()


def appended(path: Path, rows: int, checkpoints: Checkpoints) -> None:
    """Rows of 4 kB, each in a commit of its own; SQLite makes no checkpoint of its own."""
    with closing(connect(path, "mode=rwc")) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("CREATE TABLE IF NOT EXISTS row (number INTEGER, body BLOB)")
        for number in range(rows):
            with transaction(connection):
                connection.execute("INSERT INTO row VALUES (?, ?)", (number, bytes(4000)))
            checkpoints.appended(1)
            if number % 20 == 0:
                time.sleep(0.001)


def test_the_log_stays_small_while_others_append_without_a_pause(tmp_path: Path) -> None:
    path = tmp_path / "rows.db"
    with closing(Checkpoints(path, every=20, at_most=100)) as checkpoints:
        appended(path, 3000, checkpoints)
        written = 3000 * 4000
        assert path.with_name("rows.db-wal").stat().st_size < written / 4
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*), max(number) FROM row").fetchone() == (
            3000,
            2999,
        )


def test_what_is_appended_while_checkpoints_are_made_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    with closing(SqliteLedger(path)) as ledger:
        for number in range(1200):
            payload = {"note": "x" * 3000}
            draft = Draft(EventKind.BATCH, f"b{number}", AT, AT.date(), "t", payload)
            ledger.append([draft])
        assert examine(ledger).is_intact
        assert ledger.head().sequence == 1200


def test_a_lock_or_a_closed_file_ends_no_thread(tmp_path: Path) -> None:
    path = tmp_path / "rows.db"
    checkpoints = Checkpoints(path, every=1)
    checkpoints.appended(1)  # there is no such file
    checkpoints.close()
    checkpoints.close()
    assert not path.exists()
