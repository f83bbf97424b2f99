"""The gate: which rule names the status, and where exactly."""

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.settings import CalendarSettings, RiskLimits, TradingHours
from errors import ConfigurationError
from risk.calendar import SessionCalendar
from risk.ledger.memory import MemoryLedger
from risk.state import ResetScope
from risk.verdict import RiskStatus
from runners.signal import Signal
from tests.book import Book


@pytest.fixture
def book() -> Book:
    return Book(MemoryLedger())


def bogota(text: str) -> datetime:
    return datetime.fromisoformat(f"{text}-05:00").astimezone(UTC)


def test_a_confident_signal_in_an_open_session_is_approved(book: Book) -> None:
    for signal in (Signal.BUY, Signal.SELL):
        verdict = book.ask(signal)
        assert verdict.status is RiskStatus.APPROVED
        assert verdict.approved
        assert verdict.reasons == ()


def test_every_check_is_reported_whichever_fails(book: Book) -> None:
    names = [check.name for check in book.ask().checks]
    book.result(-0.06)
    book.wait(hours=12)
    verdict = book.ask(Signal.HOLD, confidence=0.1)
    assert [check.name for check in verdict.checks] == names
    assert sum(not check.passed for check in verdict.checks) >= 5
    assert len(verdict.reasons) == sum(not check.passed for check in verdict.checks)


def test_the_first_rule_that_fails_names_the_status(book: Book) -> None:
    book.result(-0.06)
    stale = book.now - timedelta(hours=2)
    assert book.ask(Signal.HOLD, 0.1, stale).status is RiskStatus.STALE_DATA
    assert book.ask(Signal.HOLD, 0.1).status is RiskStatus.HOLD_SIGNAL
    assert book.ask(Signal.BUY, 0.1).status is RiskStatus.LOW_CONFIDENCE
    assert book.ask().status is RiskStatus.CIRCUIT_BREAKER_ACTIVE
    book.wait(hours=12)
    assert book.ask().status is RiskStatus.OUTSIDE_TRADING_HOURS


def test_a_hold_is_a_hold(book: Book) -> None:
    assert book.ask(Signal.HOLD).status is RiskStatus.HOLD_SIGNAL


def test_the_least_confidence_passes_and_the_next_float_below_does_not(book: Book) -> None:
    assert book.ask(confidence=0.60).approved
    assert book.ask(confidence=math.nextafter(0.60, 0)).status is RiskStatus.LOW_CONFIDENCE


def test_no_confidence_at_all_never_passes(book: Book) -> None:
    assert book.ask(confidence=math.nan).status is RiskStatus.LOW_CONFIDENCE
    book.limit(min_confidence=0.0)
    assert book.ask(confidence=math.nan).status is RiskStatus.LOW_CONFIDENCE


@pytest.mark.parametrize(
    ("age", "fresh"),
    [
        (timedelta(seconds=600), True),
        (timedelta(seconds=600, microseconds=1), False),
        (timedelta(seconds=-5), True),
        (timedelta(seconds=-5, microseconds=-1), False),
        (timedelta(0), True),
    ],
)
def test_an_observation_is_fresh_up_to_its_exact_age(
    book: Book, age: timedelta, *, fresh: bool
) -> None:
    status = book.ask(observed_at=book.now - age).status
    assert status is (RiskStatus.APPROVED if fresh else RiskStatus.STALE_DATA)


@pytest.mark.parametrize(
    ("local", "status"),
    [
        ("2026-03-02T07:59:59.999999", RiskStatus.OUTSIDE_TRADING_HOURS),
        ("2026-03-02T08:00:00", RiskStatus.APPROVED),
        ("2026-03-02T12:55:00", RiskStatus.APPROVED),
        ("2026-03-02T12:55:00.000001", RiskStatus.OUTSIDE_TRADING_HOURS),
        ("2026-03-01T10:00:00", RiskStatus.OUTSIDE_TRADING_HOURS),  # a Sunday
        ("2026-07-20T10:00:00", RiskStatus.MARKET_HOLIDAY),  # Independence Day in Colombia
        ("2026-07-13T10:00:00", RiskStatus.MARKET_HOLIDAY),  # new in 2026
        ("2026-11-26T10:00:00", RiskStatus.MARKET_HOLIDAY),  # Thanksgiving, United States only
        ("2026-07-03T10:00:00", RiskStatus.APPROVED),  # 4 July on a Saturday, the Fed is open
        ("2027-07-05T10:00:00", RiskStatus.MARKET_HOLIDAY),  # 4 July on a Sunday
        ("2026-12-31T10:00:00", RiskStatus.MARKET_HOLIDAY),
        ("2028-01-03T10:00:00", RiskStatus.MARKET_HOLIDAY),  # beyond what is known
    ],
)
def test_the_session_opens_and_closes_on_the_instant_and_on_the_right_days(
    book: Book, local: str, status: RiskStatus
) -> None:
    book.now = bogota(local)
    assert book.ask().status is status


def calendar(hours: dict[str, Any], exceptions: dict[str, Any]) -> SessionCalendar:
    return SessionCalendar(TradingHours(**hours), CalendarSettings(**exceptions))


def test_a_us_holiday_can_be_traded_when_configured(book: Book) -> None:
    book.calendar = calendar({"trade_on_us_holidays": True}, {})
    book.now = bogota("2026-11-26T10:00:00")
    assert book.ask().approved


def test_dated_exceptions_win_over_calendars(book: Book) -> None:
    exceptions: dict[str, Any] = {
        "closed": ["2026-03-03"],
        "open": ["2026-07-20"],
        "early_close": {"2026-03-04": "10:30:00"},
    }
    book.calendar = calendar({}, exceptions)
    book.now = bogota("2026-03-03T10:00:00")
    assert book.ask().status is RiskStatus.MARKET_HOLIDAY
    book.now = bogota("2026-07-20T10:00:00")
    assert book.ask().approved
    book.now = bogota("2026-03-04T10:30:00")
    assert book.ask().approved
    book.wait(microseconds=1)
    assert book.ask().status is RiskStatus.OUTSIDE_TRADING_HOURS


def test_an_early_close_on_a_day_without_a_session_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"2026-12-25.*Christmas"):
        calendar({}, {"early_close": {"2026-12-25": "11:00:00"}})
    calendar({}, {"early_close": {"2026-12-25": "11:00:00"}, "open": ["2026-12-25"]})


def test_all_day_hours_without_holidays_are_open_at_every_instant(book: Book) -> None:
    book.calendar = calendar(
        {
            "start_hour": 0,
            "end_hour": 23,
            "end_minute": 59,
            "end_second": 59,
            "trading_days": [0, 1, 2, 3, 4, 5, 6],
        },
        {"countries": []},
    )
    for local in ("2026-12-31T23:59:59.999999", "2027-01-01T00:00:00", "2035-08-04T12:00:00"):
        book.now = bogota(local)
        assert book.ask().approved


def test_the_cooldown_starts_with_the_second_loss_in_a_row(book: Book) -> None:
    book.result(-0.001)
    assert book.ask().approved
    book.result(-0.001)
    book.wait(seconds=59.999999)
    assert book.ask().status is RiskStatus.COOLDOWN_ACTIVE
    book.wait(seconds=0.000001)
    assert book.ask().approved


def test_a_clock_that_goes_back_ends_no_cooldown_and_no_day(book: Book) -> None:
    book.result(-0.012)
    book.result(-0.012)
    book.now = bogota("2026-02-27T10:00:00")
    verdict = book.ask()
    failed = {check.status for check in verdict.checks if not check.passed}
    assert {
        RiskStatus.CIRCUIT_BREAKER_ACTIVE,
        RiskStatus.COOLDOWN_ACTIVE,
        RiskStatus.DAILY_LOSS_LIMIT,
    } <= failed


def test_a_clock_that_was_ahead_for_one_result_reopens_nothing(book: Book) -> None:
    book.result(-0.03)
    book.wait(days=1)
    book.result(0.001)
    book.wait(days=-1)
    verdict = book.ask()
    assert verdict.status is RiskStatus.SYSTEM_ERROR
    assert "2026-03-03 is on record" in verdict.reasons[0]
    book.reset(ResetScope.ALL, "the clock was wrong")
    assert book.ask().approved


def test_a_clock_that_was_behind_for_one_loss_releases_no_cause_early(book: Book) -> None:
    for _ in range(5):
        book.result(-0.001)
    book.wait(hours=-2)
    book.result(-0.001)
    book.wait(hours=2, seconds=200)
    book.result(0.001)
    assert book.ask().status is RiskStatus.CIRCUIT_BREAKER_ACTIVE


def test_the_trade_after_the_last_allowed_one_is_refused(book: Book) -> None:
    book.limit(max_trades_per_day=2)
    book.result(0.001)
    assert book.ask().approved
    book.result(0.001)
    assert book.ask().status is RiskStatus.MAX_TRADES_REACHED


def test_limits_that_were_tightened_bind_before_the_next_result(book: Book) -> None:
    book.result(-0.01)
    book.limit(max_daily_loss=-0.01)
    assert book.ask().status is RiskStatus.DAILY_LOSS_LIMIT
    book.limit(max_daily_loss=-0.02, max_drawdown=-0.01)
    assert book.ask().status is RiskStatus.MAX_DRAWDOWN


@given(
    confidence=st.floats(allow_nan=True, allow_infinity=False),
    losses=st.lists(st.integers(-30_000_000, 10_000_000), max_size=8),
    wait=st.integers(0, 400),
    signal=st.sampled_from(list(Signal)),
)
def test_an_approval_means_that_no_limit_is_reached(
    confidence: float, losses: list[int], wait: int, signal: Signal
) -> None:
    limits = RiskLimits()
    book = Book(MemoryLedger(), limits)
    for nano in losses:
        book.result(nano / 1e9)
    book.wait(seconds=wait)
    verdict = book.ask(signal, confidence)
    state = book.state
    assert verdict.approved == all(check.passed for check in verdict.checks)
    if verdict.approved:
        assert signal is not Signal.HOLD
        assert confidence >= limits.min_confidence
        assert state.daily_pnl > -20_000_000
        assert state.drawdown > -50_000_000
        assert state.loss_streak < 5
        assert state.loss_streak < 2 or wait >= 60
