"""What an order costs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from errors import InvalidRequest
from simulation.fills import Costs

PRICES = st.floats(1_000.0, 10_000.0)
BASIS_POINTS = st.floats(0.0, 100.0)
DIRECTIONS = st.sampled_from([1, -1])


def test_a_buyer_pays_half_the_spread_and_a_seller_gives_half() -> None:
    costs = Costs(spread_bp=10.0, commission_bp=0.0)
    assert costs.price(4_000.0, side=1) == pytest.approx(4_002.0)
    assert costs.price(4_000.0, side=-1) == pytest.approx(3_998.0)


def test_a_round_trip_at_one_price_costs_the_spread_and_two_commissions() -> None:
    costs = Costs(spread_bp=2.0, commission_bp=0.5)
    bought, sold = costs.price(4_000.0, side=1), costs.price(4_000.0, side=-1)
    lost = costs.pnl(bought, sold, direction=1, size=0.1)
    assert lost == pytest.approx(-0.1 * (2.0 + 2 * 0.5) * 1e-4, rel=1e-3)


@given(entry=PRICES, leave=PRICES, spread=BASIS_POINTS, commission=BASIS_POINTS, side=DIRECTIONS)
def test_costs_never_pay(
    entry: float, leave: float, spread: float, commission: float, side: int
) -> None:
    free, dear = Costs(0.0, 0.0), Costs(spread, commission)

    def earned(costs: Costs) -> float:
        paid, got = costs.price(entry, side=side), costs.price(leave, side=-side)
        return costs.pnl(paid, got, direction=side, size=0.1)

    assert earned(dear) <= earned(free) + 1e-12


@given(entry=PRICES, leave=PRICES, side=DIRECTIONS)
def test_without_costs_a_trade_earns_what_the_price_moved(
    entry: float, leave: float, side: int
) -> None:
    earned = Costs(0.0, 0.0).pnl(entry, leave, direction=side, size=0.25)
    assert earned == pytest.approx(0.25 * side * (leave - entry) / entry, abs=1e-12)
    assert earned == Costs.mark(entry, leave, direction=side, size=0.25)


@pytest.mark.parametrize("name", ["spread_bp", "commission_bp"])
@pytest.mark.parametrize("value", [-0.1, 1_000.1, float("nan"), float("inf")])
def test_a_cost_out_of_range_is_refused_by_name(name: str, value: float) -> None:
    with pytest.raises(InvalidRequest, match=f"{name} is .*; it must be 0 to 1000 basis points"):
        Costs(**{name: value})
