from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.observations import known_vectors
from config.settings import Algorithm
from errors import InferenceFault
from examples.evaluate import load_exported
from runners.algorithms import DECODERS
from runners.decoder import OUTPUT_ROLES
from runners.latency import LatencyWindow
from runners.metadata import ModelMetadata, OutputKind
from runners.runner import ModelIdentity, Runner
from runners.signal import ACTIONS

MODELS = Path(__file__).parents[2] / "models" / "onnx"
OBSERVATION = np.zeros((1, 4), dtype=np.float32)
PPO = ModelMetadata(Algorithm.PPO, OutputKind.PROBABILITIES, 4, ACTIONS)
LOGITS = ModelMetadata(Algorithm.PPO, OutputKind.LOGITS, 4, ACTIONS)
TD3 = ModelMetadata(Algorithm.TD3, OutputKind.CONTINUOUS, 4)


class FixedGraph:
    """Gives the same row for every observation."""

    def __init__(self, *rows: Sequence[float], fault: str | None = None) -> None:
        self.rows = rows
        self.fault = fault

    def run(
        self, names: Sequence[str], observations: NDArray[np.float32]
    ) -> list[NDArray[np.generic]]:
        assert len(names) == len(self.rows)
        if self.fault is not None:
            raise InferenceFault(self.fault)
        return [np.array([row] * len(observations), dtype=np.float32) for row in self.rows]


def ticking(step: int) -> Iterator[int]:
    now = 0
    while True:
        yield now
        now += step


def runner_of(graph: FixedGraph, metadata: ModelMetadata = PPO, weight: float = 1.0) -> Runner:
    clock = ticking(1_000_000)
    return Runner(
        ModelIdentity("ppo", "abc", "0" * 64, weight),
        metadata,
        graph=graph,
        output_names=OUTPUT_ROLES[metadata.output],
        decoder=DECODERS[metadata.algorithm],
        timer=lambda: next(clock),
    )


def test_a_runner_knows_which_model_it_is() -> None:
    runner = runner_of(FixedGraph([0.2, 0.3, 0.5]))
    assert (runner.name, runner.version, runner.tag) == ("ppo", "abc", "ppo:abc")
    assert (runner.sha256, runner.algorithm) == ("0" * 64, Algorithm.PPO)
    assert not runner.is_shadow
    assert runner_of(FixedGraph([0.2, 0.3, 0.5]), weight=0.0).is_shadow


@pytest.mark.parametrize("rows", [1, 3])
def test_rounding_of_float32_is_normalised_away(rows: int) -> None:
    runner = runner_of(FixedGraph([0.2, 0.3, 0.50005]))
    found = runner.probabilities(np.zeros((rows, 4), dtype=np.float32))
    np.testing.assert_allclose(found.sum(axis=1), 1.0, rtol=1e-15)
    assert found.shape == (rows, 3)


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize(
    "row",
    [
        [0.2, 0.3, 0.6],
        [0.0, 0.0, 0.0],
        [-0.1, 0.5, 0.6],
        [np.nan, 0.5, 0.5],
        [np.inf, 0.0, 0.0],
        [0.5, 0.5],
        [0.25, 0.25, 0.25, 0.25],
    ],
)
def test_what_is_no_probability_vector_is_a_fault_that_names_the_model(
    row: list[float], rows: int
) -> None:
    with pytest.raises(InferenceFault, match="ppo:abc"):
        runner_of(FixedGraph(row)).probabilities(np.zeros((rows, 4), dtype=np.float32))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_number_that_is_not_finite_is_a_fault_even_where_a_softmax_would_hide_it(
    value: float,
) -> None:
    with pytest.raises(InferenceFault, match="non-finite"):
        runner_of(FixedGraph([0.0, 0.0, value]), LOGITS).probabilities(OBSERVATION)
    with pytest.raises(InferenceFault, match="non-finite"):
        runner_of(FixedGraph([value]), TD3).probabilities(OBSERVATION)


def test_a_fault_while_decoding_names_the_model() -> None:
    metadata = ModelMetadata(Algorithm.PPO, OutputKind.GAUSSIAN, 4)
    with pytest.raises(InferenceFault, match="ppo:abc: a deviation of 0"):
        runner_of(FixedGraph([0.5], [0.0]), metadata).probabilities(OBSERVATION)


def test_warm_up_finds_a_model_that_cannot_be_evaluated() -> None:
    with pytest.raises(InferenceFault, match="out of order"):
        runner_of(FixedGraph([0.2, 0.3, 0.5], fault="out of order")).warm_up()


def test_latency_counts_decisions_and_neither_batches_nor_the_warm_up() -> None:
    runner = runner_of(FixedGraph([0.2, 0.3, 0.5]))
    runner.warm_up()
    assert runner.latency().count == 0
    assert runner.latency().p50_ms is None
    runner.probabilities(OBSERVATION)
    runner.probabilities(OBSERVATION)
    runner.probabilities(np.zeros((8, 4), dtype=np.float32))
    assert (runner.latency().count, runner.latency().p50_ms) == (2, 1.0)


def test_the_latency_window_keeps_the_newest() -> None:
    window = LatencyWindow(size=100)
    for _ in range(50):
        window.add(9_000_000)
    for _ in range(100):
        window.add(2_000_000)
    summary = window.summary()
    assert (summary.count, summary.p50_ms, summary.p99_ms) == (150, 2.0, 2.0)


def test_the_latency_window_loses_no_call_of_several_threads() -> None:
    window = LatencyWindow(size=10)

    def work() -> None:
        for _ in range(2_000):
            window.add(1)
            window.summary() if _ % 500 == 0 else None

    threads = [Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert window.summary().count == 8_000


@pytest.mark.parametrize("name", ["ppo_usdcop_v3", "sac_usdcop_v2", "a2c_macro_v1"])
@pytest.mark.parametrize("rows", [1, 255, 256, 700])
def test_rows_evaluated_apart_are_to_the_bit_what_each_is_alone(name: str, rows: int) -> None:
    runner = load_exported(MODELS / f"{name}.onnx")
    observations = known_vectors()[:rows]
    apart = runner.probabilities_apart(observations)
    alone = [runner.probabilities(row[np.newaxis]) for row in observations]
    assert apart.tobytes() == np.concatenate(alone).tobytes()


class SummingGraph:
    """A graph whose rounding depends on how many rows it is asked about."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def run(
        self, names: Sequence[str], observations: NDArray[np.float32]
    ) -> list[NDArray[np.generic]]:
        del names
        self.asked.append(len(observations))
        buy = 0.25 + 1e-7 * min(len(observations), 2) + 0.1 * np.tanh(observations[:, 0])
        return [np.stack([0.5 - buy, np.full(len(buy), 0.5), buy], axis=1).astype(np.float32)]


def test_a_graph_that_rounds_otherwise_in_a_batch_is_asked_row_by_row() -> None:
    graph = SummingGraph()
    runner = Runner(
        ModelIdentity("ppo", "abc", "0" * 64, 1.0),
        PPO,
        graph=graph,
        output_names=["probabilities"],
        decoder=DECODERS[Algorithm.PPO],
    )
    observations = np.random.default_rng(5).normal(size=(300, 4)).astype(np.float32)
    apart = runner.probabilities_apart(observations)
    assert graph.asked[-300:] == [1] * 300
    alone = [runner.probabilities(row[np.newaxis]) for row in observations]
    assert apart.tobytes() == np.concatenate(alone).tobytes()
    assert apart.tobytes() != runner.probabilities(observations).tobytes()
