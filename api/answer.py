"""What goes out: every answer with its request id, every error in the one shape."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from api.failures import Failure, is_ours
from api.translation import translated

__all__ = ["REPORTS", "Answer"]

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
Header = tuple[bytes, bytes]

CLOSE: Header = (b"connection", b"close")

REPORTS = frozenset({"/health"})
"""Paths whose 503 is a report of the service's state and no error."""

LARGEST_ERROR = 1024 * 1024
"""Bytes of a framework's error that are kept; the rest would not be shown anyway."""

CLIENT_GONE = 499
"""The status of an answer that never began; the number that proxies use."""

NO_SNIFFING: Header = (b"x-content-type-options", b"nosniff")
NOT_KEPT: Header = (b"cache-control", b"no-store")

PAGES = ("/static_content/", "/dashboard")
"""Paths of pages and their files, which a browser may keep; all else tells of a state."""

OF_THE_BODY = frozenset(
    {b"content-type", b"content-length", b"content-encoding", b"transfer-encoding"}
)


class Answer:
    """Sends one response: passes a good one through, rewrites an error that is not in our shape.

    Args:
        send: of the connection.
        leaving: whether the caller is to make its next connection elsewhere.
        request_id: goes out as `X-Request-Id`.
        method: of the request.
        path: of the request.
        allowed_origin: the browser's origin, when it is one that may read the answer.
    """

    __slots__ = (
        "_chunks",
        "_headers",
        "_held",
        "_kept",
        "_leaving",
        "_method",
        "_send",
        "allowed_origin",
        "complete",
        "path",
        "request_id",
        "started",
        "status",
    )

    def __init__(
        self,
        send: Send,
        *,
        leaving: Callable[[], bool],
        request_id: str,
        method: str,
        path: str,
        allowed_origin: bytes | None = None,
    ) -> None:
        self._send = send
        self._leaving = leaving
        self._method = method
        self.started = False
        self._held: Message | None = None
        self._chunks: list[bytes] = []
        self._kept = 0
        self._headers: tuple[Header, ...] = ((b"x-request-id", request_id.encode()), NO_SNIFFING)
        if not path.startswith(PAGES):
            self._headers += (NOT_KEPT,)
        if allowed_origin is not None:
            self._headers += (
                (b"access-control-allow-origin", allowed_origin),
                (b"access-control-expose-headers", b"X-Request-Id"),
                (b"vary", b"Origin"),
            )
        self.request_id = request_id
        self.path = path
        self.allowed_origin = allowed_origin
        self.complete = False
        self.status = CLIENT_GONE

    @property
    def partial(self) -> bool:
        """Whether a part of the answer is out and the rest is not."""
        return self.started and not self.complete

    async def send(self, message: Message) -> None:
        """Take one message of the guarded app."""
        if message["type"] == "http.response.start":
            if message["status"] >= 400 and not self._is_report(message["status"]):
                self._held = message
                return
            message["headers"] = [*message.get("headers", ()), *self._own_headers()]
            self.started, self.status = True, message["status"]
        elif message["type"] == "http.response.body":
            if self._held is not None:
                self._keep(message.get("body", b""))
                if not message.get("more_body", False):
                    await self.finish()
                return
            self.complete = not message.get("more_body", False)
        await self._send(message)

    async def finish(self) -> None:
        """Send an error that is held back, in our shape; nothing if none is."""
        if self._held is None:
            return
        held, self._held = self._held, None
        status, body = held["status"], b"".join(self._chunks)
        others = tuple(header for header in held.get("headers", ()) if header[0] not in OF_THE_BODY)
        if not is_ours(body):
            failure = translated(status, body, method=self._method, path=self.path)
            status, body = failure.status, failure.body
        await self._respond(status, body, others)

    async def fail(self, failure: Failure) -> None:
        """Answer with an error of our own, instead of whatever was held back."""
        self._held = None
        await self._respond(failure.status, failure.body, failure.headers)

    async def preflight(self) -> None:
        """Tell a browser that a page of an allowed origin may send keys and JSON."""
        allowed = (
            (b"access-control-allow-methods", b"GET, POST"),
            (b"access-control-allow-headers", b"Authorization, Content-Type"),
            (b"access-control-max-age", b"600"),
        )
        headers = [*allowed, *self._own_headers()]
        await self._send({"type": "http.response.start", "status": 204, "headers": headers})
        await self._send({"type": "http.response.body", "body": b""})
        self.started = self.complete = True
        self.status = 204

    def _own_headers(self) -> tuple[Header, ...]:
        return (*self._headers, CLOSE) if self._leaving() else self._headers

    def _is_report(self, status: int) -> bool:
        return status == 503 and self.path in REPORTS

    def _keep(self, chunk: bytes) -> None:
        room = LARGEST_ERROR - self._kept
        self._chunks.append(chunk[:room])
        self._kept += len(self._chunks[-1])

    async def _respond(self, status: int, body: bytes, headers: tuple[Header, ...]) -> None:
        described = (
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
        )
        start = {
            "type": "http.response.start",
            "status": status,
            "headers": [*headers, *described, *self._own_headers()],
        }
        self.started, self.status = True, status
        await self._send(start)
        content = b"" if self._method == "HEAD" else body
        await self._send({"type": "http.response.body", "body": content})
        self.complete = True
