"""What `usdcop` hands to its subcommands as `ctx.obj`."""

from __future__ import annotations

from typing import Protocol

import click

from config.settings import Settings
from models.promotions import Promotions

__all__ = ["Context", "warn_without_record"]


class Context(Protocol):
    """Built lazily: a command that needs no ledger opens none."""

    def settings(self) -> Settings:
        """The configuration in force; ConfigurationError when it is wrong."""
        ...

    def promotions(self) -> Promotions:
        """The promotions on record; LedgerError when the ledger cannot be read."""
        ...


def warn_without_record(promotions: Promotions) -> None:
    """Say that what is live is not known in this folder, when it is not."""
    if promotions.absence is not None:
        click.echo(
            f"Warning: {promotions.absence}. Promotions are not known here; the newest "
            "versions are taken.",
            err=True,
        )
