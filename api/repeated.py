"""A field that a body gives twice: parsers differ on which one counts, so neither does."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from errors import InvalidRequest

__all__ = ["quoted_names", "refuse_repeated"]


def quoted_names(names: Iterable[str]) -> tuple[bytes, ...]:
    """Names of fields as they stand in a body."""
    return tuple(f'"{name}"'.encode() for name in names)


def refuse_repeated(body: bytes, given: Iterable[bytes]) -> None:
    """Refuse a body that gives a field twice.

    A body in which no name stands twice, and nothing is escaped, is done after counting them: a
    microsecond. Any other is read once more, with all that is nested in it.

    Args:
        body: JSON, read already.
        given: of `quoted_names`: the fields that were read from it.

    Raises:
        InvalidRequest: an object in it gives a field twice.

    >>> refuse_repeated(b'{"mode": "HALTED"}', quoted_names(["mode"]))
    """
    if b"\\" in body or any(body.count(name) > 1 for name in given):
        json.loads(body, object_pairs_hook=_refuse_twice)


def _refuse_twice(pairs: list[tuple[str, Any]]) -> None:
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            raise InvalidRequest(f"{name[:64]} is given twice; give each field once")
        seen.add(name)
