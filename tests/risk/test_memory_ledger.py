"""A ledger in memory that forgets what is only history."""

from datetime import UTC, datetime
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from errors import KeyTaken
from risk.events import Draft, EventKind
from risk.ledger.memory import MemoryLedger
from risk.operator import record_halt
from risk.state import OperatorMode
from runners.signal import Signal
from tests.book import Book

AT = datetime(2026, 3, 2, 14, tzinfo=UTC)
ALL = list(EventKind)


def draft(kind: EventKind, name: str, key: str | None = None, **payload: Any) -> Draft:
    return Draft(kind, name, AT, AT.date(), "tester", payload, key)


def decision(name: str, key: str | None = None) -> Draft:
    return draft(EventKind.DECISION, name, key)


def found(ledger: MemoryLedger, *kinds: EventKind, **page: int) -> list[str]:
    return [event.event_id for event in ledger.recent(kinds or ALL, **{"limit": 1000, **page})]


def live_a_day(book: Book) -> None:
    """Every kind of report, among decisions."""
    for number in range(3):
        book.ledger.append([decision(f"d{number}"), draft(EventKind.BATCH, f"b{number}")])
        book.holds(0.01 * number)
        book.mark(-0.001 * number)
        book.wait(seconds=30)
    book.result(-0.021)
    book.mark(-0.06)
    book.wait(minutes=10)
    book.mark(-0.06)
    book.ledger.append([decision("bound", "order:A"), decision("late")])
    record_halt(OperatorMode.REDUCING, "enough", book.act())


def test_without_a_number_nothing_is_forgotten() -> None:
    ledger = MemoryLedger()
    for number in range(3000):
        ledger.append([decision(f"d{number}")])
    assert found(ledger, limit=5000) == [f"d{number}" for number in range(2999, -1, -1)]
    assert ledger.by_id("d0") is not None


@pytest.mark.parametrize("newest", [0, 1, 2, 1000])
def test_a_ledger_that_forgets_has_the_head_and_the_state_of_one_that_keeps_all(
    newest: int,
) -> None:
    books = [Book(MemoryLedger()), Book(MemoryLedger(newest=newest))]
    for book in books:
        live_a_day(book)
    kept, forgot = (book.ledger.head() for book in books)
    assert kept == forgot
    assert kept.state.causes
    assert books[0].ask(Signal.BUY) == books[1].ask(Signal.BUY)


def test_of_what_is_only_history_the_newest_are_kept_whatever_their_kind() -> None:
    ledger = MemoryLedger(newest=3)
    book = Book(ledger)
    ledger.append([decision("d1"), draft(EventKind.BATCH, "b1")])
    mark = book.mark(-0.001).event.event_id
    position = book.holds(0.05).event.event_id
    assert found(ledger) == [position, mark, "b1"]
    assert [record.event_id for record in ledger.scan()] == ["b1", mark, position]
    assert ledger.by_id("d1") is None
    ledger.append([decision("d2"), decision("d3"), decision("d4"), decision("d5")])
    assert found(ledger) == ["d5", "d4", "d3"]


def test_what_binds_a_key_or_moves_the_book_is_never_forgotten() -> None:
    books = [Book(MemoryLedger()), Book(MemoryLedger(newest=0))]
    for book in books:
        live_a_day(book)
    everything, lasting = (book.ledger for book in books)
    history = {EventKind.DECISION, EventKind.BATCH, EventKind.MARK, EventKind.POSITION}
    due = [
        event
        for event in everything.recent(ALL, limit=1000)
        if event.kind not in history or event.key is not None
    ]
    assert {event.kind for event in due} >= {
        EventKind.DECISION,
        EventKind.TRADE_RESULT,
        EventKind.BREAKER_TRIPPED,
        EventKind.OPERATOR_HALTED,
    }
    assert lasting.recent(ALL, limit=1000) == due
    assert all(lasting.by_id(event.event_id) == event for event in due)
    assert all(event.is_intact() for event in lasting.recent(ALL, limit=1000))
    bound = lasting.by_key("order:A")
    assert bound is not None
    assert bound == everything.by_key("order:A")
    assert lasting.recent([EventKind.DECISION], limit=1000) == [bound]


def test_recent_events_and_pages_skip_what_is_forgotten() -> None:
    ledger = MemoryLedger(newest=2)
    for number in range(6):
        ledger.append([decision(f"d{number}"), decision(f"k{number}", f"order:{number}")])
    assert found(ledger, limit=4) == ["k5", "d5", "k4", "d4"]
    assert found(ledger, before=8) == ["k2", "k1", "k0"]
    pages, after = [], 0
    while page := ledger.scan(after=after, limit=3):
        pages.append([record.event_id for record in page])
        after = page[-1].sequence
    assert pages == [["k0", "k1", "k2"], ["k3", "d4", "k4"], ["d5", "k5"]]


def test_a_refused_append_makes_nothing_forgotten() -> None:
    ledger = MemoryLedger(newest=2)
    ledger.append([decision("a"), decision("b")])
    with pytest.raises(KeyTaken):
        ledger.append([decision("c"), decision("b")])
    assert found(ledger) == ["b", "a"]


def test_an_id_counts_as_taken_until_it_is_forgotten() -> None:
    ledger = MemoryLedger(newest=1)
    ledger.append([decision("a")])
    with pytest.raises(KeyTaken):
        ledger.append([decision("a")])
    ledger.append([decision("b")])
    ledger.append([decision("a")])
    assert found(ledger) == ["a"]


def test_looking_into_an_event_leaves_nothing_behind_in_the_ledger() -> None:
    ledger = MemoryLedger()
    ledger.append([decision("a", "order:A")])
    event = ledger.by_id("a")
    assert event is not None
    event.payload["order"] = "forged"
    for again in (ledger.by_id("a"), ledger.by_key("order:A"), *ledger.recent(ALL, limit=1)):
        assert again is not None
        assert again.payload == {}


@given(
    newest=st.integers(0, 5),
    appends=st.lists(
        st.lists(
            st.tuples(
                st.sampled_from(
                    [EventKind.DECISION, EventKind.BATCH, EventKind.CONFIGURATION_OFFERED]
                ),
                st.booleans(),
            ),
            min_size=1,
            max_size=4,
        ),
        max_size=12,
    ),
    before=st.integers(-1, 40),
    after=st.integers(-1, 40),
    limit=st.integers(0, 8),
)
def test_what_is_kept_is_read_as_from_a_ledger_that_keeps_all(
    newest: int,
    appends: list[list[tuple[EventKind, bool]]],
    before: int,
    after: int,
    limit: int,
) -> None:
    whole, forgetful = MemoryLedger(), MemoryLedger(newest=newest)
    names = count()
    for append in appends:
        drafts = [
            draft(kind, name := f"e{next(names)}", f"key:{name}" if bound else None)
            for kind, bound in append
        ]
        for ledger in (whole, forgetful):
            ledger.append(drafts)
    assert forgetful.head() == whole.head()
    records = whole.scan(limit=1000)
    history = [
        record for record in records if record.key is None and record.kind in {"decision", "batch"}
    ]
    lost = {record.event_id for record in history[: max(0, len(history) - newest)]}
    kept = [record for record in records if record.event_id not in lost]
    assert (
        forgetful.scan(after=after, limit=limit)
        == [record for record in kept if record.sequence > after][:limit]
    )
    for kinds in (ALL, [EventKind.DECISION], [EventKind.CONFIGURATION_OFFERED]):
        due = [record for record in kept[::-1] if record.kind in kinds and record.sequence < before]
        told = forgetful.recent(kinds, limit=limit, before=before)
        assert [event.sequence for event in told] == [record.sequence for record in due[:limit]]
        assert all(event == whole.by_id(event.event_id) for event in told)
    assert all(
        (forgetful.by_id(record.event_id) is None) is (record.event_id in lost)
        for record in records
    )
