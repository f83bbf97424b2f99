"""What callers get when they ask about the book: the summary, and decisions on record.

These describe what the GET routes answer, for the OpenAPI document; no answer is made of them.
"""

from typing import Any, Literal

from api.fields import Answer
from api.messages import DecisionAnswer
from config.settings import OnDrift, RiskLimits
from risk.breaker import BreakerState
from risk.state import CauseKind, OperatorMode

__all__ = ["DecisionOnRecord", "DecisionPage", "EvidenceAnswer", "SummaryAnswer"]


class SideAnswer(Answer):
    """What a fully confident signal would be told now."""

    passes: bool
    status: str
    """APPROVED, or the first check that would fail."""
    reduces: bool
    """It would be an exit."""
    reasons: list[str]
    """Why not, in words."""


class SidesAnswer(Answer):
    """Each side as what it would be now, and an exit of any position."""

    BUY: SideAnswer
    SELL: SideAnswer
    EXIT: SideAnswer


class DailyStats(Answer):
    """The day so far; P&L as a fraction of capital unless it says dollars."""

    date: str | None
    """The day of Bogotá; None before anything is on record."""
    pnl: float
    """Realised, in US dollars."""
    pnl_percent: float
    """Realised since the day began, and what the open mark has changed by."""
    realized_pnl_percent: float
    unrealized_pnl_percent: float
    """The open mark."""
    mark_as_of: str | None
    trades_today: int
    """Results and open orders."""
    results: int
    open_orders: int
    wins: int
    losses: int
    win_rate: float | None
    """None before the first win or loss."""
    consecutive_losses: int
    drawdown: float
    """0 or less: equity below its high-water mark."""
    equity: float
    high_water_mark: float
    resets_used: int


class Utilization(Answer):
    """How much of each limit is used: 0 is nothing, 1 is all of it."""

    daily_loss: float
    drawdown: float
    consecutive_losses: float
    trades: float
    unresolved_orders: float
    position: float


class OpenCause(Answer):
    """One cause that the breaker was tripped by."""

    cause: CauseKind
    open: bool
    """It stands in the way of entries now."""
    since: str
    until: str | None
    value: float
    """What it was when it tripped: a fraction, or losses in a row."""
    limit: float
    released_by: str
    """In words."""


class Suspicion(Answer):
    """A limit that one mark is beyond; a second mark confirms it."""

    cause: CauseKind
    since: str


class BreakerAnswer(Answer):
    """The circuit breaker."""

    state: BreakerState
    causes: list[OpenCause]
    probe: str | None
    """The order that probes a half-open breaker."""
    unconfirmed: list[Suspicion]


class OperatorState(Answer):
    """What a person allows."""

    mode: OperatorMode
    since: str | None
    by: str | None
    reason: str
    halted: bool
    halt_file: bool
    """The halt file is there."""


class DriftStanding(Answer):
    """The drift alarm that stands, acknowledged or not."""

    active: bool
    since: str | None
    tick: str | None
    reason: str | None
    acknowledged_at: str | None
    acknowledged_by: str | None
    effect: OnDrift
    """What it does to entries now."""


class PositionAnswer(Answer):
    """What is held and on its way, as signed fractions of capital."""

    known: bool
    position: float | None
    as_of: str | None
    being_bought: float
    being_sold: float
    being_closed: float
    room_to_buy: float
    room_to_sell: float


class OpenOrderAnswer(Answer):
    """An approved entry without an outcome."""

    order_id: str
    decision_id: str
    signal: Literal["SELL", "BUY"]
    size_percent: float
    """Fraction of capital."""
    approved_at: str
    valid_until: str
    expired: bool
    probe: bool


class CalendarAnswer(Answer):
    """The session of now."""

    date: str
    open: bool
    """The day has a session and this is within it."""
    reason: str | None
    """Why it is closed."""
    session_ends_at: str | None


class ConfigurationAnswer(Answer):
    """Hashes of limits and live models."""

    recorded: str | None
    """Of the book."""
    this_service: str
    agree: bool
    """If not, every decision is HOLD with CONFIG_MISMATCH."""


class SummaryAnswer(Answer):
    """Why an entry or an exit would pass now or not."""

    book: str
    trading_status: str
    """ACTIVE when an entry would pass on either side, else what it would be refused with."""
    reasons: list[str]
    would_pass: SidesAnswer
    daily_stats: DailyStats
    limits: RiskLimits
    risk_utilization: Utilization
    breaker: BreakerAnswer
    operator: OperatorState
    drift: DriftStanding
    position: PositionAnswer
    open_orders: list[OpenOrderAnswer]
    calendar: CalendarAnswer
    configuration: ConfigurationAnswer
    state_sequence: int
    timestamp: str


class MacroUsed(Answer):
    """The value of a macro series that a vector was made with."""

    date: str
    value: float


class EvidenceAnswer(Answer):
    """The bars and macro values behind a vector."""

    bar: str
    """Start of the newest bar."""
    close: float
    equal_closes: int
    """How many of the newest closes are equal."""
    window_days: float
    """From the oldest bar that was read to the newest."""
    macro: dict[str, MacroUsed]


class ListedDecision(DecisionAnswer):
    """A decision as it was answered, and where it is on record."""

    caller: str
    """Name of the key."""
    sequence: int
    """Its place in the ledger."""


class DecisionOnRecord(ListedDecision):
    """A decision with all that it was made from: what replays."""

    model_name: str | None  # type: ignore[assignment]  # as it was asked, and not as it was answered
    """As it was asked; None is the ensemble."""
    observation: list[float]
    """The vector that the models read."""
    observed_at: str | None
    """When it was known."""
    evidence: EvidenceAnswer | None
    superseded_by: str | None
    """Start of a newer bar that was known."""
    fill_state: bool
    """Features of the book were filled in from the ledger."""
    book: dict[str, Any] | None = None
    """What they were filled in with."""
    position: float | None
    capital_usd: float | None
    enforce_risk_checks: bool
    dry_run: bool
    order: dict[str, Any] | None
    """What the approval reserved."""
    state: dict[str, Any] | None
    """Of the book, before this decision; P&L in whole billionths of capital."""
    configuration: str
    """Hash of limits and models that it was made with."""
    previous_hash: str
    hash: str
    """Of this record; the next one holds it as its `previous_hash`."""


class DecisionPage(Answer):
    """Decisions, newest first."""

    decisions: list[ListedDecision | DecisionOnRecord]
    next: int | None
    """`before` of the following page; None on the last."""
