"""ONNX sessions: the one file that talks to onnxruntime."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from errors import InferenceFault, ModelError, ModelNotFound
from runners.layout import TensorSpec

# From 1.29 on it sends names and hashes of models to its maker, unless told before it is loaded.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime

__all__ = ["OnnxSession", "class_columns"]

_ERRORS_ONLY = 3  # onnxruntime's severity: its warnings are about graph style, not about results


class OnnxSession:
    """A loaded graph on one CPU thread, evaluated in sequence.

    Models here are tiny: a thread pool costs more than it saves, and parallel requests would
    fight for it. `run` may be called from several threads at once.

    Args:
        model: path of an ONNX file, or its bytes.
        source: what to call it in errors; the path when left out.

    Raises:
        ModelNotFound: there is no such file.
        ModelError: it is no ONNX graph that this runtime can evaluate.
    """

    def __init__(self, model: Path | bytes, *, source: str | None = None) -> None:
        self.source = source or (str(model) if isinstance(model, Path) else "model in memory")
        content = model if isinstance(model, bytes) else _read(model)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = _ERRORS_ONLY
        try:
            self._session = onnxruntime.InferenceSession(
                content, sess_options=options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # its exceptions share no base class of their own
            raise ModelError(
                f"{self.source} is no ONNX model that can be loaded: {_one_line(error)}"
            ) from error
        self.inputs = tuple(_spec(node) for node in self._session.get_inputs())
        self.outputs = tuple(_spec(node) for node in self._session.get_outputs())
        self.custom_metadata: Mapping[str, str] = dict(
            self._session.get_modelmeta().custom_metadata_map
        )
        self._input_name = self.inputs[0].name if self.inputs else ""
        self._bound: dict[tuple[str, ...], _OneRow | None] = {}
        self._class_maps = {spec.name for spec in self.outputs if spec.kind.startswith("seq(map(")}

    def run(
        self, names: Sequence[str], observations: NDArray[np.float32]
    ) -> list[NDArray[np.generic]]:
        """Evaluate the graph.

        Args:
            names: the outputs wanted, at least one.
            observations: (n, observation_dim) float32.

        Returns:
            One array per name. A ZipMap (a dictionary per row) becomes (n, classes), its
            columns in the sorted order of the class labels.

        Raises:
            InferenceFault: the runtime failed.
        """
        one_row = self._one_row(tuple(names)) if len(observations) == 1 else None
        outputs = self._evaluate(names, observations, one_row)
        if self._class_maps:
            return [
                class_columns(output) if name in self._class_maps else output
                for name, output in zip(names, outputs, strict=True)
            ]
        return outputs

    def class_labels(self, name: str, observations: NDArray[np.float32]) -> tuple[object, ...]:
        """The sorted class labels that an output's dictionaries have; empty for a plain tensor."""
        if name not in self._class_maps:
            return ()
        rows: list[dict[object, float]] = self._evaluate([name], observations)[0]
        return tuple(sorted(rows[0], key=_numbers_before_text))

    def _one_row(self, names: tuple[str, ...]) -> _OneRow | None:
        """What evaluates one row, made at the first; None for outputs without a fixed width."""
        if names not in self._bound:
            self._bound[names] = self._bind(names)
        return self._bound[names]

    def _bind(self, names: tuple[str, ...]) -> _OneRow | None:
        width = self.inputs[0].shape[-1] if self.inputs else None
        columns = {spec.name: _columns_of(spec) for spec in self.outputs}
        outputs = [(name, count) for name in names if (count := columns.get(name)) is not None]
        if width is None or len(outputs) < len(names):
            return None
        return _OneRow(self._session, self._input_name, width, outputs)

    def _evaluate(
        self,
        names: Sequence[str],
        observations: NDArray[np.float32],
        one_row: _OneRow | None = None,
    ) -> list[Any]:
        try:
            if one_row is not None:
                return one_row.run(observations)
            outputs: list[Any] = self._session.run(names, {self._input_name: observations})
        except Exception as error:  # its exceptions share no base class of their own
            raise InferenceFault(f"{self.source} failed: {_one_line(error)}") from error
        return outputs


class _OneRow:
    """Evaluates one row through arrays that stay bound.

    Half the time of `InferenceSession.run`, which checks names, makes arrays and fetches them:
    20 against 38 microseconds for the three shipped models, whose arithmetic takes 5.
    """

    def __init__(
        self, session: Any, input_name: str, width: int, outputs: Sequence[tuple[str, int]]
    ) -> None:
        self._session, self._lock = session, Lock()
        self._binding = session.io_binding()
        self._row = np.zeros((1, width), np.float32)
        self._results = [np.zeros((1, columns), np.float32) for _, columns in outputs]
        self._binding.bind_input(
            input_name, "cpu", 0, np.float32, self._row.shape, self._row.ctypes.data
        )
        for (name, _), result in zip(outputs, self._results, strict=True):
            self._binding.bind_output(name, "cpu", 0, np.float32, result.shape, result.ctypes.data)

    def run(self, observation: NDArray[np.float32]) -> list[NDArray[np.generic]]:
        """One array (1, columns) per output."""
        if observation.shape != self._row.shape:
            raise ValueError(f"a row of shape {observation.shape}, not {self._row.shape}")
        with self._lock:
            self._row[:] = observation
            self._session.run_with_iobinding(self._binding)
            return [result.copy() for result in self._results]


def _columns_of(spec: TensorSpec) -> int | None:
    """How many columns every row of an output has; None where the graph does not say."""
    fixed = spec.kind == "tensor(float)" and len(spec.shape) == 2
    return spec.shape[1] if fixed else None


def class_columns(rows: Sequence[Mapping[object, float]]) -> NDArray[np.float64]:
    """A ZipMap's dictionaries as an array (n, classes), columns in sorted label order.

    >>> class_columns([{1: 0.25, 0: 0.75}])
    array([[0.75, 0.25]])
    """
    labels = sorted(rows[0], key=_numbers_before_text)
    return np.array([[row[label] for label in labels] for row in rows], dtype=np.float64)


def _numbers_before_text(label: object) -> tuple[bool, object]:
    return isinstance(label, str), label


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise ModelNotFound(f"model file {path} does not exist") from None
    except OSError as error:
        raise ModelError(f"model file {path} cannot be read: {error.strerror}") from error


def _spec(node: Any) -> TensorSpec:
    shape = tuple(axis if isinstance(axis, int) else None for axis in node.shape)
    return TensorSpec(name=node.name, kind=node.type, shape=shape)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
