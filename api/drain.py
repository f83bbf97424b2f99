"""How a worker leaves: it says so first, and goes on answering until nobody asks it any more.

uvicorn stops at once when it is told to: it closes the connections that are idle at that moment,
and a request that was on its way over one of them gets no answer. So SIGTERM begins a drain.
While it lasts `/readyz` is 503, so that balancers send nothing new, and every answer says
`Connection: close`, so that a caller makes its next connection elsewhere. Only then uvicorn is
told, once no connection can begin any more and what has begun was heard: so that none is reset. A
second SIGTERM ends the drain.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import psutil  # type: ignore[import-untyped]  # it ships no types
import uvicorn

__all__ = ["Drain"]

_LOGGER = logging.getLogger("usdcop.api")

_MOST_UNDER_WAY_SECONDS: Final = 7
"""How long uvicorn waits for answers that are under way: BentoML cuts requests off after 5 s. What
is left then is a client that does not read its answer."""

_LAST_REQUESTS_SECONDS: Final = 0.2
"""How long the next request over a connection in use is waited for; its answer closes it."""

_LOOK_SECONDS: Final = 0.02
_LOOKS_FOR_FIRST_REQUESTS: Final = 40
"""So 0.8 s more at most for a connection that has begun and has asked nothing yet."""

_LOOKS_FOR_OTHER_WORKERS: Final = 250
"""So 5 s at most for workers that leave as well: by then their requests are cut off."""


class Drain:
    """The drain of one worker.

    Args:
        seconds: that it lasts.
        leave: called once, at its beginning.
    """

    def __init__(self, seconds: float, leave: Callable[[], None]) -> None:
        self._seconds, self._leave = seconds, leave
        self._server: uvicorn.Server | None = None
        self._end: asyncio.TimerHandle | None = None
        self._closing: asyncio.Task[None] | None = None
        self.begun = False

    def watch(self, server: uvicorn.Server) -> None:
        """Take signals over from uvicorn. Called on its event loop, before it serves."""
        self._server = server
        # BentoML's arbiter would wait for a day.
        server.config.timeout_graceful_shutdown = _MOST_UNDER_WAY_SECONDS
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._asked)
        loop.add_signal_handler(signal.SIGINT, self.stop_now)

    def stop_now(self) -> None:
        """Stop without a drain, as for Ctrl-C."""
        self._begin()
        if self._end is not None:
            self._end.cancel()
        if self._server is not None and self._closing is None:
            self._closing = asyncio.get_running_loop().create_task(_close(self._server))

    def _asked(self) -> None:
        if self.begun or self._seconds == 0:
            self.stop_now()
            return
        self._begin()
        _LOGGER.info("stopping: not ready from now on, and answering for %g s", self._seconds)
        self._end = asyncio.get_running_loop().call_later(self._seconds, self.stop_now)

    def _begin(self) -> None:
        if not self.begun:
            self.begun = True
            self._leave()


async def _close(server: uvicorn.Server) -> None:
    """Refuse what is new, hear what has begun, and let uvicorn end."""
    try:
        begun = _end_listening(server, for_all=await _is_last())
        taken = [asyncio.create_task(_serve(server, connection)) for connection in begun]
        # A connection that was accepted just now is not idle: its request is on its way.
        await asyncio.sleep(_LAST_REQUESTS_SECONDS)
        for _ in range(_LOOKS_FOR_FIRST_REQUESTS):
            if all(task.done() for task in taken) and not _awaits_a_first_request(server):
                break
            await asyncio.sleep(_LOOK_SECONDS)
    finally:
        server.handle_exit(signal.SIGTERM, None)


async def _serve(server: uvicorn.Server, connection: socket.socket) -> None:
    """Do with a connection what uvicorn does with each that it accepts."""

    def protocol() -> asyncio.Protocol:
        made: asyncio.Protocol = server.config.http_protocol_class(  # type: ignore[call-arg]
            config=server.config, server_state=server.server_state, app_state=server.lifespan.state
        )
        return made

    connection.settimeout(0)
    with suppress(OSError):  # its caller has left again
        await asyncio.get_running_loop().connect_accepted_socket(
            protocol, connection, ssl=server.config.ssl
        )


def _awaits_a_first_request(server: uvicorn.Server) -> bool:
    return any(getattr(each, "cycle", None) is None for each in server.server_state.connections)


async def _is_last() -> bool:
    """Whether no other worker of the same arbiter listens on the same socket any more.

    When all of them are asked to stop, the one with the lowest process id serves on until the
    others are gone, so that one of them is the last and can refuse what comes then.
    """
    with suppress(psutil.Error):
        for _ in range(_LOOKS_FOR_OTHER_WORKERS):
            others = _other_workers()
            if not others:
                return True
            if min(others) < os.getpid():
                break
            await asyncio.sleep(_LOOK_SECONDS)
    return False


def _other_workers() -> list[int]:
    command = psutil.Process().cmdline()[:4]
    found = []
    for sibling in psutil.Process(os.getppid()).children():
        with suppress(psutil.Error):
            if sibling.pid != os.getpid() and sibling.cmdline()[:4] == command:
                found.append(sibling.pid)
    return found


def _end_listening(server: uvicorn.Server, *, for_all: bool) -> list[socket.socket]:
    """Accept no connection any more.

    The arbiter holds the listening socket too, and closes it when its workers are gone. Until then
    the system would accept connections on its behalf, and reset them at the end.

    Args:
        server: that of this worker.
        for_all: let no connection begin, since nobody is left who would serve it.

    Returns:
        The connections that had begun and that nobody had accepted: they would be reset now.
    """
    waiting: list[socket.socket] = []
    servers = getattr(server, "servers", ())  # it has none yet while it starts
    same = [os.dup(each.fileno()) for known in servers for each in known.sockets]
    for listening in servers:
        listening.close()
    for number in same:
        with socket.socket(fileno=number) as listener, suppress(OSError):
            if for_all:
                waiting += _accepted(listener)
                listener.shutdown(socket.SHUT_RDWR)
    return waiting


def _accepted(listener: socket.socket) -> list[socket.socket]:
    listener.settimeout(0)
    accepted = []
    with suppress(OSError):  # until there is none
        while True:
            accepted.append(listener.accept()[0])
    return accepted
