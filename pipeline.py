"""One observation, in order: models, ensemble, risk gate, sizing, ledger, answer.

`decide` is that line. The API, the batch route and history replay all run this function. It
reads its clock once and passes `now` down. A fault on the way is a HOLD with `SYSTEM_ERROR`;
an answer goes out only when it is on record (a `SYSTEM_ERROR` alone may go out unstored, with
`state_sequence` null). A second request with the order id of an approval is answered by
`resubmission`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any, NamedTuple

from answers import Judged, decision_answer, system_error_answer
from config.settings import RiskLimits
from errors import InferenceFault, KeyTaken, LedgerRegressed, StoreError
from features.schema import Schema
from features.state_features import BookValues
from monitoring.observer import DecisionMade, ObservationVetoed, Observer
from observation import DecisionRequest
from reading import Models, Reading, book_values, read
from resubmission import Repeat, answer_again
from risk.acts import Act
from risk.calendar import SessionCalendar, SessionStatus
from risk.events import Draft, Event, EventKind
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

__all__ = [
    "Decided",
    "Desk",
    "approval_of",
    "ask_models",
    "decide",
    "decided",
    "decided_without_knowing",
    "judged",
    "obey_halt_file",
    "reads_book",
    "told",
]


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
        schema: of the observation; None when nobody has named its numbers.
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
    schema: Schema | None = None

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


class Decided(NamedTuple):
    """A decision that is on record, if it could be, and that nobody has been told of yet.

    Attributes:
        request: what was asked.
        answer: what will be answered.
        started: when it was asked, by the desk's timer.
    """

    request: DecisionRequest
    answer: dict[str, Any]
    started: int

    @property
    def must_last(self) -> bool:
        """Whether it may be told only once it would survive the loss of power."""
        return bool(self.answer["approved"])


def decide(request: DecisionRequest, desk: Desk) -> dict[str, Any]:
    """Turn one observation into a decision on record.

    Returns:
        The answer as JSON values; `answers` says which.

    Raises:
        InvalidRequest: `model_name` names no loaded model, or a shadow that is asked to trade.
        Conflict: an approval with other content has this order id.
    """
    (answer,) = told([decided(request, desk)], desk)
    return answer


def decided(request: DecisionRequest, desk: Desk) -> Decided:
    """The same, but for what `told` sees to.

    Raises:
        InvalidRequest, Conflict: as `decide`.
    """
    started = desk.timer()
    now = desk.clock()
    decision_id = desk.new_id(now)
    try:
        answer = _decide(request, desk, now, decision_id)
    except InferenceFault as fault:
        answer = _record_fault(request, str(fault), desk, now, decision_id)
    except StoreError as fault:
        answer = _unknown(request, fault, now, decision_id)
    return Decided(request, answer, started)


def told(decisions: Sequence[Decided], desk: Desk) -> list[dict[str, Any]]:
    """The answers, as they may go out: an approval only once it would survive the loss of power.

    Approvals that are told together share one wait for the disk.
    """
    fault = None
    if any(decision.must_last for decision in decisions):
        try:
            desk.ledger.persist()
        except StoreError as error:
            fault = error
    answers = []
    for decision in decisions:
        answer = decision.answer
        if fault is not None and decision.must_last:
            answer = _unknown(decision.request, fault, desk.clock(), answer["decision_id"])
        elapsed = desk.timer() - decision.started
        answer["latency_ms"] = elapsed / 1e6
        desk.observer.observe(_seen(answer, elapsed, decision.request))
        answers.append(answer)
    return answers


def _unknown(
    request: DecisionRequest, fault: StoreError, now: datetime, decision_id: str
) -> dict[str, Any]:
    regressed = isinstance(fault, LedgerRegressed)
    status = RiskStatus.LEDGER_REGRESSED if regressed else RiskStatus.SYSTEM_ERROR
    return _not_judged(request, str(fault), now, decision_id, status=status)


def _decide(
    request: DecisionRequest, desk: Desk, now: datetime, decision_id: str
) -> dict[str, Any]:
    obey_halt_file(desk, now)
    again = _repeated(request, desk, now)
    if again is not None:
        return again
    # A policy that sees the book is asked anew whenever the book has changed.
    reading = None if reads_book(request, desk) else ask_models(request, desk)
    try:
        return _judge_and_record(request, reading, desk, now, decision_id)
    except KeyTaken:
        # The same order was asked for twice at once, and the other one was faster.
        again = _repeated(request, desk, now)
        if again is None:
            raise
        return again


def reads_book(request: DecisionRequest, desk: Desk) -> bool:
    """Whether the models read where the book stands."""
    return request.fill_state and desk.schema is not None and bool(desk.schema.state_columns)


def ask_models(request: DecisionRequest, desk: Desk, book: BookValues | None = None) -> Reading:
    """What the models say about one observation, and what speaks against it.

    Raises:
        InvalidRequest, InferenceFault: as `reading.read`.
    """
    reading = read(request, desk.models, desk.schema, book)
    if reading.vetoes:
        names = tuple((veto.kind.value, veto.name) for veto in reading.vetoes)
        desk.observer.observe(ObservationVetoed(names))
    return reading


def _repeated(request: DecisionRequest, desk: Desk, now: datetime) -> dict[str, Any] | None:
    """The answer to an order that is approved already; None for one that is not."""
    approval = approval_of(request, desk)
    if approval is None or request.order_id is None:
        return None
    return answer_again(
        Repeat(approval, request.content(), request.order_id), desk.act(now, request.caller)
    )


def approval_of(request: DecisionRequest, desk: Desk) -> Event | None:
    """The approval that the order of a request is bound to already."""
    if request.order_id is None or not request.tradable:
        return None
    return desk.ledger.by_key(order_key(request.order_id))


def obey_halt_file(desk: Desk, now: datetime) -> None:
    """Put a halt on record when the halt file is there and the book is not halted yet.

    Raises:
        StoreError: it could not be stored.
    """
    if not desk.halt_requested():
        return
    if desk.ledger.head().state.operator.mode is OperatorMode.HALTED:
        return
    record_halt(OperatorMode.HALTED, "the halt file is there", desk.act(now, HALT_FILE_ACTOR))


def _judge_and_record(
    request: DecisionRequest,
    reading: Reading | None,
    desk: Desk,
    now: datetime,
    decision_id: str,
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
        answer, draft = judged(request, reading, desk, stored, session, now, decision_id)
        desk.ledger.append([draft], expected=stored.sequence)
        return answer

    return on_newest_state(desk.ledger, act, what="the decision", presume=True)


def judged(
    request: DecisionRequest,
    reading: Reading | None,
    desk: Desk,
    stored: RiskState,
    session: SessionStatus,
    now: datetime,
    decision_id: str,
) -> tuple[dict[str, Any], Draft]:
    """The answer on this state, and what goes on record of it."""
    state = roll(stored, session.day)
    seen = reading or ask_models(request, desk, book_values(request, state, session, now))
    judged = _judge(request, seen.candidate, desk, state, session, now)
    answer = decision_answer(judged, seen.prediction, desk.limits, now, decision_id)
    draft = _decision_draft(request, answer, desk, now, session.day, stored, seen.book)
    return answer, draft


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
    except StoreError:
        return answer
    return stored


def _decision_draft(
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


def decided_without_knowing(request: DecisionRequest, desk: Desk) -> Decided:
    """What is told when `decided` itself failed: HOLD, not on record."""
    now = desk.clock()
    message = "the service failed; its log says why"
    answer = _not_judged(request, message, now, desk.new_id(now))
    return Decided(request, answer, desk.timer())


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
