"""A store that lost records which it had acknowledged: a person accepts that they are gone."""

from errors import Conflict, InvalidRequest
from risk.acts import Act
from risk.events import Event, EventKind
from risk.ledger.anchored import Acknowledged
from risk.ledger.retry import on_newest_state
from risk.state import RiskState

__all__ = ["record_reconciliation"]


def record_reconciliation(remembered: Acknowledged | None, reason: str, act: Act) -> Event:
    """Accept the loss of what was acknowledged beyond what is there. The book is halted by it.

    Args:
        remembered: the highest place that this host was acknowledged.
        reason: for the record.
        act: who and when; its ledger is not held against what is remembered.

    Raises:
        InvalidRequest: there is no reason.
        Conflict: nothing was lost.
        StoreError: nothing was stored.
    """
    if not reason.strip():
        raise InvalidRequest("accepting a loss needs a reason for the record")
    head = act.ledger.head()
    if remembered is None or _holds(remembered, act):
        raise Conflict(
            "nothing was lost: the ledger holds all that it acknowledged to this host",
            code="nothing_lost",
        )
    payload = {
        "remembered_sequence": remembered.sequence,
        "remembered_hash": remembered.hash,
        "found_sequence": head.sequence,
        "found_hash": head.hash,
        "reason": reason,
    }

    def accept(state: RiskState) -> Event:
        draft = act.draft(EventKind.RECONCILED, payload)
        (event,) = act.ledger.append([draft], expected=state.sequence, durable=True)
        return event

    return on_newest_state(act.ledger, accept, what="the reconciliation")


def _holds(remembered: Acknowledged, act: Act) -> bool:
    if remembered.sequence == 0:
        return True
    records = act.ledger.scan(after=remembered.sequence - 1, limit=1)
    return bool(records) and (records[0].sequence, records[0].hash) == (
        remembered.sequence,
        remembered.hash,
    )
