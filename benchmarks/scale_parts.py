"""What the soak and the scale benchmarks share: a service, load on it, and what that used."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any, Final

import numpy as np

from benchmarks.connection import Connection, NoAnswer
from benchmarks.serving.cases import works
from benchmarks.serving.servers import Running
from benchmarks.usage import Meter, Usage
from tests.live.server import ROOT, Server

__all__ = [
    "APPROVING",
    "Load",
    "Loading",
    "closed_loop",
    "metered",
    "mixed_bodies",
    "ready_seconds",
    "sorted_bodies",
    "warm_workers",
]

APPROVING: Final = '"approved":true'

Bodies = Sequence[tuple[str, str]]

_OF_TEN = "arrarrrarr"
"""Which of ten requests are approved: 30%."""

_MIXED = 600
_START_SECONDS = 120.0
_GRACE_SECONDS = 60.0
_STARTING_SECONDS = 0.8


@dataclass(frozen=True, slots=True)
class Load:
    """What a closed loop found.

    Attributes:
        p50: latency, milliseconds.
        p99: likewise.
        per_second: requests answered.
        answered: requests, those of the warm-up among them.
        failed: answers that were not 200.
        approved: share of all answers.
        busy: share of its time in which the generator was at work.
    """

    p50: float
    p99: float
    per_second: float
    answered: int
    failed: int
    approved: float
    busy: float


class Loading:
    """A load generator that has been started; several may run at once.

    Args:
        port: on loopback.
        bodies: path and JSON of each request.
        clients: connections.
        seconds: after the warm-up.
        warm_seconds: the warm-up.
    """

    def __init__(
        self, port: int, bodies: Bodies, *, clients: int, seconds: float, warm_seconds: float = 1.0
    ) -> None:
        work = {"port": port, "bodies": bodies, "clients": clients, "seconds": seconds,
                "warm_seconds": warm_seconds, "mark": APPROVING}  # fmt: skip
        self._patience = seconds + warm_seconds + _GRACE_SECONDS
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.serving.load"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(work))
        self._process.stdin.close()
        self._process.stdin = None

    def wait_until_warm(self) -> None:
        """From here to the end the generator asks; before, its process was starting."""
        time.sleep(_STARTING_SECONDS)

    def finished(self) -> Load:
        """Wait for it.

        Raises:
            RuntimeError: it broke off, as it does when a connection is closed.
        """
        output, errors = self._process.communicate(timeout=self._patience)
        if self._process.returncode:
            raise RuntimeError(f"the load broke off:\n{errors[-2000:]}")
        return _load_of(json.loads(output))


def _load_of(found: Mapping[str, Any]) -> Load:
    latencies = np.array(found["latencies"], np.int64) / 1e6
    p50, p99 = np.percentile(latencies, (50, 99)).tolist()
    return Load(
        p50,
        p99,
        len(latencies) / found["seconds"],
        found["answered"],
        found["failed"],
        found["marked"] / found["answered"],
        found["busy"],
    )


def closed_loop(
    port: int, bodies: Bodies, *, clients: int, seconds: float, warm_seconds: float = 1.0
) -> Load:
    """Each client asks again as soon as it is answered, for so long, from another process."""
    loading = Loading(port, bodies, clients=clients, seconds=seconds, warm_seconds=warm_seconds)
    return loading.finished()


def metered(
    meter: Meter, port: int, bodies: Bodies, *, clients: int, seconds: float
) -> tuple[Load, Usage]:
    """A closed loop, and what was used while it went on."""
    loading = Loading(port, bodies, clients=clients, seconds=seconds)
    loading.wait_until_warm()
    meter.begin()
    return loading.finished(), meter.end()


def sorted_bodies(port: int) -> Mapping[str, Bodies]:
    """Requests by what a service on this port does with them: `approved` and `refused`."""
    found = works(Running("sqlite", port, os.getpid()))
    return {sort: found[sort].bodies for sort in ("approved", "refused")}


def mixed_bodies(port: int) -> Bodies:
    """Requests of which a service on this port approves 30%."""
    found = sorted_bodies(port)
    sorts = {"a": cycle(found["approved"]), "r": cycle(found["refused"])}
    return [next(sorts[sort]) for sort in islice(cycle(_OF_TEN), _MIXED)]


def ready_seconds(server: Server) -> float:
    """Start a service and wait until it is ready; how long that took.

    Raises:
        RuntimeError: it did not get ready.
    """
    began = time.monotonic()
    server.launch()
    while server.process.poll() is None and time.monotonic() - began < _START_SECONDS:
        with suppress(NoAnswer):
            connection = Connection(server.port, timeout=2)
            status = connection.get("/readyz").status
            connection.close()
            if status == 200:
                return time.monotonic() - began
        time.sleep(0.02)
    server.stop()
    raise RuntimeError(f"the service did not get ready:\n{server.log.read_text()[-3000:]}")


def warm_workers(server: Server, workers: int) -> list[int]:
    """Process ids of the workers, once all are there and each had time to load.

    Raises:
        RuntimeError: some are missing.
    """
    until = time.monotonic() + _START_SECONDS
    while time.monotonic() < until:
        found = sorted(server.workers())
        if len(found) == workers:
            time.sleep(0.5 * workers)
            return found
        time.sleep(0.1)
    raise RuntimeError(f"there are {len(found)} workers and not {workers}")
