"""How a service on one store does with more workers and more clients."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.scale_parts import (
    Load,
    metered,
    mixed_bodies,
    ready_seconds,
    warm_workers,
)
from benchmarks.stores import WIDE, RedisStore, service_on, store_of
from benchmarks.usage import Meter, Usage, first_limit, told

__all__ = ["Crowd", "crowds"]


@dataclass(frozen=True, slots=True)
class Crowd:
    """So many workers and clients.

    Attributes:
        store: `sqlite` or `redis`.
        workers: of the service.
        clients: at once.
        loads: one per round.
        usages: of the same.
    """

    store: str
    workers: int
    clients: int
    loads: tuple[Load, ...]
    usages: tuple[Usage, ...]

    @property
    def middle(self) -> int:
        """The round of median throughput; the lower of two."""
        order = sorted(range(len(self.loads)), key=lambda place: self.loads[place].per_second)
        return order[(len(order) - 1) // 2]

    @property
    def per_second(self) -> float:
        """Decisions: median over the rounds."""
        return median(load.per_second for load in self.loads)

    @property
    def limit(self) -> str:
        """What was used up in the middle round."""
        return first_limit(self.usages[self.middle], self.loads[self.middle].busy)

    @property
    def use(self) -> str:
        """What the middle round used."""
        return told(self.usages[self.middle], self.loads[self.middle].busy)


def crowds(
    folder: Path,
    kind: str,
    workers: Sequence[int],
    clients: Sequence[int],
    *,
    rounds: int,
    seconds: float,
) -> list[Crowd]:
    """Services with so many workers each, one running at a time, asked by so many clients.

    Args:
        folder: empty.
        kind: `sqlite` or `redis`.
        workers: of each service; each has a ledger of its own.
        clients: at once.
        rounds: in which each is started and asked once.
        seconds: of asking, each time.
    """
    found: dict[tuple[int, int], list[tuple[Load, Usage]]] = {}
    for number in range(rounds):
        for count in workers:
            place = folder / f"{kind}-{count}-{number}"
            place.mkdir(parents=True)
            for asking, load, usage in _measured(place, kind, count, clients, seconds):
                found.setdefault((count, asking), []).append((load, usage))
    return [
        Crowd(kind, count, asking, tuple(load for load, _ in got), tuple(use for _, use in got))
        for (count, asking), got in found.items()
    ]


def _measured(
    folder: Path, kind: str, workers: int, clients: Sequence[int], seconds: float
) -> list[tuple[int, Load, Usage]]:
    with ExitStack() as stack:
        store = store_of(kind, folder)
        stack.callback(store.close)
        server = service_on(store, folder, workers=workers, variables=WIDE)
        ready_seconds(server)
        stack.callback(server.stop)
        processes = warm_workers(server, workers)
        bodies = mixed_bodies(server.port)
        meter = Meter(processes, store.server if isinstance(store, RedisStore) else None, folder)
        stack.callback(meter.close)
        found = []
        for asking in clients:
            load, usage = metered(meter, server.port, bodies, clients=asking, seconds=seconds)
            found.append((asking, load, usage))
        return found
