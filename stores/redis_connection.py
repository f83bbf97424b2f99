"""Connections to Redis that end when they should, and where they go.

Looking up a host name is bounded too, which the C library's resolver is not: where a container
that stops takes its name with it, the resolver may look for it for many seconds.
"""

import ipaddress
import socket
from concurrent.futures import Future
from threading import Lock, Thread
from time import monotonic
from typing import Any

import redis
from redis.connection import Connection
from redis.exceptions import AuthenticationError, BusyLoadingError, RedisError

__all__ = ["BoundedConnection", "Lost", "Route", "ask"]


class Lost(RedisError):
    """A command went out, and its connection ended or fell silent before the answer came."""


def ask(connection: Any, *words: Any) -> Any:
    """Send a command and wait for its reply.

    Raises:
        Lost: there is none.
        RedisError: the reply is an error.
    """
    try:
        connection.send_command(*words)
        return connection.read_response()
    except (AuthenticationError, BusyLoadingError):
        raise
    except (redis.ConnectionError, redis.TimeoutError) as error:
        raise Lost from error


class Route:
    """Where connections go: to the configured server, or to where it sent this book's calls."""

    def __init__(self, host: str, port: int) -> None:
        self._home = host, port
        self.host, self.port = self._home
        self._lock = Lock()
        self._search: Future[list[str]] | None = None

    def follow(self, host: str, port: int) -> None:
        """Go to another node of a cluster, which names itself by address, or by port alone."""
        self.host, self.port = host or self.host, port

    def reset(self) -> None:
        """Go to the configured server again."""
        self.host, self.port = self._home

    def addresses(self, seconds: float) -> list[str]:
        """Numeric addresses of the host.

        Raises:
            OSError: there are none, or the search takes longer than this.
        """
        try:
            return [str(ipaddress.ip_address(self.host))]
        except ValueError:
            pass
        with self._lock:
            if self._search is None:
                self._search = Future()
                Thread(target=_find, args=(self.host, self._search), daemon=True).start()
            search = self._search
        try:
            return search.result(seconds)
        finally:
            # One that was not finished in time is waited for by the next that asks.
            if search.done():
                self._search = None


def _find(host: str, search: Future[list[str]]) -> None:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        search.set_result([str(entry[4][0]) for entry in found])
    except (OSError, UnicodeError) as error:
        search.set_exception(OSError(0, getattr(error, "strerror", None) or "no such name"))


class BoundedConnection(Connection):
    """A connection that is made within its bound, the look-up of the host included.

    Args:
        route: where to.
        seconds: bound of connecting, and of each step after it.
        options: of `redis.connection.Connection`.
    """

    def __init__(self, *, route: Route, seconds: float, **options: Any) -> None:
        super().__init__(  # type: ignore[no-untyped-call]
            host=route.host,
            port=route.port,
            socket_timeout=seconds,
            socket_connect_timeout=seconds,
            **options,
        )
        self._route, self._seconds = route, seconds

    def _connect(self) -> Any:
        until = monotonic() + self._seconds
        self.port = self._route.port
        failure = OSError(0, "it has no address")
        for address in self._route.addresses(self._seconds):
            self.host = address
            self.socket_connect_timeout = max(0.001, until - monotonic())
            try:
                return super()._connect()  # type: ignore[no-untyped-call]
            except OSError as error:
                failure = error
        raise failure
