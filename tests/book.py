"""A desk without models: a ledger, the rules over it, and a clock that a test moves."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count

from config.settings import CalendarSettings, RiskLimits, TradingHours
from risk.calendar import SessionCalendar
from risk.events import Event
from risk.gate import Candidate, Situation, Verdict, judge
from risk.ledger.protocol import Ledger
from risk.resets import record_reset
from risk.results import Recorded, TradeResult, record_trade_result
from risk.state import ResetScope, RiskState, roll
from runners.signal import Signal

MONDAY_NOON_UTC = datetime(2026, 3, 2, 14, 0, tzinfo=UTC)  # 09:00 in Bogotá


@dataclass
class Book:
    """A ledger, the rules over it, and a clock that a test moves."""

    ledger: Ledger
    limits: RiskLimits = field(default_factory=RiskLimits)
    calendar: SessionCalendar = field(
        default_factory=lambda: SessionCalendar(TradingHours(), CalendarSettings())
    )
    now: datetime = MONDAY_NOON_UTC
    prefix: str = "event"
    _ids: Iterator[int] = field(default_factory=count)

    def new_id(self, now: datetime) -> str:
        return f"{self.prefix}-{next(self._ids)}"

    def wait(self, **duration: float) -> None:
        self.now += timedelta(**duration)

    def limit(self, **changes: object) -> None:
        self.limits = RiskLimits(**{**self.limits.model_dump(), **changes})

    def result(self, pnl_percent: float, trade_id: str | None = None, **more: object) -> Recorded:
        report = TradeResult(
            trade_id=trade_id or f"trade-{next(self._ids)}",
            pnl=pnl_percent * 100_000,
            pnl_percent=pnl_percent,
            **more,  # type: ignore[arg-type]
        )
        return record_trade_result(
            report,
            ledger=self.ledger,
            limits=self.limits,
            calendar=self.calendar,
            now=self.now,
            new_id=self.new_id,
            actor="tester",
        )

    def reset(self, scope: ResetScope = ResetScope.DAILY, reason: str = "") -> Event:
        event, _ = record_reset(
            scope,
            reason,
            ledger=self.ledger,
            limits=self.limits,
            calendar=self.calendar,
            now=self.now,
            new_id=self.new_id,
            actor="tester",
        )
        return event

    @property
    def state(self) -> RiskState:
        return roll(self.ledger.head().state, self.calendar.day(self.now))

    def ask(
        self,
        signal: Signal = Signal.BUY,
        confidence: float = 0.9,
        observed_at: datetime | None = None,
    ) -> Verdict:
        candidate = Candidate(signal, confidence, observed_at)
        session = self.calendar.status(self.now)
        return judge(Situation(candidate, self.state, self.limits, session, self.now))
