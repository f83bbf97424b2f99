"""What every ledger promises, held by each of them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from errors import KeyTaken, StateMoved
from risk.events import GENESIS, Draft, EventKind
from risk.fold import fold
from risk.ledger.protocol import Ledger
from risk.state import RiskState
from risk.verification import examine, records_of, refold

AT = datetime(2026, 3, 2, 14, tzinfo=UTC)


def decision(name: str, **payload: Any) -> Draft:
    return Draft(EventKind.DECISION, name, AT, AT.date(), "tester", payload)


def result(name: str, pnl_nano: int = -1_000_000, key: str | None = None) -> Draft:
    payload = {
        "pnl_nano": pnl_nano,
        "pnl_usd_micro": pnl_nano,
        "unrealized_nano": 0,
        "as_of": AT.isoformat(),
        "position_nano": None,
        "order_id": None,
    }
    return Draft(EventKind.TRADE_RESULT, name, AT, AT.date(), "tester", payload, key)


def names(events: Sequence[Any]) -> list[str]:
    return [event.event_id for event in events]


def test_an_empty_ledger_has_no_sequence_and_a_fresh_state(ledger: Ledger) -> None:
    head = ledger.head()
    assert (head.sequence, head.hash, head.state) == (0, GENESIS, RiskState())


def test_events_get_consecutive_sequences_and_chained_hashes(ledger: Ledger) -> None:
    first = ledger.append([decision("a")])[0]
    second, third = ledger.append([decision("b"), decision("c")])
    assert [first.sequence, second.sequence, third.sequence] == [1, 2, 3]
    assert first.previous_hash == GENESIS
    assert second.previous_hash == first.hash
    assert third.previous_hash == second.hash
    assert ledger.head().hash == third.hash


def test_what_was_appended_is_read_back_intact(ledger: Ledger) -> None:
    stored = ledger.append([decision("a", text="año €", numbers=[0.1, 1e-300, -0.0])])[0]
    read = ledger.by_id("a")
    assert read is not None
    assert read == stored
    assert read.is_intact()
    assert read.payload == {"text": "año €", "numbers": [0.1, 1e-300, -0.0]}
    assert (read.at, read.day, read.actor, read.key) == (AT, AT.date(), "tester", None)


def test_an_unknown_id_or_key_is_nothing(ledger: Ledger) -> None:
    assert ledger.by_id("nobody") is None
    assert ledger.by_key("nothing") is None


def test_the_state_is_the_fold_of_the_events(ledger: Ledger) -> None:
    state = RiskState()
    for number, pnl in enumerate((-5, 7, -3)):
        expected = ledger.head().state.sequence
        event = ledger.append([result(f"r{number}", pnl)], expected=expected, durable=True)[0]
        state = fold(state, event)
    assert ledger.head().state == state
    assert state.equity == -1


def test_a_decision_moves_the_sequence_but_not_the_state(ledger: Ledger) -> None:
    ledger.append([result("r")], expected=0)
    before = ledger.head()
    ledger.append([decision("d")])
    after = ledger.head()
    assert after.sequence == before.sequence + 1
    assert after.state == before.state


def test_an_append_that_was_judged_on_an_older_state_is_refused_whole(ledger: Ledger) -> None:
    ledger.append([result("r")], expected=0)
    with pytest.raises(StateMoved):
        ledger.append([decision("d"), result("late")], expected=0)
    assert ledger.by_id("d") is None
    assert ledger.head().sequence == 1


def test_an_event_that_changes_the_state_must_say_which_state_it_expects(ledger: Ledger) -> None:
    with pytest.raises(ValueError, match="say which it expects"):
        ledger.append([result("r")])
    assert ledger.head().sequence == 0


def test_a_decision_between_reading_and_appending_moves_no_state(ledger: Ledger) -> None:
    expected = ledger.head().state.sequence
    ledger.append([decision("of somebody else")])
    ledger.append([result("r")], expected=expected)
    assert ledger.head().sequence == 2


def test_an_idempotency_key_is_bound_once(ledger: Ledger) -> None:
    first = ledger.append([result("r1", key="trade:1")], expected=0)[0]
    with pytest.raises(KeyTaken):
        ledger.append([result("r2", key="trade:1")], expected=1)
    assert ledger.by_key("trade:1") == first
    assert ledger.head().sequence == 1


def test_an_event_id_is_used_once(ledger: Ledger) -> None:
    ledger.append([decision("a")])
    with pytest.raises(KeyTaken):
        ledger.append([decision("b"), decision("a")])
    assert ledger.by_id("b") is None


def test_one_append_cannot_use_a_key_twice(ledger: Ledger) -> None:
    with pytest.raises(KeyTaken):
        ledger.append([result("r1", key="k"), result("r2", key="k")], expected=0)
    assert ledger.head().sequence == 0
    assert ledger.head().state == RiskState()


def test_an_append_needs_an_event(ledger: Ledger) -> None:
    with pytest.raises(ValueError, match="at least one"):
        ledger.append([])


def test_a_payload_without_a_word_in_json_is_refused_and_nothing_is_stored(ledger: Ledger) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        ledger.append([decision("a"), decision("b", bad=float("nan"))])
    assert ledger.head().sequence == 0


def test_recent_events_come_newest_first_by_kind_and_page(ledger: Ledger) -> None:
    for number in range(5):
        ledger.append([decision(f"d{number}")])
        ledger.append([result(f"r{number}")], expected=ledger.head().state.sequence)
    newest = ledger.recent([EventKind.DECISION], limit=2)
    assert names(newest) == ["d4", "d3"]
    older = ledger.recent([EventKind.DECISION], limit=2, before=newest[-1].sequence)
    assert names(older) == ["d2", "d1"]
    both = ledger.recent([EventKind.DECISION, EventKind.TRADE_RESULT], limit=3)
    assert names(both) == ["r4", "d4", "r3"]
    assert ledger.recent([EventKind.RESET], limit=10) == []
    assert ledger.recent([EventKind.DECISION], limit=10, before=1) == []


def test_every_stored_event_is_intact_and_follows_its_predecessor(ledger: Ledger) -> None:
    for number in range(20):
        ledger.append([decision(f"d{number}", n=number)])
    events = ledger.recent([EventKind.DECISION], limit=100)[::-1]
    assert all(event.is_intact() for event in events)
    for earlier, later in pairwise(events):
        assert later.previous_hash == earlier.hash


def test_times_keep_their_microseconds_and_their_instant(ledger: Ledger) -> None:
    at = AT + timedelta(microseconds=123456)
    ledger.append([Draft(EventKind.DECISION, "a", at, at.date(), "tester", {})])
    event = ledger.by_id("a")
    assert event is not None
    assert event.at == at


def test_a_scan_gives_records_as_they_were_stored(ledger: Ledger) -> None:
    first = ledger.append([decision("a", text="año €", numbers=[0.1, 1e-300, -0.0])])[0]
    second = ledger.append([result("r", key="trade:ñ")], expected=0)[0]
    assert ledger.scan() == [
        (1, "decision", "a", None, first.hash, first.body),
        (2, "trade_result", "r", "trade:ñ", second.hash, second.body),
    ]
    assert all(type(record.kind) is str for record in ledger.scan())
    assert all(type(record.body) is bytes for record in ledger.scan())


def test_a_scan_pages_through_all_records_in_order(ledger: Ledger) -> None:
    for number in range(7):
        ledger.append([decision(f"d{number}")])
    pages = []
    after = 0
    while page := ledger.scan(after=after, limit=3):
        pages.append([record.sequence for record in page])
        after = page[-1].sequence
    assert pages == [[1, 2, 3], [4, 5, 6], [7]]
    assert names(ledger.scan(after=5)) == ["d5", "d6"]


def test_a_scan_of_nothing_and_beyond_the_end_is_empty(ledger: Ledger) -> None:
    assert ledger.scan() == []
    ledger.append([decision("a")])
    assert ledger.scan(after=1) == []
    assert ledger.scan(after=1000, limit=5) == []


def test_a_ledger_in_use_verifies_and_its_state_is_the_fold_of_its_records(ledger: Ledger) -> None:
    for number in range(5):
        ledger.append([decision(f"d{number}"), result(f"r{number}")], expected=2 * number)
    examination = examine(ledger)
    assert (examination.complaint, examination.events) == ("", 10)
    assert refold(records_of(ledger, page=3)) == ledger.head().state


def test_closing_twice_is_harmless(ledger: Ledger) -> None:
    ledger.close()
    ledger.close()
