"""The head of a request, read with its bounds: bytes, and seconds until it is whole.

uvicorn takes a request line and headers of any size, and waits for them for ever: one endless
header would fill the memory, and connections that ask nothing would use up the file descriptors.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Final

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from api.failures import Failure

__all__ = ["MAX_HEAD_BYTES", "BoundedHeads", "bound_heads"]

MAX_HEAD_BYTES: Final = 32 * 1024
"""Request line and headers together; the largest that this service needs has some 500 bytes."""

_HEAD_SECONDS: Final = 10.0

_UNHEARD_BYTES: Final = 1024 * 1024
"""What a caller that is refused may go on sending: it would be reset, and not read its answer."""

_TOO_LARGE = Failure(431, f"request line and headers are larger than {MAX_HEAD_BYTES} bytes")
_NOT_HTTP = Failure(400, "this is no request of HTTP/1.1")


class _HeadTooLarge(Exception):
    pass


class BoundedHeads(HttpToolsProtocol):
    """uvicorn's protocol of one connection, with bounds for each head.

    A head that is too large is 431, what is not HTTP 400, both in the one shape of errors. One that
    is not whole in time gets no answer: the connection is closed.
    """

    head_seconds = _HEAD_SECONDS
    """From the connection, or from the first byte of a later request, until its head is whole."""

    _within_head = True
    _bytes_since_head_began = 0
    _head_due: asyncio.TimerHandle | None = None
    _refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Expect a first head."""
        super().connection_made(transport)
        self._expect_head()

    def data_received(self, data: bytes) -> None:
        """Take bytes; a head that they do not end has bounds of its own."""
        self._bytes_since_head_began += len(data)
        if self._refused:
            if self._bytes_since_head_began > _UNHEARD_BYTES:
                self.transport.close()
            return
        super().data_received(data)
        if self._within_head and not self._refused:
            if self._bytes_since_head_began > MAX_HEAD_BYTES:
                self._refuse(_TOO_LARGE)
            elif self._head_due is None:
                self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Expect nothing any more."""
        self._expect_no_head()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """Count anew: of the bytes that came with its first ones some may be another's body."""
        self._within_head, self._bytes_since_head_began = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Let the request begin, if its head is no larger than it may be."""
        self._expect_no_head()
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > MAX_HEAD_BYTES:
            self._refuse(_TOO_LARGE)
            raise _HeadTooLarge  # so that the parser stops
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  # uvicorn's words
        """Answer what the parser refused."""
        if not self._refused:
            self._refuse(_NOT_HTTP)

    def _expect_head(self) -> None:
        self._head_due = self.loop.call_later(self.head_seconds, self.transport.close)

    def _expect_no_head(self) -> None:
        self._within_head = False
        if self._head_due is not None:
            self._head_due.cancel()
            self._head_due = None

    def _refuse(self, failure: Failure) -> None:
        status = HTTPStatus(failure.status)
        head = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\n"
            "content-type: application/json\r\n"
            f"content-length: {len(failure.body)}\r\n"
            "x-content-type-options: nosniff\r\ncache-control: no-store\r\n"
            "connection: close\r\n\r\n"
        )
        self._refused = True
        self.transport.write(head.encode() + failure.body)
        answering = self.cycle is not None and not self.cycle.response_complete
        if answering or not self.transport.can_write_eof():
            self.transport.close()
            return
        self.transport.write_eof()
        self._expect_no_head()
        self._expect_head()  # or the end of what will not be heard


def bound_heads(server: uvicorn.Server) -> None:
    """Bound the heads of connections to come.

    Where httptools is not installed uvicorn reads with h11, which has a bound of its own.
    """
    if server.config.http_protocol_class is HttpToolsProtocol:
        server.config.http_protocol_class = BoundedHeads
