"""How long one-row calls of a model take."""

from collections import deque
from dataclasses import dataclass
from threading import Lock

import numpy as np

__all__ = ["LatencySummary", "LatencyWindow"]


@dataclass(frozen=True, slots=True)
class LatencySummary:
    """Percentiles over the newest calls.

    Args:
        count: calls since the model was loaded.
        p50_ms: median in milliseconds; None before the first call.
        p99_ms: 99th percentile in milliseconds; None before the first call.
    """

    count: int
    p50_ms: float | None
    p99_ms: float | None


class LatencyWindow:
    """The newest durations, at most `size` of them. Safe to use from several threads.

    >>> window = LatencyWindow(size=2)
    >>> for nanoseconds in (9_000_000, 1_000_000, 3_000_000):
    ...     window.add(nanoseconds)
    >>> window.summary().count, window.summary().p50_ms
    (3, 2.0)
    """

    def __init__(self, size: int = 1024) -> None:
        self._newest: deque[int] = deque(maxlen=size)
        self._count = 0
        self._lock = Lock()

    def add(self, nanoseconds: int) -> None:
        """Note one call."""
        with self._lock:
            self._newest.append(nanoseconds)
            self._count += 1

    def summary(self) -> LatencySummary:
        """Percentiles of what is in the window now."""
        with self._lock:
            newest, count = list(self._newest), self._count
        if not newest:
            return LatencySummary(count=0, p50_ms=None, p99_ms=None)
        p50, p99 = np.percentile(newest, [50, 99]) / 1e6
        return LatencySummary(count=count, p50_ms=float(p50), p99_ms=float(p99))
