"""What the newest look before a session found, where every process of a book can read it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from errors import StoreCorrupt, StoreUnavailable
from stores.documents import Documents

__all__ = ["DayRecords"]

_PREFLIGHT: Final = "preflight"
_HEARTBEAT: Final = "heartbeat"
_ATTEMPTS: Final = 10
_LATE_BEATS: Final = 5


class DayRecords:
    """The records of one book. Thread-safe.

    Every method raises `StoreUnavailable` when the store cannot be reached now and `StoreCorrupt`
    when what it holds cannot be read.

    Args:
        documents: where they are kept; closed with this.
    """

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    @property
    def documents(self) -> Documents:
        """Where they are kept."""
        return self._documents

    def preflight(self) -> dict[str, Any] | None:
        """The newest look before a session, as JSON values; None before the first."""
        found = self._documents.read(_PREFLIGHT)
        if found.version == 0:
            return None
        try:
            told = json.loads(found.body)
        except ValueError:
            told = None
        if not isinstance(told, dict):
            raise StoreCorrupt(f"{_PREFLIGHT} is no preflight; the next one replaces it")
        return told

    def keep_preflight(self, told: Mapping[str, Any]) -> None:
        """Keep a look; it replaces the one before it."""
        body = json.dumps(told, allow_nan=False).encode()
        for _ in range(_ATTEMPTS):
            version = self._documents.read(_PREFLIGHT).version
            if self._documents.write(_PREFLIGHT, body, expected=version):
                return
        raise StoreUnavailable(f"{_PREFLIGHT}: others kept writing it")

    def take_beat(self, beat: int) -> bool:
        """Take a beat of the heart for this process: of all that ask for it, one gets it.

        Args:
            beat: its number. One that is a little older than the newest is nobody's any more; one
                that is much older is of a clock that was set back.
        """
        found = self._documents.read(_HEARTBEAT)
        if found.body.isdigit() and 0 <= int(found.body) - beat <= _LATE_BEATS:
            return False
        return self._documents.write(_HEARTBEAT, str(beat).encode(), expected=found.version)

    def close(self) -> None:
        """Release what is held open. Closing twice is harmless."""
        self._documents.close()
