"""The contract that every algorithm's decoder fulfils."""

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from runners.metadata import ModelMetadata, OutputKind

__all__ = ["OUTPUT_ROLES", "Decoder", "Outputs"]

Outputs = Mapping[str, NDArray[np.generic]]
"""A graph's outputs by what they are: the names in `OUTPUT_ROLES`, one row per observation."""

OUTPUT_ROLES: Mapping[OutputKind, tuple[str, ...]] = {
    OutputKind.PROBABILITIES: ("probabilities",),
    OutputKind.LOGITS: ("logits",),
    OutputKind.Q_VALUES: ("q_values",),
    OutputKind.CONTINUOUS: ("action",),
    OutputKind.GAUSSIAN: ("mean", "deviation"),
    OutputKind.SQUASHED_GAUSSIAN: ("mean", "deviation"),
    OutputKind.LABEL_AND_PROBABILITIES: ("probabilities",),
}
"""What a decoder gets for each kind of output. A classifier's label is not needed."""


class Decoder(Protocol):
    """Reads one algorithm's raw outputs."""

    @property
    def kinds(self) -> frozenset[OutputKind]:
        """The kinds of output that models of this algorithm may have."""
        ...

    def decode(self, outputs: Outputs, metadata: ModelMetadata) -> NDArray[np.float64]:
        """Turn raw outputs into probabilities.

        Args:
            outputs: finite arrays (n, 3) or (n, 1), named as `OUTPUT_ROLES` says.
            metadata: of the model; its `output` is one of `kinds`.

        Returns:
            (n, 3) in the order of `runners.signal.ACTIONS`: not negative, rows sum to 1 as
            closely as the model's own probabilities do.

        Raises:
            InferenceFault: an output is impossible, such as a deviation of zero.
        """
        ...
