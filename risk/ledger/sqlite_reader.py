"""Reads the file of an embedded ledger, also a damaged one, and writes nothing to it.

A ledger that is to be appended to must be whole (`risk.ledger.sqlite`). What has to say what is
wrong with a file, or has to save what is left of one, reads it here: a file that was cut off is
read up to the cut.
"""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

from errors import StoreCorrupt, StoreUnavailable
from risk.events import GENESIS, Event, EventKind
from risk.ledger.protocol import Head, Record
from risk.ledger.sqlite_schema import check_version, is_new
from risk.state import RiskState
from risk.verification import NEWEST, REMEDY, Examination, refuse_damaged
from stores.sqlite_connection import connect_to_read, faults, reading, told

__all__ = [
    "EVENT_COLUMNS",
    "SqliteReader",
    "event_of",
    "read_records",
    "refuse_damaged_file",
    "state_of",
]

EVENT_COLUMNS = (
    "sequence, kind, hash, body, (SELECT hash FROM event p WHERE p.sequence = event.sequence - 1)"
)
"""What `event_of` reads."""

_RECORDS = (
    "SELECT sequence, kind, id, key, hash, body FROM event WHERE sequence > ? "
    "ORDER BY sequence LIMIT ?"
)


class SqliteReader:
    """The records of a file, however damaged it is, as `risk.verification` reads them.

    Args:
        path: the file. It may be in use.

    Raises:
        StoreUnavailable: it is not there or cannot be opened.
        StoreCorrupt: it is no database, no ledger, or of another version.
    """

    name = "sqlite"

    def __init__(self, path: Path) -> None:
        self._path = path
        with faults(path, REMEDY):
            self._connection = connect_to_read(path)
            try:
                check_version(self._connection, path)
            except BaseException:
                self._connection.close()
                raise

    def __enter__(self) -> "SqliteReader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def head(self) -> Head:
        """The newest sequence, its hash, and the state, as the file says."""
        with reading():
            row = self._connection.execute("SELECT sequence, hash, state FROM head").fetchone()
        if row is None:
            raise StoreCorrupt("it is gone")
        sequence, digest, text = row
        if not (isinstance(sequence, int) and isinstance(digest, str)):
            raise StoreCorrupt(f"it says {sequence!r} {digest!r}")
        return Head(sequence, digest, state_of(text))

    def scan(self, *, after: int = 0, limit: int = 1000) -> list[Record]:
        """Records as stored, oldest first, beyond sequence `after`."""
        return read_records(self._connection, after=after, limit=limit)

    def check_structure(self) -> None:
        """Refuse a file of which not every page and index is sound.

        Raises:
            StoreCorrupt: it says what SQLite found first.
        """
        with faults(self._path, REMEDY):
            (found,) = self._connection.execute("PRAGMA integrity_check(1)").fetchone()
        if found != "ok":
            first = told(found).removeprefix("*** in database main *** ")
            raise StoreCorrupt(f"{self._path} is damaged: {first}; {REMEDY}")

    def close(self) -> None:
        """Close the file. Closing twice is harmless."""
        self._connection.close()


def refuse_damaged_file(path: Path, *, newest: int = NEWEST) -> Examination | None:
    """Examine the file of a ledger before it is opened to be written.

    Up to `newest` events, all records, the state, every page and every index are examined; of
    a larger ledger the newest records only.

    Args:
        path: the file. It is not written to.
        newest: how many of the newest records are examined.

    Returns:
        What was found; None when there is no file yet, or nothing in it.

    Raises:
        StoreCorrupt: it is damaged; one line that names the first bad record and says what can
            be done.
        StoreUnavailable: it cannot be read now.
    """
    try:
        if path.stat().st_size == 0:
            return None
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreUnavailable(f"{path} cannot be read: {error.strerror}") from None
    with faults(path, REMEDY), closing(connect_to_read(path)) as connection:
        if is_new(connection):  # another process is about to make it a ledger
            return None
    with SqliteReader(path) as reader:
        examination = refuse_damaged(reader, where=str(path), newest=newest)
        if examination.state is not None:
            reader.check_structure()
    return examination


def read_records(connection: sqlite3.Connection, *, after: int, limit: int) -> list[Record]:
    """Records beyond sequence `after`; up to the first one that cannot be read, if there is one.

    Raises:
        StoreCorrupt: the very first of them cannot be read.
        StoreUnavailable: the file cannot be used now.
    """
    try:
        with reading():
            records = [Record(*row) for row in connection.execute(_RECORDS, (after, limit))]
    except StoreCorrupt:
        return _up_to_the_fault(connection, after, limit)
    return records if _ascends(records, after) else _up_to_the_fault(connection, after, limit)


def _up_to_the_fault(connection: sqlite3.Connection, after: int, limit: int) -> list[Record]:
    """One by one, since a page in which a row cannot be read gives none of its rows."""
    records: list[Record] = []
    fault = StoreCorrupt("its page is damaged")
    try:
        while len(records) < limit:
            with reading():
                row = connection.execute(_RECORDS, (after, 1)).fetchone()
            if row is None:
                return records
            if row[0] <= after:  # what was cut off reads as zeros
                break
            records.append(Record(*row))
            after = records[-1].sequence
    except StoreCorrupt as error:
        fault = error
    if not records:
        raise fault
    return records


def _ascends(records: list[Record], after: int) -> bool:
    for record in records:
        if record.sequence <= after:
            return False
        after = record.sequence
    return True


def event_of(row: tuple[int, str, str, bytes, str | None]) -> Event:
    """The event in a row of `EVENT_COLUMNS`.

    Raises:
        StoreCorrupt: it is none that this version knows.
    """
    sequence, kind, digest, body, previous = row
    if not isinstance(body, bytes):
        raise StoreCorrupt(f"record {sequence}: its body is not bytes; {REMEDY}")
    try:
        known = EventKind(kind)
    except ValueError:
        raise StoreCorrupt(
            f"record {sequence}: its kind {kind!r} is not known to this version; {REMEDY}"
        ) from None
    return Event(sequence, known, previous or GENESIS, digest, body)


def state_of(text: object) -> RiskState:
    """The state in the head's text.

    Raises:
        StoreCorrupt: it is none.
    """
    try:
        return RiskState.from_json(json.loads(str(text)))
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise StoreCorrupt(
            f"the stored state cannot be read ({type(error).__name__}: {told(error)})"
        ) from None
