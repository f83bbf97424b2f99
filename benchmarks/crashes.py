"""What a service loses, doubles or lets through when its processes are killed: nothing.

    python -m benchmarks.crashes --store sqlite|redis --kills 200

A real service with two workers is driven by several callers while a worker, the arbiter with all
its workers, or Redis is killed with SIGKILL, again and again, at random moments. Every answer
that a caller got is then held against the ledger, and every approval on record against the limits
of its instant.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from benchmarks.journal import Journal, recorded
from benchmarks.stores import (
    RedisStore,
    Store,
    service_on,
    store_of,
    until_healthy,
    working_folder,
)
from benchmarks.table import print_table
from benchmarks.traffic import LIMITS, Traffic
from benchmarks.walk import Walk
from config.settings import RiskLimits
from risk.ledger.protocol import Ledger
from risk.verification import examine, records_of
from tests.live.server import Server

__all__ = ["KINDS", "Kill", "Outcome", "run", "schedule"]

KINDS = {
    "sqlite": {"worker": 75, "arbiter": 25},
    "redis": {"worker": 35, "redis": 45, "arbiter": 20},
}
"""What is killed how often."""

_WORKERS = 2

_EXAMINE_EVERY = 10
_SAMPLE = 500


@dataclass(frozen=True, slots=True)
class Kill:
    """One death.

    Attributes:
        what: `worker`, `arbiter` or `redis`.
        calm: seconds of ordinary traffic before it.
        storm: seconds in which everybody hurries, at the end of which it dies.
        index: which worker.
    """

    what: str
    calm: float
    storm: float
    index: int


def schedule(store: str, kills: int, seed: int) -> list[Kill]:
    """Who dies when: the same for the same seed.

    An arbiter looks for dead workers every ten seconds only. So once all of them may be dead, it
    is the arbiter's turn, and a new one brings new workers.
    """
    chance, alive = random.Random(seed), _WORKERS
    weights = KINDS[store]
    due = []
    for _ in range(kills):
        (what,) = chance.choices(list(weights), list(weights.values()))
        if what == "worker" and not alive:
            what = "arbiter"
        alive = {"worker": alive - 1, "arbiter": _WORKERS}.get(what, alive)
        calm, storm = chance.uniform(0.1, 0.6), chance.uniform(0.1, 0.5)
        due.append(Kill(what, calm, storm, chance.randrange(_WORKERS)))
    return due


@dataclass
class Outcome:
    """What came of a run.

    Attributes:
        store, seed: as they were asked for.
        kills: by kind.
        journal: what callers were told.
        walk: what is on record.
        recoveries: seconds until the service was healthy again, by kind of kill.
        examined: how often the whole chain, head and state were verified.
        looks: how often the ledger was held against what callers were told.
        missing: acknowledged and not on record, or on record with other content.
        seconds: that the run took.
    """

    store: str
    seed: int
    kills: Counter[str] = field(default_factory=Counter)
    journal: Journal = field(default_factory=Journal)
    walk: Walk = field(default_factory=lambda: Walk(limits_of_the_run()))
    recoveries: dict[str, list[float]] = field(default_factory=dict)
    examined: int = 0
    looks: int = 0
    missing: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def violations(self) -> list[str]:
        """Everything that should not be."""
        return [*self.missing, *self.walk.violations, *self.journal.violations]


def limits_of_the_run() -> RiskLimits:
    """`LIMITS` as the service reads them."""
    return RiskLimits.model_validate(
        {
            name.lower(): float(value) if "." in value else int(value)
            for name, value in LIMITS.items()
        }
    )


def run(store_name: str, kills: int, seed: int, folder: Path) -> Outcome:
    """Kill so many times; stops at the first violation."""
    began = time.monotonic()
    outcome = Outcome(store_name, seed)
    with closing(store_of(store_name, folder)) as store:
        variables = {f"MLOPS__RISK_LIMITS__{name}": value for name, value in LIMITS.items()}
        server = service_on(store, folder, workers=_WORKERS, variables=variables)
        with server:
            with Traffic(server.port, seed, outcome.journal) as traffic:
                for number, kill in enumerate(schedule(store_name, kills, seed), start=1):
                    time.sleep(kill.calm)
                    with traffic.storm():
                        time.sleep(kill.storm)
                        struck = time.monotonic()
                        _strike(kill, server, store)
                        if server.workers():
                            until_healthy(server)
                            recovered = time.monotonic() - struck
                            outcome.recoveries.setdefault(kill.what, []).append(recovered)
                        time.sleep(0.1)
                    outcome.kills[kill.what] += 1
                    _look(outcome, store, whole=number % _EXAMINE_EVERY == 0)
                    if outcome.violations:
                        break
            _look(outcome, store, whole=True)
            _look_at_everything(outcome, store)
    outcome.seconds = time.monotonic() - began
    return outcome


def _strike(kill: Kill, server: Server, store: Store) -> None:
    if kill.what == "arbiter":
        server.kill()
        server.start()
    elif isinstance(store, RedisStore) and kill.what == "redis":
        store.server.kill()
        store.server.start()
    else:
        workers = sorted(server.workers())
        if workers:
            with suppress(ProcessLookupError):
                os.kill(workers[kill.index % len(workers)], signal.SIGKILL)


def _look(outcome: Outcome, store: Store, *, whole: bool) -> None:
    """Hold the ledger against what callers know, while the service goes on."""
    known = outcome.journal.copy()
    with closing(store.opened()) as ledger:
        head, walk = ledger.head(), outcome.walk
        new = head.sequence - walk.head.sequence
        walk.on(islice(records_of(ledger, after=walk.head.sequence), new))
        walk.agrees_with(head)
        names = set(list(known.told)[-_SAMPLE:])
        keys = set(list(known.bound)[-_SAMPLE:])
        outcome.missing += known.missing(ledger, names, keys)
        outcome.looks += 1
        if whole:
            _examine(outcome, ledger)


def _examine(outcome: Outcome, ledger: Ledger) -> None:
    examination = examine(ledger)
    outcome.examined += 1
    if not examination.is_intact:
        outcome.missing.append(f"the ledger does not verify: {examination.complaint}")


def _look_at_everything(outcome: Outcome, store: Store) -> None:
    """From the first record on: all that was ever acknowledged, and each once."""
    journal = outcome.journal
    again, left = Walk(limits_of_the_run()), dict(journal.told)
    with closing(store.opened()) as ledger:
        for record in records_of(ledger):
            again.on([record])
            if (digest := left.pop(record.event_id, None)) is None:
                continue
            if recorded(record) != digest:
                outcome.missing.append(
                    f"record {record.sequence} ({record.event_id}) is not what was acknowledged"
                )
        again.agrees_with(ledger.head())
        outcome.missing += journal.missing(ledger, set(), set(journal.bound))
    outcome.missing += [f"{name} was acknowledged and is not on record" for name in left]
    outcome.missing += again.violations
    for order_id, times in journal.repeats.items():
        if times > again.repeats[order_id]:
            outcome.missing.append(
                f"order {order_id} was answered again {times} times; "
                f"{again.repeats[order_id]} are on record"
            )


def _tell(outcome: Outcome) -> None:
    journal, walk = outcome.journal, outcome.walk
    words = [*outcome.missing, *walk.violations, *journal.violations]
    lost = sum("not on record" in word or "not what was" in word for word in words)
    doubled = sum("doubles" in word or "both are" in word or "twice" in word for word in words)
    limits = sum("is an approval, but" in word for word in words)
    chain = f"{outcome.looks} times as it grew, {outcome.examined} times from the first record"
    print_table(
        f"{sum(outcome.kills.values())} kills on {outcome.store}, seed {outcome.seed}",
        {
            "killed": _told(outcome.kills),
            "healthy again after (median / most, s)": ", ".join(
                f"{kind} {sorted(times)[len(times) // 2]:.2f} / {max(times):.2f}"
                for kind, times in sorted(outcome.recoveries.items())
            ),
            "events on record": f"{walk.head.sequence:,}: {_told(walk.kinds)}",
            "acknowledged": f"{sum(journal.kinds.values()):,}: {_told(journal.kinds)}",
            "acknowledged decisions": _told(journal.statuses),
            "answer lost, or not available": _told(journal.unknown),
            "approvals held against the limits": f"{walk.approvals:,}",
            "lost or altered": str(lost),
            "doubled": str(doubled),
            "limits exceeded": str(limits),
            "other violations": str(len(words) - lost - doubled - limits),
            "chain and state verified": chain,
            "seconds": f"{outcome.seconds:.0f}",
        },
    )
    for word in words[:1]:
        print(f"FIRST VIOLATION: {word}")


def _told(counts: Counter[str]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.most_common()) or "none"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; 1 if anything was violated."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.crashes")
    parser.add_argument("--store", choices=sorted(KINDS), default="sqlite")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=None)
    told = parser.parse_args(arguments)
    seed = random.SystemRandom().randrange(10**6) if told.seed is None else told.seed
    print(f"store {told.store}, {told.kills} kills, --seed {seed}", flush=True)
    with working_folder("crashes") as folder:
        outcome = run(told.store, told.kills, seed, folder)
    _tell(outcome)
    return 1 if outcome.violations else 0


if __name__ == "__main__":
    sys.exit(main())
