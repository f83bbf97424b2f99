from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from features.bars import BarSeries
from features.compute import compute_series
from features.evidence import Evidence
from features.identities import IDENTITIES
from features.macro import MACRO_COLUMNS, MacroValue
from features.reference import Reference, build_reference
from features.schema import USDCOP_M5
from features.vetoes import FROZEN_CLOSES, Veto, VetoKind, refused_rows, vetoes
from tests.features.market import random_bars, random_macro, session_starts

BARS = random_bars(3000)
MACRO = random_macro()
SERIES = compute_series(BARS, MACRO)
REFERENCE = build_reference(SERIES, BARS, MACRO)
WITHOUT_MACRO = build_reference(compute_series(BARS, None), BARS, None)
TYPICAL = SERIES.matrix[~refused_rows(SERIES.matrix, [REFERENCE, REFERENCE])]
VECTOR = TYPICAL[700]
GREATEST = np.inf
LATER = compute_series(random_bars(3000, seed=5), random_macro(seed=6)).matrix
NAMES = USDCOP_M5.names


def having(**values: float) -> NDArray[np.float32]:
    """The typical vector with some values replaced."""
    vector: NDArray[np.float32] = VECTOR.copy()
    for name, value in values.items():
        vector[NAMES.index(name)] = value
    return vector


def told(vector: NDArray[np.float32], reference: Reference = REFERENCE) -> list[str]:
    return [veto.message for veto in vetoes(vector, None, [reference])]


def evidence(
    close: float = 4000.0,
    equal_closes: int = 1,
    macro: Mapping[str, float] = MappingProxyType({}),
    window_days: float = 4.0,
) -> Evidence:
    known = {name: MacroValue(20_000, value) for name, value in macro.items()}
    bar = int(datetime(2026, 4, 1, 15, tzinfo=UTC).timestamp())
    return Evidence(bar, close, equal_closes, window_days, known)


def test_almost_every_vector_of_the_reference_itself_passes() -> None:
    assert len(TYPICAL) >= 0.99 * len(SERIES.matrix)
    assert all(vetoes(row, None, [REFERENCE]) == () for row in TYPICAL[::50])


def test_vectors_of_another_walk_of_the_same_market_mostly_pass() -> None:
    market = slice(0, 34)
    rows = np.repeat(VECTOR[np.newaxis], len(LATER), axis=0)
    rows[:, market] = LATER[:, market]

    assert refused_rows(rows, [REFERENCE]).mean() < 0.02


def test_without_references_and_evidence_nothing_speaks_against_a_vector() -> None:
    assert vetoes(VECTOR, None, []) == ()
    assert not refused_rows(SERIES.matrix, []).any()


@pytest.mark.parametrize("closes", [FROZEN_CLOSES, 7, 240])
def test_six_equal_closes_are_stale_with_or_without_a_reference(closes: int) -> None:
    wanted = f"the last {closes} closes are all 4012.5: the feed is frozen"
    for references in ([], [REFERENCE]):
        first, *_ = vetoes(VECTOR, evidence(4012.5, closes), references)

        assert first == Veto(VetoKind.STALE, "equal_closes", closes, None, 5.0, wanted)


def test_five_equal_closes_are_no_reason() -> None:
    assert vetoes(VECTOR, evidence(equal_closes=FROZEN_CLOSES - 1), [REFERENCE]) == ()


def test_no_volatility_over_half_an_hour_shows_a_frozen_feed_without_evidence() -> None:
    frozen = BARS.closes.copy()
    frozen[-7:] = frozen[-7]
    vector = compute_series(BarSeries(BARS.starts, frozen), MACRO).matrix[-1]
    first, *_ = vetoes(vector, None, [REFERENCE])

    assert first.kind is VetoKind.STALE
    assert (
        first.message == "volatility_30m is 0, so the last 7 closes are equal: the feed is frozen"
    )
    assert refused_rows(vector[np.newaxis], [REFERENCE]).all()


def test_a_repetition_is_told_once_and_by_its_evidence() -> None:
    found = vetoes(having(volatility_30m=0.0), evidence(4012.5, 9), [REFERENCE, WITHOUT_MACRO])
    stale = [veto for veto in found if veto.kind is VetoKind.STALE]

    assert [veto.value for veto in stale] == [9.0]
    assert found[0] == stale[0]


def test_bars_that_go_back_further_than_any_the_models_know_are_stale() -> None:
    known = REFERENCE.levels["window_days"][1]

    assert vetoes(VECTOR, evidence(window_days=known), [REFERENCE]) == ()
    (veto,) = vetoes(VECTOR, evidence(window_days=known + 0.1), [REFERENCE])
    assert (veto.kind, veto.name) == (VetoKind.STALE, "window_days")
    assert "bars are missing" in veto.message


@pytest.mark.parametrize("close", [1.08, 18.6, 85.0, 950.0, 2400.0, 60_000.0, float("nan")])
def test_a_close_of_another_instrument_is_outside_by_name(close: float) -> None:
    first, *_ = vetoes(VECTOR, evidence(close), [REFERENCE])

    assert (first.kind, first.name) == (VetoKind.OUTSIDE, "close")
    assert "the levels that the models know" in first.message


@pytest.mark.parametrize("name", MACRO_COLUMNS)
def test_a_macro_value_off_by_a_hundred_is_outside_by_name(name: str) -> None:
    value = float(MACRO.columns[name].values[160])

    assert vetoes(VECTOR, evidence(macro={name: value}), [REFERENCE]) == ()
    assert [
        veto.name for veto in vetoes(VECTOR, evidence(macro={name: 100 * value}), [REFERENCE])
    ] == [name]


def test_a_macro_series_that_the_reference_never_saw_is_left_to_the_features() -> None:
    vector = having(**dict.fromkeys(NAMES[38:], 0.0))

    assert vetoes(vector, evidence(macro={"vix": 1e6}), [WITHOUT_MACRO]) == ()


def test_a_feature_outside_its_range_is_named_with_value_and_bounds() -> None:
    column = NAMES.index("vix_z")
    low, high = REFERENCE.low[column], REFERENCE.high[column]
    (veto,) = vetoes(having(vix_z=50.0), None, [REFERENCE])

    assert veto == Veto(
        *(VetoKind.OUTSIDE, "vix_z", 50.0, low, high),
        f"vix_z 50 is outside {low:.6g} to {high:.6g}, what the models know",
    )


def test_the_feature_that_is_farthest_outside_comes_first() -> None:
    found = vetoes(having(vix_z=50.0, dxy_z=9.0), None, [REFERENCE])

    assert [veto.name for veto in found] == ["vix_z", "dxy_z"]


def test_a_value_that_the_models_never_saw_vary_must_stay() -> None:
    zeros = dict.fromkeys(NAMES[38:], 0.0)

    assert told(having(**zeros), WITHOUT_MACRO) == []
    assert told(having(**{**zeros, "vix_z": 1.2}), WITHOUT_MACRO) == [
        "vix_z 1.2 is not 0, the only value that the models know"
    ]


def test_every_reference_must_know_the_vector() -> None:
    assert vetoes(VECTOR, None, [REFERENCE]) == ()
    assert len(vetoes(VECTOR, None, [REFERENCE, WITHOUT_MACRO])) == 7
    assert refused_rows(VECTOR[np.newaxis], [REFERENCE, WITHOUT_MACRO]).tolist() == [True]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"macd_histogram": 1e-4}, "macd_histogram 0.0001 must be macd - macd_signal, with macd "),
        ({"volatility_ratio_1h_1d": 0.5}, "must be volatility_1h / volatility_1d, with"),
        ({"sma_ratio_12_50": 0.0}, r"must be (1 + sma_ratio_50) / (1 + sma_ratio_12) - 1"),
        ({"bollinger_z_20": 0.0}, "must be bollinger_z_20 * bollinger_width_20 / 4"),
        ({"log_return_5m": GREATEST}, "volatility_30m"),
        ({"volatility_30m": GREATEST}, "volatility_1h"),
        ({"log_return_4h": GREATEST}, "volatility_4h"),
        ({"log_return_1d": GREATEST}, "volatility_1d"),
        ({"session_range": 0.0}, "must be within session_range"),
        ({"stochastic_d_3": 99.0, "stochastic_k_14": 1.0}, "must be the mean of stochastic_k_14"),
        ({"minute_sin": 0.5, "minute_cos": -0.6}, "must be on the unit circle"),
        ({"weekday": 2.5}, "weekday 2.5 must be a whole number"),
        ({"session_progress": 0.5}, "must be the progress from minute 480 to 775 of the day"),
    ],
)
def test_features_within_their_ranges_that_contradict_each_other_are_refused(
    changed: dict[str, float], message: str
) -> None:
    known = dict(zip(NAMES, REFERENCE.high.tolist(), strict=True))
    vector = having(
        **{
            name: 0.99 * known[name] if value == GREATEST else value
            for name, value in changed.items()
        }
    )
    inside = (vector >= REFERENCE.low) & (vector <= REFERENCE.high)

    assert inside.all()
    assert any(message in text for text in told(vector))


def test_nothing_within_the_last_hour_lies_above_a_stochastic_of_a_hundred() -> None:
    found = told(having(stochastic_k_14=100.0, stochastic_d_3=80.0, log_return_5m=-1e-4))

    assert any(text.startswith("stochastic_k_14 100 must be 100 only above") for text in found)


def test_a_feature_that_does_not_fit_the_others_is_told_where_they_put_it() -> None:
    rsi = float(VECTOR[NAMES.index("rsi_14")])
    (veto,) = vetoes(having(rsi_14=100.0 - rsi), None, [REFERENCE])

    assert veto.name == "rsi_14"
    assert veto.low is not None
    assert veto.high is not None
    assert veto.low < rsi < veto.high
    assert veto.message.endswith(
        f"{veto.low:.6g} to {veto.high:.6g}, where the other features put it"
    )


def test_of_features_that_disagree_the_one_that_is_wrong_is_named() -> None:
    right = wrong = 0
    for column, name in enumerate(NAMES[:34]):
        rows = TYPICAL[::100].copy()
        rows[:, column] = TYPICAL[50::100, column][: len(rows)]
        for row in rows:
            for veto in vetoes(row, None, [REFERENCE]):
                if veto.message.endswith("where the other features put it"):
                    right += veto.name == name
                    wrong += veto.name != name

    assert right > 5 * wrong


@given(seed=st.integers(0, 10**6), repeated=st.floats(0, 1), volatility=st.floats(1e-6, 0.05))
@settings(max_examples=40)
def test_every_identity_holds_on_whatever_bars(
    seed: int, repeated: float, volatility: float
) -> None:
    rng = np.random.default_rng(seed)
    steps = rng.normal(0, volatility, 300) * (rng.random(300) >= repeated)
    closes = np.round(4000 * np.exp(np.cumsum(steps)), 4)
    rows = compute_series(BarSeries(session_starts(300), closes), MACRO).matrix.astype(np.float64)
    columns = dict(zip(NAMES, rows.T, strict=True))

    for identity in IDENTITIES:
        assert (identity.excess(columns) <= 0).all(), identity.name


def test_every_identity_reads_no_more_than_it_says() -> None:
    whole = dict(zip(NAMES, VECTOR.tolist(), strict=True))

    for identity in IDENTITIES:
        assert identity.name in identity.needs
        assert identity.excess({name: whole[name] for name in identity.needs}) <= 0


def test_a_reference_with_fewer_features_judges_those_that_it_has() -> None:
    kept = [column for column, name in enumerate(NAMES) if name != "macd_signal"]
    stored = {**REFERENCE.to_json(), "relations": None, "names": [NAMES[k] for k in kept]}
    stored |= {key: [stored[key][k] for k in kept] for key in ("low", "high")}
    smaller = Reference.from_json(stored)

    assert vetoes(VECTOR[kept], None, [smaller]) == ()
    assert vetoes(having(macd_histogram=1e-4)[kept], None, [smaller]) == ()
    assert [veto.name for veto in vetoes(having(weekday=2.5)[kept], None, [smaller])] == ["weekday"]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("column", range(45))
def test_what_is_no_finite_number_never_passes(column: int, value: float) -> None:
    vector = VECTOR.copy()
    vector[column] = value

    assert NAMES[column] in [veto.name for veto in vetoes(vector, None, [REFERENCE])]
    assert refused_rows(vector[np.newaxis], [REFERENCE]).all()


@given(
    base=st.integers(0, len(TYPICAL) - 1),
    column=st.integers(0, 44),
    other=st.integers(0, 44),
    factor=st.sampled_from([-1.0, 0.0, 0.01, 0.5, 1.0, 1.001, 2.0, 100.0]),
)
def test_one_row_and_many_rows_get_the_same_verdict(
    base: int, column: int, other: int, factor: float
) -> None:
    rows = TYPICAL[max(base - 3, 0) : base + 1].copy()
    rows[-1, column] *= factor
    rows[-1, [column, other]] = rows[-1, [other, column]]
    references = [REFERENCE, Reference.from_json(REFERENCE.to_json())]

    one_by_one = [bool(vetoes(row, None, references)) for row in rows]

    assert refused_rows(rows, references).tolist() == one_by_one


@given(hnp.arrays(np.float32, (2, 45), elements=st.floats(width=32)))
def test_any_numbers_at_all_get_the_same_verdict_and_no_warning(
    rows: NDArray[np.float32],
) -> None:
    one_by_one = [bool(vetoes(row, None, [REFERENCE])) for row in rows]

    assert refused_rows(rows, [REFERENCE]).tolist() == one_by_one


def test_a_veto_of_one_feature_is_told_once_for_several_references() -> None:
    names = [veto.name for veto in vetoes(having(vix_z=50.0), None, [REFERENCE, REFERENCE])]

    assert names == ["vix_z"]


def test_many_rows_are_judged_in_parts_as_they_are_at_once() -> None:
    rows = np.concatenate([SERIES.matrix, LATER])
    parts = [refused_rows(rows[k : k + 997], [REFERENCE]) for k in range(0, len(rows), 997)]

    assert len(rows) > 4096
    assert np.concatenate(parts).tolist() == refused_rows(rows, [REFERENCE]).tolist()


def test_a_vector_of_another_size_is_a_fault_of_the_caller() -> None:
    with pytest.raises(ValueError, match="shorter"):
        vetoes(VECTOR[1:], None, [REFERENCE])
    with pytest.raises(ValueError, match="broadcast"):
        refused_rows(SERIES.matrix[:, 1:], [REFERENCE])
