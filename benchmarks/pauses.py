"""Pauses in a stretch of load, and what went on in each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["LONGEST_NS", "Activity", "Pause", "Sleeper", "during", "pauses_of", "told", "worker_in"]

LONGEST_NS: Final = 20_000_000
"""A request that took longer was in a pause."""

_NS = 1e6


@dataclass(frozen=True, slots=True)
class Activity:
    """Something that went on beside the load.

    Attributes:
        name: what.
        begin: nanoseconds of the monotonic clock.
        end: likewise.
    """

    name: str
    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class Pause:
    """Slow requests that overlap.

    Attributes:
        begin: when the first of them was due, nanoseconds of the monotonic clock.
        end: when the last of them was answered.
        worst: the longest latency, nanoseconds.
        requests: how many were slow.
        generator_late: the longest time by which one of them was sent late through no fault of
            the server, nanoseconds.
    """

    begin: int
    end: int
    worst: int
    requests: int
    generator_late: int

    def is_of_service(self, machine_late: int, longest: int = LONGEST_NS) -> bool:
        """Whether it is one also without what the generator and the machine were late.

        Args:
            machine_late: longest lateness of a process that only sleeps, nanoseconds.
            longest: that is no pause.
        """
        return self.worst - max(machine_late, self.generator_late) > longest


@dataclass(frozen=True, slots=True)
class Sleeper:
    """What a process noted that only sleeps and looks: it has no part in the load.

    Attributes:
        late_at: when it woke late, nanoseconds.
        late: by how much.
        at: when it looked, nanoseconds, ascending.
        worked: nanoseconds for which the worker's main thread had run, at each look.
        waited: nanoseconds for which it had waited for a core.
        written: when the ledger's file, not its log, was last written; 0 without one.
    """

    late_at: NDArray[np.int64]
    late: NDArray[np.int64]
    at: NDArray[np.int64]
    worked: NDArray[np.int64]
    waited: NDArray[np.int64]
    written: NDArray[np.int64]

    def machine_late(self, pause: Pause) -> int:
        """The longest lateness in a pause, nanoseconds."""
        woke, slept = self.late_at, self.late_at - self.late
        within = (slept < pause.end) & (woke > pause.begin)
        return int(self.late[within].max(initial=0))

    def checkpoints(self, pause: Pause) -> bool:
        """Whether the ledger's file was written: a checkpoint of its write-ahead log."""
        return bool(((self.written >= pause.begin) & (self.written <= pause.end)).any())


def pauses_of(
    due: NDArray[np.int64],
    done: NDArray[np.int64],
    late: NDArray[np.int64],
    longest: int = LONGEST_NS,
) -> list[Pause]:
    """Requests above `longest`, those that overlap as one pause, in order.

    Args:
        due: when each was due, nanoseconds, ascending; shape (n,).
        done: when it was answered; shape (n,).
        late: by how much it was sent late through no fault of the server; shape (n,).
        longest: latency that is no pause, nanoseconds.
    """
    found: list[Pause] = []
    for number in np.flatnonzero(done - due > longest):
        begin, end, own = int(due[number]), int(done[number]), int(late[number])
        if found and begin <= found[-1].end:
            last = found[-1]
            found[-1] = Pause(
                last.begin,
                max(last.end, end),
                max(last.worst, end - begin),
                last.requests + 1,
                max(last.generator_late, own),
            )
        else:
            found.append(Pause(begin, end, end - begin, 1, own))
    return found


def during(pause: Pause, activities: Sequence[Activity]) -> list[str]:
    """Names of what overlaps it, each once, in the order in which it began."""
    overlapping = [each for each in activities if each.begin < pause.end and each.end > pause.begin]
    return list(dict.fromkeys(each.name for each in sorted(overlapping, key=lambda it: it.begin)))


def worker_in(pause: Pause, sleeper: Sleeper) -> tuple[float, float] | None:
    """Milliseconds that the worker's main thread ran, and waited for a core, about a pause.

    Returns:
        Between the looks next before and next after it; None when there are none.
    """
    before = int(np.searchsorted(sleeper.at, pause.begin, side="right")) - 1
    after = int(np.searchsorted(sleeper.at, pause.end))
    if before < 0 or after >= len(sleeper.at):
        return None
    worked, waited = (
        float(column[after] - column[before]) / _NS for column in (sleeper.worked, sleeper.waited)
    )
    return worked, waited


def told(
    pause: Pause, began: int, activities: Sequence[Activity], sleeper: Sleeper
) -> dict[str, str]:
    """A pause in words, for a table.

    Args:
        pause: to be told of.
        began: when the load did, nanoseconds.
        activities: what went on.
        sleeper: what was noted beside.
    """
    beside = during(pause, activities)
    if sleeper.checkpoints(pause):
        beside.append("checkpoint")
    late = sleeper.machine_late(pause)
    parts = [f"{pause.worst / _NS:.1f} ms, {pause.requests} requests"]
    parts.append(", ".join(beside) or "nothing else known")
    if (used := worker_in(pause, sleeper)) is not None:
        span = (pause.end - pause.begin) / _NS
        parts.append(
            f"of {span:.0f} ms the worker ran {used[0]:.0f}, waited for a core {used[1]:.0f}"
        )
    if late:
        parts.append(f"a process that only sleeps woke {late / _NS:.1f} ms late")
    if pause.generator_late > LONGEST_NS // 4:
        parts.append(f"the generator was {pause.generator_late / _NS:.1f} ms late")
    parts.append("of the service" if pause.is_of_service(late) else "of the machine")
    return {f"{(pause.begin - began) / 1e9:.2f} s": "; ".join(parts)}
