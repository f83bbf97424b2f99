"""Every ledger, and a book on each."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from risk.ledger.memory import MemoryLedger
from risk.ledger.protocol import Ledger
from risk.ledger.redis import RedisLedger
from risk.ledger.reopening import ReopeningLedger
from risk.ledger.sqlite import SqliteLedger
from tests.book import Book
from tests.redis_server import new_book, shared_server
from tests.risk.anchoring import anchored_ledger

LedgerFactory = Callable[[Path], Ledger]

LEDGERS: dict[str, LedgerFactory] = {
    "anchored": anchored_ledger,
    "memory": lambda path: MemoryLedger(),
    "sqlite": lambda path: SqliteLedger(path / "state.db"),
    "redis": lambda path: RedisLedger(new_book(), **shared_server().address),
    "reopening": lambda path: ReopeningLedger("sqlite", lambda: SqliteLedger(path / "state.db")),
}


@pytest.fixture(params=sorted(LEDGERS))
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    opened = LEDGERS[request.param](tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def book(ledger: Ledger) -> Book:
    return Book(ledger)


@pytest.fixture
def memory_book() -> Book:
    return Book(MemoryLedger())
