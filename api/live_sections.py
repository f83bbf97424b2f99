"""What the stream of `api.live` tells, section by section, from the stores that workers share.

A section that cannot be read is `{"fault": why}`, so that a page never takes old figures for new
ones. Only `models` has figures of the worker that answers, and says so.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any, Final

import orjson

from answers import told_checks
from api.alert_handlers import told_alerts
from api.drift_runs import DriftRuns
from api.live import Seen
from api.web import listed_decision, models, summary_of, told_health
from application import Application
from errors import StoreError
from risk.course import DayCourse, thinned
from risk.events import Event, EventKind, timestamp
from risk.ledger.protocol import Head
from risk.summary import Summary
from risk.verdict import Verdict

__all__ = ["LiveSections", "section"]

_DECISIONS: Final = 20
_ALERTS: Final = 25
_SUSPECTS: Final = 20
_POINTS: Final = 400
_OF_A_ROW: Final = (
    "decision_id", "timestamp", "signal", "raw_signal", "confidence", "approved", "would_approve",
    "risk_status", "reduces", "order_id", "caller", "sequence",
)  # fmt: skip
_OF_A_CHECK: Final = (
    "tick", "at", "state", "reasons", "drifted_share", "drift_threshold", "features", "window",
    "reference",
)  # fmt: skip
_OF_AN_ALERT: Final = (
    "id", "cause", "key", "severity", "state", "message", "opened_at", "resolved_at",
    "acknowledged_at", "acknowledged_by", "note",
)  # fmt: skip
_OF_A_MODEL: Final = (
    "name", "version", "algorithm", "weight", "share", "state", "origin", "latency",
)  # fmt: skip
_LOGGER = logging.getLogger("usdcop.api")


class LiveSections:
    """One look after the other; for one thread at a time.

    Args:
        application: what `bootstrap` built.
        drift: the checks of this worker.
    """

    def __init__(self, application: Application, drift: DriftRuns) -> None:
        self._application, self._drift = application, drift
        self._course = DayCourse(application.ledger)
        self._decided_at: int | None = None
        self._decisions: list[Event] = []

    def about(self) -> dict[str, Any]:
        """What stays as it is while the worker lives."""
        settings = self._application.settings
        return {
            "book": settings.book,
            "environment": settings.environment.value,
            "timezone": settings.trading_hours.timezone,
            "capital_usd": settings.capital_usd,
            "min_confidence": settings.risk_limits.min_confidence,
            "max_data_age_seconds": settings.risk_limits.max_data_age_seconds,
        }

    def look(self) -> Seen:
        """What is now."""
        now = self._application.desk.clock()
        head = cache(self._application.ledger.head)  # read once for all that follow from it
        return Seen(
            timestamp(now),
            {
                "risk": section(lambda: self._told_risk(head(), now)),
                "day": section(lambda: self._told_day(head(), now)),
                "decisions": section(lambda: self._told_decisions(head())),
                "drift": section(self._told_drift),
                "alerts": section(self._told_alerts),
                "models": section(self._told_models),
                "health": section(lambda: _without_time(told_health(self._application))),
            },
        )

    def _told_risk(self, head: Head, now: datetime) -> dict[str, Any]:
        summary = summary_of(self._application.desk, head.state, now)
        return {**_without_time(summary.to_json()), "gate": _told_gate(summary)}

    def _told_day(self, head: Head, now: datetime) -> dict[str, Any]:
        day = self._application.desk.calendar.status(now).day
        points = thinned(self._course.points(head.state, day), _POINTS)
        return {
            "date": day.isoformat(),
            "times": [round(point.at.timestamp() * 1000) for point in points],
            "daily_pnl": [point.daily_pnl for point in points],
            "drawdown": [point.drawdown for point in points],
        }

    def _told_decisions(self, head: Head) -> dict[str, Any]:
        if head.sequence != self._decided_at:
            self._decisions = self._application.ledger.recent(
                [EventKind.DECISION], limit=_DECISIONS
            )
            self._decided_at = head.sequence
        listed = [listed_decision(event) for event in self._decisions]
        return {
            "newest": listed[0] if listed else None,
            "recent": [_only(_OF_A_ROW, decision) for decision in listed],
        }

    def _told_drift(self) -> dict[str, Any]:
        status, entry = self._drift.status(), self._drift.records.latest()
        told = {"enabled": status["enabled"], "next_run": status["next_run"], "check": None}
        if entry is None:
            return told
        suspects = list(entry.get("suspects") or ())[:_SUSPECTS]
        return {**told, "check": {**_only(_OF_A_CHECK, entry), "suspects": suspects}}

    def _told_alerts(self) -> dict[str, Any]:
        told = told_alerts(self._application)
        listed = [_only(_OF_AN_ALERT, alert) for alert in told["alerts"][:_ALERTS]]
        return {"alerts": listed, "degraded": told["degraded"]}

    def _told_models(self) -> dict[str, Any]:
        told = models(self._application)
        listed = [_only(_OF_A_MODEL, model) for model in told["models"]]
        return {"strategy": told["strategy"], "models": listed}


def section(work: Callable[[], Mapping[str, Any]]) -> bytes:
    """What a piece of work gives, as JSON; why it could not be read, when it could not."""
    try:
        return orjson.dumps(work())
    except StoreError as error:
        return orjson.dumps({"fault": str(error)})
    except Exception:
        # One section that fails must not take the others with it.
        _LOGGER.exception("a part of what open pages show could not be made")
        return orjson.dumps({"fault": "the service failed to make this; its log says why"})


def _told_gate(summary: Summary) -> dict[str, Any]:
    return {side: _told_verdict(verdict) for side, verdict in summary.gate().items()}


def _told_verdict(verdict: Verdict) -> dict[str, Any]:
    return {
        "passes": verdict.approved,
        "status": verdict.status.value,
        "reasons": list(verdict.reasons),
        "checks": told_checks(verdict),
    }


def _without_time(told: Mapping[str, Any]) -> dict[str, Any]:
    """All but when it was told, which alone would make each look a change."""
    return {name: value for name, value in told.items() if name != "timestamp"}


def _only(names: Sequence[str], told: Mapping[str, Any]) -> dict[str, Any]:
    return {name: told[name] for name in names if name in told}
