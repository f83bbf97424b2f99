"""`usdcop close-report`: what a day came to."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from close_reports import close_by_command
from commands.context import Context
from errors import InvalidRequest
from monitoring.day.close_page import close_page
from monitoring.day.close_sections import close_text

__all__ = ["close_report"]


@click.command("close-report")
@click.option("--date", "day", type=click.DateTime(["%Y-%m-%d"]), help="Default: the newest.")
@click.option(
    "--html",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write it as a page too; an existing file is replaced.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
@click.pass_obj
def close_report(context: Context, /, *, day: Any, html: Path | None, as_json: bool) -> None:
    """Tell what a day came to: decisions, trades, acts, alerts, and where the chain stood."""
    settings = context.settings()
    zone = settings.trading_hours.zone
    report = close_by_command(settings, None if day is None else day.date(), datetime.now(UTC))
    if html is not None:
        try:
            html.write_text(close_page(report, zone), encoding="utf-8")
        except OSError as error:
            raise InvalidRequest(f"{html} cannot be written: {error.strerror}") from error
    click.echo(json.dumps(report, indent=2) if as_json else close_text(report, zone))
