"""Whether confidence means anything: how often a signal of a given confidence was right."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from monitoring.drift.share import Share
from simulation.daily import decision_bars
from simulation.run import Run

__all__ = ["calibration", "calibration_of", "edges_of", "was_right"]

LATER_BARS: Final = 12
"""An hour of five-minute bars."""

_EDGES: Final = np.array([0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
_CROWDED: Final = 0.75
_FIFTHS: Final = np.linspace(0.0, 1.0, 6)


def calibration(run: Run) -> dict[str, Any]:
    """Calibration of the closed trades, and of every BUY and SELL that the models said.

    `trades` holds the confidence of an approval against whether its trade earned anything after
    costs. `next_bar` and `next_12_bars` hold the confidence of all signals, refused ones included,
    against the move of the close from the bar of the decision to the next one and to the twelfth
    after it, within the day: they say what the models know, whatever the limits let through. What
    did not move counts for neither.

    Returns:
        By name what `calibration_of` gives.
    """
    traded = [trade for trade in run.trades if trade.pnl_percent != 0]
    return {
        "trades": calibration_of(
            np.array([trade.confidence for trade in traded], dtype=np.float64),
            np.array([trade.pnl_percent > 0 for trade in traded], dtype=bool),
        ),
        "next_bar": calibration_of(*was_right(run, 1)),
        f"next_{LATER_BARS}_bars": calibration_of(*was_right(run, LATER_BARS)),
    }


def was_right(run: Run, bars: int) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Confidence of each BUY and SELL, and whether the close moved that way, shape (m,) each.

    Left out: decisions without so many bars after them on their day, without a price at either
    end, without a confidence, and those after which the close was the same.

    Args:
        run: that was decided.
        bars: from the bar of the decision to the one that it is held against, 1 or more.
    """
    signals = np.array([str(each) for each in run.decisions["raw_signal"]], dtype=object)
    side = (signals == "BUY").astype(np.int64) - (signals == "SELL").astype(np.int64)
    confidence = np.asarray(run.decisions["confidence"], dtype=np.float64)
    at = decision_bars(run)
    later = np.minimum(at + bars, len(run.times) - 1)
    same_day = (later - at == bars) & (run.days[later] == run.days[at])
    moved = np.nan_to_num(run.closes[later] - run.closes[at])
    counted = (side != 0) & same_day & (moved != 0) & np.isfinite(confidence)
    right: NDArray[np.bool_] = side * moved > 0
    return confidence[counted], right[counted]


def calibration_of(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> dict[str, Any]:
    """How confidence and outcome agree, JSON values.

    `brier` is the mean of (confidence - outcome)^2, outcome 1 or 0 (G. W. Brier 1950), 0 to 1, 0
    the best. `calibration_error` is the expected calibration error over the bins: the sum of
    share of bin x |hit rate - mean confidence| (M. P. Naeini and others 2015). `low` and `high`
    are Wilson's 95% interval of a hit rate. All are None where nothing was decided.

    Args:
        confidence: 0 to 1, shape (m,).
        right: outcomes, shape (m,).
    """
    count = len(confidence)
    edges = edges_of(confidence)
    bins = _bins(confidence, right, edges)
    apart = [each["count"] * abs(each["hit_rate"] - each["mean_confidence"]) for each in bins]
    return {
        **_rates(confidence, right),
        "brier": float(np.mean((confidence - right) ** 2)) if count else None,
        "calibration_error": sum(apart) / count if count else None,
        "bins": bins,
    }


def edges_of(confidence: NDArray[np.float64]) -> NDArray[np.float64]:
    """Edges of bins, rising, 2 or more: tenths from 0.5, and what is below in one bin.

    Where three quarters or more of the values would share one of these, the edges are their
    fifths instead, as far as they differ.

    >>> edges_of(np.array([0.4, 0.55, 0.75, 0.9])).tolist()
    [0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
    >>> edges_of(np.array([0.4, 0.42, 0.44, 0.46, 0.48])).round(3).tolist()
    [0.4, 0.416, 0.432, 0.448, 0.464, 0.48]
    """
    if not len(confidence):
        return _EDGES
    if np.bincount(_places(confidence, _EDGES)).max() < _CROWDED * len(confidence):
        return _EDGES
    fifths: NDArray[np.float64] = np.unique(np.quantile(confidence, _FIFTHS))
    return fifths if len(fifths) > 1 else np.repeat(fifths, 2)


def _places(confidence: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.int64]:
    """Each bin has its lower edge, and the last one also its upper, shape (m,)."""
    places: NDArray[np.int64] = edges[1:-1].searchsorted(confidence, side="right")
    return places


def _bins(
    confidence: NDArray[np.float64], right: NDArray[np.bool_], edges: NDArray[np.float64]
) -> list[dict[str, Any]]:
    """Those with anything in them."""
    places = _places(confidence, edges)
    return [
        {
            "from": float(edges[place]),
            "to": float(edges[place + 1]),
            **_rates(confidence[places == place], right[places == place]),
        }
        for place in np.unique(places).tolist()
    ]


def _rates(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> dict[str, Any]:
    hits = Share(int(right.sum()), len(right))
    low, high = hits.interval if hits.of else (None, None)
    return {
        "count": hits.of,
        "hits": hits.hits,
        "mean_confidence": float(confidence.mean()) if hits.of else None,
        "hit_rate": hits.value if hits.of else None,
        "low": low,
        "high": high,
    }
