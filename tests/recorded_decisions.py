"""Decisions as they stand on record, for what reads them later."""

from __future__ import annotations

from datetime import datetime

from observation import DecisionRequest
from risk.events import Draft, EventKind

__all__ = ["recorded_decision"]


def recorded_decision(
    request: DecisionRequest, at: datetime, event_id: str, raw_signal: str
) -> Draft:
    """The event of a decision, with as much of its answer as others read.

    Args:
        request: what was asked.
        at: when it was answered, aware.
        event_id: its name.
        raw_signal: what the models said.
    """
    return Draft(
        kind=EventKind.DECISION,
        event_id=event_id,
        at=at,
        day=at.date(),
        actor="test",
        payload={
            **request.to_json(),
            "answer": {
                "raw_signal": raw_signal,
                "risk_status": "HOLD_SIGNAL",
                "models": [{"name": "test"}],
            },
        },
    )
