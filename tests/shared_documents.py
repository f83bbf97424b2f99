"""One set of documents, and several ways to it, as several processes have them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from stores.documents import Documents, MemoryDocuments
from stores.redis_documents import RedisDocuments
from stores.redis_link import RedisLink
from stores.sqlite_documents import SqliteDocuments
from tests.redis_server import new_book, shared_server

__all__ = ["STORES", "ways_to_documents"]

STORES = ("memory", "sqlite", "redis")


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
