"""What callers send and get about drift checks."""

from typing import Any

from pydantic import ConfigDict

from api.fields import Answer, Request

__all__ = ["DriftCheckAnswer", "DriftCheckRequest"]


class DriftCheckRequest(Request):
    """Make a check now; there is nothing to say."""


class DriftCheckAnswer(Answer):
    """The verdict, or that there is none yet; what else was found stands beside these."""

    model_config = ConfigDict(extra="allow")

    state: str
    """`ok`, `alarm` or `not_enough_data`; `running` while there is no verdict: ask
    /v1/drift/latest."""
    tick: str
    """Names the check."""
    reasons: tuple[str, ...] = ()
    """Why there is an alarm."""
    suspects: tuple[dict[str, Any], ...] = ()
    """Features to look at, the likeliest first: `name`, `kind`, `score`, `reason`."""
    report: Any = "pending"
    """What made the page at /v1/drift/report; `pending` until it is made."""
