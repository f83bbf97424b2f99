"""The one place where errors become HTTP: status, code, and the one shape of an error body.

::

    {"error": {"code": "...", "message": "...", "detail": ...}}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import orjson

from errors import (
    Conflict,
    KeyTaken,
    LedgerRegressed,
    NotFound,
    NotReady,
    RequestError,
    ServiceError,
    StateMoved,
    StoreUnavailable,
    TooLarge,
)

__all__ = ["CODES", "Failure", "failure_of", "is_ours", "status_of"]

STATUSES: tuple[tuple[type[ServiceError], int], ...] = (
    (NotFound, 404),
    (Conflict, 409),
    (TooLarge, 413),
    (NotReady, 503),
    (RequestError, 400),
    (KeyTaken, 409),
    (StateMoved, 503),
    (StoreUnavailable, 503),
    (LedgerRegressed, 503),
    (ServiceError, 500),
)
"""Error to status; the first that fits counts, so the narrower stands before the wider."""

CODES: Mapping[int, str] = MappingProxyType(
    {
        400: "invalid_request",
        401: "unauthorized",
        403: "forbidden",
        404: "not_found",
        405: "method_not_allowed",
        408: "request_timeout",
        409: "conflict",
        413: "too_large",
        415: "unsupported_media_type",
        429: "overloaded",
        431: "head_too_large",
        500: "internal_error",
        503: "not_ready",
        504: "timeout",
    }
)
"""Machine-readable name of each status that an error may have."""

Header = tuple[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Failure:
    """An error as a caller gets it.

    Attributes:
        status: HTTP status, 400 to 599.
        message: what was wrong, where, and what would be right.
        code: machine-readable name; by default the one of the status.
        detail: optional structure for programs.
        headers: what goes out beside content type and length.
    """

    status: int
    message: str
    code: str = ""
    detail: object = None
    headers: tuple[Header, ...] = ()

    @property
    def body(self) -> bytes:
        """The error in its one shape, as JSON."""
        code = self.code or CODES.get(self.status, f"http_{self.status}")
        error = {"code": code, "message": self.message, "detail": self.detail}
        return orjson.dumps({"error": error}, default=str)


def status_of(error: ServiceError) -> int:
    """The HTTP status of an error of the tree in `errors`.

    >>> status_of(NotFound("no decision 7")), status_of(StoreUnavailable("locked"))
    (404, 503)
    """
    return next(status for kind, status in STATUSES if isinstance(error, kind))


def failure_of(error: ServiceError) -> Failure:
    """An error of the tree in `errors`, as a caller gets it.

    A fault of the service (500) is told without its text, which is for the log.
    """
    status = status_of(error)
    if isinstance(error, RequestError):
        return Failure(status, error.message, error.code, error.detail)
    if status == 500:
        return Failure(status, "the service failed; its log says why")
    return Failure(status, str(error))


def is_ours(body: bytes) -> bool:
    """Whether an error body has the one shape already.

    >>> is_ours(Failure(404, "no such decision").body), is_ours(b'{"error": "no"}')
    (True, False)
    """
    try:
        error = orjson.loads(body)["error"]
        return bool(error.keys() >= {"code", "message", "detail"})
    except (ValueError, LookupError, TypeError, AttributeError):
        return False
