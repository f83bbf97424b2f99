"""What if: one history replayed with other settings, in several processes at once."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from config.settings import Settings
from features.tables import write_columns
from replay import Plan, collect_less, replay
from simulation.output import write_json
from simulation.summary import summary
from simulation.tables import trade_columns

__all__ = ["Cell", "run_grid"]


@dataclass(frozen=True, eq=False)
class Cell:
    """One combination of a grid.

    Attributes:
        varied: dotted key to value, as text.
        settings: in force with these.
        folder: where summary and trades of it go; is made.
    """

    varied: Mapping[str, str]
    settings: Settings
    folder: Path


_base: list[Plan] = []
"""What the cells have in common, in each process once."""


def run_grid(plan: Plan, cells: Sequence[Cell], jobs: int) -> Iterator[dict[str, Any]]:
    """Replay every cell; yields a row for each, in order.

    Args:
        plan: what the cells have in common.
        cells: at least one.
        jobs: processes, at least 1.

    Raises:
        ServiceError: a replay failed.
    """
    # A fresh process: one that is forked would share the threads that the models' runtime started.
    context = multiprocessing.get_context("spawn")
    workers = min(jobs, len(cells))
    with ProcessPoolExecutor(workers, context, _receive, (plan,)) as pool:
        yield from pool.map(_run_cell, cells)


def _receive(plan: Plan) -> None:
    _base.append(plan)
    collect_less()


def _run_cell(cell: Cell) -> dict[str, Any]:
    (base,) = _base
    rules = replace(base.rules, capital_usd=cell.settings.capital_usd)
    run = replay(replace(base, settings=cell.settings, rules=rules))
    told = summary(run)
    cell.folder.mkdir()
    write_json(cell.folder / "summary.json", told)
    write_columns(cell.folder / "trades.parquet", trade_columns(run.trades))
    return {**cell.varied, **_row(told), "folder": cell.folder.name}


def _row(told: Mapping[str, Any]) -> dict[str, Any]:
    """What a table of many runs tells of one."""
    metrics, trades = told["metrics"], told["trades"]
    refused = told["decisions"]["refused_by"]
    return {
        "pnl_percent": metrics["pnl_percent"],
        "max_drawdown": metrics["max_drawdown"]["depth"],
        "sharpe": metrics["sharpe"],
        "trades": trades["count"],
        "hit_rate": trades["hit_rate"],
        "refused": {status: kind["count"] for status, kind in refused.items()},
    }
