"""The cache of feature vectors: what it promises (`FeatureCache`), and one in memory.

The clock is an argument. An entry can be read for the time to live after it was put, and once seen
expired it is gone. When the clock jumps back, everything is dropped: nobody can say how old an
entry is, and a vector is cheap to send again.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from config.settings import CacheSettings
from errors import InvalidRequest

__all__ = ["CacheStats", "CachedVector", "FeatureCache", "MemoryFeatureCache"]

CLOCK_JITTER: Final = timedelta(seconds=5)
"""A clock behind by less than this is taken as standing still: callers read it at slightly
different moments."""


@dataclass(frozen=True, eq=False)
class CachedVector:
    """A vector and the bar it belongs to.

    Attributes:
        timestamp: of the observation, in UTC.
        vector: float32, shape (number of features,), read-only, in schema order.
    """

    timestamp: datetime
    vector: NDArray[np.float32]


@dataclass(frozen=True)
class CacheStats:
    """What the cache did since it was made.

    Attributes:
        hits: reads that found a vector.
        misses: reads that found none.
        hit_rate: hits among reads, in [0, 1]; 0 before the first read.
        size: entries held.
        evictions: entries pushed out because the cache was full.
        ttl_seconds: time to live.
        backend: where the entries lie.
    """

    hits: int
    misses: int
    hit_rate: float
    size: int
    evictions: int
    ttl_seconds: int
    backend: str


class FeatureCache(Protocol):
    """Feature vectors of one book by the timestamp of their observation. Thread-safe.

    Timestamps and `now` are aware; timestamps of the same instant in different zones are one
    key. A naive one, or anything that is no datetime, is an InvalidRequest.
    """

    def put(self, timestamp: datetime, vector: NDArray[np.float32], now: datetime) -> None:
        """Keep a vector of finite numbers; one with the same timestamp is replaced."""
        ...

    def get(self, timestamp: datetime, now: datetime) -> NDArray[np.float32] | None:
        """Read one vector; None when there is none or it has expired."""
        ...

    def get_many(
        self, timestamps: Sequence[datetime], now: datetime
    ) -> list[NDArray[np.float32] | None]:
        """Read several in one go, in the order asked for."""
        ...

    def latest(self, now: datetime) -> CachedVector | None:
        """Read the vector with the newest timestamp."""
        ...

    def stats(self) -> CacheStats:
        """Say what the cache did so far."""
        ...


@dataclass(frozen=True, eq=False)
class _Entry:
    vector: NDArray[np.float32]
    put_at: datetime


class MemoryFeatureCache:
    """A `FeatureCache` in this process: when it is full, what was put first goes first.

    Args:
        book: whose vectors these are; part of every key.
        settings: time to live and number of entries.
    """

    def __init__(self, book: str, settings: CacheSettings) -> None:
        self._book = book
        self._ttl = timedelta(seconds=settings.ttl_seconds)
        self._max_entries = settings.max_entries
        self._entries: OrderedDict[tuple[str, datetime], _Entry] = OrderedDict()
        self._newest_now = datetime.min.replace(tzinfo=UTC)
        self._hits = self._misses = self._evictions = 0
        self._lock = threading.Lock()

    def put(self, timestamp: datetime, vector: NDArray[np.float32], now: datetime) -> None:
        """Keep a copy of the vector. See `FeatureCache`."""
        key, kept = self._key(timestamp), _frozen(vector)
        with self._lock:
            entry = _Entry(kept, self._advance(now))
            self._entries.pop(key, None)
            self._entries[key] = entry
            while len(self._entries) > self._max_entries:
                self._entries.popitem(last=False)
                self._evictions += 1

    def get(self, timestamp: datetime, now: datetime) -> NDArray[np.float32] | None:
        """Read one vector. See `FeatureCache`."""
        return self.get_many([timestamp], now)[0]

    def get_many(
        self, timestamps: Sequence[datetime], now: datetime
    ) -> list[NDArray[np.float32] | None]:
        """Read several vectors under one lock. See `FeatureCache`."""
        keys = [self._key(timestamp) for timestamp in timestamps]
        with self._lock:
            self._advance(now)
            found = [self._entries.get(key) for key in keys]
            for entry in found:
                self._count(found=entry is not None)
        return [None if entry is None else entry.vector for entry in found]

    def latest(self, now: datetime) -> CachedVector | None:
        """Read the newest vector; looks at every entry. See `FeatureCache`."""
        with self._lock:
            self._advance(now)
            key = max(self._entries, default=None)
            self._count(found=key is not None)
            return None if key is None else CachedVector(key[1], self._entries[key].vector)

    def stats(self) -> CacheStats:
        """Say what the cache did so far. See `FeatureCache`."""
        with self._lock:
            reads = self._hits + self._misses
            return CacheStats(
                hits=self._hits,
                misses=self._misses,
                hit_rate=self._hits / reads if reads else 0.0,
                size=len(self._entries),
                evictions=self._evictions,
                ttl_seconds=int(self._ttl.total_seconds()),
                backend="memory",
            )

    def _key(self, timestamp: datetime) -> tuple[str, datetime]:
        return self._book, _utc(timestamp, "timestamp")

    def _advance(self, now: datetime) -> datetime:
        """Drop what has expired, and return the time to go by."""
        now = _utc(now, "now")
        if now + CLOCK_JITTER < self._newest_now:
            self._entries.clear()
            self._newest_now = now
        self._newest_now = max(self._newest_now, now)
        # Entries lie in the order in which they were put: the first fresh one ends the search.
        while self._entries:
            key, oldest = next(iter(self._entries.items()))
            if self._newest_now - oldest.put_at < self._ttl:
                break
            del self._entries[key]
        return self._newest_now

    def _count(self, *, found: bool) -> None:
        if found:
            self._hits += 1
        else:
            self._misses += 1


def _utc(moment: object, name: str) -> datetime:
    if not isinstance(moment, datetime) or moment.utcoffset() is None:
        raise InvalidRequest(
            f"{name} is {moment!r}; it must be a time with a zone, like 2025-01-02T13:00:00Z"
        )
    return moment.astimezone(UTC)


def _frozen(vector: NDArray[np.float32]) -> NDArray[np.float32]:
    """Copy, so that neither the writer nor a reader can change what is kept."""
    kept = np.array(vector, dtype=np.float32)
    if kept.ndim != 1 or not np.isfinite(kept).all():
        raise InvalidRequest(
            f"a cached vector must be one row of finite numbers; got shape {kept.shape}"
        )
    kept.setflags(write=False)
    return kept
