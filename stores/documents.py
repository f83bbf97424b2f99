"""Small documents that processes share: read whole, written whole, by version.

A writer says which version it has read. If that is not the newest any more nothing is written,
and the writer reads again: so no update is lost, between threads, processes or hosts.
"""

from threading import Lock
from typing import NamedTuple, Protocol

__all__ = ["ABSENT", "Document", "Documents", "MemoryDocuments"]


class Document(NamedTuple):
    """What is stored under a name.

    Attributes:
        version: counts the writes; 0 when there is none yet.
        body: as it was written.
    """

    version: int
    body: bytes


ABSENT = Document(0, b"")
"""What a name holds before anything was written."""


class Documents(Protocol):
    """Documents of one book. Thread-safe; what was written is stored when `write` returns.

    Every method raises `StoreUnavailable` when the store cannot be reached now and
    `StoreCorrupt` when it is damaged or holds something else.
    """

    @property
    def name(self) -> str:
        """Which kind of store this is, e.g. `sqlite`."""
        ...

    def read(self, name: str) -> Document:
        """The newest version; `ABSENT` when there is none."""
        ...

    def write(self, name: str, body: bytes, *, expected: int) -> bool:
        """Store version `expected` + 1; False, and nothing, when `expected` is not the newest."""
        ...

    def close(self) -> None:
        """Release what is held open. Closing twice is harmless."""
        ...


class MemoryDocuments:
    """Documents of this process."""

    name = "memory"

    def __init__(self) -> None:
        self._documents: dict[str, Document] = {}
        self._lock = Lock()

    def read(self, name: str) -> Document:
        """The newest version."""
        return self._documents.get(name, ABSENT)

    def write(self, name: str, body: bytes, *, expected: int) -> bool:
        """Store the next version, if `expected` is the newest."""
        with self._lock:
            if self.read(name).version != expected:
                return False
            self._documents[name] = Document(expected + 1, body)
            return True

    def close(self) -> None:
        """Nothing is held open."""
