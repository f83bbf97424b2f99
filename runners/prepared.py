"""Models whose answers to known observations were worked out ahead, many at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from errors import InferenceFault
from features.evidence import Evidence
from features.reference import Reference
from features.vetoes import Veto, evidence_vetoes, refused_rows
from runners.ensemble import Ensemble, ModelOutput, Prediction

__all__ = ["Prepared", "PreparedModels", "prepare"]

_CHUNK = 8_192


@dataclass(frozen=True, eq=False)
class Prepared:
    """What an ensemble says of n observations, each as if it were alone.

    Attributes:
        matrix: the observations, float32, shape (n, observation_dim).
        prediction: of all of them; None where a model failed: then each is asked when it comes.
        refused: which of them the models' references refuse, whatever they were made of, (n,).
    """

    matrix: NDArray[np.float32]
    prediction: Prediction | None
    refused: NDArray[np.bool_]


def prepare(models: Ensemble, matrix: NDArray[np.float32]) -> Prepared:
    """Ask an ensemble about many observations.

    Args:
        models: to ask.
        matrix: float32, shape (n, observation_dim), finite, n at least 1.
    """
    refused = refused_rows(matrix, models.references(None))
    try:
        parts = [
            models.predict_apart(matrix[begin : begin + _CHUNK])
            for begin in range(0, len(matrix), _CHUNK)
        ]
    except InferenceFault:
        return Prepared(matrix, None, refused)
    return Prepared(matrix, _joined(parts), refused)


def _joined(parts: Sequence[Prediction]) -> Prediction:
    first = parts[0]
    outputs = []
    for position, output in enumerate(first.outputs):
        said = [part.outputs[position].probabilities for part in parts]
        whole = np.concatenate([rows for rows in said if rows is not None])
        outputs.append(output._replace(probabilities=whole))
    return Prediction(
        first.model_name,
        np.concatenate([part.probabilities for part in parts]),
        tuple(signal for part in parts for signal in part.signals),
        np.concatenate([part.confidence for part in parts]),
        tuple(outputs),
    )


class PreparedModels:
    """An ensemble that remembers. What it was not prepared for it asks the models.

    An observation is known by its bytes, so whoever asks gets what the models would have said.

    Args:
        models: for everything else.
        prepared: what is known.
    """

    def __init__(self, models: Ensemble, prepared: Prepared) -> None:
        self._models, self._prepared = models, prepared
        self._rows = {row.tobytes(): index for index, row in enumerate(prepared.matrix)}
        whole = prepared.prediction
        self._said = [
            (output, output.probabilities)
            for output in (() if whole is None else whole.outputs)
            if output.probabilities is not None
        ]

    def predict(self, observations: NDArray[np.float32]) -> Prediction:
        """The ensemble's view of (n, observation_dim) rows."""
        whole, row = self._prepared.prediction, self._row(observations)
        if whole is None or row is None:
            return self._models.predict(observations)
        one = slice(row, row + 1)
        outputs = tuple(
            ModelOutput(output.name, output.tag, output.version, output.weight, rows[one])
            for output, rows in self._said
        )
        return Prediction(
            whole.model_name,
            whole.probabilities[one],
            whole.signals[one],
            whole.confidence[one],
            outputs,
        )

    def predict_one(self, observations: NDArray[np.float32], name: str) -> Prediction:
        """One model's view of them."""
        return self._models.predict_one(observations, name)

    def references(self, name: str | None) -> tuple[Reference, ...]:
        """What those know that decide: the named model, or all that have a vote."""
        return self._models.references(name)

    def vetoes(
        self, vector: NDArray[np.float32], evidence: Evidence | None, name: str | None
    ) -> tuple[Veto, ...]:
        """What those say against a vector."""
        row = self._row(vector) if name is None else None
        if row is None or self._prepared.refused[row]:
            return self._models.vetoes(vector, evidence, name)
        return evidence_vetoes(evidence, self._models.references(name))

    def _row(self, observations: NDArray[np.float32]) -> int | None:
        return self._rows.get(observations.tobytes())
