"""One observation, in order: models, ensemble, risk gate, sizing, ledger, answer.

`decide` is that line. The API, the batch route and history replay all run this function. It
reads its clock once and passes `now` down. A fault on the way is a HOLD with `SYSTEM_ERROR`;
an answer goes out only when it is on record (a `SYSTEM_ERROR` alone may go out unstored, with
`state_sequence` null). A second request with the order id of an approval is answered by
`resubmission`.
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
from errors import InferenceFault, InvalidRequest, KeyTaken, LedgerError, LedgerRegressed
from monitoring.observer import DecisionMade, Observer
from resubmission import Repeat, answer_again
from risk.acts import Act
from risk.calendar import SessionCalendar, SessionStatus
from risk.events import Draft, EventKind, timestamp
from risk.fixed_point import to_nano
from risk.fold import roll
from risk.gate import judge
from risk.ledger.protocol import Ledger
from risk.ledger.retry import on_newest_state
from risk.operator import HALT_FILE_ACTOR, record_halt
from risk.orders import order_key
from risk.sizing import PositionRecommendation, close_out, recommend
from risk.state import OperatorMode, RiskState
from risk.verdict import Candidate, RiskStatus, Situation, Verdict
from runners.ensemble import Prediction

__all__ = [
    "DecisionRequest",
    "Desk",
    "Models",
    "decide",
    "decide_without_knowing",
    "decoded_vector",
    "obey_halt_file",
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
        halt_requested: whether the halt file is there.
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
    halt_requested: Callable[[], bool]
    observer: Observer

    def act(self, now: datetime, actor: str) -> Act:
        """Somebody does something to the book."""
        return Act(
            ledger=self.ledger,
            own_limits=self.limits,
            configuration=self.configuration,
            calendar=self.calendar,
            now=now,
            new_id=self.new_id,
            actor=actor,
        )


@dataclass(frozen=True, slots=True)
class DecisionRequest:
    """One observation and what is asked of it.

    Attributes:
        observation: float32, (observation_dim,), finite.
        observed_at: when it was known, aware; None when the caller did not say.
        model_name: decide by this model alone; None for the ensemble.
        enforce_risk_checks: False returns the raw signal, never approved.
        order_id: the caller's name for the order; an approval binds it.
        position: signed fraction of capital held now; None for the one reported last.
        capital_usd: of this caller; None for the configured one.
        dry_run: judge, but approve nothing.
        caller: name of the key that asks.
    """

    observation: NDArray[np.float32]
    observed_at: datetime | None = None
    model_name: str | None = None
    enforce_risk_checks: bool = True
    order_id: str | None = None
    position: float | None = None
    capital_usd: float | None = None
    dry_run: bool = False
    caller: str = "local"

    @property
    def tradable(self) -> bool:
        """Whether it may be approved."""
        return self.enforce_risk_checks and not self.dry_run

    def content(self) -> dict[str, Any]:
        """What goes on record of it, and what makes a second one the same."""
        observed_at = self.observed_at
        return {
            "vector": _encoded_vector(self.observation),
            "observed_at": None if observed_at is None else timestamp(observed_at),
            "model_name": self.model_name,
            "enforce_risk_checks": self.enforce_risk_checks,
            "order_id": self.order_id,
            "position": self.position,
            "capital_usd": self.capital_usd,
            "dry_run": self.dry_run,
        }


def _encoded_vector(observation: NDArray[np.float32]) -> str:
    return base64.b64encode(observation.astype("<f4").tobytes()).decode()


def decoded_vector(text: str) -> NDArray[np.float32]:
    """The observation of a decision on record, (observation_dim,)."""
    return np.frombuffer(base64.b64decode(text), dtype="<f4")


def decide(request: DecisionRequest, desk: Desk) -> dict[str, Any]:
    """Turn one observation into a decision on record.

    Returns:
        The answer as JSON values; `answers` says which.

    Raises:
        InvalidRequest: `model_name` names no loaded model, or a shadow that is asked to trade.
        Conflict: an approval with other content has this order id.
    """
    started = desk.timer()
    now = desk.clock()
    decision_id = desk.new_id(now)
    try:
        answer = _decide(request, desk, now, decision_id)
    except InferenceFault as fault:
        answer = _record_fault(request, str(fault), desk, now, decision_id)
    except LedgerRegressed as fault:
        answer = _not_judged(
            request, str(fault), now, decision_id, status=RiskStatus.LEDGER_REGRESSED
        )
    except LedgerError as fault:
        answer = _not_judged(request, str(fault), now, decision_id)
    elapsed = desk.timer() - started
    answer["latency_ms"] = elapsed / 1e6
    desk.observer.observe(_seen(answer, elapsed, request))
    return answer


def _decide(
    request: DecisionRequest, desk: Desk, now: datetime, decision_id: str
) -> dict[str, Any]:
    obey_halt_file(desk, now)
    again = _repeated(request, desk, now)
    if again is not None:
        return again
    prediction = predict(desk.models, request.observation[np.newaxis, :], request.model_name)
    _refuse_shadow(request, prediction)
    try:
        return _judge_and_record(request, prediction, desk, now, decision_id)
    except KeyTaken:
        # The same order was asked for twice at once, and the other one was faster.
        again = _repeated(request, desk, now)
        if again is None:
            raise
        return again


def _repeated(request: DecisionRequest, desk: Desk, now: datetime) -> dict[str, Any] | None:
    """The answer to an order that is approved already; None for one that is not."""
    if request.order_id is None or not request.tradable:
        return None
    approval = desk.ledger.by_key(order_key(request.order_id))
    if approval is None:
        return None
    return answer_again(
        Repeat(approval, request.content(), request.order_id), desk.act(now, request.caller)
    )


def obey_halt_file(desk: Desk, now: datetime) -> None:
    """Put a halt on record when the halt file is there and the book is not halted yet.

    Raises:
        LedgerError: it could not be stored.
    """
    if not desk.halt_requested():
        return
    if desk.ledger.head().state.operator.mode is OperatorMode.HALTED:
        return
    record_halt(OperatorMode.HALTED, "the halt file is there", desk.act(now, HALT_FILE_ACTOR))


def predict(models: Models, rows: NDArray[np.float32], name: str | None) -> Prediction:
    """Ask the ensemble, or the one model that is named."""
    return models.predict(rows) if name is None else models.predict_one(rows, name)


def _refuse_shadow(request: DecisionRequest, prediction: Prediction) -> None:
    """A model without a vote must not trade by being asked alone."""
    if request.tradable and request.model_name is not None and prediction.outputs[0].weight == 0:
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
    tried = False

    def act(stored: RiskState) -> dict[str, Any]:
        nonlocal tried
        # What has moved the state may have been this very order, asked for twice at once.
        bound = tried or stored.has_approved(request.order_id)
        again = _repeated(request, desk, now) if bound else None
        if again is not None:
            return again
        tried = True
        judged = _judge(request, prediction, desk, roll(stored, session.day), session, now)
        answer = decision_answer(judged, prediction, desk.limits, now, decision_id)
        draft = _decision_draft(request, answer, desk, now, session.day, stored)
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
    candidate = Candidate(
        signal, confidence, request.observed_at, request.order_id, request.position
    )
    verdict = judge(Situation(candidate, state, desk.limits, session, now, desk.configuration))
    recommendation = None
    if verdict.approved and request.tradable:
        capital = desk.capital_usd if request.capital_usd is None else request.capital_usd
        recommendation = _sized(candidate, verdict, state, desk.limits, capital)
    return Judged(
        raw_signal=signal,
        confidence=confidence,
        verdict=verdict,
        state=state,
        session=session,
        checked=request.enforce_risk_checks,
        order_id=request.order_id,
        dry_run=request.dry_run,
        recommendation=recommendation,
    )


def _sized(
    candidate: Candidate, verdict: Verdict, state: RiskState, limits: RiskLimits, capital: float
) -> PositionRecommendation:
    if verdict.reduces:
        return close_out(verdict.exposure.left_to_close, capital)
    room = verdict.exposure.room(candidate.signal, limits.max_position_size)
    return recommend(candidate.confidence, state, limits, capital, probe=verdict.probe, room=room)


def _not_judged(
    request: DecisionRequest,
    message: str,
    now: datetime,
    decision_id: str,
    *,
    status: RiskStatus = RiskStatus.SYSTEM_ERROR,
) -> dict[str, Any]:
    return system_error_answer(
        message, request.model_name, now, decision_id, order_id=request.order_id, status=status
    )


def _record_fault(
    request: DecisionRequest, message: str, desk: Desk, now: datetime, decision_id: str
) -> dict[str, Any]:
    """Put a decision on record that the models could not make."""
    answer = _not_judged(request, message, now, decision_id)
    try:
        state = desk.ledger.head().state
        stored = {**answer, "state_sequence": state.sequence}
        day = desk.calendar.day(now)
        desk.ledger.append([_decision_draft(request, stored, desk, now, day, state)])
    except LedgerError:
        return answer
    return stored


def _decision_draft(
    request: DecisionRequest,
    answer: Mapping[str, Any],
    desk: Desk,
    now: datetime,
    day: date,
    state: RiskState,
) -> Draft:
    """What was decided, with all it was made from, so that it can be made again."""
    order = _bound_order(request, answer)
    return Draft(
        kind=EventKind.DECISION,
        event_id=answer["decision_id"],
        at=now,
        day=day,
        actor=request.caller,
        payload={
            **request.content(),
            "configuration": desk.configuration,
            "state": state.to_json(),
            "order": order,
            "answer": answer,
        },
        key=None if order is None else order_key(order["order_id"]),
    )


def _bound_order(request: DecisionRequest, answer: Mapping[str, Any]) -> dict[str, Any] | None:
    """What an approval binds its order id to. A refusal binds none."""
    if request.order_id is None or not answer["approved"]:
        return None
    return {
        "order_id": request.order_id,
        "signal": answer["signal"],
        "size_nano": to_nano(answer["position_recommendation"]["position_size_percent"]),
        "reduces": answer["reduces"],
        "probe": answer["probe"],
        "valid_until": answer["valid_until"],
    }


def decide_without_knowing(request: DecisionRequest, desk: Desk) -> dict[str, Any]:
    """The answer when `decide` itself failed: HOLD, not on record."""
    now = desk.clock()
    message = "the service failed; its log says why"
    answer = _not_judged(request, message, now, desk.new_id(now))
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
