"""How many sane vectors are refused, and how many with something wrong.

    python -m benchmarks.vetoes --bars bars.csv.gz --macro macro.csv \
        --profile-until 2023-12-31 --judge 2024-01-01 2024-12-31

The reference is built from everything up to one date and judged on bars after it. Sane are
vectors of the session, outside holidays, bad ticks and runs of six equal closes. Faults are put
into sane vectors that pass without them; where closes or macro values are wrong, everything is
computed anew from them. Prints Markdown. What it exits with depends on the shares, never on what
is fast.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.faulty_vectors import (
    LEVELS,
    Case,
    Judged,
    frozen,
    macro_value_off,
    off_by_a_hundred,
    other_price,
    other_window,
    whole_macro_off,
)
from config.settings import TradingHours
from examples.trading_data import simulated_series
from features.bars import BarSeries, utc_text
from features.compute import WINDOW, FeatureSeries, compute_series
from features.files import read_bars, read_macro
from features.macro import MACRO_COLUMNS, MacroSeries
from features.reference import Reference, build_reference
from features.vetoes import FROZEN_CLOSES, refused_rows, vetoes
from monitoring.drift.share import Share

__all__ = ["measure"]

MOST_SANE, LEAST_FAULTY = 0.005, 0.99
_SIMULATED_DAYS = 620
_FROZEN_FOR = (FROZEN_CLOSES, 7, 12, 60)


class Findings:
    """Prints rows of a Markdown table, and keeps which of them miss what is due."""

    def __init__(self) -> None:
        self.missed: list[str] = []

    def heading(self, *columns: str) -> None:
        """Begin a table."""
        print(f"\n| {' | '.join(columns)} |")
        print(f"|{'---|' * len(columns)}", flush=True)

    def row(self, name: str, *cells: object) -> None:
        """One row of it."""
        print(f"| {name} | {' | '.join(map(str, cells))} |", flush=True)

    def due(self, name: str, share: Share, *, least: float = 0.0, most: float = 1.0) -> None:
        """Hold a share against what is due."""
        if share.of and not least <= share.value <= most:
            self.missed.append(f"{name}: {share}")


def measure(judged: Judged, known: NDArray[np.float32], reference: Reference, every: int) -> int:
    """Print everything; returns 1 if a share is not what is due."""
    found = Findings()
    sane = judged.in_session() & (judged.equal_closes() < FROZEN_CLOSES) & ~judged.bad(1)
    verdicts = _sane_vectors(found, judged, sane, reference)
    faulty = judged.only(sane & ~judged.bad(WINDOW) & ~verdicts)
    _recomputed(found, faulty.only(slice(None, None, every)), reference)
    _columns(found, faulty, known, reference)
    _within_range(found, faulty, reference)
    _speed(found, faulty, reference)
    print("\nall as due" if not found.missed else "\nmissed: " + "; ".join(found.missed))
    return 1 if found.missed else 0


def _sane_vectors(
    found: Findings, judged: Judged, sane: NDArray[np.bool_], reference: Reference
) -> NDArray[np.bool_]:
    """Which of the judged vectors are refused as they are, shape (n,)."""
    verdicts = np.array(list(_verdicts(judged.cases(), reference)))
    still = judged.in_session() & (judged.equal_closes() >= FROZEN_CLOSES)
    sets = {
        "sane": sane,
        "sane, and no bad tick among their 240 bars": sane & ~judged.bad(WINDOW),
        "a bad tick is the newest bar": judged.in_session() & judged.bad(1),
        "a bad tick is among their 240 bars": sane & judged.bad(WINDOW),
        "six or more equal closes": still,
        "holidays, fewer than six equal closes": ~judged.in_session()
        & (judged.equal_closes() < FROZEN_CLOSES),
    }
    found.heading("real vectors", "refused", "refused, vector alone")
    for name, chosen in sets.items():
        with_evidence, alone = (_share(verdicts[chosen, column]) for column in (0, 1))
        found.row(name, with_evidence, alone)
        if name.startswith("sane"):
            found.due(name, with_evidence, most=MOST_SANE)
    refused: NDArray[np.bool_] = verdicts[:, 0]
    return refused


def _recomputed(found: Findings, judged: Judged, reference: Reference) -> None:
    """Faults of inputs, from which vector and evidence are computed anew."""
    found.heading("fault of the input", "refused", "refused, vector alone")
    for name in MACRO_COLUMNS:
        for words, cases in (
            (f"newest value of {name} x100", macro_value_off(judged, name, 100)),
            (f"whole series {name} x100", whole_macro_off(judged, name, 100)),
        ):
            _both(found, words, cases, reference)
    for level in LEVELS:
        _both(found, f"newest close {level:g}", other_price(judged, level), reference)
        _both(found, f"all 240 closes at {level:g}", other_window(judged, level), reference)
    for closes in _FROZEN_FOR:
        _both(found, f"feed frozen for {closes} closes", frozen(judged, closes), reference)


def _both(found: Findings, name: str, cases: Iterable[Case], reference: Reference) -> None:
    verdicts = np.array(list(_verdicts(cases, reference)))
    with_evidence, alone = _share(verdicts[:, 0]), _share(verdicts[:, 1])
    found.row(name, with_evidence, alone)
    found.due(name, with_evidence, least=LEAST_FAULTY)


def _verdicts(cases: Iterable[Case], reference: Reference) -> Iterator[tuple[bool, bool]]:
    """Whether each is refused with its evidence, and without."""
    for vector, evidence in cases:
        alone = bool(vetoes(vector, None, [reference]))
        yield alone or bool(vetoes(vector, evidence, [reference])), alone


def _columns(
    found: Findings, judged: Judged, known: NDArray[np.float32], reference: Reference
) -> None:
    found.heading("one feature x100, vector alone", "leaves the known range", "stays within it")
    total = Share(0, 0), Share(0, 0)
    for column, name in enumerate(reference.names):
        matrix, leaves = off_by_a_hundred(judged, column, known)
        refused = refused_rows(matrix, [reference])
        outside, inside = _share(refused[leaves]), _share(refused[~leaves])
        total = total[0] + outside, total[1] + inside
        found.row(name, outside, inside)
        found.due(f"{name} x100", outside, least=LEAST_FAULTY)
    found.row("all 45", *total)
    found.due("one feature x100", total[0], least=LEAST_FAULTY)


def _within_range(found: Findings, judged: Judged, reference: Reference) -> None:
    """Faults of one or two columns, whether or not a range shows them; nothing is due."""
    chance = np.random.default_rng(20)
    real = judged.series.matrix[:: max(len(judged.rows) // 1_000, 1)]
    others = judged.series.matrix[chance.integers(0, len(judged.rows), len(real))]
    found.heading("one column wrong, vector alone", "34 features of the close", "7 of macro series")
    changes: dict[str, Callable[[int], NDArray[np.float32]]] = {
        "zeroed": lambda column: 0 * real[:, column],
        "/100": lambda column: real[:, column] / np.float32(100),
        "sign changed": lambda column: -real[:, column],
        "that of another vector": lambda column: others[:, column],
    }
    for words, change in changes.items():
        shares = [_replaced(real, column, change(column), reference) for column in range(45)]
        found.row(words, sum(shares[:34], Share(0, 0)), sum(shares[38:], Share(0, 0)))
    pairs = [chance.choice(34, 2, replace=False) for _ in range(200)]
    swapped = Share(0, 0)
    for pair in pairs:
        matrix = real.copy()
        matrix[:, pair] = matrix[:, pair[::-1]]
        swapped += _share(refused_rows(matrix, [reference]))
    found.row("two swapped, 200 pairs", swapped, "")


def _replaced(
    real: NDArray[np.float32], column: int, values: NDArray[np.float32], reference: Reference
) -> Share:
    """How many are refused among those that the replacement changes."""
    matrix = real.copy()
    matrix[:, column] = values
    return _share(refused_rows(matrix, [reference])[values != real[:, column]])


def _speed(found: Findings, judged: Judged, reference: Reference) -> None:
    cases = [case for case, _ in zip(judged.cases(), range(2_000), strict=False)]
    seconds = []
    for vector, evidence in cases:
        began = time.perf_counter()
        vetoes(vector, evidence, [reference])
        seconds.append(time.perf_counter() - began)
    matrix = np.concatenate([judged.series.matrix] * 4)
    began = time.perf_counter()
    refused_rows(matrix, [reference])
    rate = len(matrix) / (time.perf_counter() - began)
    found.heading("cost", "")
    found.row("vetoes, one vector", f"{1e6 * float(np.median(seconds)):.0f} µs (median)")
    found.row("refused_rows", f"{rate:,.0f} rows/s")
    found.row("a reference as JSON", f"{len(json.dumps(reference.to_json())) / 1e3:.0f} kB")


def _share(refused: NDArray[np.bool_]) -> Share:
    return Share(int(np.count_nonzero(refused)), len(refused))


def _between(series: FeatureSeries, first: date, last: date) -> NDArray[np.bool_]:
    days = np.datetime64(first, "D"), np.datetime64(last, "D") + 1
    begin, end = (int(day.astype("datetime64[s]").astype(np.int64)) for day in days)
    return (series.times >= begin) & (series.times < end)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; 1 if a share is not what is due."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.vetoes")
    parser.add_argument("--bars", type=Path, help="CSV or Parquet; without it simulated ones")
    parser.add_argument("--macro", type=Path, help="CSV or Parquet, with --bars")
    parser.add_argument("--profile-from", type=date.fromisoformat, default=date.min)
    parser.add_argument("--profile-until", type=date.fromisoformat, help="default: four fifths")
    parser.add_argument(
        "--judge", type=date.fromisoformat, nargs=2, help="first and last date; default: the rest"
    )
    parser.add_argument("--every", type=int, default=5, help="of vectors that are computed anew")
    told = parser.parse_args(arguments)
    if (told.bars is None) != (told.macro is None):
        parser.error("--bars and --macro go together")
    bars, macro, series = _market(told.bars, told.macro)
    begin = max(told.profile_from, date(1971, 1, 1))
    until = told.profile_until or _date_of(series, 4 * len(series.times) // 5)
    whole = Judged(bars, macro, series, np.searchsorted(bars.starts, series.times))
    known = whole.only(_between(series, begin, until)).series
    judged = whole.only(_between(series, *(told.judge or (until + timedelta(days=1), date.max))))
    reference = build_reference(known, bars, macro)
    print(
        f"Reference: {reference.rows:,} vectors, {reference.first_bar} to {reference.last_bar}. "
        f"Judged: {len(judged.rows):,} vectors, {utc_text(judged.series.times[0])} to "
        f"{utc_text(judged.series.times[-1])}. Shares with Wilson's intervals at 95%."
    )
    missed = measure(judged, known.matrix, reference, told.every)
    # What is due is about a real market.
    return 0 if told.bars is None else missed


def _market(bars: Path | None, macro: Path | None) -> tuple[BarSeries, MacroSeries, FeatureSeries]:
    if bars is None or macro is None:
        return simulated_series(_SIMULATED_DAYS, seed=7)
    of_bars, of_macro = read_bars(bars, TradingHours()).bars, read_macro(macro)
    return of_bars, of_macro, compute_series(of_bars, of_macro)


def _date_of(series: FeatureSeries, row: int) -> date:
    return date(1970, 1, 1) + timedelta(days=int(series.times[row]) // 86_400)


if __name__ == "__main__":
    sys.exit(main())
