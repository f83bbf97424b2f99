import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from errors import InvalidRequest, NotReady
from features.compute import WINDOW, compute_series, compute_vector
from features.macro import (
    MACRO_COLUMNS,
    MACRO_FEATURES,
    DailySeries,
    MacroSeries,
    macro_features,
)
from features.macro_limits import MACRO_SERIES, MacroSpec, spec_of
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


@pytest.mark.parametrize("spec", MACRO_SERIES, ids=lambda spec: spec.name)
def test_a_value_may_be_as_old_as_its_series_allows_and_no_older(spec: MacroSpec) -> None:
    columns = table()
    columns[spec.name][DAYS >= MONDAY] = np.nan
    macro = MacroSeries.from_table(DAYS, columns)
    last_good = MONDAY - 1 + spec.stale_after_days

    assert np.isfinite(macro_features(macro, last_good)).all()
    with pytest.raises(NotReady) as caught:
        macro_features(macro, last_good + 1)
    age = spec.stale_after_days + 1
    assert caught.value.message.startswith(f"not ready: the last value of {spec.name} before ")
    assert f"is {age} days old, dated 2026-03-01" in caught.value.message
    assert caught.value.message.endswith(f"; it may be {spec.stale_after_days} days old")


def test_a_long_weekend_makes_no_value_too_old() -> None:
    assert all(spec.stale_after_days >= 5 for spec in MACRO_SERIES)


def test_a_series_without_any_value_is_not_ready() -> None:
    columns = dict(MacroSeries.from_table(DAYS, table()).columns)
    columns["col10y"] = DailySeries.of({})

    with pytest.raises(NotReady, match="0 of 1 daily values of col10y"):
        macro_features(MacroSeries(columns), MONDAY)


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

    oldest = min(spec.stale_after_days for spec in MACRO_SERIES)
    fresh = whole.times // 86_400 <= friday + oldest
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
        ("brent", 1e308, "positive and finite, 1e-06 to 1e\\+12"),
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


def test_two_digits_too_many_or_too_few_leave_the_plausible_levels_from_any_of_them() -> None:
    assert all(0 < spec.low < spec.high < 100 * spec.low for spec in MACRO_SERIES)


def test_only_the_yields_may_be_negative_and_step_in_points() -> None:
    assert [spec.name for spec in MACRO_SERIES if not spec.positive] == ["ust10y", "col10y"]


def test_a_series_that_does_not_exist_is_answered_with_those_that_do() -> None:
    with pytest.raises(InvalidRequest, match=r"no macro series 'wti'; there are dxy, vix, embi"):
        spec_of("wti")


def test_the_newest_values_are_kept_and_no_more_than_there_are() -> None:
    macro = MacroSeries.from_table(DAYS, table())

    assert macro.newest(60).columns["vix"].days.tolist() == DAYS[-60:].tolist()
    assert macro.newest(60).columns["vix"].values.tolist() == table()["vix"][-60:].tolist()
    assert macro.newest(1000).to_json() == macro.to_json()
    assert not any(len(series.days) for series in macro.newest(0).columns.values())
    day = int(DAYS[-1]) + 1
    assert macro_features(macro.newest(60), day).tobytes() == macro_features(macro, day).tobytes()


@given(
    values=st.dictionaries(
        st.integers(-700_000, 2_900_000),
        st.floats(min_value=1e-6, max_value=1e12),
        max_size=5,
    )
)
def test_what_is_written_as_json_comes_back_to_the_bit(values: dict[int, float]) -> None:
    macro = MacroSeries({name: DailySeries.of(values) for name in MACRO_COLUMNS})

    again = MacroSeries.from_json(json.loads(json.dumps(macro.to_json())))

    for name in MACRO_COLUMNS:
        assert again.columns[name].days.tolist() == sorted(values)
        assert again.columns[name].values.tobytes() == macro.columns[name].values.tobytes()


@pytest.mark.parametrize(
    ("stored", "said"),
    [
        ("no list", "of vix are no list"),
        ([["2026-03-02", 20.0], ["2026-03-02", 20.0]], "of vix are not in order of their dates"),
        ([["2026-03-02", 20.0], ["2026-03-01", 20.0]], "of vix are not in order of their dates"),
        ([["2026-03-02"]], r"hold ['2026-03-02']; each must be an ISO date and a number, positive"),
        ([["20260302", 20.0]], "hold ['20260302', 20.0]"),
        ([["2026-02-30", 20.0]], "hold ['2026-02-30', 20.0]"),
        ([[20514, 20.0]], "hold [20514, 20.0]"),
        ([["2026-03-02", "20"]], "hold ['2026-03-02', '20']"),
        ([["2026-03-02", None]], "hold ['2026-03-02', None]"),
        ([["2026-03-02", True]], "hold ['2026-03-02', True]"),
        ([["2026-03-02", 0.0]], "hold ['2026-03-02', 0.0]"),
        ([["2026-03-02", float("nan")]], "hold ['2026-03-02', nan]"),
        ([["2026-03-02", 10**400]], "hold ['2026-03-02', 1000"),
        ([20.0], "hold 20.0"),
    ],
)
def test_damaged_json_is_refused_by_its_first_damage(stored: object, said: str) -> None:
    document = {**MacroSeries.from_table(DAYS, table()).to_json(), "vix": stored}

    with pytest.raises(InvalidRequest) as caught:
        MacroSeries.from_json(document)

    assert said in caught.value.message


@pytest.mark.parametrize("document", [None, [], {}, {"vix": []}])
def test_json_without_the_seven_series_is_refused(document: object) -> None:
    with pytest.raises(InvalidRequest, match="need these series and no others: dxy, vix"):
        MacroSeries.from_json(document)


def test_json_with_another_series_is_refused() -> None:
    document = {**MacroSeries.from_table(DAYS, table()).to_json(), "wti": []}

    with pytest.raises(InvalidRequest, match="no others"):
        MacroSeries.from_json(document)
