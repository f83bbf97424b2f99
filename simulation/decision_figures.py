"""Plots of what became of decisions, and of whether confidence meant anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from simulation.report_figures import (
    BLUE,
    GREEN,
    GREY,
    RED,
    Figure,
    axis,
    middle_note,
    plain_layout,
)

__all__ = ["calibration_figure", "hours_figure", "refusals_figure"]

_COLOURS: Final = {
    "APPROVED": GREEN,
    "HOLD_SIGNAL": "#cbd5e0",
    "LOW_CONFIDENCE": "#e2b04a",
    "OUT_OF_DISTRIBUTION": "#7a5195",
    "STALE_DATA": "#a78bba",
    "POSITION_LIMIT": "#5f9ea0",
    "MARKET_HOLIDAY": "#94a3b8",
    "OUTSIDE_TRADING_HOURS": "#64748b",
    "CIRCUIT_BREAKER_ACTIVE": RED,
    "COOLDOWN_ACTIVE": "#e07a5f",
}
_OTHERS: Final = ("#9d174d", "#d97706", "#0e7490", "#4d7c0f", "#6b21a8", "#111827")
_TABLES: Final = (
    ("trades", "closed trades", GREEN),
    ("next_bar", "every BUY and SELL, next bar", GREY),
    ("next_12_bars", "every BUY and SELL, 12 bars", BLUE),
)


def hours_figure(decisions: Mapping[str, Any]) -> Figure:
    """Decisions by local hour, stacked by status; `decisions` of the summary."""
    hours = decisions["by_hour"]
    statuses = _by_frequency(decisions)
    colours = _colours(decisions)
    ticks = [f"{each['hour']:02}:00" for each in hours]
    data = [
        {
            "type": "bar",
            "name": status,
            "x": ticks,
            "y": [each["by_status"].get(status, 0) for each in hours],
            "marker": {"color": colours[status]},
            "hovertemplate": f"{status}: %{{y:,}}<extra></extra>",
        }
        for status in statuses
    ]
    layout = plain_layout(
        360,
        barmode="stack",
        showlegend=True,
        legend={"font": {"size": 11}, "traceorder": "normal"},
        xaxis=axis("Local hour", type="category"),
        yaxis=axis("Decisions", tickformat=","),
        annotations=[] if data else [middle_note("no decision")],
    )
    return {"data": data, "layout": layout}


def refusals_figure(decisions: Mapping[str, Any]) -> Figure:
    """BUY and SELL that were refused, by the rule that refused them first."""
    refused, colours = decisions["refused_by"], _colours(decisions)
    statuses = sorted(refused, key=lambda status: refused[status]["count"])
    data = [
        {
            "type": "bar",
            "orientation": "h",
            "x": [refused[status]["count"] for status in statuses],
            "y": statuses,
            "text": [f"{refused[status]['share']:.1%}" for status in statuses],
            "textposition": "outside",
            "cliponaxis": False,
            "marker": {"color": [colours[status] for status in statuses]},
            "hovertemplate": "%{y}: %{x:,}<extra></extra>",
        }
    ]
    layout = plain_layout(
        max(360, 26 * len(statuses)),
        xaxis=axis("BUY and SELL refused", tickformat=","),
        yaxis=axis(type="category"),
        margin={"l": 64, "r": 64, "t": 24, "b": 44},
        annotations=[] if statuses else [middle_note("nothing was refused")],
    )
    return {"data": data, "layout": layout}


def calibration_figure(calibration: Mapping[str, Any]) -> Figure:
    """Confidence against how often it was right, with intervals at 95%, beside the diagonal."""
    data: list[dict[str, Any]] = [
        {
            "type": "scatter",
            "mode": "lines",
            "name": "as sure as it says",
            "x": [0, 1],
            "y": [0, 1],
            "line": {"color": GREY, "width": 1, "dash": "dot"},
            "hoverinfo": "skip",
        }
    ]
    data += [
        _bins(calibration[name]["bins"], told, colour)
        for name, told, colour in _TABLES
        if calibration[name]["bins"]
    ]
    lowest = min((x for trace in data[1:] for x in trace["x"]), default=0.5)
    layout = plain_layout(
        420,
        showlegend=True,
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        margin={"l": 64, "r": 24, "t": 56, "b": 44},
        xaxis=axis("Confidence", tickformat=".0%", range=[min(lowest - 0.05, 0.45), 1.02]),
        yaxis=axis("Was right", tickformat=".0%", range=[-0.02, 1.02]),
    )
    return {"data": data, "layout": layout}


def _bins(bins: Sequence[Mapping[str, Any]], name: str, colour: str) -> dict[str, Any]:
    rates = [each["hit_rate"] for each in bins]
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": name,
        "x": [each["mean_confidence"] for each in bins],
        "y": rates,
        "error_y": {
            "type": "data",
            "symmetric": False,
            "array": [each["high"] - each["hit_rate"] for each in bins],
            "arrayminus": [each["hit_rate"] - each["low"] for each in bins],
            "thickness": 1,
        },
        "text": [f"{each['hits']:,} of {each['count']:,}" for each in bins],
        "line": {"color": colour, "width": 1.5},
        "hovertemplate": "confidence %{x:.1%}: right %{y:.1%} (%{text})<extra></extra>",
    }


def _by_frequency(decisions: Mapping[str, Any]) -> list[str]:
    counted = decisions["by_status"]
    return sorted(counted, key=lambda status: (-counted[status]["count"], status))


def _colours(decisions: Mapping[str, Any]) -> dict[str, str]:
    """A colour for each status, the same in every plot of a page."""
    others = [status for status in _by_frequency(decisions) if status not in _COLOURS]
    given = {status: _OTHERS[place % len(_OTHERS)] for place, status in enumerate(others)}
    return {**_COLOURS, **given}
