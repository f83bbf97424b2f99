"""`usdcop features`: build a feature matrix from bars, show the schema."""

from __future__ import annotations

from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from commands.context import Context
from config.settings import TradingHours
from features.bars import BarSeries, utc_text
from features.compute import WINDOW, FeatureSeries, compute_series
from features.documentation import document
from features.files import BarFile, read_bars, read_macro
from features.macro import MacroSeries
from features.schema import USDCOP_M5
from features.tables import write_features

__all__ = ["features"]

_INPUT_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


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


@click.group()
def features() -> None:
    """Turn bars and macro values into feature vectors."""


@features.command()
@click.argument("bars", type=_INPUT_FILE)
@click.option("--macro", type=_INPUT_FILE, help="Daily macro values: CSV or Parquet.")
@click.option(
    "--allow-missing-macro", is_flag=True, help="Go without: 0 for the seven macro features."
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="Parquet file to write; an existing one is replaced.",
)
@click.option("--timezone", type=_Zone(), help="Zone of times that carry none.")
@click.pass_obj
def build(
    context: Context,
    *,
    bars: Path,
    macro: Path | None,
    allow_missing_macro: bool,
    out: Path,
    timezone: ZoneInfo | None,
) -> None:
    """Compute the features of every bar in BARS, a CSV or Parquet file.

    BARS needs the columns time (start of the five-minute bar) and close.
    """
    if (macro is None) != allow_missing_macro:
        raise click.UsageError(
            "give either --macro FILE, or --allow-missing-macro to write 0 for the macro features"
        )
    hours = context.settings().trading_hours
    file = read_bars(bars, hours, timezone)
    series = _with_progress(file.bars, None if macro is None else read_macro(macro), hours)
    write_features(out, series)
    click.echo(_summary(bars, file, out, series))


@features.command()
@click.option("--markdown", is_flag=True, help="As the page docs/features.md.")
def schema(markdown: bool) -> None:
    """Show name, formula, unit, lookback and source of every feature."""
    if markdown:
        click.echo(document(USDCOP_M5), nl=False)
        return
    table = Table("#", "name", "formula", "unit", "lookback", "source")
    for number, feature in enumerate(USDCOP_M5.features):
        table.add_row(
            str(number),
            feature.name,
            # Square brackets would be read as markup.
            feature.formula.replace("[", r"\["),
            feature.unit,
            str(feature.lookback),
            feature.source,
        )
    Console().print(table)
    click.echo(f"{USDCOP_M5.version}, SHA-256 {USDCOP_M5.hash}")


def _with_progress(
    bars: BarSeries, macro: MacroSeries | None, hours: TradingHours
) -> FeatureSeries:
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("computing features", total=max(len(bars) - WINDOW + 1, 0))
        return compute_series(
            bars, macro, hours=hours, progress=lambda done: progress.advance(task, done)
        )


def _summary(bars: Path, file: BarFile, out: Path, series: FeatureSeries) -> str:
    warming_up = WINDOW - 1
    without_macro = len(file.bars) - warming_up - len(series.times)
    return "\n".join(
        [
            f"{bars}: {file.rows:,} rows; dropped {file.duplicates:,} duplicates and "
            f"{file.outside_session:,} bars outside the session; {file.missing:,} bars are "
            "missing within sessions",
            f"{out}: {len(series.times):,} vectors of {len(USDCOP_M5.names)} features, bars "
            f"{utc_text(series.times[0])} to {utc_text(series.times[-1])}",
            f"left out: {warming_up:,} bars to warm up, {without_macro:,} without fresh macro "
            "values",
            f"schema: {USDCOP_M5.version}, SHA-256 {USDCOP_M5.hash}",
        ]
    )
