"""A second request with the order id of an approval: the same order, never another one.

The caller retries because an answer was lost. While the approval is valid and nothing has
intervened it gets the stored one again; afterwards it is told why it may not act on it any more.
Either is on record.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from errors import Conflict
from risk.acts import Act
from risk.events import Event, EventKind
from risk.fold import roll
from risk.ledger.retry import on_newest_state
from risk.orders import intervention
from risk.state import RiskState
from runners.signal import Signal

__all__ = ["Repeat", "answer_again"]


@dataclass(frozen=True, slots=True)
class Repeat:
    """A request whose order id an approval has bound.

    Attributes:
        approval: the decision on record.
        content: of the request, as it would go on record.
        order_id: of both.
    """

    approval: Event
    content: Mapping[str, Any]
    order_id: str


def answer_again(repeat: Repeat, act: Act) -> dict[str, Any]:
    """The stored approval while it may be acted on; else HOLD, and why.

    Raises:
        Conflict: the request has other content than the approval.
        StoreError: what is answered could not be stored.
    """
    _refuse_other_content(repeat)

    def answer(state: RiskState) -> dict[str, Any]:
        found = _told(repeat.approval, state, act)
        payload = {
            "order_id": repeat.order_id,
            "decision_id": repeat.approval.event_id,
            "approved": found["approved"],
            "risk_status": found["risk_status"],
            "reasons": found["reasons"],
        }
        draft = act.draft(EventKind.ORDER_REPLAYED, payload)
        act.ledger.append([draft], expected=state.sequence)
        return found

    return on_newest_state(act.ledger, answer, what=f"the answer to order {repeat.order_id!r}")


def _refuse_other_content(repeat: Repeat) -> None:
    stored = repeat.approval.payload
    other = [name for name, value in repeat.content.items() if stored.get(name) != value]
    if other:
        raise Conflict(
            f"order_id {repeat.order_id!r} is bound to an approval with another "
            f"{', '.join(other)}; another order needs an order_id of its own",
            code="order_conflict",
            detail={"order_id": repeat.order_id, "differs": other},
        )


def _told(approval: Event, state: RiskState, act: Act) -> dict[str, Any]:
    stored: dict[str, Any] = {**approval.payload["answer"], "replayed": True}
    why = intervention(approval, roll(state, act.day), act)
    if why is None:
        return stored
    status, message = why
    return {
        **stored,
        "signal": Signal.HOLD.value,
        "approved": False,
        "risk_status": status.value,
        "reasons": [message],
        "position_recommendation": None,
    }
