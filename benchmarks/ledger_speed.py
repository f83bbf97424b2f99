"""How fast a ledger is proved and folded again.

    python -m benchmarks.ledger_speed --events 100000

Builds a ledger of real decisions, results and marks in a file, then does what `usdcop ledger
verify`, `usdcop ledger rebuild` and `usdcop ledger rebuild --out NEW` do.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import numpy as np

from benchmarks.stores import working_folder
from benchmarks.table import print_table
from config.load import load_settings
from config.settings import CalendarSettings, RiskLimits, Settings, TradingHours
from errors import ServiceError
from ledgers import copy_ledger, readable_ledger
from observation import DecisionRequest
from pipeline import decide
from risk.calendar import SessionCalendar
from risk.ledger.sqlite import SqliteLedger
from risk.verification import examine, records_of
from tests.book import Book
from tests.fakes import SignedVoter, desk_of

__all__ = ["build", "measure"]

LEAST_PER_SECOND = 20_000
OBSERVATION = 45
_RESULT_EVERY, _MARK_EVERY = 12, 15
_BEGIN = datetime(2026, 3, 2, 13, 0, tzinfo=UTC)
_STEP = timedelta(seconds=5)


def build(path: Path, events: int) -> None:
    """A ledger of at least so many events: mostly decisions, of three models on 45 numbers."""
    chance = np.random.default_rng(7)
    calendar = SessionCalendar(
        TradingHours(
            start_hour=0, end_hour=23, end_minute=59, end_second=59, trading_days=tuple(range(7))
        ),
        CalendarSettings(countries=()),
    )
    with closing(SqliteLedger(path)) as ledger:
        book = Book(ledger, limits=RiskLimits(), calendar=calendar, now=_BEGIN)
        voters = [SignedVoter(name=name) for name in ("ppo_usdcop", "sac_usdcop", "a2c_macro")]
        desk = desk_of(book, *voters)
        for number in count():
            if number % 500 == 0 and ledger.head().sequence >= events:
                return
            book.now += _STEP
            vector = chance.normal(0, 0.6, OBSERVATION).astype(np.float32)
            answer = decide(
                DecisionRequest(vector, order_id=f"order-{number}", observed_at=book.now), desk
            )
            if answer["approved"]:
                book.result(round(chance.normal(0, 0.001), 6), order_id=f"order-{number}")
            elif number % _RESULT_EVERY == 0:
                book.result(round(chance.normal(0, 0.001), 6))
            if number % _MARK_EVERY == 0:
                book.mark(round(chance.normal(0, 0.001), 6))


def measure(settings: Settings, copy: Path) -> dict[str, tuple[int, float]]:
    """Events and seconds of what the commands do."""

    def verified() -> int:
        with closing(readable_ledger(settings)) as ledger:
            examination = examine(ledger, progress=lambda _: None)
        if not examination.is_intact:
            raise ServiceError(examination.complaint)
        return examination.events

    def copied() -> int:
        with closing(readable_ledger(settings)) as ledger:
            return copy_ledger(ledger, copy, lambda _: None).head.sequence

    def read() -> int:
        with closing(readable_ledger(settings)) as ledger:
            return sum(1 for _ in records_of(ledger))

    works: dict[str, Callable[[], int]] = {
        "verify": verified,
        "rebuild": verified,
        "rebuild --out": copied,
        "(records read, not judged)": read,
    }
    return {name: _timed(work) for name, work in works.items()}


def _timed(work: Callable[[], int]) -> tuple[int, float]:
    began = time.perf_counter()
    events = work()
    return events, time.perf_counter() - began


def _bodies(settings: Settings) -> Iterator[tuple[str, int]]:
    with closing(readable_ledger(settings)) as ledger:
        for record in records_of(ledger):
            yield record.kind, len(record.body)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; 1 if it is slower than it should be."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ledger_speed")
    parser.add_argument("--events", type=int, default=100_000)
    told = parser.parse_args(arguments)
    with working_folder("ledger-speed") as folder:
        path = folder / "state.db"
        began = time.perf_counter()
        build(path, told.events)
        built = time.perf_counter() - began
        settings = load_settings({**os.environ, "MLOPS__STATE_PATH": str(path)}).settings
        sizes: dict[str, list[int]] = {}
        for kind, size in _bodies(settings):
            sizes.setdefault(kind, []).append(size)
        measured = measure(settings, folder / "copy.db")
        megabytes = path.stat().st_size / 1e6
    kinds = ", ".join(
        f"{len(of_kind):,} {kind} of {sum(of_kind) / len(of_kind):,.0f} bytes"
        for kind, of_kind in sorted(sizes.items(), key=lambda item: -len(item[1]))
    )
    print_table(
        "Speed of proving an SQLite ledger",
        {
            "ledger": f"{kinds}; {megabytes:,.0f} MB, written in {built:.0f} s",
            **{
                name: f"{events:,} events in {seconds:.2f} s: {events / seconds:,.0f} events/s"
                for name, (events, seconds) in measured.items()
            },
            "due": f"{LEAST_PER_SECOND:,} events/s for verify and rebuild",
        },
    )
    slow = [
        name
        for name in ("verify", "rebuild")
        if measured[name][0] / measured[name][1] < LEAST_PER_SECOND
    ]
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
