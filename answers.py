"""What the service answers: decisions as JSON values, field by field.

One place for the shape of an answer, so that what goes out, what goes on record and what
replay compares are the same thing.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from config.settings import RiskLimits
from risk.calendar import SessionStatus
from risk.events import timestamp
from risk.sizing import PositionRecommendation
from risk.state import RiskState
from risk.summary import risk_metrics
from risk.verdict import RiskStatus, Verdict
from runners.ensemble import ENSEMBLE_NAME, ModelOutput, Prediction
from runners.signal import ACTIONS, Signal

__all__ = [
    "Judged",
    "batch_row",
    "decision_answer",
    "system_error_answer",
    "system_error_row",
    "told_checks",
]

_NOTHING_KNOWN = dict.fromkeys((action.value for action in ACTIONS), 0.0)


class Judged(NamedTuple):
    """A signal after the gate.

    Attributes:
        raw_signal: what the models said.
        confidence: of that signal.
        verdict: what the gate said.
        state: that it was judged on, rolled to the session date.
        session: of that date.
        checked: False when the caller asked for the raw signal.
        order_id: the caller's name for the order.
        dry_run: judged, but not to be approved.
        recommendation: the size; only an approval has one.
    """

    raw_signal: Signal
    confidence: float
    verdict: Verdict
    state: RiskState
    session: SessionStatus
    checked: bool
    order_id: str | None
    dry_run: bool
    recommendation: PositionRecommendation | None

    @property
    def approved(self) -> bool:
        """Whether it may be traded."""
        return self.recommendation is not None

    @property
    def signal(self) -> Signal:
        """What is answered: a refused signal is HOLD."""
        return self.raw_signal if self.verdict.approved or not self.checked else Signal.HOLD

    @property
    def status(self) -> RiskStatus:
        """One word for it."""
        return told_status(self.verdict.status, checked=self.checked, dry_run=self.dry_run)


def decision_answer(
    judged: Judged,
    prediction: Prediction,
    limits: RiskLimits,
    now: datetime,
    decision_id: str,
) -> dict[str, Any]:
    """The answer to one observation, as JSON values."""
    checked = judged.checked
    answer = {
        "decision_id": decision_id,
        "signal": str(judged.signal),
        "raw_signal": str(judged.raw_signal),
        "confidence": judged.confidence,
        "approved": judged.approved,
        "risk_status": str(judged.status),
        "reasons": list(judged.verdict.reasons) if checked else [],
        "checks": told_checks(judged.verdict) if checked else [],
        "action_probs": _probabilities(prediction.probabilities[0]),
        "model_name": prediction.model_name,
        "models": [_model(output) for output in prediction.outputs],
        "timestamp": timestamp(now),
        "risk_metrics": risk_metrics(judged.state),
        "position_recommendation": _recommendation(judged.recommendation),
        "order_id": judged.order_id,
        "reduces": judged.verdict.reduces,
        "probe": judged.approved and judged.verdict.probe,
        "replayed": False,
        "valid_until": _valid_until(judged, limits, now),
        "state_sequence": judged.state.sequence,
    }
    if judged.dry_run:
        answer["would_approve"] = checked and judged.verdict.approved
    return answer


def system_error_answer(
    message: str,
    model_name: str | None,
    now: datetime,
    decision_id: str,
    *,
    order_id: str | None = None,
    status: RiskStatus = RiskStatus.SYSTEM_ERROR,
) -> dict[str, Any]:
    """The answer of a service that does not know: HOLD, not approved, not on record."""
    return {
        "decision_id": decision_id,
        "signal": Signal.HOLD.value,
        "raw_signal": Signal.HOLD.value,
        "confidence": 0.0,
        "approved": False,
        "risk_status": status.value,
        "reasons": [message],
        "checks": [],
        "action_probs": _NOTHING_KNOWN,
        "model_name": model_name or ENSEMBLE_NAME,
        "models": [],
        "timestamp": timestamp(now),
        "risk_metrics": None,
        "position_recommendation": None,
        "order_id": order_id,
        "reduces": False,
        "probe": False,
        "replayed": False,
        "valid_until": None,
        "state_sequence": None,
    }


def batch_row(
    signal: Signal,
    confidence: float,
    probabilities: Sequence[float],
    verdict: Verdict,
    *,
    checked: bool,
) -> dict[str, Any]:
    """The answer to one row of a batch, which is always a dry run."""
    passed = verdict.approved
    sell, hold, buy = probabilities
    return {
        "signal": str(signal if passed or not checked else Signal.HOLD),
        "raw_signal": str(signal),
        "confidence": confidence,
        "approved": False,
        "would_approve": checked and passed,
        "risk_status": str(told_status(verdict.status, checked=checked, dry_run=True)),
        "reduces": verdict.reduces,
        "action_probs": {"SELL": sell, "HOLD": hold, "BUY": buy},
    }


def system_error_row() -> dict[str, Any]:
    """A row of a batch that could not be judged."""
    return {
        "signal": Signal.HOLD.value,
        "raw_signal": Signal.HOLD.value,
        "confidence": 0.0,
        "approved": False,
        "would_approve": False,
        "risk_status": RiskStatus.SYSTEM_ERROR.value,
        "reduces": False,
        "action_probs": _NOTHING_KNOWN,
    }


def told_status(verdict: RiskStatus, *, checked: bool, dry_run: bool) -> RiskStatus:
    """What is answered for a verdict: only an approval that may be traded says APPROVED."""
    if not checked:
        return RiskStatus.NOT_CHECKED
    return RiskStatus.DRY_RUN if dry_run and verdict is RiskStatus.APPROVED else verdict


def _valid_until(judged: Judged, limits: RiskLimits, now: datetime) -> str | None:
    """How long the approval may be acted on: its time to live, never past the session."""
    ends_at = judged.session.ends_at
    if not judged.approved or ends_at is None:
        return None
    return timestamp(min(now + timedelta(seconds=limits.approval_ttl_seconds), ends_at))


def told_checks(verdict: Verdict) -> list[dict[str, Any]]:
    """What each rule found, in their order, as JSON values."""
    return [
        {
            "check": name,
            "passed": not message,
            "value": value,
            "limit": limit,
            "message": message,
            "exempt": exempt,
        }
        for name, _, value, limit, message, exempt in verdict.checks
    ]


def _recommendation(recommendation: PositionRecommendation | None) -> dict[str, Any] | None:
    if recommendation is None:
        return None
    return {
        "position_size_percent": recommendation.position_size_percent,
        "position_size_usd": recommendation.position_size_usd,
        "risk_level": recommendation.risk_level.value,
        "factors": recommendation.factors,
    }


def _model(output: ModelOutput) -> dict[str, Any]:
    return {
        "name": output.name,
        "version": output.version,
        "weight": output.weight,
        "action_probs": (
            None if output.probabilities is None else _probabilities(output.probabilities[0])
        ),
        "fault": output.fault,
    }


def _probabilities(row: NDArray[np.float64]) -> dict[str, float]:
    sell, hold, buy = row.tolist()
    return {"SELL": sell, "HOLD": hold, "BUY": buy}
