"""What one replay came to, as plain data: what metrics, summary and report are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from simulation.trades import Trade

__all__ = ["DECISION_COLUMNS", "Episode", "Run", "decision_columns"]

DECISION_COLUMNS = (
    "decision_id", "decided_at", "bar_at", "close", "raw_signal", "signal", "confidence",
    "risk_status", "approved", "reduces", "probe", "size", "position", "sell", "hold", "buy",
    "reasons",
)  # fmt: skip
"""Names of `Run.decisions`.

`decided_at` and `bar_at` (start of the bar) are datetimes64[us], UTC; `size` is the recommended
fraction of capital, NaN without an approval; `position` is the signed fraction that was held when
it was decided; `sell`, `hold`, `buy` are the probabilities; `reasons` joins them with "; ".
"""


_TYPES: Final = {
    **dict.fromkeys(("decided_at", "bar_at"), "datetime64[us]"),
    **dict.fromkeys(("close", "confidence", "size", "position", "sell", "hold", "buy"), "float64"),
    **dict.fromkeys(("approved", "reduces", "probe"), "bool"),
}


def decision_columns(listed: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """`Run.decisions` of plain lists; instants are microseconds since 1970-01-01 UTC."""
    return {
        name: np.array(listed[name], _TYPES[name]) if name in _TYPES else listed[name]
        for name in DECISION_COLUMNS
    }


@dataclass(frozen=True, slots=True)
class Episode:
    """A time in which something kept entries out.

    Attributes:
        kind: `daily_loss`, `drawdown` or `consecutive_losses` of the breaker; `halted` or
            `reducing` of the operator.
        since: when it began, aware, UTC.
        until: when it ended, aware, UTC; None where it stood at the end of the replay.
    """

    kind: str
    since: datetime
    until: datetime | None


@dataclass(frozen=True, eq=False)
class Run:
    """One replay.

    Attributes:
        times: when each bar was known, seconds since 1970-01-01 UTC, shape (n,).
        days: session date of each bar in the desk's zone, days since 1970-01-01, shape (n,).
        closes: shape (n,).
        equity: P&L since the start, realised and open (at the close, without the costs of an exit
            that has not happened), as a fraction of the capital at the start, shape (n,).
        positions: signed fraction of capital that was held after each bar, shape (n,).
        decisions: columns by the names in `DECISION_COLUMNS`, one entry per decision.
        trades: closed, oldest first.
        episodes: oldest first.
        expired: approvals that could not be filled before the session ended.
        not_taken: approvals while a position was held already, that were released.
        ledger_head: hash of the newest event, 64 hexadecimal digits: two runs that did the same
            have the same.
        events: on record.
        description: what was replayed and how, JSON values: files, models, limits, costs.
        limits: the risk limits by name, as in the configuration file.
        capital_usd: at the start.
        zone: IANA name of the desk's time zone.
    """

    times: NDArray[np.int64]
    days: NDArray[np.int64]
    closes: NDArray[np.float64]
    equity: NDArray[np.float64]
    positions: NDArray[np.float64]
    decisions: Mapping[str, Sequence[Any] | NDArray[Any]]
    trades: tuple[Trade, ...]
    episodes: tuple[Episode, ...]
    expired: int
    not_taken: int
    ledger_head: str
    events: int
    description: Mapping[str, Any]
    limits: Mapping[str, Any]
    capital_usd: float
    zone: str
