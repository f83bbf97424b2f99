"""The report of a day: what was decided, traded, done, told, and where the chain stood."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from monitoring.alerts.alerts import Listed
from monitoring.alerts.causes import Cause
from monitoring.day.close_figures import acts, book_at_close, trades
from monitoring.day.day_on_record import DayOnRecord
from monitoring.day.schedule import Opening
from risk.calendar import SessionCalendar
from risk.events import timestamp
from risk.fold import roll

__all__ = ["CloseFacts", "close_report"]


@dataclass(frozen=True, slots=True)
class CloseFacts:
    """What a report is made of.

    Attributes:
        book: whose it is.
        session: that it is about.
        calendar: of sessions.
        record: of its date.
        now: aware.
        checks: entries of drift checks, in any order; None where they could not be read.
        alerts: in any order; None likewise.
        configuration: values on record of what is in force; None when they are not there.
        latency_ms: of the decisions of the worker that makes the report; empty when not known.
    """

    book: str
    session: Opening
    calendar: SessionCalendar
    record: DayOnRecord
    now: datetime
    checks: Sequence[Mapping[str, Any]] | None = ()
    alerts: Sequence[Listed] | None = ()
    configuration: Mapping[str, Any] | None = None
    latency_ms: Mapping[str, Any] = field(default_factory=dict)


def close_report(facts: CloseFacts) -> dict[str, Any]:
    """The report, as JSON values."""
    record, session = facts.record, facts.session
    state = roll(record.state, session.day)
    decisions, closed = record.decisions.figures(), trades(record.events)
    newest = session.ends_at if record.last is None else max(session.ends_at, record.last.at)
    return {
        "book": facts.book,
        "date": session.day.isoformat(),
        "session": {"from": timestamp(session.starts_at), "to": timestamp(session.ends_at)},
        "made_at": timestamp(facts.now),
        "nothing": not any((decisions["total"], decisions["batches"], closed)),
        "decisions": decisions,
        "latency_ms": dict(facts.latency_ms),
        "trades": closed,
        "result": book_at_close(state, newest),
        "acts": acts(record.events),
        "drift_checks": None if facts.checks is None else _checks(facts),
        "alerts": None if facts.alerts is None else _alerts(facts),
        "configuration": _configuration(state.configuration, facts.configuration),
        "chain": _chain(record),
    }


def _checks(facts: CloseFacts) -> list[dict[str, Any]]:
    of_day = [
        {
            "tick": entry.get("tick"),
            "at": entry.get("at"),
            "state": entry.get("state"),
            "drifted_share": entry.get("drifted_share"),
            "reasons": list(entry.get("reasons") or ()),
        }
        for entry in facts.checks or ()
        if _is_of_day(entry.get("at"), facts)
    ]
    return sorted(of_day, key=lambda entry: str(entry["at"]))


def _is_of_day(at: object, facts: CloseFacts) -> bool:
    if not isinstance(at, str):
        return False
    return facts.calendar.day(datetime.fromisoformat(at)) == facts.session.day


def _alerts(facts: CloseFacts) -> list[dict[str, Any]]:
    of_day = [
        listed
        for listed in facts.alerts or ()
        if listed.episode.cause is not Cause.CLOSE
        and facts.calendar.day(listed.episode.opened_at) == facts.session.day
    ]
    return [_alert(listed) for listed in sorted(of_day, key=lambda one: one.episode.opened_at)]


def _alert(listed: Listed) -> dict[str, Any]:
    episode = listed.episode
    ended = episode.resolved_at
    return {
        "at": timestamp(episode.opened_at),
        "cause": episode.cause.value,
        "key": episode.key,
        "severity": episode.severity.value,
        "message": episode.message,
        "resolved_at": None if ended is None else timestamp(ended),
        "acknowledged_by": episode.acknowledged_by,
        "deliveries": [
            {"target": delivery.shown, "state": delivery.state.value, "error": delivery.error}
            for message in listed.messages[:1]
            for delivery in message.deliveries
        ],
    }


def _configuration(digest: str | None, values: Mapping[str, Any] | None) -> dict[str, Any]:
    models: Iterable[Mapping[str, Any]] = () if values is None else values["models"]
    return {
        "hash": digest,
        "models": [
            {name: model[name] for name in ("name", "version", "sha256", "weight")}
            for model in models
        ],
        "risk_limits": {} if values is None else dict(values["risk_limits"]),
    }


def _chain(record: DayOnRecord) -> dict[str, Any]:
    last = record.last
    return {
        "sequence": 0 if last is None else last.sequence,
        "hash": None if last is None else last.hash,
        "records_of_day": record.records,
        "verifies": not record.complaint,
        "complaint": record.complaint or None,
    }
