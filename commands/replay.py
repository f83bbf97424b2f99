"""`usdcop replay`: what would these limits have done?"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import fields
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import click

from bootstrap import open_promotions
from commands.context import Context, progress_of
from commands.replay_inputs import Inputs, read_history
from commands.replay_outputs import (
    LEDGER_FILE,
    print_day,
    print_grid,
    print_summary,
    write_grid,
    write_run,
)
from commands.series import INPUT_FILE, ZONE
from config.load import load_settings
from config.settings import Settings
from errors import ConfigurationError, InvalidRequest
from ledgers import own_ledger
from replay import Plan, collect_less, replay
from replay_grid import Cell, run_grid
from simulation.fills import Costs
from simulation.output import new_folder, refuse_existing
from simulation.recorded import AsItWas
from simulation.router import Rules
from simulation.summary import summary
from simulation.then_and_now import then_and_now
from simulation.variations import grid, variable_of, variation

__all__ = ["replay_history"]


class _Date(click.ParamType[date]):
    """A local date."""

    name = "date"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> date:
        try:
            return date.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is no date; write it like 2025-01-31", param, ctx)


@click.command("replay")
@click.argument("bars", type=INPUT_FILE, required=False)
@click.option("--macro", type=INPUT_FILE, help="Daily macro values: CSV or Parquet.")
@click.option("--allow-missing-macro", is_flag=True, help="Go without: 0 for macro features.")
@click.option("--observations", type=INPUT_FILE, help="Vectors, as `features build` writes them.")
@click.option(
    "--decisions", type=INPUT_FILE, multiple=True, help="Exported decisions, as they were; repeat."
)
@click.option("--timezone", type=ZONE, help="Zone of times that carry none.")
@click.option("--confirm", is_flag=True, help="Macro values that look wrong are meant.")
@click.option(
    "--config", "file", type=INPUT_FILE, help="Configuration file; else the one in force."
)
@click.option("--models", multiple=True, metavar="NAME=VERSION", help="That version; repeat.")
@click.option("--from", "first", type=_Date(), help="First local date.")
@click.option("--to", "last", type=_Date(), help="Last local date.")
@click.option("--spread-bp", type=float, default=Costs().spread_bp, show_default=True)
@click.option("--commission-bp", type=float, default=Costs().commission_bp, show_default=True)
@click.option("--decision-latency-ms", type=float, default=500.0, show_default=True)
@click.option("--marks", is_flag=True, help="Report the open P&L at every close, too.")
@click.option("--ledger", "keep", is_flag=True, help=f"Keep the whole ledger, in {LEDGER_FILE}.")
@click.option("--vary", multiple=True, metavar="KEY=VALUE,...", help="What if; repeat for a grid.")
@click.option("--jobs", type=click.IntRange(1, 256), help="Processes of a grid; else all cores.")
@click.option("--explain", type=_Date(), help="Walk through one local date.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder to make for the run.")
@click.pass_obj
def replay_history(context: Context, /, **options: Any) -> None:
    """Decide on BARS as the service would have, trade on it simply, and tell what came of it.

    BARS is a CSV or Parquet file with the columns time (start of the five-minute bar) and close.
    """
    _refuse_contradictions(options)
    out: Path | None = options["out"]
    if out is not None:
        refuse_existing(out)
    settings = _settings(context, options["file"])
    cells = grid([variation(text) for text in options["vary"]]) if options["vary"] else []
    varied = [(cell, _settings_with(cell, options["file"])) for cell in cells]
    read = read_history(_inputs(options), settings)
    plan = Plan(
        settings=settings,
        history=read.history,
        rules=_rules(settings, options),
        live=_live_versions(settings, options["models"]),
        description=read.told,
    )
    collect_less()
    if varied and out is not None:
        _run_grid(plan, varied, out, options["jobs"])
    else:
        _run_one(plan, read.as_it_was, options)


def _refuse_contradictions(options: Mapping[str, Any]) -> None:
    out, explained, varied = options["out"], options["explain"], options["vary"]
    if out is None and explained is None:
        raise click.UsageError("say where the run goes: --out FOLDER (or --explain DATE alone)")
    if out is None and (options["keep"] or varied):
        raise click.UsageError("--ledger and --vary need a folder: --out FOLDER")
    if varied and (options["keep"] or explained is not None):
        raise click.UsageError("a grid keeps no ledger and explains no day: replay that run alone")


def _settings(context: Context, file: Path | None) -> Settings:
    return context.settings() if file is None else load_settings(os.environ, file).settings


def _settings_with(cell: Mapping[str, str], file: Path | None) -> Settings:
    """The settings with one combination of a grid.

    Raises:
        ConfigurationError: a value is refused.
    """
    overridden = {variable_of(key): value for key, value in cell.items()}
    try:
        return load_settings({**os.environ, **overridden}, file).settings
    except ConfigurationError as error:
        told = ", ".join(f"{key}={value}" for key, value in cell.items())
        raise ConfigurationError(f"--vary {told}: {error}") from error


def _inputs(options: Mapping[str, Any]) -> Inputs:
    names = {field.name for field in fields(Inputs)}
    return Inputs(**{name: value for name, value in options.items() if name in names})


def _rules(settings: Settings, options: Mapping[str, Any]) -> Rules:
    return Rules(
        costs=Costs(options["spread_bp"], options["commission_bp"]),
        capital_usd=settings.capital_usd,
        latency=timedelta(milliseconds=options["decision_latency_ms"]),
        marks=options["marks"],
    )


def _live_versions(settings: Settings, chosen: Sequence[str]) -> dict[str, str]:
    """Those on record for the book of these settings, and what was asked for in their place."""
    named: dict[str, str] = {}
    known = {model.name for model in settings.enabled_models}
    for text in chosen:
        name, equals, version = text.partition("=")
        if not equals or name not in known:
            raise InvalidRequest(
                f"--models {text}: write NAME=VERSION, with a name among {', '.join(sorted(known))}"
            )
        named[name] = version
    # A ledger that is away is no obstacle where nothing is asked of it.
    return named if known == named.keys() else {**open_promotions(settings).current(), **named}


def _run_one(plan: Plan, as_it_was: Mapping[int, AsItWas], options: Mapping[str, Any]) -> None:
    out: Path | None = options["out"]
    with nullcontext() if out is None else new_folder(out) as folder:
        ledger = (
            own_ledger(folder / LEDGER_FILE) if folder is not None and options["keep"] else None
        )
        with progress_of("replaying", len(plan.history)) as progress:
            run = replay(plan, ledger=ledger, progress=progress)
        told = summary(run)
        if as_it_was:
            told["then_and_now"] = then_and_now(run, as_it_was)
        if folder is not None:
            write_run(folder, run, told, _title(plan))
    print_summary(told)
    if options["explain"] is not None:
        print_day(run, options["explain"])
    if out is not None:
        click.echo(f"{out}: open report.html in a browser")


def _run_grid(
    plan: Plan,
    varied: Sequence[tuple[dict[str, str], Settings]],
    out: Path,
    jobs: int | None,
) -> None:
    with new_folder(out) as folder:
        cells = [
            Cell(cell, settings, folder / f"{number:03}")
            for number, (cell, settings) in enumerate(varied, start=1)
        ]
        rows = []
        with progress_of("replaying", len(cells)) as progress:
            for row in run_grid(plan, cells, jobs or os.cpu_count() or 1):
                rows.append(row)
                progress(1)
        write_grid(folder, rows, list(varied[0][0]), _title(plan))
    print_grid(rows, list(varied[0][0]))
    click.echo(f"{out}: open grid.html in a browser; each row has a folder of its own")


def _title(plan: Plan) -> str:
    told = plan.description
    files = [told["bars_file"], told["observations_file"], *told["decisions_files"]]
    return ", ".join(name for name in files if name is not None)
