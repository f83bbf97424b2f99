"""What a run found, as text and as JSON."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from statistics import median
from typing import Any

from benchmarks.serving.beside import RESULTS_PER_SECOND
from benchmarks.serving.cases import Case
from benchmarks.serving.figures import Figures
from benchmarks.serving.run import WRK_CASE, Findings, Plan
from benchmarks.serving.servers import TITLES
from benchmarks.serving.verdicts import Verdict, verdicts
from benchmarks.table import print_table

__all__ = ["cells_of", "print_report", "report_json"]

HEADS = ("", "p50 ms", "p90 ms", "p99 ms", "p99.9 ms", "requests/s", "rows/s", "CPU ms", "MB",
         "p50 x FastAPI", "req/s x FastAPI", "CPU x FastAPI")  # fmt: skip
_BOUND = 0.7


def print_report(findings: Findings, plan: Plan) -> None:
    """All of it."""
    print_table("Machine", findings.machine)
    print(
        f"\nStretches of {plan.seconds:g} s with one client and {plan.crowd_seconds:g} s with "
        f"several, in turn, {plan.rounds} times; medians over the stretches,\nratios round by "
        "round. CPU is that of the server's worker, per request; Redis' own is not in it.\n"
        "Of the mixed load 40% is to be approved, of the approved all, of the refused none."
    )
    for case in dict.fromkeys(case for case, _ in findings.results.keys):
        _print_case(findings, case)
    print_table("Beside the servers", _beside(findings))
    _print_verdicts(verdicts(findings))
    if findings.results.wrong:
        numbered = enumerate(findings.results.wrong, 1)
        print_table("WRONG ANSWERS", {f"{number}.": what for number, what in numbered})


def _print_case(findings: Findings, case: Case) -> None:
    print(f"\n{case.name}")
    rows = [
        cells_of(findings, case, server)
        for server in TITLES
        if findings.results.rounds(case, server)
    ]
    _print_aligned([HEADS, *rows], left={0})


def cells_of(findings: Findings, case: Case, server: str) -> tuple[str, ...]:
    """A row of the table of a case, under `HEADS`."""
    results = findings.results
    found = results.median(case, server)
    if found is None:
        return TITLES[server], *("-" for _ in HEADS[1:])
    ratios = [
        results.ratio((case, server), (case, "fastapi"), field)
        for field in ("p50", "per_second", "processor_ms")
    ]
    return TITLES[server], *_told(found), *(_number(ratio, ".2f") for ratio in ratios)


def _told(found: Figures) -> list[str]:
    return [
        *(_number(value, ".3f") for value in (found.p50, found.p90, found.p99, found.p999)),
        _number(found.per_second, ",.0f" if (found.per_second or 0) >= 100 else ",.1f"),
        _number(found.rows_per_second, ",.0f"),
        _number(found.processor_ms, ",.3f"),
        _number(found.memory_mb, ",.0f"),
    ]


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _beside(findings: Findings) -> Mapping[str, str]:
    ensemble = findings.ensemble
    return {
        "ensemble, one row": f"p50 {ensemble['p50']:.4f} ms, p99 {ensemble['p99']:.4f} ms "
        f"({ensemble['calls']:,} calls of {ensemble['models']} models)",
        "one durable commit": f"{findings.commit_ms:.3f} ms (a row of 4 kB, the folder of SQLite)",
        "trade results": f"{RESULTS_PER_SECOND} a second, where they pour in",
        "load generator": _binding(findings),
        "wrk": _wrk(findings),
        **{f"no {TITLES[name]}": reason for name, reason in findings.missing.items()},
    }


def _binding(findings: Findings) -> str:
    """Whether the generator may have been what was measured."""
    busy = {
        key: max(each.busy or 0.0 for each in findings.results.rounds(*key))
        for key in findings.results.keys
    }
    could = [f"{TITLES[server]}, {case.name}" for (case, server), share in busy.items()
             if share > _BOUND]  # fmt: skip
    most = f"at most {max(busy.values()):.0%} busy"
    return f"{most}: it did not bind" if not could else f"{most}; could bind: {'; '.join(could)}"


def _wrk(findings: Findings) -> str:
    ours = findings.results.median(WRK_CASE, "sqlite")
    if not findings.wrk or ours is None or ours.per_second is None:
        return "not installed: the load generator of this benchmark is not cross-checked"
    said = median(findings.wrk)
    return (
        f"wrk says {said:,.0f} requests/s, this generator {ours.per_second:,.0f} "
        f"({TITLES['sqlite']}, {WRK_CASE.name})"
    )


def _print_verdicts(rows: Sequence[Verdict]) -> None:
    heads = ("Target", "measured", "must be", "measured/target", "", "from")
    print("\nWhat is to be reached")
    _print_aligned([heads, *(_verdict_cells(row) for row in rows)], left={0, 4, 5})
    missed = [row.what for row in rows if row.word == "NOT MET"]
    print(f"\nNOT MET: {'; '.join(missed)}" if missed else "\nEverything measured is met.")


def _verdict_cells(row: Verdict) -> tuple[str, ...]:
    form = ",.0f" if row.target >= 100 else ",.3f"
    return (
        row.what,
        "-" if row.measured is None else f"{row.measured:{form}} {row.unit}",
        f"{'<=' if row.most else '>='} {row.target:{',g'}} {row.unit}",
        _number(row.ratio, ".2f"),
        row.word,
        row.from_what,
    )


def _print_aligned(rows: Sequence[Sequence[str]], left: Collection[int]) -> None:
    """Columns, to the right but for those on the left."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.ljust(width) if place in left else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  ".join(cells).rstrip())


def report_json(findings: Findings, plan: Plan) -> dict[str, Any]:
    """All figures of every stretch, and what was made of them."""
    rows = verdicts(findings)
    return {
        "machine": dict(findings.machine),
        "plan": asdict(plan),
        "missing": dict(findings.missing),
        "cases": findings.results.to_json(),
        "ensemble_ms": dict(findings.ensemble),
        "durable_commit_ms": findings.commits,
        "replay": {"bars": findings.replayed_bars, "bars_per_second": findings.replays},
        "ready_seconds": findings.ready_seconds,
        "trade_results_per_second": RESULTS_PER_SECOND,
        "wrk_requests_per_second": findings.wrk,
        "verdicts": [{**asdict(row), "ratio": row.ratio, "verdict": row.word} for row in rows],
        "wrong": findings.results.wrong,
    }
