"""When drift checks are due."""

from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.settings import CalendarSettings, TradingHours
from monitoring.schedule import SessionSchedule
from risk.calendar import SessionCalendar
from tests.monitoring.ticking import due_after

ALL_DAY = TradingHours(
    start_hour=0, end_hour=23, end_minute=59, end_second=59, trading_days=(0, 1, 2, 3, 4, 5, 6)
)
MONDAY = datetime(2026, 3, 2, tzinfo=UTC)


def schedule(
    hours: TradingHours | None = None, minutes: int = 60, **exceptions: object
) -> SessionSchedule:
    hours = hours or TradingHours()
    calendar = SessionCalendar(hours, CalendarSettings.model_validate(exceptions))
    return SessionSchedule(hours, calendar, minutes)


def test_a_session_is_checked_a_minute_after_each_of_its_hours_and_after_its_end() -> None:
    # 08:00 to 12:55 in Bogota is 13:00 to 17:55 in UTC.
    assert due_after(schedule(), MONDAY, 6) == [
        "03-02 14:01", "03-02 15:01", "03-02 16:01", "03-02 17:01", "03-02 18:01", "03-03 14:01",
    ]  # fmt: skip


def test_a_tick_is_named_by_the_end_of_what_it_looks_at_in_utc() -> None:
    tick = schedule().next_tick(MONDAY)
    assert tick is not None
    assert tick.name == "2026-03-02T14:00:00.000000+00:00"
    assert tick.due - tick.at == timedelta(minutes=1)


def test_days_without_a_session_are_not_checked() -> None:
    friday_evening = datetime(2026, 3, 20, 20, tzinfo=UTC)  # Monday the 23rd is a holiday
    assert due_after(schedule(), friday_evening, 1) == ["03-24 14:01"]


def test_a_session_that_ends_early_is_checked_until_then() -> None:
    checks = schedule(early_close={date(2026, 3, 2): time(10, 30)})
    assert due_after(checks, MONDAY, 4) == [
        "03-02 14:01", "03-02 15:01", "03-02 16:01", "03-03 14:01",
    ]  # fmt: skip


def test_a_market_that_never_closes_is_checked_at_every_hour_of_every_day() -> None:
    checks = schedule(ALL_DAY, countries=())
    found = due_after(checks, MONDAY, 48)
    assert found[0] == "03-02 00:01"
    assert len(set(found)) == 48
    assert found[-1] == "03-03 23:01"


def test_an_interval_longer_than_the_session_gives_one_check_after_it() -> None:
    assert due_after(schedule(minutes=600), MONDAY, 2) == ["03-02 23:01", "03-03 23:01"]


def test_beyond_the_days_whose_holidays_are_known_nothing_is_due() -> None:
    assert schedule().next_tick(datetime(2028, 1, 3, tzinfo=UTC)) is None


def test_after_a_long_pause_without_sessions_nothing_counts_as_due() -> None:
    assert schedule().latest_due(datetime(2028, 6, 1, tzinfo=UTC)) is None


@given(
    minutes=st.integers(1, 1440),
    now=st.datetimes(datetime(2026, 1, 5), datetime(2027, 6, 1)),  # noqa: DTZ001 - zone below
    all_day=st.booleans(),
)
def test_no_check_lies_between_the_latest_due_and_the_next(
    minutes: int, now: datetime, all_day: bool
) -> None:
    checks = schedule(ALL_DAY, minutes, countries=()) if all_day else schedule(None, minutes)
    now = now.replace(tzinfo=UTC)
    latest, following = checks.latest_due(now), checks.next_tick(now)
    assert latest is not None
    assert following is not None
    assert latest.due <= now < following.due
    assert checks.next_tick(latest.due) == following


@pytest.mark.parametrize("minutes", [1, 7, 60])
def test_each_of_the_next_checks_is_the_latest_due_at_its_time(minutes: int) -> None:
    checks, after = schedule(minutes=minutes), MONDAY
    for _ in range(100):
        tick = checks.next_tick(after)
        assert tick is not None
        assert checks.latest_due(tick.due) == tick
        after = tick.due
