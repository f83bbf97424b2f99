"""What the scale benchmark found, in tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from benchmarks.scale_books import Appended, Desks
from benchmarks.scale_ledger import LedgerSize
from benchmarks.scale_parts import Load
from benchmarks.scale_workers import Crowd
from benchmarks.table import print_table
from benchmarks.usage import first_limit, told

__all__ = ["Scaled", "print_scale"]


@dataclass(slots=True)
class Scaled:
    """All that was measured; what was not is empty.

    Attributes:
        sizes: ledgers of different lengths.
        crowds: workers and clients.
        desks: services with books of their own.
        appended: processes on ledgers, without a service.
    """

    sizes: list[LedgerSize] = field(default_factory=list)
    crowds: list[Crowd] = field(default_factory=list)
    desks: list[Desks] = field(default_factory=list)
    appended: list[Appended] = field(default_factory=list)

    @property
    def wrong(self) -> tuple[str, ...]:
        """What must not be, in words."""
        loads: list[Load] = [load for each in self.sizes for load in each.loads]
        loads += [load for crowd in self.crowds for load in crowd.loads]
        loads += [load for desk in self.desks for load in desk.loads]
        found = [f"{load.failed} of {load.answered} answers were not 200"
                 for load in loads if load.failed]  # fmt: skip
        found += [f"{load.approved:.0%} of the answers were approved and not 30%"
                  for load in loads if abs(load.approved - 0.3) > 0.05]  # fmt: skip
        return tuple(found)


def print_scale(found: Scaled, machine: Mapping[str, str]) -> None:
    """Print it."""
    print_table("Machine", machine)
    if found.sizes:
        print_table("A decision and a start, by the events in an SQLite ledger", _sizes(found))
    for store in dict.fromkeys(crowd.store for crowd in found.crowds):
        of_store = [crowd for crowd in found.crowds if crowd.store == store]
        print_table(f"Workers and clients on {store}", _crowds(of_store))
    if found.desks:
        print_table("Services with a book each on one Redis server, 8 clients each", _desks(found))
    if found.appended:
        print_table("Processes that append decisions, without a service", _appended(found))
    for complaint in found.wrong:
        print(f"WRONG: {complaint}")


def _sizes(found: Scaled) -> dict[str, str]:
    first = found.sizes[0]
    return {
        f"{each.events:,} events": f"p50 {_p50(each):.2f} ({_p50(each) / _p50(first):.2f} x), p99 "
        f"{median(load.p99 for load in each.loads):.2f} ms, {each.processor_ms:.3f} ms of "
        f"processor ({each.processor_ms / first.processor_ms:.2f} x) a decision; ready in "
        f"{' '.join(f'{seconds:.1f}' for seconds in each.ready)} s; {each.megabytes:,.0f} MB; "
        f"p50 of each round {' '.join(f'{load.p50:.2f}' for load in each.loads)}"
        for each in found.sizes
    }


def _p50(size: LedgerSize) -> float:
    return median(load.p50 for load in size.loads)


def _crowds(crowds: Sequence[Crowd]) -> dict[str, str]:
    return {
        f"{crowd.workers} workers, {crowd.clients} clients": (
            f"{crowd.per_second:,.0f}/s, "
            f"p50 {median(load.p50 for load in crowd.loads):.2f}, "
            f"p99 {median(load.p99 for load in crowd.loads):.2f} ms; {crowd.use}; "
            f"used up first: {crowd.limit}"
        )
        for crowd in crowds
    }


def _desks(found: Scaled) -> dict[str, str]:
    return {f"{desk.books} books": _desk(desk) for desk in found.desks}


def _desk(desk: Desks) -> str:
    each = " + ".join(f"{load.per_second:,.0f}" for load in desk.loads)
    return (
        f"{desk.per_second:,.0f}/s ({each}), "
        f"p50 {median(load.p50 for load in desk.loads):.2f}, "
        f"p99 {median(load.p99 for load in desk.loads):.2f} ms; {told(desk.usage, desk.busy)}; "
        f"used up first: {first_limit(desk.usage, desk.busy)}"
    )


def _appended(found: Scaled) -> dict[str, str]:
    return {
        f"{each.store}, {each.processes} processes, {each.books} books"
        f"{', durable' if each.durable else ''}": (
            f"{each.per_second:,.0f} appends/s, p50 {each.p50:.2f}, p99 {each.p99:.2f} ms, "
            f"{each.refused} gave up, {each.bytes_each:,.0f} bytes an event; "
            f"{told(each.usage, None, who='processes')}; "
            f"used up first: {first_limit(each.usage, 0.0)}"
        )
        for each in found.appended
    }
