"""A service that says what a test wants, and remembers what it was told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import numpy as np

from config.settings import CalendarSettings, TradingHours
from risk.calendar import SessionCalendar
from simulation.book import BarSeen, TradeReport
from simulation.fills import Costs
from simulation.history import History
from simulation.router import Router, Rules, Step

MONDAY = date(2026, 3, 2)
BOGOTA = timedelta(hours=5)
FREE = Costs(spread_bp=0.0, commission_bp=0.0)


@dataclass
class ScriptedService:
    """Approves what its script names, by the local time of the bar's start: `BUY`, `SELL`."""

    script: Mapping[str, str]
    size: float = 0.1
    told: list[tuple[Any, ...]] = field(default_factory=list)
    clock: list[datetime] = field(default_factory=list)
    held: float = 0.0

    def decide(self, bar: BarSeen, order_id: str, now: datetime) -> dict[str, Any]:
        self.clock.append(now)
        local = datetime.fromtimestamp(bar.start, UTC) - BOGOTA
        signal = self.script.get(f"{local:%d %H:%M}", self.script.get(f"{local:%H:%M}", "HOLD"))
        approved = signal != "HOLD"
        against = "SELL" if self.held > 0 else "BUY"
        return {
            "decision_id": f"decision-{order_id}",
            "signal": signal,
            "raw_signal": signal,
            "confidence": 0.75,
            "approved": approved,
            "reduces": approved and self.held != 0 and signal == against,
            "risk_status": "APPROVED" if approved else "HOLD_SIGNAL",
            "reasons": [] if approved else ["the models say HOLD"],
            "probe": False,
            "action_probs": {"SELL": 0.1, "HOLD": 0.15, "BUY": 0.75},
            "position_recommendation": {"position_size_percent": self.size} if approved else None,
        }

    def report_result(self, trade: TradeReport, now: datetime) -> None:
        self.clock.append(now)
        self.held = 0.0
        self.told.append(("result", local_time(now), trade.order_id, trade.pnl_percent))

    def report_position(self, position: float, as_of: datetime, now: datetime) -> None:
        self.clock.append(now)
        self.held = position
        self.told.append(("position", local_time(as_of), position))

    def report_mark(self, unrealized: float, as_of: datetime, now: datetime) -> None:
        self.clock.append(now)
        self.told.append(("mark", local_time(as_of), unrealized))

    def release(self, order_id: str, outcome: str, now: datetime) -> None:
        self.clock.append(now)
        self.told.append(("release", local_time(now), order_id, outcome))

    def kinds(self) -> list[str]:
        return [entry[0] for entry in self.told]


def local_time(at: datetime) -> str:
    """The time of day in Bogotá."""
    return f"{at - BOGOTA:%H:%M:%S}"


def bars(
    closes: Sequence[float], first: str = "08:00", day: date = MONDAY, without: Sequence[int] = ()
) -> History:
    """Consecutive bars of a session, each with a vector, but for some positions without a bar."""
    begin = datetime.combine(day, time.fromisoformat(first), UTC) + BOGOTA
    kept = [index for index in range(len(closes)) if index not in without]
    starts = [int(begin.timestamp()) + 300 * index for index in kept]
    return joined(np.array(starts, np.int64), np.array([closes[index] for index in kept]))


def joined(starts: Any, closes: Any) -> History:
    """A history of these bars with a vector each."""
    count = len(starts)
    return History(
        starts=starts,
        closes=np.asarray(closes, np.float64),
        rows=np.arange(count),
        matrix=np.zeros((count, 3), np.float32),
        evidence=[None] * count,
        fill_state=False,
    )


def after(*histories: History) -> History:
    """One history after the other."""
    return joined(
        np.concatenate([history.starts for history in histories]),
        np.concatenate([history.closes for history in histories]),
    )


def routed(
    service: ScriptedService, history: History, costs: Costs = FREE, **rules: Any
) -> tuple[Router, list[Step]]:
    """What a router did with a history."""
    calendar = SessionCalendar(TradingHours(), CalendarSettings())
    router = Router(service, calendar, Rules(costs, 100_000.0, **rules))
    return router, list(router.run(history))
