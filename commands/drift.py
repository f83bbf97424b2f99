"""`usdcop drift`: check now, what checks found, and how far they can be believed."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import click
from rich.table import Table

from bootstrap import training_reference
from commands.context import Context, progress_of, table_console
from commands.series import Series, read_series, series_options
from config.settings import Settings
from drift_checks import open_drift_checks, training_sample
from drifting import open_drift_records
from errors import InvalidRequest
from monitoring.drift.calibration import Calibration, calibrate, found_after
from monitoring.drift.calibration_table import calibration_rows
from monitoring.drift.faults import Market
from monitoring.drift.market_sessions import market_sessions
from monitoring.drift.reading import has_session
from monitoring.drift.sessions import Session
from risk.calendar import SessionCalendar
from schemas import feature_schema

__all__ = ["drift"]

_DAY = click.DateTime(["%Y-%m-%d"])
_EPOCH = date(1970, 1, 1)
_SHOWN = 15


@click.group("drift")
def drift() -> None:
    """Whether the market, or the feed, has left what the models know."""


@drift.command()
@click.option("--no-report", is_flag=True, help="The verdict only, without the page.")
@click.option("--json", "as_json", is_flag=True, help="Print the entry as JSON.")
@click.pass_obj
def check(context: Context, /, *, no_report: bool, as_json: bool) -> None:
    """Judge the session so far, and publish the result as the service does."""
    settings = context.settings()
    schema = feature_schema(settings)
    if schema is None:
        raise InvalidRequest("drift checks need a feature schema: name one in `feature_schema`")
    reference = training_reference(settings)
    training = None if reference is None else training_sample(reference)
    checks = open_drift_checks(settings, schema, datetime.now(UTC), training)
    try:
        checked, entry = checks.judge(f"manual:{secrets.token_hex(8)}")
        if not no_report:
            entry = checks.report(checked, entry)
    finally:
        checks.close()
    if as_json:
        click.echo(json.dumps(entry))
    else:
        _print_entry(entry)


@drift.command()
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print the entries as JSON, one a line.")
@click.pass_obj
def history(context: Context, /, *, limit: int, as_json: bool) -> None:
    """What the checks of this book found, newest first."""
    records = open_drift_records(context.settings())
    try:
        entries = records.history(limit)
    finally:
        records.close()
    if as_json:
        for entry in entries:
            click.echo(json.dumps(entry))
        return
    table = Table("check", "made", "state", "drifted", "plain rule", "first reason", box=None)
    for entry in entries:
        plain, reasons = entry.get("plain") or {}, entry.get("reasons") or [""]
        table.add_row(
            str(entry.get("tick")),
            str(entry.get("at")),
            str(entry.get("state")),
            _percent(entry.get("drifted_share")),
            _percent(plain.get("share")),
            str(reasons[0]),
        )
    table_console().print(table)


@drift.command("calibrate")
@series_options
@click.option("--from", "first", type=_DAY, help="First date to judge; default: the last year.")
@click.option("--until", "last", type=_DAY, help="Last date to judge.")
@click.option(
    "--draws",
    type=click.IntRange(1, 1000),
    default=6,
    show_default=True,
    help="Faults of each kind that are drawn for a session.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="Of the draws.")
@click.option("--day", "days", type=_DAY, multiple=True, help="Also say when this day is found.")
@click.option("--alarms", is_flag=True, help="List each alarm with nothing put in.")
@click.pass_obj
def calibrate_command(
    context: Context,
    /,
    *,
    first: Any,
    last: Any,
    draws: int,
    seed: int,
    days: Any,
    alarms: bool,
    **files: Any,
) -> None:
    """Measure on BARS how often a check is wrong, and what it finds.

    Every session is judged against those before it, as it is and with faults put in.
    """
    settings = context.settings()
    series = read_series(settings, **files)
    sessions, market = _market(series, settings)
    chosen = _Period.of(sessions, first, last)
    with progress_of("judging sessions", sum(chosen.holds(one.day) for one in sessions)) as done:
        counted = calibrate(
            sessions,
            market,
            chosen.holds,
            threshold=settings.monitoring.drift_threshold,
            draws=draws,
            seed=seed,
            progress=done,
        )
    if not counted.sessions:
        raise InvalidRequest(
            "no session of that period has enough sessions before it: give more bars, or "
            "other dates"
        )
    _print_calibration(counted, chosen)
    if alarms:
        _print_alarms(counted)
    for day in days:
        _print_day(sessions, market, day.date(), settings)


@dataclass(frozen=True)
class _Period:
    """Dates to judge, as days since 1970-01-01, both included."""

    first: int
    last: int

    @classmethod
    def of(cls, sessions: list[Session], first: Any, last: Any) -> _Period:
        end = sessions[-1].day if last is None else (last.date() - _EPOCH).days
        begin = end - 365 if first is None else (first.date() - _EPOCH).days
        return cls(begin, end)

    def holds(self, day: int) -> bool:
        return self.first <= day <= self.last

    def __str__(self) -> str:
        return f"{_date(self.first)} to {_date(self.last)}"


def _market(series: Series, settings: Settings) -> tuple[list[Session], Market]:
    hours = settings.trading_hours
    calendar = SessionCalendar(hours, settings.calendar)
    sessions = market_sessions(
        series.vectors,
        series.macro,
        hours,
        has_session(hours, calendar),
    )
    return sessions, Market(series.file.bars, series.macro, hours, series.schema.names)


def _print_entry(entry: Mapping[str, Any]) -> None:
    click.echo(f"{entry['state']}: {'; '.join(entry['reasons']) or 'nothing to report'}")
    plain, reference, window = entry["plain"], entry["reference"], entry["window"]
    if window is not None:
        click.echo(f"window: {window['rows']} vectors, {window['from']} to {window['to']}")
    if reference is not None:
        click.echo(
            f"reference ({reference['kind']}): {reference['sessions']} sessions, "
            f"{reference['from']} to {reference['to']}"
        )
    if entry["drifted_share"] is not None:
        click.echo(f"drifted: {_percent(entry['drifted_share'])} of the features")
    if plain is not None:
        click.echo(
            f"plain rule (p below 0.05, last hour): {_percent(plain['share'])}; it alarms nearly "
            "always and decides nothing"
        )
    if entry["suspects"]:
        table = Table("suspect", "rule", "score", "reason", box=None)
        for suspect in entry["suspects"][:_SHOWN]:
            table.add_row(
                suspect["name"], suspect["kind"], f"{suspect['score']:.3g}", suspect["reason"]
            )
        table_console().print(table)
    _print_actions(entry["actions"])


def _print_actions(actions: Mapping[str, Any]) -> None:
    shares = ", ".join(f"{name} {share:.0%}" for name, share in actions["shares"].items())
    click.echo(
        f"actions of the last {actions['decisions']} decisions: {shares}; entropy "
        f"{actions['entropy']:.2f} nats{': ' if actions['reasons'] else ''}"
        f"{'; '.join(actions['reasons'])}"
    )


def _print_calibration(counted: Calibration, period: _Period) -> None:
    click.echo(
        f"{counted.sessions} sessions, {period}; shares with Wilson's intervals at 95%; "
        f"{len(counted.still)} checks after an hour of constant closes are listed apart"
    )
    table = Table("", "share", "due", "", box=None)
    for row in calibration_rows(counted):
        due = "" if row.least is None else f"at least {row.least:.0%}"
        due = due if row.most is None else f"at most {row.most:.1%}"
        kept = {True: "kept", False: "missed", None: ""}[row.kept]
        table.add_row(row.words, str(row.share), due, kept)
    table_console().print(table)


def _print_alarms(counted: Calibration) -> None:
    table = Table("day", "check", "alarm with nothing put in", box=None)
    for day, hour, reasons in counted.alarms:
        table.add_row(_date(day), str(hour), "; ".join(reasons[:3]))
    for day, hour in counted.still:
        table.add_row(_date(day), str(hour), "an hour of constant closes")
    table_console().print(table)


def _print_day(sessions: list[Session], market: Market, day: date, settings: Settings) -> None:
    threshold = settings.monitoring.drift_threshold
    check, reasons = found_after(sessions, market, (day - _EPOCH).days, threshold=threshold)
    told = "not found" if check is None else f"found by check {check}: {reasons[0]}"
    click.echo(f"{day}: {told}")


def _date(day: int) -> str:
    return (_EPOCH + timedelta(days=day)).isoformat()


def _percent(share: object) -> str:
    return f"{share:.0%}" if isinstance(share, int | float) else ""
