"""`usdcop features`: build a feature matrix from bars, show the schema."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from commands.context import Context
from commands.series import Series, read_series, series_options
from features.bars import utc_text
from features.compute import WINDOW
from features.documentation import document, support_text
from features.schema import USDCOP_M5
from features.tables import write_features
from schemas import feature_schema

__all__ = ["features"]


@click.group()
def features() -> None:
    """Turn bars and macro values into feature vectors."""


@features.command()
@series_options
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="Parquet file to write; an existing one is replaced.",
)
@click.pass_obj
def build(context: Context, /, *, out: Path, **files: Any) -> None:
    """Compute the features of every bar in BARS, a CSV or Parquet file.

    BARS needs the columns time (start of the five-minute bar) and close.
    """
    series = read_series(context.settings(), **files)
    write_features(out, series.vectors, series.schema)
    click.echo(_summary(files["bars"], series, out))


@features.command()
@click.option("--markdown", is_flag=True, help="As the page docs/features.md.")
@click.pass_obj
def schema(context: Context, /, *, markdown: bool) -> None:
    """Show name, formula, unit, lookback, source and support of every feature in force."""
    shown = feature_schema(context.settings()) or USDCOP_M5
    if markdown:
        click.echo(document(shown), nl=False)
        return
    table = Table("#", "name", "formula", "unit", "lookback", "source", "support")
    for number, feature in enumerate(shown.features):
        table.add_row(
            str(number),
            feature.name,
            # Square brackets would be read as markup.
            feature.formula.replace("[", r"\["),
            feature.unit,
            str(feature.lookback),
            feature.source,
            support_text(feature),
        )
    Console().print(table)
    click.echo(f"{shown.version}, SHA-256 {shown.hash}")


def _summary(bars: Path, read: Series, out: Path) -> str:
    file, series, schema = read.file, read.vectors, read.schema
    warming_up = WINDOW - 1
    without_macro = len(file.bars) - warming_up - len(series.times)
    return "\n".join(
        [
            f"{bars}: {file.rows:,} rows; dropped {file.duplicates:,} duplicates and "
            f"{file.outside_session:,} bars outside the session; {file.missing:,} bars are "
            "missing within sessions",
            f"{out}: {len(series.times):,} vectors of {len(schema.names)} features, bars "
            f"{utc_text(series.times[0])} to {utc_text(series.times[-1])}",
            f"left out: {warming_up:,} bars to warm up, {without_macro:,} without fresh macro "
            "values",
            f"schema: {schema.version}, SHA-256 {schema.hash}",
        ]
    )
