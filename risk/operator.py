"""Halting and resuming: what a person allows, whatever the limits say.

Anybody who may trade may halt, and halting only tightens; resuming takes an admin and a reason. A
halt file halts the book wherever a service sees it: the way in when the API is gone. Its removal
resumes nothing.
"""

from dataclasses import dataclass

from errors import Conflict, InvalidRequest, StoreError
from risk.acts import Act, after
from risk.events import EventKind
from risk.ledger.retry import on_newest_state
from risk.state import Operator, OperatorMode, RiskState

__all__ = ["HALT_FILE_ACTOR", "Operated", "halt_regressed", "record_halt", "record_resume"]

HALT_FILE_ACTOR = "halt-file"
"""Who halts when the halt file does."""


@dataclass(frozen=True, slots=True)
class Operated:
    """An act of an operator.

    Attributes:
        before, operator: what was and is in force.
        event_id: of the act; None when it asked for what was in force and left no record.
        state: after it.
    """

    before: OperatorMode
    operator: Operator
    event_id: str | None
    state: RiskState

    @property
    def changed(self) -> bool:
        """Whether anything is stricter or looser now."""
        return self.before is not self.operator.mode


def record_halt(mode: OperatorMode, reason: str, act: Act) -> Operated:
    """Tighten to REDUCING or HALTED. One that asks for less than is in force changes nothing.

    It is on record in either case: somebody wanted to stop.

    Raises:
        InvalidRequest: the mode allows everything.
        StoreError: nothing was stored.
    """
    if mode is OperatorMode.ACTIVE:
        raise InvalidRequest("a halt is HALTED or REDUCING; /v1/risk/resume is the way to ACTIVE")
    return _operate(EventKind.OPERATOR_HALTED, mode, reason, act)


def record_resume(mode: OperatorMode, reason: str, act: Act, *, halt_file: bool) -> Operated:
    """Loosen to REDUCING or ACTIVE.

    Args:
        mode: what is allowed from now on.
        reason: for the record.
        act: who and when.
        halt_file: whether the halt file is there.

    Raises:
        InvalidRequest: there is no reason, or the mode is HALTED.
        Conflict: the halt file is there, or the mode is stricter than what is in force.
        StoreError: nothing was stored.
    """
    if not reason.strip():
        raise InvalidRequest("resuming needs a `reason` for the record")
    if mode is OperatorMode.HALTED:
        raise InvalidRequest("resuming leads to ACTIVE or REDUCING; /v1/risk/halt halts")
    if halt_file:
        raise Conflict(
            "the halt file is there: remove it first, then resume", code="halt_file_present"
        )
    return _operate(EventKind.OPERATOR_RESUMED, mode, reason, act)


def halt_regressed(complaint: str, act: Act) -> None:
    """Halt the book on a store that went backwards: others may not know that it did.

    When that cannot be stored either, whoever knows answers HOLD all the same.
    """
    try:
        if act.ledger.head().state.operator.mode is not OperatorMode.HALTED:
            record_halt(OperatorMode.HALTED, f"LEDGER_REGRESSED: {complaint}", act)
    except StoreError:
        return


def _operate(kind: EventKind, mode: OperatorMode, reason: str, act: Act) -> Operated:
    def operate(state: RiskState) -> Operated:
        now = state.operator.mode
        if kind is EventKind.OPERATOR_RESUMED and mode.strictness >= now.strictness:
            if mode is now:
                return Operated(now, state.operator, None, state)
            raise Conflict(
                f"the book is {now.value}: {mode.value} is stricter, and /v1/risk/halt its way",
                code="not_a_resume",
            )
        draft = act.draft(kind, {"mode": mode.value, "reason": reason})
        newer = after(state, draft)
        (event,) = act.ledger.append([draft], expected=state.sequence, durable=True)
        return Operated(now, newer.operator, event.event_id, newer)

    return on_newest_state(act.ledger, operate, what="the act")
