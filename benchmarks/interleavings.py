"""Whether processes that act on one ledger at once ever let a limit be exceeded: no.

    python -m benchmarks.interleavings --store sqlite|redis --acts 100000 --processes 4

Each process asks for approvals, reports results, releases orders and resets, by chance and as fast
as it can, without a service between it and the ledger; many ask for the same order. Afterwards the
log is walked, and every approval held against the limits of its instant.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.stores import working_folder
from benchmarks.table import print_table
from benchmarks.walk import Walk
from config.settings import CalendarSettings, RiskLimits, TradingHours
from desk import Desk
from errors import KeyTaken, StateMoved, StoreUnavailable
from observation import DecisionRequest
from pipeline import decide
from risk.calendar import SessionCalendar
from risk.events import Draft, Event
from risk.ledger.redis import RedisLedger
from risk.ledger.sqlite import SqliteLedger
from risk.state import ResetScope
from risk.verification import examine, records_of
from tests.book import Book
from tests.fakes import SignedVoter, desk_of
from tests.redis_server import RedisServer

__all__ = ["Interleaved", "run"]

LIMITS = RiskLimits(
    max_trades_per_day=12,
    max_unresolved_orders=5,
    max_daily_loss=-1.0,
    max_drawdown=-1.0,
    max_consecutive_losses=4,
    min_confidence=0.3,
    high_confidence_threshold=1.0,
    cooldown_after_loss=0,
    cooldown_after_circuit_break=0,
    max_daily_resets=10**9,
)
_ALL_DAY = TradingHours(
    start_hour=0, end_hour=23, end_minute=59, end_second=59, trading_days=tuple(range(7))
)
_WEIGHTS = {"order": 48, "advice": 4, "result": 24, "release": 14, "reset": 8, "position": 2}
_ACTS_PER_NAME = 3
_SPREAD = 30


class Place(NamedTuple):
    """Where the ledger is, as another process is told."""

    path: str | None
    port: int = 0

    def opened(self) -> _Counted:
        """The ledger, which also counts."""
        if self.path is not None:
            return _Sqlite(Path(self.path), busy_timeout_ms=5000)
        return _Redis("default", host="127.0.0.1", port=self.port, timeout_ms=5000)


class _Counting:
    """Counts what an append met."""

    met: Counter[str]

    def append(
        self, drafts: Sequence[Draft], *, expected: int | None = None, durable: bool = False
    ) -> tuple[Event, ...]:
        """Store events, in order, all or none."""
        try:
            stored: tuple[Event, ...] = super().append(  # type: ignore[misc]  # of the ledger
                drafts, expected=expected, durable=durable
            )
        except (StateMoved, KeyTaken) as error:
            self.met[type(error).__name__] += 1
            raise
        return stored


class _Sqlite(_Counting, SqliteLedger):
    def __init__(self, path: Path, **more: Any) -> None:
        self.met = Counter()
        super().__init__(path, **more)


class _Redis(_Counting, RedisLedger):
    def __init__(self, book: str, **more: Any) -> None:
        self.met = Counter()
        super().__init__(book, **more)


_Counted = _Sqlite | _Redis


@dataclass
class Interleaved:
    """What came of a run.

    Attributes:
        met: what the processes met: acts by kind, retries, what could not be stored.
        walk: what is on record.
        seconds: that the acts took.
        complaint: what verification found; empty if nothing.
    """

    met: Counter[str] = field(default_factory=Counter)
    walk: Walk = field(default_factory=lambda: Walk(LIMITS))
    seconds: float = 0.0
    complaint: str = ""

    @property
    def violations(self) -> list[str]:
        """Everything that should not be."""
        return [*self.walk.violations, *([self.complaint] if self.complaint else [])]


def run(place: Place, acts: int, processes: int, seed: int) -> Interleaved:
    """Let the processes act, then look at what they left."""
    outcome = Interleaved()
    place.opened().close()
    shares = [acts // processes + (number < acts % processes) for number in range(processes)]
    began = time.monotonic()
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        work = [(place, share, processes, f"{seed}-{n}") for n, share in enumerate(shares)]
        for met in pool.starmap(_act, work, chunksize=1):
            outcome.met += met
    outcome.seconds = time.monotonic() - began
    with closing(place.opened()) as ledger:
        outcome.walk.on(records_of(ledger))
        outcome.walk.agrees_with(ledger.head())
        outcome.complaint = examine(ledger).complaint
    return outcome


def _act(place: Place, share: int, processes: int, name: str) -> Counter[str]:
    """One process."""
    with closing(place.opened()) as ledger:
        actor = _Actor(ledger, processes, name)
        for _ in range(share):
            actor.act()
        return actor.met + ledger.met


class _Actor:
    """Acts on the book by chance."""

    def __init__(self, ledger: _Counted, processes: int, name: str) -> None:
        self._chance = random.Random(name)
        calendar = SessionCalendar(_ALL_DAY, CalendarSettings(countries=()))
        self._book = Book(ledger, limits=LIMITS, calendar=calendar, prefix=name)
        self._desk: Desk = desk_of(self._book, SignedVoter())
        self._processes = processes
        self._done = 0
        self._orders: list[str] = []
        self.met: Counter[str] = Counter()
        self._acts: dict[str, Callable[[], object]] = {
            "order": self._order,
            "advice": lambda: self._decide(None, self._chance.uniform(-1, 1)),
            "result": self._result,
            "release": self._release,
            "reset": lambda: self._book.reset(self._chance.choice(list(ResetScope)), "go on"),
            "position": lambda: self._book.holds(round(self._chance.uniform(-0.03, 0.03), 4)),
        }

    def act(self) -> None:
        """One act."""
        (what,) = self._chance.choices(list(_WEIGHTS), list(_WEIGHTS.values()))
        self._book.now = datetime.now(UTC)
        self._done += 1
        self.met[what] += 1
        try:
            self._acts[what]()
        except StoreUnavailable:
            self.met["not stored"] += 1

    def _order(self) -> None:
        """An order that some other process may be asking for at this moment."""
        order_id = f"order-{self._near()}"
        strength = random.Random(order_id).uniform(0.35, 0.6)
        side = 1 if hash_of(order_id) % 2 else -1
        answer = self._decide(order_id, side * strength)
        if answer["approved"] and not answer["replayed"]:
            self._orders.append(order_id)

    def _decide(self, order_id: str | None, strength: float) -> dict[str, Any]:
        vector = np.array([strength], dtype=np.float32)
        answer = decide(DecisionRequest(vector, order_id=order_id), self._desk)
        if answer["state_sequence"] is None:
            self.met["not stored"] += 1
        self.met[f"status {answer['risk_status']}"] += 1
        return answer

    def _result(self) -> None:
        """Of an own order, or of a trade that some other process may be reporting as well."""
        if self._orders:
            order_id = self._orders.pop(0)
            self._report(f"trade-of-{order_id}", order_id)
        else:
            self._report(f"trade-{self._near()}", None)

    def _report(self, trade_id: str, order_id: str | None) -> None:
        pnl = round(random.Random(trade_id).gauss(0, 0.001), 6)
        recorded = self._book.result(pnl, trade_id, order_id=order_id)
        self.met["duplicate"] += recorded.duplicate

    def _near(self) -> int:
        """A number that the other processes are likely to come upon at about this time."""
        return self._done * self._processes // _ACTS_PER_NAME + self._chance.randrange(_SPREAD)

    def _release(self) -> None:
        if self._orders:
            self._book.release(self._orders.pop(0))


def hash_of(text: str) -> int:
    """The same in every process, which `hash` is not."""
    return sum(text.encode())


def _tell(outcome: Interleaved, title: str) -> None:
    met, walk = outcome.met, outcome.walk
    acts = {name: met[name] for name in _WEIGHTS}
    total = sum(acts.values())
    statuses = {name[7:]: met[name] for name in met if name.startswith("status ")}
    print_table(
        title,
        {
            "acts": f"{total:,}: {_told(acts)}",
            "events on record": f"{walk.head.sequence:,}: {_told(walk.kinds)}",
            "approvals held against the limits": f"{walk.approvals:,}",
            "answers": _told(statuses),
            "judged again on a newer state": f"{met['StateMoved']:,}",
            "beaten to the same order or trade": f"{met['KeyTaken']:,}",
            "results that were on record already": f"{met['duplicate']:,}",
            "not stored (store busy)": f"{met['not stored']:,}",
            "limits exceeded": f"{len(walk.violations)}",
            "chain and state": outcome.complaint or "verified",
            "seconds": f"{outcome.seconds:.0f} ({total / outcome.seconds:,.0f} acts/s)",
        },
    )
    for violation in outcome.violations[:1]:
        print(f"FIRST VIOLATION: {violation}")


def _told(counts: dict[str, int]) -> str:
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    return ", ".join(f"{count:,} {name}" for name, count in ordered)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; 1 if anything was violated."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.interleavings")
    parser.add_argument("--store", choices=["sqlite", "redis"], default="sqlite")
    parser.add_argument("--acts", type=int, default=100_000)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--seed", type=int, default=None)
    told = parser.parse_args(arguments)
    seed = random.SystemRandom().randrange(10**6) if told.seed is None else told.seed
    with working_folder("interleavings") as folder:
        server = RedisServer(folder).start() if told.store == "redis" else None
        place = Place(None, server.port) if server else Place(str(folder / "state.db"))
        try:
            outcome = run(place, told.acts, told.processes, seed)
        finally:
            if server is not None:
                server.kill()
    _tell(outcome, f"{told.processes} processes on {told.store}, on disk, --seed {seed}")
    return 1 if outcome.violations else 0


if __name__ == "__main__":
    sys.exit(main())
