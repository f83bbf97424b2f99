"""Vectors of a simulated market that no shipped model was trained on, and that all of them know."""

import json
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from examples.trading_data import simulated_series
from features.reference import Reference
from features.vetoes import refused_rows

__all__ = ["known_vectors"]

_REFERENCE = Path(__file__).parents[1] / "models" / "onnx" / "reference.json"


@cache
def known_vectors() -> NDArray[np.float32]:
    """Shape (n, 45), some 3,000 of them; not to be changed."""
    vectors = simulated_series(60, seed=1234)[2].matrix
    reference = Reference.from_json(json.loads(_REFERENCE.read_text()))
    return vectors[~refused_rows(vectors, [reference])]
