"""Both replicas of a service are replaced under load: no request fails, and nothing is lost.

    python -m benchmarks.rolling_restart --per-second 200
    python -m benchmarks.rolling_restart --kill

Two replicas share one Redis behind a small balancer (see `benchmarks.balancer`), and a router
sends orders and results over keep-alive connections. For each replica a new one is started; when
the balancer knows it as ready, the old one is sent SIGTERM and waited for. With `--kill` the old
one is killed with SIGKILL first, and the new one started then: requests that were under way on it
fail, and nothing that was acknowledged may be missing.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.balancer import Balancer
from benchmarks.journal import recorded
from benchmarks.router import Router
from benchmarks.stores import WIDE, RedisStore, service_on, working_folder
from benchmarks.table import print_table
from risk.ledger.protocol import Ledger
from risk.verification import examine, records_of
from tests.live.server import Server

__all__ = ["Replaced", "run"]

_REPLICAS: Final = 2
_CALM_SECONDS: Final = 2.0
_READY_SECONDS: Final = 60.0
_LIMITS: Final = {
    **WIDE,
    "MLOPS__RISK_LIMITS__MAX_UNRESOLVED_ORDERS": "1000000",
    "MLOPS__DRAIN_SECONDS": "6",
}


@dataclass
class Replaced:
    """What came of it.

    Attributes:
        router: what was sent and answered.
        seconds: that load lasted.
        ready: seconds that each new replica took to be ready at the balancer.
        stopped: seconds from SIGTERM to the end of each old replica's processes.
        codes: their exit codes.
        retried: connections that the balancer tried elsewhere.
        unserved: connections that found no replica.
        unrecorded: what was acknowledged, and is not on record exactly once as it was told.
        unacknowledged: decisions and results on record that no caller was told of.
    """

    router: Router
    seconds: float = 0.0
    ready: list[float] = field(default_factory=list)
    stopped: list[float] = field(default_factory=list)
    codes: list[int] = field(default_factory=list)
    retried: int = 0
    unserved: int = 0
    unrecorded: list[str] = field(default_factory=list)
    unacknowledged: int = 0

    @property
    def wrong(self) -> list[str]:
        """What must not be, however a replica ends."""
        return [*self.unrecorded, *self.router.journal.violations]


def run(folder: Path, *, per_second: float, kill: bool = False) -> Replaced:
    """Replace both replicas, one after the other."""
    with closing(RedisStore(folder)) as store:
        replaced = asyncio.run(_driven(_Replicas(store, folder), per_second, kill=kill))
        with closing(store.opened()) as ledger:
            _hold_against(ledger, replaced)
    return replaced


class _Replicas:
    """Starts them, each in a folder of its own as on a host of its own."""

    def __init__(self, store: RedisStore, folder: Path) -> None:
        self._store, self._folder = store, folder
        self._numbers = count()
        self.running: list[Server] = []

    async def start(self, balancer: Balancer) -> float:
        """Start one more; seconds until the balancer sends it connections."""
        began = time.monotonic()
        folder = self._folder / f"replica-{next(self._numbers)}"
        folder.mkdir()
        server = service_on(self._store, folder, variables=_LIMITS)
        self.running.append(server)
        balancer.add(server.port)
        server.launch()
        async with asyncio.timeout(_READY_SECONDS):
            await balancer.until_ready(server.port)
        return time.monotonic() - began

    async def end(self, server: Server, balancer: Balancer, *, kill: bool) -> tuple[float, int]:
        """End one; seconds until its processes were gone, and its exit code."""
        began = time.monotonic()
        if kill:
            await asyncio.to_thread(server.kill)
        else:
            server.process.send_signal(signal.SIGTERM)
        code = await asyncio.to_thread(server.process.wait, 60)
        self.running.remove(server)
        balancer.remove(server.port)
        return time.monotonic() - began, code


async def _driven(replicas: _Replicas, per_second: float, *, kill: bool) -> Replaced:
    async with Balancer() as balancer:
        try:
            await asyncio.gather(*(replicas.start(balancer) for _ in range(_REPLICAS)))
            replaced = Replaced(Router(balancer.port, per_second))
            began, load = time.monotonic(), asyncio.create_task(replaced.router.run())
            await asyncio.sleep(_CALM_SECONDS)
            for old in list(replicas.running):
                if not kill:
                    replaced.ready.append(await replicas.start(balancer))
                seconds, code = await replicas.end(old, balancer, kill=kill)
                replaced.stopped.append(seconds)
                replaced.codes.append(code)
                if kill:
                    replaced.ready.append(await replicas.start(balancer))
            await asyncio.sleep(_CALM_SECONDS)
            replaced.router.over = True
            await load
            replaced.seconds = time.monotonic() - began
            replaced.retried, replaced.unserved = balancer.retried, balancer.refused
            return replaced
        finally:
            for server in replicas.running:
                server.kill()


def _hold_against(ledger: Ledger, replaced: Replaced) -> None:
    """Every acknowledged answer is on record once, as it was told, and the chain verifies."""
    told, times = replaced.router.journal.told, Counter[str]()
    for record in records_of(ledger):
        if record.kind not in {"decision", "trade_result"}:
            continue
        times[record.event_id] += 1
        if record.event_id not in told:
            replaced.unacknowledged += 1
        elif recorded(record) != told[record.event_id]:
            replaced.unrecorded.append(f"record {record.sequence} is not what was acknowledged")
    replaced.unrecorded += [
        f"{name} was acknowledged and is on record {times[name]} times"
        for name in told
        if times[name] != 1
    ]
    bound = set(replaced.router.journal.bound)
    replaced.unrecorded += replaced.router.journal.missing(ledger, set(), bound)
    examination = examine(ledger)
    if not examination.is_intact:
        replaced.unrecorded.append(f"the ledger does not verify: {examination.complaint}")


def _tell(replaced: Replaced, per_second: float, *, kill: bool) -> None:
    router = replaced.router
    taken = np.array(router.seconds) * 1000
    kinds = ", ".join(f"{number:,} {kind}" for kind, number in router.journal.kinds.items())
    print_table(
        f"Both replicas {'killed' if kill else 'replaced'} at {per_second:g} requests a second",
        {
            "answered": f"{len(taken):,} in {replaced.seconds:.1f} s",
            "acknowledged": kinds,
            "failed requests": str(len(router.failed)),
            "acknowledged, not on record once": str(len(replaced.wrong)),
            "on record, not acknowledged": str(replaced.unacknowledged),
            "latency p50 / p99 / most, ms": " / ".join(
                f"{value:.1f}" for value in (*np.percentile(taken, [50, 99]), taken.max())
            ),
            "connections of the router": f"{router.connections} for {router.lines} lines",
            "tried elsewhere / no replica": f"{replaced.retried} / {replaced.unserved}",
            "new replica ready after, s": _figures(replaced.ready),
            "old replica gone after, s": _figures(replaced.stopped),
            "exit codes": ", ".join(map(str, replaced.codes)),
        },
    )
    for line in [*replaced.wrong, *router.failed][:5]:
        print(line)


def _figures(seconds: Sequence[float]) -> str:
    return ", ".join(f"{each:.1f}" for each in seconds)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; 1 if a request failed that should not have, or anything is not on record."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rolling_restart")
    parser.add_argument("--per-second", type=float, default=200.0)
    parser.add_argument("--kill", action="store_true")
    told = parser.parse_args(arguments)
    with working_folder("rolling") as folder:
        replaced = run(folder, per_second=told.per_second, kill=told.kill)
    _tell(replaced, told.per_second, kill=told.kill)
    return 1 if replaced.wrong or (replaced.router.failed and not told.kill) else 0


if __name__ == "__main__":
    sys.exit(main())
