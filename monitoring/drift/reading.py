"""From the ledger's events to the vectors that a drift check looks at."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from datetime import date, datetime, timedelta
from typing import Final

from config.settings import TradingHours
from monitoring.drift.recorded import Recorded, Row, row_of
from risk.calendar import SessionCalendar
from risk.events import EventKind
from risk.ledger.protocol import Ledger, Record

__all__ = ["has_session", "read_on", "trading_days"]

_PAGE: Final = 1_000
_EPOCH: Final = date(1970, 1, 1)


def read_on(
    known: Recorded,
    ledger: Ledger,
    names: tuple[str, ...],
    hours: TradingHours,
    calendar: SessionCalendar,
) -> Recorded:
    """Add what the ledger holds beyond the newest event that was read.

    A ledger that is not the one that was read, or went back behind it, is read from its start.

    Args:
        known: what was read before.
        ledger: of the book.
        names: of the columns; vectors of another length do not count.
        hours: of the session.
        calendar: which days are trading days.

    Raises:
        StoreError: the ledger cannot be read.
    """
    width = len(names)
    if not _continues(known, ledger):
        known = Recorded.empty(known.schema, width)
    while True:
        page = ledger.scan(after=known.sequence, limit=_PAGE)
        if not page:
            return known
        rows = [row for record in page if (row := _row(record, width)) is not None]
        known = known.with_rows(rows, hours).read_until(page[-1].sequence, page[-1].hash)
        known = known.trimmed(names, hours, trading_days(known.days(hours), hours, calendar))


def trading_days(
    days: Iterable[int], hours: TradingHours, calendar: SessionCalendar
) -> frozenset[int]:
    """Which of these days (since 1970-01-01) have a session."""
    return frozenset(filter(has_session(hours, calendar), days))


def has_session(hours: TradingHours, calendar: SessionCalendar) -> Callable[[int], bool]:
    """Tells of a day (since 1970-01-01) whether it has a session."""

    def has(day: int) -> bool:
        opens_at = datetime.combine(_EPOCH + timedelta(days=day), hours.start, hours.zone)
        return calendar.status(opens_at).ends_at is not None

    return has


def _continues(known: Recorded, ledger: Ledger) -> bool:
    if known.sequence == 0:
        return True
    newest = ledger.scan(after=known.sequence - 1, limit=1)
    return bool(newest) and (newest[0].sequence, newest[0].hash) == (known.sequence, known.hash)


def _row(record: Record, width: int) -> Row | None:
    if record.kind != EventKind.DECISION:
        return None
    content = json.loads(record.body)
    row = row_of(content["payload"], datetime.fromisoformat(content["at"]))
    return row if row is not None and len(row.vector) == width else None
