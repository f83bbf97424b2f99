import numpy as np
import pytest

from errors import InvalidRequest, NotReady
from features.compute import WINDOW, compute_series, compute_vector
from features.macro import (
    MACRO_COLUMNS,
    MACRO_FEATURES,
    STALE_AFTER_DAYS,
    MacroSeries,
    macro_features,
)
from features.schema import USDCOP_M5
from tests.features.market import MONDAY, random_bars, random_macro, same_bits

DAYS = np.arange(MONDAY - 90, MONDAY + 30)


def table(seed: int = 3) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {name: 20 * np.exp(rng.normal(0, 0.02, len(DAYS))) for name in MACRO_COLUMNS}


def named(macro: MacroSeries, day: int) -> dict[str, float]:
    return dict(zip(MACRO_FEATURES, macro_features(macro, day).tolist(), strict=True))


def test_the_formulas_read_the_values_up_to_the_day_before() -> None:
    columns = table()
    known = {name: values[DAYS < MONDAY] for name, values in columns.items()}

    features = named(MacroSeries.from_table(DAYS, columns), MONDAY)

    for column, name in (("dxy", "dxy_z"), ("vix", "vix_z"), ("embi_col", "embi_z")):
        last = known[column][-60:]
        assert features[name] == pytest.approx((last[-1] - last.mean()) / last.std())
    for column in ("dxy", "brent", "usdmxn"):
        change = np.log(known[column][-1] / known[column][-2])
        assert features[f"{column}_change_1d"] == pytest.approx(change)
    assert features["rate_spread"] == known["col10y"][-1] - known["ust10y"][-1]


def test_values_of_the_day_itself_and_later_are_not_looked_at() -> None:
    columns = table()
    changed = {name: np.where(DAYS >= MONDAY, 7.0, values) for name, values in columns.items()}

    before = macro_features(MacroSeries.from_table(DAYS, columns), MONDAY)
    after = macro_features(MacroSeries.from_table(DAYS, changed), MONDAY)

    assert before.tobytes() == after.tobytes()


def test_on_a_holiday_the_last_known_value_stands_in() -> None:
    columns = table()
    columns["brent"][(DAYS >= MONDAY - 3) & (DAYS < MONDAY)] = np.nan
    values = columns["brent"]

    features = named(MacroSeries.from_table(DAYS, columns), MONDAY)

    expected = np.log(values[DAYS == MONDAY - 4] / values[DAYS == MONDAY - 5])[0]
    assert features["brent_change_1d"] == pytest.approx(expected)


def test_a_value_may_be_seven_days_old_and_no_older() -> None:
    columns = table()
    columns["vix"][DAYS >= MONDAY] = np.nan
    macro = MacroSeries.from_table(DAYS, columns)
    last_good = MONDAY - 1 + STALE_AFTER_DAYS

    assert np.isfinite(macro_features(macro, last_good)).all()
    with pytest.raises(NotReady, match=r"vix before 2026-03-09 is 8 days old, dated 2026-03-01"):
        macro_features(macro, last_good + 1)


def test_too_few_values_are_not_ready() -> None:
    with pytest.raises(NotReady, match=r"59 of 60 daily values of dxy before 2026-01-30"):
        macro_features(MacroSeries.from_table(DAYS, table()), MONDAY - 90 + 59)


def test_constant_values_give_zeros() -> None:
    columns = {name: np.full(len(DAYS), 0.1) for name in MACRO_COLUMNS}

    assert not macro_features(MacroSeries.from_table(DAYS, columns), MONDAY).any()


def test_bars_without_fresh_macro_values_are_left_out_and_the_rest_computed() -> None:
    bars = random_bars(WINDOW + 60 * 15)
    friday = MONDAY + 4
    ends_on_friday = random_macro(days=105)

    series = compute_series(bars, ends_on_friday)
    whole = compute_series(bars, random_macro(days=400))

    fresh = whole.times // 86_400 <= friday + STALE_AFTER_DAYS
    assert 0 < fresh.sum() < len(whole.times)
    assert series.times.tolist() == whole.times[fresh].tolist()
    assert same_bits(series.matrix[:, :38], whole.matrix[fresh, :38])


def test_a_series_without_any_usable_macro_value_is_not_ready() -> None:
    with pytest.raises(NotReady, match="daily values of dxy"):
        compute_series(random_bars(WINDOW), random_macro(days=10, first=MONDAY))


def test_going_without_macro_puts_zeros_into_its_seven_features_and_nowhere_else() -> None:
    bars = random_bars(WINDOW + 10)

    without = compute_series(bars, None).matrix
    given = compute_series(bars, random_macro()).matrix
    single = compute_vector(bars.closes, bars.starts, None)

    assert USDCOP_M5.names[38:] == MACRO_FEATURES
    assert not without[:, 38:].any()
    assert same_bits(without[:, :38], given[:, :38])
    assert same_bits(single, without[-1])


@pytest.mark.parametrize(
    ("column", "value", "wanted"),
    [
        ("usdmxn", 0.0, "positive and finite"),
        ("dxy", -1.0, "positive and finite"),
        ("vix", np.inf, "positive and finite"),
        ("ust10y", -np.inf, "must be finite"),
    ],
)
def test_a_macro_value_that_makes_no_sense_is_refused_by_name_and_date(
    column: str, value: float, wanted: str
) -> None:
    columns = table()
    columns[column][3] = value

    with pytest.raises(InvalidRequest, match=rf"column {column} is .* on 2025-12-05; .*{wanted}"):
        MacroSeries.from_table(DAYS, columns)


def test_a_yield_may_be_negative() -> None:
    columns = table()
    columns["ust10y"][:] = -0.5

    features = named(MacroSeries.from_table(DAYS, columns), MONDAY)

    assert features["rate_spread"] > 0.5


def test_dates_out_of_order_and_missing_columns_are_refused() -> None:
    columns = table()

    with pytest.raises(InvalidRequest, match="in order, each once; 2025-12-02 follows 2025-12-02"):
        MacroSeries.from_table(np.concatenate([DAYS[:1], DAYS[:-1]]), columns)
    del columns["brent"]
    with pytest.raises(InvalidRequest, match=r"missing: \['brent'\]"):
        MacroSeries.from_table(DAYS, columns)
    with pytest.raises(InvalidRequest, match="needs 120 values"):
        MacroSeries.from_table(DAYS, {**columns, "brent": np.ones(3)})
