"""Three columns, one per action: reading them in the model's own order."""

import math

import numpy as np
from numpy.typing import NDArray

from runners.metadata import ModelMetadata

__all__ = ["reorder", "softmax"]

_IDENTITY = (0, 1, 2)


def reorder(values: NDArray[np.generic], metadata: ModelMetadata) -> NDArray[np.float64]:
    """Move the model's own columns into the order SELL, HOLD, BUY.

    Args:
        values: (n, 3) in the order of `metadata.actions`.
        metadata: of the model.

    Returns:
        (n, 3) float64 in the order of `runners.signal.ACTIONS`.
    """
    exact = values.astype(np.float64)
    if metadata.columns == _IDENTITY:
        return exact
    return exact.take(metadata.columns, axis=1)


def softmax(values: NDArray[np.float64], temperature: float = 1.0) -> NDArray[np.float64]:
    """exp(v / T) normalised over each row; the row's maximum is taken off first, for range.

    Args:
        values: (n, 3), finite.
        temperature: above 0; a higher one is less sure.

    Returns:
        (n, 3); a row is the same to the bit however many there are.

    >>> softmax(np.array([[0.0, 0.0, 0.0]]))
    array([[0.33333333, 0.33333333, 0.33333333]])
    >>> softmax(np.array([[0.0, 0.0, 7000.0]]))
    array([[0., 0., 1.]])
    """
    if len(values) == 1:  # a NumPy call costs a microsecond whatever its size; floats do not
        row = values[0].tolist()
        highest = max(row)
        sell, hold, buy = [math.exp((value - highest) / temperature) for value in row]
        total = sell + hold + buy
        return np.array([[sell / total, hold / total, buy / total]])
    scaled = (values - values.max(axis=1, keepdims=True)) / temperature
    # NumPy's exp rounds otherwise than C's; mapping that over a list costs 50 ns a number.
    exponentials = np.fromiter(map(math.exp, scaled.ravel().tolist()), np.float64, scaled.size)
    exponentials = exponentials.reshape(-1, 3)
    exponentials /= (exponentials[:, 0] + exponentials[:, 1] + exponentials[:, 2])[:, np.newaxis]
    return exponentials
