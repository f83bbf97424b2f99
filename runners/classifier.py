"""Classifiers of scikit-learn (skl2onnx) and LightGBM (onnxmltools)."""

import numpy as np
from numpy.typing import NDArray

from runners.categorical import reorder
from runners.decoder import Outputs
from runners.metadata import ModelMetadata, OutputKind

__all__ = ["ClassifierDecoder"]


class ClassifierDecoder:
    """Reads the probabilities; the label beside them serves as a proof at load only.

    Columns are in the sorted order of the class labels, for a plain tensor as for a ZipMap, and
    `actions` says what each class means: labels -1, 0, 1 are usually `SELL,HOLD,BUY`, and
    labels that are words sort to `BUY,HOLD,SELL`. See `runners.classes.check_classes`.
    """

    kinds = frozenset({OutputKind.LABEL_AND_PROBABILITIES, OutputKind.PROBABILITIES})

    def decode(self, outputs: Outputs, metadata: ModelMetadata) -> NDArray[np.float64]:
        """See `runners.decoder.Decoder`."""
        return reorder(outputs["probabilities"], metadata)
