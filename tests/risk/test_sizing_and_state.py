"""Sizing never enlarges; the state is its events."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from config.settings import RiskLimits
from risk.fixed_point import from_nano, to_nano
from risk.ledger.memory import MemoryLedger
from risk.sizing import RiskLevel, recommend
from risk.state import ResetScope, RiskState
from risk.verification import records_of, refold
from tests.book import Book

FRACTIONS = st.integers(-200_000_000, 200_000_000)


def test_a_confident_signal_in_a_calm_state_gets_the_whole_size() -> None:
    size = recommend(0.80, RiskState(), RiskLimits(), 100_000)
    assert (size.position_size_percent, size.position_size_usd) == (0.10, 10_000)
    assert size.risk_level is RiskLevel.HIGH


def test_less_confidence_is_a_smaller_size() -> None:
    size = recommend(0.60, RiskState(), RiskLimits(), 100_000)
    assert (size.position_size_percent, size.position_size_usd) == (0.075, 7_500)
    assert size.risk_level is RiskLevel.MEDIUM


def test_drawdown_and_losses_shrink_the_size_to_no_less_than_half_each() -> None:
    book = Book(MemoryLedger())
    book.result(-0.01)
    one = recommend(0.9, book.state, book.limits, 100_000)
    assert one.factors == pytest.approx({"confidence": 1, "drawdown": 0.8, "loss_streak": 0.9})
    for _ in range(7):
        book.result(-0.01)
    floor = recommend(0.9, book.state, book.limits, 100_000)
    assert floor.factors == {"confidence": 1, "drawdown": 0.5, "loss_streak": 0.5}
    assert floor.position_size_percent == 0.025
    assert floor.risk_level is RiskLevel.LOW


@pytest.mark.parametrize(
    ("size", "level"),
    [(0.029999, "low"), (0.03, "medium"), (0.089999, "medium"), (0.09, "high"), (1.0, "high")],
)
def test_the_risk_level_changes_at_its_exact_bounds(size: float, level: str) -> None:
    assert recommend(1, RiskState(), RiskLimits(max_position_size=size), 1).risk_level == level


def test_a_size_is_cut_and_never_rounded_up() -> None:
    size = recommend(1, RiskState(), RiskLimits(max_position_size=0.0999999999), 100_000)
    assert (size.position_size_percent, size.position_size_usd) == (0.099999, 9_999.9)


def test_the_smallest_entry_that_can_be_approved_still_has_a_size() -> None:
    limits = RiskLimits(max_position_size=0.0001, min_confidence=0, high_confidence_threshold=1)
    worst = RiskState(high_water_mark=50_000_000, loss_streak=9)
    size = recommend(1 / 3, worst, limits, 100_000, probe=True, room=1_000)
    assert size.position_size_percent == 1e-6
    with pytest.raises(ValidationError, match="max_position_size"):
        RiskLimits(max_position_size=0.00009)


@given(
    confidence=st.floats(0, 1),
    largest=st.floats(1e-4, 1),
    capital=st.floats(1, 1e9),
    results=st.lists(FRACTIONS, max_size=10),
)
def test_no_size_exceeds_the_largest_position_or_its_dollars(
    confidence: float, largest: float, capital: float, results: list[int]
) -> None:
    book = Book(MemoryLedger(), RiskLimits(max_position_size=largest))
    for nano in results:
        book.result(nano / 1e9)
    size = recommend(confidence, book.state, book.limits, capital)
    assert 0 <= size.position_size_percent <= largest * (1 + 1e-9)
    assert 0 <= size.position_size_usd <= largest * capital * (1 + 1e-9)
    assert all(0 <= factor <= 1 for factor in size.factors.values())


@given(st.integers(-(10**10), 10**10))
def test_nanos_survive_the_way_through_a_float(nano: int) -> None:
    assert to_nano(from_nano(nano)) == nano


ACTS = st.lists(
    st.one_of(
        st.tuples(st.just("result"), FRACTIONS),
        st.tuples(st.just("wait"), st.integers(0, 200_000)),
        st.tuples(st.just("reset"), st.sampled_from(list(ResetScope))),
    ),
    max_size=25,
)


@given(ACTS)
def test_folding_the_events_again_gives_the_stored_state(acts: list[tuple[str, object]]) -> None:
    ledger = MemoryLedger()
    book = Book(ledger, RiskLimits(max_daily_resets=100))
    for act, value in acts:
        if act == "result":
            assert isinstance(value, int)
            book.result(value / 1e9)
        elif act == "wait":
            assert isinstance(value, int)
            book.wait(seconds=value)
        else:
            assert isinstance(value, ResetScope)
            book.reset(value, "because")
    state = refold(records_of(ledger))
    assert state == ledger.head().state
    assert RiskState.from_json(json.loads(json.dumps(state.to_json()))) == state


def test_a_state_is_written_as_it_is_and_not_as_the_one_that_it_was_made_of() -> None:
    first = RiskState(sequence=1, equity=5)
    first.to_json()
    second = replace(first, sequence=2)
    assert second.to_json() == {**first.to_json(), "sequence": 2}
    assert second == RiskState(sequence=2, equity=5)
