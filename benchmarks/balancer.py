"""A small balancer of TCP connections, as an infrastructure puts one before replicas.

Every `CHECK_SECONDS` each backend is asked `GET /readyz` on a connection of its own. One answer of
200 makes it ready; two checks in a row without one make it not ready. A new connection goes to the
ready backends in turn. If that backend refuses the connection the next one is tried: nothing has
been sent by then. Once a connection stands, bytes pass unseen in both directions until either side
ends it: no request is read, repeated or held back, and connections to a backend that is no longer
ready are left alone.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

__all__ = ["CHECK_SECONDS", "Balancer"]

CHECK_SECONDS: Final = 0.5
_FALL: Final = 2
_CHECK: Final = b"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
_BYTES: Final = 65536


class Balancer:
    """Listens on a free port of loopback while it is entered.

    Attributes:
        port: that it listens on.
        retried: connections that a backend refused and another one was tried for.
        refused: connections for which no backend was found; their callers are cut off.
    """

    def __init__(self) -> None:
        self.port = self.retried = self.refused = 0
        self._failed: dict[int, int] = {}
        self._known: dict[int, asyncio.Event] = {}
        self._turn = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Balancer:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *reason: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def add(self, port: int) -> None:
        """Look after one more backend; it gets connections once it is ready."""
        self._failed[port] = _FALL
        self._known[port] = asyncio.Event()
        self._keep(asyncio.create_task(self._look_after(port)))

    def remove(self, port: int) -> None:
        """Forget a backend."""
        self._failed.pop(port, None)

    async def until_ready(self, port: int) -> None:
        """Wait until a backend has been ready for the first time."""
        await self._known[port].wait()

    def ready(self) -> list[int]:
        """The backends that get connections."""
        return [port for port, failed in self._failed.items() if failed < _FALL]

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _look_after(self, port: int) -> None:
        while port in self._failed:
            failed = 0 if await _is_ready(port) else self._failed.get(port, 0) + 1
            if port in self._failed:
                self._failed[port] = failed
                if not failed:
                    self._known[port].set()
            await asyncio.sleep(CHECK_SECONDS)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        backend = None
        try:
            backend = await self._connected()
            if backend is not None:
                await asyncio.gather(_pass(reader, backend[1]), _pass(backend[0], writer))
        except asyncio.CancelledError:
            return  # the balancer ends, and with it the connection
        finally:
            writer.close()
            if backend is not None:
                backend[1].close()
            self._tasks.discard(task)

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        ready = self.ready()
        self._turn += 1
        for place in range(len(ready)):
            try:
                return await asyncio.open_connection(
                    "127.0.0.1", ready[(self._turn + place) % len(ready)]
                )
            except ConnectionRefusedError:
                self.retried += 1
        self.refused += 1
        return None


async def _is_ready(port: int) -> bool:
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(1):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(_CHECK)
                return (await reader.readline()).startswith(b"HTTP/1.1 200")
            finally:
                writer.close()
    return False


async def _pass(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    """Bytes as they come; then the end, which the other side sees too."""
    with suppress(OSError):
        while data := await source.read(_BYTES):
            target.write(data)
            await target.drain()
    with suppress(OSError):
        target.write_eof()
