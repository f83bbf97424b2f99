"""When drift is checked: at every full interval of a session, and once more at its end.

A session from 08:00 to 12:55 that is checked every hour is checked at 09:00, 10:00, 11:00, 12:00
and 13:00, each time a minute later, so that the last bar of the hour is in.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final, Protocol

from config.settings import TradingHours
from risk.calendar import SessionCalendar
from risk.events import timestamp

__all__ = ["DELAY", "Schedule", "SessionSchedule", "Tick"]

DELAY: Final = timedelta(minutes=1)
"""How long after its time a check begins."""

_DAYS_AHEAD: Final = 400
_DAYS_BACK: Final = 31
_DAY_MINUTES: Final = 24 * 60


@dataclass(frozen=True, slots=True)
class Tick:
    """One check that is to be made.

    Attributes:
        at: the end of the time that is looked at, UTC.
        due: when it is to begin, UTC.
    """

    at: datetime
    due: datetime

    @property
    def name(self) -> str:
        """The same in every process: its time as ISO 8601 in UTC."""
        return timestamp(self.at)


class Schedule(Protocol):
    """When checks are due."""

    def next_tick(self, after: datetime) -> Tick | None:
        """The first that is due later than this; None when none is known of."""
        ...

    def latest_due(self, now: datetime) -> Tick | None:
        """The newest that is due by now; None when there was none in the last month."""
        ...


class SessionSchedule:
    """Checks within the sessions of a calendar.

    Args:
        hours: the session, and its time zone.
        calendar: which days have one, and when it ends.
        interval_minutes: from one check to the next, from the session's start on.
        delay: between the time that a check is about and its beginning.
    """

    def __init__(
        self,
        hours: TradingHours,
        calendar: SessionCalendar,
        interval_minutes: int,
        delay: timedelta = DELAY,
    ) -> None:
        self._hours, self._calendar = hours, calendar
        self._interval = timedelta(minutes=interval_minutes)
        self._delay = delay
        # The last check of a day may be on a day after it.
        self._days_late = 2 + interval_minutes // _DAY_MINUTES

    def next_tick(self, after: datetime) -> Tick | None:
        """The first that is due later than this."""
        today = self._calendar.day(after)
        for offset in range(-self._days_late, _DAYS_AHEAD):
            for tick in self._ticks(today + timedelta(days=offset)):
                if tick.due > after:
                    return tick
        return None

    def latest_due(self, now: datetime) -> Tick | None:
        """The newest that is due by now."""
        today = self._calendar.day(now)
        for offset in range(_DAYS_BACK + self._days_late):
            due = [t for t in self._ticks(today - timedelta(days=offset)) if t.due <= now]
            if due:
                return due[-1]
        return None

    def _ticks(self, day: date) -> Iterator[Tick]:
        start = datetime.combine(day, self._hours.start, self._hours.zone)
        ends_at = self._calendar.status(start).ends_at
        if ends_at is None:
            return
        at, end = start.astimezone(UTC), ends_at.astimezone(UTC)
        while at < end:
            at += self._interval
            yield Tick(at, at + self._delay)
