"""What a stretch of load used: cores, Redis, the disk; and which of them was used up first."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.redis_server import RedisServer

__all__ = ["Meter", "Usage", "disk_times", "first_limit", "machine_times", "told"]

SATURATED: Final = 0.85
"""The share from which on something counts as used up."""

_TICKS = os.sysconf("SC_CLK_TCK")
_SHOWN: Final = 4
_IO_TICKS, _FLUSHES = 12, 18
_IDLE, _STEAL, _KNOWN = (3, 4), 7, 8


@dataclass(frozen=True, slots=True)
class Usage:
    """Of one stretch.

    Attributes:
        seconds: how long it was.
        workers: processor time of each, per second: 1 is one core.
        redis: likewise of the server; None without one.
        machine: share of all cores that was not idle, whoever used it.
        stolen: share of all cores that the host kept for others.
        disk: share of the time in which the disk had something to do; None if not known.
        flushes: of the disk, per second; None if not known.
    """

    seconds: float
    workers: tuple[float, ...]
    redis: float | None
    machine: float
    stolen: float
    disk: float | None
    flushes: float | None


@dataclass(frozen=True, slots=True)
class _Reading:
    at: float
    workers: tuple[float, ...]
    redis: float
    machine: tuple[float, float, float]
    disk: tuple[int, int] | None


class Meter:
    """Reads what has been used so far.

    Args:
        workers: process ids.
        redis: the server that holds the ledger; None if it is a file.
        folder: where the ledger is, and the disk under it.
    """

    def __init__(self, workers: Sequence[int], redis: RedisServer | None, folder: Path) -> None:
        self._workers, self._folder = tuple(workers), folder
        self._redis: Any = None if redis is None else redis.client()
        self._begun = self._read()

    def begin(self) -> None:
        """A stretch begins now."""
        self._begun = self._read()

    def end(self) -> Usage:
        """The stretch ends now; what it used."""
        was, now = self._begun, self._read()
        seconds = now.at - was.at
        total, idle, stolen = (
            after - before for before, after in zip(was.machine, now.machine, strict=True)
        )
        disk = flushes = None
        if was.disk is not None and now.disk is not None:
            disk = (now.disk[0] - was.disk[0]) / 1000 / seconds
            flushes = (now.disk[1] - was.disk[1]) / seconds
        return Usage(
            seconds,
            tuple(
                (after - before) / seconds
                for before, after in zip(was.workers, now.workers, strict=True)
            ),
            None if self._redis is None else (now.redis - was.redis) / seconds,
            1 - idle / total if total else 0.0,
            stolen / total if total else 0.0,
            disk,
            flushes,
        )

    def close(self) -> None:
        """Close the connection to Redis."""
        if self._redis is not None:
            self._redis.close()

    def _read(self) -> _Reading:
        return _Reading(
            time.monotonic(),
            tuple(_process_seconds(process) for process in self._workers),
            0.0 if self._redis is None else _redis_seconds(self._redis),
            machine_times(Path("/proc/stat").read_text()),
            disk_times(Path("/proc/diskstats").read_text(), os.stat(self._folder).st_dev),  # noqa: PTH116
        )


def _process_seconds(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _redis_seconds(client: Any) -> float:
    used = client.info("cpu")
    return float(used["used_cpu_sys"]) + float(used["used_cpu_user"])


def machine_times(text: str) -> tuple[float, float, float]:
    """All, idle and stolen seconds of all cores together, from `/proc/stat`.

    >>> machine_times("cpu  100 0 100 700 100 0 0 50 0 0") == (10.5, 8.0, 0.5)
    True
    """
    ticks = [int(field) for field in text.split("\n", 1)[0].split()[1 : _KNOWN + 1]]
    idle = sum(ticks[place] for place in _IDLE)
    return sum(ticks) / _TICKS, idle / _TICKS, ticks[_STEAL] / _TICKS


def disk_times(text: str, device: int) -> tuple[int, int] | None:
    """Busy milliseconds and flushes of a device, from `/proc/diskstats`; None if it is not there.

    A kernel before 5.5 counts no flushes: 0.
    """
    place = [str(os.major(device)), str(os.minor(device))]
    for line in text.splitlines():
        fields = line.split()
        if fields[:2] == place:
            return int(fields[_IO_TICKS]), int(fields[_FLUSHES]) if len(fields) > _FLUSHES else 0
    return None


def first_limit(usage: Usage, busy: float) -> str:
    """What was used up in a stretch, in words.

    Args:
        usage: of the stretch.
        busy: share of its time in which the load generator was at work; the sum of several.
    """
    if usage.workers and min(usage.workers) >= SATURATED:
        one = len(usage.workers) == 1
        return "the core of the one worker" if one else "the cores of all workers"
    if usage.redis is not None and usage.redis >= SATURATED:
        return "Redis's core"
    if usage.machine >= SATURATED:
        return "the machine's cores"
    if busy >= SATURATED:
        return "the load generator"
    if usage.disk is not None and usage.disk >= SATURATED:
        return "the disk"
    return "none of these: it waits, for locks, the disk's flushes or its callers"


def told(usage: Usage, busy: float | None, *, who: str = "workers") -> str:
    """A stretch's usage in one line.

    Args:
        usage: of the stretch.
        busy: of the load generator, where it is known.
        who: the workers are.
    """
    parts = []
    if usage.workers:
        each = " + ".join(f"{share:.0%}" for share in usage.workers)
        total = f"{sum(usage.workers):.0%} together"
        parts.append(f"{who} {each if len(usage.workers) <= _SHOWN else total} of a core")
    if usage.redis is not None:
        parts.append(f"Redis {usage.redis:.0%} of a core")
    if busy is not None:
        parts.append(f"generator {busy:.0%} of a core")
    parts.append(f"machine {usage.machine:.0%}")
    if usage.stolen >= 0.005:
        parts.append(f"stolen {usage.stolen:.1%}")
    if usage.disk is not None and usage.flushes is not None:
        parts.append(f"disk {usage.disk:.0%} busy, {usage.flushes:,.0f} flushes/s")
    return ", ".join(parts)
