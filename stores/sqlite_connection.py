"""Connections to SQLite files, and SQLite's errors in the product's words."""

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import quote

from errors import StoreCorrupt, StoreUnavailable

__all__ = [
    "connect",
    "connect_to_read",
    "faults",
    "identity_of",
    "reading",
    "told",
    "transaction",
    "write_ahead",
]

Identity = tuple[int, int]

# What passes by itself, or once somebody has seen to it: locks, space, permissions, the disk.
_PASSING = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_INTERRUPT,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_READONLY,
}
_PRIMARY_CODE = 0xFF
_SHOWN = 120
_PAUSE: Final = 0.005  # seconds


def connect(path: Path, mode: str, *, timeout_ms: int = 500) -> sqlite3.Connection:
    """Open a file in one of SQLite's modes, e.g. `mode=rw`; transactions are the caller's."""
    return sqlite3.connect(
        f"file:{quote(str(path))}?{mode}",
        uri=True,
        timeout=timeout_ms / 1000,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=64,
    )


def connect_to_read(path: Path) -> sqlite3.Connection:
    """Open a file, also one that was cut off, so that nothing can be written to it."""
    try:
        return _opened_to_read(path, "mode=ro")
    except sqlite3.OperationalError as error:
        if _code(error) not in {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY}:
            raise
        # On a medium where nothing can be written, the log beside the file cannot be made.
        return _opened_to_read(path, "mode=ro&immutable=1")


def _opened_to_read(path: Path, mode: str) -> sqlite3.Connection:
    connection = connect(path, mode)
    try:
        # The one setting with which SQLite reads a file that is shorter than it should be.
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("PRAGMA query_only = ON")
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


def identity_of(path: Path) -> Identity | None:
    """Device and inode of a file; None when there is none."""
    try:
        status = os.stat(path)  # noqa: PTH116 - Path.stat costs twice as much, and every append asks
    except OSError:
        return None
    return status.st_dev, status.st_ino


class faults:  # noqa: N801 - used like a function; a generator would cost an append three times it
    """Say SQLite's errors in the product's words: what passes is unavailable, the rest damage.

    Args:
        path: of the file, for messages.
        remedy: what to do about damage.
    """

    __slots__ = ("_path", "_remedy")

    def __init__(self, path: Path, remedy: str) -> None:
        self._path, self._remedy = path, remedy

    def __enter__(self) -> None:
        """Nothing is to be done."""

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        """Raise what it is in the product's words."""
        if not isinstance(error, sqlite3.Error):
            return
        if _is_passing(error):
            raise StoreUnavailable(f"{self._path} cannot be used now: {error}") from error
        raise StoreCorrupt(f"{self._path} is damaged: {told(error)}; {self._remedy}") from error


@contextmanager
def reading() -> Iterator[None]:
    """The same for one part of a file, which the caller names."""
    try:
        yield
    except sqlite3.Error as error:
        if _is_passing(error):
            raise StoreUnavailable(f"the ledger cannot be read now: {error}") from error
        raise StoreCorrupt(told(error)) from error


def write_ahead(connection: sqlite3.Connection) -> None:
    """Keep what is written in a log beside the file, so that readers do not wait for writers.

    Where several begin with a new file at once, SQLite refuses all but one of them at once,
    whatever its busy timeout; here each waits that long for the others.
    """
    (timeout_ms,) = connection.execute("PRAGMA busy_timeout").fetchone()
    until = time.monotonic() + timeout_ms / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if _code(error) != sqlite3.SQLITE_BUSY or time.monotonic() >= until:
                raise
            time.sleep(_PAUSE)
        else:
            return


class transaction:  # noqa: N801 - used like a function
    """All of the block, or nothing of it, under the file's one write lock."""

    __slots__ = ("_connection",)

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        """Take the write lock."""
        self._connection.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        """Keep all of it; nothing, if something went wrong."""
        try:
            if error is None:
                self._connection.execute("COMMIT")
        finally:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")


def told(found: object) -> str:
    """In one line: SQLite may quote what it found, whatever that is."""
    text = "".join(letter if letter.isprintable() else " " for letter in str(found))
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _is_passing(error: sqlite3.Error) -> bool:
    return isinstance(error, sqlite3.ProgrammingError) or _code(error) in _PASSING


def _code(error: sqlite3.Error) -> int | None:
    """SQLite's own code; Python's complaints about what it read carry none."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & _PRIMARY_CODE
