"""Trades as columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

import numpy as np

from simulation.trades import Trade

__all__ = ["trade_columns"]

_INSTANTS = ("decided_at", "entered_at", "exited_at")


def trade_columns(trades: Sequence[Trade]) -> dict[str, Any]:
    """One column for each attribute of a trade, and `costs_percent`; instants are UTC."""
    columns: dict[str, Any] = {}
    for field in fields(Trade):
        values = [getattr(trade, field.name) for trade in trades]
        columns[field.name] = (
            _instants(values) if field.name in _INSTANTS else np.array(values, _TYPES[field.name])
        )
    columns["costs_percent"] = np.array([trade.costs_percent for trade in trades], np.float64)
    return columns


def _instants(values: Sequence[datetime]) -> Any:
    naive = [value.astimezone(UTC).replace(tzinfo=None) for value in values]
    return np.array(naive, dtype="datetime64[us]")


_TYPES: dict[str, Any] = {
    "trade_id": object,
    "order_id": object,
    "decision_id": object,
    "direction": np.int64,
    "size": np.float64,
    "confidence": np.float64,
    "entry_close": np.float64,
    "entry_price": np.float64,
    "exit_close": np.float64,
    "exit_price": np.float64,
    "exit_reason": object,
    "gross_percent": np.float64,
    "pnl_percent": np.float64,
    "pnl_usd": np.float64,
}
"""Said of each, so that a table without a trade has the same columns."""
