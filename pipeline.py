"""One observation, in order: models, ensemble, risk gate, sizing, ledger, answer.

`decide` is that line. The API, the batch route and history replay all run this function. It
reads its clock once and passes `now` down. A fault on the way is a HOLD with `SYSTEM_ERROR`;
an answer goes out only when it is on record (a `SYSTEM_ERROR` alone may go out unstored, with
`state_sequence` null). A second request with the order id of an approval is answered by
`resubmission`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from answers import system_error_answer
from desk import Desk
from errors import InferenceFault, KeyTaken, LedgerRegressed, StoreError
from features.vetoes import Veto
from judging import ask_models, decision_draft, judged, reads_book
from monitoring.observer import DecisionMade, Stages
from observation import DecisionRequest
from reading import Reading
from resubmission import Repeat, answer_again
from risk.events import Event
from risk.ledger.retry import on_newest_state
from risk.operator import HALT_FILE_ACTOR, record_halt
from risk.orders import order_key
from risk.state import OperatorMode, RiskState
from risk.verdict import RiskStatus

__all__ = [
    "Decided",
    "approval_of",
    "decide",
    "decided",
    "decided_without_knowing",
    "obey_halt_file",
    "told",
]


class Decided(NamedTuple):
    """A decision that is on record, if it could be, and that nobody has been told of yet.

    Attributes:
        request: what was asked.
        answer: what will be answered.
        started: when it was asked, by the desk's timer.
        vetoes: what spoke against the observation, where the decision was made of it.
        stages: how long each took, where the decision was made.
    """

    request: DecisionRequest
    answer: dict[str, Any]
    started: int
    vetoes: tuple[Veto, ...] = ()
    stages: Stages = Stages()

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
    vetoes: tuple[Veto, ...] = ()
    stages = Stages()
    try:
        answer, vetoes, stages = _decide(request, desk, now, decision_id)
    except InferenceFault as fault:
        answer = _record_fault(request, str(fault), desk, now, decision_id)
    except StoreError as fault:
        answer = _unknown(request, fault, now, decision_id)
    return Decided(request, answer, started, vetoes, stages)


def told(decisions: Sequence[Decided], desk: Desk) -> list[dict[str, Any]]:
    """The answers, as they may go out: an approval only once it would survive the loss of power.

    Approvals that are told together share one wait for the disk.
    """
    fault, persist = None, 0
    if any(decision.must_last for decision in decisions):
        began = desk.timer()
        try:
            desk.ledger.persist()
        except StoreError as error:
            fault = error
        persist = desk.timer() - began
    answers = []
    for decision in decisions:
        answer = decision.answer
        if fault is not None and decision.must_last:
            answer = _unknown(decision.request, fault, desk.clock(), answer["decision_id"])
        elapsed = desk.timer() - decision.started
        answer["latency_ms"] = elapsed / 1e6
        desk.observer.observe(_seen(decision, answer, elapsed, persist))
        answers.append(answer)
    return answers


def _unknown(
    request: DecisionRequest, fault: StoreError, now: datetime, decision_id: str
) -> dict[str, Any]:
    regressed = isinstance(fault, LedgerRegressed)
    status = RiskStatus.LEDGER_REGRESSED if regressed else RiskStatus.SYSTEM_ERROR
    return _not_judged(request, str(fault), now, decision_id, status=status)


_Found = tuple[dict[str, Any], tuple[Veto, ...], Stages]
"""An answer on record, what spoke against the observation, and how long that took."""


def _decide(request: DecisionRequest, desk: Desk, now: datetime, decision_id: str) -> _Found:
    obey_halt_file(desk, now)
    again = _repeated(request, desk, now)
    if again is not None:
        return again, (), Stages()
    # A policy that sees the book is asked anew whenever the book has changed.
    reading = None if reads_book(request, desk) else ask_models(request, desk)
    try:
        return _judge_and_record(request, reading, desk, now, decision_id)
    except KeyTaken:
        # The same order was asked for twice at once, and the other one was faster.
        again = _repeated(request, desk, now)
        if again is None:
            raise
        return again, (), Stages()


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
) -> _Found:
    """Judge on the newest state until the verdict is on record beside that very state."""
    session = desk.calendar.status(now)
    tried = False

    def act(stored: RiskState) -> _Found:
        nonlocal tried
        # What has moved the state may have been this very order, asked for twice at once.
        bound = tried or stored.has_approved(request.order_id)
        again = _repeated(request, desk, now) if bound else None
        if again is not None:
            return again, (), Stages()
        tried = True
        found = judged(request, reading, desk, stored, session, now, decision_id)
        began = desk.timer()
        desk.ledger.append([found.draft], expected=stored.sequence)
        stages = Stages(found.read, found.judge, desk.timer() - began)
        return found.answer, found.vetoes, stages

    return on_newest_state(desk.ledger, act, what="the decision", presume=True)


def _record_fault(
    request: DecisionRequest, message: str, desk: Desk, now: datetime, decision_id: str
) -> dict[str, Any]:
    """Put a decision on record that the models could not make."""
    answer = _not_judged(request, message, now, decision_id)
    try:
        state = desk.ledger.head().state
        stored = {**answer, "state_sequence": state.sequence}
        day = desk.calendar.day(now)
        desk.ledger.append([decision_draft(request, stored, desk, now, day, state)])
    except StoreError:
        return answer
    return stored


def decided_without_knowing(request: DecisionRequest, desk: Desk) -> Decided:
    """What is told when `decided` itself failed: HOLD, not on record."""
    now = desk.clock()
    message = "the service failed; its log says why"
    answer = _not_judged(request, message, now, desk.new_id(now))
    return Decided(request, answer, desk.timer())


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


def _seen(decision: Decided, answer: Mapping[str, Any], elapsed: int, persist: int) -> DecisionMade:
    stages = decision.stages
    return DecisionMade(
        signal=answer["signal"],
        risk_status=answer["risk_status"],
        model_name=answer["model_name"],
        confidence=answer["confidence"],
        approved=answer["approved"],
        dry_run=decision.request.dry_run,
        seconds=elapsed / 1e9,
        stored=answer["state_sequence"] is not None,
        reason=next(iter(answer["reasons"]), ""),
        vetoes=tuple((veto.kind.value, veto.name) for veto in decision.vetoes),
        stages=stages._replace(persist=persist) if decision.must_last else stages,
        decision_id=answer["decision_id"],
        caller=decision.request.caller,
        order_id=decision.request.order_id,
    )
