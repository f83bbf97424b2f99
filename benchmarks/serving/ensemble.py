"""The models without a server: a program that times the ensemble on one row after the other.

    python -m benchmarks.serving.ensemble rows.npy --rounds 7

It loads what the service loads, from the model store of its environment.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import sys
import time
from itertools import cycle, islice
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray

from bootstrap import build
from config.load import load_settings
from risk.ledger.memory import MemoryLedger
from runners.ensemble import Ensemble

__all__ = ["timed"]

_CALLS, _WARM = 2000, 500


def timed(models: Ensemble, vectors: NDArray[np.float32], rounds: int) -> dict[str, float]:
    """Milliseconds that `predict` takes on one row: medians of the percentiles of each round."""
    rows = list(vectors[:, np.newaxis, :])
    found = []
    for calls in [_WARM, *[_CALLS] * rounds]:
        taken = []
        for row in islice(cycle(rows), calls):
            began = time.perf_counter_ns()
            models.predict(row)
            taken.append(time.perf_counter_ns() - began)
        found.append(np.percentile(taken, (50, 99)) / 1e6)
    p50, p99 = (median(column) for column in np.array(found[1:]).T.tolist())
    return {"p50": p50, "p99": p99, "models": len(models.runners), "calls": rounds * _CALLS}


def main() -> int:
    """Print them as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving.ensemble")
    parser.add_argument("rows", type=Path, help="float32 vectors that numpy has saved")
    parser.add_argument("--rounds", type=int, required=True, help=f"of {_CALLS} calls")
    told = parser.parse_args()
    models = build(load_settings(os.environ).settings, MemoryLedger()).models
    # As the service does once it has loaded.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    json.dump(timed(models, np.load(told.rows), told.rounds), sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
