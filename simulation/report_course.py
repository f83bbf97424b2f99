"""The course of a run: equity, drawdown and the P&L of each day on one axis of time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from simulation.daily import days_of
from simulation.drawdown import bars_at, gate_drawdown
from simulation.report_bands import bands, is_short, time_axis
from simulation.report_figures import (
    BLUE,
    GREEN,
    RED,
    Figure,
    axis,
    limit_line,
    local_texts,
    percents,
    plain_layout,
    seconds_of,
)
from simulation.run import Run
from simulation.thinning import extremes
from simulation.trades import Trade

__all__ = ["MARKED_TRADES", "POINTS", "course_figure"]

POINTS: Final = 3_000
"""Points of a line at most."""

MARKED_TRADES: Final = 1_500
"""Trades that are marked on the equity at most: those that won and lost most."""


def course_figure(run: Run) -> Figure:
    """Three panels above each other, with what kept entries out as bands behind them."""
    daily_traces, lowest = _daily(run)
    drawdown = gate_drawdown(run)
    lines = [
        _line(run, run.equity, "Equity", "y", BLUE),
        _line(run, drawdown, "Drawdown", "y2", RED, fill="tozeroy",
              fillcolor="rgba(194,65,12,0.15)"),
    ]  # fmt: skip
    shapes, notes = _limits(run, float(drawdown.min()), lowest)
    layout = plain_layout(
        820,
        xaxis=axis(f"Time on the clock of {run.zone}", anchor="y3", **time_axis(run)),
        yaxis=axis("Equity, %", domain=[0.52, 1], ticksuffix="%"),
        yaxis2=axis("Drawdown, %", domain=[0.27, 0.48], ticksuffix="%"),
        yaxis3=axis("P&L of the day, %", domain=[0, 0.23], ticksuffix="%"),
        shapes=shapes,
        annotations=notes,
        hovermode="x unified",
        hoversubplots="axis",
        barmode="overlay",
        showlegend=True,
        legend={"orientation": "h", "y": 1.01, "yanchor": "bottom", "x": 0},
        # Above the legend's two lines there is room for the tools.
        margin={"l": 64, "r": 24, "t": 92, "b": 44},
    )
    band_traces, band_layout = bands(run)
    return {
        "data": [*band_traces, *lines, *_trade_marks(run), *daily_traces],
        "layout": {**layout, **band_layout},
    }


def _line(
    run: Run, values: NDArray[np.float64], name: str, y: str, colour: str, **more: Any
) -> dict[str, Any]:
    chosen = extremes(run.days, values, POINTS)
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": local_texts(run.times[chosen], run.zone),
        "y": percents(values[chosen]),
        "yaxis": y,
        "line": {"color": colour, "width": 1.5},
        "hovertemplate": "%{y:.3f}%",
        "showlegend": False,
        **more,
    }


def _daily(run: Run) -> tuple[list[dict[str, Any]], float]:
    """Bars of each day's P&L with its worst moment, and the lowest of these moments."""
    days = days_of(run)
    opened, closed = run.times[days.first], run.times[days.last]
    place = {"x": local_texts((opened + closed) // 2, run.zone), "yaxis": "y3"}
    many = not is_short(run)
    # Of years a session is less than a pixel wide, and there is nothing between days to leave out.
    widths = (closed - opened).clip(min=72_000 if many else 3_600)
    bars = {
        "type": "bar",
        "name": "P&L of the day",
        "y": percents(days.pnl),
        "width": (widths * 1_000).tolist(),
        "marker": {"color": [GREEN if each >= 0 else RED for each in days.pnl.tolist()]},
        "hovertemplate": "%{y:.3f}%",
        "showlegend": False,
    }
    lows = {
        "type": "scatter",
        "mode": "markers",
        "name": "Worst of the day",
        "y": percents(days.worst),
        "marker": {"symbol": "line-ew-open", "size": 2 if many else 6, "color": "#52606f"},
        "hovertemplate": "%{y:.3f}%",
    }
    return [{**bars, **place}, {**lows, **place}], float(days.worst.min())


def _limits(
    run: Run, drawdown: float, day: float
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Lines at the limits; a limit that nothing came near is told, and drawn all the same."""
    drawn = [
        limit_line(run.limits[name] * 100, f"{title} {run.limits[name]:.2%}, worst {worst:.2%}", y)
        for name, title, worst, y in (
            ("max_drawdown", "max_drawdown", drawdown, "y2"),
            ("max_daily_loss", "max_daily_loss", day, "y3"),
        )
        if name in run.limits
    ]
    return [shape for shape, _ in drawn], [note for _, note in drawn]


def _trade_marks(run: Run) -> list[dict[str, Any]]:
    marked = sorted(run.trades, key=lambda trade: -abs(trade.pnl_percent))[:MARKED_TRADES]
    marked.sort(key=lambda trade: trade.entered_at)
    kinds: list[tuple[str, str, str, list[Trade]]] = [
        ("Long entry", "triangle-up", BLUE, [trade for trade in marked if trade.direction > 0]),
        ("Short entry", "triangle-down", "#7a5195", [t for t in marked if t.direction < 0]),
    ]
    entries = [
        _marks(run, name, symbol, colour, trades, at_entry=True)
        for name, symbol, colour, trades in kinds
    ]
    outcomes = [
        ("Exit with a gain", GREEN, [trade for trade in marked if trade.pnl_percent > 0]),
        ("Exit without", RED, [trade for trade in marked if trade.pnl_percent <= 0]),
    ]
    exits = [
        _marks(run, name, "circle", colour, trades, at_entry=False)
        for name, colour, trades in outcomes
    ]
    return [trace for trace in (*entries, *exits) if trace["x"]]


def _marks(
    run: Run, name: str, symbol: str, colour: str, trades: Sequence[Trade], *, at_entry: bool
) -> dict[str, Any]:
    instants = [trade.entered_at if at_entry else trade.exited_at for trade in trades]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": local_texts(seconds_of(instants), run.zone),
        "y": percents(run.equity[bars_at(run, instants)]),
        "text": [_entry_text(trade) if at_entry else _exit_text(trade) for trade in trades],
        "marker": {"symbol": symbol, "size": 7 if at_entry else 5, "color": colour,
                   "line": {"color": "#fff", "width": 0.5}},
        "hovertemplate": "%{text}",
        "visible": True if len(run.trades) <= 200 else "legendonly",
    }  # fmt: skip


def _entry_text(trade: Trade) -> str:
    return f"{trade.size:.2%} at {trade.entry_price:,.2f}, confidence {trade.confidence:.2f}"


def _exit_text(trade: Trade) -> str:
    return f"{trade.pnl_percent:+.3%} at {trade.exit_price:,.2f} ({trade.exit_reason})"
