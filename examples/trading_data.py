"""What the demonstration policies are trained and measured on: features and what followed."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from config.settings import TradingHours
from examples.simulate import simulate, write_market
from features.bars import BarSeries
from features.compute import FeatureSeries, compute_series
from features.files import read_bars, read_macro
from features.macro import MacroSeries
from features.reference import build_reference
from features.schema import USDCOP_M5
from monitoring.drift.market_sessions import market_sample
from monitoring.drift.recorded_json import encoded_record

__all__ = [
    "COST_PERCENT",
    "HORIZON_BARS",
    "POSITIONS",
    "TradingData",
    "following_returns",
    "prepare",
    "simulated_series",
    "training_profile",
]

HORIZON_BARS: Final = 12
"""A position is judged by the hour that follows."""
COST_PERCENT: Final = 0.10
"""Spread and slippage of opening and closing a position: 4 pesos at 4,000."""

POSITIONS: Final = (-1.0, 0.0, 1.0)
"""What the discrete actions 0, 1, 2 hold: SELL, HOLD, BUY."""


@dataclass(frozen=True, eq=False)
class TradingData:
    """What an environment walks through.

    Attributes:
        observations: feature vectors, shape (n, features), float32.
        returns: the log return that follows each of them, in percent, shape (n,).
        cost: of opening and closing one position, in percent.
    """

    observations: NDArray[np.float32]
    returns: NDArray[np.float64]
    cost: float

    def __post_init__(self) -> None:
        if len(self.observations) != len(self.returns) or len(self.returns) < 2:
            raise ValueError(
                f"an environment needs two rows or more, each with a return; got "
                f"{len(self.observations)} observations and {len(self.returns)} returns"
            )

    def reward(self, position: float, row: int) -> float:
        """Profit of a position in [-1, 1] taken at a row, in percent of its full size."""
        return float(position * self.returns[row] - self.cost * abs(position))


def simulated_series(days: int, seed: int) -> tuple[BarSeries, MacroSeries, FeatureSeries]:
    """Simulate a market; its bars, its macro values, and the features of both."""
    with tempfile.TemporaryDirectory() as folder:
        bars_path, macro_path = write_market(simulate(days, seed), Path(folder))
        bars, macro = read_bars(bars_path, TradingHours()).bars, read_macro(macro_path)
    return bars, macro, compute_series(bars, macro)


def training_profile(days: int, held_out_days: int, seed: int) -> dict[str, Any]:
    """What a policy knows that was trained on the first days of `prepare`, as it is stored."""
    bars, macro, series = simulated_series(days + held_out_days, seed)
    first_held_out = np.unique(series.times // 86_400)[-held_out_days] * 86_400
    known, kept = series.times < first_held_out, bars.starts < first_held_out
    vectors = FeatureSeries(series.times[known], series.known_at[known], series.matrix[known])
    reference = build_reference(vectors, BarSeries(bars.starts[kept], bars.closes[kept]), macro)
    # Whatever day has bars is a trading day of this market.
    sample = market_sample(vectors, macro, USDCOP_M5, TradingHours(), lambda _: True)
    return {**reference.to_json(), "sample": encoded_record(sample)}


def prepare(days: int, held_out_days: int, seed: int) -> tuple[TradingData, TradingData]:
    """Simulate a market; features and returns of its first days and of its last."""
    bars, _, series = simulated_series(days + held_out_days, seed)
    returns = following_returns(bars.closes, HORIZON_BARS)
    rows = np.searchsorted(bars.starts, series.times)
    # The last bars have no hour after them yet.
    rows = rows[rows < len(returns)]
    observations, times, returns = series.matrix[: len(rows)], bars.starts[rows], returns[rows]
    first_held_out = np.unique(times // 86_400)[-held_out_days] * 86_400
    split = int(np.searchsorted(times, first_held_out))
    # Returns of the last training bars would reach into the held-out days.
    training = slice(0, split - HORIZON_BARS)
    return (
        TradingData(observations[training], returns[training], COST_PERCENT),
        TradingData(observations[split:], returns[split:], COST_PERCENT),
    )


def following_returns(closes: NDArray[np.float64], horizon: int) -> NDArray[np.float64]:
    """Log return from each close to the one `horizon` bars later, in percent.

    Args:
        closes: shape (n,).
        horizon: bars to look ahead, fewer than n.

    Returns:
        Shape (n - horizon,): the last bars have no such return.
    """
    logs = np.log(closes)
    ahead: NDArray[np.float64] = 100.0 * (logs[horizon:] - logs[:-horizon])
    return ahead
