"""Every transition of the breaker, of the operator's state and of an order id, and its page.

`docs/risk.md` draws the three as tables and names the test of each line; the last tests here read
that page.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from config.settings import RiskLimits
from errors import Conflict, InvalidRequest, NotFound
from observation import DecisionRequest
from pipeline import decide
from risk.breaker import BreakerState, breaker_state
from risk.changes import record_configuration
from risk.configuration import configuration_hash
from risk.events import EventKind
from risk.ledger.anchored import Acknowledged
from risk.ledger.memory import MemoryLedger
from risk.operator import HALT_FILE_ACTOR
from risk.orders import Outcome, order_key
from risk.reconciliation import record_reconciliation
from risk.state import CauseKind, OperatorMode, ResetScope, RiskState
from tests.book import Book
from tests.fakes import BUY, SELL, FixedVoter, desk_of

CLOSED, OPEN, HALF_OPEN = BreakerState.CLOSED, BreakerState.OPEN, BreakerState.HALF_OPEN
ACTIVE, REDUCING, HALTED = OperatorMode.ACTIVE, OperatorMode.REDUCING, OperatorMode.HALTED
DAILY_LOSS, DRAWDOWN = CauseKind.DAILY_LOSS, CauseKind.DRAWDOWN
STREAK = CauseKind.CONSECUTIVE_LOSSES

OBSERVATION = np.zeros(45, dtype=np.float32)
MICROSECOND = timedelta(microseconds=1)
LOSS, WIN = -0.0001, 0.0001
PAUSE = timedelta(seconds=300)
SESSION = 17_700
NOT_EXECUTED = [Outcome.CANCELLED, Outcome.REJECTED, Outcome.EXPIRED]
BOTH = list(ResetScope)

RISK = Path(__file__).parents[2] / "docs" / "risk.md"


@pytest.fixture
def book() -> Book:
    return Book(MemoryLedger())


def ask(
    book: Book,
    signal: tuple[float, float, float] = BUY,
    order_id: str | None = None,
    **request: Any,
) -> dict[str, Any]:
    asked = DecisionRequest(OBSERVATION, order_id=order_id, **request)
    return decide(asked, desk_of(book, FixedVoter(says=signal)))


def entry(book: Book, order_id: str | None = None, **request: Any) -> str:
    """What an entry is told."""
    return str(ask(book, BUY, order_id, **request)["risk_status"])


def leaving(book: Book, order_id: str | None = None) -> str:
    """What an exit is told."""
    return str(ask(book, SELL, order_id, position=0.10)["risk_status"])


def bogota(text: str) -> datetime:
    return datetime.fromisoformat(f"{text}-05:00").astimezone(UTC)


# The circuit breaker.


def breaker(book: Book) -> BreakerState:
    return breaker_state(book.state, book.now)


def causes(book: Book) -> set[CauseKind]:
    return {cause.kind for cause in book.state.causes}


def pause_of(book: Book) -> int | None:
    cause = book.state.cause(STREAK)
    return None if cause is None else cause.cooldown_seconds


def paused(book: Book) -> None:
    """Five losses in a row: OPEN from now on for `PAUSE`."""
    for _ in range(5):
        book.result(LOSS)


def half_open(book: Book) -> None:
    paused(book)
    book.now += PAUSE
    assert breaker(book) is HALF_OPEN


def probing(book: Book) -> None:
    """HALF_OPEN, and its probe is out."""
    half_open(book)
    assert ask(book, order_id="probe")["probe"] is True
    book.wait(seconds=1)


def probing_and_paused(book: Book) -> None:
    """The probe is out, and a loss of another trade has opened the breaker again."""
    probing(book)
    book.result(LOSS)
    assert breaker(book) is OPEN


def lose_the_day(book: Book) -> None:
    book.result(-0.02)
    assert causes(book) == {DAILY_LOSS}


def draw_down(book: Book) -> None:
    book.limit(max_daily_loss=-0.5)
    book.result(-0.05)
    assert causes(book) == {DRAWDOWN}


@pytest.mark.parametrize(("pnl", "state"), [(-0.019_999_999, CLOSED), (-0.02, OPEN)])
def test_a_result_opens_a_closed_breaker_at_the_daily_loss_and_not_a_billionth_before(
    book: Book, pnl: float, state: BreakerState
) -> None:
    book.result(pnl)
    assert breaker(book) is state
    assert entry(book) == ("CIRCUIT_BREAKER_ACTIVE" if state is OPEN else "APPROVED")
    assert leaving(book) == "APPROVED"


@pytest.mark.parametrize(("pnl", "state"), [(-0.049_999_999, CLOSED), (-0.05, OPEN)])
def test_a_result_opens_a_closed_breaker_at_the_drawdown_and_not_a_billionth_before(
    book: Book, pnl: float, state: BreakerState
) -> None:
    book.limit(max_daily_loss=-0.5)
    book.result(pnl)
    assert breaker(book) is state
    assert entry(book) == ("CIRCUIT_BREAKER_ACTIVE" if state is OPEN else "APPROVED")
    assert leaving(book) == "APPROVED"


def test_the_fifth_loss_in_a_row_opens_a_closed_breaker_and_the_fourth_does_not(
    book: Book,
) -> None:
    for _ in range(4):
        book.result(LOSS)
    assert breaker(book) is CLOSED
    book.result(LOSS)
    assert breaker(book) is OPEN
    assert pause_of(book) == 300


@pytest.mark.parametrize(
    ("mark", "largest_daily_loss", "status"),
    [
        (-0.019_999_999, -0.02, "APPROVED"),
        (-0.02, -0.02, "DAILY_LOSS_LIMIT"),
        (-0.049_999_999, -0.5, "APPROVED"),
        (-0.05, -0.5, "MAX_DRAWDOWN"),
    ],
)
def test_a_first_mark_at_a_limit_refuses_entries_and_opens_nothing(
    book: Book, mark: float, largest_daily_loss: float, status: str
) -> None:
    book.limit(max_daily_loss=largest_daily_loss)
    book.mark(mark)
    assert breaker(book) is CLOSED
    assert entry(book) == status
    assert leaving(book) == "APPROVED"


@pytest.mark.parametrize(("late", "state"), [(-MICROSECOND, CLOSED), (timedelta(0), OPEN)])
@pytest.mark.parametrize("kind", [DAILY_LOSS, DRAWDOWN])
def test_a_second_mark_opens_a_closed_breaker_after_thirty_seconds_and_not_a_microsecond_before(
    book: Book, kind: CauseKind, late: timedelta, state: BreakerState
) -> None:
    mark = -0.02
    if kind is DRAWDOWN:
        book.limit(max_daily_loss=-0.5)
        mark = -0.05
    book.mark(mark)
    book.now += timedelta(seconds=30) + late
    book.mark(mark)
    assert breaker(book) is state
    assert causes(book) == ({kind} if state is OPEN else set())


def test_a_mark_within_the_limits_between_two_beyond_them_starts_the_wait_again(
    book: Book,
) -> None:
    book.mark(-0.024)
    book.wait(seconds=29)
    book.mark(-0.005)
    assert (book.state.suspicions, entry(book)) == ((), "APPROVED")
    book.wait(seconds=1)
    book.mark(-0.024)
    assert breaker(book) is CLOSED
    book.wait(seconds=30)
    book.mark(-0.024)
    assert breaker(book) is OPEN


@pytest.mark.parametrize(("closed_before", "state"), [(0, CLOSED), (60, OPEN)])
def test_a_result_between_two_marks_replaces_the_first_one_unless_it_closed_before(
    book: Book, closed_before: int, state: BreakerState
) -> None:
    book.mark(-0.024)
    book.wait(seconds=29)
    closed_at = book.now - timedelta(seconds=closed_before)
    book.result(0.005, closed_at=closed_at)
    assert breaker(book) is CLOSED
    book.wait(seconds=1)
    book.mark(-0.026)
    assert breaker(book) is state


def test_a_mark_older_than_the_newest_confirms_nothing(book: Book) -> None:
    book.mark(-0.024)
    book.wait(seconds=60)
    book.mark(-0.005)
    report = book.mark(-0.024, book.now - timedelta(seconds=20))
    assert (report.newest, report.trips, breaker(book)) == (False, (), CLOSED)
    assert entry(book) == "APPROVED"


def test_wins_and_zeros_leave_a_closed_breaker_closed(book: Book) -> None:
    for _ in range(4):
        book.result(LOSS)
    book.result(0.0)
    assert (breaker(book), book.state.loss_streak) == (CLOSED, 4)
    book.result(WIN)
    assert (breaker(book), book.state.loss_streak) == (CLOSED, 0)


def test_a_new_day_leaves_a_closed_breaker_closed_and_the_streak_as_it_is(book: Book) -> None:
    for _ in range(4):
        book.result(LOSS)
    book.wait(days=1)
    assert (breaker(book), book.state.loss_streak) == (CLOSED, 4)
    book.result(LOSS)
    assert breaker(book) is OPEN


@pytest.mark.parametrize("scope", BOTH)
def test_a_reset_leaves_a_closed_breaker_closed(book: Book, scope: ResetScope) -> None:
    book.result(LOSS)
    book.reset(scope, "a review")
    assert (breaker(book), book.state.loss_streak) == (CLOSED, 0)


def test_a_clock_that_goes_back_a_day_refuses_entries_of_a_closed_breaker(book: Book) -> None:
    book.result(WIN)
    book.wait(days=-3)
    assert breaker(book) is CLOSED
    assert (entry(book), leaving(book)) == ("SYSTEM_ERROR", "APPROVED")


@pytest.mark.parametrize("loses", [lose_the_day, draw_down])
def test_an_open_breaker_stays_open_when_its_loss_is_made_up_for(
    book: Book, loses: Callable[[Book], None]
) -> None:
    loses(book)
    book.result(0.10)
    book.mark(0.10)
    book.wait(hours=3)
    assert breaker(book) is OPEN
    assert (entry(book), leaving(book)) == ("CIRCUIT_BREAKER_ACTIVE", "APPROVED")


@pytest.mark.parametrize("loses", [lose_the_day, draw_down])
def test_a_deeper_loss_trips_no_cause_a_second_time(
    book: Book, loses: Callable[[Book], None]
) -> None:
    loses(book)
    first = book.state.causes
    book.wait(seconds=10)
    assert book.result(-0.001).trips == ()
    book.mark(-0.06)
    book.wait(seconds=30)
    kinds = {trip.kind for trip in book.mark(-0.06).trips}
    assert kinds.isdisjoint({cause.kind for cause in first})


def test_a_confirmed_mark_adds_its_cause_to_an_open_breaker(book: Book) -> None:
    paused(book)
    book.mark(-0.024)
    assert causes(book) == {STREAK}
    book.wait(seconds=30)
    book.mark(-0.024)
    assert causes(book) == {STREAK, DAILY_LOSS}


def test_a_daily_loss_ends_at_midnight_in_bogota_and_not_a_microsecond_before(book: Book) -> None:
    lose_the_day(book)
    book.now = bogota("2026-03-02T23:59:59.999999")
    assert breaker(book) is OPEN
    book.now += MICROSECOND
    assert breaker(book) is CLOSED


def test_a_clock_that_goes_back_a_day_keeps_a_daily_loss(book: Book) -> None:
    lose_the_day(book)
    book.wait(days=-3)
    assert (breaker(book), leaving(book)) == (OPEN, "APPROVED")
    book.wait(days=3)
    assert breaker(book) is OPEN


def test_a_drawdown_outlives_every_day_and_a_daily_reset(book: Book) -> None:
    draw_down(book)
    book.wait(days=1)
    assert causes(book) == {DRAWDOWN}
    book.reset(ResetScope.DAILY)
    assert causes(book) == {DRAWDOWN}
    book.wait(days=28)
    assert entry(book) == "CIRCUIT_BREAKER_ACTIVE"


def test_a_daily_reset_ends_a_daily_loss(book: Book) -> None:
    lose_the_day(book)
    book.reset(ResetScope.DAILY)
    assert (breaker(book), entry(book)) == (CLOSED, "APPROVED")


def test_a_reset_of_everything_ends_every_cause(book: Book) -> None:
    for _ in range(5):
        book.result(-0.012)
    assert causes(book) == {DAILY_LOSS, DRAWDOWN, STREAK}
    book.reset(ResetScope.ALL, "a review")
    assert (breaker(book), entry(book)) == (CLOSED, "APPROVED")


def test_a_pause_ends_at_its_instant_and_not_a_microsecond_before(book: Book) -> None:
    paused(book)
    book.now += PAUSE - MICROSECOND
    assert (breaker(book), entry(book, "b0")) == (OPEN, "CIRCUIT_BREAKER_ACTIVE")
    book.now += MICROSECOND
    assert (breaker(book), entry(book, "b0")) == (HALF_OPEN, "APPROVED")


def test_a_win_during_a_pause_clears_the_streak_and_shortens_nothing(book: Book) -> None:
    paused(book)
    before = book.state.causes
    book.wait(seconds=10)
    book.result(WIN)
    assert (book.state.loss_streak, book.state.causes, breaker(book)) == (0, before, OPEN)


def test_a_loss_during_a_pause_starts_it_again_at_the_same_length(book: Book) -> None:
    paused(book)
    book.now += PAUSE - MICROSECOND
    book.result(LOSS)
    assert pause_of(book) == 300
    book.now += PAUSE - MICROSECOND
    assert breaker(book) is OPEN
    book.now += MICROSECOND
    assert breaker(book) is HALF_OPEN


def test_a_zero_during_a_pause_changes_nothing_of_it(book: Book) -> None:
    paused(book)
    before = book.state.causes
    book.wait(seconds=10)
    book.result(0.0)
    assert (book.state.causes, book.state.loss_streak) == (before, 5)


def test_a_pause_goes_on_over_midnight(book: Book) -> None:
    book.now = bogota("2026-03-02T23:58:00")
    paused(book)
    book.now = bogota("2026-03-03T00:02:59.999999")
    assert breaker(book) is OPEN
    book.now += MICROSECOND
    assert breaker(book) is HALF_OPEN


@pytest.mark.parametrize("scope", BOTH)
def test_a_reset_ends_a_pause_and_its_streak(book: Book, scope: ResetScope) -> None:
    paused(book)
    book.reset(scope, "a review")
    assert (breaker(book), book.state.loss_streak, entry(book)) == (CLOSED, 0, "APPROVED")


def test_a_loss_under_a_clock_that_went_back_ends_no_pause_early(book: Book) -> None:
    paused(book)
    ends_at = book.now + PAUSE
    book.wait(hours=-1)
    book.result(LOSS)
    book.now = ends_at - MICROSECOND
    assert breaker(book) is OPEN
    book.now = ends_at
    assert breaker(book) is HALF_OPEN


def test_a_daily_loss_keeps_a_breaker_open_after_its_pause_and_until_its_day_ends(
    book: Book,
) -> None:
    paused(book)
    book.result(-0.02)
    book.wait(hours=1)
    assert (breaker(book), entry(book, "b0")) == (OPEN, "CIRCUIT_BREAKER_ACTIVE")
    book.wait(days=1)
    assert (breaker(book), causes(book)) == (HALF_OPEN, {STREAK})


def test_a_drawdown_keeps_a_breaker_open_after_its_pause(book: Book) -> None:
    paused(book)
    book.limit(max_daily_loss=-0.5)
    book.result(-0.05)
    assert causes(book) == {STREAK, DRAWDOWN}
    book.wait(days=1)
    assert (breaker(book), entry(book, "b0")) == (OPEN, "CIRCUIT_BREAKER_ACTIVE")
    book.reset(ResetScope.DAILY)
    assert (breaker(book), causes(book)) == (OPEN, {DRAWDOWN})


def test_a_probe_that_wins_during_a_pause_closes_the_breaker(book: Book) -> None:
    probing_and_paused(book)
    assert book.result(WIN, order_id="probe").released
    assert (breaker(book), book.state.loss_streak) == (CLOSED, 0)


def test_a_probe_that_loses_during_a_pause_starts_it_again_at_twice_its_length(
    book: Book,
) -> None:
    probing_and_paused(book)
    book.result(LOSS, order_id="probe")
    assert (breaker(book), pause_of(book)) == (OPEN, 600)


def test_a_probe_that_proves_nothing_during_a_pause_is_made_again_after_it(book: Book) -> None:
    probing_and_paused(book)
    before = book.state.cause(STREAK)
    assert before is not None
    book.result(0.0, order_id="probe")
    assert book.state.cause(STREAK) == replace(before, probe=None)
    book.now += PAUSE
    assert ask(book, order_id="again")["probe"] is True


def test_a_half_open_breaker_lets_one_named_entry_through_at_half_size(book: Book) -> None:
    half_open(book)
    whole = 0.10 * (1 - 0.0005 / 0.05) * 0.5
    assert entry(book) == "CIRCUIT_BREAKER_ACTIVE"
    answer = ask(book, order_id="probe")
    size = answer["position_recommendation"]["position_size_percent"]
    assert (answer["probe"], size) == (True, pytest.approx(whole / 2))
    assert breaker(book) is HALF_OPEN


def test_an_exit_is_no_probe_of_a_half_open_breaker(book: Book) -> None:
    half_open(book)
    assert ask(book, SELL, "x0", position=0.10)["probe"] is False
    assert leaving(book) == "APPROVED"
    assert entry(book, "b0") == "APPROVED"


def test_the_cooldown_and_the_streak_stop_no_probe(book: Book) -> None:
    book.limit(cooldown_after_loss=3_600)
    half_open(book)
    assert entry(book, "probe") == "APPROVED"


def test_a_win_of_another_trade_clears_the_streak_and_leaves_the_breaker_half_open(
    book: Book,
) -> None:
    half_open(book)
    book.result(WIN)
    assert (breaker(book), book.state.loss_streak) == (HALF_OPEN, 0)
    assert entry(book) == "CIRCUIT_BREAKER_ACTIVE"
    assert ask(book, order_id="b0")["probe"] is True


def test_a_loss_of_another_trade_opens_a_half_open_breaker_for_the_same_pause(
    book: Book,
) -> None:
    half_open(book)
    book.result(WIN)
    book.result(LOSS)
    assert (breaker(book), pause_of(book)) == (OPEN, 300)
    book.now += PAUSE
    assert breaker(book) is HALF_OPEN


def test_a_zero_of_another_trade_leaves_a_half_open_breaker_half_open(book: Book) -> None:
    half_open(book)
    book.result(0.0)
    assert (breaker(book), book.state.loss_streak) == (HALF_OPEN, 5)


def test_a_result_at_a_limit_opens_a_half_open_breaker(book: Book) -> None:
    half_open(book)
    book.result(WIN, unrealized_pnl_percent=-0.03)
    assert (breaker(book), causes(book)) == (OPEN, {STREAK, DAILY_LOSS})


def test_a_mark_refuses_the_probe_of_a_half_open_breaker_and_a_second_one_opens_it(
    book: Book,
) -> None:
    half_open(book)
    book.mark(-0.024)
    assert (breaker(book), entry(book, "b0")) == (HALF_OPEN, "DAILY_LOSS_LIMIT")
    book.wait(seconds=30)
    book.mark(-0.024)
    assert (breaker(book), entry(book, "b0")) == (OPEN, "CIRCUIT_BREAKER_ACTIVE")


def test_a_new_day_leaves_a_half_open_breaker_half_open(book: Book) -> None:
    half_open(book)
    book.wait(days=1)
    assert (breaker(book), book.state.loss_streak) == (HALF_OPEN, 5)
    assert ask(book, order_id="b0")["probe"] is True


@pytest.mark.parametrize("scope", BOTH)
def test_a_reset_closes_a_half_open_breaker(book: Book, scope: ResetScope) -> None:
    half_open(book)
    book.reset(scope, "a review")
    answer = ask(book)
    assert (breaker(book), answer["risk_status"], answer["probe"]) == (CLOSED, "APPROVED", False)


def test_a_clock_that_goes_back_before_the_end_of_the_pause_opens_a_half_open_breaker(
    book: Book,
) -> None:
    half_open(book)
    book.now -= MICROSECOND
    assert (breaker(book), entry(book, "b0")) == (OPEN, "CIRCUIT_BREAKER_ACTIVE")


def test_a_probe_that_is_out_blocks_every_other_entry_and_no_exit(book: Book) -> None:
    probing(book)
    book.wait(hours=1)
    assert breaker(book) is HALF_OPEN
    assert entry(book, "b0") == entry(book) == "CIRCUIT_BREAKER_ACTIVE"
    assert leaving(book) == "APPROVED"


def test_a_probe_that_wins_closes_the_breaker_and_clears_the_streak(book: Book) -> None:
    probing(book)
    assert book.result(WIN, order_id="probe").released
    assert (breaker(book), book.state.loss_streak, book.state.orders) == (CLOSED, 0, ())
    assert ask(book, order_id="b0")["probe"] is False


def test_a_probe_that_wins_releases_its_own_cause_only(book: Book) -> None:
    probing(book)
    book.result(WIN, unrealized_pnl_percent=-0.03)
    book.result(WIN, order_id="probe", unrealized_pnl_percent=-0.03)
    assert (breaker(book), causes(book)) == (OPEN, {DAILY_LOSS})


def test_a_probe_that_loses_opens_the_breaker_for_twice_as_long_from_its_report(
    book: Book,
) -> None:
    probing(book)
    book.result(LOSS, order_id="probe")
    book.now += 2 * PAUSE - MICROSECOND
    assert (breaker(book), entry(book, "b0")) == (OPEN, "CIRCUIT_BREAKER_ACTIVE")
    book.now += MICROSECOND
    assert (breaker(book), ask(book, order_id="b0")["probe"]) == (HALF_OPEN, True)


def test_every_lost_probe_doubles_the_pause_up_to_the_length_of_a_session(book: Book) -> None:
    paused(book)
    lengths = []
    for day in ("03", "04", "05", "06", "09", "10", "11", "12"):
        book.now = bogota(f"2026-03-{day}T09:00:00")
        assert ask(book, order_id=f"probe-{day}")["probe"] is True
        book.result(LOSS, order_id=f"probe-{day}")
        lengths.append(pause_of(book))
    assert lengths == [600, 1_200, 2_400, 4_800, 9_600, SESSION, SESSION, SESSION]


def test_a_pause_longer_than_a_session_is_neither_doubled_nor_cut(book: Book) -> None:
    book.limit(cooldown_after_circuit_break=SESSION + 1)
    paused(book)
    book.wait(days=1)
    assert ask(book, order_id="probe")["probe"] is True
    book.result(LOSS, order_id="probe")
    assert pause_of(book) == SESSION + 1


def test_a_probe_that_ends_at_zero_is_made_again(book: Book) -> None:
    probing(book)
    before = book.state.cause(STREAK)
    assert before is not None
    book.result(0.0, order_id="probe")
    assert book.state.cause(STREAK) == replace(before, probe=None)
    assert (breaker(book), book.state.loss_streak) == (HALF_OPEN, 5)
    assert ask(book, order_id="again")["probe"] is True


@pytest.mark.parametrize("outcome", NOT_EXECUTED)
def test_a_probe_that_was_not_executed_is_made_again(book: Book, outcome: Outcome) -> None:
    probing(book)
    book.release("probe", outcome)
    assert breaker(book) is HALF_OPEN
    assert ask(book, order_id="again")["probe"] is True


@pytest.mark.parametrize("pnl", [WIN, LOSS])
def test_a_result_of_a_probe_that_was_released_is_that_of_another_trade(
    book: Book, pnl: float
) -> None:
    probing(book)
    book.release("probe")
    book.result(pnl, order_id="probe")
    assert breaker(book) is (HALF_OPEN if pnl > 0 else OPEN)
    assert pause_of(book) == 300


def test_a_probe_is_awaited_whatever_other_trades_do(book: Book) -> None:
    probing(book)
    book.result(WIN)
    assert entry(book, "b0") == "CIRCUIT_BREAKER_ACTIVE"
    book.result(LOSS)
    assert (breaker(book), pause_of(book)) == (OPEN, 300)
    book.now += PAUSE
    assert (breaker(book), entry(book, "b0")) == (HALF_OPEN, "CIRCUIT_BREAKER_ACTIVE")


def test_a_probe_is_awaited_after_its_approval_and_its_day_have_ended(book: Book) -> None:
    probing(book)
    book.wait(minutes=2)
    assert entry(book, "probe") == "APPROVAL_EXPIRED"
    assert entry(book, "b0") == "CIRCUIT_BREAKER_ACTIVE"
    book.wait(days=1)
    assert book.state.orders == ()
    assert entry(book, "b0") == "CIRCUIT_BREAKER_ACTIVE"
    book.result(WIN, order_id="probe")
    assert breaker(book) is CLOSED


@pytest.mark.parametrize("scope", BOTH)
def test_a_reset_forgets_the_probe(book: Book, scope: ResetScope) -> None:
    probing(book)
    book.reset(scope, "a review")
    assert (breaker(book), entry(book, "b0")) == (CLOSED, "APPROVED")
    assert book.result(LOSS, order_id="probe").trips == ()
    assert (breaker(book), book.state.loss_streak) == (CLOSED, 1)


def test_a_result_latches_no_mark_that_nobody_confirmed(book: Book) -> None:
    book.mark(-0.06)
    book.wait(seconds=1)
    book.result(WIN, closed_at=book.now - timedelta(seconds=2))
    book.mark(-0.005)
    assert (breaker(book), entry(book)) == (CLOSED, "APPROVED")


def test_a_probe_that_wins_less_than_half_a_billionth_locks_nobody_out(book: Book) -> None:
    probing(book)
    book.result(4e-10, order_id="probe")
    assert entry(book, "b0") == "APPROVED"


# What a person allows.


def put_into(book: Book, mode: OperatorMode) -> None:
    if mode is not ACTIVE:
        book.halt(mode, "earlier", actor="somebody")
    book.wait(seconds=1)


def mode_of(book: Book) -> OperatorMode:
    return book.state.operator.mode


def acts_of(book: Book) -> int:
    kinds = [EventKind.OPERATOR_HALTED, EventKind.OPERATOR_RESUMED]
    return len(book.ledger.recent(kinds, limit=99))


FROM_EVERY_STATE = pytest.mark.parametrize("mode", list(OperatorMode))


@pytest.mark.parametrize(
    ("mode", "told"),
    [
        (ACTIVE, ("APPROVED", "APPROVED")),
        (REDUCING, ("REDUCE_ONLY", "APPROVED")),
        (HALTED, ("TRADING_HALTED", "TRADING_HALTED")),
    ],
)
def test_reducing_allows_exits_only_and_halted_nothing(
    book: Book, mode: OperatorMode, told: tuple[str, str]
) -> None:
    put_into(book, mode)
    assert (entry(book), leaving(book)) == told


@FROM_EVERY_STATE
def test_a_halt_leads_to_halted_from_every_state(book: Book, mode: OperatorMode) -> None:
    put_into(book, mode)
    assert book.halt(HALTED, "news").changed is (mode is not HALTED)
    assert mode_of(book) is HALTED


@FROM_EVERY_STATE
def test_a_halt_to_reducing_tightens_and_never_loosens(book: Book, mode: OperatorMode) -> None:
    put_into(book, mode)
    assert book.halt(REDUCING, "news").changed is (mode is ACTIVE)
    assert mode_of(book) is (HALTED if mode is HALTED else REDUCING)


def test_a_halt_that_changes_nothing_is_on_record_and_leaves_the_reason_as_it_was(
    book: Book,
) -> None:
    put_into(book, HALTED)
    for mode in (HALTED, REDUCING):
        assert book.halt(mode, "later").event_id is not None
    assert (book.state.operator.reason, acts_of(book)) == ("earlier", 3)


@FROM_EVERY_STATE
def test_a_halt_file_leads_to_halted_from_every_state(book: Book, mode: OperatorMode) -> None:
    put_into(book, mode)
    book.halt_file = True
    assert (entry(book), leaving(book)) == ("TRADING_HALTED", "TRADING_HALTED")
    assert mode_of(book) is HALTED
    assert book.state.operator.actor == ("somebody" if mode is HALTED else HALT_FILE_ACTOR)


def test_a_halt_file_that_is_gone_resumes_nothing(book: Book) -> None:
    book.halt_file = True
    entry(book)
    book.halt_file = False
    assert (entry(book), mode_of(book)) == ("TRADING_HALTED", HALTED)


@FROM_EVERY_STATE
def test_a_resume_leads_to_active_from_every_state(book: Book, mode: OperatorMode) -> None:
    put_into(book, mode)
    before = acts_of(book)
    assert book.resume(ACTIVE).changed is (mode is not ACTIVE)
    assert mode_of(book) is ACTIVE
    assert acts_of(book) - before == (mode is not ACTIVE)


def test_a_resume_to_reducing_loosens_a_halt(book: Book) -> None:
    put_into(book, HALTED)
    assert book.resume(REDUCING).changed
    assert mode_of(book) is REDUCING


def test_a_resume_to_reducing_changes_no_reducing_book_and_is_a_conflict_for_an_active_one(
    book: Book,
) -> None:
    with pytest.raises(Conflict, match="stricter"):
        book.resume(REDUCING)
    assert mode_of(book) is ACTIVE
    put_into(book, REDUCING)
    assert book.resume(REDUCING).event_id is None
    assert mode_of(book) is REDUCING


@FROM_EVERY_STATE
@pytest.mark.parametrize("target", [ACTIVE, REDUCING])
def test_nothing_is_resumed_while_the_halt_file_is_there(
    book: Book, mode: OperatorMode, target: OperatorMode
) -> None:
    put_into(book, mode)
    book.halt_file = True
    with pytest.raises(Conflict, match="halt file"):
        book.resume(target)
    assert mode_of(book) is mode


def test_a_resume_needs_a_reason_and_leads_to_no_halt_and_a_halt_to_no_trading(
    book: Book,
) -> None:
    put_into(book, HALTED)
    with pytest.raises(InvalidRequest, match="reason"):
        book.resume(ACTIVE, reason=" ")
    with pytest.raises(InvalidRequest, match="ACTIVE or REDUCING"):
        book.resume(HALTED)
    with pytest.raises(InvalidRequest, match="HALTED or REDUCING"):
        book.halt(ACTIVE)
    assert mode_of(book) is HALTED


@FROM_EVERY_STATE
def test_a_new_day_changes_no_operator_state(book: Book, mode: OperatorMode) -> None:
    put_into(book, mode)
    before = book.state.operator
    book.wait(days=1)
    book.result(WIN)
    assert book.state.operator == before


@FROM_EVERY_STATE
@pytest.mark.parametrize("scope", BOTH)
def test_a_reset_changes_no_operator_state(
    book: Book, mode: OperatorMode, scope: ResetScope
) -> None:
    put_into(book, mode)
    before = book.state.operator
    book.reset(scope, "a review")
    assert book.state.operator == before


def lose_records(book: Book) -> None:
    """The ledger came back with less than it had acknowledged, and a person accepted it."""
    record_reconciliation(Acknowledged(10_000, "f" * 64), "a restored backup", book.act())


@FROM_EVERY_STATE
def test_an_accepted_loss_of_records_leads_to_halted_from_every_state(
    book: Book, mode: OperatorMode
) -> None:
    put_into(book, mode)
    lose_records(book)
    assert mode_of(book) is HALTED
    book.resume(ACTIVE)
    assert mode_of(book) is ACTIVE


# An order id.


def is_bound(book: Book, order_id: str) -> bool:
    return book.ledger.by_key(order_key(order_id)) is not None


def counted(book: Book) -> tuple[int, int]:
    """Trades of the day, and how many of them have no outcome."""
    return book.state.trades_today, len(book.state.orders)


@pytest.fixture
def ordered(book: Book) -> Book:
    """A book with an approved entry, and the next second."""
    assert entry(book, "b0") == "APPROVED"
    book.wait(seconds=1)
    return book


@pytest.fixture
def leaving_order(book: Book) -> Book:
    """A book with an approved exit, and the next second."""
    book.holds(0.10)
    assert ask(book, SELL, "x0")["approved"] is True
    book.wait(seconds=1)
    return book


def repeated_exit(book: Book) -> str:
    return str(ask(book, SELL, "x0")["risk_status"])


def test_an_approved_entry_binds_its_order_id_and_counts(ordered: Book) -> None:
    assert is_bound(ordered, "b0")
    assert counted(ordered) == (1, 1)


def test_an_approved_exit_binds_its_order_id_and_is_no_trade(leaving_order: Book) -> None:
    assert is_bound(leaving_order, "x0")
    assert counted(leaving_order) == (0, 0)
    assert [exit_.order_id for exit_ in leaving_order.state.reductions] == ["x0"]


def test_an_approval_without_an_order_id_binds_and_counts_nothing(book: Book) -> None:
    assert entry(book) == "APPROVED"
    assert counted(book) == (0, 0)
    assert book.state.sequence == 0


def test_a_refusal_binds_no_order_id(book: Book) -> None:
    book.halt()
    assert entry(book, "b0") == "TRADING_HALTED"
    assert not is_bound(book, "b0")
    book.resume()
    assert ask(book, SELL, "b0", position=0.0)["approved"] is True
    assert is_bound(book, "b0")


@pytest.mark.parametrize("request_", [{"dry_run": True}, {"enforce_risk_checks": False}])
def test_a_dry_run_and_an_unchecked_signal_bind_no_order_id(
    book: Book, request_: dict[str, Any]
) -> None:
    ask(book, BUY, "b0", **request_)
    assert not is_bound(book, "b0")
    assert counted(book) == (0, 0)
    assert entry(book, "b0") == "APPROVED"


def test_a_dry_run_with_a_bound_order_id_is_judged_beside_its_order(ordered: Book) -> None:
    answer = ask(ordered, BUY, "b0", dry_run=True)
    assert (answer["risk_status"], answer["replayed"]) == ("POSITION_LIMIT", False)


def test_the_same_request_is_given_its_approval_again_up_to_its_last_instant(
    ordered: Book,
) -> None:
    first = ordered.ledger.by_key(order_key("b0"))
    assert first is not None
    ordered.now = first.at + timedelta(seconds=60)
    again = ask(ordered, BUY, "b0")
    assert {**first.payload["answer"], "replayed": True} == {
        name: value for name, value in again.items() if name != "latency_ms"
    }
    assert counted(ordered) == (1, 1)


def test_a_microsecond_after_its_last_instant_an_approval_has_expired_and_still_counts(
    ordered: Book,
) -> None:
    ordered.now += timedelta(seconds=59) + MICROSECOND
    answer = ask(ordered, BUY, "b0")
    assert (answer["risk_status"], answer["replayed"]) == ("APPROVAL_EXPIRED", True)
    assert (answer["signal"], answer["position_recommendation"]) == ("HOLD", None)
    ordered.wait(hours=2)
    assert counted(ordered) == (1, 1)


@pytest.mark.parametrize(
    ("asked_at", "ends_at"),
    [
        ("12:53:59.999999", "2026-03-02T17:54:59.999999+00:00"),
        ("12:54:00", "2026-03-02T17:55:00.000000+00:00"),
        ("12:54:00.000001", "2026-03-02T17:55:00.000000+00:00"),
        ("12:55:00", "2026-03-02T17:55:00.000000+00:00"),
    ],
)
def test_an_approval_ends_with_its_time_to_live_and_never_after_the_session(
    book: Book, asked_at: str, ends_at: str
) -> None:
    book.now = bogota(f"2026-03-02T{asked_at}")
    assert ask(book, BUY, "b0")["valid_until"] == ends_at


@pytest.mark.parametrize(
    "other",
    [
        {"position": 0.0},
        {"capital_usd": 50_000.0},
        {"model_name": "fixed"},
        {"observed_at": bogota("2026-03-02T09:00:00")},
    ],
    ids=lambda other: str(next(iter(other))),
)
def test_other_content_under_a_bound_order_id_is_a_conflict(
    ordered: Book, other: dict[str, Any]
) -> None:
    with pytest.raises(Conflict, match=next(iter(other))):
        ask(ordered, BUY, "b0", **other)
    ordered.release("b0")
    with pytest.raises(Conflict, match=next(iter(other))):
        ask(ordered, BUY, "b0", **other)


def test_a_result_closes_its_order_and_takes_its_place_among_the_trades(ordered: Book) -> None:
    assert ordered.result(WIN, order_id="b0").order_closed
    assert counted(ordered) == (1, 0)
    assert entry(ordered, "b0") == "ORDER_CLOSED"
    assert not ordered.result(WIN, order_id="b0").order_closed
    assert counted(ordered) == (2, 0)


def test_a_result_that_names_no_order_leaves_every_order_open(ordered: Book) -> None:
    assert not ordered.result(WIN).order_closed
    assert not ordered.result(WIN, order_id="unknown").order_closed
    assert counted(ordered) == (3, 1)


@pytest.mark.parametrize("outcome", NOT_EXECUTED)
def test_a_release_closes_its_order_and_gives_its_trade_back(
    ordered: Book, outcome: Outcome
) -> None:
    assert ordered.release("b0", outcome).was_open
    assert counted(ordered) == (0, 0)
    assert entry(ordered, "b0") == "ORDER_CLOSED"
    assert entry(ordered, "b1") == "APPROVED"


def test_the_same_release_again_changes_nothing_and_another_outcome_is_a_conflict(
    ordered: Book,
) -> None:
    ordered.release("b0", Outcome.CANCELLED)
    before = ordered.ledger.head()
    assert ordered.release("b0", Outcome.CANCELLED).duplicate
    with pytest.raises(Conflict, match="cancelled"):
        ordered.release("b0", Outcome.EXPIRED)
    assert ordered.ledger.head() == before


def test_an_order_with_a_result_cannot_be_released(ordered: Book) -> None:
    ordered.result(WIN, order_id="b0")
    with pytest.raises(Conflict, match="result"):
        ordered.release("b0")


def test_an_order_that_was_never_approved_cannot_be_released(book: Book) -> None:
    with pytest.raises(NotFound, match="b0"):
        book.release("b0")


def test_a_result_after_a_release_is_a_trade_and_changes_no_outcome(ordered: Book) -> None:
    ordered.release("b0")
    assert not ordered.result(WIN, order_id="b0").order_closed
    assert counted(ordered) == (1, 0)
    assert ordered.release("b0").duplicate


def test_a_new_day_stops_counting_an_order_and_keeps_its_id_bound(ordered: Book) -> None:
    ordered.wait(days=1)
    assert counted(ordered) == (0, 0)
    assert entry(ordered, "b0") == "APPROVAL_EXPIRED"
    assert ordered.result(WIN, order_id="b0").order_closed
    assert counted(ordered) == (1, 0)
    assert entry(ordered, "b0") == "ORDER_CLOSED"


def test_a_release_on_a_later_day_closes_an_order_that_counted_no_more(ordered: Book) -> None:
    ordered.wait(days=1)
    assert not ordered.release("b0", Outcome.EXPIRED).was_open
    assert entry(ordered, "b0") == "ORDER_CLOSED"


def test_a_halt_after_an_approval_ends_it_for_good(ordered: Book) -> None:
    ordered.halt()
    assert entry(ordered, "b0") == "TRADING_HALTED"
    ordered.resume()
    assert entry(ordered, "b0") == "TRADING_HALTED"
    assert counted(ordered) == (1, 1)


def test_a_halt_to_reducing_ends_the_approval_of_an_entry(ordered: Book) -> None:
    ordered.halt(REDUCING)
    assert entry(ordered, "b0") == "REDUCE_ONLY"


@pytest.mark.parametrize(
    ("mark", "status"), [(-0.02, "DAILY_LOSS_LIMIT"), (-0.019999999, "APPROVED")]
)
def test_a_mark_at_a_limit_stops_a_repeated_entry_while_it_stands_and_no_exit(
    book: Book, mark: float, status: str
) -> None:
    entry(book, "b0")
    book.holds(0.10)
    exit_: dict[str, Any] = {"order_id": "x0", "position": 0.10}
    assert ask(book, SELL, **exit_)["approved"]
    book.wait(seconds=1)
    book.mark(mark)
    assert entry(book, "b0") == status
    assert ask(book, SELL, **exit_)["approved"]
    book.mark(-0.001)
    assert entry(book, "b0") == "APPROVED"


def test_a_newer_position_ends_an_exit_that_it_does_not_hold(leaving_order: Book) -> None:
    assert repeated_exit(leaving_order) == "APPROVED"
    leaving_order.wait(seconds=1)
    leaving_order.holds(0.0)
    assert repeated_exit(leaving_order) == "APPROVAL_EXPIRED"


def test_an_exit_is_given_its_approval_again_while_reducing_and_not_while_halted(
    leaving_order: Book,
) -> None:
    leaving_order.halt(REDUCING)
    assert repeated_exit(leaving_order) == "APPROVED"
    leaving_order.halt(HALTED)
    assert repeated_exit(leaving_order) == "TRADING_HALTED"


def test_a_trip_after_an_approval_ends_it_for_good(ordered: Book) -> None:
    lose_the_day(ordered)
    assert entry(ordered, "b0") == "CIRCUIT_BREAKER_ACTIVE"
    ordered.reset()
    assert entry(ordered, "b0") == "CIRCUIT_BREAKER_ACTIVE"
    assert counted(ordered) == (1, 1)


def test_a_trip_ends_no_approval_of_an_exit(leaving_order: Book) -> None:
    lose_the_day(leaving_order)
    assert repeated_exit(leaving_order) == "APPROVED"


def test_a_probe_is_given_its_approval_again_while_nothing_has_tripped(book: Book) -> None:
    probing(book)
    assert entry(book, "probe") == "APPROVED"
    book.result(LOSS)
    assert entry(book, "probe") == "CIRCUIT_BREAKER_ACTIVE"


@pytest.mark.parametrize("kind", ["entry", "exit"])
def test_a_change_of_limits_ends_every_approval(book: Book, kind: str) -> None:
    def repeat() -> str:
        return entry(book, "b0") if kind == "entry" else leaving(book, "x0")

    assert repeat() == "APPROVED"
    values = {"risk_limits": RiskLimits(max_trades_per_day=9).model_dump(mode="json")}
    record_configuration(values, "fewer trades", book.act())
    assert repeat() == "CONFIG_MISMATCH"
    book.configuration = configuration_hash(values)
    assert repeat() == "CONFIG_MISMATCH"


@pytest.mark.parametrize(
    ("behind", "status"),
    [(timedelta(seconds=5), "APPROVED"), (timedelta(seconds=5) + MICROSECOND, "APPROVAL_EXPIRED")],
)
def test_a_clock_behind_the_approval_is_believed_for_five_seconds(
    book: Book, behind: timedelta, status: str
) -> None:
    entry(book, "b0")
    book.now -= behind
    assert entry(book, "b0") == status


@pytest.mark.parametrize("resumed", [False, True], ids=["halted", "reducing since"])
def test_a_weaker_halt_hides_no_stricter_one_from_a_repeated_exit(
    leaving_order: Book, *, resumed: bool
) -> None:
    leaving_order.halt(HALTED)
    if resumed:
        leaving_order.resume(REDUCING)
    leaving_order.halt(REDUCING)
    assert repeated_exit(leaving_order) == "TRADING_HALTED"


def test_an_accepted_loss_of_records_ends_every_approval(ordered: Book) -> None:
    lose_records(ordered)
    assert entry(ordered, "b1") == "TRADING_HALTED"
    assert entry(ordered, "b0") == "TRADING_HALTED"


def test_an_outcome_is_told_before_an_expiry_and_an_expiry_before_a_halt(ordered: Book) -> None:
    ordered.halt()
    ordered.wait(hours=1)
    assert entry(ordered, "b0") == "APPROVAL_EXPIRED"
    ordered.release("b0")
    assert entry(ordered, "b0") == "ORDER_CLOSED"


def test_results_and_orders_together_reach_the_trades_of_a_day_and_go_no_further(
    book: Book,
) -> None:
    book.limit(max_trades_per_day=3)
    book.result(WIN)
    book.result(WIN)
    assert entry(book, "b0") == "APPROVED"
    assert entry(book, "b1") == "MAX_TRADES_REACHED"
    assert leaving(book) == "APPROVED"
    book.release("b0")
    assert entry(book, "b1") == "APPROVED"


def test_orders_without_an_outcome_reach_their_limit_and_go_no_further(book: Book) -> None:
    book.limit(max_unresolved_orders=2)
    assert entry(book, "b0", position=-0.0) == "APPROVED"
    assert ask(book, SELL, "s0", position=0.0)["approved"] is True
    assert ask(book, SELL, "s1", position=0.0)["risk_status"] == "UNRESOLVED_ORDERS"
    assert leaving(book) == "APPROVED"
    book.result(WIN, order_id="b0")
    assert entry(book, "b1") == "APPROVED"


@pytest.mark.parametrize(
    ("held", "status", "size"),
    [
        (0.099_999, "APPROVED", 0.000_001),
        (0.099_999_001, "POSITION_LIMIT", None),
        (0.10, "POSITION_LIMIT", None),
        (0.11, "POSITION_LIMIT", None),
    ],
)
def test_an_entry_fills_the_largest_position_to_its_last_whole_step(
    book: Book, held: float, status: str, size: float | None
) -> None:
    book.holds(held)
    answer = ask(book, BUY, "b0")
    recommended = answer["position_recommendation"]
    assert answer["risk_status"] == status
    assert size == (recommended and recommended["position_size_percent"])


# What clears what.

ROWS: dict[str, tuple[Callable[[RiskState], object], Callable[[RiskState], object]]] = {
    # what to look at, and what it is when it is cleared
    "daily P&L": (lambda state: state.daily_pnl, lambda state: 0),
    "results today": (lambda state: state.today.results, lambda state: 0),
    "daily-loss cause": (lambda state: state.cause(DAILY_LOSS), lambda state: None),
    "open orders": (lambda state: state.orders, lambda state: ()),
    "loss streak": (lambda state: state.loss_streak, lambda state: 0),
    "cooldown": (lambda state: state.last_loss_at, lambda state: None),
    "consecutive-losses cause": (lambda state: state.cause(STREAK), lambda state: None),
    "high-water mark": (
        lambda state: state.high_water_mark,
        lambda state: state.equity + state.mark,
    ),
    "drawdown": (lambda state: state.drawdown, lambda state: 0),
    "drawdown cause": (lambda state: state.cause(DRAWDOWN), lambda state: None),
    "operator state": (lambda state: state.operator.mode, lambda state: ACTIVE),
    "position": (lambda state: state.position and state.position.value, lambda state: None),
    "open mark": (lambda state: state.mark, lambda state: 0),
    "drift alarm": (lambda state: state.drift, lambda state: None),
    "configuration": (lambda state: state.configuration, lambda state: None),
}
YES, NO = True, False
CLEARS = {
    "daily P&L": (YES, YES, YES),
    "results today": (YES, YES, YES),
    "daily-loss cause": (YES, YES, YES),
    "open orders": (YES, NO, NO),
    "loss streak": (NO, YES, YES),
    "cooldown": (NO, YES, YES),
    "consecutive-losses cause": (NO, YES, YES),
    "high-water mark": (NO, NO, YES),
    "drawdown": (NO, NO, YES),
    "drawdown cause": (NO, NO, YES),
    "operator state": (NO, NO, NO),
    "position": (NO, NO, NO),
    "open mark": (NO, NO, NO),
    "drift alarm": (NO, NO, NO),
    "configuration": (NO, NO, NO),
}
COLUMNS: tuple[Callable[[Book], object], ...] = (
    lambda book: book.wait(days=1),
    lambda book: book.reset(ResetScope.DAILY),
    lambda book: book.reset(ResetScope.ALL, "a review"),
)


def everything_at_once(book: Book) -> None:
    """A state in which every row of the table has something to clear."""
    values = {"risk_limits": book.limits.model_dump(mode="json")}
    book.configuration = configuration_hash(values)
    record_configuration(values, "the first", book.act())
    book.holds(0.05)
    entry(book, "b0")
    for _ in range(5):
        book.result(-0.012)
    book.mark(-0.001)
    book.wait(seconds=1)
    book.mark(-0.002)
    book.drifts()
    book.halt(REDUCING)


@pytest.mark.parametrize("column", range(3), ids=["day roll", "reset daily", "reset all"])
@pytest.mark.parametrize("row", CLEARS)
def test_a_new_day_and_the_resets_clear_what_the_table_says_and_nothing_else(
    book: Book, row: str, column: int
) -> None:
    everything_at_once(book)
    look, cleared = ROWS[row]
    before = look(book.state)
    assert before != cleared(book.state)
    COLUMNS[column](book)
    after = book.state
    assert look(after) == (cleared(after) if CLEARS[row][column] else before)


def test_a_new_day_and_nothing_else_gives_the_resets_back(book: Book) -> None:
    book.reset(ResetScope.DAILY)
    for scope in BOTH:
        with pytest.raises(Conflict, match="max_daily_resets"):
            book.reset(scope, "again")
    book.now = bogota("2026-03-02T23:59:59.999999")
    with pytest.raises(Conflict, match="max_daily_resets"):
        book.reset(ResetScope.ALL, "again")
    book.now += MICROSECOND
    book.reset(ResetScope.ALL, "again")


@pytest.mark.parametrize("rebase", COLUMNS, ids=["day roll", "reset daily", "reset all"])
def test_a_mark_that_nobody_confirmed_is_no_base_for_what_comes(
    book: Book, rebase: Callable[[Book], object]
) -> None:
    book.mark(-0.15)
    rebase(book)
    book.wait(seconds=60)
    book.mark(0.0)
    book.result(-0.02)
    assert causes(book) == {DAILY_LOSS}


def test_a_daily_reset_under_a_date_of_the_future_leaves_tomorrow_its_resets(book: Book) -> None:
    book.wait(days=365)
    book.result(WIN)
    book.wait(days=-365)
    assert entry(book) == "SYSTEM_ERROR"
    book.reset(ResetScope.DAILY)
    book.wait(days=1)
    book.reset(ResetScope.ALL, "the clock was wrong")
    assert entry(book) == "APPROVED"


# The page.

NAMED = re.compile(r"`(test_\w+)`")
DEFINED = re.compile(r"^def (test_\w+)\(", re.MULTILINE)


def page() -> str:
    return RISK.read_text(encoding="utf-8")


def lines_of(section: str) -> list[list[str]]:
    """The cells of the table under a heading of the page, without its two lines of heading."""
    text = page().split(f"\n## {section}\n")[1].split("\n## ")[0]
    table = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[2:]]


def test_every_test_that_the_page_names_exists() -> None:
    tests = Path(__file__).parents[1].rglob("test_*.py")
    defined = {name for path in tests for name in DEFINED.findall(path.read_text("utf-8"))}
    named = set(NAMED.findall(page()))
    assert named
    assert named - defined == set()


def test_the_page_names_every_test_of_a_transition() -> None:
    about_transitions, _ = Path(__file__).read_text("utf-8").split("\n# The page.\n")
    assert set(DEFINED.findall(about_transitions)) - set(NAMED.findall(page())) == set()


def test_the_page_lists_the_checks_in_their_order_and_which_of_them_let_exits_pass(
    book: Book,
) -> None:
    book.halt(REDUCING)
    checks = ask(book, SELL, position=0.10)["checks"]
    listed = [(name.strip("`"), exits) for _, name, _, _, exits in lines_of("The order of checks")]
    assert [name for name, _ in listed] == [check["check"] for check in checks]
    exempt = {check["check"] for check in checks if check["exempt"]}
    assert {name for name, exits in listed if exits.startswith("pass")} == exempt


def test_the_page_says_what_clears_what() -> None:
    told = {
        row: tuple(cell.startswith("yes") for cell in cells)
        for row, *cells in lines_of("What clears what")
    }
    assert told == CLEARS
