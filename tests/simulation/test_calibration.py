"""Confidence held against outcome."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulation.calibration import calibration, calibration_of, edges_of, was_right
from simulation.run import Run
from tests.simulation.decided import a_decision, columns_of
from tests.simulation.runs import BARS_PER_DAY, a_quiet_run, a_run

pairs = st.lists(st.tuples(st.floats(0, 1), st.booleans()), max_size=60)


def saying(signals: dict[int, str], closes: dict[int, float], confidence: float = 0.7) -> Run:
    """A run in which models say these on some bars; closes are 4,000 but for some bars."""
    run = a_quiet_run()
    prices = np.full(len(run.times), 4_000.0)
    for bar, close in closes.items():
        prices[bar] = close
    decisions = [
        a_decision(int(run.times[bar]), float(prices[bar]), raw_signal=said, confidence=confidence)
        for bar, said in signals.items()
    ]
    return a_quiet_run(closes=prices, decisions=columns_of(decisions))


def right(run: Run, bars: int = 1) -> list[bool]:
    return list(map(bool, was_right(run, bars)[1]))


@given(pairs)
def test_bins_hold_every_value_once(found: list[tuple[float, bool]]) -> None:
    confidence = np.array([each for each, _ in found], dtype=np.float64)
    outcomes = np.array([each for _, each in found], dtype=bool)
    told = calibration_of(confidence, outcomes)
    assert sum(each["count"] for each in told["bins"]) == told["count"] == len(found)
    assert sum(each["hits"] for each in told["bins"]) == told["hits"] == sum(outcomes)
    for each in told["bins"]:
        assert each["from"] <= each["mean_confidence"] + 1e-12
        assert each["mean_confidence"] <= each["to"] + 1e-12
        assert 0 <= each["low"] <= each["hit_rate"] + 1e-12
        assert each["hit_rate"] - 1e-12 <= each["high"] <= 1
    if found:
        assert 0 <= told["brier"] <= 1
        assert abs(told["hit_rate"] - told["mean_confidence"]) <= told["calibration_error"] + 1e-9
        assert told["calibration_error"] <= 1


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60))
def test_edges_rise_and_span_all_values(values: list[float]) -> None:
    edges = edges_of(np.array(values))
    assert len(edges) >= 2
    assert (np.diff(edges) >= 0).all()
    assert edges[0] <= min(values)
    assert max(values) <= edges[-1]


def test_a_bin_has_its_lower_edge_and_the_last_one_both() -> None:
    confidence = np.array([0.5, 0.6, 0.69, 0.9, 1.0])
    told = calibration_of(confidence, np.ones(5, bool))
    counts = {(each["from"], each["to"]): each["count"] for each in told["bins"]}
    assert counts == {(0.5, 0.6): 1, (0.6, 0.7): 2, (0.9, 1.0): 2}


def test_values_that_would_crowd_one_bin_are_told_in_fifths() -> None:
    confidence = np.linspace(0.34, 0.44, 50)
    told = calibration_of(confidence, np.arange(50) % 2 == 0)
    assert [each["count"] for each in told["bins"]] == [10] * 5


def test_one_confidence_for_all_is_one_bin() -> None:
    told = calibration_of(np.full(8, 0.55), np.arange(8) < 6)
    (only,) = told["bins"]
    assert (only["from"], only["to"], only["hits"]) == (0.55, 0.55, 6)


def test_a_hit_rate_has_wilsons_interval() -> None:
    told = calibration_of(np.full(10, 0.8), np.arange(10) < 8)
    assert told["low"] == pytest.approx(0.4901625)
    assert told["high"] == pytest.approx(0.9433178)


def test_brier_score_and_calibration_error_are_by_their_definitions() -> None:
    confidence = np.array([0.55, 0.55, 0.95, 0.95])
    told = calibration_of(confidence, np.array([True, False, True, True]))
    assert told["brier"] == pytest.approx((0.45**2 + 0.55**2 + 2 * 0.05**2) / 4)
    assert told["calibration_error"] == pytest.approx(0.05)


def test_nothing_decided_is_none_without_a_warning() -> None:
    for told in calibration(a_quiet_run()).values():
        assert (told["count"], told["hits"], told["bins"]) == (0, 0, [])
        assert {told[name] for name in ("hit_rate", "low", "high", "brier")} == {None}
        assert told["calibration_error"] is None


def test_a_signal_is_right_when_the_next_close_moves_its_way() -> None:
    moves = {11: 4_001.0, 21: 3_999.0, 31: 3_999.0, 41: 4_001.0}
    said = {10: "BUY", 20: "SELL", 30: "BUY", 40: "SELL"}
    assert right(saying(said, moves)) == [True, True, False, False]


def test_a_hold_and_a_close_that_stays_count_for_nothing() -> None:
    assert right(saying({10: "HOLD", 20: "BUY"}, {11: 4_001.0})) == []


def test_twelve_bars_are_looked_ahead_within_the_day_only() -> None:
    last = BARS_PER_DAY - 1
    closes = {last: 4_001.0, last + 1: 4_002.0, last + 13: 4_003.0}
    run = saying({last - 12: "BUY", last - 11: "BUY", last: "BUY", last + 1: "BUY"}, closes)
    assert right(run, 12) == [True, True]
    assert right(saying({last: "BUY"}, closes)) == []
    assert right(saying({179: "BUY", 174: "BUY"}, {179: 4_001.0}), 12) == []


def test_a_bar_without_a_price_is_left_out() -> None:
    assert right(saying({10: "BUY", 11: "BUY", 20: "BUY"}, {11: np.nan, 21: 4_001.0})) == [True]


def test_refused_signals_count_as_approved_ones_do() -> None:
    run = a_run()
    asked = np.isin(run.decisions["raw_signal"], ["BUY", "SELL"])
    refused = asked & ~np.asarray(run.decisions["approved"])
    assert refused.any()
    assert calibration(run)["next_bar"]["count"] == asked.sum()


def test_trades_count_by_what_they_earned_after_costs() -> None:
    won, lost, even = a_run().trades[:3]
    trades = (
        replace(won, gross_percent=0.002, pnl_percent=0.001),
        replace(lost, gross_percent=0.001, pnl_percent=-0.001),
        replace(even, gross_percent=0.001, pnl_percent=0.0),
    )
    told = calibration(a_run(trades=trades))["trades"]
    assert (told["count"], told["hits"]) == (2, 1)
    assert told["mean_confidence"] == pytest.approx((won.confidence + lost.confidence) / 2)
