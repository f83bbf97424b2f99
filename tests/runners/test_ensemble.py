from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from config.settings import EnsembleStrategy
from errors import ConfigurationError, InferenceFault, InvalidRequest
from runners.ensemble import Ensemble
from runners.signal import Signal
from tests.fakes import FixedVoter

AVERAGE, VOTE = EnsembleStrategy.WEIGHTED_AVERAGE, EnsembleStrategy.MAJORITY_VOTE
OBSERVATION = np.zeros((1, 4), dtype=np.float32)


SURE_BUY = (0.05, 0.05, 0.90)
SURE_SELL = (0.90, 0.05, 0.05)
MILD_HOLD = (0.3, 0.4, 0.3)


@st.composite
def rows(draw: st.DrawFn) -> tuple[float, float, float]:
    a, b, c = draw(st.tuples(*[st.floats(0.001, 1.0)] * 3))
    return a / (a + b + c), b / (a + b + c), c / (a + b + c)


@st.composite
def ensembles(draw: st.DrawFn) -> list[FixedVoter]:
    count = draw(st.integers(1, 5))
    weights = draw(st.lists(st.floats(0, 10), min_size=count, max_size=count))
    weights[0] += 0.1
    return [FixedVoter(f"m{i}", draw(rows()), weight) for i, weight in enumerate(weights)]


@given(ensembles(), st.sampled_from(EnsembleStrategy), st.integers(1, 4))
def test_the_combination_is_a_probability_vector(
    models: list[FixedVoter], strategy: EnsembleStrategy, n: int
) -> None:
    prediction = Ensemble(models, strategy).predict(np.zeros((n, 4), dtype=np.float32))
    assert prediction.probabilities.shape == (n, 3)
    assert prediction.probabilities.min() >= 0
    np.testing.assert_allclose(prediction.probabilities.sum(axis=1), 1.0)
    assert len(prediction.signals) == n
    assert prediction.confidence.shape == (n,)
    assert prediction.model_name == "ensemble"


@given(ensembles())
def test_an_average_stays_within_what_the_voters_said(models: list[FixedVoter]) -> None:
    combined = Ensemble(models, AVERAGE).predict(OBSERVATION).probabilities[0]
    said = np.array([model.says for model in models if model.weight > 0])
    assert (combined >= said.min(axis=0) - 1e-12).all()
    assert (combined <= said.max(axis=0) + 1e-12).all()


@given(ensembles(), st.sampled_from(EnsembleStrategy))
def test_one_row_is_decided_as_within_a_batch(
    models: list[FixedVoter], strategy: EnsembleStrategy
) -> None:
    ensemble = Ensemble(models, strategy)
    alone = ensemble.predict(OBSERVATION)
    batch = ensemble.predict(np.zeros((3, 4), dtype=np.float32))
    assert batch.signals == alone.signals * 3
    np.testing.assert_allclose(batch.probabilities[1], alone.probabilities[0], rtol=1e-13)
    np.testing.assert_allclose(batch.confidence, np.repeat(alone.confidence, 3), rtol=1e-13)


@given(ensembles(), rows(), st.sampled_from(EnsembleStrategy))
def test_a_shadow_never_moves_a_decision(
    models: list[FixedVoter], shadow_row: tuple[float, float, float], strategy: EnsembleStrategy
) -> None:
    without = Ensemble(models, strategy).predict(OBSERVATION)
    with_shadow = Ensemble([FixedVoter("shadow", shadow_row, 0.0), *models], strategy)
    prediction = with_shadow.predict(OBSERVATION)
    assert prediction.signals == without.signals
    np.testing.assert_array_equal(prediction.probabilities, without.probabilities)
    assert prediction.outputs[0].probabilities is not None


def test_weights_are_normalised() -> None:
    models = [FixedVoter("a", SURE_BUY, 30.0), FixedVoter("b", SURE_SELL, 10.0)]
    prediction = Ensemble(models, AVERAGE).predict(OBSERVATION)
    np.testing.assert_allclose(prediction.probabilities, [[0.2625, 0.05, 0.6875]])
    assert prediction.signals == (Signal.BUY,)
    np.testing.assert_allclose(prediction.confidence, [0.6875])


def test_a_vote_counts_weights_and_not_conviction() -> None:
    models = [
        FixedVoter("a", MILD_HOLD, 2.0),
        FixedVoter("b", SURE_BUY, 1.0),
        FixedVoter("c", SURE_SELL, 1.0),
    ]
    prediction = Ensemble(models, VOTE).predict(OBSERVATION)
    np.testing.assert_allclose(prediction.probabilities, [[0.25, 0.5, 0.25]])
    assert prediction.signals == (Signal.HOLD,)
    np.testing.assert_allclose(prediction.confidence, [0.5])


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("scale", [1.0, 0.1, 7.3])
def test_a_tied_vote_is_hold_whatever_rounding_makes_of_the_weights(scale: float, n: int) -> None:
    models = [
        FixedVoter("a", SURE_BUY, 1 * scale),
        FixedVoter("b", SURE_BUY, 2 * scale),
        FixedVoter("c", SURE_SELL, 3 * scale),
    ]
    prediction = Ensemble(models, VOTE).predict(np.zeros((n, 4), dtype=np.float32))
    assert prediction.signals == (Signal.HOLD,) * n
    np.testing.assert_allclose(prediction.confidence, 0.0)


@pytest.mark.parametrize("n", [1, 2])
def test_a_tie_between_buy_and_sell_is_hold_with_the_confidence_of_hold(n: int) -> None:
    ensemble = Ensemble([FixedVoter("a", (0.4, 0.2, 0.4))], AVERAGE)
    prediction = ensemble.predict(np.zeros((n, 4), dtype=np.float32))
    assert prediction.signals == (Signal.HOLD,) * n
    np.testing.assert_allclose(prediction.confidence, 0.2)


@pytest.mark.parametrize("strategy", EnsembleStrategy)
def test_a_failing_voter_fails_the_whole_decision(strategy: EnsembleStrategy) -> None:
    models = [FixedVoter("a", SURE_BUY), FixedVoter("b", SURE_BUY, fault="model b:1 broke")]
    with pytest.raises(InferenceFault, match="b:1 broke"):
        Ensemble(models, strategy).predict(OBSERVATION)


@pytest.mark.parametrize("strategy", EnsembleStrategy)
def test_a_failing_shadow_is_recorded_with_its_fault(strategy: EnsembleStrategy) -> None:
    models = [FixedVoter("a", SURE_BUY), FixedVoter("s", SURE_BUY, 0.0, fault="model s:1 broke")]
    prediction = Ensemble(models, strategy).predict(OBSERVATION)
    assert prediction.signals == (Signal.BUY,)
    assert prediction.outputs[0].fault is None
    assert prediction.outputs[1].fault == "model s:1 broke"
    assert prediction.outputs[1].probabilities is None


def test_one_model_answers_alone() -> None:
    models = [FixedVoter("a", SURE_BUY), FixedVoter("b", SURE_SELL)]
    prediction = Ensemble(models, AVERAGE).predict_one(OBSERVATION, "b")
    assert prediction.model_name == "b"
    assert prediction.signals == (Signal.SELL,)
    assert [output.name for output in prediction.outputs] == ["b"]
    assert models[0].asked == []


def test_a_shadow_asked_alone_fails_like_any_model() -> None:
    models = [FixedVoter("a", SURE_BUY), FixedVoter("s", SURE_BUY, 0.0, fault="broke")]
    with pytest.raises(InferenceFault):
        Ensemble(models, AVERAGE).predict_one(OBSERVATION, "s")


def test_an_unknown_model_is_refused_with_the_names_there_are() -> None:
    ensemble = Ensemble([FixedVoter("a", SURE_BUY), FixedVoter("b", SURE_BUY)], AVERAGE)
    with pytest.raises(InvalidRequest, match=r"'c' is not loaded; there are a, b"):
        ensemble.predict_one(OBSERVATION, "c")


def test_the_first_configured_model_is_the_default_single_one() -> None:
    assert Ensemble([FixedVoter("z", SURE_BUY), FixedVoter("a", SURE_BUY)], VOTE).first_name == "z"


@pytest.mark.parametrize(
    "models",
    [[], [FixedVoter("a", SURE_BUY, 0.0)], [FixedVoter("a", SURE_BUY), FixedVoter("a", SURE_BUY)]],
)
def test_an_ensemble_that_cannot_decide_is_refused(models: list[FixedVoter]) -> None:
    with pytest.raises(ConfigurationError):
        Ensemble(models, AVERAGE)


@pytest.mark.parametrize(
    "observations",
    [
        np.zeros((0, 4), dtype=np.float32),
        np.zeros(4, dtype=np.float32),
        np.array([[0, np.nan, 0, 0]], dtype=np.float32),
        np.array([[np.inf, -np.inf, 0, 0]], dtype=np.float32),
    ],
)
def test_an_unusable_observation_reaches_no_model(observations: NDArray[np.float32]) -> None:
    model = FixedVoter("a", SURE_BUY)
    ensemble = Ensemble([model], AVERAGE)
    with pytest.raises(InvalidRequest):
        ensemble.predict(observations)
    with pytest.raises(InvalidRequest):
        ensemble.predict_one(observations, "a")
    assert model.asked == []


def test_the_largest_float32_is_finite() -> None:
    model = FixedVoter("a", SURE_BUY)
    most = np.full((2, 45), np.finfo(np.float32).max, dtype=np.float32)
    assert Ensemble([model], AVERAGE).predict(most).signals == (Signal.BUY, Signal.BUY)


def test_weights_without_a_finite_sum_are_refused() -> None:
    models = [FixedVoter("a", SURE_BUY, 1e308), FixedVoter("b", SURE_SELL, 1e308)]
    with pytest.raises(ConfigurationError, match="weights of a, b have no finite sum"):
        Ensemble(models, AVERAGE)


@pytest.mark.parametrize("observations", [[[0.0] * 4], np.zeros((1, 4)), np.zeros((1, 4), int)])
def test_what_can_be_read_as_float32_is(observations: Any) -> None:
    ensemble = Ensemble([FixedVoter("a", SURE_BUY)], AVERAGE)
    assert ensemble.predict(observations).signals == (Signal.BUY,)
    assert ensemble.predict_one(observations, "a").signals == (Signal.BUY,)


@pytest.mark.parametrize(
    "observations", [[[0.0], [0.0, 1.0]], [["a"]], "text", None, np.full((1, 4), 1e300), [1.0]]
)
def test_what_cannot_be_read_as_float32_is_an_invalid_request(observations: Any) -> None:
    ensemble = Ensemble([FixedVoter("a", SURE_BUY)], AVERAGE)
    with pytest.raises(InvalidRequest, match="observation"):
        ensemble.predict(observations)
