"""What a body or a query gives twice: parsers differ on which one counts, so neither does."""

from __future__ import annotations

import json
from collections.abc import Set as AbstractSet
from typing import Any

from fastapi import Request

from errors import InvalidRequest

__all__ = ["refuse_repeated", "refuse_repeated_query"]


def refuse_repeated(body: bytes, given: AbstractSet[str]) -> None:
    """Refuse a body that gives a field of its message twice.

    Nearly every body is done after a microsecond or three: nothing in it is escaped, and it has
    no more colons than fields, or each name once. Any other is read once more.

    Args:
        body: JSON, read already.
        given: names of the fields that were read from it.

    Raises:
        InvalidRequest: a field is given twice.

    >>> refuse_repeated(b'{"mode": "HALTED"}', {"mode"})
    """
    if b"\\" in body or not (body.count(b":") == len(given) or _each_once(body, given)):
        json.loads(body, object_pairs_hook=_refuse_twice)


async def refuse_repeated_query(request: Request) -> None:
    """Refuse a query that gives twice what its route reads.

    Raises:
        InvalidRequest: it does.
    """
    given = [name for name, _ in request.query_params.multi_items()]
    for read in request.scope["route"].dependant.query_params:
        if given.count(read.alias) > 1:
            raise InvalidRequest(f"{read.alias} is given twice in the query; give it once")


def _each_once(body: bytes, given: AbstractSet[str]) -> bool:
    return all(body.count(f'"{name}"'.encode()) == 1 for name in given)


def _refuse_twice(pairs: list[tuple[str, Any]]) -> None:
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            raise InvalidRequest(f"{name[:64]} is given twice; give each field once")
        seen.add(name)
