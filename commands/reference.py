"""`usdcop reference`: what a model knows, and how much of a market is outside of it."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.table import Table

from commands.context import Context, table_console
from commands.series import INPUT_FILE, Series, read_series, series_options
from errors import InvalidRequest
from features.bars import BarSeries
from features.clock import local_days
from features.compute import WINDOW, FeatureSeries
from features.evidence import evidence_of
from features.reference import Reference, build_reference
from features.vetoes import vetoes
from monitoring.drift.market_sessions import market_sample
from monitoring.drift.reading import has_session
from monitoring.drift.recorded_json import encoded_record, sample_of
from risk.calendar import SessionCalendar

__all__ = ["reference"]

_DAY = click.DateTime(["%Y-%m-%d"])


@click.group()
def reference() -> None:
    """Build reference profiles, and hold vectors against them."""


@reference.command()
@series_options
@click.option("--until", type=_DAY, help="Last local date of the bars that count, e.g. 2023-12-29.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="JSON file to write: NAME.reference.json beside NAME.onnx is registered with the model.",
)
@click.pass_obj
def build(context: Context, /, *, until: Any, out: Path, **files: Any) -> None:
    """Describe what a model knows that was trained on BARS.

    BARS needs the columns time (start of the five-minute bar) and close.
    """
    series, hours = read_series(context.settings(), **files), context.settings().trading_hours
    kept = _until(series, None if until is None else until.date(), hours.zone)
    profile = build_reference(kept.vectors, kept.file.bars, kept.macro, schema=kept.schema)
    calendar = SessionCalendar(hours, context.settings().calendar)
    trading = has_session(hours, calendar)
    sample = market_sample(kept.vectors, kept.macro, kept.schema, hours, trading)
    document = {**profile.to_json(), "sample": encoded_record(sample)}
    _write(out, json.dumps(document, separators=(",", ":")))
    click.echo(
        f"{out}: {profile.rows:,} vectors, bars {profile.first_bar} to {profile.last_bar}, "
        f"schema {profile.schema_version}; drift checks compare with the newest "
        f"{len(sample.starts):,} of them"
    )


@reference.command()
@click.argument("profile", type=INPUT_FILE)
@click.pass_obj
def show(context: Context, /, *, profile: Path) -> None:
    """Say what PROFILE knows: its period, levels, and what drift checks take from it."""
    document = _document(profile)
    known, sample = _profile(profile, document), sample_of(document, profile)
    click.echo(
        f"{profile}: {known.rows:,} vectors of schema {known.schema_version}, bars "
        f"{known.first_bar} to {known.last_bar}"
    )
    if sample is None:
        click.echo("no sample for drift checks: build it again with this version")
    else:
        hours = context.settings().trading_hours
        click.echo(
            f"drift checks compare with {len(sample.starts):,} vectors of "
            f"{len(sample.days(hours))} days, and returns of {len(sample.returns)} sessions"
        )
    table = Table("name", "low", "high", box=None)
    for name, low, high in zip(known.names, known.low, known.high, strict=True):
        table.add_row(name, f"{low:.6g}", f"{high:.6g}")
    for name, (low, high) in known.levels.items():
        table.add_row(f"level of {name}", f"{low:.6g}", f"{high:.6g}")
    table_console().print(table)


@reference.command()
@series_options
@click.option("--reference", "profile", type=INPUT_FILE, required=True, help="Built before.")
@click.pass_obj
def judge(context: Context, /, *, profile: Path, **files: Any) -> None:
    """Say how many vectors of BARS would be refused, and for what."""
    hours = context.settings().trading_hours
    known = _profile(profile, _document(profile))
    series = read_series(context.settings(), **files)
    if known.schema != series.schema.hash:
        raise InvalidRequest(
            f"{profile} is of feature schema {known.schema}, but these features are of "
            f"{series.schema.hash} ({series.schema.version})"
        )
    refused, offenders = 0, Counter[tuple[str, str]]()
    bars = series.file.bars
    days = local_days(bars.starts, hours.zone)
    for row, start in enumerate(series.vectors.times.tolist()):
        last = int(np.searchsorted(bars.starts, start))
        window = slice(last - WINDOW + 1, last + 1)
        evidence = evidence_of(
            bars.closes[window], bars.starts[window], series.macro, int(days[last])
        )
        found = vetoes(series.vectors.matrix[row], evidence, [known])
        refused += bool(found)
        offenders.update({(veto.kind.value, veto.name) for veto in found})
    _print(len(series.vectors.times), refused, offenders)


def _document(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(f"{path} is no reference profile: {error}") from error


def _profile(path: Path, document: Any) -> Reference:
    try:
        return Reference.from_json(document)
    except InvalidRequest as error:
        raise InvalidRequest(f"{path} is no reference profile: {error}") from error


def _print(total: int, refused: int, offenders: Counter[tuple[str, str]]) -> None:
    click.echo(f"{refused:,} of {total:,} vectors refused ({refused / total:.2%})")
    table = Table("kind", "name", "vectors", "share", box=None)
    for (kind, name), count in offenders.most_common():
        table.add_row(kind, name, f"{count:,}", f"{count / total:.2%}")
    if offenders:
        table_console().print(table)


def _until(series: Series, last: date | None, zone: Any) -> Series:
    """What was known at the end of a local date."""
    if last is None:
        return series
    day = (last - date(1970, 1, 1)).days
    bars, vectors = series.file.bars, series.vectors
    of_bars = local_days(bars.starts, zone) <= day
    of_vectors = local_days(vectors.times, zone) <= day
    if not of_vectors.any():
        raise InvalidRequest(f"--until {last}: no vector is that old")
    kept = BarSeries(bars.starts[of_bars], bars.closes[of_bars])
    return replace(
        series,
        file=replace(series.file, bars=kept),
        vectors=FeatureSeries(
            times=vectors.times[of_vectors],
            known_at=vectors.known_at[of_vectors],
            matrix=vectors.matrix[of_vectors],
        ),
    )


def _write(out: Path, text: str) -> None:
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        partial = out.with_name(f".{out.name}.partial")
        partial.write_text(text, encoding="utf-8")
        partial.replace(out)
    except OSError as error:
        raise InvalidRequest(f"{out} cannot be written: {error.strerror}") from error
