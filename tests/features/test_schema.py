from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from errors import InvalidRequest
from features.bars import BarSeries
from features.compute import compute_series
from features.schema import USDCOP_M5, Feature, Schema
from tests.features.market import random_macro, session_starts

MODELS = sorted((Path(__file__).parents[2] / "models" / "onnx").glob("*.onnx"))
WHOLE = {name: float(row) for row, name in enumerate(USDCOP_M5.names)}


def test_the_shipped_schema_has_38_features_of_the_market_and_7_of_macro_series() -> None:
    of_macro = [feature for feature in USDCOP_M5.features if "T-1" in feature.source]

    assert len(USDCOP_M5.names) == 45
    assert len(of_macro) == 7
    assert of_macro == list(USDCOP_M5.features[38:])


@given(st.permutations(USDCOP_M5.names))
def test_values_are_ordered_by_the_schema_however_they_come(names: list[str]) -> None:
    vector = USDCOP_M5.order({name: WHOLE[name] for name in names})

    assert vector.dtype == np.float32
    assert vector.tolist() == list(range(45))


def test_a_missing_and_an_unknown_name_are_both_named() -> None:
    values = {**WHOLE, "rsi_15": 50.0}
    del values["rsi_14"]

    with pytest.raises(InvalidRequest, match=r"missing: rsi_14; unknown: rsi_15") as caught:
        USDCOP_M5.order(values)

    assert caught.value.detail == {"missing": ["rsi_14"], "unknown": ["rsi_15"]}


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e39, 10**400, True, "50", None])
def test_a_value_that_is_no_finite_float32_is_refused_by_name(value: object) -> None:
    with pytest.raises(InvalidRequest, match=r"not so: macd$"):
        USDCOP_M5.order({**WHOLE, "macd": value})  # type: ignore[dict-item]


@pytest.mark.parametrize("changed", [{"name": "x"}, {"formula": "x"}, {"source": "x"}])
def test_the_hash_follows_names_formulas_and_sources(changed: dict[str, Any]) -> None:
    first, *others = USDCOP_M5.features
    schema = Schema(USDCOP_M5.version, (replace(first, **changed), *others))

    assert schema.hash != USDCOP_M5.hash


def test_the_hash_follows_order_and_version_but_not_the_unit() -> None:
    first, second, *others = USDCOP_M5.features

    assert Schema(USDCOP_M5.version, (second, first, *others)).hash != USDCOP_M5.hash
    assert Schema("usdcop-m5-2", USDCOP_M5.features).hash != USDCOP_M5.hash
    assert (
        Schema(USDCOP_M5.version, (replace(first, unit="percent"), second, *others)).hash
        == USDCOP_M5.hash
    )


def test_the_hash_does_not_follow_the_support() -> None:
    bare = tuple(replace(feature, low=None, high=None) for feature in USDCOP_M5.features)

    assert bare != USDCOP_M5.features
    assert replace(USDCOP_M5, features=bare).hash == USDCOP_M5.hash


@given(seed=st.integers(0, 10**6), volatility=st.sampled_from([0.0, 1e-6, 1e-3, 0.1, 0.5]))
def test_every_feature_of_whatever_bars_lies_within_its_support(
    seed: int, volatility: float
) -> None:
    rng = np.random.default_rng(seed)
    steps = rng.standard_t(2, 260) * volatility * (rng.random(260) < rng.random())
    closes = 4000 * np.exp(np.clip(np.cumsum(steps), -10, 10))
    closes[-1] *= rng.choice([1.0, 1e-3, 1e3])
    macro = random_macro(seed=seed)
    matrix = compute_series(BarSeries(session_starts(260), closes), macro).matrix

    for values, feature in zip(matrix.T, USDCOP_M5.features, strict=True):
        assert feature.low is None or values.min() >= feature.low, feature.name
        assert feature.high is None or values.max() <= feature.high, feature.name


def test_a_schema_refuses_a_name_used_twice_and_an_empty_list() -> None:
    feature = Feature("a", "c[0]", "pesos", 1, "close")

    with pytest.raises(ValueError, match="'a' twice"):
        Schema("mine", (feature, feature))
    with pytest.raises(ValueError, match="names no feature"):
        Schema("mine", ())


def test_every_shipped_model_was_trained_on_the_shipped_schema() -> None:
    stored = {
        path.stem: {item.key: item.value for item in onnx.load(path).metadata_props}
        for path in MODELS
    }

    assert set(stored) >= {"ppo_usdcop_v3", "sac_usdcop_v2", "a2c_macro_v1"}
    assert {metadata["feature_schema"] for metadata in stored.values()} == {USDCOP_M5.hash}
