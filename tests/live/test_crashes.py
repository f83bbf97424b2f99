"""Processes that die, and processes that act at once: nothing lost, doubled or let through."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import crashes, interleavings
from benchmarks.journal import Journal
from benchmarks.walk import Walk
from config.settings import RiskLimits
from observation import DecisionRequest
from pipeline import decide
from risk.events import Draft, Event
from risk.ledger.memory import MemoryLedger
from risk.verification import records_of
from tests.book import Book
from tests.fakes import decisions_of, desk_of
from tests.redis_server import RedisServer

KILLS = 10
ACTS = 2_000
SEED = 20_260_302


@pytest.fixture
def memory_book() -> Book:
    return Book(MemoryLedger())


@pytest.mark.live
@pytest.mark.timeout(600)
@pytest.mark.parametrize("store", ["sqlite", "redis"])
def test_nothing_acknowledged_is_lost_doubled_or_beyond_a_limit_when_processes_are_killed(
    store: str, tmp_path: Path
) -> None:
    outcome = crashes.run(store, KILLS, SEED, tmp_path)
    assert outcome.violations == []
    assert outcome.kills.total() == KILLS
    assert outcome.examined >= 2
    # It has proved something: answers of every kind, and limits that were really met.
    assert set(outcome.journal.kinds) >= {"decision", "trade_result", "order_closed", "reset"}
    assert {"APPROVED", "UNRESOLVED_ORDERS"} <= set(outcome.journal.statuses)
    assert outcome.walk.approvals > 20
    assert outcome.journal.unknown["no answer"] > 0


@pytest.mark.parametrize("store", ["sqlite", "redis"])
def test_no_interleaving_of_processes_exceeds_a_limit(store: str, tmp_path: Path) -> None:
    if store == "redis":
        with RedisServer(tmp_path) as server:
            outcome = interleavings.run(interleavings.Place(None, server.port), ACTS, 3, SEED)
    else:
        place = interleavings.Place(str(tmp_path / "state.db"))
        outcome = interleavings.run(place, ACTS, 3, SEED)
    assert outcome.violations == []
    assert outcome.walk.approvals > 50
    assert outcome.met["StateMoved"] > 0


def approved(book: Book, order_id: str) -> dict[str, Any]:
    request = DecisionRequest(np.zeros(3, dtype=np.float32), order_id=order_id)
    answer = decide(request, desk_of(book))
    assert answer["approved"] is True
    return answer


def walked(book: Book, **limits: Any) -> list[str]:
    walk = Walk(RiskLimits(**limits))
    walk.on(records_of(book.ledger))
    walk.agrees_with(book.ledger.head())
    return walk.violations


def copied(event: Event, book: Book) -> None:
    """The same event on another book, whatever its rules say."""
    draft = Draft(
        event.kind, event.event_id, event.at, event.day, event.actor, event.payload, event.key
    )
    book.ledger.append([draft], expected=book.state.sequence)


def test_the_walk_finds_an_approval_beyond_the_trades_of_a_day(memory_book: Book) -> None:
    for number in range(2):
        approved(memory_book, f"order-{number}")
        memory_book.result(0.001, order_id=f"order-{number}")
    assert walked(memory_book) == []
    (violation,) = walked(memory_book, max_trades_per_day=1)
    assert "is an approval, but 1 trades of 1 were used up" in violation


def test_the_walk_finds_an_approval_while_orders_are_unresolved(memory_book: Book) -> None:
    approved(memory_book, "order")
    other = Book(MemoryLedger(), prefix="other")
    approved(other, "other-order")
    copied(decisions_of(other.ledger)[0], memory_book)
    found = walked(memory_book, max_unresolved_orders=1)
    assert any("1 orders were unresolved" in violation for violation in found)
    assert any("took the position to" in violation for violation in found)


@pytest.mark.parametrize("stops", ["halt", "breaker"])
def test_the_walk_finds_an_approval_that_a_halt_or_the_breaker_should_have_stopped(
    memory_book: Book, stops: str
) -> None:
    other = Book(MemoryLedger(), prefix="other")
    approved(other, "order")
    if stops == "halt":
        memory_book.halt()
    else:
        memory_book.result(-0.03)
    copied(decisions_of(other.ledger)[0], memory_book)
    found = walked(memory_book)
    due = "the book was halted" if stops == "halt" else "the breaker was open"
    assert any(due in violation for violation in found)


def test_the_journal_finds_what_was_acknowledged_and_is_not_so_on_record(
    memory_book: Book,
) -> None:
    answer = approved(memory_book, "order")
    told = {name: value for name, value in answer.items() if name != "latency_ms"}
    name, key = answer["decision_id"], "order:order"
    journal = Journal()
    journal.acknowledge("decision", name, told, key=key)
    assert journal.missing(memory_book.ledger, {name}, {key}) == []

    other = Journal()
    other.acknowledge("decision", name, {**told, "confidence": 0.5}, key=key)
    other.acknowledge("decision", "lost", told, key="order:lost")
    found = other.missing(memory_book.ledger, {name, "lost"}, {"order:lost"})
    assert len(found) == 3
    assert sum("not on record" in complaint for complaint in found) == 1
    assert sum("not what was acknowledged" in complaint for complaint in found) == 1


def test_the_schedule_of_kills_follows_from_its_seed() -> None:
    for store in ("sqlite", "redis"):
        due = crashes.schedule(store, 50, SEED)
        assert due == crashes.schedule(store, 50, SEED)
        assert due != crashes.schedule(store, 50, SEED + 1)
        assert {kill.what for kill in due} == set(crashes.KINDS[store])
