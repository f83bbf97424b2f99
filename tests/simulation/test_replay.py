"""A replay decides by live's code, touches no live book, and comes out the same every time."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from config.load import load_settings
from config.settings import Settings
from examples.trading_data import simulated_series
from features.compute import compute_series
from ledgers import own_ledger
from replay import Plan, replay
from risk.events import EventKind
from risk.ledger.memory import MemoryLedger
from risk.ledger.sqlite import SqliteLedger
from risk.verification import examine
from schemas import feature_schema
from simulation.fills import Costs
from simulation.history import History
from simulation.inputs import history_of_bars
from simulation.router import Rules
from simulation.run import DECISION_COLUMNS, Run
from tests.integration.test_own_schema import configured


@cache
def market(days: int = 30) -> History:
    bars, macro, vectors = simulated_series(days + 4, seed=77)
    return history_of_bars(bars, macro, vectors, settings().trading_hours)


@cache
def settings(**variables: str) -> Settings:
    return load_settings(variables).settings


def limits(**changes: object) -> Settings:
    return settings(**{f"MLOPS__RISK_LIMITS__{key.upper()}": str(v) for key, v in changes.items()})


def plan(chosen: Settings | None = None, history: History | None = None, **rules: Any) -> Plan:
    costs = rules.pop("costs", Costs())
    return Plan(chosen or settings(), history or market(), Rules(costs, 100_000.0, **rules), {}, {})


@cache
def ordinary() -> Run:
    return replay(plan())


def test_a_replay_trades() -> None:
    run = ordinary()
    assert len(run.trades) > 10
    assert len(run.decisions["decision_id"]) == len(market().matrix)
    assert run.equity[-1] == pytest.approx(sum(trade.pnl_percent for trade in run.trades))
    assert set(run.decisions) == set(DECISION_COLUMNS)
    assert {"APPROVED", "HOLD_SIGNAL", "LOW_CONFIDENCE"} <= set(run.decisions["risk_status"])


def test_the_same_replay_has_the_same_ledger_to_the_last_bit() -> None:
    again = replay(plan())
    assert (again.ledger_head, again.events) == (ordinary().ledger_head, ordinary().events)
    assert again.trades == ordinary().trades


def test_another_limit_makes_another_ledger() -> None:
    stricter = replay(plan(limits(min_confidence=0.8)))
    assert stricter.ledger_head != ordinary().ledger_head
    assert len(stricter.trades) < len(ordinary().trades)
    confidence = np.array([trade.confidence for trade in stricter.trades])
    assert (confidence >= 0.8).all()


def test_fewer_trades_a_day_are_no_more_than_the_limit() -> None:
    run = replay(plan(limits(max_trades_per_day=1)))
    per_day = Counter(trade.entered_at.date() for trade in run.trades)
    assert max(per_day.values()) == 1
    assert "MAX_TRADES_REACHED" in run.decisions["risk_status"]


def test_losses_open_the_breaker_and_the_report_knows_when() -> None:
    run = replay(plan(limits(max_consecutive_losses=1), costs=Costs(spread_bp=300.0)))
    assert {episode.kind for episode in run.episodes} >= {"consecutive_losses"}
    since = run.episodes[0].since
    losses = [trade for trade in run.trades if trade.pnl_percent < 0]
    assert since == losses[0].exited_at
    assert "CIRCUIT_BREAKER_ACTIVE" in run.decisions["risk_status"]


def test_a_mark_trips_the_breaker_that_closed_trades_alone_would_trip_later() -> None:
    tight = limits(max_daily_loss=-0.0002, max_drawdown=-0.5)
    marked, unmarked = replay(plan(tight, marks=True)), replay(plan(tight))
    assert marked.episodes[0].since < unmarked.episodes[0].since


def test_nothing_is_held_overnight_and_nothing_outside_the_session_is_approved() -> None:
    run = ordinary()
    ends = np.flatnonzero(np.diff(run.days))
    assert (run.positions[ends] == 0.0).all()
    decided = np.asarray(run.decisions["decided_at"])
    seconds = (decided - decided.astype("datetime64[D]")).astype(int) // 1_000_000
    late = seconds > (17 * 60 + 55) * 60
    assert late.any()
    assert not np.asarray(run.decisions["approved"])[late].any()
    entered = [trade.entered_at for trade in run.trades]
    assert max(f"{at:%H:%M}" for at in entered) <= "17:50"


def test_a_file_ledger_holds_the_whole_run_and_is_intact(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    run = replay(plan(history=market(9)), ledger=own_ledger(path))
    ledger = SqliteLedger(path, create=False)
    try:
        assert ledger.head().hash == run.ledger_head
        assert ledger.head().sequence == run.events
        examination = examine(ledger, progress=lambda _: None)
        assert (examination.is_intact, examination.events) == (True, run.events)
        trade = run.trades[0]
        approval = ledger.by_id(trade.decision_id)
        assert approval is not None
        assert approval.payload["order"]["order_id"] == trade.order_id
    finally:
        ledger.close()
    assert run.ledger_head == replay(plan(history=market(9))).ledger_head


def test_a_live_book_and_its_halt_file_play_no_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "halt").touch()
    run = replay(plan(history=market(9)))
    assert run.trades
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["halt", "var"]


def test_a_ledger_in_memory_is_what_decides_so_a_full_one_may_be_given() -> None:
    ledger = MemoryLedger()
    run = replay(plan(history=market(9)), ledger=ledger)
    assert ledger.head().hash == run.ledger_head
    assert len(ledger.scan(limit=100_000)) == run.events


def test_vectors_that_lack_leave_the_bar_undecided() -> None:
    whole = market(9)
    rows = whole.rows.copy()
    rows[::2] = -1
    run = replay(plan(history=replace(whole, rows=rows)))
    assert len(run.decisions["decision_id"]) == (rows >= 0).sum()
    assert len(run.equity) == len(whole)


def test_a_policy_that_sees_the_book_is_asked_anew_at_every_bar(
    bentoml_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del bentoml_home
    own = load_settings({}, configured(tmp_path)).settings
    schema = feature_schema(own)
    assert schema is not None
    bars, macro, _ = simulated_series(10, seed=77)
    vectors = compute_series(bars, macro, hours=own.trading_hours, schema=schema)
    history = history_of_bars(bars, macro, vectors, own.trading_hours)
    ledger = MemoryLedger()
    run = replay(plan(own, history), ledger=ledger)

    decisions = ledger.recent([EventKind.DECISION], limit=100_000)
    seen = {event.payload["book"]["position"] for event in decisions}
    assert {0.0, *(trade.size for trade in run.trades)} <= seen
    assert len(seen) > 1

    # Asked ahead or not, it says the same.
    monkeypatch.setattr("replay._prepared", lambda models, _: models)
    assert replay(plan(own, history)).ledger_head == run.ledger_head


def test_models_that_are_asked_ahead_say_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    ahead = replay(plan(history=market(9))).ledger_head
    monkeypatch.setattr("replay._prepared", lambda models, _: models)
    assert replay(plan(history=market(9))).ledger_head == ahead
