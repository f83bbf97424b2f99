"""When something is due once for each session."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from config.settings import CalendarSettings, TradingHours
from monitoring.day.schedule import (
    DailySchedule,
    Edge,
    coming_session,
    past_session,
    session_of,
)
from risk.calendar import SessionCalendar
from tests.monitoring.ticking import due_after

HOURS = TradingHours()
MONDAY = datetime(2026, 3, 2, tzinfo=UTC)


def calendar(**exceptions: object) -> SessionCalendar:
    return SessionCalendar(HOURS, CalendarSettings.model_validate(exceptions))


def schedule(edge: Edge, minutes: int, **exceptions: object) -> DailySchedule:
    return DailySchedule(HOURS, calendar(**exceptions), edge, timedelta(minutes=minutes))


def test_a_look_before_the_session_is_due_once_on_each_day_that_has_one() -> None:
    before = schedule(Edge.START, -15, closed=["2026-03-04"])
    # 08:00 in Bogota is 13:00 in UTC; the 7th and 8th are a weekend.
    assert due_after(before, MONDAY, 5) == [
        "03-02 12:45", "03-03 12:45", "03-05 12:45", "03-06 12:45", "03-09 12:45",
    ]  # fmt: skip


def test_a_report_is_due_after_the_end_of_that_days_session() -> None:
    after = schedule(Edge.END, 10, early_close={"2026-03-03": "11:00"})
    assert due_after(after, MONDAY, 3) == ["03-02 18:05", "03-03 16:10", "03-04 18:05"]


def test_the_newest_that_is_due_is_that_of_the_last_session() -> None:
    after = schedule(Edge.END, 10)
    tick = after.latest_due(MONDAY + timedelta(hours=18, minutes=4))
    assert tick is not None
    assert f"{tick.at:%m-%d %H:%M}" == "02-27 17:55"
    tick = after.latest_due(MONDAY + timedelta(hours=18, minutes=5))
    assert tick is not None
    assert tick.name == "2026-03-02T17:55:00.000000+00:00"


def test_a_look_that_is_due_on_the_evening_before_is_found() -> None:
    hours = TradingHours(start_hour=0, start_minute=5)
    known = SessionCalendar(hours, CalendarSettings())
    before = DailySchedule(hours, known, Edge.START, -timedelta(minutes=15))
    at = datetime(2026, 3, 3, 4, 55, tzinfo=UTC)  # 23:55 in Bogota, on Monday
    tick = before.latest_due(at)
    assert tick is not None
    assert tick.at == at + timedelta(minutes=10)


def test_where_no_session_is_known_of_nothing_is_due() -> None:
    unknown = calendar(known_until="2026-01-01")
    daily = DailySchedule(HOURS, unknown, Edge.END, timedelta(minutes=10))
    assert daily.next_tick(MONDAY) is None
    assert daily.latest_due(MONDAY) is None
    assert coming_session(HOURS, unknown, MONDAY) is None


def test_the_coming_session_is_the_open_one_until_its_last_instant() -> None:
    session = session_of(date(2026, 3, 6), HOURS, calendar())
    assert session is not None
    assert coming_session(HOURS, calendar(), session.ends_at) == session
    following = coming_session(HOURS, calendar(), session.ends_at + timedelta(seconds=1))
    assert following is not None
    assert following.day == date(2026, 3, 9)
    assert past_session(HOURS, calendar(), following.day) == session
    assert session_of(date(2026, 3, 7), HOURS, calendar()) is None
