"""That somebody looked whether trading can begin, and what they found: on record, durably.

It changes no state, and it is the proof that the ledger takes an event.
"""

from collections.abc import Sequence

from risk.acts import Act
from risk.events import Event, EventKind

__all__ = ["record_preflight"]


def record_preflight(
    state: str, not_armed: Sequence[str], warnings: Sequence[str], act: Act
) -> Event:
    """Put a look before the session on record.

    Args:
        state: of the whole.
        not_armed: names of what keeps trading from beginning.
        warnings: names of what somebody should know.
        act: whose it is.

    Raises:
        StoreError: it could not be stored.
    """
    payload = {"state": state, "not_armed": list(not_armed), "warnings": list(warnings)}
    draft = act.draft(EventKind.PREFLIGHT, payload)
    return act.ledger.append([draft], durable=True)[0]
