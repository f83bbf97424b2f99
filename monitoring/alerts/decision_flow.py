"""Whether decisions arrive, and whether their observations are any good: read from the record.

The ledger counts for all workers and services together, which no counter of a process does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final

from monitoring.alerts.causes import Cause, Condition, Look
from risk.calendar import SessionStatus
from risk.verdict import RiskStatus

__all__ = ["NEWEST_DECISIONS", "FlowRules", "SeenDecision", "flow_look", "seen_decision"]

NEWEST_DECISIONS: Final = 50
"""Decisions that the veto rate is about."""

_LEAST_DECISIONS: Final = 20
_VETOED: Final = frozenset({RiskStatus.STALE_DATA.value, RiskStatus.OUT_OF_DISTRIBUTION.value})


@dataclass(frozen=True, slots=True)
class SeenDecision:
    """A decision on record.

    Attributes:
        at: when, aware.
        day: its session date.
        vetoed: its observation was stale or outside of what the models know.
        dry_run: nobody would have acted on it.
    """

    at: datetime
    day: date
    vetoed: bool
    dry_run: bool


@dataclass(frozen=True, slots=True)
class FlowRules:
    """When the flow of decisions is worth an alert.

    Attributes:
        veto_share: of vetoed decisions, above which it is.
        silence: time without any, in an open session.
    """

    veto_share: float
    silence: timedelta


def seen_decision(at: datetime, day: date, payload: Mapping[str, Any]) -> SeenDecision:
    """What counts of a decision's record."""
    status = payload["answer"]["risk_status"]
    return SeenDecision(at, day, status in _VETOED, bool(payload.get("dry_run")))


def flow_look(
    decisions: Sequence[SeenDecision],
    session: SessionStatus,
    open_since: SessionStatus,
    now: datetime,
    rules: FlowRules,
) -> Look:
    """Judge the newest decisions, while a session is open.

    Args:
        decisions: on record, newest first, at most `NEWEST_DECISIONS`.
        session: now.
        open_since: the same, `rules.silence` ago: an open session then and now is one that has
            been open for that long.
        now: aware.
        rules: what is worth an alert.
    """
    live = [decision for decision in decisions if not decision.dry_run]
    judged, found = set[Cause](), list[Condition]()
    if session.closure is not None:
        # A silence ends with its session; whether the next one is better will be seen then.
        return Look((), frozenset({Cause.SILENCE}))
    today = [decision for decision in live if decision.day == session.day]
    if len(today) >= _LEAST_DECISIONS:
        judged.add(Cause.VETO_RATE)
        vetoed = sum(decision.vetoed for decision in today)
        if vetoed / len(today) > rules.veto_share:
            words = f"{vetoed} of the newest {len(today)} observations were vetoed"
            found.append(Condition(Cause.VETO_RATE, "observations", words))
    if live or not decisions:
        judged.add(Cause.SILENCE)
        whole = open_since.closure is None and open_since.day == session.day
        if live and whole and now - live[0].at >= rules.silence:
            minutes = (now - live[0].at).total_seconds() / 60
            words = f"the session is open, and the newest decision is {minutes:.0f} minutes old"
            found.append(Condition(Cause.SILENCE, "decisions", words))
    return Look(tuple(found), frozenset(judged))
