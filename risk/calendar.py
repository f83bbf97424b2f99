"""When entries may be approved: hours, trading days, holidays and dated exceptions.

Holidays are those of Colombia and the US federal ones, since USD/COP settles in both. A US
holiday on a Saturday is "observed" by federal offices on the Friday before, on which the
Federal Reserve is open, so that Friday is a trading day here. 31 December has no session.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from functools import lru_cache
from typing import NamedTuple

import holidays

from config.settings import CalendarSettings, TradingHours
from errors import ConfigurationError

__all__ = ["Closure", "SessionCalendar", "SessionStatus"]

_FRIDAY = 4
_LAST_SECOND = time(23, 59, 59)


@dataclass(frozen=True, slots=True)
class Closure:
    """Why a date, or an instant, has no session.

    Attributes:
        holiday: True for a holiday, False for an hour or a weekday outside the session.
        message: the reason in words.
    """

    holiday: bool
    message: str


class SessionStatus(NamedTuple):
    """Whether the session is open at an instant.

    Attributes:
        day: the date in the desk's time zone.
        closure: why it is closed; None when it is open.
        ends_at: last instant of the day's session, aware; None on a day without one.
    """

    day: date
    closure: Closure | None
    ends_at: datetime | None


class _Session(NamedTuple):
    """A date: when its session opens, and what is told while it is open.

    A date without a session is told to be closed at any time.
    """

    opens_at: datetime
    told: SessionStatus


class SessionCalendar:
    """Sessions by date.

    Args:
        hours: session hours, inclusive at both ends, and weekdays.
        exceptions: closed and opened dates, early closes, and how far the holidays are known.

    Raises:
        ConfigurationError: a date closes early that has no session.
    """

    def __init__(self, hours: TradingHours, exceptions: CalendarSettings) -> None:
        self._hours = hours
        self._exceptions = exceptions
        self._zone = hours.zone
        self._session_of = lru_cache(maxsize=64)(self._find_session)
        for day in exceptions.early_close:
            closure = self._session_of(day).told.closure
            if closure is not None:
                raise ConfigurationError(
                    f"calendar.early_close names {day}, which has no session: {closure.message}; "
                    "name it in calendar.open too, or leave it out"
                )

    @property
    def session_seconds(self) -> int:
        """Length of an ordinary session."""
        start, end = (datetime.combine(date.min, at) for at in (self._hours.start, self._hours.end))
        return int((end - start).total_seconds())

    def day(self, now: datetime) -> date:
        """The date in the desk's time zone."""
        return now.astimezone(self._zone).date()

    def status(self, now: datetime) -> SessionStatus:
        """Whether the session is open now, and why not."""
        local = now.astimezone(self._zone)
        opens_at, told = self._session_of(local.date())
        if told.ends_at is None or opens_at <= local <= told.ends_at:
            return told
        closure = Closure(
            holiday=False,
            message=f"it is {_clock(local.time())}; the session is {_clock(self._hours.start)} to "
            f"{_clock(told.ends_at.time())} {self._hours.timezone}",
        )
        return SessionStatus(told.day, closure, told.ends_at)

    def _find_session(self, day: date) -> _Session:
        opens_at = datetime.combine(day, self._hours.start, self._zone)
        closure = self._find_closure(day)
        if closure is not None:
            return _Session(opens_at, SessionStatus(day, closure, None))
        ends_at = datetime.combine(day, self._end(day), self._zone)
        return _Session(opens_at, SessionStatus(day, None, ends_at))

    def _end(self, day: date) -> time:
        end = self._exceptions.early_close.get(day, self._hours.end)
        # A session that lasts until midnight has no gap in its last second.
        return time.max if end == _LAST_SECOND else end

    def _find_closure(self, day: date) -> Closure | None:
        """Why a date has no session at all; dated exceptions win over calendars."""
        if day in self._exceptions.open:
            return None
        if day in self._exceptions.closed:
            return Closure(holiday=True, message=f"{day} is closed by the configuration")
        if day.weekday() not in self._hours.trading_days:
            return Closure(holiday=False, message=f"{day:%A} is no trading day")
        if not self._exceptions.countries:
            return None
        if day > self._exceptions.known_until:
            return Closure(
                holiday=True,
                message=f"holidays are known until {self._exceptions.known_until}; "
                "set calendar.known_until when those of later days are",
            )
        return self._holiday(day)

    def _holiday(self, day: date) -> Closure | None:
        if (day.month, day.day) == (12, 31):
            return Closure(holiday=True, message="31 December has no session")
        countries = self._exceptions.countries
        names = {country: _holiday_name(country, day) for country in countries}
        if names.get("CO"):
            return Closure(holiday=True, message=f"holiday in Colombia: {names['CO']}")
        if names.get("US") and not self._hours.trade_on_us_holidays:
            return Closure(
                holiday=True,
                message=f"holiday in the United States: {names['US']}; it settles next day "
                "(trade_on_us_holidays is false)",
            )
        return None


def _clock(at: time) -> str:
    return at.isoformat("seconds")


def _holiday_name(country: str, day: date) -> str | None:
    name: str | None = _holidays(country, day.year).get(day)
    # Only a Saturday holiday is observed on a Friday.
    if country == "US" and name and day.weekday() == _FRIDAY and name.endswith("(observed)"):
        return None
    return name


@lru_cache(maxsize=64)
def _holidays(country: str, year: int) -> Mapping[date, str]:
    found: Mapping[date, str] = holidays.country_holidays(country, years=year, language="en_US")
    return dict(found)
