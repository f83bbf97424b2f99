"""A request body, read with its bounds: bytes, content type, nesting."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import numpy as np

from api.failures import Failure

__all__ = ["MAX_DEPTH", "nesting_fault", "read_body"]

MAX_DEPTH = 32
"""Levels of lists and objects; no request of this service needs more than four."""

# Unclosed strings match too: else each quote of a broken body would be tried in turn.
STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
OPENING, CLOSING = ord("{"), ord("}")

TOO_DEEP = Failure(400, f"the body nests lists and objects more than {MAX_DEPTH} levels deep")
NOT_JSON = Failure(415, "a body must be JSON and say so: send `Content-Type: application/json`")

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


async def read_body(
    receive: Receive, *, content_type: bytes, declared: bytes, limit: int
) -> bytes | Failure | None:
    """Read a whole request body; None when the client went away.

    Args:
        receive: of the request.
        content_type: the header; counts only if there is a body.
        declared: the `Content-Length` header, or empty. It may refuse a body early but never
            admits one: what arrives is counted.
        limit: most bytes that are read.
    """
    too_large = Failure(
        413, f"the body is larger than {limit} bytes", headers=((b"connection", b"close"),)
    )
    if declared.isdigit() and int(declared) > limit:
        return too_large
    chunks: list[bytes] = []
    size = 0
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        chunk = message.get("body", b"")
        more = message.get("more_body", False)
        size += len(chunk)
        if size > limit:
            return too_large
        if chunk:
            if not chunks and not _is_json(content_type):
                return NOT_JSON
            chunks.append(chunk)
    body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
    return nesting_fault(body) or body


def nesting_fault(body: bytes) -> Failure | None:
    """Say whether JSON nests too deeply to be handed to a recursive parser.

    Most bodies have fewer brackets than levels are allowed and are done after counting them.
    For the others the depth is the running sum of openings less closings outside of strings:
    a few milliseconds for 4,096 rows of 45 numbers, a third of what parsing them takes.

    >>> nesting_fault(b'{"observations": [[1, 2], [3, 4]]}') is None
    True
    >>> nesting_fault(b"[" * 40 + b"]" * 40).status
    400
    """
    if body.count(b"[") + body.count(b"{") <= MAX_DEPTH:
        return None
    outside = np.frombuffer(STRING.sub(b"", body), np.uint8) | 0x20  # makes [ a {, and ] a }
    brackets = outside[(outside == OPENING) | (outside == CLOSING)]
    steps = np.where(brackets == OPENING, 1, -1)
    return TOO_DEEP if np.cumsum(steps).max(initial=0) > MAX_DEPTH else None


def _is_json(content_type: bytes) -> bool:
    return (
        content_type == b"application/json"
        or content_type.partition(b";")[0].strip().lower() == b"application/json"
    )
