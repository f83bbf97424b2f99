"""One loaded model: an observation in, probabilities over SELL, HOLD and BUY out."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from config.settings import Algorithm
from errors import InferenceFault, InvalidRequest, ModelMismatch
from features.reference import Reference
from runners.decoder import OUTPUT_ROLES, Decoder
from runners.latency import LatencySummary, LatencyWindow
from runners.metadata import ModelMetadata

__all__ = ["Graph", "ModelIdentity", "Runner"]

_SUM_TOLERANCE = 1e-4
"""float32 softmaxes are off by 1e-7; a layer that forgot its softmax is off by far more."""

_WARM_UP_ROUNDS = 20

_BLOCK = 256
"""Observations that are evaluated at once where each is to come out as if it were alone."""

_REPEAT_TOLERANCE = 1e-5
"""A row alone and in a batch is summed in another order, which float32 shows at 1e-6."""


class Graph(Protocol):
    """What a runner needs of an ONNX session."""

    def run(
        self, names: Sequence[str], observations: NDArray[np.float32]
    ) -> list[NDArray[np.generic]]:
        """Evaluate (n, observation_dim) float32; one array per name, or InferenceFault."""
        ...


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """Which model this is, and what its vote weighs.

    Args:
        name: in requests and on record.
        version: in the model store.
        sha256: of the ONNX file, 64 hexadecimal digits.
        weight: share before normalisation; 0 is a shadow.
    """

    name: str
    version: str
    sha256: str
    weight: float

    @property
    def tag(self) -> str:
        """`name:version`, as the model store writes it."""
        return f"{self.name}:{self.version}"


class Runner:
    """One loaded model. Safe to call from several threads.

    Args:
        identity: which model this is.
        metadata: what it says about itself.
        graph: the loaded graph.
        output_names: the graph's outputs in the order of the kind's roles.
        decoder: of the model's algorithm.
        timer: a monotonic clock in nanoseconds.

    Attributes:
        reference: what the model knows; None when nobody has said.
    """

    def __init__(
        self,
        identity: ModelIdentity,
        metadata: ModelMetadata,
        *,
        graph: Graph,
        output_names: Sequence[str],
        decoder: Decoder,
        timer: Callable[[], int] = time.perf_counter_ns,
    ) -> None:
        self.name = identity.name
        self.tag = identity.tag
        self.version = identity.version
        self.sha256 = identity.sha256
        self.weight = identity.weight
        self.metadata = metadata
        self.reference: Reference | None = None
        self._graph = graph
        self._output_names = tuple(output_names)
        self._roles = OUTPUT_ROLES[metadata.output]
        self._width = 1 if metadata.output.is_continuous else 3
        self._decoder = decoder
        self._timer = timer
        self._latencies = LatencyWindow()
        self._told: Callable[[int], None] | None = None
        self._exact: bool | None = None

    @property
    def algorithm(self) -> Algorithm:
        """How the model was trained."""
        return self.metadata.algorithm

    @property
    def is_shadow(self) -> bool:
        """Whether it runs and is recorded, but has no vote."""
        return self.weight == 0

    def latency(self) -> LatencySummary:
        """Durations of one-row calls; batches are not among them."""
        return self._latencies.summary()

    def tell_durations(self, to: Callable[[int], None]) -> None:
        """Tell somebody the nanoseconds of each one-row call from now on; must not block."""
        self._told = to

    def probabilities(self, observations: NDArray[np.float32]) -> NDArray[np.float64]:
        """Evaluate the model.

        Args:
            observations: (n, observation_dim) float32, finite, n at least 1.

        Returns:
            (n, 3) in the order of `runners.signal.ACTIONS`, not negative, rows summing to 1.

        Raises:
            InvalidRequest: an observation has another length than the model reads.
            InferenceFault: the model failed, or what it gave is no probability vector; the
                message names the model.
        """
        self._check_width(observations)
        started = self._timer()
        probabilities = self._evaluate(observations)
        if len(observations) == 1:
            elapsed = self._timer() - started
            self._latencies.add(elapsed)
            if self._told is not None:
                self._told(elapsed)
        return probabilities

    def probabilities_apart(self, observations: NDArray[np.float32]) -> NDArray[np.float64]:
        """Evaluate many observations as if each were alone.

        Args:
            observations: (n, observation_dim) float32, finite, n at least 1.

        Returns:
            (n, 3), each row the same to the bit as `probabilities` of it alone.

        Raises:
            InvalidRequest, InferenceFault: as `probabilities`.
        """
        self._check_width(observations)
        arrays = [
            np.concatenate(parts) for parts in zip(*self._evaluate_apart(observations), strict=True)
        ]
        return self._decoded([array[: len(observations)] for array in arrays], len(observations))

    def _evaluate_apart(
        self, observations: NDArray[np.float32]
    ) -> Iterator[list[NDArray[np.generic]]]:
        step = _BLOCK if self._blocks_are_exact() else 1
        for begin in range(0, len(observations), step):
            block = observations[begin : begin + step]
            if len(block) < step:
                block = np.pad(block, ((0, step - len(block)), (0, 0)))
            yield self._graph.run(self._output_names, block)

    def _blocks_are_exact(self) -> bool:
        """Whether rows of a full block come out as they do alone, to the bit.

        In which order a graph sums depends on the shape of its input and not on the numbers in
        it, so rows of full precision tell for all rows of blocks of this size.
        """
        if self._exact is None:
            shape = (_BLOCK, self.metadata.observation_dim)
            rows = np.random.default_rng(1).normal(size=shape).astype(np.float32)
            together = self._graph.run(self._output_names, rows)
            alone = [self._graph.run(self._output_names, rows[i : i + 1]) for i in range(_BLOCK)]
            self._exact = all(
                np.array_equal(array, np.concatenate(parts))
                for array, parts in zip(together, zip(*alone, strict=True), strict=True)
            )
        return self._exact

    def warm_up(self) -> None:
        """Evaluate a few observations, so that the first request pays for no lazy set-up.

        A decision can be recomputed from its record only by a model that says the same about
        the same observation every time, whatever else is evaluated with it.

        Raises:
            InferenceFault: the model cannot evaluate one row, or several at once.
            ModelMismatch: the model is random, or its rows depend on each other.
        """
        rows = np.random.default_rng(0).normal(size=(3, self.metadata.observation_dim))
        observations = rows.astype(np.float32)
        first = self._evaluate(observations[:1])
        for _ in range(_WARM_UP_ROUNDS):
            again = self._evaluate(observations[:1])
            if np.abs(again - first).max() > _REPEAT_TOLERANCE:
                raise ModelMismatch(
                    f"it is random: about one observation it said {first[0]}, then {again[0]}"
                )
        self._evaluate(observations)
        self._check_rows_apart(observations)

    def _check_rows_apart(self, observations: NDArray[np.float32]) -> None:
        # Raw outputs, relative to their size: a softmax would enlarge the rounding of Q-values.
        together = self._graph.run(self._output_names, observations)
        for row in range(len(observations)):
            alone = self._graph.run(self._output_names, observations[row : row + 1])
            for name, one, all_rows in zip(self._output_names, alone, together, strict=True):
                scale = max(1.0, float(np.abs(one).max()))
                difference = float(np.abs(one[0] - all_rows[row]).max())
                if difference > _REPEAT_TOLERANCE * scale:
                    raise ModelMismatch(
                        f"its rows depend on each other: output {name!r} is {one[0]} for an "
                        f"observation alone and {all_rows[row]} for the same one within a batch"
                    )

    def _check_width(self, observations: NDArray[np.float32]) -> None:
        if observations.shape[1:] != (self.metadata.observation_dim,):
            raise InvalidRequest(
                f"observations have shape {observations.shape}; model {self.tag} reads "
                f"(n, {self.metadata.observation_dim}) float32"
            )

    def _evaluate(self, observations: NDArray[np.float32]) -> NDArray[np.float64]:
        arrays = self._graph.run(self._output_names, observations)
        return self._decoded(arrays, len(observations))

    def _decoded(self, arrays: Sequence[NDArray[np.generic]], rows: int) -> NDArray[np.float64]:
        self._check_outputs(arrays, rows)
        try:
            probabilities = self._decoder.decode(
                dict(zip(self._roles, arrays, strict=True)), self.metadata
            )
        except InferenceFault as fault:
            raise InferenceFault(f"model {self.tag}: {fault}") from fault
        return self._normalised(probabilities)

    def _normalised(self, probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
        # The comparisons are written so that a NaN fails them.
        if len(probabilities) == 1:  # floats are ten times faster than NumPy on one row
            sell, hold, buy = probabilities[0].tolist()
            lowest, total = min(sell, hold, buy), sell + hold + buy
            if lowest >= 0.0 and abs(total - 1.0) <= _SUM_TOLERANCE:
                return np.array([[sell / total, hold / total, buy / total]])
            raise self._no_probabilities(lowest, total, total)
        # In this order, as for one row.
        totals = (probabilities[:, 0] + probabilities[:, 1] + probabilities[:, 2])[:, np.newaxis]
        if not (probabilities.min() >= 0.0 and np.abs(totals - 1.0).max() <= _SUM_TOLERANCE):
            raise self._no_probabilities(probabilities.min(), totals.min(), totals.max())
        probabilities /= totals
        return probabilities

    def _no_probabilities(self, lowest: float, least: float, most: float) -> InferenceFault:
        return InferenceFault(
            f"model {self.tag} gave no probabilities: smallest {lowest:.6g}, rows sum to "
            f"{least:.6g} .. {most:.6g}, must be 1"
        )

    def _check_outputs(self, arrays: Sequence[NDArray[np.generic]], rows: int) -> None:
        for name, array in zip(self._output_names, arrays, strict=True):
            if array.shape != (rows, self._width) and (self._width, array.shape) != (1, (rows,)):
                raise InferenceFault(
                    f"model {self.tag} gave output {name!r} of shape {array.shape} for {rows} "
                    f"rows; it must be ({rows}, {self._width})"
                )
            if not _is_finite(array):
                raise InferenceFault(f"model {self.tag} gave a non-finite number in {name!r}")


def _is_finite(array: NDArray[np.generic]) -> bool:
    if array.size <= 3:  # floats are ten times faster than NumPy on one row
        return all(map(math.isfinite, array.ravel().tolist()))
    return bool(np.isfinite(array).all())
