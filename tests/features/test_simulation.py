from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from config.settings import TradingHours
from examples.simulate import MACRO_NAMES, simulate, until, write_market
from features.files import read_bars, read_macro
from features.macro import MACRO_COLUMNS


def test_the_same_seed_gives_the_same_files_and_another_one_others(tmp_path: Path) -> None:
    for name, seed in (("a", 7), ("b", 7), ("c", 8)):
        write_market(simulate(days=3, seed=seed), tmp_path / name)

    for file in ("bars.csv", "macro.csv"):
        first, same, other = ((tmp_path / name / file).read_bytes() for name in "abc")
        assert first == same
        assert first != other


def test_what_is_written_is_what_the_product_reads(tmp_path: Path) -> None:
    bars_path, macro_path = write_market(simulate(days=30, seed=1), tmp_path)

    file = read_bars(bars_path, TradingHours())
    macro = read_macro(macro_path)

    assert MACRO_NAMES == MACRO_COLUMNS == tuple(macro.columns)
    assert (file.duplicates, file.outside_session) == (0, 0)
    assert file.missing > 0


def test_a_market_ends_with_what_is_known_at_a_time() -> None:
    whole = simulate(days=40, seed=1)
    end = datetime(2026, 11, 24, 15, 7, tzinfo=UTC)  # a Tuesday, within the session

    moved = until(whole, end, days=20)

    assert moved.starts[-1] + 300 <= end.timestamp() < moved.starts[-1] + 900
    assert moved.macro_dates[-1] < end.date()
    assert (end.date() - moved.macro_dates[-1]).days <= 3
    assert len(np.unique(moved.starts // 86_400)) == 20
    of_week = 7 * 86_400
    assert set((moved.starts % of_week).tolist()) <= set((whole.starts % of_week).tolist())


def test_the_simulated_market_has_the_magnitudes_of_the_real_one() -> None:
    market = simulate(days=400, seed=3)
    opens, highs, lows, closes = market.prices.T
    same_day = np.diff(market.starts) == 300
    returns = np.diff(np.log(closes))
    opening = (market.starts[1:] % 86_400 // 300) < 13 * 12 + 6

    assert (lows <= np.minimum(opens, closes)).all()
    assert (highs >= np.maximum(opens, closes)).all()
    assert (highs == lows).mean() == pytest.approx(0.91, abs=0.01)
    assert (returns[same_day] == 0).mean() == pytest.approx(0.06, abs=0.01)
    assert 5e-4 < returns[same_day].std() < 2e-3
    assert 3e-3 < returns[~same_day].std() < 7e-3
    assert returns[same_day & opening].std() > 1.2 * returns[same_day & ~opening].std()
