"""The two stores that a service is measured on: a file, and a real Redis server."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import httpx

from risk.ledger.protocol import Ledger
from risk.ledger.redis import RedisLedger
from risk.ledger.sqlite import SqliteLedger
from tests.live.server import ALL_DAY, Server
from tests.redis_server import RedisServer

__all__ = [
    "WIDE",
    "RedisStore",
    "SqliteStore",
    "Store",
    "service_on",
    "store_of",
    "until_healthy",
    "working_folder",
]

BOOK = "default"

WIDE: Mapping[str, str] = {
    # Trade results come in all the time, and nothing may trip; the checks run all the same.
    "MLOPS__RISK_LIMITS__MAX_DAILY_LOSS": "-1.0",
    "MLOPS__RISK_LIMITS__MAX_DRAWDOWN": "-1.0",
    "MLOPS__RISK_LIMITS__MAX_CONSECUTIVE_LOSSES": "1000000000",
    "MLOPS__RISK_LIMITS__MAX_TRADES_PER_DAY": "1000000000",
    "MLOPS__RISK_LIMITS__COOLDOWN_AFTER_LOSS": "0",
    # A check is made when it is asked for, and not at the full hour.
    "MLOPS__MONITORING__ENABLE_DRIFT_DETECTION": "false",
}
"""A book on which no limit is reached, however long it is driven."""


class Store(Protocol):
    """Where a service keeps its ledger."""

    @property
    def name(self) -> str:
        """`sqlite` or `redis`."""
        ...

    def variables(self) -> Mapping[str, str]:
        """Environment of a service that uses it."""
        ...

    def opened(self) -> Ledger:
        """Its ledger, apart from any service; it must be there."""
        ...

    def close(self) -> None:
        """End what was started."""
        ...


class SqliteStore:
    """A file in the folder of the service."""

    name = "sqlite"

    def __init__(self, folder: Path) -> None:
        self._path = folder / "var" / "state.db"

    def variables(self) -> Mapping[str, str]:
        """Nothing: it is the default."""
        return {}

    def opened(self) -> SqliteLedger:
        """Its ledger."""
        return SqliteLedger(self._path, create=False, busy_timeout_ms=5000)

    def close(self) -> None:
        """Nothing was started."""


class RedisStore:
    """A server that logs every write to the disk before it answers."""

    name = "redis"

    def __init__(self, folder: Path) -> None:
        self.server = RedisServer(folder / "redis").start()

    def variables(self) -> Mapping[str, str]:
        """Where it is."""
        return {"REDIS_HOST": self.server.host, "REDIS_PORT": str(self.server.port)}

    def opened(self) -> RedisLedger:
        """Its ledger."""
        return RedisLedger(BOOK, **self.server.address, timeout_ms=5000, create=False)

    def close(self) -> None:
        """End the server."""
        self.server.kill()


def store_of(name: str, folder: Path) -> SqliteStore | RedisStore:
    """The store of this name, started."""
    return SqliteStore(folder) if name == "sqlite" else RedisStore(folder)


def service_on(
    store: Store, folder: Path, *, workers: int = 1, variables: Mapping[str, str] | None = None
) -> Server:
    """A service on a store, at a market that never closes; not started yet."""
    return Server(
        folder,
        {
            **ALL_DAY,
            **store.variables(),
            "BENTOML_CONFIG_OPTIONS": f"services.usdcop.workers={workers}",
            "MLOPS__LOGGING__LEVEL": "ERROR",
            **(variables or {}),
        },
    )


def until_healthy(server: Server, seconds: float = 30) -> float:
    """Wait until the service says that it is healthy; how long that took."""
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        try:
            if httpx.get(f"{server.url}/health", timeout=2, verify=False).status_code == 200:
                return time.monotonic() - began
        except httpx.TransportError:
            pass
        time.sleep(0.02)
    raise AssertionError(
        f"the service was not healthy within {seconds} s:\n{server.log.read_text()[-2000:]}"
    )


@contextmanager
def working_folder(name: str) -> Iterator[Path]:
    """A folder that is gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix=f"usdcop-{name}-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
