"""How a worker leaves: it says so first, and goes on answering until nobody asks it any more.

uvicorn stops at once when it is told to: it closes the connections that are idle at that moment,
and a request that was on its way over one of them gets no answer. So SIGTERM begins a drain.
While it lasts `/readyz` is 503, so that balancers send nothing new, and every answer says
`Connection: close`, so that a caller makes its next connection elsewhere. Only then uvicorn is
told. A second SIGTERM ends the drain.
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
        self._closing = False
        self.begun = False

    def watch(self) -> None:
        """Take signals over from uvicorn. Called on its event loop, once it has begun to serve.

        Where no uvicorn handles it, as in a test, nothing changes.
        """
        server = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
        if isinstance(server, uvicorn.Server):
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
        if self._server is None or self._closing:
            return
        self._closing = True
        if _is_alone():
            _refuse_connections(self._server)
        # A connection that was accepted just now is not idle: its request is on its way.
        loop, stop = asyncio.get_running_loop(), self._server.handle_exit
        loop.call_later(_LAST_REQUESTS_SECONDS, stop, signal.SIGTERM, None)

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


def _is_alone() -> bool:
    """Whether no other worker of the same arbiter listens on the same socket."""
    try:
        command = psutil.Process().cmdline()[:4]
        siblings = psutil.Process(os.getppid()).children()
    except psutil.Error:
        return False
    for sibling in siblings:
        with suppress(psutil.Error):
            if sibling.pid != os.getpid() and sibling.cmdline()[:4] == command:
                return False
    return True


def _refuse_connections(server: uvicorn.Server) -> None:
    """Let no connection begin that nobody will serve.

    The arbiter holds the listening socket too, and closes it when its workers are gone. Until then
    the system would accept connections on its behalf, and reset them at the end.
    """
    same = [os.dup(each.fileno()) for known in server.servers for each in known.sockets]
    for listening in server.servers:
        listening.close()
    for number in same:
        with socket.socket(fileno=number) as listener, suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
