"""The cache of feature vectors: what it promises (`FeatureCache`), and one in memory.

The clock is an argument. An entry can be read for the time to live after it was put. When the
clock of a process jumps back, what lay there before is not served to that process any more:
nobody can say how old an entry is, and a vector is cheap to send again.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from config.settings import CacheSettings
from errors import InvalidRequest
from features.evidence import Evidence
from features.seen_clock import SeenClock, instant

__all__ = [
    "CacheStats",
    "CachedVector",
    "FeatureCache",
    "MemoryFeatureCache",
    "Reads",
    "cached_vector",
]


@dataclass(frozen=True, eq=False)
class CachedVector:
    """A vector, the time it belongs to, and what it was made of.

    Attributes:
        timestamp: of the observation, in UTC.
        vector: float32, shape (number of features,), read-only, in schema order.
        evidence: of a vector that the service computed; None for a caller's own.
    """

    timestamp: datetime
    vector: NDArray[np.float32]
    evidence: Evidence | None = None


@dataclass(frozen=True)
class CacheStats:
    """What the cache did since this process made it.

    Attributes:
        hits: reads that found a vector.
        misses: reads that found none.
        hit_rate: hits among reads, in [0, 1]; 0 before the first read.
        size: entries held.
        evictions: entries pushed out by this process because the cache was full.
        ttl_seconds: time to live.
        backend: where the entries lie.
        degraded: why that is not where they should lie; None when it is.
    """

    hits: int
    misses: int
    hit_rate: float
    size: int
    evictions: int
    ttl_seconds: int
    backend: str
    degraded: str | None = None


class FeatureCache(Protocol):
    """Feature vectors of one book by the timestamp of their observation. Thread-safe.

    Timestamps and `now` are aware; timestamps of the same instant in different zones are one
    key. A naive one, or anything that is no datetime, is an InvalidRequest. A cache outside of
    this process raises StoreError when it cannot be reached or is damaged.
    """

    @property
    def degraded(self) -> str | None:
        """Why this cache goes without its store; None when it does not, or has none."""
        ...

    @property
    def reads(self) -> Reads:
        """What reads found since this process made it; waits for nothing."""
        ...

    def put(
        self,
        timestamp: datetime,
        vector: NDArray[np.float32],
        now: datetime,
        evidence: Evidence | None = None,
    ) -> None:
        """Keep a vector of finite numbers; one with the same timestamp is replaced."""
        ...

    def get(self, timestamp: datetime, now: datetime) -> CachedVector | None:
        """Read one vector; None when there is none or it has expired."""
        ...

    def get_many(self, timestamps: Sequence[datetime], now: datetime) -> list[CachedVector | None]:
        """Read several in one go, in the order asked for."""
        ...

    def latest(self, now: datetime) -> CachedVector | None:
        """Read the vector with the newest timestamp."""
        ...

    def stats(self) -> CacheStats:
        """Say what the cache did so far."""
        ...

    def close(self) -> None:
        """Release what is held open. Closing twice is harmless."""
        ...


class MemoryFeatureCache:
    """A `FeatureCache` in this process: when it is full, what was put first goes first.

    Args:
        book: whose vectors these are; part of every key.
        settings: time to live and number of entries.
    """

    degraded = None

    def __init__(self, book: str, settings: CacheSettings) -> None:
        self._book = book
        self._ttl = timedelta(seconds=settings.ttl_seconds)
        self._max_entries = settings.max_entries
        self._entries: OrderedDict[tuple[str, datetime], tuple[CachedVector, datetime]]
        self._entries = OrderedDict()  # the vector and when it was put
        self._clock, self.reads, self._evictions = SeenClock(), Reads(), 0
        self._lock = threading.Lock()

    def put(
        self,
        timestamp: datetime,
        vector: NDArray[np.float32],
        now: datetime,
        evidence: Evidence | None = None,
    ) -> None:
        """Keep a copy of the vector. See `FeatureCache`."""
        kept = cached_vector(timestamp, vector, evidence)
        key = self._book, kept.timestamp
        with self._lock:
            self._advance(now)
            self._entries.pop(key, None)
            self._entries[key] = kept, self._clock.newest
            while len(self._entries) > self._max_entries:
                self._entries.popitem(last=False)
                self._evictions += 1

    def get(self, timestamp: datetime, now: datetime) -> CachedVector | None:
        """Read one vector. See `FeatureCache`."""
        return self.get_many([timestamp], now)[0]

    def get_many(self, timestamps: Sequence[datetime], now: datetime) -> list[CachedVector | None]:
        """Read several vectors under one lock. See `FeatureCache`."""
        keys = [(self._book, instant(timestamp, "timestamp")) for timestamp in timestamps]
        with self._lock:
            self._advance(now)
            entries = [self._entries.get(key) for key in keys]
        return self.reads.counted([None if entry is None else entry[0] for entry in entries])

    def latest(self, now: datetime) -> CachedVector | None:
        """Read the newest vector; looks at every entry. See `FeatureCache`."""
        with self._lock:
            self._advance(now)
            key = max(self._entries, default=None)
            found = None if key is None else self._entries[key][0]
        return self.reads.counted([found])[0]

    def stats(self) -> CacheStats:
        """Say what the cache did so far. See `FeatureCache`."""
        with self._lock:
            return CacheStats(
                hits=self.reads.hits,
                misses=self.reads.misses,
                hit_rate=self.reads.hit_rate,
                size=len(self._entries),
                evictions=self._evictions,
                ttl_seconds=int(self._ttl.total_seconds()),
                backend="memory",
            )

    def close(self) -> None:
        """Nothing is held open."""

    def _advance(self, now: datetime) -> None:
        """Drop what has expired, and everything when the clock has jumped back."""
        if self._clock.jumps_back(now):
            self._entries.clear()
        # Entries lie in the order in which they were put: the first fresh one ends the search.
        while self._entries:
            key, (_, put_at) = next(iter(self._entries.items()))
            if self._clock.newest - put_at < self._ttl:
                break
            del self._entries[key]


class Reads:
    """Counts what reads found. Thread-safe."""

    def __init__(self) -> None:
        self.hits = self.misses = 0
        self._lock = threading.Lock()

    @property
    def hit_rate(self) -> float:
        """Hits among reads; 0 before the first one."""
        return self.hits / (self.hits + self.misses) if self.hits else 0.0

    def counted(self, found: Iterable[CachedVector | None]) -> list[CachedVector | None]:
        """The same, with each of them counted as one read."""
        answers = list(found)
        misses = answers.count(None)
        with self._lock:
            self.hits += len(answers) - misses
            self.misses += misses
        return answers


def cached_vector(
    timestamp: datetime, vector: NDArray[np.float32], evidence: Evidence | None
) -> CachedVector:
    """Checked, and copied, so that neither the writer nor a reader can change what is kept."""
    kept = np.array(vector, dtype=np.float32)
    if kept.ndim != 1 or not np.isfinite(kept).all():
        raise InvalidRequest(
            f"a cached vector must be one row of finite numbers; got shape {kept.shape}"
        )
    kept.setflags(write=False)
    return CachedVector(instant(timestamp, "timestamp"), kept, evidence)
