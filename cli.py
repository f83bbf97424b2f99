"""The command-line program `usdcop`."""

from __future__ import annotations

import os
import sys
from functools import cached_property

import click

from bootstrap import open_promotions
from commands.bundle import bundle
from commands.close_report import close_report
from commands.config import config
from commands.drift import drift
from commands.export import export
from commands.features import features
from commands.keys import keys
from commands.ledger import ledger
from commands.models import models
from commands.preflight import preflight
from commands.reference import reference
from commands.replay import replay_history
from config.load import LoadedSettings, load_settings
from config.settings import Settings
from errors import RequestError, ServiceError
from models.promotions import Promotions

__all__ = ["Program", "main", "usdcop"]


class Program:
    """What subcommands get: each part is made when one asks for it."""

    def settings(self) -> Settings:
        """The settings in force."""
        return self._loaded.settings

    def loaded(self) -> LoadedSettings:
        """The settings, and where each one came from."""
        return self._loaded

    def promotions(self) -> Promotions:
        """Which model versions are live, on record."""
        return open_promotions(self._loaded.settings)

    @cached_property
    def _loaded(self) -> LoadedSettings:
        return load_settings(os.environ)


class _Commands(click.Group):
    """Turns the product's own errors into one line; anything else is a fault and shows itself."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except RequestError as error:
            raise click.ClickException(error.message) from error
        except ServiceError as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.pass_context
def usdcop(context: click.Context) -> None:
    """From USD/COP observations to risk-gated, recorded decisions."""
    context.ensure_object(Program)


for command in (
    bundle, close_report, config, drift, export, features, keys, ledger, models, preflight,
    reference, replay_history,
):  # fmt: skip
    usdcop.add_command(command)


def main() -> None:
    """Run the program."""
    sys.exit(usdcop())


if __name__ == "__main__":
    main()
