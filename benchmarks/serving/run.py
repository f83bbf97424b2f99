"""One run: every server is asked in short stretches that take turns, round after round."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Final

from benchmarks.serving.beside import (
    DRIFT,
    PIECE_SECONDS,
    RESULTS,
    while_checking,
    while_results_pour_in,
)
from benchmarks.serving.cases import BATCHES, SINGLES, Case, Work, disagreements, works
from benchmarks.serving.figures import Results
from benchmarks.serving.in_process import Replays, commit_ms, ensemble_ms
from benchmarks.serving.machine import facts
from benchmarks.serving.servers import Servers
from benchmarks.serving.stretches import joined, measure
from benchmarks.serving.wrk import requests_per_second, wrk_program

__all__ = ["FULL", "QUICK", "QUIET", "WRK_CASE", "Findings", "Plan", "run"]

WRK_CASE: Final = Case("mixed", 8)
QUIET: Final = "before a drift check"
"""What a drift check is held against: the same load in the same pieces, right before."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured.

    Attributes:
        rounds: how often everything is measured.
        cases: that every server answers, one after the other.
        ours_alone: those of them that only the service is asked, to save time.
        seconds: of a stretch with one client.
        crowd_seconds: of a stretch with several.
        warm_seconds: at the beginning of each, not timed.
        replay_days: simulated session days that are replayed.
        ensemble_rounds: of the ensemble in process.
        quiet_pieces: how long it is quiet before a drift check, in stretches of it.
    """

    rounds: int
    cases: tuple[Case, ...]
    ours_alone: tuple[Case, ...]
    seconds: float
    crowd_seconds: float
    warm_seconds: float
    replay_days: int
    ensemble_rounds: int
    quiet_pieces: int

    def seconds_of(self, case: Case) -> float:
        """Of one stretch."""
        return self.seconds if case.clients == 1 else self.crowd_seconds


_BATCH_CASES = tuple(Case(kind) for kind in BATCHES)

FULL: Final = Plan(
    rounds=3,
    cases=(*(Case(kind, clients) for kind in SINGLES for clients in (1, 8, 32)), *_BATCH_CASES),
    ours_alone=(),
    seconds=2.0,
    crowd_seconds=1.0,
    warm_seconds=0.2,
    replay_days=500,
    ensemble_rounds=7,
    quiet_pieces=6,
)
QUICK: Final = Plan(
    rounds=1,
    cases=(Case("refused"), Case("approved"), Case("mixed"), WRK_CASE, Case("batch of 4,096")),
    ours_alone=(Case("approved"), Case("mixed")),
    seconds=0.7,
    crowd_seconds=0.7,
    warm_seconds=0.1,
    replay_days=120,
    ensemble_rounds=3,
    quiet_pieces=3,
)


@dataclass(slots=True)
class Findings:
    """Everything that a run found.

    Attributes:
        machine: facts by name.
        missing: servers that are not there, and why.
        ready_seconds: from `bentoml serve` to ready.
        results: of the servers.
        ensemble: milliseconds of the ensemble in process.
        commits: milliseconds of one durable commit, by round.
        replays: bars a second, by round.
        replayed_bars: in each.
        wrk: requests a second by wrk, by round; empty where it is not installed.
    """

    machine: Mapping[str, str]
    missing: Mapping[str, str]
    ready_seconds: float
    ensemble: Mapping[str, float]
    results: Results = field(default_factory=Results)
    commits: list[float] = field(default_factory=list)
    replays: list[float] = field(default_factory=list)
    replayed_bars: int = 0
    wrk: list[float] = field(default_factory=list)

    @property
    def commit_ms(self) -> float:
        """One durable commit."""
        return median(self.commits)


def run(servers: Servers, plan: Plan, say: Callable[[str], None]) -> Findings:
    """Measure.

    Args:
        servers: that answer.
        plan: how much.
        say: is told how far it is.
    """
    work = works(servers.named("sqlite"))
    say("timing the ensemble in process")
    findings = Findings(
        facts(servers.folder),
        servers.missing,
        servers.ready_seconds,
        ensemble_ms(servers, plan.ensemble_rounds),
    )
    findings.results.wrong += disagreements(servers.running)
    for server in servers.running:
        measure(server, Case("mixed", 8), work["mixed"], plan.seconds / 2, 0.0)
    for number in range(plan.rounds):
        say(f"round {number + 1} of {plan.rounds}: a drift check")
        _drift_round(findings, servers, plan, work)
    replays = Replays(servers, plan.replay_days)
    for number in range(plan.rounds):
        for part in _round(findings, servers, plan, work, replays):
            say(f"round {number + 1} of {plan.rounds}: {part}")
    return findings


def _drift_round(
    findings: Findings, servers: Servers, plan: Plan, work: Mapping[str, Work]
) -> None:
    """Before the ledger has grown by what the other stretches will ask."""
    ours = servers.named("sqlite")
    quiet = [
        measure(ours, Case("mixed", 1, QUIET), work["mixed"], PIECE_SECONDS, 0.0)
        for _ in range(plan.quiet_pieces)
    ]
    findings.results.add(joined(quiet))
    findings.results.add(while_checking(ours, work["mixed"], Case("mixed", 1, DRIFT)))


def _round(
    findings: Findings,
    servers: Servers,
    plan: Plan,
    work: Mapping[str, Work],
    replays: Replays,
) -> Iterator[str]:
    yield "a durable commit"
    findings.commits.append(commit_ms(servers.folder))
    for case in plan.cases:
        yield case.name
        for server in servers.running:
            if server.is_ours or case not in plan.ours_alone:
                seconds = plan.seconds_of(case)
                stretch = measure(server, case, work[case.kind], seconds, plan.warm_seconds)
                findings.results.add(stretch)
        if case == WRK_CASE:
            _ask_wrk(findings, servers, plan, work["mixed"])
    pouring = Case("mixed", 1, RESULTS)
    yield pouring.name
    for server in servers.running:
        if server.is_ours:
            stretch = while_results_pour_in(server, work["mixed"], pouring, plan.seconds)
            findings.results.add(stretch)
    yield "history replay"
    findings.replayed_bars, speed = replays.bars_per_second()
    findings.replays.append(speed)


def _ask_wrk(findings: Findings, servers: Servers, plan: Plan, work: Work) -> None:
    program = wrk_program()
    if program is not None:
        ours, seconds = servers.named("sqlite"), max(1, round(plan.crowd_seconds))
        speed = requests_per_second(program, ours, WRK_CASE, work, seconds, servers.folder)
        findings.wrk.append(speed)
