"""What the gate is asked, what it looks at, and what it says."""

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from config.settings import RiskLimits
from risk.breaker import BreakerState, breaker_state
from risk.calendar import SessionStatus
from risk.exposure import Exposure, exposure_of
from risk.state import RiskState
from runners.signal import Signal

__all__ = ["Candidate", "Check", "RiskStatus", "Situation", "Verdict"]


class RiskStatus(StrEnum):
    """What the gate, or the service around it, says of a decision."""

    APPROVED = "APPROVED"
    STALE_DATA = "STALE_DATA"
    OUT_OF_DISTRIBUTION = "OUT_OF_DISTRIBUTION"
    HOLD_SIGNAL = "HOLD_SIGNAL"
    LOW_CONFIDENCE = "LOW_CONFIDENCE"
    OUTSIDE_TRADING_HOURS = "OUTSIDE_TRADING_HOURS"
    MARKET_HOLIDAY = "MARKET_HOLIDAY"
    TRADING_HALTED = "TRADING_HALTED"
    REDUCE_ONLY = "REDUCE_ONLY"
    CIRCUIT_BREAKER_ACTIVE = "CIRCUIT_BREAKER_ACTIVE"
    COOLDOWN_ACTIVE = "COOLDOWN_ACTIVE"
    DAILY_LOSS_LIMIT = "DAILY_LOSS_LIMIT"
    MAX_DRAWDOWN = "MAX_DRAWDOWN"
    CONSECUTIVE_LOSSES = "CONSECUTIVE_LOSSES"
    MAX_TRADES_REACHED = "MAX_TRADES_REACHED"
    UNRESOLVED_ORDERS = "UNRESOLVED_ORDERS"
    POSITION_LIMIT = "POSITION_LIMIT"
    ORDER_ID_REQUIRED = "ORDER_ID_REQUIRED"
    POSITION_UNKNOWN = "POSITION_UNKNOWN"
    APPROVAL_EXPIRED = "APPROVAL_EXPIRED"
    ORDER_CLOSED = "ORDER_CLOSED"
    CONFIG_MISMATCH = "CONFIG_MISMATCH"
    LEDGER_REGRESSED = "LEDGER_REGRESSED"
    DRY_RUN = "DRY_RUN"
    NOT_CHECKED = "NOT_CHECKED"
    SYSTEM_ERROR = "SYSTEM_ERROR"


class Candidate(NamedTuple):
    """A signal that asks to be traded.

    Attributes:
        signal: what the models say.
        confidence: of that signal, 0 to 1. NaN never passes.
        observed_at: when the observation was known, aware; None when the caller did not say.
        order_id: the caller's name for the order; None for advice that reserves nothing.
        position: signed fraction of capital held now; None for the one reported last.
        stale: why the observation is old or frozen, beside its age; in words.
        unfamiliar: why it is outside of what the models know; in words.
    """

    signal: Signal
    confidence: float
    observed_at: datetime | None = None
    order_id: str | None = None
    position: float | None = None
    stale: tuple[str, ...] = ()
    unfamiliar: tuple[str, ...] = ()


class Situation:
    """All that a rule may look at.

    Args:
        candidate: the signal.
        state: rolled to the session date of `now`.
        limits: in force.
        session: of that date.
        now: aware.
        configuration: hash of this service's limits and models; None where none is kept.
    """

    __slots__ = (
        "breaker",
        "candidate",
        "configuration",
        "exposure",
        "limits",
        "now",
        "reduces",
        "session",
        "state",
    )

    def __init__(
        self,
        candidate: Candidate,
        state: RiskState,
        limits: RiskLimits,
        session: SessionStatus,
        now: datetime,
        configuration: str | None = None,
    ) -> None:
        self.candidate = candidate
        self.state = state
        self.limits = limits
        self.session = session
        self.now = now
        self.configuration = configuration
        self.exposure: Exposure = exposure_of(state, candidate.position)
        self.reduces: bool = self.exposure.reduces(candidate.signal)
        self.breaker: BreakerState = breaker_state(state, now)

    @property
    def probes(self) -> bool:
        """Whether an approval would be the probe of a half-open breaker."""
        return self.breaker is BreakerState.HALF_OPEN and not self.reduces


class Check(NamedTuple):
    """What one rule found.

    Attributes:
        name: of the rule.
        status: what it says when it does not let the signal through.
        value: what was looked at, and
        limit: what it was held against, in the rule's own unit.
        message: why it failed, in words; empty when it passed.
        exempt: whether it passed because the rule is for entries and this is an exit.
    """

    name: str
    status: RiskStatus
    value: float | str | None
    limit: float | str | None
    message: str = ""
    exempt: bool = False

    @property
    def passed(self) -> bool:
        """Whether the rule lets the signal through."""
        return not self.message


class Verdict(NamedTuple):
    """All checks in order, and what they come to.

    Attributes:
        status: APPROVED, or that of the first check that failed.
        checks: of every rule, in order.
        reduces: whether the signal is an exit.
        probe: whether an approval is the probe of a half-open breaker.
        exposure: what the signal was held against.
    """

    status: RiskStatus
    checks: tuple[Check, ...]
    reduces: bool
    probe: bool
    exposure: Exposure

    @property
    def approved(self) -> bool:
        """Whether every check passed."""
        return self.status is RiskStatus.APPROVED

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why not, in words, most important first."""
        return tuple([check.message for check in self.checks if check.message])
