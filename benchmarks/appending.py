"""Appends decisions to one ledger, one after the other, as fast as it stores them.

    python -m benchmarks.appending < work.json

It says `ready` once the ledger is open and begins when it is told to, so that several begin at
once.
"""

from __future__ import annotations

import json
import sys
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.decisions import again, drafts_in
from errors import StoreUnavailable
from risk.ledger.protocol import Ledger
from risk.ledger.redis import RedisLedger
from risk.ledger.sqlite import SqliteLedger

__all__ = ["append_for"]

_TIMEOUT_MS = 5000


def append_for(
    ledger: Ledger, templates: Path, name: str, seconds: float, *, durable: bool
) -> dict[str, Any]:
    """Append for so long.

    Args:
        ledger: to append to.
        templates: ledger file with decisions to append again.
        name: that the new ids begin with.
        seconds: of appending.
        durable: wait for the disk each time.

    Returns:
        how many were stored and how many refused because others kept appending, p50 and p99
        milliseconds of one, and the seconds that all took.
    """
    with closing(SqliteLedger(templates, create=False)) as recorded:
        drafts = again(drafts_in(recorded, 200), name, datetime.now(UTC))
    print("ready", flush=True)
    sys.stdin.readline()
    taken, refused = [], 0
    began = time.perf_counter()
    while (now := time.perf_counter()) - began < seconds:
        try:
            ledger.append([next(drafts)], durable=durable)
        except StoreUnavailable:
            refused += 1
        taken.append(time.perf_counter() - now)
    lasted = time.perf_counter() - began
    p50, p99 = (1000 * np.percentile(taken, (50, 99))).tolist()
    return {
        "stored": len(taken) - refused,
        "refused": refused,
        "p50": p50,
        "p99": p99,
        "seconds": lasted,
    }


def main() -> int:
    """What to do comes in a line of JSON, and what came of it goes out in one."""
    work = json.loads(sys.stdin.readline())
    with closing(_opened(work)) as ledger:
        found = append_for(
            ledger,
            Path(work["templates"]),
            work["name"],
            work["seconds"],
            durable=work["durable"],
        )
        print(json.dumps(found), flush=True)
        # Whoever asked reads this process's times before it ends.
        sys.stdin.read()
    return 0


def _opened(work: dict[str, Any]) -> Ledger:
    if "path" in work:
        return SqliteLedger(Path(work["path"]), busy_timeout_ms=_TIMEOUT_MS)
    return RedisLedger(work["book"], timeout_ms=_TIMEOUT_MS, **work["address"])


if __name__ == "__main__":
    sys.exit(main())
