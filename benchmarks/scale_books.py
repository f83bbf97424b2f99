"""Books beside one another on one Redis server, and processes beside one another on one ledger."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

from benchmarks.scale_parts import (
    Load,
    Loading,
    mixed_bodies,
    ready_seconds,
    warm_workers,
)
from benchmarks.stores import WIDE, RedisStore, SqliteStore, service_on
from benchmarks.usage import Meter, Usage
from tests.live.server import ROOT, Server
from tests.redis_server import RedisServer

__all__ = ["Appended", "Desks", "appended", "desks"]

_CLIENTS: Final = 8


@dataclass(frozen=True, slots=True)
class Desks:
    """Services with a book each, on one Redis server.

    Attributes:
        books: and services.
        loads: of each service.
        usage: of all of them together.
    """

    books: int
    loads: tuple[Load, ...]
    usage: Usage

    @property
    def per_second(self) -> float:
        """Decisions of all together."""
        return sum(load.per_second for load in self.loads)

    @property
    def busy(self) -> float:
        """Of all load generators, in cores."""
        return sum(load.busy for load in self.loads)


def desks(folder: Path, books: Sequence[int], rounds: int, seconds: float) -> list[Desks]:
    """So many services at once, each asked by 8 clients; of `rounds` the middle one.

    Args:
        folder: empty.
        books: how many services are asked at once.
        rounds: in which each number of them is asked once, in turn.
        seconds: of asking, each time.
    """
    folder.mkdir(parents=True)
    with ExitStack() as stack:
        store = RedisStore(folder)
        stack.callback(store.close)
        servers = [_desk(folder / f"desk-{number}", store, number) for number in range(max(books))]
        for server in servers:
            ready_seconds(server)
            stack.callback(server.stop)
        bodies = mixed_bodies(servers[0].port)
        found: dict[int, list[Desks]] = {count: [] for count in books}
        for _ in range(rounds):
            for count in books:
                found[count].append(_asked(servers[:count], store, bodies, seconds))
    return [_middle(each) for each in found.values()]


def _desk(folder: Path, store: RedisStore, number: int) -> Server:
    folder.mkdir()
    return service_on(store, folder, variables={**WIDE, "MLOPS__BOOK": f"desk{number}"})


def _asked(
    servers: Sequence[Server], store: RedisStore, bodies: Sequence[tuple[str, str]], seconds: float
) -> Desks:
    workers = [worker for server in servers for worker in warm_workers(server, 1)]
    meter = Meter(workers, store.server, servers[0].folder)
    loading = [
        Loading(server.port, bodies, clients=_CLIENTS, seconds=seconds) for server in servers
    ]
    loading[-1].wait_until_warm()
    meter.begin()
    loads = tuple(each.finished() for each in loading)
    usage = meter.end()
    meter.close()
    return Desks(len(servers), loads, usage)


def _middle(found: Sequence[Desks]) -> Desks:
    return sorted(found, key=lambda each: each.per_second)[(len(found) - 1) // 2]


@dataclass(frozen=True, slots=True)
class Appended:
    """Processes that append decisions, one after the other each.

    Attributes:
        store: `sqlite` or `redis`.
        processes: at once.
        books: that they append to.
        durable: whether each append waited for the disk.
        per_second: appends of all together.
        p50: of one append, milliseconds: median over the processes.
        p99: likewise.
        refused: appends that gave up because others kept appending.
        bytes_each: that an event took: of the file, or of Redis's memory.
        usage: of the stretch; the workers are these processes.
    """

    store: str
    processes: int
    books: int
    durable: bool
    per_second: float
    p50: float
    p99: float
    refused: int
    bytes_each: float
    usage: Usage


def appended(
    folder: Path,
    templates: Path,
    store: str,
    processes: int,
    books: int,
    *,
    durable: bool,
    seconds: float,
) -> Appended:
    """Let processes append, each to one of the books.

    Args:
        folder: empty.
        templates: SQLite ledger with decisions of a service.
        store: `sqlite`, with one book, or `redis`.
        processes: at once.
        books: at most as many.
        durable: whether each append waits for the disk; on Redis the server says so.
        seconds: of appending.
    """
    folder.mkdir(parents=True)
    with ExitStack() as stack:
        kept = SqliteStore(folder) if store == "sqlite" else RedisStore(folder)
        stack.callback(kept.close)
        redis = kept.server if isinstance(kept, RedisStore) else None
        started = []
        for number in range(processes):
            work = {"templates": str(templates), "name": f"appended-{number}",
                    "seconds": seconds, "durable": durable}  # fmt: skip
            place: dict[str, Any] = {"path": str(folder / "state.db")}
            if redis is not None:
                place = {"book": f"desk{number % books}", "address": redis.address}
            # One after the other, for the first makes the ledger.
            started.append(_appending(stack, {**work, **place}))
        before = _bytes(folder, redis)
        meter = Meter([process.pid for process in started], redis, folder)
        for process in started:
            _say(process, "go")
        outcomes = [_told(process) for process in started]
        # Those that are done wait for their input to end: their times can still be read.
        usage = meter.end()
        meter.close()
        held = _bytes(folder, redis) - before
    return Appended(
        store,
        processes,
        books,
        durable,
        sum(outcome["stored"] / outcome["seconds"] for outcome in outcomes),
        median(outcome["p50"] for outcome in outcomes),
        median(outcome["p99"] for outcome in outcomes),
        sum(outcome["refused"] for outcome in outcomes),
        held / sum(outcome["stored"] for outcome in outcomes),
        usage,
    )


def _bytes(folder: Path, redis: RedisServer | None) -> int:
    if redis is None:
        # Its log is left out: it is written over again and again.
        return (folder / "state.db").stat().st_size
    client = redis.client()
    try:
        return int(client.info("memory")["used_memory"])
    finally:
        client.close()


def _appending(stack: ExitStack, work: dict[str, Any]) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.appending"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    stack.callback(process.wait, 20)
    stack.callback(process.kill)
    _say(process, json.dumps(work))
    assert process.stdout is not None
    if process.stdout.readline() != "ready\n":
        raise RuntimeError("a process that should append did not get ready; what it said is above")
    return process


def _told(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError("a process that should append broke off; what it said is above")
    found: dict[str, Any] = json.loads(line)
    return found


def _say(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(line + "\n")
    process.stdin.flush()
