"""Market data that somebody insisted on: on record with a name, since decisions rest on it."""

from collections.abc import Sequence

from risk.acts import Act
from risk.events import Event, EventKind

__all__ = ["record_confirmation"]


def record_confirmation(confirmed: Sequence[str], act: Act) -> Event:
    """Put on record what only `confirm` let through.

    Args:
        confirmed: each in words, at least one.
        act: whose it is.

    Raises:
        StoreError: it could not be stored.
    """
    draft = act.draft(EventKind.MARKET_CONFIRMED, {"confirmed": list(confirmed)})
    return act.ledger.append([draft])[0]
