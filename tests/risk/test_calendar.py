"""What the calendar says at an instant, whatever it was asked before."""

from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.settings import CalendarSettings, TradingHours
from risk.calendar import SessionCalendar, SessionStatus

BOGOTA = TradingHours().zone
HALF_DAY = date(2026, 3, 3)
EXCEPTIONS = CalendarSettings(early_close={HALF_DAY: time(10, 30, 15)})
USED = SessionCalendar(TradingHours(), EXCEPTIONS)


def told(text: str, calendar: SessionCalendar = USED) -> SessionStatus:
    return calendar.status(datetime.fromisoformat(text).replace(tzinfo=BOGOTA).astimezone(UTC))


@pytest.mark.parametrize("clock", ["08:00", "09:30", "12:55"])
def test_a_session_is_open_to_both_of_its_ends(clock: str) -> None:
    status = told(f"2026-03-02T{clock}")
    assert (status.day, status.closure) == (date(2026, 3, 2), None)
    assert status.ends_at == datetime(2026, 3, 2, 17, 55, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("2026-03-02T07:59:59.900", "it is 07:59:59; the session is 08:00:00 to 12:55:00 "),
        ("2026-03-02T12:55:00.000001", "it is 12:55:00; the session is 08:00:00 to 12:55:00 "),
        ("2026-03-03T10:30:16", "it is 10:30:16; the session is 08:00:00 to 10:30:15 "),
    ],
)
def test_outside_of_its_hours_a_day_says_what_time_it_is_and_when_they_are(
    text: str, message: str
) -> None:
    status = told(text)
    assert status.closure is not None
    assert not status.closure.holiday
    assert status.closure.message == f"{message}America/Bogota"
    assert status.ends_at is not None


def test_a_session_to_the_end_of_the_day_has_no_gap_in_its_last_second() -> None:
    hours = TradingHours(start_hour=9, end_hour=23, end_minute=59, end_second=59)
    calendar = SessionCalendar(hours, CalendarSettings())
    assert told("2026-03-02T23:59:59.999999", calendar).closure is None
    closure = told("2026-03-02T08:00", calendar).closure
    assert closure is not None
    assert closure.message.startswith("it is 08:00:00; the session is 09:00:00 to 23:59:59 ")


@given(seconds=st.integers(0, 21 * 86_400))
def test_what_was_asked_before_changes_no_answer(seconds: int) -> None:
    now = datetime(2026, 2, 25, tzinfo=UTC) + timedelta(seconds=seconds)
    assert USED.status(now) == SessionCalendar(TradingHours(), EXCEPTIONS).status(now)
