"""What clears what: the table of the README, line by line."""

from datetime import timedelta

import pytest

from errors import Conflict, InvalidRequest
from risk.events import EventKind
from risk.state import CauseKind, ResetScope
from risk.verdict import RiskStatus
from tests.book import Book


def lose_everything(book: Book) -> None:
    """Daily loss, drawdown and loss streak, all tripped."""
    for _ in range(5):
        book.result(-0.012)
    assert {cause.kind for cause in book.state.causes} == set(CauseKind)


def test_the_next_day_clears_the_daily_loss_and_nothing_else(book: Book) -> None:
    lose_everything(book)
    book.wait(days=1)
    state = book.state
    assert (state.daily_pnl, state.today.results) == (0, 0)
    assert {cause.kind for cause in state.causes} == {
        CauseKind.DRAWDOWN,
        CauseKind.CONSECUTIVE_LOSSES,
    }
    assert state.loss_streak == 5
    assert state.drawdown == -60_000_000


def test_the_day_begins_at_midnight_in_bogota(book: Book) -> None:
    book.result(-0.02)
    book.now = book.now.replace(hour=4, minute=59, second=59) + timedelta(days=1)
    assert book.state.daily_pnl == -20_000_000
    book.wait(seconds=1)
    assert book.state.daily_pnl == 0


def test_a_daily_reset_clears_the_day_and_the_streak_but_no_drawdown(book: Book) -> None:
    lose_everything(book)
    book.reset(ResetScope.DAILY)
    state = book.state
    assert (state.daily_pnl, state.today.results, state.loss_streak) == (0, 0, 0)
    assert [cause.kind for cause in state.causes] == [CauseKind.DRAWDOWN]
    assert state.drawdown == -60_000_000
    assert book.ask().status is RiskStatus.CIRCUIT_BREAKER_ACTIVE


def test_a_reset_of_everything_rebases_the_drawdown(book: Book) -> None:
    lose_everything(book)
    book.reset(ResetScope.ALL, "reviewed with the desk")
    state = book.state
    assert state.causes == ()
    assert state.drawdown == 0
    assert state.high_water_mark == state.equity == -60_000_000
    assert book.ask().approved


def test_a_rebased_drawdown_counts_from_the_open_mark(book: Book) -> None:
    book.result(-0.05, unrealized_pnl_percent=-0.01)
    book.reset(ResetScope.ALL, "reviewed")
    assert (book.state.drawdown, book.state.daily_pnl) == (0, 0)
    assert book.result(0.0, unrealized_pnl_percent=-0.03).trips[0].kind is CauseKind.DAILY_LOSS


def test_the_days_resets_are_counted_and_come_back_tomorrow(book: Book) -> None:
    book.reset()
    with pytest.raises(Conflict, match="max_daily_resets"):
        book.reset()
    book.wait(days=1)
    book.reset()


def test_no_reset_at_all_can_be_configured(book: Book) -> None:
    book.limit(max_daily_resets=0)
    with pytest.raises(Conflict, match="0 of 0"):
        book.reset()


@pytest.mark.parametrize("reason", ["", "   "])
def test_a_reset_of_everything_needs_a_reason(book: Book, reason: str) -> None:
    with pytest.raises(InvalidRequest, match="reason"):
        book.reset(ResetScope.ALL, reason)
    assert book.ledger.head().sequence == 0


def test_a_reset_erases_no_event(book: Book) -> None:
    book.result(-0.01)
    book.reset()
    assert len(book.ledger.recent([EventKind.TRADE_RESULT, EventKind.RESET], limit=9)) == 2


def test_yesterdays_mark_is_not_todays_loss(book: Book) -> None:
    book.result(0.001, unrealized_pnl_percent=-0.01)
    assert book.state.daily_pnl == -9_000_000
    book.wait(days=1)
    assert book.state.daily_pnl == 0
    book.result(0.0, unrealized_pnl_percent=-0.015)
    assert book.state.daily_pnl == -5_000_000
