"""What tells a monitor that the service lives."""

from __future__ import annotations

from typing import Protocol

__all__ = ["BeatFailed", "Pulse"]


class BeatFailed(Exception):
    """The monitor did not take the call. The text does not hold its address."""


class Pulse(Protocol):
    """Tells a monitor, which knows by its silence that something is wrong."""

    def beat(self) -> None:
        """Tell it once, on the caller's thread.

        Raises:
            BeatFailed: it was not told.
        """
        ...
