"""What only a file can show: processes, crashes, damage."""

import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from time import sleep

import pytest

from errors import KeyTaken, StoreCorrupt, StoreUnavailable
from risk.events import EventKind
from risk.ledger.memory import MemoryLedger
from risk.ledger.reopening import ReopeningLedger
from risk.ledger.sqlite import SqliteLedger
from risk.state import RiskState
from risk.verification import examine
from tests.book import Book
from tests.risk.test_ledger_contract import decision, result


def test_a_reopened_file_holds_the_same_events_and_state(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    first = SqliteLedger(path)
    Book(first).result(-0.01, "t1")
    before = first.head()
    first.close()
    again = SqliteLedger(path)
    assert again.head() == before
    assert again.by_key("trade:t1") is not None
    again.close()


def test_the_folder_is_made(tmp_path: Path) -> None:
    ledger = SqliteLedger(tmp_path / "new" / "deeper" / "state.db")
    assert ledger.head().state == RiskState()
    ledger.close()


def test_two_ledgers_on_one_file_see_each_others_events(tmp_path: Path) -> None:
    one, other = SqliteLedger(tmp_path / "s.db"), SqliteLedger(tmp_path / "s.db")
    one.append([result("r1")], expected=0)
    assert other.head() == one.head()
    other.append([result("r2")], expected=1)
    assert one.head() == other.head()
    assert one.head().state.loss_streak == 2
    one.close()
    other.close()


def _report(path: str, worker: int, trades: int) -> None:
    ledger = SqliteLedger(Path(path), busy_timeout_ms=10_000)
    book = Book(ledger, prefix=f"worker-{worker}")
    for number in range(trades):
        # Every trade is reported by every process: half of all reports are duplicates.
        book.result(-0.00001, f"t{number}")
        book.result(0.00002, f"only-{worker}-{number}")
    ledger.close()


def test_processes_that_report_at_once_lose_and_double_nothing(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    SqliteLedger(path).close()
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_report, args=(str(path), n, 25)) for n in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    ledger = SqliteLedger(path)
    today = ledger.head().state.today
    assert today.results == 25 + 3 * 25
    assert today.realised == -25 * 10_000 + 75 * 20_000
    ledger.close()


def test_processes_that_open_a_new_file_at_once_all_succeed(tmp_path: Path) -> None:
    program = textwrap.dedent(
        """
        import sys
        from pathlib import Path
        from risk.ledger.sqlite import SqliteLedger
        SqliteLedger(Path(sys.argv[1])).close()
        """
    )
    running = [
        subprocess.Popen([sys.executable, "-c", program, str(tmp_path / "s.db")]) for _ in range(4)
    ]
    assert [process.wait(60) for process in running] == [0, 0, 0, 0]


def test_a_new_file_that_another_has_begun_with_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with ThreadPoolExecutor(1) as pool:
            opening = pool.submit(SqliteLedger, path, busy_timeout_ms=5000)
            sleep(0.1)
            other.execute("ROLLBACK")
            ledger = opening.result()
    assert ledger.head().state == RiskState()
    ledger.close()


def test_acknowledged_events_survive_kill_9(tmp_path: Path) -> None:
    program = textwrap.dedent(
        """
        import sys
        from pathlib import Path
        from risk.ledger.sqlite import SqliteLedger
        from tests.risk.test_ledger_contract import decision
        ledger = SqliteLedger(Path(sys.argv[1]))
        for number in range(10**9):
            ledger.append([decision(f"d{number}")])
            print(number, flush=True)
        """
    )
    path = tmp_path / "s.db"
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    for _ in range(50):
        acknowledged = int(process.stdout.readline())
    os.kill(process.pid, signal.SIGKILL)
    acknowledged = max([acknowledged, *map(int, process.stdout.read().split("\n")[:-1])])
    process.stdout.close()
    process.wait(10)
    ledger = SqliteLedger(path)
    assert ledger.by_id(f"d{acknowledged}") is not None
    # One more may have been stored and not told.
    assert ledger.head().sequence in (acknowledged + 1, acknowledged + 2)
    ledger.close()


def test_a_file_that_is_locked_is_unavailable_and_comes_back(tmp_path: Path) -> None:
    ledger = SqliteLedger(tmp_path / "s.db", busy_timeout_ms=20)
    blocker = sqlite3.connect(tmp_path / "s.db", isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="locked"):
        ledger.append([decision("a")])
    blocker.execute("ROLLBACK")
    blocker.close()
    ledger.append([decision("a")])
    ledger.close()


def test_those_who_queue_behind_a_lock_do_not_each_wait_for_it(tmp_path: Path) -> None:
    ledger = SqliteLedger(tmp_path / "s.db", busy_timeout_ms=300)
    blocker = sqlite3.connect(tmp_path / "s.db", isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable):
        ledger.append([decision("a")])
    assert ledger._writer.execute("PRAGMA busy_timeout").fetchone() == (300,)
    with pytest.raises(StoreUnavailable):
        ledger.append([decision("a")])
    assert ledger._writer.execute("PRAGMA busy_timeout").fetchone() == (10,)
    assert "locked" in str(ledger.trouble)
    blocker.execute("ROLLBACK")
    blocker.close()
    ledger.append([decision("a")])
    assert ledger.trouble is None
    ledger.append([decision("b")])
    assert ledger._writer.execute("PRAGMA busy_timeout").fetchone() == (300,)
    ledger.close()


def test_a_locked_ledger_can_be_opened_and_read(tmp_path: Path) -> None:
    first = SqliteLedger(tmp_path / "s.db")
    first.append([decision("a")])
    blocker = sqlite3.connect(tmp_path / "s.db", isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    second = SqliteLedger(tmp_path / "s.db", busy_timeout_ms=10)
    assert second.head().sequence == 1
    blocker.execute("ROLLBACK")
    blocker.close()
    first.close()
    second.close()


@pytest.mark.parametrize("replaced", [False, True])
def test_a_file_that_was_taken_away_is_unavailable_and_never_an_empty_ledger(
    tmp_path: Path, *, replaced: bool
) -> None:
    ledger = SqliteLedger(tmp_path / "s.db")
    ledger.append([result("r")], expected=0)
    for file in tmp_path.iterdir():
        file.rename(file.with_name(file.name + ".away"))
    if replaced:
        SqliteLedger(tmp_path / "s.db").close()
    with pytest.raises(StoreUnavailable, match="removed or replaced"):
        ledger.append([decision("d")])
    with pytest.raises(StoreUnavailable, match="removed or replaced"):
        ledger.head()
    assert "removed or replaced" in str(ledger.trouble)
    ledger.close()


def test_who_may_not_create_a_ledger_says_where_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match=r"no ledger at .*s\.db"):
        SqliteLedger(tmp_path / "s.db", create=False)
    assert list(tmp_path.iterdir()) == []


def test_who_may_not_create_a_ledger_makes_none_of_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "s.db").touch()
    with pytest.raises(StoreUnavailable, match="it is empty"):
        SqliteLedger(tmp_path / "s.db", create=False)
    assert (tmp_path / "s.db").read_bytes() == b""


def test_a_ledger_that_could_not_be_opened_is_opened_when_it_can_be(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    waiting = ReopeningLedger("sqlite", lambda: SqliteLedger(path, create=False))
    with pytest.raises(StoreUnavailable):
        waiting.head()
    assert "no ledger" in str(waiting.trouble)
    SqliteLedger(path).close()
    assert waiting.head().sequence == 0
    assert waiting.trouble is None
    waiting.close()


def test_a_closed_ledger_is_unavailable(tmp_path: Path) -> None:
    ledger = SqliteLedger(tmp_path / "s.db")
    ledger.close()
    with pytest.raises(StoreUnavailable):
        ledger.head()


def test_a_full_disk_is_unavailable_and_loses_nothing(tmp_path: Path) -> None:
    ledger = SqliteLedger(tmp_path / "s.db")
    ledger.append([decision("kept")])
    pages = ledger._writer.execute("PRAGMA page_count").fetchone()[0]
    ledger._writer.execute(f"PRAGMA max_page_count = {pages + 1}")
    with pytest.raises(StoreUnavailable, match="full"):
        ledger.append([decision("too large", text="x" * 100_000)])
    ledger._writer.execute("PRAGMA max_page_count = 1000000")
    ledger.append([decision("next")])
    assert ledger.by_id("too large") is None
    assert ledger.head().sequence == 2
    ledger.close()


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    path.write_bytes(b"not a database, but long enough to have a header" * 100)
    before = path.read_bytes()
    with pytest.raises(StoreCorrupt, match=r"s\.db"):
        SqliteLedger(path)
    assert path.read_bytes() == before


def test_a_database_of_something_else_is_refused(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "s.db") as other:
        other.execute("CREATE TABLE somebody (elses TEXT)")
    other.close()
    with pytest.raises(StoreCorrupt, match="state_path"):
        SqliteLedger(tmp_path / "s.db")


def test_a_missing_last_record_is_noticed_at_start(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    ledger = SqliteLedger(path)
    ledger.append([decision("a"), decision("b")])
    ledger.close()
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM event WHERE sequence = 2")
    connection.close()
    with pytest.raises(StoreCorrupt, match="newest record"):
        SqliteLedger(path)


def test_an_unreadable_state_is_corrupt_and_not_a_fresh_one(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    ledger = SqliteLedger(path)
    ledger.append([result("r")], expected=0)
    ledger.close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE head SET state = '{}'")
    connection.close()
    with pytest.raises(StoreCorrupt, match="stored state"):
        SqliteLedger(path)


def test_an_altered_record_is_not_intact(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    ledger = SqliteLedger(path)
    ledger.append([decision("a", amount=1)])
    ledger.close()
    with sqlite3.connect(path) as connection:
        connection.execute(
            "UPDATE event SET body = CAST(replace(body, '\"amount\":1', '\"amount\":2') AS BLOB)"
        )
    connection.close()
    again = SqliteLedger(path)
    event = again.by_id("a")
    assert event is not None
    assert not event.is_intact()
    again.close()


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreUnavailable, match="cannot be made"):
        SqliteLedger(tmp_path / "file" / "state.db")


def test_memory_and_file_give_the_same_hashes(tmp_path: Path) -> None:
    file, memory = SqliteLedger(tmp_path / "s.db"), MemoryLedger()
    for ledger in (file, memory):
        book = Book(ledger)
        book.result(-0.015, "t1")
        book.result(-0.006, "t2")
    assert file.head() == memory.head()
    file.close()


_OLDER = """
CREATE TABLE event (
    sequence INTEGER PRIMARY KEY, kind TEXT NOT NULL, id TEXT NOT NULL UNIQUE, key TEXT UNIQUE,
    hash TEXT NOT NULL, body BLOB NOT NULL
) STRICT;
CREATE INDEX event_kind ON event (kind, sequence);
CREATE TABLE head (
    one INTEGER PRIMARY KEY CHECK (one = 1), sequence INTEGER NOT NULL, hash TEXT NOT NULL,
    state_sequence INTEGER NOT NULL, state TEXT NOT NULL
) STRICT;
"""


def older_file(path: Path) -> None:
    """An empty ledger as it was made when every kind and every key was in an index."""
    SqliteLedger(path).close()
    with closing(sqlite3.connect(path)) as connection:
        (row,) = connection.execute("SELECT * FROM head").fetchall()
        connection.executescript("DROP TABLE event; DROP TABLE head;" + _OLDER)
        connection.execute("INSERT INTO head VALUES (?, ?, ?, ?, ?)", row)
        connection.commit()


@pytest.mark.parametrize("make", [older_file, lambda path: SqliteLedger(path).close()])
def test_a_file_with_other_indexes_is_read_and_written_alike(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    path = tmp_path / "state.db"
    make(path)
    with closing(SqliteLedger(path, create=False)) as ledger:
        book = Book(ledger)
        for number in range(5):
            ledger.append([decision(f"d{number}")])
            book.result(-0.001, f"t{number}")
        results, decisions = [EventKind.TRADE_RESULT], [EventKind.DECISION]
        assert [event.sequence for event in ledger.recent(results, limit=3)] == [10, 8, 6]
        assert [event.sequence for event in ledger.recent(decisions, limit=2)] == [9, 7]
        both = ledger.recent([*decisions, *results], limit=3, before=9)
        assert [event.sequence for event in both] == [8, 7, 6]
        assert ledger.by_key("trade:t3") is not None
        with pytest.raises(KeyTaken):
            ledger.append([decision("d3")])
        assert examine(ledger).is_intact


def test_what_is_rare_is_found_by_an_index_among_many_decisions(tmp_path: Path) -> None:
    with closing(SqliteLedger(tmp_path / "state.db")) as ledger:
        asked: list[str] = []
        ledger._reader.set_trace_callback(asked.append)
        ledger.recent([EventKind.RECONCILED], limit=1)
        ledger._reader.set_trace_callback(None)
        plan = ledger._reader.execute(f"EXPLAIN QUERY PLAN {asked[0]}").fetchall()
    assert any("event_kind" in str(step) for step in plan), plan
