"""A trade from its entry to its exit, and what it earned."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

__all__ = ["ExitReason", "Trade"]


class ExitReason(StrEnum):
    """Why a position was closed."""

    SIGNAL = "signal"
    SESSION_END = "session_end"


@dataclass(frozen=True, slots=True)
class Trade:
    """One position, opened and closed.

    Attributes:
        trade_id: its name on record.
        order_id: of the approved entry.
        decision_id: of the approval.
        direction: 1 for long, -1 for short US dollars.
        size: fraction of capital, above 0.
        confidence: of the approval.
        decided_at: when the entry was approved, aware, UTC.
        entered_at: when it was filled, aware, UTC.
        entry_close: of the bar that it was filled at.
        entry_price: what was paid, half the spread included.
        exited_at: when it was closed, aware, UTC.
        exit_close: of the bar that it was closed at.
        exit_price: what was got, half the spread included.
        exit_reason: why it was closed.
        gross_percent: P&L between the two closes, a fraction of capital, without costs.
        pnl_percent: P&L with spread and commission, a fraction of capital.
        pnl_usd: the same in US dollars.
    """

    trade_id: str
    order_id: str
    decision_id: str
    direction: int
    size: float
    confidence: float
    decided_at: datetime
    entered_at: datetime
    entry_close: float
    entry_price: float
    exited_at: datetime
    exit_close: float
    exit_price: float
    exit_reason: ExitReason
    gross_percent: float
    pnl_percent: float
    pnl_usd: float

    @property
    def costs_percent(self) -> float:
        """What spread and commission took, a fraction of capital, 0 or above."""
        return self.gross_percent - self.pnl_percent
