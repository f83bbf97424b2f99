"""What the plots of a report have in common: colours, axes, times, numbers.

A figure is plain data, as plotly.js takes it: traces under `data`, everything else in `layout`.
Text that is not our own is escaped, since plotly reads tags in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from features.clock import local_seconds

__all__ = [
    "BLUE",
    "GREEN",
    "GREY",
    "INK",
    "PALE",
    "RED",
    "Figure",
    "axis",
    "limit_line",
    "local_texts",
    "middle_note",
    "percents",
    "plain_layout",
    "seconds_of",
]

Figure = dict[str, Any]

BLUE: Final = "#1f5a92"
GREEN: Final = "#2f855a"
RED: Final = "#c2410c"
GREY: Final = "#8894a3"
PALE: Final = "#e6eaee"
INK: Final = "#1c2530"

_FONT: Final = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif'


def plain_layout(height: int, **more: Any) -> dict[str, Any]:
    """The layout that all plots begin with.

    Args:
        height: pixels.
        more: by plotly's names; replaces what is here.
    """
    return {
        "height": height,
        "margin": {"l": 64, "r": 24, "t": 24, "b": 44},
        "font": {"family": _FONT, "size": 13, "color": INK},
        "paper_bgcolor": "#fff",
        "plot_bgcolor": "#fff",
        "hoverlabel": {"font": {"family": _FONT, "size": 12}},
        "showlegend": False,
        **more,
    }


def axis(title: str = "", **more: Any) -> dict[str, Any]:
    """An axis with a quiet grid."""
    return {
        "title": {"text": title, "standoff": 8},
        "gridcolor": PALE,
        "zerolinecolor": "#c3cad2",
        "automargin": True,
        **more,
    }


def limit_line(value: float, text: str, y: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """A horizontal line across a plot, and what is written on it.

    Args:
        value: where, in the axis' own unit.
        text: of ours, or escaped.
        y: name of the axis, as `y2`.
    """
    line = {"color": RED, "width": 1.5, "dash": "dash"}
    shape = {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "yref": y, "y0": value, "y1": value,
             "line": line}  # fmt: skip
    note = {"text": text, "xref": "paper", "x": 1, "xanchor": "right", "yref": y, "y": value,
            "yanchor": "bottom", "showarrow": False, "font": {"color": RED, "size": 12},
            "bgcolor": "rgba(255,255,255,0.75)"}  # fmt: skip
    return shape, note


def middle_note(text: str) -> dict[str, Any]:
    """What is written into a plot that has nothing to show."""
    return {"text": text, "xref": "paper", "yref": "paper", "x": 0.5, "y": 0.5, "showarrow": False,
            "font": {"color": "#52606f"}}  # fmt: skip


def percents(values: NDArray[np.float64]) -> list[float]:
    """Fractions as percent, to a millionth of capital; -0 is 0."""
    rounded: list[float] = (np.round(values * 100, 4) + 0.0).tolist()
    return rounded


def local_texts(instants: NDArray[np.int64] | Sequence[int], zone: str) -> list[str]:
    """Instants (seconds since 1970-01-01 UTC) on the clock of a zone, as 2026-03-02T08:05."""
    seconds = np.asarray(instants, dtype=np.int64)
    if not len(seconds):
        return []
    local = local_seconds(seconds, ZoneInfo(zone))
    texts: list[str] = np.datetime_as_string(local.astype("datetime64[s]"), unit="m").tolist()
    return texts


def seconds_of(instants: Iterable[datetime]) -> NDArray[np.int64]:
    """Aware datetimes as seconds since 1970-01-01 UTC."""
    return np.array([int(instant.timestamp()) for instant in instants], dtype=np.int64)
