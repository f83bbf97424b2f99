"""One set of documents, and several ways to it, as several processes have them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from errors import StoreUnavailable
from stores.documents import Document, Documents, MemoryDocuments
from stores.redis_documents import RedisDocuments
from stores.redis_link import RedisLink
from stores.sqlite_documents import SqliteDocuments
from tests.redis_server import new_book, shared_server

__all__ = ["STORES", "TroubledDocuments", "ways_to_documents"]

STORES = ("memory", "sqlite", "redis")


class TroubledDocuments(MemoryDocuments):
    """A store that can be away."""

    away = False

    def read(self, name: str) -> Document:
        if self.away:
            raise StoreUnavailable("the store is away")
        return super().read(name)

    def write(self, name: str, body: bytes, *, expected: int) -> bool:
        if self.away:
            raise StoreUnavailable("the store is away")
        return super().write(name, body, expected=expected)


@contextmanager
def ways_to_documents(store: str, folder: Path) -> Iterator[Callable[[], Documents]]:
    """Opens another way at each call; all are closed at the end.

    Args:
        store: one of `STORES`.
        folder: for the file of SQLite.
    """
    opened: list[Documents] = []
    memory, book = MemoryDocuments(), new_book()

    def make() -> Documents:
        documents: Documents = memory
        if store == "sqlite":
            documents = SqliteDocuments(folder / "documents.db", busy_timeout_ms=5000)
        if store == "redis":
            link = RedisLink(**shared_server().address, timeout_ms=5000)
            documents = RedisDocuments(book, link)
        opened.append(documents)
        return documents

    yield make
    for documents in opened:
        documents.close()
