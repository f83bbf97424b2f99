"""The embedded ledger: one SQLite file that many processes of one host share.

Write-ahead log, so that readers never wait. Appends run in `BEGIN IMMEDIATE`: the head is
held against the known one and moved under the one write lock that SQLite has. Appends survive
`kill -9`; what `persist` has waited for survives the loss of power.
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
from risk.ledger.sqlite_schema import RARE, insert, move_head, prepare
from risk.state import RiskState
from risk.verification import REMEDY
from stores.sqlite_checkpoints import Checkpoints
from stores.sqlite_connection import connect, faults, identity_of, transaction
from stores.sqlite_log import WriteAheadLog

__all__ = ["SqliteLedger"]

_BLOCKED_TIMEOUT_MS = 10
_FREQUENT = frozenset({EventKind.DECISION, EventKind.BATCH})


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
        self._busy_timeout = busy_timeout_ms
        self._log = WriteAheadLog(path)
        self._checkpoints = Checkpoints(path)
        self._known = EMPTY
        self._trouble: str | None = None
        with faults(self._path, REMEDY):
            self._identity = open_file(path, create=create)
            self._writer = self._connect()
            try:
                self._writer.execute("PRAGMA synchronous = NORMAL")
                pages = self._checkpoints.last_resort
                self._writer.execute(f"PRAGMA wal_autocheckpoint = {pages}")
                prepare(self._writer, path, create=create)
                self._known = self._read_head(self._writer)
                self._reader = self._connect()
            except BaseException:
                self._writer.close()
                raise

    @property
    def trouble(self) -> str | None:
        """Why the newest append failed, or is not sure to last; None when neither is so."""
        return self._trouble or self._log.broken

    def head(self) -> Head:
        """The newest sequence, its hash, and the state."""
        with faults(self._path, REMEDY), self._write_lock:
            self._check_identity()
            self._known = self._read_head(self._writer)
            return self._known

    def presumed(self) -> Head:
        """The newest head that is known here, without asking the file."""
        return self._known

    def append(
        self, drafts: Sequence[Draft], *, expected: int | None = None, durable: bool = False
    ) -> tuple[Event, ...]:
        """Store events, in order, all or none; `durable` waits for the disk."""
        with self._write_lock:
            try:
                with faults(self._path, REMEDY):
                    events = self._append(drafts, expected)
            except StoreUnavailable as error:
                self._trouble = str(error)
                raise
            self._trouble = None
        if durable:
            self.persist()
        return events

    def persist(self) -> None:
        """Wait until what was appended is on the disk; others may append meanwhile.

        What SQLite does at each commit with `synchronous=FULL`, under its one write lock.
        """
        self._log.flush()

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
        indexed = "" if _FREQUENT.intersection(kinds) else f"AND {RARE}"
        query = (
            f"SELECT {EVENT_COLUMNS} FROM event WHERE kind IN ({marks}) {older} {indexed} "  # noqa: S608 - marks only
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
            self._log.close()
            self._checkpoints.close()

    def _append(self, drafts: Sequence[Draft], expected: int | None) -> tuple[Event, ...]:
        self._log.refuse_if_broken()
        self._check_identity()
        # Once a wait was in vain, those that queue behind it must not each wait as long.
        blocked = self._trouble is not None
        self._wait_for_others(_BLOCKED_TIMEOUT_MS if blocked else self._busy_timeout_ms)
        # Folded and hashed before the lock is taken; under it one statement says whether the head
        # is still where it was.
        known = self._known
        fits = expected is None or expected == known.state.sequence
        stored = advance(known, drafts, expected) if fits else None
        with transaction(self._writer):
            if stored is None or not move_head(self._writer, known, stored[1]):
                known = self._read_head(self._writer)
                stored = advance(known, drafts, expected)
                move_head(self._writer, known, stored[1])
            events, head = stored
            self._insert(drafts, events)
        self._known = head
        self._checkpoints.appended(len(events))
        return events

    def _check_identity(self) -> None:
        if identity_of(self._path) != self._identity:
            raise StoreUnavailable(
                f"{self._path} was removed or replaced while it was in use; put it back and "
                "restart the service"
            )

    def _wait_for_others(self, milliseconds: int) -> None:
        if self._busy_timeout != milliseconds:
            self._writer.execute(f"PRAGMA busy_timeout = {milliseconds}")
            self._busy_timeout = milliseconds

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
