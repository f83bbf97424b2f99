"""One signed action without a deviation: a documented reading of how far it is from trading."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["distance_from_threshold"]


def distance_from_threshold(action: NDArray[np.generic], threshold: float) -> NDArray[np.float64]:
    r"""Read a lone action as a confidence, by its distance from the threshold.

    With a = \|action\|, at most 1, and t the threshold, the side that the action points to gets

    - a / (2 t)                   while a <= t: from 0 at a = 0 to one half at the threshold,
    - 1/2 + (a - t) / (2 (1 - t)) beyond it: from one half to 1 at the full position,

    HOLD gets the rest, and the other side nothing. Without a deviation there is no
    probability to be had; this is the simplest reading that is continuous, rises with the
    action, is certain at 0 and at the ends, and agrees with the rule the policy was trained
    for: the larger share is BUY or SELL exactly where \|action\| exceeds the threshold (at the
    threshold itself they tie, and a tie is HOLD). A minimum confidence of 0.60 therefore asks
    for an action of 0.44 at the default threshold of 0.30.

    Args:
        action: (n, 1) or (n,), finite; beyond -1 or 1 it counts as that limit.
        threshold: t, in (0, 1).

    Returns:
        (n, 3) float64 in the order SELL, HOLD, BUY.

    >>> distance_from_threshold(np.array([-1.0, 0.0, 0.3, 0.65]), 0.3)
    array([[1.  , 0.  , 0.  ],
           [0.  , 1.  , 0.  ],
           [0.  , 0.5 , 0.5 ],
           [0.  , 0.25, 0.75]])
    """
    if action.size == 1:  # a NumPy call costs a microsecond whatever its size; floats do not
        return np.array([_shares(action.item(), threshold)])
    signed = action.astype(np.float64).reshape(-1)
    size = np.minimum(np.abs(signed), 1.0)
    below = size / (2.0 * threshold)
    beyond = 0.5 + (size - threshold) / (2.0 * (1.0 - threshold))
    share = np.where(size <= threshold, below, beyond)
    probabilities = np.zeros((signed.size, 3))
    probabilities[:, 0] = np.where(signed < 0.0, share, 0.0)
    probabilities[:, 2] = np.where(signed > 0.0, share, 0.0)
    probabilities[:, 1] = 1.0 - share
    return probabilities


def _shares(action: float, threshold: float) -> tuple[float, float, float]:
    size = min(abs(action), 1.0)
    if size <= threshold:
        share = size / (2.0 * threshold)
    else:
        share = 0.5 + (size - threshold) / (2.0 * (1.0 - threshold))
    return (share, 1.0 - share, 0.0) if action < 0.0 else (0.0, 1.0 - share, share)
