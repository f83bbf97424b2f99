"""Half the maximum load for minutes, with everything going on: how long are the pauses?

    python -m benchmarks.soak --minutes 10
    python -m benchmarks.soak --minutes 10 --store redis

A service is asked by 8 clients for a few seconds, as fast as it answers; then at half of that rate
on a fixed schedule, for so long. Meanwhile its ledger grows, drift is checked every minute, trade
results come in, and its log is rotated. Latencies count from when a request was due. It ends with
1 if an answer was wrong, the ledger does not verify, or an acknowledged decision is missing; pauses
and memory are printed as they are.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Final

from benchmarks.decisions import draft_of, event_of
from benchmarks.drift_load import record_sessions
from benchmarks.scale_parts import closed_loop, mixed_bodies, ready_seconds
from benchmarks.serving.machine import facts
from benchmarks.soak_drive import drive
from benchmarks.soak_report import Soaked, print_soak, soak_json
from benchmarks.stores import (
    BOOK,
    WIDE,
    RedisStore,
    SqliteStore,
    service_on,
    store_of,
    working_folder,
)
from risk.ledger.redis import RedisLedger
from risk.ledger.sqlite import SqliteLedger
from risk.verification import Examination, examine, records_of

__all__ = ["main", "soaked"]

_CLIENTS: Final = 8
_MAXIMUM_SECONDS: Final = 4.0
_PAGE: Final = 500


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; 1 if something was wrong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--store", choices=("sqlite", "redis"), default="sqlite")
    parser.add_argument("--share", type=float, default=0.5, help="of the maximum rate")
    parser.add_argument("--json", type=Path, help="write all figures there")
    told = parser.parse_args(arguments)
    with working_folder("soak") as folder:
        machine = facts(folder)
        found = soaked(folder, told.store, 60 * told.minutes, told.share)
    print_soak(found, machine)
    if told.json is not None:
        told.json.parent.mkdir(parents=True, exist_ok=True)
        told.json.write_text(json.dumps({"machine": machine, **soak_json(found)}, indent=1) + "\n")
    return 1 if found.wrong else 0


def soaked(folder: Path, kind: str, seconds: float, share: float) -> Soaked:
    """Run a service on a store of this kind and load it for so long.

    Args:
        folder: empty.
        kind: `sqlite` or `redis`.
        seconds: of load on the schedule.
        share: of the maximum rate.
    """
    with ExitStack() as stack:
        store = store_of(kind, folder)
        stack.callback(store.close)
        _fill(store, folder)
        server = service_on(store, folder, variables={**WIDE, "MLOPS__LOGGING__LEVEL": "INFO"})
        ready_seconds(server)
        stack.callback(server.stop)
        bodies = mixed_bodies(server.port)
        maximum = closed_loop(
            server.port, bodies, clients=_CLIENTS, seconds=_MAXIMUM_SECONDS, warm_seconds=1.0
        )
        before = _newest(store)
        driven = drive(server, store, bodies, maximum.per_second * share, seconds)
        server.stop()
        examination, took = _verified(store)
        return Soaked(kind, maximum, share, driven, before, examination, took)


def _fill(store: SqliteStore | RedisStore, folder: Path) -> None:
    """Decisions of some weeks, so that a drift check has something to say."""
    if isinstance(store, SqliteStore):
        record_sessions(folder)
        return
    with working_folder("soak-sessions") as aside:
        record_sessions(aside)
        path = aside / "var" / "state.db"
        with closing(SqliteLedger(path, create=False)) as recorded:
            drafts = [draft_of(event_of(record)) for record in records_of(recorded)]
    with closing(RedisLedger(BOOK, **store.server.address, timeout_ms=5000)) as ledger:
        for begin in range(0, len(drafts), _PAGE):
            ledger.append(drafts[begin : begin + _PAGE])


def _newest(store: SqliteStore | RedisStore) -> int:
    with closing(store.opened()) as ledger:
        return ledger.head().sequence


def _verified(store: SqliteStore | RedisStore) -> tuple[Examination, float]:
    """The ledger, every record of it, and how many seconds that took."""
    began = time.monotonic()
    with closing(store.opened()) as ledger:
        return examine(ledger, progress=lambda _: None), time.monotonic() - began


if __name__ == "__main__":
    sys.exit(main())
