"""How the service scales: with its ledger, with workers and clients, and with books.

    python -m benchmarks.scale                 # everything; some ten minutes, 13 GB of disk
    python -m benchmarks.scale --only ledger   # one part: ledger, workers or books
    python -m benchmarks.scale --quick         # small ledgers, short stretches: to see it work

Every stretch says what it used: the core of each worker, Redis's, the load generator's, the
machine, the disk; and which of these was used up first.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.scale_books import appended, desks
from benchmarks.scale_ledger import ledger_sizes, recorded
from benchmarks.scale_report import Scaled, print_scale
from benchmarks.scale_workers import crowds
from benchmarks.serving.machine import facts
from benchmarks.stores import working_folder

__all__ = ["main"]

PARTS: Final = ("ledger", "workers", "books")
_BYTES_PER_EVENT: Final = 6000


@dataclass(frozen=True, slots=True)
class _Plan:
    """How much is measured.

    Attributes:
        sizes: of ledgers, events.
        workers: of a service.
        clients: at once.
        rounds: of everything.
        seconds: of each stretch.
    """

    sizes: tuple[int, ...] = (10_000, 100_000, 1_000_000)
    workers: tuple[int, ...] = (1, 2, 4)
    clients: tuple[int, ...] = (1, 8, 32)
    rounds: int = 5
    seconds: float = 4.0


_QUICK: Final = _Plan(sizes=(5_000, 20_000), clients=(1, 8), rounds=1, seconds=1.0)

_APPENDING: Final = (
    ("sqlite", 1, 1, False),
    ("sqlite", 2, 1, False),
    ("sqlite", 4, 1, False),
    ("sqlite", 1, 1, True),
    ("sqlite", 4, 1, True),
    ("redis", 1, 1, True),
    ("redis", 2, 1, True),
    ("redis", 2, 2, True),
    ("redis", 10, 1, True),
    ("redis", 10, 10, True),
)
"""Store, processes, books, and whether each append waits for the disk: Redis always does."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; 1 if an answer was wrong."""
    told = _parser().parse_args(arguments)
    plan = _QUICK if told.quick else _Plan()
    parts = told.only or PARTS
    with working_folder("scale") as folder:
        _check_space(folder, plan, parts)
        found = _measured(folder, plan, parts)
        machine = facts(folder)
    print_scale(found, machine)
    if told.json is not None:
        told.json.parent.mkdir(parents=True, exist_ok=True)
        content: dict[str, Any] = {"machine": machine, **asdict(found)}
        told.json.write_text(json.dumps(content, indent=1) + "\n")
    return 1 if found.wrong else 0


def _measured(folder: Path, plan: _Plan, parts: Sequence[str]) -> Scaled:
    found = Scaled()
    _say("a service records decisions")
    bodies = recorded(folder / "recorded")
    templates = folder / "recorded" / "var" / "state.db"
    if "books" in parts:
        for number, (store, processes, books, durable) in enumerate(_APPENDING):
            _say(f"{processes} processes append to {books} books on {store}")
            found.appended.append(
                appended(
                    folder / f"appended-{number}",
                    templates,
                    store,
                    processes,
                    books,
                    durable=durable,
                    seconds=plan.seconds,
                )
            )
        _say("services with books of their own")
        found.desks += desks(folder / "desks", (1, 2), plan.rounds, plan.seconds)
    if "workers" in parts:
        for store in ("sqlite", "redis"):
            _say(f"workers and clients on {store}")
            rounds = max(1, plan.rounds // 2)
            found.crowds += crowds(
                folder, store, plan.workers, plan.clients, rounds=rounds, seconds=plan.seconds
            )
    if "ledger" in parts:
        _say("ledgers of " + ", ".join(f"{size:,}" for size in plan.sizes) + " events")
        found.sizes += ledger_sizes(
            folder, bodies, plan.sizes, rounds=plan.rounds, seconds=plan.seconds
        )
    return found


def _check_space(folder: Path, plan: _Plan, parts: Sequence[str]) -> None:
    """Fail before anything is built, and not with a full disk."""
    needed = _BYTES_PER_EVENT * (sum(plan.sizes) + max(plan.sizes)) if "ledger" in parts else 0
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise SystemExit(f"{needed / 1e9:.0f} GB are needed in {folder}, {free / 1e9:.0f} are free")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale")
    parser.add_argument("--only", action="append", choices=PARTS, help="this part; may be repeated")
    parser.add_argument("--quick", action="store_true", help="small ledgers, short stretches")
    parser.add_argument("--json", type=Path, help="write all figures there")
    return parser


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
