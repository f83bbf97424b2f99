"""A desk without models: a ledger, the rules over it, and a clock that a test moves."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count

from config.settings import CalendarSettings, RiskLimits, TradingHours
from risk.acts import Act
from risk.calendar import SessionCalendar
from risk.drift import (
    DriftRecorded,
    record_drift_acknowledgement,
    record_drift_alarm,
    record_drift_clear,
)
from risk.events import Event
from risk.fold import roll
from risk.gate import judge
from risk.ledger.protocol import Ledger
from risk.operator import Operated, record_halt, record_resume
from risk.orders import Outcome, Released, record_release
from risk.reports import Reported, record_mark, record_position
from risk.resets import record_reset
from risk.results import Recorded, TradeResult, record_trade_result
from risk.state import OperatorMode, ResetScope, RiskState
from risk.verdict import Candidate, Situation, Verdict
from runners.signal import Signal

CONFIGURATION = "c" * 64

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
    configuration: str = CONFIGURATION
    halt_file: bool = False
    _ids: Iterator[int] = field(default_factory=count)

    def new_id(self, now: datetime) -> str:
        return f"{self.prefix}-{next(self._ids)}"

    def wait(self, **duration: float) -> None:
        self.now += timedelta(**duration)

    def limit(self, **changes: object) -> None:
        self.limits = RiskLimits(**{**self.limits.model_dump(), **changes})

    def act(self, actor: str = "tester") -> Act:
        return Act(
            ledger=self.ledger,
            own_limits=self.limits,
            configuration=self.configuration,
            calendar=self.calendar,
            now=self.now,
            new_id=self.new_id,
            actor=actor,
        )

    def result(self, pnl_percent: float, trade_id: str | None = None, **more: object) -> Recorded:
        report = TradeResult(
            trade_id=trade_id or f"trade-{next(self._ids)}",
            pnl=pnl_percent * 100_000,
            pnl_percent=pnl_percent,
            **more,  # type: ignore[arg-type]
        )
        return record_trade_result(report, self.act())

    def mark(self, unrealized: float, as_of: datetime | None = None) -> Reported:
        return record_mark(unrealized, as_of or self.now, self.act())

    def holds(self, position: float, as_of: datetime | None = None) -> Reported:
        return record_position(position, as_of or self.now, self.act())

    def release(self, order_id: str, outcome: Outcome = Outcome.CANCELLED) -> Released:
        return record_release(order_id, outcome, self.act())

    def halt(
        self, mode: OperatorMode = OperatorMode.HALTED, reason: str = "", actor: str = "tester"
    ) -> Operated:
        return record_halt(mode, reason, self.act(actor))

    def resume(
        self, mode: OperatorMode = OperatorMode.ACTIVE, reason: str = "all is well"
    ) -> Operated:
        return record_resume(mode, reason, self.act(), halt_file=self.halt_file)

    def drifts(self, tick: datetime | None = None, *reasons: str) -> DriftRecorded:
        return record_drift_alarm(tick or self.now, reasons or ("the feed is frozen",), self.act())

    def is_clean(self, tick: datetime | None = None) -> DriftRecorded:
        return record_drift_clear(tick or self.now, "", self.act())

    def knows_of_drift(self, actor: str = "tester") -> DriftRecorded:
        return record_drift_acknowledgement("a known move", self.act(actor))

    def reset(self, scope: ResetScope = ResetScope.DAILY, reason: str = "") -> Event:
        event, _ = record_reset(scope, reason, self.act())
        return event

    @property
    def state(self) -> RiskState:
        return roll(self.ledger.head().state, self.calendar.day(self.now))

    def ask(
        self,
        signal: Signal = Signal.BUY,
        confidence: float = 0.9,
        observed_at: datetime | None = None,
        order_id: str | None = None,
        position: float | None = None,
    ) -> Verdict:
        candidate = Candidate(signal, confidence, observed_at, order_id, position)
        session = self.calendar.status(self.now)
        return judge(
            Situation(candidate, self.state, self.limits, session, self.now, self.configuration)
        )
