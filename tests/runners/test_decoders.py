"""One contract for every entry of the registry, then each algorithm's own arithmetic."""

import math
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from config.settings import Algorithm
from errors import InferenceFault
from runners.algorithms import DECODERS
from runners.decoder import OUTPUT_ROLES, Outputs
from runners.deterministic import distance_from_threshold
from runners.gaussian import mass_beyond_threshold
from runners.metadata import ModelMetadata, OutputKind
from runners.signal import ACTIONS, Signal

EVERY_KIND = [
    (algorithm, kind) for algorithm in Algorithm for kind in sorted(DECODERS[algorithm].kinds)
]
DISCRETE = [(algorithm, kind) for algorithm, kind in EVERY_KIND if not kind.is_continuous]
CONTINUOUS = [(algorithm, kind) for algorithm, kind in EVERY_KIND if kind.is_continuous]
PROBABILITY_KINDS = {OutputKind.PROBABILITIES, OutputKind.LABEL_AND_PROBABILITIES}


def metadata_for(
    algorithm: Algorithm, kind: OutputKind, actions: tuple[Signal, ...] = ACTIONS
) -> ModelMetadata:
    return ModelMetadata(
        algorithm=algorithm,
        output=kind,
        observation_dim=4,
        actions=None if kind.is_continuous else actions,
    )


def outputs_for(kind: OutputKind, rows: int, seed: int) -> dict[str, NDArray[np.float32]]:
    random = np.random.default_rng(seed)
    if not kind.is_continuous:
        values = random.normal(scale=3.0, size=(rows, 3))
        if kind in PROBABILITY_KINDS:
            values = np.exp(values) / np.exp(values).sum(axis=1, keepdims=True)
        return {OUTPUT_ROLES[kind][0]: values.astype(np.float32)}
    outputs = {role: random.normal(size=(rows, 1)) for role in OUTPUT_ROLES[kind]}
    if "deviation" in outputs:
        outputs["deviation"] = np.exp(outputs["deviation"])
    return {role: values.astype(np.float32) for role, values in outputs.items()}


def row_of(outputs: Outputs, row: int) -> dict[str, NDArray[np.generic]]:
    return {role: values[row : row + 1] for role, values in outputs.items()}


def test_every_algorithm_has_a_decoder() -> None:
    assert set(DECODERS) == set(Algorithm)


@pytest.mark.parametrize(("algorithm", "kind"), EVERY_KIND)
@given(rows=st.integers(1, 8), seed=st.integers(0, 2**32 - 1))
def test_what_is_decoded_is_a_probability_vector_per_row(
    algorithm: Algorithm, kind: OutputKind, rows: int, seed: int
) -> None:
    decoded = DECODERS[algorithm].decode(
        outputs_for(kind, rows, seed), metadata_for(algorithm, kind)
    )
    assert decoded.shape == (rows, 3)
    assert decoded.dtype == np.float64
    assert decoded.min() >= 0.0
    np.testing.assert_allclose(decoded.sum(axis=1), 1.0, atol=1e-6)


@pytest.mark.parametrize(("algorithm", "kind"), EVERY_KIND)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_row_alone_is_decoded_as_within_a_batch(
    algorithm: Algorithm, kind: OutputKind, seed: int
) -> None:
    metadata = metadata_for(algorithm, kind)
    outputs = outputs_for(kind, 5, seed)
    batch = DECODERS[algorithm].decode(outputs, metadata)
    for row in range(5):
        alone = DECODERS[algorithm].decode(row_of(outputs, row), metadata)
        np.testing.assert_allclose(alone[0], batch[row], rtol=1e-13, atol=1e-300)


@pytest.mark.parametrize(("algorithm", "kind"), DISCRETE)
def test_a_model_s_own_action_order_is_followed(algorithm: Algorithm, kind: OutputKind) -> None:
    role = OUTPUT_ROLES[kind][0]
    for order in permutations(ACTIONS):
        for column, action in enumerate(order):
            values = np.full((2, 3), 0.1, dtype=np.float32)
            values[:, column] = 0.8
            decoded = DECODERS[algorithm].decode(
                {role: values}, metadata_for(algorithm, kind, order)
            )
            assert [ACTIONS[index] for index in decoded.argmax(axis=1)] == [action, action]


@pytest.mark.parametrize(("algorithm", "kind"), CONTINUOUS)
def test_the_sign_of_a_continuous_action_is_its_side(
    algorithm: Algorithm, kind: OutputKind
) -> None:
    metadata = metadata_for(algorithm, kind)
    for value, expected in ((-0.9, Signal.SELL), (0.0, Signal.HOLD), (0.9, Signal.BUY)):
        centre = np.array([[value]], dtype=np.float32)
        outputs = {"mean": centre, "deviation": np.full_like(centre, 0.1), "action": centre}
        decoded = DECODERS[algorithm].decode(outputs, metadata)
        assert ACTIONS[decoded[0].argmax()] is expected


def test_logits_become_their_softmax() -> None:
    decoded = DECODERS[Algorithm.PPO].decode(
        {"logits": np.log([[0.2, 0.3, 0.5]])}, metadata_for(Algorithm.PPO, OutputKind.LOGITS)
    )
    np.testing.assert_allclose(decoded, [[0.2, 0.3, 0.5]])


def test_a_temperature_divides_q_values() -> None:
    metadata = ModelMetadata(
        algorithm=Algorithm.DQN,
        output=OutputKind.Q_VALUES,
        observation_dim=4,
        actions=ACTIONS,
        temperature=2.0,
    )
    decoded = DECODERS[Algorithm.DQN].decode(
        {"q_values": 2.0 * np.log([[0.2, 0.3, 0.5]])}, metadata
    )
    np.testing.assert_allclose(decoded, [[0.2, 0.3, 0.5]])


def test_huge_q_values_neither_overflow_nor_lose_the_winner() -> None:
    metadata = metadata_for(Algorithm.DQN, OutputKind.Q_VALUES)
    values = np.array([[-1e30, 0.0, 1e30], [1e30, 0.0, -1e30]], dtype=np.float32)
    decoded = DECODERS[Algorithm.DQN].decode({"q_values": values}, metadata)
    np.testing.assert_array_equal(decoded, [[0, 0, 1], [1, 0, 0]])


@pytest.mark.parametrize(
    ("mean", "deviation", "threshold"), [(0.0, 0.3, 0.3), (0.5, 0.2, 0.3), (-1.2, 0.7, 0.1)]
)
def test_gaussian_mass_agrees_with_a_simulation(
    mean: float, deviation: float, threshold: float
) -> None:
    actions = np.random.default_rng(1).normal(mean, deviation, 400_000)
    sell, buy = (actions < -threshold).mean(), (actions > threshold).mean()
    found = mass_beyond_threshold(np.array([[mean]]), np.array([[deviation]]), threshold)
    np.testing.assert_allclose(found, [[sell, 1 - sell - buy, buy]], atol=0.003)


def test_squashed_mass_agrees_with_a_simulation_after_the_squash() -> None:
    metadata = metadata_for(Algorithm.SAC, OutputKind.SQUASHED_GAUSSIAN)
    actions = np.tanh(np.random.default_rng(2).normal(0.2, 0.8, 400_000))
    sell, buy = (actions < -0.3).mean(), (actions > 0.3).mean()
    found = DECODERS[Algorithm.SAC].decode(
        {"mean": np.array([[0.2]]), "deviation": np.array([[0.8]])}, metadata
    )
    np.testing.assert_allclose(found, [[sell, 1 - sell - buy, buy]], atol=0.003)


@given(st.floats(-5, 5), st.floats(1e-3, 10), st.floats(0.01, 0.99))
def test_mirroring_a_gaussian_action_swaps_sell_and_buy(
    mean: float, deviation: float, threshold: float
) -> None:
    spread = np.array([[deviation]])
    one = mass_beyond_threshold(np.array([[mean]]), spread, threshold)
    other = mass_beyond_threshold(np.array([[-mean]]), spread, threshold)
    np.testing.assert_allclose(one[0], other[0][::-1], atol=1e-15)


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("deviation", [0.0, -0.1, math.nan])
def test_a_deviation_that_is_not_above_zero_is_a_fault(deviation: float, rows: int) -> None:
    with pytest.raises(InferenceFault, match="not above 0"):
        mass_beyond_threshold(np.zeros((rows, 1)), np.full((rows, 1), deviation), 0.3)


@given(st.floats(-1.5, 1.5), st.floats(0.01, 0.99))
def test_a_lone_action_trades_exactly_beyond_the_threshold(action: float, threshold: float) -> None:
    sell, hold, buy = distance_from_threshold(np.array([[action]]), threshold)[0]
    assert (max(sell, buy) > hold + 1e-12) <= (abs(action) > threshold)
    assert (hold > max(sell, buy) + 1e-12) <= (abs(action) < threshold)


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0.01, 0.99))
def test_a_larger_lone_action_is_never_less_sure(a: float, b: float, threshold: float) -> None:
    small, large = sorted((a, b))
    buys = distance_from_threshold(np.array([[small], [large]]), threshold)[:, 2]
    assert buys[0] <= buys[1] + 1e-12
