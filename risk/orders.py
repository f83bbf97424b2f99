"""Orders: what an approval binds, and how its outcome becomes known.

An approved entry with an order id is an open order from its approval until a trade result names
it, a release says that it was not executed, or the day rolls. A second request with the same id
never makes a second order.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from errors import Conflict, KeyTaken, NotFound, StateMoved
from risk.acts import Act
from risk.breaker import BreakerState, breaches, breaker_state
from risk.events import Draft, Event, EventKind
from risk.exposure import exposure_of
from risk.fold import fold, roll
from risk.ledger.protocol import Ledger
from risk.ledger.retry import on_newest_state
from risk.state import CauseKind, OperatorMode, RiskState
from risk.verdict import RiskStatus
from runners.signal import Signal

__all__ = [
    "Outcome",
    "Released",
    "closing_draft",
    "intervention",
    "order_key",
    "outcome_key",
    "record_release",
]

_CLOCK_JITTER = timedelta(seconds=5)
_PAGE = 20
_HALTING = (EventKind.OPERATOR_HALTED, EventKind.RECONCILED)
_REDUCING = OperatorMode.REDUCING.value


class Outcome(StrEnum):
    """How an order ended."""

    RESULT = "result"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Released:
    """A release on record.

    Attributes:
        event: as stored.
        state: after it; for a duplicate, the state now.
        was_open: whether the order counted until now.
        duplicate: the same release was on record already and nothing changed.
    """

    event: Event
    state: RiskState
    was_open: bool
    duplicate: bool = False


def order_key(order_id: str) -> str:
    """What an approval binds: at most one event of a ledger has it."""
    return f"order:{order_id}"


def outcome_key(order_id: str) -> str:
    """What the outcome of an order binds."""
    return f"outcome:{order_id}"


def closing_draft(ledger: Ledger, order_id: str | None, act: Act, by: str) -> Draft | None:
    """The outcome that a trade result is for its order; None where there is none to record.

    An order that was never approved, or has its outcome already, gets none.
    """
    if order_id is None or ledger.by_key(order_key(order_id)) is None:
        return None
    if ledger.by_key(outcome_key(order_id)) is not None:
        return None
    payload = {"order_id": order_id, "outcome": Outcome.RESULT.value, "by": by}
    return act.draft(EventKind.ORDER_CLOSED, payload, outcome_key(order_id))


def record_release(order_id: str, outcome: Outcome, act: Act) -> Released:
    """Say that an approved order will have no result.

    Raises:
        NotFound: no approval has this id.
        Conflict: its outcome is on record, and another one.
        StoreError: nothing was stored; sending the same release again is safe.
    """

    def release(state: RiskState) -> Released:
        if act.ledger.by_key(order_key(order_id)) is None:
            raise NotFound(f"no approval has the order_id {order_id!r}", code="order_not_found")
        known = act.ledger.by_key(outcome_key(order_id))
        if known is not None:
            _refuse_other_outcome(order_id, outcome, known)
            return Released(known, state, was_open=False, duplicate=True)
        payload = {"order_id": order_id, "outcome": outcome.value, "by": None}
        draft = act.draft(EventKind.ORDER_CLOSED, payload, outcome_key(order_id))
        try:
            (event,) = act.ledger.append([draft], expected=state.sequence, durable=True)
        except KeyTaken:
            raise StateMoved(f"the outcome of {order_id!r} was just reported") from None
        was_open = roll(state, act.day).order(order_id) is not None
        return Released(event, fold(state, event), was_open)

    return on_newest_state(act.ledger, release, what=f"the release of {order_id!r}")


def _refuse_other_outcome(order_id: str, outcome: Outcome, known: Event) -> None:
    recorded = known.payload["outcome"]
    if recorded != outcome.value:
        raise Conflict(
            f"order {order_id!r} has the outcome {recorded!r} on record; it cannot be "
            f"{outcome.value!r} too",
            code="order_closed",
            detail={"order_id": order_id, "outcome": recorded},
        )


def intervention(approval: Event, state: RiskState, act: Act) -> tuple[RiskStatus, str] | None:
    """Why an approval may not be acted on any more; None while it may.

    Args:
        approval: the decision on record.
        state: now, rolled to the session date.
        act: who asks again, and when.
    """
    order: Mapping[str, Any] = approval.payload["order"]
    if act.ledger.by_key(outcome_key(order["order_id"])) is not None:
        return RiskStatus.ORDER_CLOSED, "the outcome of this order is on record"
    if act.now < approval.at - _CLOCK_JITTER:
        return RiskStatus.APPROVAL_EXPIRED, "the clock is behind the approval: it is wrong"
    until = datetime.fromisoformat(order["valid_until"])
    if act.now > until:
        return (
            RiskStatus.APPROVAL_EXPIRED,
            f"the approval ended at {until:%H:%M:%S} UTC; the order counts until its outcome is "
            "reported (a trade result with this order_id, or /v1/orders/release)",
        )
    return (
        _reconfigured(approval, state, act)
        or _halted(approval, act)
        or _tripped(approval, state, act)
        or _lost(approval, state, act)
        or _outgrown(approval, state)
    )


def _reconfigured(approval: Event, state: RiskState, act: Act) -> tuple[RiskStatus, str] | None:
    mismatch = state.configuration not in {None, act.configuration}
    if mismatch or _since([EventKind.CONFIGURATION], approval, act.ledger):
        return RiskStatus.CONFIG_MISMATCH, "limits or models have changed since the approval"
    return None


def _halted(approval: Event, act: Act) -> tuple[RiskStatus, str] | None:
    """A halt after the approval ends it, also one that was lifted or followed by a weaker one."""
    halts = _since(_HALTING, approval, act.ledger)
    strict = next((halt for halt in halts if halt.payload.get("mode") != _REDUCING), None)
    if strict is not None:
        return RiskStatus.TRADING_HALTED, f"{strict.actor} halted trading after the approval"
    if not halts or approval.payload["order"]["reduces"]:
        return None
    return RiskStatus.REDUCE_ONLY, f"{halts[0].actor} allowed exits only after the approval"


def _outgrown(approval: Event, state: RiskState) -> tuple[RiskStatus, str] | None:
    """An exit ends when the position that it was to close is not there any more."""
    order = approval.payload["order"]
    if not order["reduces"] or approval.payload["position"] is not None:
        return None
    exposure = exposure_of(state)
    own = sum(exit_.size for exit_ in state.reductions if exit_.order_id == order["order_id"])
    left = abs(exposure.held) - exposure.being_closed + own
    if exposure.reduces(Signal(order["signal"])) and left >= order["size_nano"]:
        return None
    return RiskStatus.APPROVAL_EXPIRED, "the position has changed after the approval"


def _tripped(approval: Event, state: RiskState, act: Act) -> tuple[RiskStatus, str] | None:
    if approval.payload["order"]["reduces"]:
        return None
    is_open = breaker_state(state, act.now) is BreakerState.OPEN
    if is_open or _since([EventKind.BREAKER_TRIPPED], approval, act.ledger):
        return RiskStatus.CIRCUIT_BREAKER_ACTIVE, "the circuit breaker opened after the approval"
    return None


def _lost(approval: Event, state: RiskState, act: Act) -> tuple[RiskStatus, str] | None:
    """A loss at a limit ends an entry also while no second mark has confirmed it."""
    found = breaches(state, act.limits(state))
    if approval.payload["order"]["reduces"] or not found:
        return None
    kind = found[0].kind
    status = (
        RiskStatus.DAILY_LOSS_LIMIT if kind is CauseKind.DAILY_LOSS else RiskStatus.MAX_DRAWDOWN
    )
    return status, f"the {kind.value.replace('_', ' ')} has reached its limit"


def _since(kinds: Sequence[EventKind], approval: Event, ledger: Ledger) -> list[Event]:
    """Events of these kinds after an approval, newest first."""
    found: list[Event] = []
    before = None
    while page := ledger.recent(kinds, limit=_PAGE, before=before):
        later = [event for event in page if event.sequence > approval.sequence]
        found += later
        if len(later) < _PAGE:
            break
        before = page[-1].sequence
    return found
