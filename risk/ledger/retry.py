"""Read, judge, append; and again on the newer state when somebody else was faster."""

from collections.abc import Callable
from typing import TypeVar

from errors import StateMoved, StoreUnavailable
from risk.ledger.protocol import Ledger
from risk.state import RiskState

__all__ = ["on_newest_state"]

_ATTEMPTS = 50

Outcome = TypeVar("Outcome")


def on_newest_state(
    ledger: Ledger, act: Callable[[RiskState], Outcome], *, what: str, presume: bool = False
) -> Outcome:
    """Run `act` on the state, until the state has stayed as it was while it ran.

    Args:
        ledger: gives the state, and refuses an append that was judged on an older one.
        act: judges the state it is given and appends with that state's sequence.
        what: names the act in the error.
        presume: begin with the state that is known here, without asking the store. Right where
            every way through `act` appends with the state's sequence.

    Raises:
        StoreUnavailable: the state moved each time; nothing was stored and `what` may be
            sent again.
    """
    for attempt in range(_ATTEMPTS):
        head = ledger.presumed() if presume and attempt == 0 else ledger.head()
        try:
            return act(head.state)
        except StateMoved:
            continue
    raise StoreUnavailable(
        f"{what} was not stored: the risk state moved {_ATTEMPTS} times; send it again"
    )
