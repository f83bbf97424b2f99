"""A process that only sleeps and looks: how late it wakes is no fault of any server.

    python -m benchmarks.sleeper --seconds 600 --worker 1234 --out looks.npz

It sleeps for a millisecond at a time and notes by how much it woke late. Every ten it looks at
how long the main thread of a worker has run and has waited for a core, and when the file of a
ledger was written.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import time
from array import array
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.pauses import Sleeper

__all__ = ["load_looks", "thread_times", "watch"]

LATE_NS: Final = 5_000_000
"""A shorter lateness is not noted."""

_SLEEP_NS: Final = 1_000_000
_LOOK_NS: Final = 10_000_000


def thread_times(text: str) -> tuple[int, int]:
    """Nanoseconds run, and waited for a core, from a `schedstat` of Linux.

    >>> thread_times("1073001 250 7")
    (1073001, 250)
    """
    worked, waited, _ = text.split()
    return int(worked), int(waited)


def watch(worker: int, ledger: Path | None, seconds: float) -> Sleeper:
    """Sleep and look for so long, or until the worker has ended."""
    schedule = Path(f"/proc/{worker}/task/{worker}/schedstat")
    late_at, late = array("q"), array("q")
    looks: list[tuple[int, int, int, int]] = []
    now = time.monotonic_ns()
    until, next_look = now + int(seconds * 1e9), now
    while now < until:
        slept = now
        time.sleep(_SLEEP_NS / 1e9)
        now = time.monotonic_ns()
        if now - slept - _SLEEP_NS > LATE_NS:
            late_at.append(now)
            late.append(now - slept - _SLEEP_NS)
        if now >= next_look:
            try:
                looks.append((now, *thread_times(schedule.read_text()), _written(ledger)))
            except (OSError, ValueError):
                break
            next_look = now + _LOOK_NS
    columns = np.array(looks, np.int64).reshape(-1, 4).T
    return Sleeper(np.array(late_at, np.int64), np.array(late, np.int64), *columns)


def _written(ledger: Path | None) -> int:
    """When a file was last written, nanoseconds of the monotonic clock; 0 without one."""
    if ledger is None:
        return 0
    return os.stat(ledger).st_mtime_ns - time.time_ns() + time.monotonic_ns()  # noqa: PTH116


def load_looks(path: Path) -> Sleeper:
    """What the program has written."""
    with np.load(path) as found:
        return Sleeper(*(found[name] for name in Sleeper.__slots__))


def main() -> int:
    """Watch, and write what was seen."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sleeper")
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--worker", type=int, required=True, help="process id")
    parser.add_argument("--ledger", type=Path, help="file of an SQLite ledger")
    parser.add_argument("--out", type=Path, required=True)
    told = parser.parse_args()
    gc.disable()
    seen = watch(told.worker, told.ledger, told.seconds)
    np.savez(told.out, **{name: getattr(seen, name) for name in Sleeper.__slots__})
    return 0


if __name__ == "__main__":
    sys.exit(main())
