"""What a soak found, in words and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.pauses import LONGEST_NS, Activity, Pause, pauses_of, told
from benchmarks.scale_parts import Load
from benchmarks.soak_beside import DRIFT_CHECK, growth_per_hour
from benchmarks.soak_drive import Driven
from benchmarks.table import print_table
from benchmarks.usage import told as usage_told
from risk.verification import Examination

__all__ = ["Soaked", "print_soak", "soak_json"]

_SHOWN: Final = 40
_FLAT: Final = 1.05


@dataclass(frozen=True, slots=True)
class Soaked:
    """One soak.

    Attributes:
        store: `sqlite` or `redis`.
        maximum: closed loop, before.
        share: of the maximum that was asked.
        driven: the stretch itself.
        events_before: newest sequence before it.
        examination: of the ledger after it.
        examination_seconds: that this took.
    """

    store: str
    maximum: Load
    share: float
    driven: Driven
    events_before: int
    examination: Examination
    examination_seconds: float

    @property
    def pauses(self) -> list[Pause]:
        """All of them, whoever made them."""
        paced = self.driven.paced
        return pauses_of(paced.due, paced.done, paced.late)

    @property
    def own_pauses(self) -> list[Pause]:
        """Those that are not explained by a late machine or generator."""
        late = self.driven.sleeper.machine_late
        return [pause for pause in self.pauses if pause.is_of_service(late(pause))]

    @property
    def checking(self) -> NDArray[np.bool_]:
        """Of each request, whether it was due while drift was checked."""
        due = self.driven.paced.due
        found = np.zeros(len(due), bool)
        for activity in self.driven.activities:
            if activity.name == DRIFT_CHECK:
                found |= (due >= activity.begin) & (due <= activity.end)
        return found

    @property
    def wrong(self) -> tuple[str, ...]:
        """What must not be, in words."""
        driven, paced = self.driven, self.driven.paced
        acknowledged = len(paced.due) + driven.results_posted
        grown = self.examination.newest - self.events_before
        found = [f"drift: {fault}" for fault in driven.faults]
        if paced.failed:
            found.append(f"{paced.failed} of {len(paced.due)} answers were not 200")
        if not paced.marked:
            found.append("nothing was approved")
        if driven.results_failed:
            found.append(f"{driven.results_failed} trade results were not answered with 200")
        if not self.examination.is_intact:
            found.append(f"the ledger does not verify: {self.examination.complaint}")
        if grown < acknowledged - paced.failed - driven.results_failed:
            found.append(f"{acknowledged} events were acknowledged, {grown} are on record")
        return tuple(found)

    @property
    def memory(self) -> tuple[float, float, float]:
        """Resident MB of the worker: first, at a quarter of the time, last."""
        samples = [sample.memory_mb for sample in self.driven.samples]
        return samples[0], samples[len(samples) // 4], samples[-1]


def print_soak(found: Soaked, machine: Mapping[str, str]) -> None:
    """Print it."""
    print_table("Machine", machine)
    print_table(f"Soak of the service on {found.store}", _rows(found))
    driven, began = found.driven, int(found.driven.paced.due[0])
    rows: dict[str, str] = {}
    for pause in found.pauses[:_SHOWN]:
        rows |= told(pause, began, driven.activities, driven.sleeper)
    if rows:
        print_table(f"Pauses above {LONGEST_NS / 1e6:.0f} ms", rows)
    for complaint in found.wrong:
        print(f"WRONG: {complaint}")


def _rows(found: Soaked) -> dict[str, str]:
    driven, paced = found.driven, found.driven.paced
    checking = found.checking
    apart = [pause for pause in found.own_pauses if not _touches(pause, driven.activities)]
    own, last = len(found.own_pauses), driven.samples[-1]
    first, quarter, newest = found.memory
    growth = growth_per_hour(driven.samples)
    asked = found.maximum.per_second * found.share
    return {
        "maximum": f"{found.maximum.per_second:,.0f} requests/s at p50 {found.maximum.p50:.2f}, "
        f"p99 {found.maximum.p99:.2f} ms with 8 clients",
        "load": f"{len(paced.due):,} requests at {asked:,.0f}/s on a fixed schedule, "
        f"{paced.marked / len(paced.due):.0%} approved; {driven.checks} drift checks, "
        f"{driven.results_posted:,} trade results, {driven.rotated_bytes:,} bytes of log rotated",
        "latency from when due": _words(found, np.ones(len(checking), bool)),
        "during drift checks": f"{_words(found, checking)}; {checking.mean():.0%} of the requests",
        "the rest of the time": _words(found, ~checking),
        "pauses above 20 ms": f"{len(found.pauses)}, of which {own} not explained by a late "
        f"machine or generator (due: none): {'not met' if own else 'met'}; {len(apart)} of these "
        "with no drift check going on",
        "machine and generator": f"a process that only sleeps woke more than 5 ms late "
        f"{len(driven.sleeper.late)} times, at most "
        f"{driven.sleeper.late.max(initial=0) / 1e6:.1f} ms; the generator was at most "
        f"{paced.late.max(initial=0) / 1e6:.1f} ms late",
        "use": usage_told(driven.usage, None),
        "memory of the worker": f"first {first:.0f}, at a quarter of the time {quarter:.0f}, last "
        f"{newest:.0f} MB; {'' if growth is None else f'{growth:+.1f} MB/h in the second half; '}"
        f"due: flat: {'met' if newest <= _FLAT * quarter else 'not met'}",
        "every 30 s": " ".join(f"{sample.memory_mb:.0f}" for sample in driven.samples) + " MB",
        "open files": f"first {driven.samples[0].open_files}, last {last.open_files}",
        "ledger": f"{found.events_before:,} to {found.examination.newest:,} events, "
        f"{driven.samples[0].ledger_bytes / 1e6:,.0f} to {last.ledger_bytes / 1e6:,.0f} MB; "
        f"{'verified' if found.examination.is_intact else 'DAMAGED'} in "
        f"{found.examination_seconds:.1f} s",
    }


def _touches(pause: Pause, activities: Sequence[Activity]) -> bool:
    return any(
        each.name == DRIFT_CHECK and each.begin <= pause.end and each.end >= pause.begin
        for each in activities
    )


def _words(found: Soaked, which: NDArray[np.bool_]) -> str:
    told = ", ".join(f"{name} {ms:.2f}" for name, ms in _latencies(found, which).items())
    return f"{told} ms" if told else "no request"


def _latencies(found: Soaked, which: NDArray[np.bool_]) -> dict[str, float]:
    paced = found.driven.paced
    taken = (paced.done - paced.due)[which] / 1e6
    if not len(taken):
        return {}
    shares = {"p50": 50, "p99": 99, "p99.9": 99.9, "max": 100}
    return {name: float(np.percentile(taken, share)) for name, share in shares.items()}


def soak_json(found: Soaked) -> dict[str, Any]:
    """All figures, JSON values only."""
    driven = found.driven
    began, checking = int(driven.paced.due[0]), found.checking
    return {
        "store": found.store,
        "maximum": asdict(found.maximum),
        "share": found.share,
        "requests": len(driven.paced.due),
        "approved": driven.paced.marked,
        "latency_ms": {
            "all": _latencies(found, np.ones_like(checking)),
            "during_drift_checks": _latencies(found, checking),
            "rest": _latencies(found, ~checking),
        },
        "pauses": [
            {"at": (pause.begin - began) / 1e9, "ms": pause.worst / 1e6, "words": words}
            for pause in found.pauses
            for words in told(pause, began, driven.activities, driven.sleeper).values()
        ],
        "own_pauses": len(found.own_pauses),
        "machine_late_ms": (driven.sleeper.late / 1e6).tolist(),
        "usage": asdict(driven.usage),
        "samples": [asdict(sample) for sample in driven.samples],
        "memory_growth_mb_per_hour": growth_per_hour(driven.samples),
        "drift_checks": driven.checks,
        "trade_results": driven.results_posted,
        "events": [found.events_before, found.examination.newest],
        "wrong": list(found.wrong),
    }
