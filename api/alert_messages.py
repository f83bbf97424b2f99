"""What callers send and get about alerts."""

from typing import Literal

from api.fields import Answer, Reason, Request, Text, example

__all__ = ["AcknowledgeAnswer", "AcknowledgeRequest"]

CauseName = Literal[
    "drift", "collapse", "breaker", "halt", "limit", "ledger", "cache", "market", "veto_rate",
    "silence", "feed", "mark", "order", "preflight", "close", "delivery",
]  # fmt: skip


class AcknowledgeRequest(Request):
    """Take note of alerts; an empty body is about all that are open."""

    model_config = example(cause="breaker", note="seen; the desk is flat")

    cause: CauseName | None = None
    """Of this cause only."""
    id: Text | None = None
    """This alert only."""
    note: Reason = ""
    """In your words; listed with the alert."""


class AcknowledgedAlert(Answer):
    """An open alert that somebody took note of."""

    id: str
    cause: str
    key: str
    acknowledged_at: str
    acknowledged_by: str
    """Who was first."""


class AcknowledgeAnswer(Answer):
    """The open alerts that are acknowledged now; sent again it is the same."""

    acknowledged: list[AcknowledgedAlert]
