"""The write-ahead log beside an SQLite file: when it is on the disk."""

from __future__ import annotations

import os
from pathlib import Path
from threading import Lock

from errors import StoreUnavailable

__all__ = ["WriteAheadLog"]


class WriteAheadLog:
    """Brings what was committed to the disk.

    In write-ahead mode a commit with `synchronous=NORMAL` writes its frames to the log and does not
    wait for the disk; with FULL it also flushes the log, under the write lock. The same flush here
    comes after the commit and outside of the lock, so that one serves all commits before it.

    Args:
        path: of the database.

    Attributes:
        broken: what a flush has failed of; None when none has.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.with_name(f"{path.name}-wal")
        self._lock = Lock()
        self._opened: int | None = None
        self.broken: str | None = None

    def flush(self) -> None:
        """Wait until all that was committed is on the disk.

        Raises:
            StoreUnavailable: it is not known to be.
        """
        self.refuse_if_broken()
        try:
            os.fdatasync(self._descriptor())
        except OSError as error:
            # After a flush that failed the kernel forgets what it could not write, and the next
            # one succeeds without it. So this one counts until somebody has looked.
            self.broken = (
                f"{self._path} could not be brought to the disk ({error.strerror}): what was "
                "stored may be lost with the power; see to the disk and restart the service"
            )
            self.refuse_if_broken()

    def refuse_if_broken(self) -> None:
        """Raise what a flush has failed of.

        Raises:
            StoreUnavailable: one has.
        """
        if self.broken is not None:
            raise StoreUnavailable(self.broken)

    def close(self) -> None:
        """Close the file. Closing twice is harmless."""
        with self._lock:
            if self._opened is not None:
                os.close(self._opened)
                self._opened = None

    def _descriptor(self) -> int:
        with self._lock:
            if self._opened is None:
                self._opened = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
                folder = os.open(self._path.parent, os.O_RDONLY)
                try:
                    os.fsync(folder)
                finally:
                    os.close(folder)
            return self._opened
