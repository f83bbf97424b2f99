"""DQN: deep Q-network, one value estimate per action."""

import numpy as np
from numpy.typing import NDArray

from runners.categorical import reorder, softmax
from runners.decoder import Outputs
from runners.metadata import DEFAULT_TEMPERATURE, ModelMetadata, OutputKind

__all__ = ["DqnDecoder"]


class DqnDecoder:
    """Softmax of the Q-values over a temperature: Boltzmann exploration's own probabilities."""

    kinds = frozenset({OutputKind.Q_VALUES})

    def decode(self, outputs: Outputs, metadata: ModelMetadata) -> NDArray[np.float64]:
        """See `runners.decoder.Decoder`."""
        temperature = metadata.temperature or DEFAULT_TEMPERATURE
        return softmax(reorder(outputs["q_values"], metadata), temperature)
