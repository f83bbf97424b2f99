"""Counts and latencies of one worker."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.observer import BatchDecided, ResultRecorded
from monitoring.statistics import Statistics
from tests.monitoring.observations import decision

WINDOW = 4096


def test_nothing_was_counted_before_anything_happened() -> None:
    assert Statistics().snapshot() == {
        "decisions": {
            "total": 0,
            "approved": 0,
            "dry_runs": 0,
            "not_stored": 0,
            "by_signal": {},
            "by_risk_status": {},
            "by_model": {},
        },
        "vetoes": {"total": 0, "rate": 0.0, "by_name": {}},
        "bars": {},
        "batches": {"total": 0, "rows": 0, "faults": 0},
        "trade_results": {"total": 0, "duplicates": 0},
        "reports": {"positions": 0, "marks": 0},
        "operator_acts": 0,
        "breaker_trips": 0,
        "latency_ms": {"count": 0, "p50": None, "p99": None},
    }


def test_decisions_are_counted_by_signal_status_and_model() -> None:
    statistics = Statistics()
    for made in (
        decision(),
        decision(signal="SELL", model_name="ppo_usdcop_v3"),
        decision(signal="HOLD", risk_status="LOW_CONFIDENCE", approved=False),
        decision(approved=False, risk_status="DRY_RUN", dry_run=True),
        decision(signal="HOLD", risk_status="SYSTEM_ERROR", approved=False, stored=False),
    ):
        statistics.observe(made)
    assert statistics.snapshot()["decisions"] == {
        "total": 5,
        "approved": 2,
        "dry_runs": 1,
        "not_stored": 1,
        "by_signal": {"BUY": 2, "SELL": 1, "HOLD": 2},
        "by_risk_status": {
            "APPROVED": 2,
            "LOW_CONFIDENCE": 1,
            "DRY_RUN": 1,
            "SYSTEM_ERROR": 1,
        },
        "by_model": {"ensemble": 4, "ppo_usdcop_v3": 1},
    }


def test_an_observation_is_vetoed_once_by_however_many_things() -> None:
    statistics = Statistics()
    doubted = (("outside", "atr_14"), ("stale", "equal_closes"))
    for made in (decision(vetoes=doubted), decision(), decision(), decision(vetoes=doubted[:1])):
        statistics.observe(made)
    assert statistics.snapshot()["vetoes"] == {
        "total": 2,
        "rate": 0.5,
        "by_name": {"atr_14": 2, "equal_closes": 1},
    }


def test_batches_are_counted_apart_from_decisions() -> None:
    statistics = Statistics()
    statistics.observe(BatchDecided(rows=4096, seconds=0.1))
    statistics.observe(BatchDecided(rows=4, seconds=0.001, fault="the store is gone"))
    snapshot = statistics.snapshot()
    assert snapshot["batches"] == {"total": 2, "rows": 4100, "faults": 1}
    assert snapshot["decisions"]["total"] == snapshot["latency_ms"]["count"] == 0


def test_a_report_that_came_again_is_a_duplicate_and_no_result() -> None:
    statistics = Statistics()
    statistics.observe(ResultRecorded(duplicate=False, trips=("daily_loss", "drawdown")))
    statistics.observe(ResultRecorded(duplicate=False, trips=()))
    statistics.observe(ResultRecorded(duplicate=True, trips=()))
    snapshot = statistics.snapshot()
    assert snapshot["trade_results"] == {"total": 2, "duplicates": 1}
    assert snapshot["breaker_trips"] == 2


@given(st.lists(st.floats(0, 10), min_size=1, max_size=200))
def test_percentiles_are_those_of_the_latencies_in_milliseconds(seconds: list[float]) -> None:
    statistics = Statistics()
    for taken in seconds:
        statistics.observe(decision(seconds=taken))
    latency = statistics.snapshot()["latency_ms"]
    assert latency["count"] == len(seconds)
    assert latency["p50"] == pytest.approx(float(np.median(seconds)) * 1000)
    assert min(seconds) * 1000 <= latency["p50"] <= latency["p99"] + 1e-9
    assert latency["p99"] <= max(seconds) * 1000 + 1e-9


def test_percentiles_are_of_the_newest_decisions_only() -> None:
    statistics = Statistics()
    statistics.observe(decision(seconds=100.0))
    for _ in range(WINDOW):
        statistics.observe(decision(seconds=0.002))
    snapshot = statistics.snapshot()
    assert snapshot["decisions"]["total"] == WINDOW + 1
    assert snapshot["latency_ms"] == {"count": WINDOW, "p50": 2.0, "p99": 2.0}


def test_threads_that_observe_and_read_at_once_lose_no_count() -> None:
    statistics = Statistics()

    def observe(_: int) -> int:
        seen = 0
        for _ in range(200):
            statistics.observe(decision())
            statistics.observe(ResultRecorded(duplicate=False, trips=("daily_loss",)))
            snapshot = statistics.snapshot()["decisions"]
            assert snapshot["total"] == snapshot["approved"] == snapshot["by_signal"]["BUY"]
            seen = max(seen, snapshot["total"])
        return seen

    with ThreadPoolExecutor(8) as pool:
        assert max(pool.map(observe, range(8))) == 1600
    snapshot = statistics.snapshot()
    assert snapshot["decisions"]["total"] == snapshot["trade_results"]["total"] == 1600
    assert snapshot["breaker_trips"] == 1600


def test_a_snapshot_does_not_change_afterwards() -> None:
    statistics = Statistics()
    statistics.observe(decision())
    before = statistics.snapshot()
    statistics.observe(decision())
    assert before["decisions"]["by_signal"] == {"BUY": 1}
