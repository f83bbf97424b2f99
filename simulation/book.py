"""What an order router asks and tells the service: one port, for live routes and for replay."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from features.evidence import Evidence

__all__ = ["BarSeen", "Service", "TradeReport"]


@dataclass(frozen=True, slots=True, eq=False)
class BarSeen:
    """A bar that is complete, and the vector that became known with it.

    Attributes:
        start: seconds since 1970-01-01 UTC.
        close: of the bar.
        known_at: when it was complete, aware, UTC.
        vector: float32, (observation_dim,).
        evidence: what the vector was made of; None where nobody knows.
        fill_state: the features of the book are to be filled in.
    """

    start: int
    close: float
    known_at: datetime
    vector: NDArray[np.float32]
    evidence: Evidence | None
    fill_state: bool


@dataclass(frozen=True, slots=True)
class TradeReport:
    """A closed trade, as `/v1/risk/trade-result` takes it.

    Attributes:
        trade_id: names it.
        order_id: of its entry.
        pnl: US dollars.
        pnl_percent: fraction of capital.
        closed_at: aware.
    """

    trade_id: str
    order_id: str
    pnl: float
    pnl_percent: float
    closed_at: datetime


class Service(Protocol):
    """The service as a router uses it. Each call happens at `now`, which never goes back."""

    def decide(self, bar: BarSeen, order_id: str, now: datetime) -> dict[str, Any]:
        """The answer to a bar: `answers.decision_answer`."""
        ...

    def report_result(self, trade: TradeReport, now: datetime) -> None:
        """A trade was closed, and nothing is held since."""
        ...

    def report_position(self, position: float, as_of: datetime, now: datetime) -> None:
        """What is held: a signed fraction of capital."""
        ...

    def report_mark(self, unrealized: float, as_of: datetime, now: datetime) -> None:
        """P&L of what is open, a fraction of capital."""
        ...

    def release(self, order_id: str, outcome: str, now: datetime) -> None:
        """An approved order will have no result: `cancelled` or `expired`."""
        ...
