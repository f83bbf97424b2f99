"""From a POST body to its handler, without what BentoML does between them.

Its own way to the same handler (a context, three more applications, a router, a reflected call,
the parts of an answer set one by one) costs as much as a whole bare handler: 98 of the 142
microseconds of a request that does nothing, measured in one process. What a route is called, reads
and answers stays declared by `@bentoml.api`, which the documents and BentoML's client are made of.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from fastapi import Response
from pydantic import BaseModel, ValidationError

from api.repeated import refuse_repeated
from api.translation import invalid
from errors import InvalidRequest

__all__ = ["Dispatch", "Route"]

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

Handler = Callable[[Any], Awaitable[Response]]
Route = tuple[type[BaseModel], Handler]
"""What a body is read as, and who answers it."""


class Dispatch:
    """ASGI middleware inside of the guard, which gives it whole bodies.

    Args:
        app: answers everything else.
        routes: path to route, of POST requests; asked at each request, since handlers are made
            after the middleware is.
    """

    def __init__(self, app: App, routes: Callable[[], Mapping[str, Route]]) -> None:
        self._app, self._routes = app, routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request.

        Raises:
            InvalidRequest: the body is not what the route reads, or gives a field twice.
        """
        route = None
        if scope["type"] == "http" and scope["method"] == "POST":
            route = self._routes().get(scope["path"])
        if route is None:
            await self._app(scope, receive, send)
            return
        model, handler = route
        message = await receive()
        try:
            request = model.model_validate_json(message["body"])
        except ValidationError as error:
            details = error.errors(include_url=False, include_context=False, include_input=False)
            raise _refusal(details, model) from None
        refuse_repeated(message["body"], request.model_fields_set)
        answer = await handler(request)
        await send(
            {
                "type": "http.response.start",
                "status": answer.status_code,
                "headers": answer.raw_headers,
            }
        )
        await send({"type": "http.response.body", "body": answer.body})


def _refusal(details: Any, model: type[BaseModel]) -> InvalidRequest:
    failure = invalid(details, tuple(model.model_fields))
    return InvalidRequest(failure.message, detail=failure.detail)
