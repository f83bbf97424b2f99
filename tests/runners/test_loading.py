"""Real graphs through onnxruntime: what loads, and what is refused by name."""

import hashlib
import re
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, helper

from config.settings import Algorithm, EnsembleStrategy, ModelSettings
from errors import InvalidRequest, ModelError, ModelMismatch, ModelNotFound
from runners.ensemble import Ensemble
from runners.loading import inspect_model, load_runner
from runners.metadata import ModelMetadata
from runners.runner import Runner
from runners.session import OnnxSession
from tests.runners.graphs import DIMENSION, METADATA, OUTPUTS, linear_graph, metadata_of

OBSERVATIONS = np.random.default_rng(3).normal(size=(64, DIMENSION)).astype(np.float32)


@dataclass
class FileInMemory:
    """A version as the model store would hand it out."""

    file: bytes
    metadata: ModelMetadata
    name: str = "ppo"
    version: str = "0123456789abcdef"
    profile: bytes | None = None

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.file).hexdigest()

    def content(self) -> bytes:
        return self.file

    def reference(self) -> bytes | None:
        return self.profile


def settings_of(kind: str, **changes: Any) -> ModelSettings:
    values = {
        "name": "ppo",
        "tag": "ppo",
        "algorithm": METADATA[kind]["algorithm"],
        "observation_dim": DIMENSION,
        "action_space_size": 1 if kind in OUTPUTS else 3,
    }
    return ModelSettings.model_validate({**values, **changes})


def load(
    kind: str,
    *,
    graph: Mapping[str, Any] | None = None,
    stored: Mapping[str, str] | None = None,
    schema: str | None = None,
    **changes: Any,
) -> Runner:
    file = linear_graph(kind, **(graph or {}))
    metadata = ModelMetadata.from_mapping(metadata_of(kind) if stored is None else stored)
    return load_runner(
        settings_of(kind, **changes), FileInMemory(file, metadata), feature_schema=schema
    )


@pytest.mark.parametrize("kind", METADATA)
def test_every_kind_of_output_loads_and_gives_probabilities(kind: str) -> None:
    probabilities = load(kind).probabilities(OBSERVATIONS)
    assert probabilities.shape == (64, 3)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0)


@pytest.mark.parametrize("kind", METADATA)
def test_one_row_gives_what_it_gives_within_a_batch(kind: str) -> None:
    runner = load(kind)
    batch = runner.probabilities(OBSERVATIONS)
    for row in range(4):
        alone = runner.probabilities(OBSERVATIONS[row : row + 1])
        np.testing.assert_allclose(alone[0], batch[row], rtol=1e-5, atol=1e-7)


def test_the_action_order_of_the_file_decides_what_a_column_means() -> None:
    weights = np.zeros((DIMENSION, 3))
    weights[0, 1] = 50.0
    metadata = metadata_of("probabilities", actions="HOLD,BUY,SELL")
    graph = {"weights": weights, "metadata": metadata}
    runner = load("probabilities", graph=graph, stored=metadata)
    found = runner.probabilities(np.eye(1, DIMENSION, dtype=np.float32))
    np.testing.assert_allclose(found, [[0, 0, 1]], atol=1e-12)


def test_a_file_without_metadata_is_read_by_what_the_store_has() -> None:
    assert load("probabilities", graph={"metadata": {}}).algorithm is Algorithm.PPO


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"algorithm": "A2C"}, "algorithm is PPO in its metadata and A2C in the configuration"),
        ({"observation_dim": 45}, "observation_dim is 4 in its metadata and 45 in the config"),
        ({"action_space_size": 1}, "action_space_size 3, but the configuration says 1"),
    ],
)
def test_a_configuration_that_says_otherwise_is_refused(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ModelMismatch, match=re.escape(message)):
        load("probabilities", **changes)


@pytest.mark.parametrize(
    ("key", "value"), [("actions", "BUY,HOLD,SELL"), ("observation_dim", "5"), ("algorithm", "A2C")]
)
def test_a_file_and_a_store_that_disagree_are_refused(key: str, value: str) -> None:
    with pytest.raises(ModelMismatch, match=f"{key} is .* in the file and .* in the model store"):
        load("probabilities", graph={"metadata": metadata_of("probabilities", **{key: value})})


def test_another_feature_schema_is_refused() -> None:
    metadata = metadata_of("probabilities", feature_schema="aaaa")
    graph = {"metadata": metadata}
    with pytest.raises(ModelMismatch, match="schema aaaa, but the service computes bbbb"):
        load("probabilities", graph=graph, stored=metadata, schema="bbbb")
    load("probabilities", graph=graph, stored=metadata, schema="aaaa")
    load("probabilities", graph=graph, stored=metadata, schema=None)
    load("probabilities", schema="bbbb")


def test_a_fixed_batch_axis_is_refused() -> None:
    with pytest.raises(ModelMismatch, match="batch axis is fixed"):
        load("probabilities", graph={"batch": 1})


def test_a_graph_of_another_length_than_its_metadata_is_refused() -> None:
    with pytest.raises(ModelMismatch, match=r"reads 'observation' tensor\(float\) \(n, 5\)"):
        load("probabilities", graph={"dimension": 5, "metadata": metadata_of("probabilities")})


def test_a_graph_with_four_actions_is_refused() -> None:
    def widen(model: ModelProto) -> None:
        del model.graph.output[0].type.tensor_type.shape.dim[1]
        model.graph.output[0].type.tensor_type.shape.dim.add(dim_value=4)

    weights = np.zeros((DIMENSION, 4))
    with pytest.raises(ModelMismatch, match=r"must be \(n, 3\)"):
        load("probabilities", graph={"weights": weights, "edit": widen})


def test_a_gaussian_without_a_deviation_is_refused() -> None:
    with pytest.raises(ModelMismatch, match="needs one named 'deviation'"):
        inspect_model(
            linear_graph("gaussian", edit=lambda model: model.graph.output.pop()), source="x.onnx"
        )


def test_an_output_that_the_algorithm_does_not_have_is_refused() -> None:
    metadata = metadata_of("q_values", algorithm="PPO")
    with pytest.raises(ModelMismatch, match="'q_values' is not one that PPO has"):
        inspect_model(linear_graph("q_values", metadata=metadata), source="x.onnx")


def test_a_graph_that_forgot_its_softmax_is_found_at_load() -> None:
    metadata = {**metadata_of("logits"), "output": "probabilities"}
    with pytest.raises(ModelMismatch, match="gave no probabilities"):
        inspect_model(linear_graph("logits", metadata=metadata), source="x.onnx")


def test_a_file_without_an_action_order_is_never_guessed() -> None:
    with pytest.raises(ModelMismatch, match=r"x\.onnx: metadata key 'actions' is missing"):
        inspect_model(
            linear_graph("probabilities", metadata=metadata_of("probabilities", actions=None)),
            source="x.onnx",
        )


@pytest.mark.parametrize("kind", METADATA)
def test_every_refusal_is_one_line_that_names_the_model(kind: str) -> None:
    with pytest.raises(ModelMismatch) as refusal:
        load(kind, observation_dim=45)
    assert "\n" not in str(refusal.value)
    assert "ppo:0123456789abcdef" in str(refusal.value)


@pytest.mark.parametrize("content", [b"", b"not an onnx file", linear_graph("logits")[:150]])
def test_a_corrupt_file_is_an_error_that_names_it(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"broken\.onnx") as error:
        OnnxSession(path)
    assert "\n" not in str(error.value)


def test_a_missing_file_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match=r"absent\.onnx does not exist"):
        OnnxSession(tmp_path / "absent.onnx")


def test_a_folder_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be read"):
        OnnxSession(tmp_path)


def test_an_observation_of_the_wrong_length_is_refused_with_the_right_one() -> None:
    runner = load("probabilities")
    message = re.escape("shape (1, 7); model ppo:0123456789abcdef reads (n, 4) float32")
    wrong = np.zeros((1, 7), dtype=np.float32)
    with pytest.raises(InvalidRequest, match=message):
        runner.probabilities(wrong)
    with pytest.raises(InvalidRequest, match=message):
        Ensemble([runner], EnsembleStrategy.WEIGHTED_AVERAGE).predict(wrong)


def adding(operation: str, **attributes: Any) -> Callable[[ModelProto], None]:
    """Add to a linear graph's result what an operation makes of it."""

    def edit(model: ModelProto) -> None:
        result, output = model.graph.node[0].output[0], model.graph.node[1].output[0]
        del model.graph.node[1:]
        model.graph.node.append(helper.make_node(operation, [result], ["change"], **attributes))
        model.graph.node.append(helper.make_node("Add", [result, "change"], [output]))

    return edit


def test_a_random_graph_is_refused() -> None:
    content = linear_graph("logits", edit=adding("RandomNormalLike", seed=1.0))
    with pytest.raises(ModelMismatch, match=r"x\.onnx: it is random: about one observation"):
        inspect_model(content, source="x.onnx")


def test_a_graph_whose_rows_depend_on_each_other_is_refused() -> None:
    content = linear_graph("logits", edit=adding("ReduceMax", axes=[0], keepdims=1))
    with pytest.raises(ModelMismatch, match=r"x\.onnx: its rows depend on each other: output 'lo"):
        inspect_model(content, source="x.onnx")


def test_the_rounding_of_large_numbers_is_no_dependence() -> None:
    weights = 1e6 * np.random.default_rng(8).normal(size=(DIMENSION, 3))
    inspect_model(linear_graph("q_values", weights=weights), source="x.onnx")


def test_threads_get_the_answers_that_one_thread_gets() -> None:
    ensemble = Ensemble([load("probabilities")], EnsembleStrategy.WEIGHTED_AVERAGE)
    expected = [ensemble.predict(row[None]).probabilities for row in OBSERVATIONS]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda row: ensemble.predict(row[None]).probabilities, OBSERVATIONS))
    np.testing.assert_array_equal(found, expected)
