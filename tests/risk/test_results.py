"""Trade results: what is believed, what is counted, what trips."""

from decimal import Decimal
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.settings import RiskLimits
from errors import Conflict, InvalidRequest
from risk.breaker import BreakerState, breaker_state
from risk.ledger.memory import MemoryLedger
from risk.results import TradeResult
from risk.state import CauseKind
from risk.verdict import RiskStatus
from tests.book import Book

LOSS = -0.001


def test_a_result_is_counted_in_the_day_and_in_equity(book: Book) -> None:
    book.result(0.004)
    book.result(-0.001)
    state = book.state
    assert (state.today.results, state.today.wins, state.today.losses) == (2, 1, 1)
    assert state.daily_pnl == state.equity == 3_000_000
    assert state.today.pnl_usd == 300_000_000
    assert state.high_water_mark == 4_000_000
    assert state.drawdown == -1_000_000


def test_zero_is_neither_win_nor_loss(book: Book) -> None:
    book.result(LOSS)
    book.result(0.0)
    assert (book.state.today.wins, book.state.today.losses) == (0, 1)
    assert book.state.loss_streak == 1


def test_a_win_ends_the_streak_of_losses(book: Book) -> None:
    book.result(LOSS)
    book.result(LOSS)
    book.result(0.0001)
    assert book.state.loss_streak == 0


def test_the_same_report_again_changes_nothing(book: Book) -> None:
    first = book.result(LOSS, "t1")
    again = book.result(LOSS, "t1")
    assert (first.duplicate, again.duplicate) == (False, True)
    assert again.event == first.event
    assert again.state == first.state
    assert book.state.today.results == 1


def test_another_report_of_the_same_trade_is_a_conflict(book: Book) -> None:
    book.result(LOSS, "t1")
    with pytest.raises(Conflict, match="pnl"):
        book.result(2 * LOSS, "t1")
    assert book.state.today.results == 1


def test_a_result_is_accepted_at_any_hour_and_beyond_every_limit(book: Book) -> None:
    book.limit(max_trades_per_day=1)
    book.wait(hours=12)
    for _ in range(3):
        book.result(-0.03)
    book.wait(days=5)
    assert book.state.today.results == 0
    book.result(0.01)
    assert book.state.today.results == 1


def test_the_daily_loss_trips_on_the_result_that_completes_it(book: Book) -> None:
    assert book.result(-0.0199).trips == ()
    assert book.ask().status is not RiskStatus.CIRCUIT_BREAKER_ACTIVE
    (trip,) = book.result(-0.0001).trips
    assert (trip.kind, trip.value, trip.limit) == (
        CauseKind.DAILY_LOSS,
        -20_000_000,
        -20_000_000,
    )
    assert breaker_state(book.state, book.now) is BreakerState.OPEN


def test_one_billionth_short_of_the_limit_trips_nothing(book: Book) -> None:
    assert book.result(-0.019999999).trips == ()
    assert book.state.causes == ()


def test_a_tripped_daily_loss_stays_tripped_when_a_win_makes_up_for_it(book: Book) -> None:
    book.result(-0.02)
    book.result(0.05)
    assert book.ask().status is RiskStatus.CIRCUIT_BREAKER_ACTIVE


def test_a_cause_trips_once_however_deep_it_gets(book: Book) -> None:
    book.result(-0.02)
    assert book.result(-0.01).trips == ()


def test_ten_thousand_splits_of_two_percent_trip_on_their_last_loss() -> None:
    random = Random(20260302)
    for _ in range(10_000):
        parts = random.randint(2, 12)
        cuts = sorted(random.sample(range(1, 20_000_000), parts - 1))
        nanos = [b - a for a, b in zip([0, *cuts], [*cuts, 20_000_000], strict=True)]
        book = Book(MemoryLedger(), RiskLimits(max_consecutive_losses=100))
        # The caller writes decimal text; JSON makes floats of it.
        losses = [float(-Decimal(nano).scaleb(-9)) for nano in nanos]
        tripped = [bool(book.result(loss).trips) for loss in losses]
        assert tripped == [False] * (parts - 1) + [True]


def test_five_losses_in_a_row_open_the_breaker_for_its_cooldown(book: Book) -> None:
    book.limit(cooldown_after_circuit_break=300, cooldown_after_loss=0)
    for _ in range(4):
        assert book.result(LOSS).trips == ()
    (trip,) = book.result(LOSS).trips
    assert trip.kind is CauseKind.CONSECUTIVE_LOSSES
    book.wait(seconds=299.999999)
    assert book.ask().status is RiskStatus.CIRCUIT_BREAKER_ACTIVE
    book.wait(seconds=0.000001)
    assert breaker_state(book.state, book.now) is BreakerState.HALF_OPEN
    assert book.ask().status is RiskStatus.CIRCUIT_BREAKER_ACTIVE
    assert book.ask(order_id="probe").approved


def test_a_further_loss_starts_the_pause_of_the_breaker_again(book: Book) -> None:
    for _ in range(5):
        book.result(LOSS)
    book.wait(seconds=200)
    book.result(LOSS)
    book.wait(seconds=200)
    assert breaker_state(book.state, book.now) is BreakerState.OPEN


def test_the_drawdown_is_seen_across_days(book: Book) -> None:
    book.limit(max_daily_loss=-0.03)
    book.result(0.01)
    for _ in range(2):
        book.wait(days=1)
        assert book.result(-0.02).trips == ()
    book.wait(days=1)
    (trip,) = book.result(-0.01).trips
    assert (trip.kind, trip.value) == (CauseKind.DRAWDOWN, -50_000_000)


def test_what_is_still_open_counts_in_the_daily_loss_and_the_drawdown(book: Book) -> None:
    kinds = [trip.kind for trip in book.result(0.001, unrealized_pnl_percent=-0.051).trips]
    assert kinds == [CauseKind.DAILY_LOSS, CauseKind.DRAWDOWN]


@pytest.mark.parametrize(
    ("report", "complaint"),
    [
        ({"pnl": -5, "pnl_percent": -0.5}, "0.005 is 0.5%"),
        ({"pnl": 5, "pnl_percent": -0.01}, "same sign"),
        ({"pnl": 0, "pnl_percent": 0.01}, "same sign"),
        ({"pnl": 5, "pnl_percent": 0.01, "is_win": False}, "is_win"),
        ({"pnl": -5, "pnl_percent": -0.01, "is_win": True}, "is_win"),
        ({"pnl": 0, "pnl_percent": 0, "is_win": True}, "is_win"),
        ({"pnl": 5, "pnl_percent": 0.01, "unrealized_pnl_percent": -3}, "unrealized_pnl_percent"),
    ],
)
def test_a_report_that_contradicts_itself_or_looks_like_a_wrong_unit_is_refused(
    report: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(InvalidRequest, match=complaint):
        TradeResult(trade_id="t", **report)


def test_a_large_fraction_is_believed_when_confirmed() -> None:
    assert TradeResult("t", -50_000, -0.5, confirm=True).pnl_percent == -0.5


@given(st.lists(st.integers(-200_000_000, 200_000_000), max_size=30))
def test_the_days_profit_is_the_exact_sum_of_its_results(nanos: list[int]) -> None:
    book = Book(MemoryLedger())
    for nano in nanos:
        book.result(nano / 1e9)
    assert book.state.daily_pnl == book.state.equity == sum(nanos)
    assert book.state.drawdown <= 0
    assert book.state.high_water_mark >= book.state.equity
