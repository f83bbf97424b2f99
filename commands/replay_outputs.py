"""What a replay came to: into its folder, and in a few lines on the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click
from rich.table import Table

from commands.context import table_console
from errors import InvalidRequest
from features.tables import write_columns
from simulation.output import write_json, write_text
from simulation.run import Run
from simulation.tables import trade_columns

__all__ = ["LEDGER_FILE", "print_day", "print_grid", "print_summary", "write_grid", "write_run"]

LEDGER_FILE = "ledger.db"
_SHOWN_CHANGES = 10


def write_run(folder: Path, run: Run, told: Mapping[str, Any], title: str) -> None:
    """Summary, tables and report of a run."""
    # No other command needs plotly.
    from simulation.run_page import report_html  # noqa: PLC0415

    write_json(folder / "summary.json", told)
    write_columns(folder / "decisions.parquet", run.decisions)
    write_columns(folder / "trades.parquet", trade_columns(run.trades))
    write_text(folder / "report.html", report_html(run, told, title))


def print_day(run: Run, day: date) -> None:
    """Walk through one local date, decision by decision, with the trades between them.

    Raises:
        InvalidRequest: there is no decision on that date.
    """
    zone = ZoneInfo(run.zone)
    lines = sorted([*_decision_lines(run, day, zone), *_trade_lines(run, day, zone)])
    if not lines:
        raise InvalidRequest(f"--explain {day}: nothing was decided on that date")
    table = Table("at", "close", "what", "why", box=None)
    for at, _, close, what, why in lines:
        table.add_row(f"{at:%H:%M:%S}", close, what, why)
    table_console().print(table)


_Line = tuple[datetime, int, str, str, str]


def _decision_lines(run: Run, day: date, zone: ZoneInfo) -> list[_Line]:
    lines = []
    columns = run.decisions
    for row, moment in enumerate(columns["decided_at"]):
        at = moment.astype(datetime).replace(tzinfo=UTC).astimezone(zone)
        if at.date() != day:
            continue
        said = f"{columns['raw_signal'][row]} {columns['confidence'][row]:.0%}"
        status = columns["risk_status"][row]
        if columns["approved"][row]:
            verb = "exit" if columns["reduces"][row] else "entry"
            status = f"approved {verb} of {columns['size'][row]:.2%}"
        why = columns["reasons"][row].partition("; ")[0]
        lines.append((at, 2, f"{columns['close'][row]:.2f}", f"{said}: {status}", why))
    return lines


def _trade_lines(run: Run, day: date, zone: ZoneInfo) -> list[_Line]:
    lines = []
    for trade in run.trades:
        side = "long" if trade.direction > 0 else "short"
        entered, exited = trade.entered_at.astimezone(zone), trade.exited_at.astimezone(zone)
        if entered.date() == day:
            what = f"filled: {side} {trade.size:.2%} at {trade.entry_price:.2f}"
            lines.append((entered, 1, f"{trade.entry_close:.2f}", what, ""))
        if exited.date() == day:
            what = f"closed at {trade.exit_price:.2f}: {trade.pnl_percent:+.4%}"
            why = f"{trade.exit_reason.value.replace('_', ' ')}, {trade.pnl_usd:+,.2f} USD"
            lines.append((exited, 0, f"{trade.exit_close:.2f}", what, why))
    return lines


def print_summary(told: Mapping[str, Any]) -> None:
    """The figures that a person looks at first."""
    period, metrics, trades = told["period"], told["metrics"], told["trades"]
    click.echo(
        f"{period['from']} to {period['to']} ({period['zone']}): {period['bars']:,} bars, "
        f"{told['decisions']['count']:,} decisions, {trades['count']:,} trades"
    )
    table = Table("figure", "value", "limit", "used", box=None)
    table.add_row("P&L", f"{_percent(metrics['pnl_percent'])} ({metrics['pnl_usd']:+,.0f} USD)")
    table.add_row("costs", _percent(metrics["costs_percent"]))
    table.add_row("Sharpe ratio", _number(metrics["sharpe"]))
    table.add_row("max drawdown", _percent(metrics["max_drawdown"]["depth"]))
    table.add_row("hit rate", _percent(trades["hit_rate"]))
    table.add_row("profit factor", _number(trades["profit_factor"]))
    table.add_row("exposure", _percent(metrics["exposure"]))
    for name, neared in told["limits"].items():
        worst, limit = (_limited(neared[key]) for key in ("worst", "limit"))
        table.add_row(f"worst, of {name}", worst, limit, _percent(neared["used"]))
    table_console().print(table)
    _print_refused(told["decisions"]["refused_by"])
    if "then_and_now" in told:
        _print_then_and_now(told["then_and_now"])


def _print_refused(refused: Mapping[str, Mapping[str, Any]]) -> None:
    counts = sorted(((kind["count"], status) for status, kind in refused.items()), reverse=True)
    listed = ", ".join(f"{status} {count:,}" for count, status in counts)
    click.echo(f"BUY and SELL refused by: {listed or 'nothing'}")


def _print_then_and_now(told: Mapping[str, Any]) -> None:
    approved = told["approved"]
    click.echo(
        f"approved then {approved['then']:,}, now {approved['now']:,}, both {approved['both']:,}; "
        f"the models say otherwise in {told['signals_changed']:,} cases"
    )
    for change in told["changes"][:_SHOWN_CHANGES]:
        click.echo(f"  {change['then']} then, {change['now']} now: {change['decisions']:,}")


def write_grid(
    folder: Path, rows: Sequence[Mapping[str, Any]], varied: Sequence[str], title: str
) -> None:
    """Table and plot of a grid."""
    from simulation.grid_page import grid_html  # noqa: PLC0415

    write_json(folder / "grid.json", {"varied": list(varied), "rows": [dict(row) for row in rows]})
    write_text(folder / "grid.html", grid_html(rows, varied, title))


def print_grid(rows: Sequence[Mapping[str, Any]], varied: Sequence[str]) -> None:
    """One line for each combination."""
    statuses = sorted({status for row in rows for status in row["refused"]})
    names = [key.rpartition(".")[2] for key in varied]
    table = Table(*names, "P&L", "max drawdown", "Sharpe", "trades", *statuses, box=None)
    for row in rows:
        table.add_row(
            *(str(row[key]) for key in varied),
            _percent(row["pnl_percent"]),
            _percent(row["max_drawdown"]),
            _number(row["sharpe"]),
            f"{row['trades']:,}",
            *(f"{row['refused'].get(status, 0):,}" for status in statuses),
        )
    table_console().print(table)


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.2%}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _limited(value: float | None) -> str:
    """A limit in its own unit: a count, or a fraction of capital."""
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else f"{value:.2%}"
