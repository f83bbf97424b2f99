"""Moves what is in a write-ahead log into its file, beside those who append."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path
from threading import Event, Lock, Thread

from stores.sqlite_connection import connect

__all__ = ["Checkpoints"]

_EVERY = 200
_AT_MOST = 8_000
_TRIES = 20
_PAUSE = 0.002  # seconds


class Checkpoints:
    """Checkpoints of one file, on a thread that begins with the first of them.

    SQLite itself makes one within the commit that fills a thousand pages: some 200 decisions, so
    that nearly the 99th percentile waits for two flushes of the disk and a thousand writes. Here
    the writers go on meanwhile. They may so fill the log faster than it is emptied, and a log
    begins anew only when it is empty: from `at_most` on, they are held up for the rest.

    Args:
        path: of the file.
        every: appended records between two checkpoints.
        at_most: pages in the log from which on its end is waited for.
    """

    def __init__(self, path: Path, *, every: int = _EVERY, at_most: int = _AT_MOST) -> None:
        self._path, self._every, self._at_most = path, every, at_most
        self._appended = 0
        self._due, self._over = Event(), Event()
        self._starting = Lock()
        self._thread: Thread | None = None

    @property
    def last_resort(self) -> int:
        """Pages in the log from which on SQLite makes one within a commit, if no thread did."""
        return 2 * self._at_most

    def appended(self, records: int) -> None:
        """Note that so many records were appended."""
        self._appended += records
        if self._appended < self._every:
            return
        self._appended = 0
        if self._thread is None:
            self._start()
        self._due.set()

    def close(self) -> None:
        """End with the one under way. Closing twice is harmless."""
        self._over.set()
        self._due.set()
        with self._starting:
            if self._thread is not None:
                self._thread.join()

    def _start(self) -> None:
        with self._starting:
            if self._thread is None and not self._over.is_set():
                self._thread = Thread(target=self._serve, name="checkpoints", daemon=True)
                self._thread.start()

    def _serve(self) -> None:
        # What fails here (a lock, a full disk) fails again, and is told, where it is appended.
        with suppress(sqlite3.Error), closing(connect(self._path, "mode=rw", timeout_ms=0)) as own:
            own.execute("PRAGMA synchronous = NORMAL")
            while self._due.wait() and not self._over.is_set():
                self._due.clear()
                with suppress(sqlite3.Error):
                    self._checkpoint(own)

    def _checkpoint(self, own: sqlite3.Connection) -> None:
        _, frames, _ = own.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        if frames < self._at_most:
            return
        for _ in range(_TRIES):
            (busy, *_) = own.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
            if not busy or self._over.is_set():
                return
            time.sleep(_PAUSE)
