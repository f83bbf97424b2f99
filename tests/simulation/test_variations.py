"""The grid of settings."""

from __future__ import annotations

import pytest

from errors import InvalidRequest
from simulation.variations import Variation, grid, variation


def test_a_grid_has_every_combination_once_the_last_setting_fastest() -> None:
    cells = grid([Variation("a", ("1", "2", "3")), Variation("b", ("x", "y"))])
    assert [(cell["a"], cell["b"]) for cell in cells] == [
        ("1", "x"), ("1", "y"), ("2", "x"), ("2", "y"), ("3", "x"), ("3", "y"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text", ["", "risk_limits.max_daily_loss", "risk_limits.max_daily_loss=", "=1,2", "a=1,,2"]
)
def test_what_is_no_variation_is_answered_with_an_example(text: str) -> None:
    with pytest.raises(InvalidRequest, match=r"write one like risk_limits\.max_daily_loss="):
        variation(text)


def test_what_bars_are_read_by_cannot_be_varied() -> None:
    with pytest.raises(InvalidRequest, match=r"trading_hours\.end cannot be varied: only risk_"):
        variation("trading_hours.end=11:00,12:00")


def test_a_value_or_a_setting_that_comes_twice_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="names a value twice"):
        variation("risk_limits.min_confidence=0.5,0.5")
    with pytest.raises(InvalidRequest, match="a is varied twice"):
        grid([Variation("a", ("1",)), Variation("a", ("2",))])


def test_a_grid_without_end_is_refused() -> None:
    values = tuple(str(value) for value in range(32))
    with pytest.raises(InvalidRequest, match="1,024 combinations; at most 1,000"):
        grid([Variation("a", values), Variation("b", values)])
