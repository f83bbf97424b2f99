"""What the OpenAPI document says in words: the service, its groups of routes, its errors."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from api.fields import Answer

__all__ = ["ABOUT", "ERRORS", "FAILURES", "TAGS", "Failed", "tag_of"]

ABOUT = """\
From an observation of USD/COP to a risk-gated decision on record.

* Post an observation to `/v1/inference`, or the five-minute bar that has closed to
  `/v1/market/bars`.
* Act on `approved`, not on `signal`, and not after `valid_until`.
* Report every closed trade to `/v1/risk/trade-result`.

Fractions are fractions: 0.08 is 8%. Times are ISO 8601 with a zone. Every error is
`{"error": {"code", "message", "detail"}}`, and its message says what would be right.

[Dashboard](./dashboard) · [This document as JSON](./docs.json)
"""

TAGS: Mapping[str, str] = MappingProxyType(
    {
        "Decisions": "Ask for one, and read those on record.",
        "Market": "Bars and macro values in, feature vectors out.",
        "Risk": "Tell it what happened, halt and resume, see why a trade would pass or not.",
        "Drift and alerts": "Whether the market has left what the models know, and who was told.",
        "Service": "Models, counts, health, documents.",
    }
)
"""Groups of routes, in the order of the page."""

_TAG_OF: Mapping[str, str] = MappingProxyType(
    {
        "inference": "Decisions",
        "decisions": "Decisions",
        "market": "Market",
        "features": "Market",
        "risk": "Risk",
        "orders": "Risk",
        "drift": "Drift and alerts",
        "alerts": "Drift and alerts",
    }
)

ERRORS: Mapping[int, str] = MappingProxyType(
    {
        400: "What was sent is wrong; the message says what would be right.",
        401: "There is no key, or none of this service's.",
        403: "The key's role is not enough, or the call comes from a page of another origin; "
        "without keys, also from another machine.",
        404: "There is none, and the message says which there would be.",
        408: "The body did not arrive in time.",
        409: "It contradicts what is on record, or what is under way.",
        413: "The body is too large, or holds more than is taken at once.",
        415: "The body is not JSON, or does not say so.",
        503: "It cannot be done now; the same request may be sent again.",
    }
)
"""What each status means, whatever the route."""

FAILURES: Mapping[str, tuple[int, ...]] = MappingProxyType(
    {
        "/livez": (503,),
        "/readyz": (503,),
        "/healthz": (503,),
        "/v1/inference": (404, 409),
        "/v1/market/bars": (409,),
        "/v1/market/macro": (409,),
        "/v1/features/latest": (503,),
        "/v1/features/{timestamp}": (404, 503),
        "/v1/risk/summary": (503,),
        "/v1/risk/trade-result": (404, 409),
        "/v1/orders/release": (404, 409),
        "/v1/risk/resume": (409,),
        "/v1/risk/reset": (409,),
        "/v1/decisions": (503,),
        "/v1/decisions/{decision_id}": (404, 503),
        "/v1/drift/check": (409,),
        "/v1/drift/latest": (404, 503),
        "/v1/drift/report": (404, 503),
        "/v1/alerts/acknowledge": (404,),
        "/v1/preflight": (404, 503),
        "/v1/live": (503,),
    }
)
"""Path to the statuses that it may have beside those of every route of its method."""


class Problem(Answer):
    """What is wrong, and what would be right."""

    code: str
    """Machine-readable; by default the name of the status."""
    message: str
    """In words."""
    detail: Any
    """For programs; where a body or a query is wrong, a list of `field` and `problem`."""


class Failed(Answer):
    """The one shape of every error."""

    error: Problem


def tag_of(path: str) -> str:
    """The group of a route.

    >>> tag_of("/v1/risk/halt"), tag_of("/health")
    ('Risk', 'Service')
    """
    _, _, below = path.partition("/v1/")
    return _TAG_OF.get(below.partition("/")[0], "Service")
