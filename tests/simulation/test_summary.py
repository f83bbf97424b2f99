"""Days, decisions, limits and the summary that holds it all."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from risk.verdict import RiskStatus
from simulation.daily import daily_table
from simulation.decision_counts import decision_counts
from simulation.limits_neared import limits_neared
from simulation.run import Episode, Run
from simulation.summary import summary
from tests.simulation.decided import a_decision, columns_of
from tests.simulation.earned import a_run_of
from tests.simulation.runs import BARS_PER_DAY, DAYS, a_quiet_run, a_run

MORNING = datetime(2026, 3, 2, 13, 5, tzinfo=UTC)
rows = st.lists(
    st.tuples(
        st.integers(0, 179), st.sampled_from(list(RiskStatus)), st.sampled_from(["BUY", "HOLD"])
    ),
    max_size=60,
)


def deciding(found: list[tuple[int, RiskStatus, str]]) -> Run:
    """A run with a decision about each of these bars."""
    run = a_quiet_run()
    decisions = [
        a_decision(
            int(run.times[bar]),
            4_000.0,
            risk_status=status.value,
            raw_signal=signal,
            approved=status is RiskStatus.APPROVED,
        )
        for bar, status, signal in found
    ]
    return a_quiet_run(decisions=columns_of(decisions))


@given(rows)
def test_each_decision_is_counted_once(found: list[tuple[int, RiskStatus, str]]) -> None:
    run = deciding(found)
    told = decision_counts(run)
    assert told["count"] == len(found)
    assert sum(part["count"] for part in told["by_status"].values()) == len(found)
    assert sum(hour["count"] for hour in told["by_hour"]) == len(found)
    assert sum(sum(hour["by_status"].values()) for hour in told["by_hour"]) == len(found)
    assert sum(row["decisions"] for row in daily_table(run)) == len(found)
    assert sum(row["approved"] for row in daily_table(run)) == told["approved"]
    if found:
        assert sum(part["share"] for part in told["by_status"].values()) == pytest.approx(1)
        assert sum(hour["share"] for hour in told["by_hour"]) == pytest.approx(1)


@given(rows)
def test_a_rule_refused_only_what_asked_to_be_traded(
    found: list[tuple[int, RiskStatus, str]],
) -> None:
    told = decision_counts(deciding(found))
    refused = [
        status.value
        for _, status, signal in found
        if signal == "BUY" and status is not RiskStatus.APPROVED
    ]
    counts = {status: part["count"] for status, part in told["refused_by"].items()}
    assert counts == {status: refused.count(status) for status in set(refused)}


def test_statuses_are_in_the_order_of_the_gate_and_hours_are_local() -> None:
    told = decision_counts(a_run())
    assert list(told["by_status"]) == [status.value for status in RiskStatus]
    assert [hour["hour"] for hour in told["by_hour"]] == [8, 9, 10, 11, 12, 13]
    assert told["by_hour"][-1]["count"] == len(DAYS)


def test_a_veto_counts_whatever_the_models_said() -> None:
    told = decision_counts(
        deciding(
            [
                (0, RiskStatus.STALE_DATA, "HOLD"),
                (1, RiskStatus.OUT_OF_DISTRIBUTION, "BUY"),
                (2, RiskStatus.HOLD_SIGNAL, "HOLD"),
                (3, RiskStatus.APPROVED, "BUY"),
            ]
        )
    )
    assert told["veto_rate"] == 0.5
    assert told["refused_by"] == {"OUT_OF_DISTRIBUTION": {"count": 1, "share": 0.5}}


def test_approvals_are_told_as_entries_and_exits() -> None:
    told = decision_counts(a_run())
    assert (told["approved"], told["approved_entries"], told["approved_exits"]) == (19, 12, 7)


def test_a_status_of_another_version_is_counted_last() -> None:
    decision = a_decision(int(MORNING.timestamp()), 4_000.0, risk_status="BEFORE_OUR_TIME")
    columns = columns_of([decision, a_decision(int(MORNING.timestamp()), 4_000.0)])
    told = decision_counts(a_quiet_run(decisions=columns))
    assert list(told["by_status"]) == ["HOLD_SIGNAL", "BEFORE_OUR_TIME"]


def test_a_day_is_told_with_its_worst_moment() -> None:
    first, second = daily_table(a_run_of([[0.01], [-0.03, 0.02]]))
    assert (first["date"], second["date"]) == ("2026-03-02", "2026-03-03")
    assert (second["trades"], second["wins"]) == (2, 1)
    assert second["pnl_percent"] == pytest.approx(-0.01)
    assert second["pnl_usd"] == pytest.approx(-1_000)
    assert second["worst_pnl_percent"] == pytest.approx(-0.03)
    assert second["equity"] == pytest.approx(0.0)
    assert second["lowest_equity"] == pytest.approx(-0.02)
    assert second["drawdown"] == pytest.approx(-0.01)
    assert first["worst_pnl_percent"] == 0


def test_the_worst_moment_of_a_day_may_be_an_open_position() -> None:
    run = a_run_of([[0.01, 0.0]])
    equity = run.equity.copy()
    equity[2] = -0.02
    (day,) = daily_table(a_run_of([[0.01, 0.0]], equity=equity))
    assert day["pnl_percent"] == pytest.approx(0.01)
    assert day["worst_pnl_percent"] == pytest.approx(-0.02)


def test_what_kept_entries_out_is_told_on_each_day_that_it_stood() -> None:
    run = a_run()
    opens = datetime.fromtimestamp(int(run.times[BARS_PER_DAY]), UTC)
    closes = datetime.fromtimestamp(int(run.times[2 * BARS_PER_DAY - 1]), UTC)
    bar = timedelta(minutes=5)
    episodes = (
        Episode("drawdown", opens - bar, opens),
        Episode("daily_loss", opens - 3 * bar, opens + bar),
        Episode("halted", closes, None),
        Episode("reducing", closes + bar, None),
    )
    kept_out = [day["kept_out"] for day in daily_table(a_run(episodes=episodes))]
    assert kept_out[1] == ["daily_loss", "halted"]
    assert kept_out[2] == ["halted", "reducing"]


def test_limits_are_told_with_the_worst_of_what_they_are_about() -> None:
    run = a_run_of([[0.01], [-0.01, 0.002, -0.004, -0.004], [-0.012]])
    told = limits_neared(run)
    assert told["max_daily_loss"]["worst"] == pytest.approx(-0.016)
    assert told["max_daily_loss"]["used"] == pytest.approx(0.8)
    assert told["max_daily_loss"]["on"] == "2026-03-03"
    assert told["max_drawdown"]["worst"] == pytest.approx(-0.028)
    assert told["max_drawdown"]["limit"] == -0.05
    assert told["max_drawdown"]["on"] == "2026-03-04"
    assert told["max_consecutive_losses"] == {
        "worst": 3, "limit": 5, "used": 0.6, "on": "2026-03-04",
    }  # fmt: skip
    assert told["max_trades_per_day"] == {
        "worst": 4, "limit": 50, "used": 0.08, "on": "2026-03-03",
    }  # fmt: skip


def test_nothing_comes_near_a_limit_without_a_trade() -> None:
    for neared in limits_neared(a_quiet_run()).values():
        assert (neared["worst"], neared["used"], neared["on"]) == (0, 0, None)


def test_a_limit_that_a_run_does_not_have_is_told_as_none() -> None:
    told = limits_neared(a_run(limits={}))
    assert {(each["limit"], each["used"]) for each in told.values()} == {(None, None)}


@pytest.mark.parametrize("run", [a_run(), a_quiet_run(), a_run_of([[0.01]]), a_run_of([[]])])
def test_a_summary_is_json_with_the_same_keys_whatever_happened(run: Run) -> None:
    told = summary(run)
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    assert list(told) == [
        "description", "period", "metrics", "trades", "decisions", "limits", "calibration",
        "episodes", "daily", "expired", "not_taken", "events", "ledger_head",
    ]  # fmt: skip
    for part in ("metrics", "trades", "limits", "calibration", "period"):
        assert list(told[part]) == list(summary(a_run())[part])


def test_a_summary_tells_what_the_run_tells_of_itself() -> None:
    told = summary(a_run())
    assert told["period"] == {
        "from": "2026-03-02", "to": "2026-03-04", "days": 3, "bars": 180,
        "zone": "America/Bogota", "capital_usd": 100_000.0,
    }  # fmt: skip
    assert (told["expired"], told["not_taken"], told["events"]) == (1, 2, 400)
    assert told["episodes"][-1] == {
        "kind": "drawdown", "since": "2026-03-04T12:15:00-05:00", "until": None,
    }  # fmt: skip


def test_what_is_no_finite_number_is_none_in_a_summary() -> None:
    description: dict[str, Any] = {"a": float("nan"), "b": [float("inf"), 1.0], "c": {"d": "nan"}}
    told = summary(a_run(description=description))
    assert told["description"] == {"a": None, "b": [None, 1.0], "c": {"d": "nan"}}


def test_a_run_without_any_price_is_summed_up_too() -> None:
    nothing = np.full(BARS_PER_DAY * len(DAYS), np.nan)
    told = summary(a_quiet_run(closes=nothing, decisions=a_run().decisions))
    assert told["calibration"]["next_bar"]["count"] == 0
    assert told["decisions"]["count"] == 180
