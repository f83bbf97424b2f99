"""How fast history is replayed: bars a second with three models, risk and a ledger in memory.

    python -m benchmarks.replay                       # 90,000 simulated bars
    python -m benchmarks.replay --bars bars.csv --macro macro.csv --grid

Every figure is of a process of its own that runs the command line, start-up, reading, features,
report and all; `replaying` is the part between the bars and the tables, the models asked included.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from config.load import load_settings
from examples.simulate import simulate, write_market
from features.compute import compute_series
from features.files import read_bars, read_macro
from replay import Plan, collect_less, replay
from simulation.fills import Costs
from simulation.inputs import history_of_bars
from simulation.router import Rules

_DAYS = 1_505
"""Some 90,000 bars."""

_GRID = (
    "--vary=risk_limits.max_daily_loss=-0.01,-0.02,-0.03",
    "--vary=risk_limits.min_confidence=0.5,0.6,0.7",
)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bars", type=Path)
    parser.add_argument("--macro", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--marks", action="store_true")
    parser.add_argument("--grid", action="store_true", help="a grid of nine on two processes, too")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        print(json.dumps(_inside(options.bars, options.macro, marks=options.marks)))
        return
    with tempfile.TemporaryDirectory() as folder:
        bars, macro = options.bars, options.macro
        if bars is None:
            bars, macro = write_market(simulate(_DAYS, 5), Path(folder))
        _print_figures(Path(folder), bars, macro, options)


def _print_figures(folder: Path, bars: Path, macro: Path, options: argparse.Namespace) -> None:
    marks = ["--marks"] if options.marks else []
    files = [str(bars), "--macro", str(macro), "--confirm", *marks]
    inner, whole, grids = [], [], []
    for number in range(options.rounds):
        own = ["--bars", str(bars), "--macro", str(macro), "--inside", *marks]
        inner.append(json.loads(_output("-m", "benchmarks.replay", *own)))
        whole.append(_seconds("replay", *files, "--out", str(folder / f"run{number}")))
        if options.grid:
            out = ["--jobs", "2", "--out", str(folder / f"grid{number}")]
            grids.append(_seconds("replay", *files, *_GRID, *out))
    speed = [each["bars"] / each["seconds"] for each in inner]
    print(f"{inner[0]['bars']:,} bars, {options.rounds} rounds, medians")
    print(f"replaying        {statistics.median(speed):,.0f} bars/s (best {max(speed):,.0f})")
    print(f"memory           {max(each['megabytes'] for each in inner):,.0f} MB at most")
    print(f"whole command    {statistics.median(whole):.1f} s")
    if grids:
        ratio = statistics.median(grid / one for grid, one in zip(grids, whole, strict=True))
        print(f"grid of nine     {statistics.median(grids):.1f} s, {ratio:.2f} x one command")


def _inside(bars: Path, macro: Path, *, marks: bool) -> dict[str, float]:
    settings = load_settings({}).settings
    file = read_bars(bars, settings.trading_hours)
    values = read_macro(macro, confirm=True)
    vectors = compute_series(file.bars, values, hours=settings.trading_hours)
    history = history_of_bars(file.bars, values, vectors, settings.trading_hours)
    plan = Plan(settings, history, Rules(Costs(), settings.capital_usd, marks=marks), {}, {})
    collect_less()
    started = time.perf_counter()
    replay(plan)
    seconds = time.perf_counter() - started
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"bars": len(history), "seconds": seconds, "megabytes": megabytes}


def _seconds(*arguments: str) -> float:
    started = time.perf_counter()
    _output("-m", "cli", *arguments)
    return time.perf_counter() - started


def _output(*arguments: str) -> str:
    done = subprocess.run([sys.executable, *arguments], check=True, capture_output=True, text=True)
    return done.stdout.splitlines()[-1]


if __name__ == "__main__":
    main()
