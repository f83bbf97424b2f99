"""What the drift checks found, as far as alerts are about it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from monitoring.alerts.causes import Cause, Condition
from monitoring.drift.checked import OF_ACTIONS
from risk.state import DriftAlarm

__all__ = ["drift_conditions", "overdue_check"]


PATIENCE: Final = timedelta(minutes=10)
"""How long a check may be missing, after it was due and after the start of who could make it."""


def drift_conditions(
    alarm: DriftAlarm | None, newest: Mapping[str, Any] | None
) -> tuple[Condition, ...]:
    """Conditions of drift and of collapse.

    Args:
        alarm: on record; it stands until a clean check, whatever other checks could not judge.
        newest: entry of the newest check; None before the first.
    """
    found = []
    # The weightiest reason comes first: one of the actions only where there is no drift.
    if alarm is not None and not alarm.reason.startswith(OF_ACTIONS):
        found.append(Condition(Cause.DRIFT, "features", f"drift: {alarm.reason}"))
    actions = (newest or {}).get("actions")
    reasons = actions.get("reasons") if isinstance(actions, Mapping) else None
    if reasons:
        told = "; ".join(map(str, reasons))
        found.append(Condition(Cause.COLLAPSE, "actions", f"the models' actions: {told}"))
    return tuple(found)


def overdue_check(
    due: datetime | None,
    newest: Mapping[str, Any] | None,
    now: datetime,
    *,
    started: datetime,
    grace: timedelta,
) -> tuple[Condition, ...]:
    """A check that was due and that nobody has made: whoever relies on checks must know.

    Args:
        due: when the newest was due, aware; None when none was.
        newest: entry of the newest check; None before the first.
        now: aware.
        started: when this worker was, aware.
        grace: how late a check is still made; after that the next one counts.
    """
    if due is None or not max(due, started) + PATIENCE < now <= due + grace:
        return ()
    made_at = (newest or {}).get("at")
    if isinstance(made_at, str) and datetime.fromisoformat(made_at) >= due:
        return ()
    told = f"the drift check that was due at {due:%Y-%m-%d %H:%M} UTC is missing; the log says why"
    return (Condition(Cause.DRIFT, "checks", told),)
