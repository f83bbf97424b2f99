import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from errors import InvalidRequest
from features.bars import BarSeries
from features.compute import FeatureSeries, compute_series
from features.known_ranges import MANY_DAYS, extremes_by_day
from features.reference import Reference, build_reference
from features.residuals import in_order
from features.schema import USDCOP_M5, Schema
from features.vetoes import refused_rows
from tests.features.market import random_bars, random_macro

BARS = random_bars(3000)
MACRO = random_macro()
SERIES = compute_series(BARS, MACRO)
REFERENCE = build_reference(SERIES, BARS, MACRO)
WITHOUT_MACRO = build_reference(compute_series(BARS, None), BARS, None)
STORED = REFERENCE.to_json()


def only(series: FeatureSeries, rows: slice) -> FeatureSeries:
    return FeatureSeries(series.times[rows], series.known_at[rows], series.matrix[rows])


def bounds(reference: Reference, name: str) -> tuple[float, float]:
    column = reference.names.index(name)
    return float(reference.low[column]), float(reference.high[column])


def test_a_reference_says_what_it_was_built_from() -> None:
    assert REFERENCE.schema == USDCOP_M5.hash
    assert REFERENCE.schema_version == USDCOP_M5.version
    assert REFERENCE.names == USDCOP_M5.names
    assert REFERENCE.rows == len(SERIES.times)
    assert REFERENCE.first_bar == "2026-03-05T17:55:00Z"
    assert REFERENCE.last_bar == "2026-04-20T17:55:00Z"


@pytest.mark.parametrize("reference", [REFERENCE, WITHOUT_MACRO], ids=["whole", "without macro"])
def test_json_gives_back_the_same_numbers(reference: Reference) -> None:
    text = json.dumps(reference.to_json(), allow_nan=False)
    again = Reference.from_json(json.loads(text))

    assert json.dumps(again.to_json()) == text
    assert again.low.tobytes() == reference.low.tobytes()
    assert again.relations is not None
    assert reference.relations is not None
    assert again.relations.weights.tobytes() == reference.relations.weights.tobytes()
    assert (
        refused_rows(SERIES.matrix, [again]).tolist()
        == refused_rows(SERIES.matrix, [reference]).tolist()
    )


def test_json_takes_less_than_100_kilobytes() -> None:
    assert len(json.dumps(STORED)) < 100_000


def test_arrays_of_a_reference_cannot_be_written() -> None:
    for reference in (REFERENCE, Reference.from_json(STORED)):
        assert reference.relations is not None
        for array in (reference.low, reference.high, reference.relations.weights):
            with pytest.raises(ValueError, match="read-only"):
                array[0] = 0.0


@pytest.mark.parametrize("key", sorted(STORED))
def test_json_without_one_of_its_keys_is_refused_by_name(key: str) -> None:
    with pytest.raises(InvalidRequest, match=f"the reference lacks '{key}'"):
        Reference.from_json({name: value for name, value in STORED.items() if name != key})


@pytest.mark.parametrize("key", sorted(STORED["relations"]))
def test_relations_without_one_of_their_keys_are_refused_by_name(key: str) -> None:
    relations = {name: value for name, value in STORED["relations"].items() if name != key}

    with pytest.raises(InvalidRequest, match=f"relations of the reference lacks '{key}'"):
        Reference.from_json({**STORED, "relations": relations})


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("format", 2, "has format 2; this version reads format 1"),
        ("format", True, "has format True"),
        ("names", [], "a list of distinct names in 'names'"),
        ("names", ["a", "a"], "a list of distinct names in 'names'"),
        ("rows", 0, "a whole number above 0 in 'rows'"),
        ("rows", True, "a whole number above 0 in 'rows'"),
        ("schema", "", "a text in 'schema'"),
        ("low", STORED["low"][1:], "45 numbers, but has 44 in 'low'"),
        ("low", "low", "45 numbers, but has none in 'low'"),
        ("low", [float("nan"), *STORED["low"][1:]], "all finite, but has nan in 'low'"),
        ("low", [None, *STORED["low"][1:]], "but has None in 'low'"),
        ("high", STORED["low"][::-1], "bounds of .* the wrong way round"),
        ("levels", [], "an object of names and ranges in 'levels'"),
        ("levels", {"close": [2, 1]}, "a lesser and a greater number in 'levels.close'"),
        ("session", [800, 480], "a lesser and a greater number in 'session'"),
        ("relations", 5, "relations of the reference must be a JSON object, not int"),
    ],
)
def test_json_that_does_not_fit_is_refused_with_what_would_be_right(
    key: str, value: Any, message: str
) -> None:
    with pytest.raises(InvalidRequest, match=message):
        Reference.from_json({**STORED, key: value})


@pytest.mark.parametrize(
    ("key", "change", "message"),
    [
        ("weights", lambda rows: rows[1:], "34 lists of 34 numbers in 'weights'"),
        ("weights", lambda rows: [rows[0][1:], *rows[1:]], "34 numbers, but has 33 in 'weights'"),
        ("spread", lambda values: [0.0, *values[1:]], "all above 0, but has 0.0 in 'spread'"),
        ("limits", lambda values: [float("inf"), *values[1:]], "but has inf in 'limits'"),
        ("names", lambda names: names[::-1], "volatility_1d first"),
        ("names", lambda names: [*names[:-1], "rsi_99"], "among its names"),
    ],
)
def test_relations_that_do_not_fit_are_refused(
    key: str, change: Callable[[list[Any]], list[Any]], message: str
) -> None:
    relations = {**STORED["relations"], key: change(STORED["relations"][key])}

    with pytest.raises(InvalidRequest, match=message):
        Reference.from_json({**STORED, "relations": relations})


@pytest.mark.parametrize("value", [None, [], "x", 3])
def test_json_that_is_no_object_is_refused(value: Any) -> None:
    with pytest.raises(InvalidRequest, match="must be a JSON object"):
        Reference.from_json(value)


def test_too_short_a_period_is_refused_with_what_is_needed() -> None:
    with pytest.raises(InvalidRequest, match=r"needs 1,000 vectors of 20 days.* these are 999 of"):
        build_reference(only(SERIES, slice(999)), BARS, MACRO)
    few_days = FeatureSeries(
        SERIES.times[:1000] // 100, SERIES.known_at[:1000], SERIES.matrix[:1000]
    )
    with pytest.raises(InvalidRequest, match="these are 1,000 of 1"):
        build_reference(few_days, BARS, MACRO)


def test_vectors_of_a_frozen_feed_teach_nothing() -> None:
    frozen = SERIES.matrix.copy()
    frozen[100:160, USDCOP_M5.names.index("volatility_30m")] = 0.0
    reference = build_reference(replace(SERIES, matrix=frozen), BARS, MACRO)

    assert reference.rows == len(SERIES.times) - 60


def test_bounds_stay_within_what_the_formula_can_give() -> None:
    for feature in USDCOP_M5.features:
        low, high = bounds(REFERENCE, feature.name)
        assert feature.low is None or low >= feature.low
        assert feature.high is None or high <= feature.high


def test_a_feature_that_never_varied_is_known_at_that_value_alone() -> None:
    assert bounds(WITHOUT_MACRO, "rate_spread") == (0.0, 0.0)
    assert set(WITHOUT_MACRO.levels) == {"close", "window_days"}


def test_a_feature_that_varied_on_one_day_alone_is_related_to_nothing() -> None:
    column = USDCOP_M5.names.index("macd")
    still = SERIES.matrix.copy()
    still[:, column] = 0.0
    still[601:641, column] = 1e-3
    reference = build_reference(replace(SERIES, matrix=still), BARS, MACRO)

    assert reference.relations is not None
    assert "macd" not in reference.relations.names
    assert bounds(reference, "macd")[0] == 0.0
    Reference.from_json(reference.to_json())


def test_a_schema_of_three_features_has_a_reference_too() -> None:
    kept = [
        feature for feature in USDCOP_M5.features if feature.name in ("rsi_9", "weekday", "vix_z")
    ]
    schema = Schema("three", tuple(kept))
    series = compute_series(BARS, MACRO, schema=schema)
    reference = build_reference(series, BARS, MACRO, schema=schema)

    assert (reference.relations, reference.session) == (None, None)
    assert reference.names == ("rsi_9", "weekday", "vix_z")
    assert Reference.from_json(reference.to_json()).to_json() == reference.to_json()
    assert not refused_rows(series.matrix, [reference]).any()


def test_the_session_is_told_from_the_clock_features() -> None:
    assert REFERENCE.session == (480.0, 775.0)


def test_a_clock_that_does_not_follow_a_session_gives_none() -> None:
    column = USDCOP_M5.names.index("session_progress")
    shuffled = SERIES.matrix.copy()
    shuffled[:, column] = np.random.default_rng(1).permutation(shuffled[:, column])

    assert build_reference(replace(SERIES, matrix=shuffled), BARS, MACRO).session is None


def test_levels_cover_the_period_of_the_vectors_with_a_margin() -> None:
    later = BARS.closes.copy()
    later[:100] = 1.0  # before the first vector
    reference = build_reference(SERIES, BarSeries(BARS.starts, later), MACRO)
    during = BARS.closes[239:]

    low, high = reference.levels["close"]
    assert during.min() / 1.3 < low < during.min()
    assert during.max() < high < during.max() * 1.3
    assert set(reference.levels) == {"close", "window_days", *MACRO.columns}


def test_one_day_of_bad_ticks_in_a_year_widens_nothing() -> None:
    days = np.repeat(np.arange(MANY_DAYS), 3)
    values = np.random.default_rng(4).uniform(-1, 1, (len(days), 1))
    values[30:33] = [[9.0], [-9.0], [8.0]]

    least, greatest = extremes_by_day(values, days)

    assert -1 < float(least[0]) < -0.9
    assert 0.9 < float(greatest[0]) < 1


def test_of_a_few_days_the_most_extreme_one_counts() -> None:
    days = np.repeat(np.arange(4), 3)
    values = np.array([1.0, 2, 3, 9, 9, 9, 4, 0, 1, -5, 1, 1])[:, np.newaxis]

    least, greatest = extremes_by_day(values, days)

    assert (float(least[0]), float(greatest[0])) == (-5.0, 9.0)


def test_relations_are_about_features_of_the_close_and_come_in_one_order() -> None:
    assert REFERENCE.relations is not None
    assert set(REFERENCE.relations.names) == set(USDCOP_M5.names[:34])
    assert REFERENCE.relations.names == in_order(USDCOP_M5.names)
    assert REFERENCE.relations.names[0] == "volatility_1d"


@given(st.integers(0, len(SERIES.matrix) - 1), st.integers(0, 33))
def test_a_feature_where_the_others_put_it_is_allowed(row: int, column: int) -> None:
    relations = REFERENCE.relations
    assert relations is not None
    values = SERIES.matrix[row].astype(np.float64)[REFERENCE.related]
    low, high = relations.allowed(values, column)
    inside = abs(relations.scores(values[np.newaxis])[0, column]) <= 1.0
    at_the_edge = abs(relations.standardised(values[np.newaxis])).max() >= 7.99

    assert low < high
    assert at_the_edge or inside == (low <= values[column] <= high) or column == 0


@given(st.integers(0, len(SERIES.matrix) - 1), st.integers(0, 2**32 - 1))
def test_one_vector_has_the_scores_that_it_has_among_many_to_the_bit(row: int, seed: int) -> None:
    relations = REFERENCE.relations
    assert relations is not None
    vectors = SERIES.matrix[row : row + 40].astype(np.float64)[:, REFERENCE.related]
    factors = np.random.default_rng(seed).normal(1.0, 3.0, vectors.shape)
    for matrix in (vectors, vectors * factors):
        before = matrix.copy()
        alone = np.array([relations.scores_of(vector) for vector in matrix])
        assert alone.tobytes() == relations.scores(matrix).tobytes()
        assert matrix.tobytes() == before.tobytes()
