"""One observation on one state: models, gate, size; the answer, and what goes on record of it.

Nothing is stored here and nobody is told: `pipeline` and `together` do that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import date, datetime
from typing import Any, NamedTuple

from answers import Judged, decision_answer
from config.settings import RiskLimits
from desk import Desk
from features.state_features import BookValues
from features.vetoes import Veto
from observation import DecisionRequest
from reading import Reading, book_values, read
from risk.calendar import SessionStatus
from risk.events import Draft, EventKind
from risk.fixed_point import to_nano
from risk.fold import roll
from risk.gate import judge
from risk.orders import order_key
from risk.sizing import PositionRecommendation, close_out, recommend
from risk.state import RiskState
from risk.verdict import Candidate, Situation, Verdict

__all__ = ["Judgement", "ask_models", "decision_draft", "judged", "reads_book"]


class Judgement(NamedTuple):
    """What was found on one state, and is not on record yet.

    Attributes:
        answer: as JSON values.
        draft: what goes on record.
        vetoes: what spoke against the observation.
        read, judge: nanoseconds that the models took, and all that came after them.
    """

    answer: dict[str, Any]
    draft: Draft
    vetoes: tuple[Veto, ...]
    read: int
    judge: int


def reads_book(request: DecisionRequest, desk: Desk) -> bool:
    """Whether the models read where the book stands."""
    return request.fill_state and desk.schema is not None and bool(desk.schema.state_columns)


def ask_models(request: DecisionRequest, desk: Desk, book: BookValues | None = None) -> Reading:
    """What the models say about one observation, and what speaks against it.

    Raises:
        InvalidRequest, InferenceFault: as `reading.read`.
    """
    return read(request, desk.models, desk.schema, book, desk.timer)


def judged(
    request: DecisionRequest,
    reading: Reading | None,
    desk: Desk,
    stored: RiskState,
    session: SessionStatus,
    now: datetime,
    decision_id: str,
) -> Judgement:
    """The answer on this state, and what goes on record of it."""
    state = roll(stored, session.day)
    seen = reading or ask_models(request, desk, book_values(request, state, session, now))
    started = desk.timer()
    judged = _judge(request, seen.candidate, desk, state, session, now)
    answer = decision_answer(judged, seen.prediction, desk.limits, now, decision_id)
    draft = decision_draft(request, answer, desk, now, session.day, stored, seen.book)
    return Judgement(answer, draft, seen.vetoes, seen.nanoseconds, desk.timer() - started)


def _judge(
    request: DecisionRequest,
    candidate: Candidate,
    desk: Desk,
    state: RiskState,
    session: SessionStatus,
    now: datetime,
) -> Judged:
    verdict = judge(Situation(candidate, state, desk.limits, session, now, desk.configuration))
    recommendation = None
    if verdict.approved and request.tradable:
        capital = desk.capital_usd if request.capital_usd is None else request.capital_usd
        recommendation = _sized(candidate, verdict, state, desk.limits, capital)
    return Judged(
        raw_signal=candidate.signal,
        confidence=candidate.confidence,
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


def decision_draft(
    request: DecisionRequest,
    answer: Mapping[str, Any],
    desk: Desk,
    now: datetime,
    day: date,
    state: RiskState,
    book: BookValues | None = None,
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
            **request.to_json(),
            "book": None if book is None else asdict(book),
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
