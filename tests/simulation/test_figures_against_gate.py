"""The figures of a run are what the risk gate saw while it decided."""

from __future__ import annotations

from datetime import date
from functools import cache
from typing import NamedTuple

import numpy as np
import pytest

from config.load import load_settings
from examples.trading_data import simulated_series
from replay import Plan, replay
from risk.ledger.memory import MemoryLedger
from risk.state import RiskState
from simulation.drawdown import gate_drawdown, realised
from simulation.fills import Costs
from simulation.inputs import history_of_bars
from simulation.limits_neared import limits_neared
from simulation.router import Rules
from simulation.run import Run
from simulation.trade_metrics import losing_streaks

NANO = 1e-9
EPOCH = date(1970, 1, 1)


class Watched(NamedTuple):
    """A run, the risk state after each of its bars, and what rounding to nano may add up to."""

    run: Run
    states: list[RiskState]
    rounding: float


@cache
def watched() -> Watched:
    settings = load_settings({"MLOPS__RISK_LIMITS__MIN_CONFIDENCE": "0.4"}).settings
    bars, macro, vectors = simulated_series(64, seed=77)
    history = history_of_bars(bars, macro, vectors, settings.trading_hours)
    ledger, states = MemoryLedger(), list[RiskState]()
    run = replay(
        Plan(settings, history, Rules(Costs(), 100_000.0, marks=True), {}, {}),
        ledger=ledger,
        progress=lambda _: states.append(ledger.head().state),
    )
    assert len(run.trades) > 20
    return Watched(run, states, NANO * len(run.trades))


def test_realised_equity_is_that_of_the_risk_state_after_every_bar() -> None:
    run, states, rounding = watched()
    seen = [state.equity * NANO for state in states]
    assert realised(run) == pytest.approx(np.array(seen), abs=rounding)


def test_the_gates_drawdown_is_that_of_the_risk_state_after_every_bar() -> None:
    run, states, rounding = watched()
    seen = np.array([state.drawdown * NANO for state in states])
    assert seen.min() < -1e-4
    assert gate_drawdown(run) == pytest.approx(seen, abs=rounding)


def test_the_worst_daily_pnl_is_the_worst_that_the_risk_state_had() -> None:
    run, states, rounding = watched()
    # Until something happens on a day, the state is still that of the day before.
    seen = [
        state.daily_pnl * NANO
        for state, day in zip(states, run.days.tolist(), strict=True)
        if state.today.day is not None and (state.today.day - EPOCH).days == day
    ]
    assert min(seen) < -1e-4
    worst = limits_neared(run)["max_daily_loss"]["worst"]
    assert worst == pytest.approx(min(seen), abs=rounding)


def test_losses_in_a_row_and_trades_a_day_are_those_of_the_risk_state() -> None:
    run, states, _ = watched()
    streaks = losing_streaks(trade.pnl_percent for trade in run.trades)
    assert max(streaks) == max(state.loss_streak for state in states) > 1
    most = max(state.today.results for state in states)
    assert limits_neared(run)["max_trades_per_day"]["worst"] == most > 1
