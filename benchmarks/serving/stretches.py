"""One short stretch of load on one server, and what it cost there."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.serving.cases import Case, Work
from benchmarks.serving.servers import Running
from tests.live.server import ROOT

__all__ = ["Stretch", "joined", "measure"]

_GRACE_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Stretch:
    """What one stretch found.

    Attributes:
        server: its name.
        case: what was asked.
        latencies: nanoseconds of each answer, as they came.
        seconds: that they took together.
        answered: answers, those of the warm-up among them.
        processor_seconds: of the server's worker, for `answered` requests.
        memory_mb: of the worker afterwards.
        busy: share of its time in which the load generator was at work.
        wrong: what was wrong with the answers; empty when nothing was.
    """

    server: str
    case: Case
    latencies: NDArray[np.int64]
    seconds: float
    answered: int
    processor_seconds: float
    memory_mb: float
    busy: float
    wrong: tuple[str, ...] = ()


def measure(
    server: Running, case: Case, work: Work, seconds: float, warm_seconds: float
) -> Stretch:
    """Ask for so long, from another process.

    Raises:
        RuntimeError: the load ended early, as it does when a connection is closed.
    """
    used = server.processor_seconds()
    told = {"port": server.port, "bodies": work.bodies, "clients": case.clients,
            "seconds": seconds, "warm_seconds": warm_seconds, "mark": work.mark}  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.serving.load"],
        cwd=ROOT,
        input=json.dumps(told),
        capture_output=True,
        text=True,
        timeout=seconds + _GRACE_SECONDS,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{case.name} on {server.name} broke off:\n{done.stderr[-2000:]}")
    found = json.loads(done.stdout)
    return Stretch(
        server.name,
        case,
        np.array(found["latencies"], np.int64),
        found["seconds"],
        found["answered"],
        server.processor_seconds() - used,
        server.memory_mb(),
        found["busy"],
        _wrong(server, work, found),
    )


def _wrong(server: Running, work: Work, found: dict[str, Any]) -> tuple[str, ...]:
    wrong = []
    if found["failed"]:
        wrong.append(f"{found['failed']:,} of {found['answered']:,} answers were not 200")
    if server.is_ours and (complaint := work.complaint(found["marked"], found["answered"])):
        wrong.append(complaint)
    return tuple(wrong)


def joined(pieces: Sequence[Stretch]) -> Stretch:
    """Several that follow one another as one; at least one."""
    last = pieces[-1]
    return Stretch(
        last.server,
        last.case,
        np.concatenate([piece.latencies for piece in pieces]),
        sum(piece.seconds for piece in pieces),
        sum(piece.answered for piece in pieces),
        sum(piece.processor_seconds for piece in pieces),
        last.memory_mb,
        max(piece.busy for piece in pieces),
        tuple(complaint for piece in pieces for complaint in piece.wrong),
    )
