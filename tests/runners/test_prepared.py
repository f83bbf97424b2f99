"""An ensemble that was asked ahead says what the models would have said."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.observations import known_vectors
from config.settings import EnsembleStrategy
from examples.evaluate import load_exported
from features.evidence import Evidence
from runners.ensemble import Ensemble, Prediction
from runners.prepared import PreparedModels, prepare
from tests.fakes import FixedVoter
from tests.runners.test_runner import MODELS

NAMES = ("ppo_usdcop_v3", "sac_usdcop_v2", "a2c_macro_v1")


@pytest.fixture(scope="module", params=list(EnsembleStrategy))
def models(request: pytest.FixtureRequest) -> Ensemble:
    runners = [load_exported(MODELS / f"{name}.onnx") for name in NAMES]
    return Ensemble(runners, request.param)


def said(prediction: Prediction) -> tuple[object, ...]:
    return (
        prediction.model_name,
        prediction.signals,
        prediction.confidence.tobytes(),
        prediction.probabilities.tobytes(),
        [output._replace(probabilities=None) for output in prediction.outputs],
        [
            None if output.probabilities is None else output.probabilities.tobytes()
            for output in prediction.outputs
        ],
    )


def test_a_prepared_ensemble_says_to_the_bit_what_the_models_say_of_each_row(
    models: Ensemble,
) -> None:
    matrix = known_vectors()[:600]
    prepared = PreparedModels(models, prepare(models, matrix))
    for row in matrix:
        assert said(prepared.predict(row[np.newaxis])) == said(models.predict(row[np.newaxis]))


def test_an_observation_that_was_not_prepared_is_asked_of_the_models(models: Ensemble) -> None:
    matrix = known_vectors()
    prepared = PreparedModels(models, prepare(models, matrix[:10]))
    other = matrix[20:21]
    assert said(prepared.predict(other)) == said(models.predict(other))
    assert said(prepared.predict_one(other, NAMES[0])) == said(models.predict_one(other, NAMES[0]))


def test_vetoes_are_those_of_the_models_whatever_is_wrong(models: Ensemble) -> None:
    matrix = known_vectors()[:200].copy()
    columns = np.random.default_rng(3).integers(0, matrix.shape[1], len(matrix))
    matrix[np.arange(50), columns[:50]] *= 100.0
    matrix[50:60] = 0.0
    prepared = PreparedModels(models, prepare(models, matrix))
    usual = Evidence(1_772_460_000, 4_000.0, 1, 4.0)
    for evidence in (
        None,
        usual,
        replace(usual, equal_closes=6),
        replace(usual, close=1.08),
        replace(usual, window_days=90.0, equal_closes=9),
    ):
        found = [models.vetoes(row, evidence, None) for row in matrix]
        assert [prepared.vetoes(row, evidence, None) for row in matrix] == found
        assert any(found)
    assert not all(models.vetoes(row, usual, None) for row in matrix)


def test_where_a_model_fails_nothing_is_prepared_and_the_fault_comes_with_the_decision() -> None:
    shadow = FixedVoter(name="shadow", weight=0.0, fault="it broke")
    models = Ensemble([FixedVoter(), shadow], EnsembleStrategy.WEIGHTED_AVERAGE)
    row = np.zeros((1, 4), np.float32)
    prepared = PreparedModels(models, prepare(models, row))
    assert prepared.predict(row).outputs[1].fault == "it broke"
