"""A body on its way to its handler."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from fastapi import Response
from pydantic import Field

from api.dispatch import Dispatch, Route
from api.fields import Number, Request
from errors import InvalidRequest


class Asked(Request):
    size: Number
    words: list[str] = Field(default_factory=list)


async def told(message: Asked) -> Response:
    content = {"size": message.size, "words": message.words}
    return Response(json.dumps(content), 201, {"x-own": "1"}, "application/json")


ROUTES: dict[str, Route] = {"/v1/ask": (Asked, told)}


def sent(method: str, path: str, body: bytes = b"{}") -> list[dict[str, Any]]:
    """What goes out; the app behind the dispatch says `passed`."""
    messages: list[dict[str, Any]] = []

    async def passed(scope: Any, receive: Any, send: Any) -> None:
        del scope, receive
        await send({"type": "passed"})

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        messages.append(message)

    scope = {"type": "http", "method": method, "path": path, "headers": []}
    asyncio.run(Dispatch(passed, lambda: ROUTES)(scope, receive, send))
    return messages


def test_a_body_is_read_and_answered_with_status_headers_and_content() -> None:
    start, body = sent("POST", "/v1/ask", b'{"size": 2.5, "words": ["a"]}')
    assert start["status"] == 201
    assert dict(start["headers"])[b"x-own"] == b"1"
    assert dict(start["headers"])[b"content-length"] == str(len(body["body"])).encode()
    assert json.loads(body["body"]) == {"size": 2.5, "words": ["a"]}


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/v1/ask"), ("POST", "/v1/other"), ("POST", "/v1/ask/")]
)
def test_everything_else_passes(method: str, path: str) -> None:
    assert sent(method, path) == [{"type": "passed"}]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"size": 1, "foo": 2}', "unknown field 'foo'; allowed: size, words"),
        (b"{}", "size: missing"),
        (b'{"size": "1"}', "size: must be a number"),
        (b'{"size": NaN}', "size: not a finite number"),
        (b'{"size": 1e999}', "size: not a finite number"),
        (b"{", "not valid JSON: EOF while parsing an object at line 1 column 1"),
        (b"[1]", "must be a JSON object"),
        (b"\xff", "not valid JSON"),
    ],
)
def test_a_body_that_is_wrong_says_what_would_be_right(body: bytes, message: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        sent("POST", "/v1/ask", body)
    assert message in refused.value.message
    assert refused.value.detail
