"""Between which values the formula of a feature lies, where it has bounds.

A standard score among n numbers is within sqrt(n - 1); a mean of squares within n / k times the
mean of n that holds its k; a positive price over the mean of n within n. Rounded outwards, to
what float32 may show.
"""

from __future__ import annotations

from typing import Final

__all__ = ["SUPPORT"]

_HUNDRED, _SCORE_OF_60, _RATIO = (0.0, 100.0), (-7.6812, 7.6812), (-1.0, None)
SUPPORT: Final[dict[str, tuple[float | None, float | None]]] = {
    **{f"volatility_{span}": (0.0, None) for span in ("30m", "1h", "4h", "1d")},
    "volatility_ratio_1h_1d": (0.0, 2.2361),
    **{f"rsi_{n}": _HUNDRED for n in (9, 14, 21)},
    **{f"sma_ratio_{n}": (-1.0, n - 1.0) for n in (12, 20, 50, 100)},
    **{f"ema_ratio_{n}": _RATIO for n in (12, 26, 60)},
    "sma_ratio_12_50": (-1.0, 3.1667),
    "bollinger_z_20": (-4.359, 4.359),
    "bollinger_width_20": (0.0, 17.436),
    "stochastic_k_14": _HUNDRED,
    "stochastic_d_3": _HUNDRED,
    "z_score_60": _SCORE_OF_60,
    "trend_t_60": (-100.001, 100.001),
    "session_range": (0.0, None),
    "minute_sin": (-1.0, 1.0),
    "minute_cos": (-1.0, 1.0),
    "weekday": (0.0, 6.0),
    "session_progress": (0.0, 1.0),
    **{f"{column}_z": _SCORE_OF_60 for column in ("dxy", "vix", "embi")},
}
"""Feature name → least and greatest value; None where there is no such number."""
