"""What stands between the socket and a handler: who, from where, what kind of body, which errors.

Pure ASGI, so that the same class works under BentoML (`add_asgi_middleware(Guard, ...)`),
Starlette and a test. Nothing passes that is not admitted here, and every answer leaves with a
request id and, from status 400 on, in the one shape of `api.failures`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from api.access import ANONYMOUS, Access, Caller, current_caller
from api.admission import deciding_headers, judge
from api.answer import Answer
from api.body import read_body
from api.failures import Failure, failure_of
from errors import ServiceError

__all__ = ["Guard"]

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

logger = logging.getLogger("usdcop.api")

METHODS_WITH_BODY = frozenset({"POST", "PUT", "PATCH", "DELETE"})
EMPTY_OBJECT = b"{}"

FAULT = Failure(500, "the service failed; its log says why")
ENCODED = Failure(415, "a body must come as it is: send no Content-Encoding")


class Guard:
    """ASGI middleware around the whole service.

    Args:
        app: what is guarded.
        access: keys and routes.
        max_body_bytes: largest request body; a larger one is 413.
        bulky: path to the largest body of a route that takes larger ones.
        body_seconds: how long a body may take to arrive; a slower one is 408.
        new_request_id: makes the id that an answer carries as `X-Request-Id`; ASCII.
        answered: is told of each request once its answer is out: its route as `ROUTES` has it
            (few, whatever paths are asked for), the status, and the seconds since its head came.
            An answer that never began, since the client went away or time ran out, is a 499.
        leaving: whether callers are to make their next connection elsewhere.
    """

    def __init__(
        self,
        app: App,
        *,
        access: Access,
        max_body_bytes: int,
        bulky: Mapping[str, int] | None = None,
        body_seconds: float = 4.0,
        new_request_id: Callable[[], str],
        answered: Callable[[str, int, float], None] | None = None,
        leaving: Callable[[], bool] = lambda: False,
    ) -> None:
        self._app = app
        self._access = access
        self._max_body_bytes = max_body_bytes
        self._bulky = bulky or {}
        self._body_seconds = body_seconds
        self._new_request_id = new_request_id
        self._answered = answered
        self._leaving = leaving

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection: HTTP is guarded, websockets are closed, the lifespan passes."""
        if scope["type"] == "http":
            await self._serve(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": "no websockets here"})
        else:
            await self._app(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        headers = deciding_headers(scope)
        request_id = self._new_request_id()
        path = _path(scope)
        origin = headers.get(b"origin")
        answer = Answer(
            send,
            leaving=self._leaving,
            request_id=request_id,
            method=scope["method"],
            path=path,
            allowed_origin=origin if origin in self._access.allowed_origins else None,
        )
        # A middleware that raises before it answers leaves the client to wait for a timeout.
        try:
            await self._admit(scope, receive, answer, headers)
        except ServiceError as error:
            await self._failed(scope, answer, error, failure_of(error))
        except Exception as error:  # noqa: BLE001  # the edge: answered as 500, logged, or cut off
            await self._failed(scope, answer, error, FAULT)
        finally:
            if self._answered is not None:
                # A stream is answered when it begins, and counted when it ends.
                ended = scope.get("state", {}).get("answered_at") or time.perf_counter()
                self._answered(self._access.route(path), answer.status, ended - began)

    async def _failed(
        self, scope: Scope, answer: Answer, error: Exception, failure: Failure
    ) -> None:
        caller = scope.get("state", {}).get("caller", ANONYMOUS)
        about = {"request_id": answer.request_id, "caller": caller.name}
        if failure.status == 500:
            logger.error("request %s failed", answer.request_id, exc_info=error, extra=about)
        elif failure.status > 500:
            logger.warning("request %s: %s", answer.request_id, failure.message, extra=about)
        if answer.partial:
            raise error  # half an answer must not look like a whole one: the server cuts it off
        if not answer.complete:
            await answer.fail(failure)

    async def _admit(
        self, scope: Scope, receive: Receive, answer: Answer, headers: Mapping[bytes, bytes]
    ) -> None:
        if answer.allowed_origin is not None and _is_preflight(scope, headers):
            await answer.preflight()
            return
        verdict = judge(scope, answer.path, headers, self._access)
        if isinstance(verdict, Failure):
            await answer.fail(verdict)
            return
        if scope["method"] in METHODS_WITH_BODY:
            body = await self._body(receive, headers, answer.path)
            if body is None:
                return
            if isinstance(body, Failure):
                await answer.fail(body)
                return
            receive = _replayed(body or EMPTY_OBJECT, receive)
            if not body:
                _describe_empty_object(scope)
        await self._run(scope, receive, answer, verdict)

    async def _run(self, scope: Scope, receive: Receive, answer: Answer, caller: Caller) -> None:
        state = scope.setdefault("state", {})
        state["caller"] = caller
        state["request_id"] = answer.request_id
        token = current_caller.set(caller)
        try:
            await self._app(scope, receive, answer.send)
        finally:
            current_caller.reset(token)
        await answer.finish()
        if not answer.started:
            about = {"request_id": answer.request_id, "caller": caller.name}
            logger.error(
                "request %s was not answered by its handler", answer.request_id, extra=about
            )
            await answer.fail(FAULT)

    async def _body(
        self, receive: Receive, headers: Mapping[bytes, bytes], path: str
    ) -> bytes | Failure | None:
        encoding = headers.get(b"content-encoding")
        if encoding is not None and encoding.strip().lower() not in (b"", b"identity"):
            return ENCODED
        try:
            async with asyncio.timeout(self._body_seconds):
                return await read_body(
                    receive,
                    content_type=headers.get(b"content-type", b""),
                    declared=headers.get(b"content-length", b""),
                    limit=self._bulky.get(path, self._max_body_bytes),
                )
        except TimeoutError:
            return Failure(
                408,
                f"the body did not arrive within {self._body_seconds:g} s",
                headers=((b"connection", b"close"),),
            )


def _path(scope: Scope) -> str:
    """The path as the router will see it: without the prefix that the server is mounted under."""
    path: str = scope["path"]
    root = scope.get("root_path", "")
    if root and path.startswith(root + "/"):
        return path[len(root) :]
    return path


def _is_preflight(scope: Scope, headers: Mapping[bytes, bytes]) -> bool:
    return scope["method"] == "OPTIONS" and b"access-control-request-method" in headers


def _describe_empty_object(scope: Scope) -> None:
    described = (b"content-type", b"content-length", b"transfer-encoding")
    scope["headers"] = [
        *(header for header in scope["headers"] if header[0] not in described),
        (b"content-type", b"application/json"),
        (b"content-length", str(len(EMPTY_OBJECT)).encode()),
    ]


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Give a body that was read already, then whatever the client does next."""
    message: Message | None = {"type": "http.request", "body": body, "more_body": False}

    async def replay() -> Message:
        nonlocal message
        if message is None:
            return await receive()
        first, message = message, None
        return first

    return replay
