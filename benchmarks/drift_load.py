"""What a drift check costs those who ask for decisions meanwhile.

    python -m benchmarks.drift_load --rounds 8

A service on an embedded store, with the decisions of some weeks of a simulated market on record,
answers one caller after the other; in every other stretch a whole check runs beside it, Evidently
included. Prints the latencies of both as a Markdown table, and their ratio.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.connection import Connection
from config.settings import ModelSettings, Settings
from examples.trading_data import simulated_series
from features.compute import FeatureSeries
from ledgers import open_ledger
from observation import DecisionRequest
from risk.events import Draft, EventKind

__all__ = ["main"]

ROOT = Path(__file__).parents[1]
_ALL_DAY = {
    "MLOPS__TRADING_HOURS__START_HOUR": "0",
    "MLOPS__TRADING_HOURS__END_HOUR": "23",
    "MLOPS__TRADING_HOURS__END_MINUTE": "59",
    "MLOPS__TRADING_HOURS__END_SECOND": "59",
    "MLOPS__TRADING_HOURS__TRADING_DAYS": "[0, 1, 2, 3, 4, 5, 6]",
    "MLOPS__CALENDAR__COUNTRIES": "[]",
    "MLOPS__MONITORING__ENABLE_DRIFT_DETECTION": "false",
}
_READY_SECONDS = 60.0
_BAR = 300


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.drift_load")
    parser.add_argument("--rounds", type=int, default=8, help="of one quiet stretch and one check")
    parser.add_argument("--port", type=int, default=8199)
    told = parser.parse_args()
    quiet: list[float] = []
    checking: list[float] = []
    checks: list[float] = []
    with tempfile.TemporaryDirectory() as folder, _serving(Path(folder), told.port) as caller:
        for _ in range(200):
            _ask(caller)
        for _ in range(told.rounds):
            began = time.perf_counter()
            checking += _until_reported(caller, told.port)
            checks.append(time.perf_counter() - began)
            quiet += _for_seconds(caller, checks[-1])
    _print(quiet, checking, checks)
    return 0


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


@contextlib.contextmanager
def _serving(folder: Path, port: int) -> Iterator[Connection]:
    _record(folder)
    environ = {
        **os.environ,
        **_ALL_DAY,
        "MLOPS_ENVIRONMENT": "development",
        "BENTOML_HOME": str(folder / "bentoml"),
        "BENTOML_DO_NOT_TRACK": "true",
    }
    command = [sys.executable, "-m", "bentoml", "serve", str(ROOT)]
    with (folder / "log").open("wb") as log:
        service = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port)],
            cwd=folder,
            env=environ,
            stdout=log,
            stderr=log,
        )
        try:
            yield _ready(port)
        finally:
            service.terminate()
            service.wait(20)


def _ready(port: int) -> Connection:
    until = time.monotonic() + _READY_SECONDS
    while time.monotonic() < until:
        with contextlib.suppress(Exception):
            caller = Connection(port)
            if caller.get("/v1/risk/summary")[0] == 200:
                return caller
        time.sleep(0.2)
    raise RuntimeError("the service did not get ready")


def _record(folder: Path) -> None:
    """Decisions of 45 sessions, the last of them today's, as if the market had no night."""
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
    answer = {"raw_signal": "HOLD", "risk_status": "HOLD_SIGNAL"}
    return Draft(
        kind=EventKind.DECISION,
        event_id=f"decision-{row}",
        at=known_at,
        day=date.fromordinal(known_at.date().toordinal()),
        actor="benchmark",
        payload={**request.to_json(), "answer": answer},
    )


if __name__ == "__main__":
    sys.exit(main())
