"""How P&L and drawdown went over a day, read from what is on record."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import NamedTuple

from risk.events import Event, EventKind
from risk.fixed_point import from_nano
from risk.fold import fold
from risk.ledger.protocol import Ledger
from risk.state import RiskState

__all__ = ["DayCourse", "Point", "thinned"]

_KINDS = (
    EventKind.TRADE_RESULT,
    EventKind.MARK,
    EventKind.RESET,
    EventKind.BREAKER_TRIPPED,
    EventKind.BREAKER_RELEASED,
)
"""All that P&L, drawdown and the mark that a day begins with follow from."""

_PAGE = 500
_MOST = 20_000
_DECISIONS_LOOKED_AT = 5


class Point(NamedTuple):
    """Where the book stood after an event.

    Attributes:
        at: aware, UTC.
        daily_pnl: of its day, open mark included, fraction of capital.
        drawdown: 0 or negative, fraction of capital.
    """

    at: datetime
    daily_pnl: float
    drawdown: float


class DayCourse:
    """The course of one day after the other. What was read is not read again. For one thread.

    Args:
        ledger: of the book.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._day: date | None = None
        self._state = RiskState()
        self._sequence = 0
        self._points: list[Point] = []

    def points(self, state: RiskState, day: date) -> Sequence[Point]:
        """The course of a day so far, oldest first; empty while nothing has moved it.

        Args:
            state: of the newest head.
            day: the session date.

        Raises:
            StoreError: the ledger cannot be read.
        """
        if day != self._day:
            self._begin(state, day)
        for event in reversed(self._newer_than(self._sequence)):
            self._state = fold(self._state, event)
            self._sequence = event.sequence
            if event.day == day:
                self._points.append(_point(event, self._state))
        return self._points

    def _begin(self, state: RiskState, day: date) -> None:
        """Stand before the first event of the day."""
        today = self._newer_than(0, since=day)
        if today:
            before = today[-1].sequence
            self._state = self._state_on_record(before)
            self._sequence = self._state.sequence
        else:
            self._state, self._sequence = state, state.sequence
        self._day, self._points = day, []

    def _state_on_record(self, before: int) -> RiskState:
        """The newest state that a decision of before was judged on; that of an empty ledger."""
        decisions = self._ledger.recent(
            [EventKind.DECISION], limit=_DECISIONS_LOOKED_AT, before=before
        )
        for event in decisions:
            if event.payload.get("state") is not None:
                return RiskState.from_json(event.payload["state"])
        return RiskState()

    def _newer_than(self, sequence: int, since: date | None = None) -> list[Event]:
        """Events beyond a place, newest first; those of before the date `since` are left out."""
        found: list[Event] = []
        while len(found) < _MOST:
            before = found[-1].sequence if found else None
            page = self._ledger.recent(_KINDS, limit=_PAGE, before=before)
            for event in page:
                if event.sequence <= sequence or (since is not None and event.day < since):
                    return found
                found.append(event)
            if len(page) < _PAGE:
                break
        return found


def thinned(points: Sequence[Point], most: int) -> list[Point]:
    """Few enough points to draw: the extremes of each stretch, the first and the last.

    Args:
        points: oldest first.
        most: that are kept, 6 or more.
    """
    if len(points) <= most:
        return list(points)
    length = -(-len(points) // ((most - 2) // 4))
    kept = {0, len(points) - 1}
    for begin in range(0, len(points), length):
        stretch = range(begin, min(begin + length, len(points)))
        for extreme in (min, max):
            kept.add(extreme(stretch, key=lambda place: points[place].daily_pnl))
            kept.add(extreme(stretch, key=lambda place: points[place].drawdown))
    return [points[place] for place in sorted(kept)]


def _point(event: Event, state: RiskState) -> Point:
    return Point(event.at, from_nano(state.daily_pnl), from_nano(state.drawdown))
