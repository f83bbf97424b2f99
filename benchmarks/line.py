"""A keep-alive connection on which requests go out as bytes that were made beforehand."""

from __future__ import annotations

import socket
from typing import Final

__all__ = ["Line", "length_of", "request_of"]

_MOST: Final = 1 << 18
_LENGTH: Final = b"content-length: "


class Line:
    """One connection.

    Args:
        port: on loopback.

    Attributes:
        socket: to be waited on.
        number: of the request under way.
    """

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.number = -1
        self._answer = b""

    def send(self, number: int, request: bytes) -> None:
        """Send a request; its number is kept until the answer is there."""
        self.number, self._answer = number, b""
        self.socket.sendall(request)

    def received(self) -> bytes | None:
        """Read; the whole answer once it is there.

        Raises:
            ConnectionError: the server closed the connection, or an answer has no length.
        """
        chunk = self.socket.recv(_MOST)
        if not chunk:
            raise ConnectionError("the server closed a connection")
        self._answer += chunk
        length = length_of(self._answer)
        return self._answer if length is not None and len(self._answer) >= length else None


def length_of(answer: bytes) -> int | None:
    """Bytes of a whole answer, its head among them; None while the head is not there.

    Raises:
        ConnectionError: it does not say.
    """
    end = answer.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = answer[: end + 2].lower()
    begin = head.find(_LENGTH)
    if begin < 0:
        raise ConnectionError("an answer came without its length")
    begin += len(_LENGTH)
    return end + 4 + int(head[begin : head.index(b"\r", begin)])


def request_of(path: str, body: bytes) -> bytes:
    """The bytes of a POST."""
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: 127.0.0.1",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "",
        "",
    ]
    return "\r\n".join(lines).encode() + body
