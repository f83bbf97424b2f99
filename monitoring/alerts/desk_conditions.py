"""What a desk must be told of: a silent feed, an old mark, an order without an outcome.

Each is measured on what is used: a desk that brings vectors has no feed that could be silent, and
one that never reports a mark is not asked for one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final

from features.bars import BAR_SECONDS
from monitoring.alerts.causes import Cause, Condition, Look
from risk.calendar import SessionCalendar, SessionStatus
from risk.fixed_point import from_nano
from risk.state import RiskState

__all__ = [
    "IN_USE",
    "DeskRules",
    "MarkWatch",
    "feed_look",
    "order_conditions",
    "preflight_look",
]

IN_USE: Final = timedelta(days=7)
"""Bars whose newest is older than this are not in use; the longest closure is shorter."""

_SHOWN_ORDERS: Final = 5
_SERVICE: Final = "service:"


@dataclass(frozen=True, slots=True)
class DeskRules:
    """How long something may be missing.

    Attributes:
        feed: without a new bar, in an open session.
        mark: since the newest mark, in an open session, while a position is held.
        order: after the end of an approval, without an outcome of the order.
    """

    feed: timedelta = timedelta(minutes=15)
    mark: timedelta = timedelta(minutes=30)
    order: timedelta = timedelta(minutes=5)


def feed_look(
    newest_bar: datetime | None, calendar: SessionCalendar, now: datetime, rules: DeskRules
) -> Look:
    """Whether bars arrive, in a session that has been open for long enough.

    Args:
        newest_bar: start of the newest bar, aware; None when there is none.
        calendar: of sessions.
        now: aware.
        rules: how long it may be silent.
    """
    judged = frozenset({Cause.FEED})
    if newest_bar is None or now - newest_bar > IN_USE or not _open_for(rules.feed, calendar, now):
        return Look((), judged)
    known_at = newest_bar + timedelta(seconds=BAR_SECONDS)
    if now - known_at < rules.feed:
        return Look((), judged)
    minutes = (now - known_at).total_seconds() / 60
    words = (
        f"the session is open, and the newest bar ended {minutes:.0f} minutes ago; nothing newer "
        "reached POST /v1/market/bars"
    )
    return Look((Condition(Cause.FEED, "bars", words),), judged)


def _open_for(duration: timedelta, calendar: SessionCalendar, now: datetime) -> bool:
    session, before = calendar.status(now), calendar.status(now - duration)
    return session.closure is None and before.closure is None and before.day == session.day


@dataclass
class MarkWatch:
    """Remembers since when a position is held in an open session; a mark before that may be old."""

    _since: datetime | None = None

    def look(
        self, state: RiskState, session: SessionStatus, now: datetime, rules: DeskRules
    ) -> Look:
        """Whether what is held is marked.

        Args:
            state: of the book, rolled to the session date.
            session: now.
            now: aware.
            rules: how old a mark may be.
        """
        judged = frozenset({Cause.MARK})
        held = 0 if state.position is None else state.position.value
        if held == 0 or session.closure is not None or state.mark_as_of is None:
            self._since = None
            return Look((), judged)
        if self._since is None or self._since > now:
            self._since = now
        if now - state.mark_as_of < rules.mark:
            return Look((), judged)
        if now - self._since < rules.mark:
            return Look()  # it may be about a position of before; nobody can tell yet
        minutes = (now - state.mark_as_of).total_seconds() / 60
        words = (
            f"{from_nano(held):+.2%} of capital is held, and the newest mark is {minutes:.0f} "
            "minutes old; until the next one the limits do not see what it loses"
        )
        return Look((Condition(Cause.MARK, "position", words),), judged)


def order_conditions(state: RiskState, now: datetime, rules: DeskRules) -> Iterator[Condition]:
    """Approved entries whose outcome is overdue.

    Args:
        state: of the book, rolled to the session date.
        now: aware.
        rules: how long after the end of its approval.
    """
    overdue = [order for order in state.orders if now - order.valid_until >= rules.order]
    if not overdue:
        return
    names = ", ".join(repr(order.order_id) for order in overdue[:_SHOWN_ORDERS])
    more = f" and {len(overdue) - _SHOWN_ORDERS} more" if len(overdue) > _SHOWN_ORDERS else ""
    yield Condition(
        Cause.ORDER,
        "unresolved",
        f"no outcome of {names}{more} is on record, approved until "
        f"{overdue[0].valid_until:%H:%M:%S %Z}; report its result, or release it",
    )


def preflight_look(newest: Mapping[str, Any] | None, session: SessionStatus, now: datetime) -> Look:
    """Whether the newest look before a session found the book not armed.

    It stands until a newer look finds it armed, or until that session is over. Only a look of the
    service is told: who looks by command has seen it.

    Args:
        newest: as it is kept; None before the first.
        session: of today.
        now: aware.
    """
    judged = frozenset({Cause.PREFLIGHT})
    if newest is None or newest.get("state") != "not armed" or newest.get("session") is None:
        return Look((), judged)
    day = date.fromisoformat(newest["session"])
    ended = day == session.day and (session.ends_at is None or now > session.ends_at)
    if day < session.day or ended:
        return Look((), judged)
    reasons = "; ".join(
        f"{check['name']}: {check['found']}"
        for check in newest.get("checks", ())
        if check.get("state") == "not armed"
    )
    words = f"not armed for the session of {day}: {reasons}"
    by_service = str(newest.get("by")).startswith(_SERVICE)
    return Look((Condition(Cause.PREFLIGHT, "session", words, opens=by_service),), judged)
