"""The time as callers tell it, which may jump back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from errors import InvalidRequest

__all__ = ["CLOCK_JITTER", "SeenClock", "instant"]

CLOCK_JITTER: Final = timedelta(seconds=5)
"""A clock behind by less than this is taken as standing still: callers read it at slightly
different moments."""


class SeenClock:
    """The newest time that a process has seen; it is the time to go by. Not thread-safe."""

    def __init__(self) -> None:
        self.newest = datetime.min.replace(tzinfo=UTC)

    def jumps_back(self, now: datetime) -> bool:
        """Take notice of the time, and say whether the clock has jumped back."""
        now = instant(now, "now")
        jumps = self.newest - now > CLOCK_JITTER
        self.newest = now if jumps else max(self.newest, now)
        return jumps


def instant(moment: object, name: str) -> datetime:
    """The same moment in UTC; InvalidRequest when it is none, under this name."""
    try:
        if isinstance(moment, datetime) and moment.utcoffset() is not None:
            return moment.astimezone(UTC)
    except OverflowError:  # it has no UTC: one in the first or last hours of what there is
        pass
    raise InvalidRequest(
        f"{name} is {moment!r}; it must be a time with a zone, like 2025-01-02T13:00:00Z"
    )
