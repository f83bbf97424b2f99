"""`usdcop config`: the settings in force, where each came from, and a change put on record."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from bootstrap import configuration_values
from commands.context import Context, command_line_actor, table_console
from config.load import LoadedSettings
from config.reference import configuration_reference
from errors import ConfigurationError, InvalidRequest
from ledgers import open_book
from risk.changes import record_configuration
from risk.configuration import configuration_hash, configuration_on_record

__all__ = ["config"]


@click.group("config", invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@click.pass_context
def config(context: click.Context, as_json: bool) -> None:
    """Show the settings in force and where each one came from. Secrets are hidden."""
    if context.invoked_subcommand is not None:
        return
    holder: Context = context.obj
    try:
        loaded = holder.loaded()
    except ConfigurationError as error:
        click.echo(str(error), err=True)
        context.exit(2)
    if as_json:
        click.echo(json.dumps(_document(loaded), indent=2, ensure_ascii=False))
    else:
        table_console().print(_table(loaded))


@config.command()
@click.option("--reason", required=True, help="Why; goes on record.")
@click.pass_obj
def apply(context: Context, reason: str) -> None:
    """Put the limits and models of this configuration in force for the book.

    Services that run with others answer HOLD with CONFIG_MISMATCH from now on, until they are
    started again.
    """
    if not reason.strip():
        raise InvalidRequest("--reason is empty; say why, for the record")
    act = open_book(context.settings(), command_line_actor())
    try:
        state = act.ledger.head().state
        values = configuration_values(context.settings(), state.live_models)
        before = (
            None
            if state.configuration is None
            else configuration_on_record(act.ledger, state.configuration)
        )
        event = record_configuration(values, reason, act)
    finally:
        act.ledger.close()
    if event is None:
        click.echo(f"Nothing changes: {configuration_hash(values)[:12]} is in force already")
        return
    for line in _changes(before or {}, values):
        click.echo(line)
    click.echo(
        f"In force: {configuration_hash(values)[:12]}, record {event.sequence}. Services that run "
        "with others answer HOLD until they are started again."
    )


@config.command("reference")
def print_reference() -> None:
    """Print every setting with what it may be, as docs/configuration.md has it."""
    click.echo(configuration_reference(), nl=False)


def _changes(before: Mapping[str, Any], now: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """What is different, a line for each value."""
    for name in [*now, *(name for name in before if name not in now)]:
        one, other = before.get(name), now.get(name)
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            yield from _changes(one, other, f"{path}{name}.")
        elif one != other:
            yield f"{path}{name}: {json.dumps(one)} -> {json.dumps(other)}"


def _document(loaded: LoadedSettings) -> dict[str, object]:
    settings = {key: sourced._asdict() for key, sourced in loaded.provenance.items()}
    return {"file": str(loaded.file), "settings": settings}


def _table(loaded: LoadedSettings) -> Table:
    table = Table("setting", "value", "from", box=None, title=f"settings of {loaded.file}")
    for key, (value, origin) in loaded.provenance.items():
        # As Text, since rich would take the brackets of a list for markup.
        table.add_row(key, Text(_cell(value)), Text(origin))
    return table


def _cell(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
