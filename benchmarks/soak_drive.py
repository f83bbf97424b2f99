"""The stretch of a soak: load on a schedule, and all that goes on beside it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.paced import Paced, load_times
from benchmarks.pauses import Activity, Sleeper
from benchmarks.scale_parts import APPROVING, Bodies
from benchmarks.sleeper import load_looks
from benchmarks.soak_beside import Beside, Checks, Sample
from benchmarks.stores import RedisStore, SqliteStore
from benchmarks.usage import Meter, Usage
from tests.live.server import ROOT, Server

__all__ = ["Driven", "drive"]

_CONNECTIONS: Final = 32
_RESULTS_PER_SECOND: Final = 3
_EDGE_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Driven:
    """What the stretch found.

    Attributes:
        paced: when each request was due and answered.
        sleeper: what a process noted that only sleeps.
        activities: what went on beside.
        checks: drift checks that were made.
        faults: why one was not.
        samples: of the worker and its ledger.
        results_posted: trade results.
        results_failed: those not answered with 200.
        rotated_bytes: of the service's log.
        usage: of the whole stretch.
    """

    paced: Paced
    sleeper: Sleeper
    activities: tuple[Activity, ...]
    checks: int
    faults: tuple[str, ...]
    samples: tuple[Sample, ...]
    results_posted: int
    results_failed: int
    rotated_bytes: int
    usage: Usage


def drive(
    server: Server, store: SqliteStore | RedisStore, bodies: Bodies, rate: float, seconds: float
) -> Driven:
    """Ask at this rate for so long.

    Raises:
        RuntimeError: the load broke off, as it does when a connection is closed.
    """
    (worker,) = server.workers()
    redis = store.server if isinstance(store, RedisStore) else None
    ledger = server.folder / ("var" if redis is None else "redis")
    meter, checks = Meter([worker], redis, server.folder), Checks(server.port)
    beside = Beside(worker, server.log, ledger, redis, checks)
    looks, times = server.folder / "looks.npz", server.folder / "times.npz"
    watched = [] if redis is not None else ["--ledger", str(ledger / "state.db")]
    sleeping = _program("sleeper", "--worker", worker, "--seconds", seconds + 2 * _EDGE_SECONDS,
                        "--out", looks, *watched)  # fmt: skip
    results = _program("serving.trade_results", "--port", server.port, "--seconds", seconds,
                       "--per-second", _RESULTS_PER_SECOND)  # fmt: skip
    time.sleep(_EDGE_SECONDS)
    meter.begin()
    generator = _generator(times, server.port, bodies, rate, seconds)
    beside.run(lambda: generator.poll() is not None)
    usage = meter.end()
    meter.close()
    posted = json.loads(results.communicate(timeout=60)[0])
    sleeping.wait(60)
    if generator.returncode or sleeping.returncode:
        raise RuntimeError("the load broke off; what it said is above")
    return Driven(
        paced=load_times(times),
        sleeper=load_looks(looks),
        activities=(*checks.made, *beside.activities),
        checks=len(checks.made),
        faults=tuple(checks.faults),
        samples=tuple(beside.samples),
        results_posted=posted["posted"],
        results_failed=posted["failed"],
        rotated_bytes=beside.rotated_bytes,
        usage=usage,
    )


def _program(name: str, *words: object) -> subprocess.Popen[str]:
    told = [sys.executable, "-m", f"benchmarks.{name}", *map(str, words)]
    return subprocess.Popen(
        told, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def _generator(
    out: Path, port: int, bodies: Bodies, rate: float, seconds: float
) -> subprocess.Popen[str]:
    work: dict[str, Any] = {
        "port": port,
        "bodies": bodies,
        "per_second": rate,
        "seconds": seconds,
        "connections": _CONNECTIONS,
        "mark": APPROVING,
    }
    process = _program("paced", "--out", out)
    assert process.stdin is not None
    process.stdin.write(json.dumps(work))
    process.stdin.close()
    return process
