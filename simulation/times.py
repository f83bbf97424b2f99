"""Instants as a desk reads them."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

__all__ = ["local_text"]


def local_text(instant: int | datetime, zone: str) -> str:
    """An instant with the offset of a zone, to the second.

    Args:
        instant: aware, or seconds since 1970-01-01 UTC.
        zone: IANA name.

    >>> local_text(1_772_456_700, "America/Bogota")
    '2026-03-02T08:05:00-05:00'
    """
    at = instant if isinstance(instant, datetime) else datetime.fromtimestamp(instant, UTC)
    return at.astimezone(ZoneInfo(zone)).isoformat(timespec="seconds")
