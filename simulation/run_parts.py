"""Heading and tables of a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final
from zoneinfo import ZoneInfo

from simulation.report_bands import EPISODE_NAMES, duration_text
from simulation.report_tables import fraction, gain_or_loss, money, number, table, text
from simulation.run import Run

__all__ = [
    "daily_part",
    "episodes_part",
    "heading",
    "key_figures",
    "then_and_now_part",
    "trades_part",
]

SHOWN_TRADES: Final = 500


def heading(title: str, summary: Mapping[str, Any], limits: Mapping[str, Any]) -> str:
    """What was replayed, and how.

    Args:
        title: any text.
        summary: of the run.
        limits: that were in force, by name.
    """
    told, period, decisions = summary["description"], summary["period"], summary["decisions"]
    models = ", ".join(f"{model['name']}:{model['version']}" for model in told.get("models", ()))
    files = [told.get("bars_file"), told.get("macro_file"), told.get("observations_file")]
    listed = ", ".join(str(name) for name in [*files, *told.get("decisions_files", ())] if name)
    rows = {
        "Period": f"{period['from']} to {period['to']} ({period['zone']}), "
        f"{period['bars']:,} bars on {period['days']:,} days",
        "Files": listed,
        "Models": models,
        "Limits": ", ".join(f"{name} {value}" for name, value in limits.items()),
        "Configuration": str(told.get("configuration", "")),
        "Costs": f"spread {told.get('spread_bp', 0):g} bp, commission "
        f"{told.get('commission_bp', 0):g} bp a side; filled at the close of the next bar",
        "Capital": f"{period['capital_usd']:,.0f} USD; all percentages are of it",
        "Orders": f"{decisions['approved_entries']:,} entries and {decisions['approved_exits']:,} "
        f"exits approved; {summary['expired']:,} expired, {summary['not_taken']:,} not taken",
        "Ledger": f"{summary['events']:,} events, the newest is {summary['ledger_head'][:16]}",
    }
    listing = "".join(
        f"<dt>{name}</dt><dd>{escape(value)}</dd>" for name, value in rows.items() if value
    )
    return (
        f"<header><p>What these limits would have done</p><h1>{escape(title)}</h1>"
        f"{key_figures(summary)}</header><section><dl>{listing}</dl></section>"
    )


def key_figures(summary: Mapping[str, Any]) -> str:
    """One row of figures."""
    metrics, trades, limits = summary["metrics"], summary["trades"], summary["limits"]
    pnl, drawdown = metrics["pnl_percent"], limits["max_drawdown"]
    halted = sum(bool(day["kept_out"]) for day in summary["daily"])
    figures = [
        ("P&L", f"{pnl:+.2%}", f"{metrics['pnl_usd']:+,.0f} USD", gain_or_loss(pnl)),
        ("Sharpe", _or_dash(metrics["sharpe"], ".2f"), "of daily returns, a year", ""),
        ("Drawdown", f"{drawdown['worst']:.2%}",
         f"limit {_or_dash(drawdown['limit'])}; from the peak "
         f"{metrics['max_drawdown']['depth']:.2%}", ""),
        ("Worst day", f"{limits['max_daily_loss']['worst']:.2%}",
         f"limit {_or_dash(limits['max_daily_loss']['limit'])}", ""),
        ("Trades", f"{trades['count']:,}", f"{trades['per_day']:.2f} a day", ""),
        ("Hit rate", _or_dash(trades["hit_rate"], ".1%"), f"{trades['wins']:,} won", ""),
        ("Profit factor", _or_dash(trades["profit_factor"], ".2f"),
         f"costs {metrics['costs_percent']:.2%}", ""),
        ("Losses in a row", f"{limits['max_consecutive_losses']['worst']:,}",
         f"limit {limits['max_consecutive_losses']['limit']}", ""),
        ("Trades a day", f"{limits['max_trades_per_day']['worst']:,}",
         f"at most; limit {limits['max_trades_per_day']['limit']}", ""),
        ("Exposure", f"{metrics['exposure']:.1%}", "of bars with a position", ""),
        ("Days kept out", f"{halted:,}", "breaker or halt, at some bar", ""),
    ]  # fmt: skip
    boxes = "".join(
        f'<div><span>{escape(name)}</span><b class="{style}">{value}</b>'
        f"<small>{escape(more)}</small></div>"
        for name, value, more, style in figures
    )
    return f'<div class="figures">{boxes}</div>'


def _or_dash(value: float | None, form: str = ".2%") -> str:
    return "-" if value is None else format(value, form)


def then_and_now_part(told: Mapping[str, Any]) -> str:
    """What was approved then, and now; `then_and_now` of the summary."""
    approved = told["approved"]
    rows = [
        (text(change["then"]), text(change["now"]), number(change["decisions"]))
        for change in told["changes"]
    ]
    return (
        f"<p>Approved then {approved['then']:,}, now {approved['now']:,}, both times "
        f"{approved['both']:,}. The models say otherwise in {told['signals_changed']:,} cases.</p>"
        f"{table(('Then', 'Now', 'Decisions'), rows) if rows else ''}"
    )


def daily_part(daily: Sequence[Mapping[str, Any]]) -> str:
    """One row for each day, folded away."""
    columns = ("Date", "Decisions", "Approved", "Trades", "Won", "P&L", "USD", "Worst moment",
               "Equity", "Drawdown", "Kept out by")  # fmt: skip
    rows = [
        (
            text(day["date"]),
            number(day["decisions"]),
            number(day["approved"]),
            number(day["trades"]),
            number(day["wins"]),
            fraction(day["pnl_percent"], ".3%", signed=True),
            money(day["pnl_usd"]),
            fraction(day["worst_pnl_percent"], ".3%"),
            fraction(day["equity"], ".3%"),
            fraction(day["drawdown"], ".3%"),
            text(", ".join(EPISODE_NAMES.get(kind, kind) for kind in day["kept_out"])),
        )
        for day in reversed(daily)
    ]
    listed = table(columns, rows)
    return f"<details><summary>{len(rows):,} days, newest first</summary>{listed}</details>"


def trades_part(run: Run) -> str:
    """The newest trades."""
    zone = ZoneInfo(run.zone)
    columns = ("Entered", "Side", "Size", "Entry", "Exited", "Exit", "Why", "P&L", "USD",
               "Confidence")  # fmt: skip
    rows = [
        (
            text(f"{trade.entered_at.astimezone(zone):%Y-%m-%d %H:%M}"),
            text("long" if trade.direction > 0 else "short"),
            fraction(trade.size),
            number(trade.entry_price, ",.2f"),
            text(f"{trade.exited_at.astimezone(zone):%Y-%m-%d %H:%M}"),
            number(trade.exit_price, ",.2f"),
            text(trade.exit_reason.value.replace("_", " ")),
            fraction(trade.pnl_percent, ".3%", signed=True),
            money(trade.pnl_usd),
            fraction(trade.confidence, ".1%"),
        )
        for trade in reversed(run.trades[-SHOWN_TRADES:])
    ]
    left = len(run.trades) - len(rows)
    more = f"; {left:,} older ones are in trades.parquet" if left else ""
    return (
        f"<details><summary>{len(rows):,} trades, newest first{more}</summary>"
        f"{table(columns, rows)}</details>"
    )


def episodes_part(run: Run) -> str:
    """What kept entries out, and when."""
    if not run.episodes:
        return '<p class="note">Neither the breaker nor an operator kept any entry out.</p>'
    zone = ZoneInfo(run.zone)
    rows = []
    for episode in run.episodes:
        until, lasted = "the end", text("")
        if episode.until is not None:
            until = f"{episode.until.astimezone(zone):%Y-%m-%d %H:%M}"
            lasted = text(duration_text(episode.until - episode.since))
        kind = EPISODE_NAMES.get(episode.kind, episode.kind)
        since = f"{episode.since.astimezone(zone):%Y-%m-%d %H:%M}"
        rows.append((text(kind), text(since), text(until), lasted))
    return (
        f"<details><summary>Episodes of breaker and halts: {len(rows):,}</summary>"
        f"{table(('What', 'Since', 'Until', 'Lasted'), rows)}</details>"
    )
