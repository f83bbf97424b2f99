"""What a drift check costs those who ask for decisions meanwhile.

    python -m benchmarks.drift_load --rounds 8

A service on an embedded store, with the decisions of some weeks of a simulated market on record,
answers one caller after the other; in every other stretch a whole check runs beside it, Evidently
included. Prints the latencies of both as a Markdown table, and their ratio.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.connection import Connection
from config.settings import ModelSettings, Settings
from examples.trading_data import simulated_series
from features.compute import FeatureSeries
from ledgers import open_ledger
from observation import DecisionRequest
from risk.events import Draft
from tests.live.server import ALL_DAY, ROOT, Server
from tests.recorded_decisions import recorded_decision

__all__ = ["main", "record_sessions"]

_QUIET = {**ALL_DAY, "MLOPS__MONITORING__ENABLE_DRIFT_DETECTION": "false"}
_BAR = 300


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.drift_load")
    parser.add_argument("--rounds", type=int, default=8, help="of one quiet stretch and one check")
    told = parser.parse_args()
    quiet: list[float] = []
    checking: list[float] = []
    checks: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        record_sessions(Path(folder))
        with Server(Path(folder), _QUIET) as server:
            _measure(server.port, told.rounds, quiet, checking, checks)
    _print(quiet, checking, checks)
    return 0


def _measure(
    port: int, rounds: int, quiet: list[float], checking: list[float], checks: list[float]
) -> None:
    caller = Connection(port)
    for _ in range(200):
        _ask(caller)
    for _ in range(rounds):
        began = time.perf_counter()
        checking += _until_reported(caller, port)
        checks.append(time.perf_counter() - began)
        quiet += _for_seconds(caller, checks[-1])


def _print(quiet: list[float], checking: list[float], checks: list[float]) -> None:
    print("| | quiet | while a check runs | ratio |\n|---|---|---|---|")
    for share in (50, 90, 99):
        one, other = (1000 * float(np.percentile(of, share)) for of in (quiet, checking))
        print(f"| p{share} | {one:.2f} ms | {other:.2f} ms | {other / one:.2f} |")
    print(f"| requests | {len(quiet):,} | {len(checking):,} | |")
    print(f"\na check with its report, under this load: {float(np.median(checks)):.1f} s (median)")


def _until_reported(caller: Connection, port: int) -> list[float]:
    """Latencies from the start of a check until its report is published."""
    beside = Connection(port)
    _, entry = beside.post("/v1/drift/check", {})
    latencies: list[float] = []
    while True:
        latencies += _for_seconds(caller, 0.5)
        _, latest = beside.get("/v1/drift/latest")
        if latest.get("tick") == entry["tick"] and isinstance(latest.get("report"), dict):
            if latest["report"]["method"] != "evidently":
                raise RuntimeError(f"the check made no report by Evidently: {latest['report']}")
            return latencies


def _for_seconds(caller: Connection, seconds: float) -> list[float]:
    latencies, until = [], time.perf_counter() + seconds
    while time.perf_counter() < until:
        began = time.perf_counter()
        _ask(caller)
        latencies.append(time.perf_counter() - began)
    return latencies


def _ask(caller: Connection) -> None:
    status, answer = caller.post("/v1/inference", _BODY)
    if status != 200:
        raise RuntimeError(f"the service answered {status}: {answer}")


_BODY: dict[str, Any] = json.loads((ROOT / "examples" / "observation.json").read_text())


def record_sessions(folder: Path) -> None:
    """Put decisions on record that a drift check has something to say about.

    They are of 45 sessions, the last of them today's, as if the market had no night.

    Args:
        folder: where a service on an embedded store will be started; it has no ledger yet.
    """
    _, _, series = simulated_series(130, seed=11)
    days = np.unique(series.times // 86_400)[-45:]
    kept = series.times // 86_400 >= days[0]
    shift = int(time.time()) // _BAR * _BAR - 2 * _BAR - int(series.times[-1])
    moved = FeatureSeries(
        series.times[kept] + shift, series.known_at[kept] + shift, series.matrix[kept]
    )
    settings = Settings(
        models=(ModelSettings(name="m", algorithm="PPO", tag="m"),),
        state_path=str(folder / "var" / "state.db"),
        acknowledged_path=str(folder / "var" / "acknowledged"),
    )
    ledger = open_ledger(settings, create=True)
    for begin in range(0, len(moved.times), 500):
        chosen = range(begin, min(begin + 500, len(moved.times)))
        ledger.append([_decision(moved, row) for row in chosen])
    ledger.close()


def _decision(series: FeatureSeries, row: int) -> Draft:
    known_at = datetime.fromtimestamp(int(series.known_at[row]), UTC)
    request = DecisionRequest(observation=series.matrix[row], observed_at=known_at)
    return recorded_decision(request, known_at, f"decision-{row}", "HOLD")


if __name__ == "__main__":
    sys.exit(main())
