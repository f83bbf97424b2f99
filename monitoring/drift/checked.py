"""One check in one place: what is read of the record, judged, and told."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from config.settings import TradingHours
from features.bars import BAR_SECONDS, utc_text
from features.clock import local_days
from features.schema import Schema
from monitoring.drift.actions import ActionMix, action_mix
from monitoring.drift.check import REFERENCE_SESSIONS, Past, Verdict, judge, usual
from monitoring.drift.finding import Kind
from monitoring.drift.recorded import Recorded, recorded_sessions
from monitoring.drift.sessions import HOUR_ROWS, Session
from monitoring.drift.volatility_rule import RETURN_SESSIONS

__all__ = ["OF_ACTIONS", "Checked", "DriftRules", "alarm_reasons", "check"]

OF_ACTIONS: Final = "actions: "
"""What reasons begin with that are about the models' actions, and not about drift."""

_LEAST_ROWS: Final = 6
_FAULTS: Final = {Kind.PATH, Kind.CLOCK, Kind.MACRO, Kind.BROKEN, Kind.FROZEN}

Rows = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class DriftRules:
    """What a check is judged by.

    Attributes:
        schema: of the vectors.
        hours: of the session.
        threshold: share of drifted features above which an alarm is due.
        collapse_share: share of one action above which the actions have collapsed.
        collapse_entropy: entropy of the actions, nats, below which they have.
    """

    schema: Schema
    hours: TradingHours
    threshold: float
    collapse_share: float
    collapse_entropy: float


@dataclass(frozen=True, eq=False)
class Checked:
    """What a check found, and what it looked at.

    Attributes:
        state: `ok`, `alarm` or `not_enough_data`.
        reasons: why, in words.
        verdict: of the rules; None when there was nothing to judge.
        actions: the mix of the newest actions.
        today: the session so far; None when there is none.
        past: what it was held against; None likewise.
        reference_kind: `recorded` or `training`; "" when there is no reference.
    """

    state: str
    reasons: tuple[str, ...]
    verdict: Verdict | None
    actions: ActionMix
    today: Session | None
    past: Past | None
    reference_kind: str

    @property
    def faulty(self) -> bool:
        """Whether this day must be no reference for others."""
        found = () if self.verdict is None else self.verdict.findings
        return any(finding.kind in _FAULTS for finding in found)

    @property
    def drifted_share(self) -> float | None:
        """Share of the features that drifted; None where their distributions were not judged."""
        if self.verdict is None or "distribution" in self.verdict.not_judged:
            return None
        return self.verdict.drifted_share

    @property
    def hour(self) -> Rows:
        """Vectors of the last hour, shape (n, m)."""
        if self.today is None:
            return np.zeros((0, 0))
        return self.today.matrix[-HOUR_ROWS:]

    @property
    def reference(self) -> Rows:
        """Vectors that they are held against, shape (r, m)."""
        if self.past is None or not self.past.reference:
            return np.zeros((0, 0))
        return np.concatenate([session.matrix for session in self.past.reference])

    def to_json(self) -> dict[str, Any]:
        """As JSON values, but for what the caller knows: tick, time, book, report."""
        verdict = self.verdict
        return {
            "state": self.state,
            "reasons": list(self.reasons),
            "suspects": [] if verdict is None else [one.to_json() for one in verdict.suspects],
            "drifted_share": self.drifted_share,
            "drift_threshold": None if verdict is None else verdict.threshold,
            "features": 0 if verdict is None else verdict.features,
            "not_judged": {} if verdict is None else verdict.not_judged,
            "window": None if self.today is None else _span([self.today]),
            "reference": None
            if self.past is None or not self.past.reference
            else {
                "kind": self.reference_kind,
                "sessions": len(self.past.reference),
                **_span(self.past.reference),
            },
            "actions": self.actions.to_json(),
        }


def alarm_reasons(checked: Checked) -> list[str]:
    """Why a check is an alarm, the weightiest first: of drift, then of the models' actions."""
    of_drift = checked.reasons if checked.state == "alarm" else ()
    return [*of_drift, *(f"{OF_ACTIONS}{reason}" for reason in checked.actions.reasons)]


def check(
    recorded: Recorded,
    training: Recorded | None,
    rules: DriftRules,
    now: datetime,
    trading: frozenset[int],
) -> Checked:
    """Judge the session so far.

    Args:
        recorded: of the ledger.
        training: what a model was trained on, until there is enough on record; None without.
        rules: what it is judged by.
        now: aware.
        trading: which days of the record are trading days.
    """
    seconds = int(now.timestamp())
    actions = action_mix(
        recorded.signals[recorded.starts + BAR_SECONDS <= seconds],
        most_of_one=rules.collapse_share,
        least_entropy=rules.collapse_entropy,
    )
    day = int(local_days(np.array([seconds]), rules.hours.zone)[0])
    sessions = recorded_sessions(recorded, rules.hours, trading)
    today = next((one.until(seconds) for one in sessions if one.day == day), None)
    if today is None or len(today) < _LEAST_ROWS:
        rows = 0 if today is None else len(today)
        lack = f"{rows} of {_LEAST_ROWS} vectors of this session are on record"
        return Checked("not_enough_data", (lack,), None, actions, None, None, "")
    past, kind = _past([one for one in sessions if one.day < day], recorded, training, rules)
    verdict = judge(today, past, threshold=rules.threshold)
    state, reasons = _state(verdict)
    return Checked(state, reasons, verdict, actions, today, past, kind)


def _state(verdict: Verdict) -> tuple[str, tuple[str, ...]]:
    if verdict.alarm:
        return "alarm", verdict.reasons
    if verdict.not_judged:
        lacking = (f"{rule}: {lack} before it" for rule, lack in verdict.not_judged.items())
        return "not_enough_data", tuple(lacking)
    return "ok", ()


def _past(
    sessions: list[Session], recorded: Recorded, training: Recorded | None, rules: DriftRules
) -> tuple[Past, str]:
    names = rules.schema.names
    reference, kind = usual(sessions, names), "recorded"
    returns = recorded.returns
    if training is not None and training.schema == rules.schema.hash:
        if len(reference) < REFERENCE_SESSIONS:
            days = training.days(rules.hours)
            of_training = usual(recorded_sessions(training, rules.hours, days), names)
            reference, kind = of_training or reference, "training" if of_training else kind
        first = returns[0].day if returns else None
        older = [one for one in training.returns if first is None or one.day < first]
        returns = (*older, *returns)[-RETURN_SESSIONS:]
    past = Past(
        names=names,
        hours=rules.hours,
        sessions=sessions,
        reference=reference,
        returns=returns,
        ignored=frozenset(names[column] for column in rules.schema.state_columns),
    )
    return past, kind


def _span(sessions: tuple[Session, ...] | list[Session]) -> dict[str, Any]:
    return {
        "from": utc_text(sessions[0].starts[0] + BAR_SECONDS),
        "to": utc_text(sessions[-1].starts[-1] + BAR_SECONDS),
        "rows": sum(map(len, sessions)),
    }
