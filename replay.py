"""Replay of history: a market that has been, through the very code that decides live.

`replay` builds the service's desk on a clock of its own and lets a simple router trade on it, bar
by bar: `pipeline.decide` decides, `risk` takes the reports. Nothing of a live book is read or
written: the ledger is in memory, or a file of the run's own.
"""

from __future__ import annotations

import gc
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from application import Application, World
from bootstrap import build
from config.settings import Settings
from desk import Desk
from features.clock import local_days
from monitoring.observer import Observers
from observation import DecisionRequest
from pipeline import decide
from reading import Models
from risk.ledger.memory import MemoryLedger
from risk.ledger.protocol import Ledger
from risk.orders import Outcome, record_release
from risk.reports import record_mark, record_position
from risk.results import TradeResult, record_trade_result
from runners.ensemble import Ensemble
from runners.prepared import PreparedModels, prepare
from simulation.book import BarSeen, TradeReport
from simulation.history import History
from simulation.recorder import Recorder
from simulation.router import Router, Rules
from simulation.run import Run
from stores.documents import MemoryDocuments

__all__ = ["CALLER", "SEED", "DeskService", "Plan", "SimulatedClock", "collect_less", "replay"]

CALLER = "replay"
"""Who decides and reports, as it goes on record."""

SEED = 0
"""Of the random part of identifiers."""

_KEPT_DECISIONS = 1_000


@dataclass
class SimulatedClock:
    """A time that moves only when the replay moves it."""

    now: datetime

    def __call__(self) -> datetime:
        """Aware, UTC."""
        return self.now


@dataclass(frozen=True, eq=False)
class Plan:
    """What is to be replayed, and how.

    Attributes:
        settings: limits, hours and models; where a live book keeps its state plays no part.
        history: the market.
        rules: of the router.
        live: model name to version, where another than the newest is to decide.
        description: what to tell of it in summary and report, JSON values.
    """

    settings: Settings
    history: History
    rules: Rules
    live: Mapping[str, str]
    description: Mapping[str, Any]


class DeskService:
    """The service as a router uses it, in this process: the port `simulation.book.Service`.

    Args:
        desk: that decides; its clock is the one given here.
        clock: is set to the time of each call.
        caller: goes on record.
    """

    def __init__(self, desk: Desk, clock: SimulatedClock, caller: str = CALLER) -> None:
        self._desk, self._clock, self._caller = desk, clock, caller

    def decide(self, bar: BarSeen, order_id: str, now: datetime) -> dict[str, Any]:
        """Decide on a bar."""
        self._clock.now = now
        request = DecisionRequest(
            observation=bar.vector,
            observed_at=bar.known_at,
            evidence=bar.evidence,
            fill_state=bar.fill_state,
            order_id=order_id,
            caller=self._caller,
        )
        return decide(request, self._desk)

    def report_result(self, trade: TradeReport, now: datetime) -> None:
        """Put a closed trade on record. History is as it was: an unusual P&L is meant."""
        self._clock.now = now
        result = TradeResult(
            trade_id=trade.trade_id,
            pnl=trade.pnl,
            pnl_percent=trade.pnl_percent,
            order_id=trade.order_id,
            closed_at=trade.closed_at,
            position=0.0,
            confirm=True,
        )
        record_trade_result(result, self._desk.act(now, self._caller))

    def report_position(self, position: float, as_of: datetime, now: datetime) -> None:
        """Put what is held on record."""
        self._clock.now = now
        record_position(position, as_of, self._desk.act(now, self._caller))

    def report_mark(self, unrealized: float, as_of: datetime, now: datetime) -> None:
        """Put the open P&L on record."""
        self._clock.now = now
        record_mark(unrealized, as_of, self._desk.act(now, self._caller), confirm=True)

    def release(self, order_id: str, outcome: str, now: datetime) -> None:
        """Put on record that an order will have no result."""
        self._clock.now = now
        record_release(order_id, Outcome(outcome), self._desk.act(now, self._caller))


def replay(
    plan: Plan,
    *,
    ledger: Ledger | None = None,
    progress: Callable[[int], object] | None = None,
) -> Run:
    """Let a router trade on a history through the service's own code.

    Args:
        plan: what and how.
        ledger: empty, and closed afterwards; by default one in memory.
        progress: called with the number of bars done since the last call.

    Raises:
        ServiceError: the settings do not fit the models, or a store failed.
    """
    history, settings = plan.history, plan.settings
    clock = SimulatedClock(datetime.fromtimestamp(int(history.known_at[0]), UTC))
    application = _application(plan, clock, ledger)
    try:
        desk = replace(
            application.desk,
            models=_prepared(application.models, history),
            # A live halt file, and who is told of live decisions, are no business of a replay.
            halt_requested=lambda: False,
            observer=Observers([]),
        )
        days = local_days(history.known_at, settings.trading_hours.zone)
        router = Router(DeskService(desk, clock), desk.calendar, plan.rules)
        recorder = Recorder(history, plan.rules.latency, days.tolist())
        for step in router.run(history, progress):
            recorder.take(step, desk.ledger.head().state)
        return _run(plan, application, router, recorder, days)
    finally:
        application.close()


def collect_less() -> None:
    """Let the garbage collector of this process look at what lasts less often, as the service does.

    A replay piles up what it found, which is no garbage.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def _prepared(models: Ensemble, history: History) -> Models:
    """The models, asked ahead about every vector of a history."""
    return (
        PreparedModels(models, prepare(models, history.matrix)) if len(history.matrix) else models
    )


def _run(
    plan: Plan,
    application: Application,
    router: Router,
    recorder: Recorder,
    days: NDArray[np.int64],
) -> Run:
    settings, head = plan.settings, application.ledger.head()
    return Run(
        times=plan.history.known_at,
        days=days,
        closes=plan.history.closes,
        equity=np.array(recorder.equity),
        positions=np.array(recorder.positions),
        decisions=recorder.decisions(),
        trades=tuple(router.trades),
        episodes=recorder.episodes(),
        expired=router.expired,
        not_taken=router.not_taken,
        ledger_head=head.hash,
        events=head.sequence,
        description={**plan.description, **_description(plan, application)},
        limits=settings.risk_limits.recorded(),
        capital_usd=plan.rules.capital_usd,
        zone=settings.trading_hours.timezone,
    )


def _description(plan: Plan, application: Application) -> dict[str, Any]:
    rules = plan.rules
    return {
        "configuration": application.desk.configuration,
        "models": [
            {
                "name": runner.name,
                "version": runner.version,
                "sha256": runner.sha256,
                "weight": runner.weight,
            }
            for runner in application.runners
        ],
        "bars": len(plan.history),
        "vectors": len(plan.history.matrix),
        "capital_usd": rules.capital_usd,
        "spread_bp": rules.costs.spread_bp,
        "commission_bp": rules.costs.commission_bp,
        "decision_latency_ms": rules.latency / timedelta(milliseconds=1),
        "marks": rules.marks,
    }


def _application(plan: Plan, clock: SimulatedClock, ledger: Ledger | None) -> Application:
    settings = plan.settings
    embedded = settings.model_copy(
        update={"redis": settings.redis.model_copy(update={"host": None})}
    )
    # Equal runs have equal identifiers, and with them equal ledgers.
    numbers = random.Random(SEED)  # noqa: S311 - nothing secret is made of them
    world = World(clock=clock, timer=lambda: 0, random_bytes=numbers.randbytes)
    return build(
        embedded,
        MemoryLedger(newest=_KEPT_DECISIONS) if ledger is None else ledger,
        world=world,
        documents=MemoryDocuments(),
        live=plan.live,
    )
