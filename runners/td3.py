"""TD3: twin delayed deterministic policy gradient."""

import numpy as np
from numpy.typing import NDArray

from runners.decoder import Outputs
from runners.deterministic import distance_from_threshold
from runners.gaussian import mass_beyond_threshold
from runners.metadata import DEFAULT_THRESHOLD, ModelMetadata, OutputKind

__all__ = ["Td3Decoder"]


class Td3Decoder:
    """Reads one action in [-1, 1], with a deviation where the graph gives one."""

    kinds = frozenset({OutputKind.CONTINUOUS, OutputKind.GAUSSIAN})

    def decode(self, outputs: Outputs, metadata: ModelMetadata) -> NDArray[np.float64]:
        """See `runners.decoder.Decoder`."""
        threshold = metadata.threshold or DEFAULT_THRESHOLD
        if metadata.output is OutputKind.CONTINUOUS:
            return distance_from_threshold(outputs["action"], threshold)
        return mass_beyond_threshold(outputs["mean"], outputs["deviation"], threshold)
