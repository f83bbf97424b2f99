"""What is measured beside the servers: the ensemble, one durable commit, history replay."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.observations import known_vectors
from benchmarks.serving.servers import Servers
from examples.simulate import simulate, write_market
from tests.live.server import ROOT

__all__ = ["Replays", "commit_ms", "ensemble_ms"]

_COMMITS = 100
_ROW_BYTES = 4096


def ensemble_ms(servers: Servers, rounds: int) -> dict[str, float]:
    """Milliseconds of a prediction on one row, by the models of the service on SQLite."""
    scratch = servers.folder / "in-process"
    scratch.mkdir(exist_ok=True)
    variables = {**servers.environment, "PYTHONPATH": str(ROOT)}
    np.save(scratch / "rows.npy", known_vectors()[:500])
    words = ["-m", "benchmarks.serving.ensemble", "rows.npy", "--rounds", str(rounds)]
    found: dict[str, float] = json.loads(_output(words, cwd=scratch, env=variables))
    return found


def commit_ms(folder: Path) -> float:
    """One transaction that waits for the disk and inserts one row of 4 kB: median, milliseconds.

    Args:
        folder: on the disk in question; a file is added to it and used again.
    """
    with closing(sqlite3.connect(folder / "commit.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("CREATE TABLE IF NOT EXISTS event (body BLOB NOT NULL)")
        taken = []
        for number in range(_COMMITS):
            body = number.to_bytes(2, "big") * (_ROW_BYTES // 2)
            began = time.perf_counter_ns()
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("INSERT INTO event VALUES (?)", (body,))
            connection.execute("COMMIT")
            taken.append(time.perf_counter_ns() - began)
    return median(taken) / 1e6


class Replays:
    """Replays of one simulated history.

    Args:
        servers: the models are those of the service on SQLite.
        days: session days; some 60 bars each.
    """

    def __init__(self, servers: Servers, days: int) -> None:
        folder = servers.folder / "replay"
        folder.mkdir()
        self._environment = servers.environment
        self._bars, self._macro = write_market(simulate(days, 5), folder)

    def bars_per_second(self) -> tuple[int, float]:
        """How many bars there are, and how many a second are replayed, by `benchmarks.replay`."""
        files = ["--bars", str(self._bars), "--macro", str(self._macro)]
        words = ["-m", "benchmarks.replay", *files, "--inside"]
        found = json.loads(_output(words, cwd=ROOT, env=self._environment))
        return int(found["bars"]), found["bars"] / found["seconds"]


def _output(words: list[str], **how: Any) -> str:
    done: subprocess.CompletedProcess[str] = subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, check=False, **how
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)} failed:\n{done.stderr[-2000:]}")
    return done.stdout.splitlines()[-1]
