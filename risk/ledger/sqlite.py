"""The embedded ledger: one SQLite file that many processes of one host share.

Write-ahead log, so that readers never wait. Appends run in `BEGIN IMMEDIATE`: the head is
read, judged and moved under the one write lock that SQLite has. Ordinary appends survive
`kill -9` (`synchronous=NORMAL`); durable ones survive power loss (`synchronous=FULL`).
"""

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from threading import Lock

from errors import KeyTaken, StoreCorrupt, StoreUnavailable
from risk.events import Draft, Event, EventKind
from risk.ledger.file import open_file
from risk.ledger.protocol import EMPTY, Head, Record, advance
from risk.ledger.sqlite_reader import EVENT_COLUMNS, event_of, read_records, state_of
from risk.ledger.sqlite_schema import insert, prepare, write_head
from risk.state import RiskState
from risk.verification import REMEDY
from stores.sqlite_connection import connect, faults, identity_of, transaction

__all__ = ["SqliteLedger"]

_BLOCKED_TIMEOUT_MS = 10


class SqliteLedger:
    """Events in an SQLite file.

    Args:
        path: the file.
        create: make it, and its folder, if it is not there. A process that serves must not: a
            file that went missing is not an empty ledger.
        busy_timeout_ms: how long an append waits for another process's write lock.

    Raises:
        StoreUnavailable: the file cannot be opened, or is not there.
        StoreCorrupt: it is no ledger, of another version, or its end does not fit its head.
    """

    name = "sqlite"

    def __init__(self, path: Path, *, create: bool = True, busy_timeout_ms: int = 500) -> None:
        self._path = path
        self._busy_timeout_ms = busy_timeout_ms
        self._write_lock, self._read_lock = Lock(), Lock()
        self._pragmas: dict[str, str | int] = {}
        self._known = EMPTY
        self._trouble: str | None = None
        with faults(self._path, REMEDY):
            self._identity = open_file(path, create=create)
            self._writer = self._connect()
            try:
                prepare(self._writer, path, create=create)
                self._read_head(self._writer)
                self._reader = self._connect()
            except BaseException:
                self._writer.close()
                raise

    @property
    def trouble(self) -> str | None:
        """Why the newest append failed; None when it did not."""
        return self._trouble

    def head(self) -> Head:
        """The newest sequence, its hash, and the state."""
        with faults(self._path, REMEDY), self._write_lock:
            self._check_identity()
            self._known = self._read_head(self._writer)
            return self._known

    def append(
        self, drafts: Sequence[Draft], *, expected: int | None = None, durable: bool = False
    ) -> tuple[Event, ...]:
        """Store events, in order, all or none; `durable` waits for the disk."""
        with self._write_lock:
            try:
                with faults(self._path, REMEDY):
                    events = self._append(drafts, expected, durable=durable)
            except StoreUnavailable as error:
                self._trouble = str(error)
                raise
            self._trouble = None
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
            f"SELECT {EVENT_COLUMNS} FROM event WHERE kind IN ({marks}) {older} "  # noqa: S608 - marks only
            "ORDER BY sequence DESC LIMIT ?"
        )
        values = [*kinds, *([] if before is None else [before]), limit]
        with faults(self._path, REMEDY), self._read_lock:
            return [event_of(row) for row in self._reader.execute(query, values)]

    def scan(self, *, after: int = 0, limit: int = 1000) -> list[Record]:
        """Records as stored, oldest first, beyond sequence `after`."""
        with faults(self._path, REMEDY), self._read_lock:
            return read_records(self._reader, after=after, limit=limit)

    def close(self) -> None:
        """Close the file. Closing twice is harmless."""
        with self._write_lock, self._read_lock:
            self._writer.close()
            self._reader.close()

    def _append(
        self, drafts: Sequence[Draft], expected: int | None, *, durable: bool
    ) -> tuple[Event, ...]:
        self._check_identity()
        self._set("synchronous", "FULL" if durable else "NORMAL")
        # Once a wait was in vain, those that queue behind it must not each wait as long.
        blocked = self._trouble is not None
        self._set("busy_timeout", _BLOCKED_TIMEOUT_MS if blocked else self._busy_timeout_ms)
        with transaction(self._writer):
            events, head = advance(self._read_head(self._writer), drafts, expected)
            self._insert(drafts, events)
            write_head(self._writer, head, with_state=head.state is not self._known.state)
        self._known = head
        return events

    def _check_identity(self) -> None:
        if identity_of(self._path) != self._identity:
            raise StoreUnavailable(
                f"{self._path} was removed or replaced while it was in use; put it back and "
                "restart the service"
            )

    def _set(self, pragma: str, value: str | int) -> None:
        if self._pragmas.get(pragma) != value:
            self._writer.execute(f"PRAGMA {pragma} = {value}")
            self._pragmas[pragma] = value

    def _connect(self) -> sqlite3.Connection:
        return connect(self._path, "mode=rw", timeout_ms=self._busy_timeout_ms)

    def _read_head(self, connection: sqlite3.Connection) -> Head:
        row = connection.execute("SELECT sequence, hash, state_sequence FROM head").fetchone()
        if row is None:
            raise StoreCorrupt(f"{self._path} is damaged: its head is gone; {REMEDY}")
        sequence, digest, state_sequence = row
        known = self._known
        if (sequence, digest) == (known.sequence, known.hash):
            return known
        # Decoding the state is the costly part, and most events leave it as it is.
        if state_sequence == known.state.sequence:
            return Head(sequence, digest, known.state)
        # Again in one statement: another process may have moved the head since the first.
        sequence, digest, text = connection.execute(
            "SELECT sequence, hash, state FROM head"
        ).fetchone()
        return Head(sequence, digest, self._decode(text))

    def _decode(self, text: str) -> RiskState:
        try:
            return state_of(text)
        except StoreCorrupt as error:
            raise StoreCorrupt(f"{self._path} is damaged: {error}; {REMEDY}") from None

    def _insert(self, drafts: Sequence[Draft], events: Sequence[Event]) -> None:
        records = [
            Record(event.sequence, event.kind, draft.event_id, draft.key, event.hash, event.body)
            for draft, event in zip(drafts, events, strict=True)
        ]
        try:
            insert(self._writer, records)
        except sqlite3.IntegrityError as error:
            raise KeyTaken(f"an event with the same id or key is on record ({error})") from None

    def _one(self, column: str, value: str) -> Event | None:
        query = f"SELECT {EVENT_COLUMNS} FROM event WHERE {column} = ?"  # noqa: S608 - own names
        with faults(self._path, REMEDY), self._read_lock:
            row = self._reader.execute(query, (value,)).fetchone()
        return None if row is None else event_of(row)
