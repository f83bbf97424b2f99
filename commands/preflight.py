"""`usdcop preflight`: can trading begin?"""

from __future__ import annotations

import json
from datetime import UTC, datetime

import click
from rich.table import Table
from rich.text import Text

from commands.context import Context, command_line_actor, table_console
from monitoring.day.preflight import Preflight, Readiness
from preflights import look_by_command

__all__ = ["preflight"]

_STYLES = {
    Readiness.ARMED: "green",
    Readiness.WARNING: "yellow",
    Readiness.NOT_ARMED: "bold red",
}


@click.command("preflight")
@click.option("--send", is_flag=True, help="Send a test message to every address of alerts.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@click.pass_context
def preflight(context: click.Context, send: bool, as_json: bool) -> None:
    """Look at all that trading rests on; exit with 1 when the book is not armed.

    The look goes on record, which proves that the ledger takes an event; it changes no state.
    """
    holder: Context = context.obj
    found = look_by_command(holder.settings(), command_line_actor(), datetime.now(UTC), send=send)
    if as_json:
        click.echo(json.dumps(found.to_json(), indent=2))
    else:
        _print(found)
    context.exit(0 if found.may_begin else 1)


def _print(found: Preflight) -> None:
    table = Table("", "check", "what is", "what would be right", box=None)
    for check in found.checks:
        # As Text, since rich would take brackets for markup.
        table.add_row(
            Text(check.state.value, style=_STYLES[check.state]),
            Text(check.name),
            Text(check.found),
            Text(check.right),
        )
    console = table_console()
    console.print(table)
    session = "no session that is known of" if found.session is None else f"{found.session}"
    blocking = found.named(Readiness.NOT_ARMED)
    told = f"NOT ARMED for {session}: {', '.join(blocking)}" if blocking else f"armed for {session}"
    warnings = found.named(Readiness.WARNING)
    console.print(Text(told + (f"; warnings: {', '.join(warnings)}" if warnings else "")))
