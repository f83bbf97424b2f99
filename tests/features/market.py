"""Bars and macro values for tests: sessions of 60 bars on consecutive days."""

from datetime import date

import numpy as np
from numpy.typing import NDArray

from features.bars import BarSeries
from features.macro import MACRO_COLUMNS, MacroSeries

MONDAY_OPEN = 1_772_456_400  # 2026-03-02T13:00:00Z, 08:00 in Bogotá
MONDAY = date(2026, 3, 2).toordinal() - date(1970, 1, 1).toordinal()


def session_starts(bars: int, *, per_day: int = 60) -> NDArray[np.int64]:
    number = np.arange(bars)
    return MONDAY_OPEN + number // per_day * 86_400 + number % per_day * 300


def random_bars(bars: int, seed: int = 1) -> BarSeries:
    rng = np.random.default_rng(seed)
    closes = np.round(4000 * np.exp(np.cumsum(rng.normal(0, 1e-3, bars))), 2)
    # The real feed often quotes the same price again.
    repeated = rng.random(bars) < 0.1
    repeated[0] = False
    closes = closes[np.maximum.accumulate(np.where(repeated, 0, np.arange(bars)))]
    return BarSeries(session_starts(bars), closes)


def random_macro(days: int = 400, *, first: int = MONDAY - 100, seed: int = 2) -> MacroSeries:
    rng = np.random.default_rng(seed)
    shocks = rng.normal(0, 0.02, (days, len(MACRO_COLUMNS)))
    values = dict(zip(MACRO_COLUMNS, 50 * np.exp(shocks.cumsum(axis=0)).T, strict=True))
    return MacroSeries.from_table(np.arange(first, first + days), values)


def same_bits(one: NDArray[np.float32], other: NDArray[np.float32]) -> bool:
    return one.shape == other.shape and one.tobytes() == other.tobytes()
