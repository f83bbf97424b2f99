"""Returns and volatility over the last bars and since the session's open."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from features.windows import divide, flat_weights, stacked, weighted_sums

__all__ = ["return_features", "session_features"]

RETURN_BARS: Final = {"5m": 1, "15m": 3, "30m": 6, "1h": 12, "2h": 24, "4h": 48, "1d": 60}
VOLATILITY_BARS: Final = {"30m": 6, "1h": 12, "4h": 48, "1d": 60}
_LONGEST: Final = 60
# Columns, counted from the newest, of the closes that returns start from.
_RETURN_COLUMNS: Final = np.array([-1 - bars for bars in RETURN_BARS.values()])
_RETURNS: Final = tuple(f"log_return_{span}" for span in RETURN_BARS)
_VOLATILITIES: Final = tuple(f"volatility_{span}" for span in VOLATILITY_BARS)
_VOLATILITY_WEIGHTS: Final = stacked([flat_weights(bars) for bars in VOLATILITY_BARS.values()])


def return_features(closes: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Log returns and realised volatility, as fractions; volatility is per bar.

    Realised volatility takes the mean return as zero (Andersen and Bollerslev 1998).

    Args:
        closes: shape (rows, bars) with 61 bars or more, oldest first.

    Returns:
        name → values, shape (rows,) each.
    """
    logs = np.log(closes[:, -(_LONGEST + 1) :])
    returns = logs[:, -1:] - logs[:, _RETURN_COLUMNS]
    squares = np.square(logs[:, 1:] - logs[:, :-1])
    volatilities = np.sqrt(weighted_sums(squares, _VOLATILITY_WEIGHTS))
    features = {
        **dict(zip(_RETURNS, returns.T, strict=True)),
        **dict(zip(_VOLATILITIES, volatilities.T, strict=True)),
    }
    features["volatility_ratio_1h_1d"] = divide(
        features["volatility_1h"], features["volatility_1d"], otherwise=1.0
    )
    return features


def session_features(
    closes: NDArray[np.float64], first: NDArray[np.int64]
) -> dict[str, NDArray[np.float64]]:
    """Return and range since the session's open, as log fractions.

    Args:
        closes: shape (rows, bars), oldest first.
        first: column of each row's first bar of the newest bar's local date, shape (rows,).

    Returns:
        name → values, shape (rows,) each.
    """
    today = np.arange(closes.shape[1]) >= first[:, np.newaxis]
    greatest = np.maximum.reduce(closes, axis=-1, where=today, initial=-np.inf)
    least = np.minimum.reduce(closes, axis=-1, where=today, initial=np.inf)
    opened = closes[np.arange(len(closes)), first]
    return {
        "session_return": np.log(closes[:, -1] / opened),
        "session_range": np.log(greatest / least),
    }
