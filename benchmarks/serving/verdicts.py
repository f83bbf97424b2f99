"""Every number that the service is to reach, beside what was measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.serving.beside import DRIFT
from benchmarks.serving.cases import Case
from benchmarks.serving.figures import Results
from benchmarks.serving.run import QUIET, Findings

__all__ = ["Verdict", "added_over_commit", "verdicts"]

_REFUSED, _APPROVED, _MIXED = Case("refused"), Case("approved"), Case("mixed")
_CROWD, _BATCH = Case("mixed", 8), Case("batch of 4,096")


@dataclass(frozen=True, slots=True)
class Verdict:
    """One row.

    Attributes:
        what: was measured.
        measured: the number that is judged; None when it was not measured.
        target: what it must reach.
        most: whether the target is an upper limit, and not a lower one.
        unit: of both; `x` is a ratio.
        from_what: the figures behind a ratio.
    """

    what: str
    measured: float | None
    target: float
    most: bool = True
    unit: str = "x"
    from_what: str = ""

    @property
    def ratio(self) -> float | None:
        """Measured to target; None when it was not measured."""
        return None if self.measured is None else self.measured / self.target

    @property
    def word(self) -> str:
        """How it turned out."""
        if self.ratio is None:
            return "not measured"
        return "met" if (self.ratio <= 1 if self.most else self.ratio >= 1) else "NOT MET"


def verdicts(findings: Findings) -> list[Verdict]:
    """All rows, in the order of the design."""
    return [
        Verdict("ensemble in process, p99", findings.ensemble["p99"], 0.2, unit="ms"),
        *_single(findings.results, findings.commits),
        *_throughput(findings.results),
        *_of_process(findings),
    ]


def _single(results: Results, commits: Sequence[float]) -> list[Verdict]:
    refused = results.median(_REFUSED, "sqlite")
    added = added_over_commit(results, commits)
    approved = results.median(_APPROVED, "sqlite")
    return [
        _ratio(results, "SQLite, refused or HOLD, p50", "sqlite", _REFUSED, "p50", 1.25),
        Verdict("the same, p99", refused.p99 if refused else None, 5.0, unit="ms"),
        Verdict(
            "approved: p50 above that, in durable commits",
            added,
            1.0,
            from_what=""
            if added is None or approved is None
            else f"p50 {approved.p50:.3f} ms; a commit {median(commits):.3f} ms",
        ),
    ]


def _throughput(results: Results) -> list[Verdict]:
    name = "8 clients, mixed, requests/s, SQLite"
    drift, quiet = ((Case("mixed", 1, beside), "sqlite") for beside in (DRIFT, QUIET))
    batch, single = (_BATCH, "sqlite"), (_MIXED, "sqlite")
    return [
        _ratio(results, name, "sqlite", _CROWD, "per_second", 1.0, most=False),
        _ratio(results, "Redis, refused or HOLD, p50", "redis", _REFUSED, "p50", 1.75),
        Verdict(
            "p99 while a drift check runs, to quiet p99",
            results.ratio(drift, quiet, "p99"),
            1.5,
            from_what=_both(results, drift, quiet, "p99", "ms"),
        ),
        Verdict(
            "batch of 4,096, rows/s, to single calls",
            results.ratio(batch, single, "rows_per_second"),
            20.0,
            most=False,
            from_what=_both(results, batch, single, "rows_per_second", "/s"),
        ),
        _ratio(results, "batch of 4,096, rows/s", "sqlite", _BATCH, "rows_per_second", 0.5,
               most=False),
    ]  # fmt: skip


def _of_process(findings: Findings) -> list[Verdict]:
    bars = f"{findings.replayed_bars:,} simulated bars, loading the models included"
    memory = [
        each.memory_mb
        for case, server in findings.results.keys
        if server in {"sqlite", "redis"}
        for each in findings.results.rounds(case, server)
        if each.memory_mb is not None
    ]
    replays = median(findings.replays) if findings.replays else None
    return [
        Verdict("history replay", replays, 5000.0, most=False, unit="bars/s", from_what=bars),
        Verdict("ready after `bentoml serve`", findings.ready_seconds, 5.0, unit="s"),
        Verdict("resident memory of a worker, at most", max(memory, default=None), 250.0,
                unit="MB", from_what="either store, after any stretch"),
    ]  # fmt: skip


def added_over_commit(results: Results, commits: Sequence[float]) -> float | None:
    """What approval adds to the p50, in durable commits: median over the rounds."""
    rounds = zip(
        results.rounds(_APPROVED, "sqlite"),
        results.rounds(_REFUSED, "sqlite"),
        commits,
        strict=False,
    )
    added = [
        (approved.p50 - refused.p50) / commit
        for approved, refused, commit in rounds
        if approved.p50 is not None and refused.p50 is not None
    ]
    return median(added) if added else None


def _ratio(
    results: Results,
    what: str,
    server: str,
    case: Case,
    field: str,
    target: float,
    *,
    most: bool = True,
) -> Verdict:
    """One of ours to FastAPI, which answers the same requests."""
    of, to = (case, server), (case, "fastapi")
    unit = "ms" if field.startswith("p5") else "/s"
    return Verdict(
        f"{what}, to FastAPI's",
        results.ratio(of, to, field),
        target,
        most,
        from_what=_both(results, of, to, field, unit),
    )


def _both(
    results: Results, of: tuple[Case, str], to: tuple[Case, str], field: str, unit: str
) -> str:
    found = [results.median(*key) for key in (of, to)]
    values = [None if each is None else getattr(each, field) for each in found]
    if None in values:
        return ""
    form = ",.3f" if unit == "ms" else ",.0f"
    return f"{values[0]:{form}} to {values[1]:{form}} {unit}"
