"""P&L, ratios, drawdowns and trades of a run."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from simulation.daily import days_of
from simulation.drawdown import Fall, bars_at, below_high_water, deepest, gate_drawdown, realised
from simulation.metrics import exposure, metrics, sharpe, sortino, turnover
from simulation.trade_metrics import hit_rate, losing_streaks, profit_factor, trade_metrics
from tests.simulation.earned import a_run_of
from tests.simulation.runs import CAPITAL, DAYS, a_quiet_run, a_run

pnl = st.integers(-200, 200).map(lambda ten_thousandth: ten_thousandth / 10_000)
days = st.lists(st.lists(pnl, max_size=6), min_size=1, max_size=8)
curves = st.lists(st.floats(-1, 1), min_size=1, max_size=60).map(np.array)


@given(days)
def test_the_pnl_of_all_days_is_the_equity_at_the_end(daily: list[list[float]]) -> None:
    run = a_run_of(daily)
    assert days_of(run).pnl.sum() == pytest.approx(run.equity[-1], abs=1e-12)
    assert days_of(run).pnl == pytest.approx([sum(earned) for earned in daily], abs=1e-12)
    assert metrics(run)["pnl_usd"] == pytest.approx(sum(map(sum, daily)) * CAPITAL, abs=1e-6)


@given(days)
def test_what_all_trades_earned_is_the_equity_at_the_end(daily: list[list[float]]) -> None:
    run = a_run_of(daily)
    told = trade_metrics(run)
    assert told["pnl_percent"] == pytest.approx(run.equity[-1], abs=1e-12)
    for parts in (told["by_direction"], told["by_exit_reason"]):
        assert sum(part["count"] for part in parts.values()) == told["count"]
        assert sum(part["pnl_percent"] for part in parts.values()) == pytest.approx(
            told["pnl_percent"], abs=1e-12
        )


def test_a_run_that_held_positions_realised_what_its_equity_says() -> None:
    run = a_run()
    flat = run.positions == 0
    assert realised(run)[flat] == pytest.approx(run.equity[flat], abs=1e-15)
    assert not np.allclose(realised(run), run.equity)


def test_sharpe_is_the_mean_over_the_sample_deviation_of_days_scaled_to_a_year() -> None:
    run = a_run_of([[0.01], [], [-0.004, 0.001]])
    mean, deviation = 0.007 / 3, np.std([0.01, 0.0, -0.003], ddof=1)
    assert metrics(run)["sharpe"] == pytest.approx(mean / deviation * 252**0.5)


def test_sortino_knows_only_the_days_that_lost() -> None:
    run = a_run_of([[0.01], [], [-0.003]])
    assert metrics(run)["sortino"] == pytest.approx((0.007 / 3) / (0.003**2 / 3) ** 0.5 * 252**0.5)
    assert metrics(a_run_of([[0.01], [0.02]]))["sortino"] is None


@given(st.lists(pnl, min_size=2, max_size=20), st.floats(0.01, 100))
def test_ratios_do_not_change_with_the_size_of_all_positions(
    returns: list[float], scale: float
) -> None:
    for ratio in (sharpe, sortino):
        once, scaled = ratio(np.array(returns)), ratio(np.array(returns) * scale)
        assert (once is None) == (scaled is None)
        assert scaled == pytest.approx(once)


@given(st.lists(pnl, min_size=2, max_size=20))
def test_sharpe_turns_its_sign_with_the_returns(returns: list[float]) -> None:
    once, turned = sharpe(np.array(returns)), sharpe(-np.array(returns))
    assert (once is None) == (turned is None)
    assert once is None or turned == pytest.approx(-once)


@given(pnl, st.integers(2, 30))
def test_days_that_are_all_alike_have_no_sharpe_whatever_rounding_leaves(
    each: float, count: int
) -> None:
    run = a_run_of([[each]] * count)
    assert metrics(run)["sharpe"] is None


def test_one_day_has_no_ratio() -> None:
    told = metrics(a_run_of([[0.01, -0.02]]))
    assert (told["sharpe"], told["sortino"]) == (None, None)


@given(curves)
def test_the_deepest_fall_is_the_worst_of_all_pairs(equity: NDArray[np.float64]) -> None:
    path = [0.0, *equity.tolist()]
    worst = min(later - earlier for index, earlier in enumerate(path) for later in path[index:])
    depth = deepest(below_high_water(equity)).depth
    assert depth <= 0
    assert depth == pytest.approx(worst, abs=1e-9)


@given(st.lists(pnl, min_size=1, max_size=60).map(np.array))
def test_a_fall_goes_from_its_peak_to_its_trough_to_its_recovery(
    equity: NDArray[np.float64],
) -> None:
    fall = deepest(below_high_water(equity))
    if fall.trough is None:
        assert fall == Fall(0.0)
        return
    assert fall.peak is not None
    peak = max(0.0, *equity[: fall.trough + 1].tolist())
    assert equity[fall.trough] == pytest.approx(peak + fall.depth, abs=1e-9)
    assert fall.peak <= fall.trough
    after = equity[fall.trough :] >= peak - 1e-9
    assert (fall.recovery is None) == (not after.any())
    if fall.recovery is not None:
        assert fall.recovery - fall.trough == int(np.argmax(after))


def test_a_fall_is_told_with_its_dates() -> None:
    told = metrics(a_run_of([[0.01], [-0.03], [-0.01, 0.05]]))["max_drawdown"]
    assert told["depth"] == pytest.approx(-0.04)
    dates = [told[name][:10] for name in ("peak_at", "trough_at", "recovered_at")]
    assert dates == ["2026-03-03", "2026-03-04", "2026-03-04"]


def test_a_loss_that_was_never_made_good_has_no_recovery() -> None:
    told = metrics(a_run_of([[-0.01]]))["max_drawdown"]
    assert told["peak_at"] is not None
    assert told["recovered_at"] is None


def test_the_gate_does_not_count_an_open_gain_that_was_lost_again() -> None:
    equity = np.array([0.0, 0.05, -0.01, 0.0])
    run = a_run_of([[0.0]], equity=equity[:3])
    told = metrics(run)
    assert told["max_drawdown"]["depth"] == pytest.approx(-0.06)
    assert told["max_gate_drawdown"]["depth"] == pytest.approx(-0.01)


@given(days)
def test_the_gate_never_sees_more_than_the_drawdown_from_all_peaks(
    daily: list[list[float]],
) -> None:
    run = a_run_of(daily)
    assert (gate_drawdown(run) >= below_high_water(run.equity) - 1e-12).all()
    assert (gate_drawdown(run) <= 0).all()


def test_what_is_closed_after_the_last_bar_of_a_day_belongs_to_that_day() -> None:
    run = a_run_of([[0.01], [0.02]])
    late = tuple(
        replace(trade, exited_at=trade.exited_at + timedelta(minutes=90)) for trade in run.trades
    )
    moved = replace(run, trades=late)
    assert days_of(moved).trades.tolist() == [1, 1]
    assert bars_at(moved, [trade.exited_at for trade in late]).tolist() == [2, 5]


@given(st.lists(pnl, max_size=40))
def test_a_hit_rate_is_a_share(earned: list[float]) -> None:
    rate = hit_rate(earned)
    decided = [each for each in earned if each]
    assert (rate is None) == (not decided)
    assert rate is None or 0 <= rate <= 1
    assert rate is None or rate * len(decided) == pytest.approx(sum(e > 0 for e in decided))


@given(st.lists(pnl, max_size=40))
def test_a_profit_factor_above_one_is_a_gain(earned: list[float]) -> None:
    factor = profit_factor(earned)
    assert (factor is None) == (min(earned, default=0) >= 0)
    if factor is not None and abs(sum(earned)) > 1e-9:
        assert (factor > 1) == (sum(earned) > 0)


@given(st.lists(st.sampled_from([-1.0, 0.0, 1.0]), max_size=40))
def test_the_longest_losing_streak_is_that_between_two_wins(earned: list[float]) -> None:
    wins = [-1, *(index for index, each in enumerate(earned) if each > 0), len(earned)]
    between = [sum(each < 0 for each in earned[a + 1 : b]) for a, b in pairwise(wins)]
    assert max(losing_streaks(earned), default=0) == max(between)


def test_trades_are_told_with_averages_and_holding_times() -> None:
    told = trade_metrics(a_run_of([[0.02, -0.01], [-0.03, 0.0], []]))
    assert (told["count"], told["wins"], told["losses"]) == (4, 1, 2)
    assert told["hit_rate"] == pytest.approx(1 / 3)
    assert told["profit_factor"] == pytest.approx(0.5)
    assert told["expectancy_percent"] == pytest.approx(-0.005)
    assert told["expectancy_usd"] == pytest.approx(-500)
    assert told["average_win_percent"] == pytest.approx(0.02)
    assert told["average_loss_percent"] == pytest.approx(-0.02)
    assert told["per_day"] == pytest.approx(4 / 3)
    assert told["longest_losing_streak"] == 2
    assert (told["mean_holding_bars"], told["mean_holding_minutes"]) == (1, 5)


def test_trades_are_told_by_direction_and_by_what_ended_them() -> None:
    told = trade_metrics(a_run())
    directions = {name: part["count"] for name, part in told["by_direction"].items()}
    reasons = {name: part["count"] for name, part in told["by_exit_reason"].items()}
    assert directions == {"long": 5, "short": 4}
    assert reasons == {"signal": 7, "session_end": 2}
    assert told["by_exit_reason"]["session_end"]["hit_rate"] == 1


def test_exposure_is_the_share_of_bars_with_a_position() -> None:
    run = a_run()
    assert exposure(run.positions) == pytest.approx((98 / 180, 8.47 / 180))


def test_turnover_counts_both_sides_at_their_own_prices() -> None:
    run = a_run()
    dollars = sum(
        trade.size * CAPITAL / trade.entry_price * (trade.entry_price + trade.exit_price)
        for trade in run.trades
    )
    assert turnover(run) == pytest.approx(dollars / CAPITAL)
    assert metrics(run)["turnover_per_day"] == pytest.approx(dollars / CAPITAL / len(DAYS))


def test_costs_are_what_lies_between_the_closes_and_the_pnl() -> None:
    run = a_run()
    told = metrics(run)
    gross = sum(trade.gross_percent for trade in run.trades)
    assert told["costs_percent"] == pytest.approx(gross - told["pnl_percent"])
    # Half of 2 bp and 0.5 bp of commission on each side of what was traded.
    assert told["costs_percent"] == pytest.approx(told["turnover"] * 1.5e-4, rel=1e-3)


def test_without_a_trade_what_is_undefined_is_none_and_the_rest_is_zero() -> None:
    told = metrics(a_quiet_run())
    assert {name for name, value in told.items() if value is None} == {"sharpe", "sortino"}
    assert told["max_drawdown"] == {
        "depth": 0.0,
        "peak_at": None,
        "trough_at": None,
        "recovered_at": None,
    }
    trades = trade_metrics(a_quiet_run())
    assert (trades["count"], trades["pnl_percent"], trades["per_day"]) == (0, 0.0, 0.0)
    for name in ("hit_rate", "profit_factor", "expectancy_usd", "mean_holding_minutes"):
        assert trades[name] is None
