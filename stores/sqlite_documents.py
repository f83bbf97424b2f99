"""Documents in an SQLite file that the processes of one host share.

They survive `kill -9`. A file that was removed is made again: what is in it can be sent again.
"""

import sqlite3
from pathlib import Path
from threading import Lock

from errors import StoreCorrupt, StoreUnavailable
from stores.documents import ABSENT, Document
from stores.sqlite_connection import (
    Identity,
    connect,
    faults,
    identity_of,
    transaction,
    write_ahead,
)

__all__ = ["SqliteDocuments"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS document (
    name    TEXT PRIMARY KEY,
    version INTEGER NOT NULL,
    body    BLOB NOT NULL
) STRICT
"""
_REMEDY = "move it away: it is made again, and what was in it can be sent again"


class SqliteDocuments:
    """Documents in a file, which is opened, and made, at first use.

    Args:
        path: of the file, in a folder that is there: one that was taken away is not made again.
        busy_timeout_ms: how long a write, or the opening of a new file, waits for another
            process's write lock. While one has waited in vain, those after it do not wait: a lock
            that is stuck delays nobody twice.
    """

    name = "sqlite"

    def __init__(self, path: Path, *, busy_timeout_ms: int = 500) -> None:
        self._path = path
        self._busy_timeout_ms = busy_timeout_ms
        self._lock = Lock()
        self._connection: sqlite3.Connection | None = None
        self._identity: Identity | None = None
        self._patient = True

    def read(self, name: str) -> Document:
        """The newest version."""
        with self._lock, faults(self._path, _REMEDY):
            return self._read(self._opened(), name)

    def write(self, name: str, body: bytes, *, expected: int) -> bool:
        """Store the next version, if `expected` is the newest."""
        with self._lock, faults(self._path, _REMEDY):
            connection = self._opened()
            self._wait_once(connection)
            with transaction(connection):
                self._patient = True
                if self._read(connection, name).version != expected:
                    return False
                connection.execute(
                    "INSERT OR REPLACE INTO document VALUES (?, ?, ?)", (name, expected + 1, body)
                )
            return True

    def close(self) -> None:
        """Close the file. Closing twice is harmless."""
        with self._lock:
            self._drop()

    def _opened(self) -> sqlite3.Connection:
        if self._connection is not None and identity_of(self._path) == self._identity:
            return self._connection
        self._drop()
        self._make()
        # Before it is opened: a file that is replaced meanwhile is noticed at the next call.
        identity = identity_of(self._path)
        connection = connect(self._path, "mode=rw")
        try:
            self._wait_once(connection)
            write_ahead(connection)
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute(_SCHEMA)
        except BaseException:
            connection.close()
            raise
        self._patient = True
        self._connection, self._identity = connection, identity
        return connection

    def _wait_once(self, connection: sqlite3.Connection) -> None:
        """Have it wait for a lock, unless the newest wait was in vain."""
        wait = self._busy_timeout_ms if self._patient else 0
        self._patient = False
        connection.execute(f"PRAGMA busy_timeout = {wait}")

    def _make(self) -> None:
        try:
            self._path.touch()
        except OSError as error:
            raise StoreUnavailable(f"{self._path} cannot be made: {error.strerror}") from None

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _read(self, connection: sqlite3.Connection, name: str) -> Document:
        row = connection.execute("SELECT version, body FROM document WHERE name = ?", (name,))
        found = row.fetchone()
        if found is None:
            return ABSENT
        version, body = found
        if not isinstance(version, int) or not isinstance(body, bytes):
            raise StoreCorrupt(f"{self._path} is damaged: {name} is no document; {_REMEDY}")
        return Document(version, body)
