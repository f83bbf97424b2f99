"""The page that a run is judged by: complete in itself, nothing is loaded from anywhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from simulation.decision_figures import calibration_figure, hours_figure, refusals_figure
from simulation.report_course import MARKED_TRADES, POINTS, course_figure
from simulation.report_page import page, plot
from simulation.run import Run
from simulation.run_parts import daily_part, episodes_part, heading, then_and_now_part, trades_part

__all__ = ["report_html"]


def report_html(run: Run, summary: Mapping[str, Any], title: str) -> str:
    """A run as a page.

    Args:
        run: to be told of.
        summary: of this run, as `simulation.summary.summary` makes it.
        title: any text.

    Returns:
        HTML; equal runs have equal pages.
    """
    figures = {
        "course": course_figure(run),
        "hours": hours_figure(summary["decisions"]),
        "refusals": refusals_figure(summary["decisions"]),
        "calibration": calibration_figure(summary["calibration"]),
    }
    return page(title, "".join(_sections(run, summary, title)), figures)


def _sections(run: Run, summary: Mapping[str, Any], title: str) -> tuple[str, ...]:
    changed = summary.get("then_and_now")
    return (
        heading(title, summary, run.limits),
        "" if changed is None else _section("Then and now", then_and_now_part(changed)),
        _section(
            "Equity, drawdown and days against the limits",
            plot("course"),
            _course_note(run),
            episodes_part(run),
        ),
        _section(
            "What became of the decisions",
            f'<div class="pair">{plot("hours")}{plot("refusals")}</div>',
            '<p class="note">Left: all decisions, by the first rule that failed. Right: of '
            "decisions in which the models said BUY or SELL, those that were refused; the share "
            "is of all BUY and SELL.</p>",
        ),
        _section(
            "Did confidence mean anything?",
            plot("calibration"),
            '<p class="note">Each point is a bin of confidence, with Wilson\'s interval at 95%. '
            "A closed trade was right if it earned something, costs included; a BUY or SELL was "
            "right if the close of the next bar, or of the twelfth, moved its way. Points below "
            "the dotted line: surer than right.</p>",
        ),
        _section("Day by day", daily_part(summary["daily"])),
        _section("Trades", trades_part(run)),
    )


def _course_note(run: Run) -> str:
    thinned = (
        f"Lines have at most {POINTS:,} points: the highest and lowest of each stretch. "
        if len(run.times) > POINTS
        else ""
    )
    marked = (
        f"The {MARKED_TRADES:,} trades that earned or lost most are marked. "
        if len(run.trades) > MARKED_TRADES
        else ""
    )
    return (
        f'<p class="note">{thinned}{marked}Equity is marked to market at every close. Drawdown is '
        "what the risk gate judges: below the highest realised equity. A limit keeps entries out; "
        "it closes no position, so a price may jump across it. A click on a name above the plot "
        "shows or hides what it stands for, trades among it.</p>"
    )


def _section(title: str, *parts: str) -> str:
    return f"<section><h2>{title}</h2>{''.join(parts)}</section>"
