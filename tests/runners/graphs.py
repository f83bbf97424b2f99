"""Small ONNX graphs made by hand, one for each kind of output."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

DIMENSION = 4

METADATA: Mapping[str, Mapping[str, str]] = {
    "probabilities": {"algorithm": "PPO", "actions": "SELL,HOLD,BUY"},
    "logits": {"algorithm": "A2C", "actions": "SELL,HOLD,BUY"},
    "q_values": {"algorithm": "DQN", "actions": "SELL,HOLD,BUY"},
    "gaussian": {"algorithm": "PPO"},
    "squashed_gaussian": {"algorithm": "SAC"},
    "continuous": {"algorithm": "TD3"},
}

OUTPUTS: Mapping[str, Sequence[str]] = {
    "gaussian": ("mean", "deviation"),
    "squashed_gaussian": ("mean", "deviation"),
    "continuous": ("action",),
}


def metadata_of(kind: str, **changes: str | None) -> dict[str, str]:
    """The metadata of a graph of this kind; a change to None leaves the key out."""
    values: dict[str, str | None] = {
        **METADATA[kind],
        "output": kind,
        "observation_dim": str(DIMENSION),
        **changes,
    }
    return {key: value for key, value in values.items() if value is not None}


def linear_graph(
    kind: str,
    *,
    weights: NDArray[np.float64] | None = None,
    metadata: Mapping[str, str] | None = None,
    batch: str | int = "batch",
    dimension: int = DIMENSION,
    edit: Callable[[ModelProto], None] | None = None,
) -> bytes:
    """One matrix, and after it what turns its result into this kind of output.

    Args:
        kind: of output.
        weights: (dimension, 3) or (dimension, 1); a fixed one when left out.
        metadata: written into the file; that of the kind when left out.
        batch: name of the free batch axis, or its fixed length.
        dimension: length of an observation.
        edit: changes the model before it is written.
    """
    names = OUTPUTS.get(kind, (kind,))
    width = 1 if kind in OUTPUTS else 3
    if weights is None:
        weights = np.random.default_rng(7).normal(size=(dimension, width))
    nodes = [helper.make_node("MatMul", ["observation", "weights"], ["result"])]
    last = {"probabilities": "Softmax"}.get(kind, "Identity")
    nodes.append(helper.make_node(last, ["result"], [names[0]]))
    if len(names) == 2:
        nodes.append(helper.make_node("Exp", ["result"], [names[1]]))
    graph = helper.make_graph(
        nodes,
        "policy",
        [helper.make_tensor_value_info("observation", TensorProto.FLOAT, [batch, dimension])],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, [batch, width]) for n in names],
        [numpy_helper.from_array(weights.astype(np.float32), "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    written = metadata_of(kind) if metadata is None else metadata
    for key, value in written.items():
        model.metadata_props.add(key=key, value=value)
    if edit is not None:
        edit(model)
    content: bytes = model.SerializeToString()
    return content
