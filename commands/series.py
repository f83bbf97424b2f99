"""What commands that read bars have in common: their options, and the way to a feature matrix."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click
from rich.console import Console
from rich.progress import Progress

from config.settings import Settings, TradingHours
from features.bars import BarSeries
from features.compute import WINDOW, FeatureSeries, compute_series
from features.files import BarFile, read_bars, read_macro
from features.macro import MacroSeries
from features.schema import USDCOP_M5, Schema
from schemas import feature_schema

__all__ = ["INPUT_FILE", "ZONE", "Series", "compute_vectors", "read_series", "series_options"]

INPUT_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True, eq=False)
class Series:
    """A bar file, the macro values beside it, and the vectors made of both by a schema."""

    file: BarFile
    macro: MacroSeries | None
    vectors: FeatureSeries
    schema: Schema


class _Zone(click.ParamType[ZoneInfo]):
    """An IANA time zone."""

    name = "zone"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> ZoneInfo:
        try:
            return ZoneInfo(str(value))
        except (ZoneInfoNotFoundError, ValueError, OSError):
            self.fail(f"{value!r} is no IANA time zone; for example America/Bogota", param, ctx)


ZONE = _Zone()


def series_options(command: Command) -> Command:
    """BARS, and what belongs to it."""
    for option in (
        click.option("--timezone", type=ZONE, help="Zone of times that carry none."),
        click.option("--confirm", is_flag=True, help="Macro values that look wrong are meant."),
        click.option(
            "--allow-missing-macro",
            is_flag=True,
            help="Go without: 0 for the seven macro features.",
        ),
        click.option("--macro", type=INPUT_FILE, help="Daily macro values: CSV or Parquet."),
        click.argument("bars", type=INPUT_FILE),
    ):
        command = option(command)
    return command


def read_series(
    settings: Settings,
    *,
    bars: Path,
    macro: Path | None,
    allow_missing_macro: bool,
    confirm: bool,
    timezone: ZoneInfo | None,
) -> Series:
    """Read what `series_options` name, and compute the vectors under a progress bar.

    Raises:
        InvalidRequest: a file cannot be read.
        NotReady: no bar has enough history.
    """
    if (macro is None) != allow_missing_macro:
        raise click.UsageError(
            "give either --macro FILE, or --allow-missing-macro to write 0 for the macro features"
        )
    file = read_bars(bars, settings.trading_hours, timezone)
    values = None if macro is None else read_macro(macro, confirm=confirm)
    schema = feature_schema(settings) or USDCOP_M5
    vectors = compute_vectors(file.bars, values, settings.trading_hours, schema)
    return Series(file, values, vectors, schema)


def compute_vectors(
    bars: BarSeries, macro: MacroSeries | None, hours: TradingHours, schema: Schema
) -> FeatureSeries:
    """The vectors of bars, under a progress bar.

    Raises:
        NotReady: no bar has enough history.
    """
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("computing features", total=max(len(bars) - WINDOW + 1, 0))
        return compute_series(
            bars,
            macro,
            hours=hours,
            schema=schema,
            progress=lambda done: progress.advance(task, done),
        )
