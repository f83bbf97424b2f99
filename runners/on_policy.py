"""What PPO and A2C share: a policy head that is categorical or a one-dimensional Gaussian."""

import numpy as np
from numpy.typing import NDArray

from runners.categorical import reorder, softmax
from runners.decoder import Outputs
from runners.deterministic import distance_from_threshold
from runners.gaussian import mass_beyond_threshold
from runners.metadata import DEFAULT_THRESHOLD, ModelMetadata, OutputKind

__all__ = ["OnPolicyDecoder"]


class OnPolicyDecoder:
    """Reads probabilities, logits, a Gaussian action, or its mean alone."""

    kinds = frozenset(
        {
            OutputKind.PROBABILITIES,
            OutputKind.LOGITS,
            OutputKind.GAUSSIAN,
            OutputKind.CONTINUOUS,
        }
    )

    def decode(self, outputs: Outputs, metadata: ModelMetadata) -> NDArray[np.float64]:
        """See `runners.decoder.Decoder`."""
        if metadata.output is OutputKind.PROBABILITIES:
            return reorder(outputs["probabilities"], metadata)
        if metadata.output is OutputKind.LOGITS:
            return softmax(reorder(outputs["logits"], metadata))
        threshold = metadata.threshold or DEFAULT_THRESHOLD
        if metadata.output is OutputKind.GAUSSIAN:
            return mass_beyond_threshold(outputs["mean"], outputs["deviation"], threshold)
        return distance_from_threshold(outputs["action"], threshold)
