"""The tables of an SQLite ledger: made once, checked at every start."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from errors import LedgerCorrupt
from risk.ledger.protocol import EMPTY

__all__ = ["prepare", "transaction"]

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

# One statement, so that a process that appends at this moment is seen wholly or not at all.
_ENDS = """
SELECT coalesce((SELECT sequence || ' ' || hash FROM event ORDER BY sequence DESC LIMIT 1),
                (SELECT '0 ' || hash FROM head WHERE sequence = 0)),
       (SELECT sequence || ' ' || hash FROM head)
"""


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All of the block, or nothing of it, under the file's one write lock."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Make the tables if the file is new; refuse a file that is not such a ledger.

    An existing ledger is only read, so that a service can start while it is locked.

    Raises:
        LedgerCorrupt: it is something else, of another version, or its end does not fit its
            head.
    """
    if _is_new(connection):
        connection.execute("PRAGMA journal_mode = WAL")
        with transaction(connection):
            if _is_new(connection):
                _create(connection)
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version != _VERSION:
        raise LedgerCorrupt(
            f"{path} is no ledger of version {_VERSION} (it says {version}); name another file "
            "in `state_path`, or use the program that wrote this one"
        )
    newest, head = connection.execute(_ENDS).fetchone()
    if newest != head:
        raise LedgerCorrupt(
            f"{path}: the newest record is {newest}, but the head says {head}; restore the file "
            "from a backup"
        )


def _is_new(connection: sqlite3.Connection) -> bool:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    return bool(version == 0 and tables == 0)


def _create(connection: sqlite3.Connection) -> None:
    for statement in _SCHEMA.split(";"):
        connection.execute(statement)
    connection.execute(
        "INSERT INTO head VALUES (1, ?, ?, ?, ?)",
        (EMPTY.sequence, EMPTY.hash, EMPTY.state.sequence, json.dumps(EMPTY.state.to_json())),
    )
    connection.execute(f"PRAGMA user_version = {_VERSION}")
