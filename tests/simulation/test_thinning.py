import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from simulation.thinning import extremes

MOST = 20

sizes_of_days = st.lists(st.integers(1, 30), min_size=1, max_size=40)


def series(sizes: list[int], seed: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    days = np.repeat(np.arange(len(sizes)) * 3 + 18_000, sizes)
    return days, np.random.default_rng(seed).normal(size=len(days)).round(1)


@given(sizes_of_days, st.integers(0, 1_000))
def test_no_more_than_asked_for_are_chosen_in_order_with_both_ends(
    sizes: list[int], seed: int
) -> None:
    days, values = series(sizes, seed)
    chosen = extremes(days, values, MOST)
    assert len(chosen) <= MOST
    assert (np.diff(chosen) > 0).all()
    assert {0, len(values) - 1} <= set(chosen.tolist())


@given(sizes_of_days, st.integers(0, 1_000))
def test_the_highest_and_the_lowest_are_always_among_them(sizes: list[int], seed: int) -> None:
    days, values = series(sizes, seed)
    chosen = values[extremes(days, values, MOST)]
    assert chosen.min() == values.min()
    assert chosen.max() == values.max()


@given(st.lists(st.integers(1, 30), min_size=1, max_size=(MOST - 2) // 2), st.integers(0, 1_000))
def test_each_day_keeps_its_extremes_where_two_points_a_day_fit(
    sizes: list[int], seed: int
) -> None:
    days, values = series(sizes, seed)
    chosen = extremes(days, values, MOST)
    for day in np.unique(days):
        kept = values[chosen[days[chosen] == day]]
        assert kept.min() == values[days == day].min()
        assert kept.max() == values[days == day].max()


def test_a_short_series_is_left_as_it_is() -> None:
    days, values = series([MOST], seed=0)
    assert extremes(days, values, MOST).tolist() == list(range(MOST))
