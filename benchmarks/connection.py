"""One caller's connection: plain HTTP/1.1, so that the load costs the machine little."""

from __future__ import annotations

import contextlib
import http.client
from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

__all__ = ["Answer", "Connection", "NoAnswer"]

_HEADERS = {"Content-Type": "application/json"}


class NoAnswer(Exception):
    """The connection ended or fell silent: whether the request was carried out is not known."""


class Answer(NamedTuple):
    """A status, and the JSON that came with it."""

    status: int
    content: Any


class Connection:
    """A keep-alive connection that is made again when it has ended.

    Args:
        port: on loopback.
        timeout: seconds that an answer may take.
    """

    def __init__(self, port: int, *, timeout: float = 15.0) -> None:
        self._port, self._timeout = port, timeout
        self._connection: http.client.HTTPConnection | None = None

    def post(self, path: str, body: Mapping[str, Any]) -> Answer:
        """POST a JSON body.

        Raises:
            NoAnswer: nothing came back.
        """
        return self._ask("POST", path, orjson.dumps(body))

    def get(self, path: str) -> Answer:
        """GET a page.

        Raises:
            NoAnswer: nothing came back.
        """
        return self._ask("GET", path, None)

    def close(self) -> None:
        """The next request makes a new connection, perhaps to another worker."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _ask(self, method: str, path: str, body: bytes | None) -> Answer:
        if self._connection is None:
            self._connection = http.client.HTTPConnection(
                "127.0.0.1", self._port, timeout=self._timeout
            )
        try:
            self._connection.request(method, path, body, _HEADERS if body is not None else {})
            response = self._connection.getresponse()
            text = response.read()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise NoAnswer(f"{type(error).__name__}: {error}") from error
        content = None
        with contextlib.suppress(ValueError):
            content = orjson.loads(text)
        return Answer(response.status, content)
