"""Trade results that pour in: a process of its own that posts so many a second.

    python -m benchmarks.serving.trade_results --port 8090 --per-second 50 --seconds 2

Each has a `trade_id` that no other has, and a profit or a loss of one cent in turn.
"""

from __future__ import annotations

import argparse
import json
import secrets
import sys
import time
from itertools import count
from typing import Any

from benchmarks.connection import Connection

__all__ = ["pour"]

_CENT, _OF_CAPITAL = 0.01, 0.0000001


def pour(port: int, per_second: float, seconds: float) -> dict[str, Any]:
    """Post for so long; one that is late is sent at once.

    Returns:
        how many were posted, how many were not answered with 200, and how many seconds it took.
    """
    run, connection = secrets.token_hex(6), Connection(port)
    failed = posted = 0
    began = time.perf_counter()
    for number in count():
        due = number / per_second
        if due >= seconds:
            break
        time.sleep(max(0.0, began + due - time.perf_counter()))
        sign = -1 if number % 2 else 1
        answer = connection.post(
            "/v1/risk/trade-result",
            {"trade_id": f"{run}-{number}", "pnl": sign * _CENT, "pnl_percent": sign * _OF_CAPITAL},
        )
        posted += 1
        failed += answer.status != 200
    connection.close()
    return {"posted": posted, "failed": failed, "seconds": time.perf_counter() - began}


def main() -> int:
    """Print what came of it as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving.trade_results")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--per-second", type=float, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    told = parser.parse_args()
    json.dump(pour(told.port, told.per_second, told.seconds), sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
