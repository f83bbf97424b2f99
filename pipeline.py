"""One observation, in order: models, ensemble, risk gate, sizing, ledger, answer.

`decide` is that line. The API, the batch route and history replay all run this function. It
reads its clock once and passes `now` down. A fault on the way is a HOLD with `SYSTEM_ERROR`;
an answer goes out only when it is on record (a `SYSTEM_ERROR` alone may go out unstored, with
`state_sequence` null).
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from answers import Judged, decision_answer, system_error_answer
from config.settings import RiskLimits
from errors import InferenceFault, InvalidRequest, LedgerError
from monitoring.observer import DecisionMade, Observer
from risk.calendar import SessionCalendar, SessionStatus
from risk.events import Draft, EventKind, timestamp
from risk.gate import Candidate, Situation, judge
from risk.ledger.protocol import Ledger
from risk.ledger.retry import on_newest_state
from risk.sizing import recommend
from risk.state import RiskState, roll
from runners.ensemble import Prediction

__all__ = [
    "DecisionRequest",
    "Desk",
    "Models",
    "decide",
    "decide_without_knowing",
    "predict",
]


class Models(Protocol):
    """The loaded models, alone and together."""

    def predict(self, observations: NDArray[np.float32]) -> Prediction:
        """The ensemble's view of (n, observation_dim) rows."""
        ...

    def predict_one(self, observations: NDArray[np.float32], name: str) -> Prediction:
        """One model's view of them."""
        ...


@dataclass(frozen=True, slots=True)
class Desk:
    """All that a decision needs, built once by `bootstrap`.

    Attributes:
        models: the loaded models.
        ledger: where decisions go on record.
        limits: in force.
        calendar: sessions by date.
        capital_usd: what fractions refer to, unless a request names its own.
        configuration: hash of limits and models, on record with their values.
        clock: aware time, UTC.
        timer: nanoseconds of a clock that never goes back.
        new_id: a unique name for an event at this time.
        observer: told of every decision.
    """

    models: Models
    ledger: Ledger
    limits: RiskLimits
    calendar: SessionCalendar
    capital_usd: float
    configuration: str
    clock: Callable[[], datetime]
    timer: Callable[[], int]
    new_id: Callable[[datetime], str]
    observer: Observer


@dataclass(frozen=True, slots=True)
class DecisionRequest:
    """One observation and what is asked of it.

    Attributes:
        observation: float32, (observation_dim,), finite.
        observed_at: when it was known, aware; None when the caller did not say.
        model_name: decide by this model alone; None for the ensemble.
        enforce_risk_checks: False returns the raw signal, never approved.
        capital_usd: of this caller; None for the configured one.
        dry_run: judge, but approve nothing.
        caller: name of the key that asks.
    """

    observation: NDArray[np.float32]
    observed_at: datetime | None = None
    model_name: str | None = None
    enforce_risk_checks: bool = True
    capital_usd: float | None = None
    dry_run: bool = False
    caller: str = "local"


def decide(request: DecisionRequest, desk: Desk) -> dict[str, Any]:
    """Turn one observation into a decision on record.

    Returns:
        The answer as JSON values; `answers` says which.

    Raises:
        InvalidRequest: `model_name` names no loaded model, or a shadow that is asked to trade.
    """
    started = desk.timer()
    now = desk.clock()
    decision_id = desk.new_id(now)
    try:
        prediction = predict(desk.models, request.observation[np.newaxis, :], request.model_name)
        _refuse_shadow(request, prediction)
        answer = _judge_and_record(request, prediction, desk, now, decision_id)
    except InferenceFault as fault:
        answer = _record_fault(request, str(fault), desk, now, decision_id)
    except LedgerError as fault:
        answer = system_error_answer(str(fault), request.model_name, now, decision_id)
    elapsed = desk.timer() - started
    answer["latency_ms"] = elapsed / 1e6
    desk.observer.observe(_seen(answer, elapsed, request))
    return answer


def predict(models: Models, rows: NDArray[np.float32], name: str | None) -> Prediction:
    """Ask the ensemble, or the one model that is named."""
    return models.predict(rows) if name is None else models.predict_one(rows, name)


def _refuse_shadow(request: DecisionRequest, prediction: Prediction) -> None:
    """A model without a vote must not trade by being asked alone."""
    tradable = request.enforce_risk_checks and not request.dry_run
    if tradable and request.model_name is not None and prediction.outputs[0].weight == 0:
        raise InvalidRequest(
            f"model {request.model_name!r} is a shadow (weight 0) and may not trade; "
            "send `dry_run: true` to see what it would do",
            code="shadow_model",
        )


def _judge_and_record(
    request: DecisionRequest, prediction: Prediction, desk: Desk, now: datetime, decision_id: str
) -> dict[str, Any]:
    """Judge on the newest state until the verdict is on record beside that very state."""
    session = desk.calendar.status(now)

    def act(stored: RiskState) -> dict[str, Any]:
        judged = _judge(request, prediction, desk, roll(stored, session.day), session, now)
        answer = decision_answer(judged, prediction, desk.limits, now, decision_id)
        draft = _decision_draft(request, answer, desk, now, session.day)
        # Only an approval depends on the state staying as it was judged.
        expected = stored.sequence if judged.approved else None
        desk.ledger.append([draft], expected=expected, durable=judged.approved)
        return answer

    return on_newest_state(desk.ledger, act, what="the decision")


def _judge(
    request: DecisionRequest,
    prediction: Prediction,
    desk: Desk,
    state: RiskState,
    session: SessionStatus,
    now: datetime,
) -> Judged:
    signal, confidence = prediction.signals[0], float(prediction.confidence[0])
    candidate = Candidate(signal, confidence, request.observed_at)
    verdict = judge(Situation(candidate, state, desk.limits, session, now))
    recommendation = None
    if verdict.approved and request.enforce_risk_checks and not request.dry_run:
        capital = desk.capital_usd if request.capital_usd is None else request.capital_usd
        recommendation = recommend(confidence, state, desk.limits, capital)
    return Judged(
        raw_signal=signal,
        confidence=confidence,
        verdict=verdict,
        state=state,
        session=session,
        checked=request.enforce_risk_checks,
        dry_run=request.dry_run,
        recommendation=recommendation,
    )


def _record_fault(
    request: DecisionRequest, message: str, desk: Desk, now: datetime, decision_id: str
) -> dict[str, Any]:
    """Put a decision on record that the models could not make."""
    answer = system_error_answer(message, request.model_name, now, decision_id)
    try:
        stored = {**answer, "state_sequence": desk.ledger.head().state.sequence}
        desk.ledger.append([_decision_draft(request, stored, desk, now, desk.calendar.day(now))])
    except LedgerError:
        return answer
    return stored


def _decision_draft(
    request: DecisionRequest, answer: Mapping[str, Any], desk: Desk, now: datetime, day: date
) -> Draft:
    """What was decided, with all it was made from, so that it can be made again."""
    observed_at = request.observed_at
    return Draft(
        kind=EventKind.DECISION,
        event_id=answer["decision_id"],
        at=now,
        day=day,
        actor=request.caller,
        payload={
            "vector": base64.b64encode(request.observation.astype("<f4").tobytes()).decode(),
            "observed_at": None if observed_at is None else timestamp(observed_at),
            "model_name": request.model_name,
            "enforce_risk_checks": request.enforce_risk_checks,
            "capital_usd": request.capital_usd,
            "dry_run": request.dry_run,
            "configuration": desk.configuration,
            "answer": answer,
        },
    )


def decide_without_knowing(request: DecisionRequest, desk: Desk) -> dict[str, Any]:
    """The answer when `decide` itself failed: HOLD, not on record."""
    now = desk.clock()
    message = "the service failed; its log says why"
    answer = system_error_answer(message, request.model_name, now, desk.new_id(now))
    answer["latency_ms"] = 0.0
    desk.observer.observe(_seen(answer, 0, request))
    return answer


def _seen(answer: Mapping[str, Any], elapsed: int, request: DecisionRequest) -> DecisionMade:
    return DecisionMade(
        signal=answer["signal"],
        risk_status=answer["risk_status"],
        model_name=answer["model_name"],
        confidence=answer["confidence"],
        approved=answer["approved"],
        dry_run=request.dry_run,
        seconds=elapsed / 1e9,
        stored=answer["state_sequence"] is not None,
        reason=next(iter(answer["reasons"]), ""),
    )
