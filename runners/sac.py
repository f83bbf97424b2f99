"""SAC: soft actor-critic, a Gaussian action squashed into [-1, 1] by a tanh."""

import math

import numpy as np
from numpy.typing import NDArray

from runners.decoder import Outputs
from runners.deterministic import distance_from_threshold
from runners.gaussian import mass_beyond_threshold
from runners.metadata import DEFAULT_THRESHOLD, ModelMetadata, OutputKind

__all__ = ["SacDecoder"]


class SacDecoder:
    """Reads the Gaussian before the squash, or the squashed action alone.

    tanh rises everywhere, so tanh(x) > t exactly where x > atanh(t): the mass of the squashed
    action beyond the threshold is the mass of the Gaussian beyond atanh(threshold).
    """

    kinds = frozenset({OutputKind.SQUASHED_GAUSSIAN, OutputKind.CONTINUOUS})

    def decode(self, outputs: Outputs, metadata: ModelMetadata) -> NDArray[np.float64]:
        """See `runners.decoder.Decoder`."""
        threshold = metadata.threshold or DEFAULT_THRESHOLD
        if metadata.output is OutputKind.CONTINUOUS:
            return distance_from_threshold(outputs["action"], threshold)
        return mass_beyond_threshold(outputs["mean"], outputs["deviation"], math.atanh(threshold))
