import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from benchmarks.features import parity, simulated_market
from errors import InvalidRequest, NotReady
from features.bars import BarSeries
from features.compute import WINDOW, compute_series, compute_vector
from features.macro import MACRO_COLUMNS, DailySeries, MacroSeries
from features.schema import USDCOP_M5, Feature, Schema
from tests.features.market import (
    MONDAY,
    MONDAY_OPEN,
    random_bars,
    random_macro,
    same_bits,
    session_starts,
)

MACRO = random_macro()
OF_CLOSES = [feature for feature in USDCOP_M5.features if feature.source == "close"]


def vector_of(bars: BarSeries) -> NDArray[np.float32]:
    return compute_vector(bars.closes, bars.starts, MACRO)


def named(vector: NDArray[np.float32]) -> dict[str, float]:
    return dict(zip(USDCOP_M5.names, vector.tolist(), strict=True))


# 256 rows are computed at once: around there lie the lengths that could differ.
@pytest.mark.parametrize("rows", [1, 2, 7, 255, 256, 257, 600])
def test_one_bar_at_a_time_gives_the_same_bits_as_all_at_once(rows: int) -> None:
    bars = random_bars(WINDOW - 1 + rows, seed=rows)

    series = compute_series(bars, MACRO)

    assert len(series.matrix) == rows
    for row in range(rows):
        last = WINDOW + row
        single = compute_vector(bars.closes[:last], bars.starts[:last], MACRO)
        assert same_bits(single, series.matrix[row])


@settings(max_examples=25)
@given(seed=st.integers(0, 2**32 - 1), offset=st.integers(0, 70))
def test_where_the_history_begins_changes_no_bit(seed: int, offset: int) -> None:
    bars = random_bars(WINDOW + 70, seed=seed)

    whole = compute_series(bars, MACRO)
    later = compute_series(BarSeries(bars.starts[offset:], bars.closes[offset:]), MACRO)

    assert same_bits(whole.matrix[offset:], later.matrix)


def test_over_a_simulated_market_both_ways_give_the_same_bits() -> None:
    market = simulated_market(days=105)
    starts, closes = market.bars.starts, market.bars.closes
    dates = np.unique(starts // 86_400)
    assert np.count_nonzero(closes[1:] == closes[:-1]) > 100
    assert np.count_nonzero((np.diff(starts) > 300) & (np.diff(starts) < 3_600)) > 10
    assert np.busday_count(*dates[[0, -1]].astype("M8[D]")) + 1 > len(dates)

    found = parity(market)

    assert (found.values, found.readiness) == (0, 0)
    assert found.vectors > 5_900


@settings(max_examples=50)
@given(
    seed=st.integers(0, 2**32 - 1),
    newest=st.integers(WINDOW - 1, WINDOW + 98),
    later=st.lists(st.floats(1e-6, 1e12), min_size=1, max_size=5),
)
def test_bars_to_come_change_no_vector(seed: int, newest: int, later: list[float]) -> None:
    bars = random_bars(WINDOW + 100, seed=seed)
    closes = bars.closes.copy()
    closes[newest + 1 :] = np.resize(later, len(closes) - newest - 1)

    before = compute_series(bars, MACRO).matrix
    after = compute_series(BarSeries(bars.starts, closes), MACRO).matrix

    known = newest - (WINDOW - 1) + 1
    assert same_bits(before[:known], after[:known])
    assert not same_bits(before[known:], after[known:])


@settings(max_examples=50)
@given(
    dated=st.integers(3, 5),
    changed=st.dictionaries(st.sampled_from(MACRO_COLUMNS), st.floats(1e-3, 1e6), min_size=1),
)
def test_macro_values_of_a_bars_date_and_later_change_no_vector_of_it(
    dated: int, changed: dict[str, float]
) -> None:
    bars = random_bars(WINDOW + 180)
    others = {
        name: DailySeries(
            series.days, np.where(series.days >= MONDAY + dated, changed[name], series.values)
        )
        for name, series in MACRO.columns.items()
        if name in changed
    }

    before = compute_series(bars, MACRO)
    after = compute_series(bars, MacroSeries({**MACRO.columns, **others}))

    known = before.times // 86_400 <= MONDAY + dated
    assert same_bits(before.matrix[known], after.matrix[known])
    assert not same_bits(before.matrix[~known], after.matrix[~known])


@pytest.mark.parametrize("feature", OF_CLOSES, ids=lambda feature: feature.name)
def test_a_feature_reads_exactly_the_closes_of_its_lookback(feature: Feature) -> None:
    name, lookback = feature.name, feature.lookback
    bars = random_bars(WINDOW + 20)
    older, oldest = bars.closes.copy(), bars.closes.copy()
    older[: len(bars) - lookback] *= 1.5
    oldest[len(bars) - lookback] *= 1.5

    value = named(vector_of(bars))[name]

    assert named(vector_of(BarSeries(bars.starts, older)))[name] == value
    assert named(vector_of(BarSeries(bars.starts, oldest)))[name] != value


def test_the_window_is_the_longest_lookback() -> None:
    assert max(feature.lookback for feature in USDCOP_M5.features) == WINDOW


@given(price=st.floats(1e-6, 1e12))
def test_constant_prices_give_the_documented_values(price: float) -> None:
    values = named(compute_vector(np.full(WINDOW, price), session_starts(WINDOW), MACRO))

    neutral = {
        "volatility_ratio_1h_1d": 1.0,
        "rsi_9": 50.0,
        "rsi_14": 50.0,
        "rsi_21": 50.0,
        "stochastic_k_14": 50.0,
        "stochastic_d_3": 50.0,
    }
    of_prices = USDCOP_M5.names[: USDCOP_M5.names.index("minute_sin")]
    assert {name: values[name] for name in of_prices} == {
        name: neutral.get(name, 0.0) for name in of_prices
    }


@settings(max_examples=60)
@given(
    st.lists(st.floats(1e-6, 1e12), min_size=5, max_size=5),
    st.lists(st.integers(0, 4), min_size=WINDOW, max_size=WINDOW),
)
def test_whatever_the_prices_every_number_is_finite(prices: list[float], order: list[int]) -> None:
    closes = np.array(prices)[order]

    assert np.isfinite(compute_vector(closes, session_starts(WINDOW), MACRO)).all()


@settings(max_examples=25)
@given(seed=st.integers(0, 2**32 - 1))
def test_oscillators_stay_within_their_bounds(seed: int) -> None:
    values = named(vector_of(random_bars(WINDOW, seed=seed)))

    for name in ("rsi_9", "rsi_14", "rsi_21", "stochastic_k_14", "stochastic_d_3"):
        assert 0.0 <= values[name] <= 100.0
    assert abs(values["trend_t_60"]) <= 100.0
    assert abs(values["bollinger_z_20"]) <= np.float32(np.sqrt(19))


def test_a_straight_line_up_has_the_greatest_trend_and_strength() -> None:
    closes = np.linspace(4000.0, 4100.0, WINDOW)

    rising = named(compute_vector(closes, session_starts(WINDOW), MACRO))
    falling = named(compute_vector(closes[::-1], session_starts(WINDOW), MACRO))

    assert (rising["trend_t_60"], falling["trend_t_60"]) == (100.0, -100.0)
    assert (rising["rsi_14"], falling["rsi_14"]) == (100.0, 0.0)
    assert (rising["stochastic_k_14"], falling["stochastic_k_14"]) == (100.0, 0.0)


def test_fewer_bars_than_the_window_are_not_ready_and_never_padded() -> None:
    bars = random_bars(WINDOW - 1)

    with pytest.raises(NotReady, match="not ready: 239 of 240 bars"):
        vector_of(bars)
    with pytest.raises(NotReady, match="not ready: 239 of 240 bars"):
        compute_series(bars, MACRO)


def test_a_bar_is_known_five_minutes_after_its_start() -> None:
    series = compute_series(random_bars(WINDOW + 5), MACRO)

    assert (series.known_at - series.times == 300).all()


def test_the_session_opens_with_the_first_bar_of_the_local_date() -> None:
    bars = random_bars(WINDOW + 30)

    values = named(vector_of(bars))
    today = bars.closes[-30:]

    assert values["session_return"] == pytest.approx(np.log(today[-1] / today[0]), rel=1e-6)
    assert values["session_range"] == pytest.approx(np.log(today.max() / today.min()), rel=1e-6)


def test_on_the_first_bar_of_a_session_its_return_and_range_are_zero() -> None:
    values = named(vector_of(random_bars(WINDOW + 1)))

    assert (values["session_return"], values["session_range"]) == (0.0, 0.0)


def test_a_date_longer_than_the_window_opens_with_the_window() -> None:
    bars = random_bars(WINDOW + 20)
    all_day = BarSeries(MONDAY_OPEN - 8 * 3600 + 300 * np.arange(len(bars)), bars.closes)

    series = compute_series(all_day, MACRO)
    returned = series.matrix[-1, USDCOP_M5.names.index("session_return")]

    assert returned == pytest.approx(np.log(bars.closes[-1] / bars.closes[-WINDOW]), rel=1e-6)
    assert same_bits(series.matrix[-1], vector_of(all_day))


def test_another_schema_chooses_and_orders_the_columns() -> None:
    chosen = Schema("mine", (USDCOP_M5.features[40], USDCOP_M5.features[3]))
    bars = random_bars(WINDOW)

    vector = compute_vector(bars.closes, bars.starts, MACRO, schema=chosen)

    assert same_bits(vector, vector_of(bars)[[40, 3]])


@pytest.mark.parametrize("price", [0.0, -1.0, np.nan, np.inf])
def test_a_close_that_is_no_price_is_refused_with_its_time(price: float) -> None:
    bars = random_bars(WINDOW)
    closes = bars.closes.copy()
    closes[1] = price

    with pytest.raises(InvalidRequest, match=r"2026-03-02T13:05:00Z is .* positive, finite price"):
        compute_vector(closes, bars.starts, MACRO)


@pytest.mark.parametrize("step", [0, -300, 299])
def test_bars_out_of_order_or_too_close_are_refused(step: int) -> None:
    bars = random_bars(WINDOW)
    starts = bars.starts.copy()
    starts[1] = starts[0] + step

    with pytest.raises(InvalidRequest, match="in order of time, each once"):
        compute_vector(bars.closes, starts, MACRO)


def test_one_start_per_close_is_required() -> None:
    with pytest.raises(InvalidRequest, match="one start and one close each"):
        BarSeries(session_starts(3), np.ones(4))


def test_progress_adds_up_to_the_bars_computed() -> None:
    done: list[int] = []

    compute_series(random_bars(WINDOW + 299), MACRO, progress=done.append)

    assert sum(done) == 300
    assert len(done) > 1
