"""Whether features are the same offline and online, and how fast they are.

    python -m benchmarks.features
    python -m benchmarks.features --bars bars.csv.gz --macro macro.csv

Offline is `compute_series`, which training data is built with; online is `compute_vector`, which
the service calls for each bar. Without files it takes a simulated market. What it exits with
depends on what is equal, never on what is fast.
"""

from __future__ import annotations

import argparse
import gc
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from benchmarks.table import print_table
from config.settings import MarketSettings, TradingHours
from errors import NotReady
from examples.simulate import simulate, write_market
from features.bars import BarSeries
from features.clock import local_days
from features.compute import WINDOW, FeatureSeries, compute_series, compute_vector
from features.files import read_bars, read_macro
from features.macro import DailySeries, MacroSeries
from features.market_codecs import bars_codec
from features.schema import USDCOP_M5

__all__ = ["LookAhead", "Market", "Parity", "look_ahead", "parity", "simulated_market"]

MOST_MILLISECONDS, LEAST_BARS_PER_SECOND = 0.5, 50_000
"""Due on a quiet machine: one bar to its vector at the 99th percentile, and many at once."""

_HOURS: Final = TradingHours()
_BUFFER: Final = MarketSettings().buffer_bars
_FEATURES: Final = len(USDCOP_M5.names)
# Times at which the future is changed: many with some bars around each, a few with all bars.
_CUTS, _AROUND, _WHOLE_CUTS = 300, 300, 5
_ROUNDS, _SINGLES, _DECODED = 7, 1_000, 300

_Argument = TypeVar("_Argument")
_Pair = tuple[float, float]


@dataclass(frozen=True, eq=False)
class Market:
    """Bars, and the macro values that were known with them.

    Attributes:
        name: where they are from.
        bars: of the session.
        macro: daily series; None to go without.
    """

    name: str
    bars: BarSeries
    macro: MacroSeries | None


class Parity(NamedTuple):
    """What differs between one bar at a time and all at once.

    Attributes:
        vectors: compared.
        values: numbers of these vectors that are not equal to the bit.
        unready: bars without a vector in both.
        readiness: bars that have a vector in one and none in the other.
    """

    vectors: int
    values: int
    unready: int
    readiness: int


class LookAhead(NamedTuple):
    """What a change of all that is later did.

    Attributes:
        cuts: times from which on everything was changed.
        vectors: of bars before such a time, compared.
        changed: of these, those that are not equal to the bit.
        noticed: cuts whose change was seen in the vector of the very next bar.
    """

    cuts: int
    vectors: int
    changed: int
    noticed: int


def simulated_market(days: int, seed: int = 7) -> Market:
    """Bars and macro values of so many simulated days, by way of the files that users have."""
    with tempfile.TemporaryDirectory() as folder:
        bars, macro = write_market(simulate(days, seed), Path(folder))
        return Market(f"simulated, {days} days", read_bars(bars, _HOURS).bars, read_macro(macro))


def parity(market: Market) -> Parity:
    """Compute every vector one bar at a time, and compare it with what all at once gave."""
    bars, macro = market.bars, market.macro
    series = compute_series(bars, macro)
    rows = dict(zip(series.times.tolist(), series.matrix, strict=True))
    values = unready = readiness = 0
    for last in range(WINDOW, len(bars) + 1):
        begin = max(last - _BUFFER, 0)
        online = _vector_or_none(bars.closes[begin:last], bars.starts[begin:last], macro)
        offline = rows.get(int(bars.starts[last - 1]))
        if online is None or offline is None:
            unready += online is offline
            readiness += online is not offline
        else:
            values += _unequal_bits(online, offline)
    return Parity(len(rows), values, unready, readiness)


def _vector_or_none(
    closes: NDArray[np.float64], starts: NDArray[np.int64], macro: MacroSeries | None
) -> NDArray[np.float32] | None:
    try:
        return compute_vector(closes, starts, macro)
    except NotReady:
        return None


def _unequal_bits(one: NDArray[np.float32], other: NDArray[np.float32]) -> int:
    return int(np.count_nonzero(one.view(np.uint32) != other.view(np.uint32)))


def look_ahead(market: Market, cuts: int, around: int, seed: int = 11) -> LookAhead:
    """At random times, change all bars after it and all macro values of its date and later.

    Args:
        market: computed as it is, and changed.
        cuts: how many times.
        around: bars that are computed on either side of such a time, at most.
        seed: of the times and of the changes.
    """
    chance = np.random.default_rng(seed)
    chosen = chance.choice(_ready(market)[1:], size=cuts) - 1
    vectors = changed = noticed = 0
    for cut in chosen.tolist():
        part = slice(max(cut - around - WINDOW, 0), cut + around)
        bars = BarSeries(market.bars.starts[part], market.bars.closes[part])
        newest = market.bars.starts[cut]
        before = compute_series(bars, market.macro)
        after = compute_series(*_changed_after(bars, market.macro, newest, chance))
        known = int(np.count_nonzero(before.times <= newest))
        following = slice(known, known + 1)
        vectors += known
        changed += _changed_vectors(before, after, known)
        noticed += not np.array_equal(before.matrix[following], after.matrix[following])
    return LookAhead(cuts, vectors, changed, noticed)


def _ready(market: Market) -> NDArray[np.int64]:
    """Positions of the bars that have a vector."""
    times = compute_series(market.bars, market.macro).times
    return np.searchsorted(market.bars.starts, times)


def _changed_vectors(before: FeatureSeries, after: FeatureSeries, known: int) -> int:
    """Of the first so many vectors, how many differ in a bit; all, if other bars have them."""
    if not np.array_equal(before.times[:known], after.times[:known]):
        return known
    bits = before.matrix[:known].view(np.uint32) != after.matrix[:known].view(np.uint32)
    return int(np.count_nonzero(bits.any(axis=1)))


def _changed_after(
    bars: BarSeries, macro: MacroSeries | None, newest: np.int64, chance: np.random.Generator
) -> tuple[BarSeries, MacroSeries | None]:
    """Other closes in all later bars, other values from the date of the newest bar on."""
    factors = np.exp(chance.normal(0.0, 0.3, len(bars)))
    others = BarSeries(bars.starts, np.where(bars.starts > newest, factors, 1.0) * bars.closes)
    if macro is None:
        return others, None
    today = int(local_days(np.array([newest]), _HOURS.zone)[0])
    columns = {}
    for name, series in macro.columns.items():
        factors = np.exp(chance.normal(0.0, 0.3, len(series.days)))
        values = np.where(series.days >= today, factors, 1.0) * series.values
        columns[name] = DailySeries(series.days, values)
    return others, MacroSeries(columns)


@dataclass(frozen=True, eq=False)
class _Speed:
    """Medians over rounds.

    Attributes:
        single: milliseconds from arrays to one vector, 50th and 99th percentile.
        decoded: the same from the JSON text of the buffer.
        per_second: bars a second, all at once.
    """

    single: tuple[float, float]
    decoded: tuple[float, float]
    per_second: float


def _speed(market: Market) -> _Speed:
    """In rounds that take turns, so that a busy moment of the machine hits all alike."""
    codec = bars_codec(_BUFFER)
    buffers = _some_buffers(market)
    texts = [codec.encode(buffer) for buffer in buffers[:_DECODED]]
    singles, decoded, per_second = [], [], []
    gc.collect()
    gc.freeze()  # as the service does once it has loaded
    for _ in range(_ROUNDS):
        singles.append(_percentiles(lambda buffer: _vector_of(buffer, market), buffers))
        decoded.append(_percentiles(lambda text: _vector_of(codec.decode(text), market), texts))
        began = time.perf_counter()
        compute_series(market.bars, market.macro)
        per_second.append(len(market.bars) / (time.perf_counter() - began))
    return _Speed(_medians(singles), _medians(decoded), float(np.median(per_second)))


def _some_buffers(market: Market) -> list[BarSeries]:
    """What the service holds at some random bars that have a vector."""
    bars = market.bars
    chosen = np.random.default_rng(5).choice(_ready(market), size=_SINGLES) + 1
    parts = [slice(max(last - _BUFFER, 0), last) for last in chosen.tolist()]
    return [BarSeries(bars.starts[part], bars.closes[part]) for part in parts]


def _vector_of(bars: BarSeries, market: Market) -> None:
    compute_vector(bars.closes, bars.starts, market.macro)


def _percentiles(work: Callable[[_Argument], object], arguments: Sequence[_Argument]) -> _Pair:
    """Milliseconds at the 50th and the 99th percentile."""
    taken = []
    for argument in arguments:
        began = time.perf_counter()
        work(argument)
        taken.append(time.perf_counter() - began)
    median, high = np.percentile(taken, [50, 99]) * 1e3
    return float(median), float(high)


def _medians(rounds: Sequence[_Pair]) -> _Pair:
    median, high = np.median(rounds, axis=0)
    return float(median), float(high)


def _market(told: argparse.Namespace) -> Market:
    if told.bars is None:
        return simulated_market(told.simulated_days)
    macro = None if told.macro is None else read_macro(told.macro)
    return Market(told.bars.name, read_bars(told.bars, _HOURS).bars, macro)


def _rows(market: Market, same: Parity, cuts: Mapping[str, LookAhead]) -> dict[str, str]:
    macro = "without macro values" if market.macro is None else "with macro values"
    return {
        "market": f"{market.name}: {len(market.bars):,} bars, {macro}",
        "one at a time, all at once": f"{same.values:,} of {_FEATURES} x {same.vectors:,} values "
        f"differ; {same.readiness:,} bars are ready in one alone, {same.unready:,} in neither",
        **{
            f"look-ahead, {reach}": f"{found.changed:,} of {found.vectors:,} vectors before "
            f"{found.cuts:,} random times changed with all that is later; the vector of the next "
            f"bar changed {found.noticed:,} times"
            for reach, found in cuts.items()
        },
    }


def _speed_rows(speed: _Speed) -> dict[str, str]:
    def shown(pair: _Pair) -> str:
        return f"{pair[0]:.3f} ms p50, {pair[1]:.3f} ms p99"

    return {
        "one bar to one vector": shown(speed.single),
        f"JSON of {_BUFFER:,} bars to one vector": shown(speed.decoded),
        "all at once": f"{speed.per_second:,.0f} bars/s",
        "due on a quiet machine": f"{MOST_MILLISECONDS} ms p99 for one bar, "
        f"{LEAST_BARS_PER_SECOND:,} bars/s at once; times are medians of {_ROUNDS} rounds",
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; 1 if a value differs or something to come changes it, whatever the speed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.features")
    parser.add_argument("--bars", type=Path, help="CSV or Parquet; simulated if there is none")
    parser.add_argument("--macro", type=Path, help="for --bars; without it, macro features are 0")
    parser.add_argument("--simulated-days", type=int, default=430)
    told = parser.parse_args(arguments)
    if told.macro is not None and told.bars is None:
        parser.error("--macro goes with --bars")
    market = _market(told)
    same = parity(market)
    cuts = {
        f"{_AROUND} bars around": look_ahead(market, _CUTS, _AROUND),
        "all bars": look_ahead(market, _WHOLE_CUTS, len(market.bars)),
    }
    found = _rows(market, same, cuts)
    print_table("Features offline and online", {**found, **_speed_rows(_speed(market))})
    proved = same.values == same.readiness == 0 and same.vectors > 0
    return 0 if proved and all(_holds(cut) for cut in cuts.values()) else 1


def _holds(found: LookAhead) -> bool:
    """Nothing earlier changed, and the change was one."""
    return found.changed == 0 and found.noticed == found.cuts


if __name__ == "__main__":
    sys.exit(main())
