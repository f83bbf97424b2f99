"""What a decision costs, and a start, on ledgers of different lengths in files."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks.decisions import again, drafts_in, grow
from benchmarks.scale_parts import (
    Bodies,
    Load,
    closed_loop,
    metered,
    mixed_bodies,
    ready_seconds,
    warm_workers,
)
from benchmarks.stores import WIDE, SqliteStore, service_on
from benchmarks.usage import Meter, Usage
from risk.ledger.sqlite import SqliteLedger
from tests.live.server import Server

__all__ = ["LedgerSize", "fill", "ledger_sizes", "recorded"]

_TEMPLATES: Final = 1000
_TEMPLATE_SECONDS: Final = 3.0
_STARTS: Final = 3
_PAST: Final = timedelta(days=10)


@dataclass(frozen=True, slots=True)
class LedgerSize:
    """What was measured on a ledger of one length.

    Attributes:
        events: when the first decision was asked for.
        megabytes: of its file then.
        ready: seconds from `bentoml serve` to ready, of each start.
        loads: one per round.
        usages: of the same.
    """

    events: int
    megabytes: float
    ready: tuple[float, ...]
    loads: tuple[Load, ...]
    usages: tuple[Usage, ...]

    @property
    def processor_ms(self) -> float:
        """Of the worker per decision: median over the rounds."""
        return median(
            1000 * sum(usage.workers) / load.per_second
            for usage, load in zip(self.usages, self.loads, strict=True)
        )


def ledger_sizes(
    folder: Path, bodies: Bodies, sizes: Sequence[int], *, rounds: int, seconds: float
) -> list[LedgerSize]:
    """Fill ledgers, serve each, and ask one after the other in turn.

    Args:
        folder: with `recorded` in it; needs some 6 kB for each event of all sizes.
        bodies: path and JSON of each request.
        sizes: events, ascending.
        rounds: in which each is asked once.
        seconds: of asking, each time.
    """
    filled = fill(folder, folder / "recorded", sizes)
    with ExitStack() as stack:
        servers = {size: _service(place) for size, place in filled.items()}
        ready = {size: _starts(server) for size, server in servers.items()}
        for server in servers.values():
            stack.callback(server.stop)
        meters = {
            size: Meter(warm_workers(server, 1), None, server.folder)
            for size, server in servers.items()
        }
        loads: dict[int, list[Load]] = {size: [] for size in sizes}
        usages: dict[int, list[Usage]] = {size: [] for size in sizes}
        megabytes = {size: _file(place).stat().st_size / 1e6 for size, place in filled.items()}
        for number in range(rounds):
            # Each goes first in turn, for what the machine does elsewhere comes and goes.
            for size in (*sizes[number % len(sizes) :], *sizes[: number % len(sizes)]):
                load, usage = metered(
                    meters[size], servers[size].port, bodies, clients=1, seconds=seconds
                )
                loads[size].append(load)
                usages[size].append(usage)
    return [
        LedgerSize(size, megabytes[size], ready[size], tuple(loads[size]), tuple(usages[size]))
        for size in sizes
    ]


def recorded(folder: Path) -> Bodies:
    """Let a service record decisions of its own, to fill ledgers with; what it was asked.

    Args:
        folder: of the service; made here.
    """
    folder.mkdir(parents=True)
    server = _service(folder)
    ready_seconds(server)
    try:
        bodies = mixed_bodies(server.port)
        closed_loop(server.port, bodies, clients=1, seconds=_TEMPLATE_SECONDS)
    finally:
        server.stop()
    return bodies


def fill(folder: Path, recorded: Path, sizes: Sequence[int]) -> dict[int, Path]:
    """Ledgers of these lengths: what a service recorded, and the same again under new names.

    They go through the ledger's own `append`, many at once: bodies, chain and indexes are real.

    Args:
        folder: where each gets a folder of its own.
        recorded: folder of the service that was.
        sizes: events, ascending.

    Returns:
        The folder of each, for a service to be started in.
    """
    growing, places = _file(recorded), {}
    with closing(SqliteLedger(growing, create=False)) as ledger:
        drafts = again(drafts_in(ledger, _TEMPLATES), "again", datetime.now(UTC) - _PAST)
    for size in sizes:
        with closing(SqliteLedger(growing, create=False)) as ledger:
            grow(ledger, drafts, size)
        places[size] = folder / str(size)
        _file(places[size]).parent.mkdir(parents=True)
        shutil.copyfile(growing, _file(places[size]))
    return places


def _file(folder: Path) -> Path:
    return folder / "var" / "state.db"


def _service(folder: Path) -> Server:
    return service_on(SqliteStore(folder), folder, variables=WIDE)


def _starts(server: Server) -> tuple[float, ...]:
    """Seconds of some starts; it runs after the last. The first registers the models, uncounted."""
    taken: list[float] = []
    for _ in range(1 + _STARTS):
        if taken:
            server.stop()
        taken.append(ready_seconds(server))
    time.sleep(0.2)
    return tuple(taken[1:])
