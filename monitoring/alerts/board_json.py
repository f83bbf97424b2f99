"""A board as a document: JSON, read as strictly as it is written."""

from __future__ import annotations

from typing import Final

from pydantic import TypeAdapter, ValidationError

from errors import InvalidRequest
from monitoring.alerts.board import Board

__all__ = ["decoded", "encoded"]

_BOARD: Final = TypeAdapter(Board)


def encoded(board: Board) -> bytes:
    """JSON that `decoded` reads back to an equal board."""
    return _BOARD.dump_json(board)


def decoded(body: bytes) -> Board:
    """Read what `encoded` wrote; nothing is the empty board.

    Raises:
        InvalidRequest: it is something else.
    """
    if not body:
        return Board()
    try:
        return _BOARD.validate_json(body, strict=True)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "the document"
        raise InvalidRequest(f"it is no board of alerts: {place}: {first['msg']}") from None
