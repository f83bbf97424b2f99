"""The embedded ledger: one SQLite file that many processes of one host share.

Write-ahead log, so that readers never wait. Appends run in `BEGIN IMMEDIATE`: the head is
read, judged and moved under the one write lock that SQLite has. Ordinary appends survive
`kill -9` (`synchronous=NORMAL`); durable ones survive power loss (`synchronous=FULL`).
"""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

from errors import KeyTaken, LedgerCorrupt, LedgerUnavailable
from risk.events import GENESIS, Draft, Event, EventKind
from risk.ledger.protocol import EMPTY, Head, advance
from risk.state import RiskState

__all__ = ["SqliteLedger"]

_VERSION = 1

_SCHEMA = """
CREATE TABLE event (
    sequence INTEGER PRIMARY KEY,
    kind     TEXT NOT NULL,
    id       TEXT NOT NULL UNIQUE,
    key      TEXT UNIQUE,
    hash     TEXT NOT NULL,
    body     BLOB NOT NULL
) STRICT;
CREATE INDEX event_kind ON event (kind, sequence);
CREATE TABLE head (
    one            INTEGER PRIMARY KEY CHECK (one = 1),
    sequence       INTEGER NOT NULL,
    hash           TEXT NOT NULL,
    state_sequence INTEGER NOT NULL,
    state          TEXT NOT NULL
) STRICT;
"""

_COLUMNS = (
    "sequence, kind, hash, body, (SELECT hash FROM event p WHERE p.sequence = event.sequence - 1)"
)


class SqliteLedger:
    """Events in an SQLite file.

    Args:
        path: the file; it and its folder are made if they are not there.
        busy_timeout_ms: how long an append waits for another process's write lock.

    Raises:
        LedgerUnavailable: the file cannot be opened or is locked.
        LedgerCorrupt: it is no ledger, of another version, or its end does not fit its head.
    """

    name = "sqlite"

    def __init__(self, path: Path, *, busy_timeout_ms: int = 500) -> None:
        self._path = path
        self._busy_timeout_ms = busy_timeout_ms
        self._write_lock, self._read_lock = Lock(), Lock()
        self._durable = False
        self._known = EMPTY
        with self._faults():
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise LedgerUnavailable(f"{path.parent} cannot be made: {error.strerror}") from None
            self._writer = self._connect()
            try:
                self._prepare()
                self._reader = self._connect()
            except BaseException:
                self._writer.close()
                raise

    def head(self) -> Head:
        """The newest sequence, its hash, and the state."""
        with self._faults(), self._write_lock:
            self._known = self._read_head(self._writer)
            return self._known

    def append(
        self, drafts: Sequence[Draft], *, expected: int | None = None, durable: bool = False
    ) -> tuple[Event, ...]:
        """Store events, in order, all or none; `durable` waits for the disk."""
        with self._faults(), self._write_lock:
            self._synchronise(durable=durable)
            with self._transaction():
                events, head = advance(self._read_head(self._writer), drafts, expected)
                self._insert(drafts, events)
                self._move_head(head)
            self._known = head
        return events

    def by_id(self, event_id: str) -> Event | None:
        """The event with this id."""
        return self._one("id", event_id)

    def by_key(self, key: str) -> Event | None:
        """The event that binds this idempotency key."""
        return self._one("key", key)

    def recent(
        self, kinds: Sequence[EventKind], *, limit: int, before: int | None = None
    ) -> list[Event]:
        """Events of these kinds, newest first."""
        marks = ", ".join("?" for _ in kinds)
        older = "" if before is None else "AND sequence < ?"
        query = (
            f"SELECT {_COLUMNS} FROM event WHERE kind IN ({marks}) {older} "  # noqa: S608 - marks only
            "ORDER BY sequence DESC LIMIT ?"
        )
        values = [*kinds, *([] if before is None else [before]), limit]
        with self._faults(), self._read_lock:
            return [_event(row) for row in self._reader.execute(query, values)]

    def close(self) -> None:
        """Close the file. Closing twice is harmless."""
        with self._write_lock, self._read_lock:
            self._writer.close()
            self._reader.close()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path,
            timeout=self._busy_timeout_ms / 1000,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=64,
        )
        try:
            connection.execute("PRAGMA synchronous = NORMAL")
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self) -> None:
        """Make the tables if the file is new; refuse a file that is not such a ledger."""
        self._writer.execute("PRAGMA journal_mode = WAL")
        with self._transaction():
            (version,) = self._writer.execute("PRAGMA user_version").fetchone()
            (tables,) = self._writer.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            if version == 0 and tables == 0:
                self._create()
            elif version != _VERSION:
                raise LedgerCorrupt(
                    f"{self._path} is no ledger of version {_VERSION} (it says {version}); "
                    "name another file in `state_path`, or the program that wrote this one"
                )
            head = self._read_head(self._writer)
            newest = self._writer.execute(
                "SELECT sequence, hash FROM event ORDER BY sequence DESC LIMIT 1"
            ).fetchone()
            if (newest or (0, GENESIS)) != (head.sequence, head.hash):
                raise LedgerCorrupt(
                    f"{self._path}: the newest record is {newest}, but the head says "
                    f"{(head.sequence, head.hash)}; restore the file from a backup"
                )

    def _create(self) -> None:
        for statement in _SCHEMA.split(";"):
            self._writer.execute(statement)
        self._writer.execute(
            "INSERT INTO head VALUES (1, ?, ?, ?, ?)",
            (EMPTY.sequence, EMPTY.hash, EMPTY.state.sequence, json.dumps(EMPTY.state.to_json())),
        )
        self._writer.execute(f"PRAGMA user_version = {_VERSION}")

    def _read_head(self, connection: sqlite3.Connection) -> Head:
        row = connection.execute("SELECT sequence, hash, state_sequence FROM head").fetchone()
        if row is None:
            raise LedgerCorrupt(f"{self._path} has lost its head; restore it from a backup")
        sequence, digest, state_sequence = row
        known = self._known
        if (sequence, digest) == (known.sequence, known.hash):
            return known
        # Decoding the state is the costly part, and most events leave it as it is.
        state = known.state
        if state_sequence != state.sequence:
            (text,) = connection.execute("SELECT state FROM head").fetchone()
            state = self._decode(text)
        return Head(sequence, digest, state)

    def _decode(self, text: str) -> RiskState:
        try:
            return RiskState.from_json(json.loads(text))
        except (ValueError, TypeError, KeyError) as error:
            raise LedgerCorrupt(
                f"{self._path}: the stored state cannot be read ({error}); "
                "restore the file from a backup"
            ) from None

    def _insert(self, drafts: Sequence[Draft], events: Sequence[Event]) -> None:
        rows = [
            (event.sequence, event.kind, draft.event_id, draft.key, event.hash, event.body)
            for draft, event in zip(drafts, events, strict=True)
        ]
        try:
            self._writer.executemany("INSERT INTO event VALUES (?, ?, ?, ?, ?, ?)", rows)
        except sqlite3.IntegrityError as error:
            raise KeyTaken(f"an event with the same id or key is on record ({error})") from None

    def _move_head(self, head: Head) -> None:
        if head.state is self._known.state:
            self._writer.execute(
                "UPDATE head SET sequence = ?, hash = ?", (head.sequence, head.hash)
            )
        else:
            self._writer.execute(
                "UPDATE head SET sequence = ?, hash = ?, state_sequence = ?, state = ?",
                (
                    head.sequence,
                    head.hash,
                    head.state.sequence,
                    json.dumps(head.state.to_json(), sort_keys=True),
                ),
            )

    def _one(self, column: str, value: str) -> Event | None:
        query = f"SELECT {_COLUMNS} FROM event WHERE {column} = ?"  # noqa: S608 - own names
        with self._faults(), self._read_lock:
            row = self._reader.execute(query, (value,)).fetchone()
        return None if row is None else _event(row)

    def _synchronise(self, *, durable: bool) -> None:
        if durable is not self._durable:
            self._writer.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            self._durable = durable

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._writer.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._writer.execute("COMMIT")
        except BaseException:
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
            raise

    @contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.OperationalError, sqlite3.ProgrammingError) as error:
            raise LedgerUnavailable(f"{self._path} cannot be used now: {error}") from error
        except sqlite3.DatabaseError as error:
            raise LedgerCorrupt(f"{self._path} is damaged: {error}") from error


def _event(row: tuple[int, str, str, bytes, str | None]) -> Event:
    sequence, kind, digest, body, previous = row
    return Event(sequence, EventKind(kind), previous or GENESIS, digest, body)
