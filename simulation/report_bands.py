"""Breaker and halts on an axis of time: a band for each, behind whatever is drawn there."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np

from features.clock import local_seconds
from simulation.report_figures import local_texts, seconds_of
from simulation.run import Episode, Run

__all__ = ["EPISODE_NAMES", "bands", "duration_text", "is_short", "time_axis"]

EPISODE_NAMES: Final = {
    "daily_loss": "Breaker: daily loss",
    "drawdown": "Breaker: drawdown",
    "consecutive_losses": "Breaker: losses in a row",
    "halted": "Halted",
    "reducing": "Reducing",
}
_COLOURS: Final = {
    "daily_loss": "#d97706",
    "drawdown": "#9d174d",
    "consecutive_losses": "#0e7490",
    "halted": "#111827",
    "reducing": "#6b7280",
}
_PANELS: Final = ("y", "y2", "y3")
_DAY: Final = 86_400
_SHORT_DAYS: Final = 40
_WHOLE_DAY_HOURS: Final = 20
"""Of trading, from which there is no night to leave out."""


def bands(run: Run) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Traces of all episodes in each of three panels, and the axes that they stand on."""
    traces = [
        _band(run, kind, [each for each in run.episodes if each.kind == kind], panel)
        for kind in sorted({episode.kind for episode in run.episodes})
        for panel in range(len(_PANELS))
    ]
    axes = {
        f"yaxis{panel + 4}": {"overlaying": y, "range": [0, 1], "fixedrange": True,
                              "visible": False}
        for panel, y in enumerate(_PANELS)
    }  # fmt: skip
    return traces, axes if traces else {}


def _band(run: Run, kind: str, episodes: Sequence[Episode], panel: int) -> dict[str, Any]:
    end = datetime.fromtimestamp(int(run.times[-1]), UTC)
    since = seconds_of(episode.since for episode in episodes)
    until = seconds_of(episode.until or end for episode in episodes)
    colour = _COLOURS.get(kind, "#6b7280")
    told = {"text": [_told(each, run.zone) for each in episodes], "textposition": "none",
            "hovertemplate": "%{text}"}  # fmt: skip
    return {
        "type": "bar",
        "name": EPISODE_NAMES.get(kind, kind),
        "legendgroup": kind,
        "showlegend": panel == 0,
        "x": local_texts(since, run.zone),
        "y": [1] * len(episodes),
        "offset": 0,
        "width": ((until - since).clip(min=1) * 1_000).tolist(),
        "yaxis": f"y{panel + 4}",
        "opacity": 0.22,
        # Without a border an episode of minutes would vanish among years.
        "marker": {"color": colour, "line": {"color": colour, "width": 1}},
        **(told if panel == 0 else {"hoverinfo": "skip"}),
    }


def _told(episode: Episode, zone: str) -> str:
    if episode.until is None:
        return f"since {_minute(episode.since, zone)}, to the end"
    lasted = duration_text(episode.until - episode.since)
    return f"{_minute(episode.since, zone)} to {_minute(episode.until, zone)} ({lasted})"


def _minute(instant: datetime, zone: str) -> str:
    return f"{instant.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M}"


def duration_text(span: timedelta) -> str:
    """A span in the units that say it best.

    >>> duration_text(timedelta(minutes=10)), duration_text(timedelta(days=2, hours=1))
    ('10 min', '2 d 1 h')
    """
    minutes = round(span.total_seconds() / 60)
    days, hours = minutes // 1_440, minutes % 1_440 // 60
    if days:
        return f"{days} d {hours} h" if hours else f"{days} d"
    return f"{hours} h {minutes % 60} min" if hours else f"{minutes} min"


def is_short(run: Run) -> bool:
    """Whether the nights and weekends of a run are wide enough to be left out of its axis."""
    return int(run.days[-1] - run.days[0]) <= _SHORT_DAYS


def time_axis(run: Run) -> dict[str, Any]:
    """An axis of local time; of a short run without the nights and days that have no bar."""
    common = {"type": "date", "domain": [0, 1], "hoverformat": "%Y-%m-%d %H:%M"}
    if not is_short(run):
        return common
    local = local_seconds(run.times, ZoneInfo(run.zone))
    days = np.unique(local // _DAY)
    closed = np.setdiff1d(np.arange(days[0], days[-1] + 1), days)
    breaks: list[dict[str, Any]] = []
    if len(closed):
        breaks.append({"values": closed.astype("datetime64[D]").astype(str).tolist()})
    opens, closes = int((local % _DAY).min()) / 3_600, int((local % _DAY).max()) / 3_600
    if closes - opens < _WHOLE_DAY_HOURS:
        # Half an hour of air on each side, so that one day's end is not the next one's beginning.
        breaks.append({"pattern": "hour", "bounds": [closes + 0.5, max(opens - 0.5, 0)]})
    return {**common, "rangebreaks": breaks}
