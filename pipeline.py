"""One observation, in order: models, ensemble, risk gate, sizing, ledger, answer.

`decide` is that line. The API, the batch route and history replay all run this function. It
reads its clock once and passes `now` down. A fault on the way is a HOLD with `SYSTEM_ERROR`;
an answer goes out only when it is on record (a `SYSTEM_ERROR` alone may go out unstored, with
`state_sequence` null).
"""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from answers import Judged, batch_row, decision_answer, system_error_answer, system_error_row
from config.settings import RiskLimits
from errors import InferenceFault, InvalidRequest, LedgerError, LedgerUnavailable, StateMoved
from monitoring.observer import BatchDecided, DecisionMade, Observer
from risk.calendar import SessionCalendar, SessionStatus
from risk.events import Draft, EventKind, timestamp
from risk.gate import Candidate, RiskStatus, Situation, judge
from risk.ledger.protocol import Ledger
from risk.sizing import recommend
from risk.state import RiskState, roll
from runners.ensemble import Prediction
from runners.signal import Signal

__all__ = [
    "BatchRequest",
    "DecisionRequest",
    "Desk",
    "Models",
    "decide",
    "decide_batch",
    "decide_without_knowing",
]

_ATTEMPTS = 50


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


@dataclass(frozen=True, slots=True)
class BatchRequest:
    """Many observations, judged against one state, never approved.

    Attributes:
        observations: float32, (n, observation_dim), n >= 1, finite.
        model_name, enforce_risk_checks, caller: as for one.
    """

    observations: NDArray[np.float32]
    model_name: str | None = None
    enforce_risk_checks: bool = True
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
        prediction = _predict(desk.models, request.observation[np.newaxis, :], request.model_name)
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


def _predict(models: Models, rows: NDArray[np.float32], name: str | None) -> Prediction:
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
    for _ in range(_ATTEMPTS):
        stored = desk.ledger.head().state
        judged = _judge(request, prediction, desk, roll(stored, session.day), session, now)
        answer = decision_answer(judged, prediction, desk.limits, now, decision_id)
        draft = _decision_draft(request, answer, desk, now, session.day)
        try:
            # Only an approval depends on the state staying as it was judged.
            expected = stored.sequence if judged.approved else None
            desk.ledger.append([draft], expected=expected, durable=judged.approved)
        except StateMoved:
            continue
        return answer
    raise LedgerUnavailable(f"the risk state moved {_ATTEMPTS} times while a decision was judged")


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


def decide_batch(request: BatchRequest, desk: Desk) -> dict[str, Any]:
    """Judge many observations against one state; nothing is approved or reserved.

    Returns:
        `decisions`: one dictionary a row; and what they have in common.

    Raises:
        InvalidRequest: `model_name` names no loaded model.
    """
    started = desk.timer()
    now = desk.clock()
    batch_id = desk.new_id(now)
    try:
        prediction = _predict(desk.models, request.observations, request.model_name)
        session = desk.calendar.status(now)
        state = roll(desk.ledger.head().state, session.day)
        rows = _batch_rows(request, prediction, desk, state, session, now)
        _record_batch(request, rows, state, desk, now, batch_id)
        sequence, name, reason = state.sequence, prediction.model_name, None
    except (InferenceFault, LedgerError) as fault:
        reason = str(fault)
        rows = [system_error_row() for _ in request.observations]
        sequence, name = None, request.model_name or "ensemble"
    elapsed = desk.timer() - started
    desk.observer.observe(BatchDecided(rows=len(rows), seconds=elapsed / 1e9))
    return {
        "decisions": rows,
        "fault": reason,
        "decision_id": batch_id,
        "model_name": name,
        "timestamp": timestamp(now),
        "state_sequence": sequence,
        "latency_ms": elapsed / 1e6,
    }


def _batch_rows(
    request: BatchRequest,
    prediction: Prediction,
    desk: Desk,
    state: RiskState,
    session: SessionStatus,
    now: datetime,
) -> list[dict[str, Any]]:
    """One dictionary a row. Rows differ in signal and confidence only, so few are judged."""
    verdicts: dict[tuple[Signal, bool], RiskStatus] = {}
    rows = []
    for signal, confidence, probabilities in zip(
        prediction.signals,
        prediction.confidence.tolist(),
        prediction.probabilities.tolist(),
        strict=True,
    ):
        kind = (signal, confidence >= desk.limits.min_confidence)
        if kind not in verdicts:
            situation = Situation(Candidate(signal, confidence), state, desk.limits, session, now)
            verdicts[kind] = judge(situation).status
        checked = request.enforce_risk_checks
        rows.append(batch_row(signal, confidence, probabilities, verdicts[kind], checked=checked))
    return rows


def _record_batch(
    request: BatchRequest,
    rows: Sequence[Mapping[str, Any]],
    state: RiskState,
    desk: Desk,
    now: datetime,
    batch_id: str,
) -> None:
    contiguous = np.ascontiguousarray(request.observations)
    draft = Draft(
        kind=EventKind.BATCH,
        event_id=batch_id,
        at=now,
        day=desk.calendar.day(now),
        actor=request.caller,
        payload={
            "rows": len(rows),
            "observations_sha256": hashlib.sha256(contiguous.tobytes()).hexdigest(),
            "model_name": request.model_name,
            "enforce_risk_checks": request.enforce_risk_checks,
            "configuration": desk.configuration,
            "state_sequence": state.sequence,
            "statuses": dict(Counter(row["risk_status"] for row in rows)),
        },
    )
    desk.ledger.append([draft])


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
