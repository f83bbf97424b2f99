"""What a run of Schemathesis loads: what to send, and what must hold of every answer.

`ROLE` names the role of the key that the run calls with; without it there is none.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import Any

import schemathesis
from hypothesis import strategies as st

from api.access import RANK
from api.answer import REPORTS
from config.settings import Role

ROLE = os.environ.get("ROLE")
KEYS = os.environ.get("KEYS") == "true"
FIRST = datetime(1971, 1, 2, tzinfo=UTC)
TIMES = st.integers(0, 228 * 365 * 86_400).map(lambda seconds: FIRST + timedelta(seconds=seconds))
schemathesis.openapi.format("date-time", TIMES.map(lambda time: time.isoformat()))


@schemathesis.hook
def before_load_schema(context: schemathesis.HookContext, raw_schema: dict[str, Any]) -> None:
    """Let no answer hold a field that the document does not name."""
    for schema in raw_schema["components"]["schemas"].values():
        if "properties" in schema:
            schema.setdefault("additionalProperties", False)


@schemathesis.check
def every_error_has_the_one_shape(
    context: schemathesis.CheckContext,
    response: schemathesis.Response,
    case: schemathesis.Case[Any],
) -> None:
    if response.status_code < 400 or case.path in REPORTS:
        return
    content = response.json()
    assert set(content) == {"error"}, content
    assert set(content["error"]) == {"code", "message", "detail"}, content
    assert content["error"]["message"], content


@schemathesis.check
def a_role_decides_who_is_served(
    context: schemathesis.CheckContext,
    response: schemathesis.Response,
    case: schemathesis.Case[Any],
) -> None:
    needed = case.operation.definition.raw["security"]
    if response.status_code == 405 or not KEYS or not needed:
        return
    least = Role(needed[0]["key"][0])
    if ROLE is None or f"key-{ROLE}" not in response.request.headers.get("authorization", ""):
        assert response.status_code == 401
    else:
        enough = RANK[Role(ROLE)] >= RANK[least]
        assert (response.status_code == 403) is not enough
        assert response.status_code != 401


@schemathesis.check
def what_the_document_allows_can_be_read(
    context: schemathesis.CheckContext,
    response: schemathesis.Response,
    case: schemathesis.Case[Any],
) -> None:
    """A 400 that lists fields says that a body or a query is not of the document's shape."""
    if (
        case.meta is None
        or not case.meta.generation.mode.is_positive
        or response.status_code != 400
    ):
        return
    detail = response.json()["error"]["detail"]
    listed = isinstance(detail, list) and all("field" in problem for problem in detail)
    assert not listed, detail


@schemathesis.check
def no_browser_keeps_or_guesses(
    context: schemathesis.CheckContext,
    response: schemathesis.Response,
    case: schemathesis.Case[Any],
) -> None:
    headers = response.headers
    assert headers["x-content-type-options"] == ["nosniff"]
    assert headers["cache-control"] == ["no-store"]
