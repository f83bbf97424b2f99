"""What `usdcop` hands to its subcommands as `ctx.obj`."""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from config.load import LoadedSettings
from config.settings import Settings
from models.promotions import Promotions

__all__ = [
    "PIPE_WIDTH",
    "Context",
    "command_line_actor",
    "progress_of",
    "table_console",
    "warn_without_record",
]

PIPE_WIDTH = 200
"""Columns of a table that goes into a file or a pipe, where lines must not be folded."""


class Context(Protocol):
    """Built lazily: a command that needs no ledger opens none."""

    def settings(self) -> Settings:
        """The configuration in force; ConfigurationError when it is wrong."""
        ...

    def loaded(self) -> LoadedSettings:
        """The same, with where each value came from."""
        ...

    def promotions(self) -> Promotions:
        """The promotions on record; StoreError when the ledger cannot be read."""
        ...


def warn_without_record(promotions: Promotions) -> None:
    """Say that what is live is not known in this folder, when it is not."""
    if promotions.absence is not None:
        click.echo(
            f"Warning: {promotions.absence}. Promotions are not known here; the newest "
            "versions are taken.",
            err=True,
        )


def command_line_actor() -> str:
    """Who acts by command, as it goes on record."""
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):  # a container may run as a user without a name
        return f"cli:uid-{os.getuid()}"


def table_console() -> Console:
    """Where tables go: as wide as the terminal, or wide enough in a pipe."""
    return Console(width=None if sys.stdout.isatty() else PIPE_WIDTH)


@contextmanager
def progress_of(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar on standard error while something long goes on; call it with what is newly done."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    console = Console(stderr=True)
    with Progress(
        *columns,
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.advance(task, done)
