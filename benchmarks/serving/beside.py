"""Load while something else goes on: a drift check, or trade results that pour in."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from benchmarks.connection import Connection
from benchmarks.serving.cases import Case, Work
from benchmarks.serving.servers import Running
from benchmarks.serving.stretches import Stretch, joined, measure
from tests.live.server import ROOT

__all__ = [
    "DRIFT",
    "PIECE_SECONDS",
    "RESULTS",
    "RESULTS_PER_SECOND",
    "while_checking",
    "while_results_pour_in",
]

DRIFT: Final = "during a drift check"
RESULTS: Final = "while trade results pour in"
RESULTS_PER_SECOND: Final = 50

PIECE_SECONDS: Final = 0.8
"""Of a stretch of load while a drift check runs: it is asked between them whether it ended."""

_MOST_PIECES = 40
_HEAD_SECONDS = 0.3


def while_checking(server: Running, work: Work, case: Case) -> Stretch:
    """Ask from the start of a whole check, its report by Evidently included, until its end.

    The piece in which it ended is left out, for part of it was quiet.

    Raises:
        RuntimeError: no check was made, or none with a report by Evidently.
    """
    beside = Connection(server.port)
    status, entry = beside.post("/v1/drift/check", {})
    if status != 200:
        raise RuntimeError(f"no drift check was made: {status} {entry}")
    pieces: list[Stretch] = []
    while len(pieces) < _MOST_PIECES:
        pieces.append(measure(server, case, work, PIECE_SECONDS, 0.0))
        _, latest = beside.get("/v1/drift/latest")
        report = latest.get("report") if latest.get("tick") == entry["tick"] else None
        if isinstance(report, Mapping):
            break
    else:
        raise RuntimeError(f"the drift check {entry['tick']} did not end")
    beside.close()
    if report["method"] != "evidently":
        raise RuntimeError(f"the drift check made no report by Evidently: {report}")
    return joined(pieces[:-1] or pieces)


def while_results_pour_in(server: Running, work: Work, case: Case, seconds: float) -> Stretch:
    """Ask while another process posts `RESULTS_PER_SECOND`."""
    words = [sys.executable, "-m", "benchmarks.serving.trade_results"]
    words += ["--port", str(server.port), "--per-second", str(RESULTS_PER_SECOND)]
    words += ["--seconds", str(seconds + 2 * _HEAD_SECONDS)]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        stretch = measure(server, case, work, seconds, _HEAD_SECONDS)
        output, _ = process.communicate(timeout=60)
    if process.returncode:
        raise RuntimeError(f"posting trade results to {server.name} broke off")
    told = json.loads(output)
    if not told["failed"]:
        return stretch
    complaint = f"{told['failed']} of {told['posted']} trade results were not answered with 200"
    return replace(stretch, wrong=(*stretch.wrong, complaint))
