"""The servers of one run: started together, measured one at a time, ended together."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from benchmarks.connection import Connection, NoAnswer
from benchmarks.drift_load import record_sessions
from benchmarks.stores import WIDE, Store, service_on, store_of
from tests.live.server import ROOT, Server
from tests.redis_server import executable, free_port

__all__ = ["TITLES", "Running", "Servers", "started"]

TITLES: Final = {
    "sqlite": "service, SQLite",
    "redis": "service, Redis",
    "fastapi": "FastAPI",
    "bare": "bare ASGI",
}
"""What each is called in a table, in the order in which they take turns."""

_START_SECONDS = 60
_TICKS = os.sysconf("SC_CLK_TCK")
_MEMORY = re.compile(r"^VmRSS:\s+(\d+) kB$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Running:
    """A server that answers.

    Attributes:
        name: one of `TITLES`.
        port: on loopback.
        worker: process id of what answers; the only one that does.
    """

    name: str
    port: int
    worker: int

    @property
    def is_ours(self) -> bool:
        """Whether it decides, and not only predicts."""
        return self.name in {"sqlite", "redis"}

    def processor_seconds(self) -> float:
        """Time that the worker has used, in steps of a clock tick (mostly 10 ms)."""
        fields = Path(f"/proc/{self.worker}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def memory_mb(self) -> float:
        """Resident memory of the worker now, MB of 10^6 bytes."""
        found = _MEMORY.search(Path(f"/proc/{self.worker}/status").read_text())
        if found is None:
            raise RuntimeError(f"the worker of {self.name} has ended")
        return int(found[1]) * 1024 / 1e6


@dataclass(frozen=True, slots=True)
class Servers:
    """All of one run.

    Attributes:
        running: in the order in which they take turns.
        ready_seconds: from `bentoml serve` to ready, the models being registered already.
        folder: of the service on SQLite.
        environment: of the service on SQLite.
        missing: why one is not there, by name.
    """

    running: tuple[Running, ...]
    ready_seconds: float
    folder: Path
    environment: dict[str, str]
    missing: dict[str, str]

    def named(self, name: str) -> Running:
        """The server of this name."""
        return next(each for each in self.running if each.name == name)


@contextmanager
def started(folder: Path) -> Iterator[Servers]:
    """Start all of them; the ledger of the one on SQLite holds decisions to check for drift."""
    with ExitStack() as stack:
        stores, missing = _stores(stack, folder)
        record_sessions(folder / "sqlite")
        services = {store.name: _service(stack, store, folder) for store in stores}
        for service in services.values():
            _ready_seconds(service)
        ours = services["sqlite"]
        ours.stop()
        ours.launch()
        ready = _ready_seconds(ours)
        running = [_running(name, service) for name, service in services.items()]
        running += [_rival(stack, name) for name in ("fastapi", "bare")]
        yield Servers(tuple(running), ready, ours.folder, ours.environment, missing)


def _stores(stack: ExitStack, folder: Path) -> tuple[list[Store], dict[str, str]]:
    for name in ("sqlite", "redis"):
        (folder / name).mkdir(parents=True)
    stores: list[Store] = [store_of("sqlite", folder / "sqlite")]
    try:
        executable()
    except pytest.skip.Exception as missing:
        return stores, {"redis": str(missing)}
    redis = store_of("redis", folder / "redis")
    stack.callback(redis.close)
    return [*stores, redis], {}


def _service(stack: ExitStack, store: Store, folder: Path) -> Server:
    service = service_on(
        store, folder / store.name, variables={**WIDE, "MLOPS__LOGGING__LEVEL": "INFO"}
    )
    service.launch()
    stack.callback(service.stop)
    return service


def _ready_seconds(service: Server) -> float:
    """Wait until it is ready; how long that took."""
    began = time.monotonic()
    while service.process.poll() is None and time.monotonic() - began < _START_SECONDS:
        with suppress(NoAnswer):
            if Connection(service.port, timeout=2).get("/readyz").status == 200:
                return time.monotonic() - began
        time.sleep(0.02)
    raise RuntimeError(f"the service did not get ready:\n{service.log.read_text()[-3000:]}")


def _running(name: str, service: Server) -> Running:
    (worker,) = service.workers()
    return Running(name, service.port, worker)


def _rival(stack: ExitStack, name: str) -> Running:
    """One uvicorn worker as fast as it goes: uvloop, httptools, no access log."""
    port = free_port()
    words = [sys.executable, "-m", "uvicorn", "--factory", f"benchmarks.serving.rivals:{name}_app"]
    words += ["--host", "127.0.0.1", "--port", str(port), "--loop", "uvloop"]
    words += ["--http", "httptools", "--no-access-log", "--log-level", "error"]
    process = subprocess.Popen(words, cwd=ROOT)
    stack.callback(process.wait, 20)
    stack.callback(process.terminate)
    began = time.monotonic()
    while process.poll() is None and time.monotonic() - began < _START_SECONDS:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return Running(name, port, process.pid)
        time.sleep(0.02)
    raise RuntimeError(f"{name} did not start")
