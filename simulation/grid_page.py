"""The page of a grid: one table and one plot for all its runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

from simulation.report_figures import BLUE, RED, Figure, axis, plain_layout
from simulation.report_page import page, plot
from simulation.report_tables import fraction, number, table, text

__all__ = ["grid_html"]

_GAIN_TO_LOSS: Final = [[0, "#c2410c"], [0.5, "#f7f7f7"], [1, "#2f855a"]]


def grid_html(rows: Sequence[Mapping[str, Any]], varied: Sequence[str], title: str) -> str:
    """A grid as a page.

    Args:
        rows: one for each combination: the varied settings by dotted name, and `pnl_percent`,
            `max_drawdown`, `sharpe`, `trades`, `hit_rate`, `refused` (status to count), `folder`.
        varied: dotted names, in order.
        title: any text.

    Returns:
        HTML; equal grids have equal pages.
    """
    parts = (
        f"<header><p>What if: {len(rows):,} combinations of {escape(', '.join(varied))}</p>"
        f"<h1>{escape(title)}</h1></header>"
        f"<section><h2>P&amp;L and drawdown</h2>{plot('grid')}</section>"
        f"<section><h2>All combinations</h2>{_table(rows, varied)}"
        '<p class="note">Each has a folder with its summary and trades. Refused: decisions in '
        "which the models said BUY or SELL, by the first rule that failed. Drawdown is from the "
        "highest equity so far, both marked to market.</p></section>"
    )
    return page(title, parts, {"grid": _figure(rows, varied)})


def _table(rows: Sequence[Mapping[str, Any]], varied: Sequence[str]) -> str:
    statuses = sorted({status for row in rows for status in row["refused"]})
    columns = (*varied, "P&L", "Max drawdown", "Sharpe", "Trades", "Hit rate", *statuses, "Folder")
    return table(
        columns,
        [
            (
                *(text(row[name]) for name in varied),
                fraction(row["pnl_percent"], signed=True),
                fraction(row["max_drawdown"]),
                number(row["sharpe"], ".2f"),
                number(row["trades"]),
                fraction(row["hit_rate"], ".1%"),
                *(number(row["refused"].get(status, 0)) for status in statuses),
                text(row["folder"]),
            )
            for row in rows
        ],
    )


def _figure(rows: Sequence[Mapping[str, Any]], varied: Sequence[str]) -> Figure:
    if len(varied) == 1:
        return _bars(rows, varied[0])
    return _heatmaps(rows, varied) if len(varied) == 2 else _scatter(rows, varied)


def _percent(value: float) -> float:
    return round(value * 100, 4)


def _bars(rows: Sequence[Mapping[str, Any]], name: str) -> Figure:
    x = [str(row[name]) for row in rows]
    data = [
        {
            "type": "bar",
            "name": told,
            "x": x,
            "y": [_percent(row[key]) for row in rows],
            "marker": {"color": colour},
            "hovertemplate": "%{y:.2f}%",
        }
        for key, told, colour in (
            ("pnl_percent", "P&L", BLUE),
            ("max_drawdown", "Max drawdown", RED),
        )
    ]
    layout = plain_layout(
        420,
        barmode="group",
        showlegend=True,
        xaxis=axis(escape(name), type="category"),
        yaxis=axis("% of capital", ticksuffix="%"),
    )
    return {"data": data, "layout": layout}


def _heatmaps(rows: Sequence[Mapping[str, Any]], varied: Sequence[str]) -> Figure:
    down, across = varied
    ys, xs = (list(dict.fromkeys(str(row[name]) for row in rows)) for name in (down, across))
    found = {(str(row[down]), str(row[across])): row for row in rows}
    data = []
    for place, (key, told) in enumerate((("pnl_percent", "P&L"), ("max_drawdown", "Max drawdown"))):
        z = [[_percent(found[y, x][key]) for x in xs] for y in ys]
        suffix = "" if place == 0 else "2"
        centred = {"colorscale": _GAIN_TO_LOSS, "zmid": 0} if place == 0 else {
            "colorscale": [[0, RED], [1, "#fff7ed"]]
        }  # fmt: skip
        data.append(
            {
                "type": "heatmap",
                "x": xs,
                "y": ys,
                "z": z,
                "text": [[f"{value:.2f}%" for value in line] for line in z],
                "texttemplate": "%{text}",
                "showscale": False,
                "xaxis": f"x{suffix}",
                "yaxis": f"y{suffix}",
                "name": told,
                "hovertemplate": f"{told}: %{{z:.2f}}%<extra></extra>",
                **centred,
            }
        )
    titles = [
        {"text": told, "xref": "paper", "yref": "paper", "x": x, "y": 1.08, "showarrow": False}
        for told, x in (("P&L", 0.22), ("Max drawdown", 0.78))
    ]
    layout = plain_layout(
        max(320, 90 + 60 * len(ys)),
        xaxis=axis(escape(across), type="category", domain=[0, 0.45]),
        yaxis=axis(escape(down), type="category"),
        xaxis2=axis(escape(across), type="category", domain=[0.55, 1], anchor="y2"),
        yaxis2=axis("", type="category", anchor="x2"),
        annotations=titles,
        margin={"l": 64, "r": 24, "t": 44, "b": 44},
    )
    return {"data": data, "layout": layout}


def _scatter(rows: Sequence[Mapping[str, Any]], varied: Sequence[str]) -> Figure:
    told = [
        "<br>".join(escape(f"{name.rpartition('.')[2]} {row[name]}") for name in varied)
        for row in rows
    ]
    data = [
        {
            "type": "scatter",
            "mode": "markers+text",
            "x": [_percent(row["max_drawdown"]) for row in rows],
            "y": [_percent(row["pnl_percent"]) for row in rows],
            "text": [escape(str(row["folder"])) for row in rows],
            "textposition": "top center",
            "hovertext": told,
            "hovertemplate": "%{hovertext}<br>P&L %{y:.2f}%, drawdown %{x:.2f}%<extra></extra>",
            "marker": {"color": BLUE, "size": 9},
        }
    ]
    layout = plain_layout(
        480,
        xaxis=axis("Max drawdown, % of capital", ticksuffix="%"),
        yaxis=axis("P&L, % of capital", ticksuffix="%"),
    )
    return {"data": data, "layout": layout}
