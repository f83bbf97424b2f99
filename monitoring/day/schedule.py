"""When something is due once for each session: before its start, or after its end."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple

from config.settings import TradingHours
from monitoring.schedule import Tick
from risk.calendar import SessionCalendar

__all__ = ["DailySchedule", "Edge", "Opening", "coming_session", "past_session", "session_of"]

_DAYS_AHEAD: Final = 400
_DAYS_BACK: Final = 31


class Edge(StrEnum):
    """The end of a session that something is due at."""

    START = "start"
    END = "end"


class Opening(NamedTuple):
    """A session.

    Attributes:
        day: its date in the desk's time zone.
        starts_at, ends_at: first and last instant, UTC.
    """

    day: date
    starts_at: datetime
    ends_at: datetime


def session_of(day: date, hours: TradingHours, calendar: SessionCalendar) -> Opening | None:
    """The session of a date; None when it has none."""
    start = datetime.combine(day, hours.start, hours.zone)
    ends_at = calendar.status(start).ends_at
    if ends_at is None:
        return None
    return Opening(day, start.astimezone(UTC), ends_at.astimezone(UTC))


def coming_session(hours: TradingHours, calendar: SessionCalendar, now: datetime) -> Opening | None:
    """The session that is open, or else the next one; None when none is known of."""
    for offset in range(_DAYS_BACK):
        found = session_of(calendar.day(now) + timedelta(days=offset), hours, calendar)
        if found is not None and now <= found.ends_at:
            return found
    return None


def past_session(hours: TradingHours, calendar: SessionCalendar, before: date) -> Opening | None:
    """The last session on a day before this one; None when none is known of."""
    for offset in range(1, _DAYS_BACK):
        found = session_of(before - timedelta(days=offset), hours, calendar)
        if found is not None:
            return found
    return None


class DailySchedule:
    """One tick for each session. A tick's time is the edge that it is about.

    Args:
        hours: the session, and its time zone.
        calendar: which days have one, and when it ends.
        edge: the end of a session that it is about.
        offset: from that edge to when it is due; below 0 is before it.
    """

    def __init__(
        self, hours: TradingHours, calendar: SessionCalendar, edge: Edge, offset: timedelta
    ) -> None:
        self._hours, self._calendar, self._edge, self._offset = hours, calendar, edge, offset

    def next_tick(self, after: datetime) -> Tick | None:
        """The first that is due later than this."""
        # The look before a session may be due on the evening before.
        for offset in range(-2, _DAYS_AHEAD):
            tick = self._tick(after, offset)
            if tick is not None and tick.due > after:
                return tick
        return None

    def latest_due(self, now: datetime) -> Tick | None:
        """The newest that is due by now."""
        for offset in range(2, -_DAYS_BACK, -1):
            tick = self._tick(now, offset)
            if tick is not None and tick.due <= now:
                return tick
        return None

    def _tick(self, now: datetime, offset: int) -> Tick | None:
        day = self._calendar.day(now) + timedelta(days=offset)
        session = session_of(day, self._hours, self._calendar)
        if session is None:
            return None
        at = session.starts_at if self._edge is Edge.START else session.ends_at
        return Tick(at, at + self._offset)
