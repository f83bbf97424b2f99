"""What goes on beside the load of a soak: drift checks, trade results, log rotation, samples."""

from __future__ import annotations

import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.connection import Connection, NoAnswer
from benchmarks.pauses import Activity
from tests.redis_server import RedisServer

__all__ = [
    "DRIFT_CHECK",
    "Beside",
    "Checks",
    "Sample",
    "bytes_in",
    "growth_per_hour",
    "resident_mb",
    "rotate",
]

DRIFT_CHECK: Final = "drift check"
"""Name of that activity."""

_MEMORY = re.compile(r"^VmRSS:\s+(\d+) kB$", re.MULTILINE)
_STEP: Final = 0.1
_LONGEST_CHECK: Final = 120.0


@dataclass(frozen=True, slots=True)
class Sample:
    """Of the worker and its ledger.

    Attributes:
        at: seconds since the load began.
        memory_mb: resident, MB of 10^6 bytes.
        open_files: descriptors.
        ledger_bytes: on disk, its log included.
    """

    at: float
    memory_mb: float
    open_files: int
    ledger_bytes: int


class Checks:
    """Drift checks, one after the other, on a thread of their own.

    Attributes:
        made: from the request until the report was there.
        faults: why one was not made.
    """

    def __init__(self, port: int) -> None:
        self.made: list[Activity] = []
        self.faults: list[str] = []
        self.begun: int | None = None
        self._port = port
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Request one, unless the last still runs."""
        if self._thread is not None and self._thread.is_alive():
            self.faults.append("the check before was still running")
            return
        self._thread = threading.Thread(target=self._check, daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Until the newest has ended."""
        if self._thread is not None:
            self._thread.join(_LONGEST_CHECK + 5)

    def _check(self) -> None:
        connection, self.begun = Connection(self._port), time.monotonic_ns()
        try:
            status, entry = connection.post("/v1/drift/check", {})
            if status != 200:
                self.faults.append(f"{status} {entry}")
                return
            if not _is_reported(connection, entry["tick"]):
                self.faults.append(f"{entry['tick']} made no report by Evidently in time")
            self.made.append(Activity(DRIFT_CHECK, self.begun, time.monotonic_ns()))
        except NoAnswer as error:
            self.faults.append(str(error))
        finally:
            connection.close()


def _is_reported(connection: Connection, tick: str) -> bool:
    until = time.monotonic() + _LONGEST_CHECK
    while time.monotonic() < until:
        _, latest = connection.get("/v1/drift/latest")
        report = latest.get("report") if latest.get("tick") == tick else None
        if isinstance(report, dict):
            return bool(report["method"] == "evidently")
        time.sleep(0.5)
    return False


class Beside:
    """Does what is due while the load goes on.

    Args:
        worker: process id.
        log: of the service.
        ledger: folder, all of which is the ledger.
        redis: the server that holds it; None if it is a file.
        checks: of drift.

    Attributes:
        activities: what was done, checks left out.
        samples: in order.
    """

    def __init__(
        self, worker: int, log: Path, ledger: Path, redis: RedisServer | None, checks: Checks
    ) -> None:
        self.activities: list[Activity] = []
        self.samples: list[Sample] = []
        self.rotated_bytes = 0
        self._worker, self._log, self._ledger, self._checks = worker, log, ledger, checks
        self._redis: Any = None if redis is None else redis.client()
        self._begun = time.monotonic()

    def run(self, is_over: Callable[[], bool]) -> None:
        """Until the load is over: samples and rotation every 30 s, a check every 60."""
        due: list[tuple[float, float, Callable[[], None]]] = [
            (0.5, 30.0, self._sample),
            (5.0, 60.0, self._checks.start),
            (10.0, 30.0, self._rotate),
        ]
        if self._redis is not None:
            due.append((0.0, _STEP, self._look_at_redis))
        self._begun = time.monotonic()
        while not is_over():
            now = time.monotonic() - self._begun
            for place, (at, every, act) in enumerate(due):
                if now >= at:
                    act()
                    due[place] = (max(at + every, now), every, act)
            time.sleep(_STEP)
        self._sample()
        self._checks.wait()

    def _sample(self) -> None:
        files = len(os.listdir(f"/proc/{self._worker}/fd"))  # noqa: PTH208 - a count is enough
        memory, size = resident_mb(self._worker), bytes_in(self._ledger)
        self.samples.append(Sample(time.monotonic() - self._begun, memory, files, size))

    def _rotate(self) -> None:
        began = time.monotonic_ns()
        self.rotated_bytes += rotate(self._log)
        self.activities.append(Activity("log rotation", began, time.monotonic_ns()))

    def _look_at_redis(self) -> None:
        if self._redis.info("persistence")["aof_rewrite_in_progress"]:
            now = time.monotonic_ns()
            step = int(2 * _STEP * 1e9)
            self.activities.append(Activity("Redis rewrites its log", now - step, now + step))


def rotate(log: Path) -> int:
    """Copy a log away and empty it, as logrotate's `copytruncate` does; how much it held."""
    shutil.copyfile(log, log.with_name(f"{log.name}.1"))
    size = log.stat().st_size
    os.truncate(log, 0)
    return size


def resident_mb(process: int) -> float:
    """Resident memory, MB of 10^6 bytes.

    Raises:
        RuntimeError: the process has ended.
    """
    found = _MEMORY.search(Path(f"/proc/{process}/status").read_text())
    if found is None:
        raise RuntimeError(f"the process {process} has ended")
    return int(found[1]) * 1024 / 1e6


def bytes_in(folder: Path) -> int:
    """Of all files in a folder; those that vanish meanwhile are left out."""
    total = 0
    for path in folder.iterdir():
        try:
            total += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:
            continue
    return total


def growth_per_hour(samples: Sequence[Sample]) -> float | None:
    """MB of memory per hour in the second half, by least squares; None below three samples."""
    half = samples[len(samples) // 2 :]
    if len(half) < 3:
        return None
    at = [sample.at for sample in half]
    centre, mean = sum(at) / len(half), sum(s.memory_mb for s in half) / len(half)
    spread = sum((each - centre) ** 2 for each in at)
    slope = sum((s.at - centre) * (s.memory_mb - mean) for s in half) / spread
    return 3600 * slope
