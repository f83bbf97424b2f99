"""The tables of an SQLite ledger: made once, checked at every start, and how they are written."""

import json
import sqlite3
from collections.abc import Iterable
from pathlib import Path

from errors import StoreCorrupt, StoreUnavailable
from risk.ledger.protocol import EMPTY, Head, Record
from risk.verification import REMEDY
from stores.sqlite_connection import transaction, write_ahead

__all__ = ["RARE", "check_version", "insert", "is_new", "move_head", "prepare", "write_head"]

_VERSION = 2

RARE = "kind NOT IN ('decision', 'batch')"
"""Which kinds of events the index of kinds has, in the words that a query must repeat. Each page
that a commit touches is written twice, and most commits are one decision, which nobody looks for by
its kind but among the newest records. Files of before have all kinds in it, and all keys in theirs.
"""

_SCHEMA = f"""
CREATE TABLE event (
    sequence INTEGER PRIMARY KEY,
    kind     TEXT NOT NULL,
    id       TEXT NOT NULL UNIQUE,
    key      TEXT,
    hash     TEXT NOT NULL,
    body     BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX event_key ON event (key) WHERE key IS NOT NULL;
CREATE INDEX event_kind ON event (kind, sequence) WHERE {RARE};
CREATE TABLE head (
    one            INTEGER PRIMARY KEY CHECK (one = 1),
    sequence       INTEGER NOT NULL,
    hash           TEXT NOT NULL,
    state_sequence INTEGER NOT NULL,
    state          TEXT NOT NULL
) STRICT;
"""

# One statement, so that a process that appends at this moment is seen wholly or not at all.
_ENDS = """
SELECT coalesce((SELECT sequence || ' ' || hash FROM event ORDER BY sequence DESC LIMIT 1),
                (SELECT '0 ' || hash FROM head WHERE sequence = 0)),
       (SELECT sequence || ' ' || hash FROM head)
"""


def prepare(connection: sqlite3.Connection, path: Path, *, create: bool = True) -> None:
    """Make the tables if the file is new; refuse a file that is not such a ledger.

    An existing ledger is only read, so that a service can start while it is locked.

    Args:
        connection: to the file.
        path: of the file, for messages.
        create: whether an empty file may be made a ledger.

    Raises:
        StoreCorrupt: it is something else, of another version, or its end does not fit its
            head.
        StoreUnavailable: it is empty, and may not be made a ledger.
    """
    if is_new(connection):
        if not create:
            raise StoreUnavailable(f"there is no ledger in {path}: it is empty")
        write_ahead(connection)
        with transaction(connection):
            if is_new(connection):
                _create(connection)
    check_version(connection, path)
    newest, head = connection.execute(_ENDS).fetchone()
    if newest != head:
        raise StoreCorrupt(
            f"{path} is damaged: the newest record is {newest}, but the head says {head}; {REMEDY}"
        )


def is_new(connection: sqlite3.Connection) -> bool:
    """Whether nothing has been made in this file yet."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    return bool(version == 0 and tables == 0)


def check_version(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse a file that is something else, or of another version.

    Raises:
        StoreCorrupt: it is.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version != _VERSION:
        raise StoreCorrupt(
            f"{path} is no ledger of version {_VERSION} (it says {version}); name another file "
            "in `state_path`, or use the program that wrote this one"
        )


def insert(connection: sqlite3.Connection, records: Iterable[Record]) -> None:
    """Add records, inside of a transaction.

    Raises:
        sqlite3.IntegrityError: a sequence, an id or a key is there already.
    """
    for record in records:
        connection.execute("INSERT INTO event VALUES (?, ?, ?, ?, ?, ?)", record)


def move_head(connection: sqlite3.Connection, known: Head, head: Head) -> bool:
    """Move the head, inside of a transaction, if it still is where it is known to be.

    The state is written where it is another one.
    """
    place, was = (head.sequence, head.hash), (known.sequence, known.hash)
    if head.state is known.state:
        query = "UPDATE head SET sequence = ?, hash = ? WHERE sequence = ? AND hash = ?"
        return connection.execute(query, (*place, *was)).rowcount == 1
    query = (
        "UPDATE head SET sequence = ?, hash = ?, state_sequence = ?, state = ? "
        "WHERE sequence = ? AND hash = ?"
    )
    values = (*place, head.state.sequence, _text(head), *was)
    return connection.execute(query, values).rowcount == 1


def write_head(connection: sqlite3.Connection, head: Head) -> None:
    """Put the head where it belongs, wherever it was, inside of a transaction."""
    connection.execute(
        "UPDATE head SET sequence = ?, hash = ?, state_sequence = ?, state = ?",
        (head.sequence, head.hash, head.state.sequence, _text(head)),
    )


def _create(connection: sqlite3.Connection) -> None:
    for statement in _SCHEMA.split(";"):
        connection.execute(statement)
    connection.execute(
        "INSERT INTO head VALUES (1, ?, ?, ?, ?)",
        (EMPTY.sequence, EMPTY.hash, EMPTY.state.sequence, _text(EMPTY)),
    )
    connection.execute(f"PRAGMA user_version = {_VERSION}")


def _text(head: Head) -> str:
    return json.dumps(head.state.to_json(), sort_keys=True)
