"""What the simple router does with what the service says, and what it tells it."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from errors import InvalidRequest
from simulation.fills import Costs
from simulation.router import Rules
from simulation.trades import ExitReason
from tests.simulation.scripted import (
    FREE,
    ScriptedService,
    after,
    bars,
    joined,
    local_time,
    routed,
)

TUESDAY = date(2026, 3, 3)


def test_an_approved_entry_is_filled_at_the_close_of_the_next_bar() -> None:
    service = ScriptedService({"08:00": "BUY"})
    router, _ = routed(service, bars([4_000.0, 4_010.0, 4_020.0]))
    assert service.told[0] == ("position", "08:10:00", 0.1)
    (trade,) = router.trades
    assert (trade.entry_close, trade.direction, trade.size) == (4_010.0, 1, 0.1)
    assert local_time(trade.decided_at) == "08:05:00"


def test_an_approved_exit_closes_the_position_at_the_next_close_and_is_reported() -> None:
    service = ScriptedService({"08:00": "BUY", "08:10": "SELL"})
    router, _ = routed(service, bars([4_000.0, 4_000.0, 4_010.0, 4_040.0, 4_050.0]))
    (trade,) = router.trades
    assert trade.exit_reason is ExitReason.SIGNAL
    assert trade.exit_close == 4_040.0
    assert trade.pnl_percent == pytest.approx(0.1 * 0.01)
    assert trade.pnl_usd == pytest.approx(100.0)
    assert service.told[-1] == ("result", "08:20:00", trade.order_id, trade.pnl_percent)


def test_a_short_position_earns_when_the_price_falls() -> None:
    service = ScriptedService({"08:00": "SELL", "08:10": "BUY"})
    router, _ = routed(service, bars([4_000.0, 4_000.0, 4_010.0, 3_960.0]))
    assert router.trades[0].direction == -1
    assert router.trades[0].pnl_percent == pytest.approx(0.1 * 0.01)


def test_an_open_position_is_marked_at_every_close() -> None:
    service = ScriptedService({"08:00": "BUY"})
    _, steps = routed(service, bars([4_000.0, 4_000.0, 3_960.0, 4_040.0]), marks=True)
    marks = [entry[2] for entry in service.told if entry[0] == "mark"]
    assert marks == pytest.approx([0.0, -0.001, 0.001])
    assert [step.equity for step in steps] == pytest.approx([0.0, 0.0, -0.001, 0.001])


def test_without_marks_only_positions_and_trades_are_reported() -> None:
    service = ScriptedService({"08:00": "BUY", "08:10": "SELL"})
    _, steps = routed(service, bars([4_000.0, 4_000.0, 3_960.0, 4_040.0]))
    assert service.kinds() == ["position", "result"]
    assert steps[2].equity == pytest.approx(-0.001)


def test_an_approval_beside_a_position_is_released_as_cancelled() -> None:
    service = ScriptedService({"08:00": "BUY", "08:10": "BUY"})
    router, _ = routed(service, bars([4_000.0] * 5))
    released = [entry for entry in service.told if entry[0] == "release"]
    assert [entry[3] for entry in released] == ["cancelled"]
    assert router.not_taken == 1
    assert len(router.trades) == 1


def test_what_is_held_is_closed_when_the_session_ends() -> None:
    service = ScriptedService({"12:30": "BUY"})
    router, steps = routed(service, bars([4_000.0] * 4 + [4_040.0] * 2, first="12:30"))
    (trade,) = router.trades
    assert trade.exit_reason is ExitReason.SESSION_END
    assert local_time(trade.exited_at) == "12:55:00"
    assert trade.exit_close == 4_040.0
    assert [step.position for step in steps] == [0.0, 0.1, 0.1, 0.1, 0.0, 0.0]


def test_an_entry_that_could_only_be_filled_at_the_end_of_the_session_expires() -> None:
    service = ScriptedService({"12:45": "BUY"})
    router, _ = routed(service, bars([4_000.0] * 3, first="12:45"))
    assert service.told == [("release", "12:55:00", "bar-20260302T175000Z", "expired")]
    assert (router.expired, router.trades) == (1, [])


def test_an_exit_is_still_filled_at_the_end_of_the_session() -> None:
    service = ScriptedService({"12:30": "BUY", "12:45": "SELL"})
    router, _ = routed(service, bars([4_000.0] * 6, first="12:30"))
    assert [trade.exit_reason for trade in router.trades] == [ExitReason.SIGNAL]


def test_bars_that_stop_before_the_session_ends_leave_nothing_open_overnight() -> None:
    service = ScriptedService({"02 08:05": "BUY"})
    history = after(bars([4_000.0, 4_000.0, 4_020.0]), bars([4_100.0] * 3, day=TUESDAY))
    router, steps = routed(service, history)
    (trade,) = router.trades
    assert (local_time(trade.exited_at), trade.exit_close) == ("12:55:00", 4_020.0)
    assert trade.exited_at.day == 2
    # The day on which it was closed has its P&L.
    assert steps[2].position == 0.0
    assert steps[2].equity == pytest.approx(trade.pnl_percent)


def test_an_order_that_no_bar_of_its_session_follows_expires() -> None:
    service = ScriptedService({"02 08:10": "BUY"})
    history = after(bars([4_000.0] * 3), bars([4_100.0] * 3, day=TUESDAY))
    router, _ = routed(service, history)
    assert service.told == [("release", "12:55:00", "bar-20260302T131500Z", "expired")]
    assert router.expired == 1


def test_the_end_of_the_history_closes_what_is_held() -> None:
    service = ScriptedService({"08:00": "BUY"})
    router, steps = routed(service, bars([4_000.0, 4_000.0, 4_010.0]))
    assert [trade.exit_reason for trade in router.trades] == [ExitReason.SESSION_END]
    assert steps[-1].position == 0.0


def test_without_a_price_an_order_expires_and_nothing_is_traded() -> None:
    service = ScriptedService({"08:00": "BUY", "08:15": "SELL"})
    router, steps = routed(service, bars([float("nan")] * 6))
    assert service.kinds() == ["release", "release"]
    assert router.trades == []
    assert [step.equity for step in steps] == [0.0] * 6


def test_a_bar_without_a_vector_is_traded_on_and_not_decided_on() -> None:
    service = ScriptedService({"08:00": "BUY"})
    history = bars([4_000.0, 4_010.0, 4_020.0])
    lacking = joined(history.starts, history.closes)
    lacking.rows[1] = -1
    router, steps = routed(service, lacking)
    assert [step.answer is None for step in steps] == [False, True, False]
    assert router.trades[0].entry_close == 4_010.0


def test_a_decision_is_made_when_the_bar_is_known_and_the_latency_has_passed() -> None:
    service = ScriptedService({})
    routed(service, bars([4_000.0] * 2), latency=timedelta(milliseconds=750))
    assert [f"{at:%H:%M:%S.%f}" for at in service.clock] == ["13:05:00.750000", "13:10:00.750000"]


def test_a_latency_of_a_bar_or_more_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="300000 ms; it must be 0 or more, and less than"):
        Rules(FREE, 100_000.0, timedelta(minutes=5))


SIGNALS = st.sampled_from(["BUY", "SELL", "HOLD", "HOLD"])


@given(
    signals=st.lists(SIGNALS, min_size=60, max_size=120),
    moves=st.lists(st.floats(-0.01, 0.01), min_size=60, max_size=60),
    missing=st.sets(st.integers(0, 59), max_size=20),
    spread=st.floats(0, 50),
    commission=st.floats(0, 50),
)
def test_whatever_is_approved_time_never_goes_back_and_every_penny_is_accounted_for(
    signals: list[str], moves: list[float], missing: set[int], spread: float, commission: float
) -> None:
    script = {
        f"{2 + index // 60:02} {8 + index % 60 // 12:02}:{index % 12 * 5:02}": signal
        for index, signal in enumerate(signals)
    }
    closes = 4_000.0 * np.cumprod(1 + np.array(moves))
    service = ScriptedService(script)
    lacking = tuple(missing)
    history = (
        after(bars(closes.tolist(), without=lacking), bars(closes[::-1].tolist(), day=TUESDAY))
        if len(missing) < 60
        else bars(closes.tolist())
    )
    router, steps = routed(service, history, Costs(spread, commission), marks=True)

    assert service.clock == sorted(service.clock)
    assert steps[-1].position == 0.0
    total = sum(trade.pnl_percent for trade in router.trades)
    assert steps[-1].equity == pytest.approx(total, abs=1e-12)
    assert all(trade.costs_percent >= -1e-12 for trade in router.trades)
    held = [step.position for step in steps]
    assert all(abs(position) in {0.0, 0.1} for position in held)
    approved = sum(step.answer is not None and step.answer["approved"] for step in steps)
    exits = sum(trade.exit_reason is ExitReason.SIGNAL for trade in router.trades)
    assert approved >= len(router.trades) + exits + router.not_taken
