"""The way to one Redis server: every call ends soon, and every fault is one line.

A call that is not answered is made once more, on a new connection and with a third of the
bound; scripts are told, so that what the first attempt stored is not stored twice. After that
the server counts as down: calls fail at once, without touching the network, and every 100 ms
one of them looks whether it is back. redis-py's own retries and health checks are off: they
make one dead call last for seconds.
"""

import re
from collections.abc import Callable, Sequence
from threading import Lock
from time import monotonic
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.connection import ConnectionPool
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    InvalidResponse,
    MovedError,
    NoScriptError,
    RedisError,
    ResponseError,
)
from redis.retry import Retry

from errors import StoreCorrupt, StoreUnavailable
from stores.redis_connection import BoundedConnection, Lost, Route, ask
from stores.redis_script import Script

__all__ = ["RedisLink", "Unanswered"]

_LOOK_AGAIN_SECONDS = 0.1
_MOST_CONNECTIONS = 1024

# What Redis refuses with. A refusal inside of a script has its word somewhere in the text.
_REFUSALS = {
    "unauthenticated": "wants a password",
    "WRONGTYPE": "holds a key of another type where the service keeps its own",
    "OOM": "is out of memory (maxmemory)",
    "READONLY": "is a read-only replica",
    "MISCONF": "takes no writes because it cannot save its data (is its disk full?)",
    "NOREPLICAS": "takes no writes because too few replicas follow it",
    "CLUSTERDOWN": "belongs to a cluster that is down",
    "MASTERDOWN": "is a replica that has lost its master",
    "TRYAGAIN": "is moving this book to another node",
    "ASK": "is moving this book to another node",
    "MOVED": "and the node that it names each send calls for this book elsewhere",
    "CROSSSLOT": "does not keep the keys of this book together",
    "BUSY": "is busy with a script that does not end",
    "NOPERM": "does not permit this user the commands that are needed",
}
_REFUSAL = re.compile(rf"(?<![\w-])-?({'|'.join(_REFUSALS)})\b")


class Unanswered(StoreUnavailable):
    """A call was sent and not answered: whether it was carried out is not known."""


class RedisLink:
    """Calls to one server, from any thread.

    Args:
        host: name or address.
        port: TCP port.
        db: number of the database.
        password: of the default user.
        timeout_ms: how long each step of a first attempt may take; a dead server ends it at
            the first one.
    """

    def __init__(
        self,
        *,
        host: str,
        port: int,
        db: int = 0,
        password: str | None = None,
        timeout_ms: int = 150,
    ) -> None:
        self.name = f"redis at {host}:{port}"
        self._seconds, self._password = timeout_ms / 1000, password
        self._route = Route(host, port)
        self._options: dict[str, Any] = {
            "route": self._route,
            "db": db,
            "password": password,
            "protocol": 2,
            "decode_responses": False,
            "driver_info": None,
            "health_check_interval": 0,
            "retry_on_timeout": False,
            "retry_on_error": [],
            "retry": Retry(NoBackoff(), 0),
        }
        self._pool = ConnectionPool(
            BoundedConnection, _MOST_CONNECTIONS, **self._options, seconds=self._seconds
        )
        self._lock = Lock()
        self._failure: str | None = None
        self._look_again_at = 0.0
        self._closed = False

    @property
    def failure(self) -> str | None:
        """Why the server counts as down; None when it does not."""
        return self._failure

    def run(self, script: Script, keys: Sequence[str], arguments: Sequence[Any]) -> list[Any]:
        """Run a script; its first argument is the number of the attempt, 1 or 2.

        Raises:
            Unanswered: it may or may not have run.
            StoreUnavailable: it did not run, or the server refused what it wanted.
            StoreCorrupt: a key holds something else than a ledger.
        """

        def attempt(connection: Any, number: int) -> Any:
            words = [len(keys), *keys, number, *arguments]
            try:
                return ask(connection, "EVALSHA", script.sha, *words)
            except NoScriptError:
                return ask(connection, "EVAL", script.text, *words)

        reply: list[Any] = self._call(attempt)
        return reply

    def ask(self, *words: str) -> Any:
        """Send a command; the reply as Redis gave it, in bytes.

        Raises:
            StoreUnavailable: the server cannot be reached, or refused it.
        """
        return self._call(lambda connection, _: ask(connection, *words))

    def close(self) -> None:
        """Close all connections. Closing twice is harmless."""
        self._closed = True
        self._pool.disconnect()

    def _call(self, attempt: Callable[[Any, int], Any]) -> Any:
        self._refuse_while_down()
        try:
            return self._first(attempt)
        except ResponseError as error:
            raise self._refused(error) from None
        except (AuthenticationError, BusyLoadingError) as error:
            raise self._down(error, sent=False) from None
        except RedisError as error:
            sent = isinstance(error, Lost)
        self._drop_idle()
        try:
            return self._on_new(lambda connection: attempt(connection, 2))
        except ResponseError as error:
            refusal = self._refused(error)
            known = not sent or isinstance(refusal, StoreCorrupt)
            raise (refusal if known else Unanswered(str(refusal))) from None
        except RedisError as error:
            raise self._down(error, sent=sent or isinstance(error, Lost)) from None

    def _first(self, attempt: Callable[[Any, int], Any]) -> Any:
        try:
            return self._on_pooled(lambda connection: attempt(connection, 1))
        except MovedError as moved:
            self._route.follow(moved.host, moved.port)
            self._drop_idle()
            return self._on_pooled(lambda connection: attempt(connection, 1))

    def _refuse_while_down(self) -> None:
        if self._closed:
            raise StoreUnavailable(f"{self.name} was closed by this process")
        with self._lock:
            if self._failure is None:
                return
            if monotonic() < self._look_again_at:
                raise StoreUnavailable(self._failure)
            self._look_again_at = monotonic() + _LOOK_AGAIN_SECONDS
        try:
            self._on_new(lambda connection: ask(connection, "PING"))
        except RedisError as error:
            raise self._down(error, sent=False) from None
        self._failure = None

    def _on_pooled(self, act: Callable[[Any], Any]) -> Any:
        connection = self._pool.get_connection()
        try:
            return act(connection)
        finally:
            self._pool.release(connection)

    def _on_new(self, act: Callable[[Any], Any]) -> Any:
        connection: Any = BoundedConnection(**self._options, seconds=self._seconds / 3)
        try:
            connection.connect()
            return act(connection)
        finally:
            connection.disconnect()

    def _drop_idle(self) -> None:
        self._pool.disconnect(inuse_connections=False)

    def _down(self, error: RedisError, *, sent: bool) -> StoreUnavailable:
        self._route.reset()
        self._drop_idle()
        failure = self._in_words(error)
        with self._lock:
            self._failure = failure
            self._look_again_at = monotonic() + _LOOK_AGAIN_SECONDS
        return Unanswered(failure) if sent else StoreUnavailable(failure)

    def _in_words(self, error: RedisError) -> str:
        cause = error.__cause__ if isinstance(error, Lost) else error
        if isinstance(cause, BusyLoadingError):
            return f"{self.name} is still loading its data"
        if isinstance(cause, AuthenticationError):
            refusal = "does not accept the password" if self._password else "wants a password"
            return f"{self.name} {refusal}"
        if isinstance(cause, redis.TimeoutError):
            return f"{self.name} does not answer within {self._seconds * 1000:.0f} ms"
        if isinstance(error, Lost):
            return f"{self.name} closed the connection"
        if isinstance(error, InvalidResponse):
            return f"{self.name} does not speak the protocol of Redis"
        reason = getattr(error.__context__, "strerror", None)
        return f"{self.name} cannot be reached{f' ({reason})' if reason else ''}"

    def _refused(self, error: ResponseError) -> StoreUnavailable | StoreCorrupt:
        text = f"{getattr(error, 'status_code', None) or ''} {error}".strip()
        found = _REFUSAL.search(text)
        if found is None:
            return StoreUnavailable(f"{self.name} refused: {self._without_password(text)}")
        line = f"{self.name} {_REFUSALS[found[1]]}"
        return StoreCorrupt(line) if found[1] == "WRONGTYPE" else StoreUnavailable(line)

    def _without_password(self, text: str) -> str:
        """The first line; a server that does not know a command repeats what came with it."""
        line = text.splitlines()[0]
        return (line.replace(self._password, "***") if self._password else line)[:200]
