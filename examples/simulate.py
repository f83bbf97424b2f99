"""Simulate five-minute bars of USD/COP and seven daily macro series.

    python examples/simulate.py --days 500 --seed 7 --out DIR

writes DIR/bars.csv and DIR/macro.csv in the form that `usdcop features build` reads. The market
is invented: only its orders of magnitude are those of USD/COP. It has a U-shaped volatility over
the session, fat tails, days of different volatility, overnight gaps, repeated quotes, missing
bars and holidays. And it has two weak regularities that a policy can learn: trends that last
some hours, and a pull from the macro changes of the day before.
"""

from __future__ import annotations

import argparse
import csv
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["MACRO_NAMES", "SimulatedMarket", "simulate", "until", "write_market"]

FIRST_DAY: Final = date(2022, 1, 3)
BARS_A_DAY: Final = 60
FIRST_BAR_UTC_HOUR: Final = 13  # 08:00 in Bogotá, which has no daylight saving
MACRO_DAYS_BEFORE: Final = 130  # so that the first bars have macro features

FIRST_CLOSE: Final = 4000.0
BAR_VOLATILITY: Final = 7.5e-4  # standard deviation of a log return in the middle of a session
OPENING_FACTOR: Final = 2.2  # volatility of the first bars against the middle
CLOSING_FACTOR: Final = 1.15
DAY_VOLATILITY_MEMORY: Final = 0.85
DAY_VOLATILITY_SPREAD: Final = 0.20
TAIL_FREEDOM: Final = 4.0  # degrees of freedom of Student's t
OVERNIGHT_VOLATILITY: Final = 4.0e-3
PULL_TO_FIRST_CLOSE: Final = 0.01  # share of the log distance that a day gives back

TREND_DRIFT: Final = 0.20  # of a bar's volatility, per bar
TREND_BARS: Final = 150  # mean length of a trend
MACRO_DRIFT: Final = 0.06  # of a bar's volatility, per bar and standard deviation of the pull

REPEATED_QUOTES: Final = 0.06  # bars that close where the one before closed
FLAT_BARS: Final = 0.91  # bars with open = high = low = close
MISSING_BARS: Final = 0.01
HOLIDAYS: Final = 0.05  # weekdays without a session
MACRO_HOLIDAYS: Final = 0.03  # days on which one macro series has no value

MACRO_NAMES: Final = ("dxy", "vix", "embi_col", "brent", "ust10y", "col10y", "usdmxn")
_MACRO_CENTRE: Final = np.array([100.0, 20.0, 300.0, 75.0, 3.5, 10.0, 19.0])
_MACRO_VOLATILITY: Final = np.array([0.0045, 0.07, 0.024, 0.025, 0.018, 0.014, 0.008])
_MACRO_RETURN_TO_CENTRE: Final = 0.02
_MACRO_DECIMALS: Final = (3, 2, 0, 2, 3, 2, 4)
# A stronger dollar, a weaker Mexican peso and cheaper oil lift USD/COP the day after.
_MACRO_PULL: Final = np.array([1.0, 0.0, 0.0, -1.0, 0.0, 0.0, 1.0]) / np.sqrt(3.0)

Numbers = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SimulatedMarket:
    """Bars and macro values.

    Attributes:
        starts: starts of the bars, seconds since 1970-01-01 UTC, shape (n,).
        prices: open, high, low and close, shape (n, 4).
        macro_dates: dates of the macro values, length m.
        macro: one column for each of `MACRO_NAMES`, NaN on its holidays, shape (m, 7).
    """

    starts: NDArray[np.int64]
    prices: Numbers
    macro_dates: tuple[date, ...]
    macro: Numbers


def simulate(days: int, seed: int) -> SimulatedMarket:
    """Simulate so many session days; the same arguments give the same market.

    Args:
        days: session days, 1 or more. One has at most 60 bars.
        seed: of the random numbers.
    """
    rng = np.random.default_rng(seed)
    sessions = _session_days(days, rng)
    macro_dates = _weekdays(FIRST_DAY - timedelta(days=MACRO_DAYS_BEFORE), sessions[-1])
    macro, pull = _macro(len(macro_dates), rng)
    # The day before a session in the macro calendar: what the features are allowed to see.
    before = [macro_dates.index(day) - 1 for day in sessions]
    closes = _closes(pull[before], rng)
    starts = _starts(sessions)
    kept = rng.random(closes.size) >= MISSING_BARS
    gaps = rng.random(macro.shape) < MACRO_HOLIDAYS
    return SimulatedMarket(
        starts=starts[kept],
        prices=_around(closes.ravel(), rng)[kept],
        macro_dates=macro_dates,
        macro=np.where(gaps, np.nan, macro),
    )


def _closes(pull: Numbers, rng: np.random.Generator) -> Numbers:
    """Closes of every bar, in pesos rounded to cents, shape (days, 60)."""
    days = len(pull)
    volatility = BAR_VOLATILITY * _day_volatility(days, rng)[:, np.newaxis] * _session_shape()
    drift = TREND_DRIFT * _trends(days, rng) + MACRO_DRIFT * pull[:, np.newaxis]
    returns = volatility * (drift + _fat_tailed((days, BARS_A_DAY), rng))
    overnight = OVERNIGHT_VOLATILITY * _fat_tailed((days,), rng)
    logs = np.empty((days, BARS_A_DAY))
    level = 0.0
    for day in range(days):
        level += overnight[day] - PULL_TO_FIRST_CLOSE * level
        logs[day] = level + np.cumsum(returns[day])
        level = logs[day, -1]
    return _with_repeated_quotes(np.round(FIRST_CLOSE * np.exp(logs), 2), rng)


def _session_shape() -> Numbers:
    """Volatility over the session against its middle: high, falling fast, rising at the end."""
    progress = np.linspace(0.0, 1.0, BARS_A_DAY)
    opening = (OPENING_FACTOR - 1.0) * np.exp(-progress / 0.12)
    closing = (CLOSING_FACTOR - 1.0) * np.exp((progress - 1.0) / 0.05)
    shape: Numbers = 1.0 + opening + closing
    return shape


def _day_volatility(days: int, rng: np.random.Generator) -> Numbers:
    """Factor around 1 that changes slowly from day to day, shape (days,)."""
    logs = np.zeros(days)
    for day in range(1, days):
        shock = rng.normal(0.0, DAY_VOLATILITY_SPREAD)
        logs[day] = DAY_VOLATILITY_MEMORY * logs[day - 1] + shock
    return np.exp(logs)


def _trends(days: int, rng: np.random.Generator) -> Numbers:
    """-1, 0 or 1 for every bar; a trend lasts `TREND_BARS` on average, across nights."""
    bars = days * BARS_A_DAY
    changes = rng.random(bars) < 1.0 / TREND_BARS
    drawn = rng.integers(-1, 2, size=bars)
    changes[0] = True
    latest = np.maximum.accumulate(np.where(changes, np.arange(bars), 0))
    return drawn[latest].astype(np.float64).reshape(days, BARS_A_DAY)


def _fat_tailed(shape: tuple[int, ...], rng: np.random.Generator) -> Numbers:
    """Student's t, scaled to a standard deviation of 1."""
    scale = np.sqrt(TAIL_FREEDOM / (TAIL_FREEDOM - 2.0))
    return np.asarray(rng.standard_t(TAIL_FREEDOM, size=shape) / scale)


def _with_repeated_quotes(closes: Numbers, rng: np.random.Generator) -> Numbers:
    flat = closes.ravel()
    repeated = rng.random(flat.size) < REPEATED_QUOTES
    repeated[0] = False
    latest = np.maximum.accumulate(np.where(repeated, 0, np.arange(flat.size)))
    return flat[latest].reshape(closes.shape)


def _around(closes: Numbers, rng: np.random.Generator) -> Numbers:
    """Open, high, low and close; most bars of the feed hold one quote. Shape (n, 4)."""
    spread = np.abs(rng.normal(0.0, 0.5 * BAR_VOLATILITY, size=(3, closes.size)))
    spread[:, rng.random(closes.size) < FLAT_BARS] = 0.0
    opens = closes * (1.0 + spread[0] - spread[1])
    highs = np.maximum(opens, closes) * (1.0 + spread[2])
    lows = np.minimum(opens, closes) * (1.0 - spread[1])
    return np.round(np.stack([opens, highs, lows, closes], axis=1), 2)


def _macro(days: int, rng: np.random.Generator) -> tuple[Numbers, Numbers]:
    """Daily values, shape (days, 7), and their pull on the next day, shape (days,)."""
    shocks = rng.normal(size=(days, len(MACRO_NAMES)))
    logs = np.zeros_like(shocks)
    for day in range(1, days):
        kept = (1.0 - _MACRO_RETURN_TO_CENTRE) * logs[day - 1]
        logs[day] = kept + _MACRO_VOLATILITY * shocks[day]
    values = _MACRO_CENTRE * np.exp(logs)
    for column, decimals in enumerate(_MACRO_DECIMALS):
        values[:, column] = np.round(values[:, column], decimals)
    return values, shocks @ _MACRO_PULL


def _session_days(days: int, rng: np.random.Generator) -> tuple[date, ...]:
    sessions: list[date] = []
    day = FIRST_DAY
    while len(sessions) < days:
        if day.weekday() < 5 and rng.random() >= HOLIDAYS:
            sessions.append(day)
        day += timedelta(days=1)
    return tuple(sessions)


def _weekdays(first: date, last: date) -> tuple[date, ...]:
    every = (first + timedelta(days=n) for n in range((last - first).days + 1))
    return tuple(day for day in every if day.weekday() < 5)


def _starts(sessions: tuple[date, ...]) -> NDArray[np.int64]:
    opened = [
        int(datetime(day.year, day.month, day.day, FIRST_BAR_UTC_HOUR, tzinfo=UTC).timestamp())
        for day in sessions
    ]
    return (np.array(opened)[:, np.newaxis] + 300 * np.arange(BARS_A_DAY)).ravel()


def until(market: SimulatedMarket, end: datetime, days: int) -> SimulatedMarket:
    """The same market at another time: as it is known at an instant.

    Args:
        market: moved by whole weeks, so that weekdays and hours stay; its last week or so is cut.
        end: aware. Bars are complete by then, and macro values are of days before.
        days: session days to keep, the newest ones.
    """
    today = end.astimezone(UTC).date()
    weeks = -((market.macro_dates[-1] - today).days // 7)
    starts = market.starts + weeks * 7 * 86_400
    dates = [day + timedelta(weeks=weeks) for day in market.macro_dates]
    known = starts + 300 <= int(end.timestamp())
    sessions = np.unique(starts[known] // 86_400)[-days:]
    kept = known & (starts // 86_400 >= sessions[0])
    before = [day < today for day in dates]
    return SimulatedMarket(
        starts=starts[kept],
        prices=market.prices[kept],
        macro_dates=tuple(day for day, is_known in zip(dates, before, strict=True) if is_known),
        macro=market.macro[before],
    )


def write_market(market: SimulatedMarket, folder: Path) -> tuple[Path, Path]:
    """Write bars.csv and macro.csv into the folder, which is made if need be.

    Returns:
        The two paths.
    """
    folder.mkdir(parents=True, exist_ok=True)
    bars, macro = folder / "bars.csv", folder / "macro.csv"
    with bars.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(("time", "open", "high", "low", "close"))
        for start, prices in zip(market.starts, market.prices, strict=True):
            opened = datetime.fromtimestamp(int(start), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            rows.writerow((opened, *(f"{price:.2f}" for price in prices)))
    with macro.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(("date", *MACRO_NAMES))
        for day, values in zip(market.macro_dates, market.macro, strict=True):
            rows.writerow((day.isoformat(), *("" if np.isnan(v) else f"{v:g}" for v in values)))
    return bars, macro


def _instant(text: str, parser: argparse.ArgumentParser) -> datetime:
    try:
        end = datetime.fromisoformat(text)
    except ValueError:
        parser.error(f"--until is {text!r}; write it like 2026-03-02T15:00:00Z")
    if end.tzinfo is None:
        parser.error(f"--until {text} has no zone; write it like 2026-03-02T15:00:00Z")
    return end


def main() -> None:
    """Read the arguments, simulate, write, say what was written."""
    parser = argparse.ArgumentParser(description="Simulate USD/COP bars and macro values.")
    parser.add_argument("--days", type=int, default=500, help="session days (default 500)")
    parser.add_argument("--seed", type=int, default=7, help="of the random numbers (default 7)")
    parser.add_argument(
        "--until",
        help="ISO 8601 with a zone, or now: the bars that are known then (default: 2022 on)",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder to write into")
    arguments = parser.parse_args()
    if arguments.days < 1:
        parser.error(f"--days is {arguments.days}; it must be 1 or more")
    if arguments.until is None:
        market = simulate(arguments.days, arguments.seed)
    else:
        end = datetime.now(UTC) if arguments.until == "now" else _instant(arguments.until, parser)
        market = until(simulate(arguments.days + 10, arguments.seed), end, arguments.days)
    bars, macro = write_market(market, arguments.out)
    print(f"{bars}: {len(market.starts)} bars of {arguments.days} days")
    print(f"{macro}: {len(market.macro_dates)} days")


if __name__ == "__main__":
    main()
