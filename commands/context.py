"""What `usdcop` hands to its subcommands as `ctx.obj`."""

from __future__ import annotations

from typing import Protocol

from config.settings import Settings
from models.promotions import Promotions

__all__ = ["Context"]


class Context(Protocol):
    """Built lazily: a command that needs no ledger opens none."""

    def settings(self) -> Settings:
        """The configuration in force; ConfigurationError when it is wrong."""
        ...

    def promotions(self) -> Promotions:
        """The promotions on record; LedgerError when the ledger cannot be read."""
        ...
