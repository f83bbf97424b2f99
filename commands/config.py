"""`usdcop config`: the settings in force, and where each one came from."""

from __future__ import annotations

import json
import sys
from typing import Protocol

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from config.load import LoadedSettings
from errors import ConfigurationError

__all__ = ["config"]

WIDTH_WITHOUT_TERMINAL = 200
"""Columns of a listing that goes into a file or a pipe, where lines must not be folded."""


class HoldsSettings(Protocol):
    """What this command needs of the program's context."""

    def loaded(self) -> LoadedSettings:
        """The settings, and where each one came from."""


@click.group("config", invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@click.pass_context
def config(context: click.Context, as_json: bool) -> None:
    """Show the settings in force and where each one came from. Secrets are hidden."""
    if context.invoked_subcommand is not None:
        return
    holder: HoldsSettings = context.obj
    try:
        loaded = holder.loaded()
    except ConfigurationError as error:
        click.echo(str(error), err=True)
        context.exit(2)
    if as_json:
        click.echo(json.dumps(_document(loaded), indent=2, ensure_ascii=False))
    else:
        width = None if sys.stdout.isatty() else WIDTH_WITHOUT_TERMINAL
        Console(width=width).print(_table(loaded))


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
