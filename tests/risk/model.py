"""The risk rules once more, deliberately naive, to hold the real ones against.

It keeps a list of what happened and works out everything else from that list, at every question
again: no state, no steps, no store. Money is exact fractions, a day is "five hours behind UTC",
the holidays are typed out. It shares no code with `risk/` but the names of limits.

"After n facts" is how every question is put: `facts[:n]` has happened. What is asked of an
unchanging past is remembered, or a long history would take minutes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

from config.settings import RiskLimits

__all__ = [
    "LIMIT_STATUSES",
    "Ask",
    "Desk",
    "Model",
    "Refused",
    "Told",
    "exact",
    "holiday_of",
    "session_date",
]

JITTER = timedelta(seconds=5)
OPENS, CLOSES = time(8, 0), time(12, 55)
SESSION_SECONDS = (4 * 60 + 55) * 60
LAST_KNOWN_DAY = date(2027, 12, 31)

COLOMBIA = """
2026-01-01 2026-01-12 2026-03-23 2026-04-02 2026-04-03 2026-05-01 2026-05-18 2026-06-08 2026-06-15
2026-06-29 2026-07-13 2026-07-20 2026-08-07 2026-08-17 2026-10-12 2026-11-02 2026-11-16 2026-12-08
2026-12-25 2027-01-01 2027-01-11 2027-03-22 2027-03-25 2027-03-26 2027-05-01 2027-05-10 2027-05-31
2027-06-07 2027-07-05 2027-07-12 2027-07-20 2027-08-07 2027-08-16 2027-10-18 2027-11-01 2027-11-15
2027-12-08 2027-12-25
"""
UNITED_STATES = """
2026-01-01 2026-01-19 2026-02-16 2026-05-25 2026-06-19 2026-09-07 2026-10-12 2026-11-11 2026-11-26
2026-12-25 2027-01-01 2027-01-18 2027-02-15 2027-05-31 2027-07-05 2027-09-06 2027-10-11 2027-11-11
2027-11-25 2027-12-25
"""

LIMIT_STATUSES = frozenset(
    {
        "SYSTEM_ERROR",
        "REDUCE_ONLY",
        "CIRCUIT_BREAKER_ACTIVE",
        "COOLDOWN_ACTIVE",
        "DAILY_LOSS_LIMIT",
        "MAX_DRAWDOWN",
        "CONSECUTIVE_LOSSES",
        "MAX_TRADES_REACHED",
        "POSITION_LIMIT",
        "ORDER_ID_REQUIRED",
        "POSITION_UNKNOWN",
    }
)
"""What may refuse an entry and never an exit."""


def exact(value: float) -> Fraction:
    """What the caller wrote, not what binary made of it."""
    return Fraction(Decimal(repr(value)))


def session_date(at: datetime) -> date:
    return (at - timedelta(hours=5)).date()


def holiday_of(day: date, *, us_too: bool) -> bool:
    text = day.isoformat()
    closed = text in COLOMBIA or (us_too and text in UNITED_STATES)
    return closed or (day.month, day.day) == (12, 31) or day > LAST_KNOWN_DAY


@dataclass(frozen=True)
class Fact:
    """Something that happened.

    Attributes:
        at: when, by the clock of who put it on record.
        limits: in force for the book then.
    """

    at: datetime
    limits: RiskLimits


@dataclass(frozen=True)
class Approved(Fact):
    """An approval that binds an order id; `room_taken` is what it may trade, above 0."""

    ask: Ask
    told: Told

    @property
    def order_id(self) -> str | None:
        return self.ask.order_id

    @property
    def reduces(self) -> bool:
        return self.told.reduces

    @property
    def size(self) -> Fraction:
        assert self.told.size is not None
        return self.told.size


@dataclass(frozen=True)
class Released(Fact):
    order_id: str
    outcome: str


@dataclass(frozen=True)
class Result(Fact):
    trade_id: str
    pnl: Fraction
    unrealized: Fraction
    order_id: str | None
    position: Fraction | None
    closed_at: datetime | None

    @property
    def as_of(self) -> datetime:
        return self.at if self.closed_at is None else min(self.closed_at, self.at)

    @property
    def content(self) -> tuple[object, ...]:
        return (self.pnl, self.unrealized, self.order_id, self.position, self.closed_at)


@dataclass(frozen=True)
class Held(Fact):
    position: Fraction
    as_of: datetime


@dataclass(frozen=True)
class Marked(Fact):
    unrealized: Fraction
    as_of: datetime


@dataclass(frozen=True)
class Halted(Fact):
    mode: str


@dataclass(frozen=True)
class Resumed(Fact):
    mode: str


@dataclass(frozen=True)
class Reset(Fact):
    everything: bool


@dataclass(frozen=True)
class Checked(Fact):
    """A drift check that was due at a tick and found drift, or ended an alarm."""

    tick: datetime
    clean: bool


@dataclass(frozen=True)
class Acknowledged(Fact):
    """Somebody knows of the drift alarm."""


@dataclass(frozen=True)
class Configured(Fact):
    recorded: RiskLimits


@dataclass(frozen=True)
class Desk:
    """A service and its surroundings at one moment."""

    now: datetime
    limits: RiskLimits
    halt_file: bool = False
    us_holidays_count: bool = True

    @property
    def today(self) -> date:
        return session_date(self.now)


@dataclass(frozen=True)
class Ask:
    """A request for a decision.

    Attributes:
        side: what the models say: 1, 0 or -1.
        confidence: how sure they are.
        vector: what they were shown.
        fault: whether they fail.
    """

    side: int
    confidence: float
    vector: float = 0.0
    fault: bool = False
    order_id: str | None = None
    position: float | None = None
    observed_at: datetime | None = None
    dry_run: bool = False
    checked: bool = True

    @property
    def content(self) -> tuple[object, ...]:
        """What must be the same for a second request to be the same order."""
        return (self.vector, self.position, self.observed_at)

    @property
    def signal(self) -> str:
        return {1: "BUY", 0: "HOLD", -1: "SELL"}[self.side]


@dataclass(frozen=True)
class Told:
    """What must be answered to an `Ask`."""

    status: str
    approved: bool = False
    signal: str = "HOLD"
    reduces: bool = False
    probe: bool = False
    replayed: bool = False
    size: Fraction | None = None
    valid_until: datetime | None = None
    would_approve: bool = False
    refusals: int | None = None


class Refused(Exception):
    """The request cannot be served; `code` says why, `facts` what is on record all the same."""

    def __init__(self, code: str, facts: Sequence[Fact] = ()) -> None:
        super().__init__(code)
        self.code = code
        self.facts = list(facts)


@dataclass(frozen=True)
class Pause:
    """What too many losses in a row have led to."""

    until: datetime
    seconds: int
    probe: str | None = None


Given = ParamSpec("Given")
Answer = TypeVar("Answer")


def of_the_past(
    question: Callable[Concatenate[Model, Given], Answer],
) -> Callable[Concatenate[Model, Given], Answer]:
    """Ask once only: the first n facts, n being what is asked with, do not change."""

    def asked(self: Model, /, *args: Given.args, **kwargs: Given.kwargs) -> Answer:
        n, *more = args
        known, key = self.remembered[cast(int, n)], (question.__name__, *more)
        if key not in known:
            known[key] = question(self, *args, **kwargs)
        return cast(Answer, known[key])

    return asked


class Model:
    """All that happened to a book, and what follows from it.

    Attributes:
        facts: what happened, oldest first.
        remembered: for each n up to their number, what was asked of the first n and answered.
    """

    def __init__(self, facts: Sequence[Fact] = (), remembered: Sequence[dict[Any, Any]] = ()):
        self.facts = tuple(facts)
        new = range(len(self.facts) + 1 - len(remembered))
        self.remembered = (*remembered, *({} for _ in new))

    def after(self, *facts: Fact) -> Model:
        return Model((*self.facts, *facts), self.remembered)

    @property
    def n(self) -> int:
        return len(self.facts)

    # Days and their counters.

    @of_the_past
    def recorded_day(self, n: int) -> date | None:
        """The newest date that anything on record is of; a reset of everything believes its own."""
        day: date | None = None
        for fact in self.facts[:n]:
            told = session_date(fact.at)
            if day is None or told > day or (isinstance(fact, Reset) and fact.everything):
                day = told
        return day

    @of_the_past
    def day_begins(self, n: int, today: date) -> int:
        """Index of the first fact of the day."""
        begins, day = 0, None
        for index, fact in enumerate(self.facts[:n]):
            told = session_date(fact.at)
            if day is not None and told > day:
                begins = index
            day = self.recorded_day(index + 1)
        return n if day is not None and today > day else begins

    @of_the_past
    def counters_begin(self, n: int, today: date) -> int:
        """Index of the first fact that the day's counters count: after its newest reset."""
        begins = self.day_begins(n, today)
        resets = [i for i in range(begins, n) if isinstance(self.facts[i], Reset)]
        return resets[-1] + 1 if resets else begins

    def resets_today(self, n: int, today: date) -> int:
        """Those of a date of the future, which a wrong clock has put on record, are none of it."""
        day = self.recorded_day(n)
        if day is not None and day > today:
            return 0
        begins = self.day_begins(n, today)
        for index in range(begins, n):
            fact, before = self.facts[index], self.recorded_day(index)
            ahead = before is not None and before > session_date(fact.at)
            if isinstance(fact, Reset) and fact.everything and ahead:
                begins = index
        return sum(isinstance(fact, Reset) for fact in self.facts[begins:n])

    def results_today(self, n: int, today: date) -> list[Result]:
        counted = self.facts[self.counters_begin(n, today) : n]
        return [fact for fact in counted if isinstance(fact, Result)]

    # What is open, and what it is worth.

    @of_the_past
    def marks_that_count(self, n: int) -> list[int]:
        """Indices of the reports that replaced the open mark."""
        return self._that_count(n, Marked, Result)

    @of_the_past
    def positions_that_count(self, n: int) -> list[int]:
        """Indices of the reports that replaced the position."""
        return self._that_count(n, Held, Result)

    def _that_count(self, n: int, *kinds: type[Fact]) -> list[int]:
        found: list[int] = []
        newest: datetime | None = None
        for index, fact in enumerate(self.facts[:n]):
            if not isinstance(fact, kinds):
                continue
            if Held in kinds and isinstance(fact, Result) and fact.position is None:
                continue
            as_of = cast(Any, fact).as_of
            if newest is None or as_of >= newest or newest > fact.at + JITTER:
                newest = as_of
                found.append(index)
        return found

    def mark(self, n: int) -> Fraction:
        counted = self.marks_that_count(n)
        if not counted:
            return Fraction(0)
        return cast("Fraction", cast(Any, self.facts[counted[-1]]).unrealized)

    def believed_mark(self, n: int) -> Fraction:
        """The open mark, but for one beyond a limit that no second one has confirmed."""
        bases = [base for _, base in self.suspicions(n).values()]
        return bases[0] if bases else self.mark(n)

    @of_the_past
    def suspicions(self, n: int) -> dict[str, tuple[datetime, Fraction]]:
        """What a mark is beyond, unconfirmed: of which time the first was, and the mark before."""
        if n == 0:
            return {}
        before, fact = self.suspicions(n - 1), self.facts[n - 1]
        counts = self.marks_that_count(n)[-1:] == [n - 1]
        if isinstance(fact, Result) and counts:
            return {}
        if isinstance(fact, Marked) and counts:
            found = {}
            for what in ("daily_loss", "drawdown"):
                if self.is_beyond(n, what) and not self.stood(n, what):
                    first, base = before.get(what, (fact.as_of, self.believed_mark(n - 1)))
                    found[what] = (min(first, fact.as_of), base)
        else:
            found = before
        if not isinstance(fact, Result | Marked):
            return found
        return {
            what: known
            for what, known in found.items()
            if self.stood(n, what) or not self.breaches(n, what)
        }

    def stood(self, n: int, what: str) -> bool:
        """Whether the breaker was open for this before the newest of n facts."""
        if what == "drawdown":
            return self.drawdown_stands(n - 1)
        return self.daily_loss_stands(n - 1, session_date(self.facts[n - 1].at))

    def position(self, n: int) -> Fraction | None:
        counted = self.positions_that_count(n)
        if not counted:
            return None
        return cast("Fraction", cast(Any, self.facts[counted[-1]]).position)

    @of_the_past
    def is_sure(self, n: int, today: date) -> bool:
        """Whether somebody said what is held, and no day has ended since with open orders."""
        counted = self.positions_that_count(n)
        if not counted:
            return False
        for index in range(counted[-1] + 1, n + 1):
            day = self.recorded_day(index)
            then = session_date(self.facts[index].at) if index < n else today
            if day is not None and then > day and self.open_orders(index, day):
                return False
        return True

    # Profit and loss.

    @of_the_past
    def equity(self, n: int) -> Fraction:
        return sum((f.pnl for f in self.facts[:n] if isinstance(f, Result)), Fraction(0))

    @of_the_past
    def daily_pnl(self, n: int, today: date) -> Fraction:
        begins = self.counters_begin(n, today)
        realised = sum((result.pnl for result in self.results_today(n, today)), Fraction(0))
        return realised + self.mark(n) - self.believed_mark(begins)

    @of_the_past
    def high_water_mark(self, n: int) -> Fraction:
        base, begins = Fraction(0), 0
        for index, fact in enumerate(self.facts[:n]):
            if isinstance(fact, Reset) and fact.everything:
                base, begins = self.equity(index) + self.believed_mark(index), index + 1
        closed = [i for i in range(begins, n) if isinstance(self.facts[i], Result)]
        return max([base, *(self.equity(index + 1) for index in closed)])

    @of_the_past
    def drawdown(self, n: int) -> Fraction:
        return min(Fraction(0), self.equity(n) + self.mark(n) - self.high_water_mark(n))

    # Losses in a row.

    @of_the_past
    def streak(self, n: int) -> int:
        losses = 0
        for fact in reversed(self.facts[:n]):
            if isinstance(fact, Reset) or (isinstance(fact, Result) and fact.pnl > 0):
                break
            losses += isinstance(fact, Result) and fact.pnl < 0
        return losses

    def last_loss(self, n: int) -> datetime | None:
        """The latest time of a loss, by the clocks that were told, since the newest reset."""
        times = []
        for fact in reversed(self.facts[:n]):
            if isinstance(fact, Reset):
                break
            if isinstance(fact, Result) and fact.pnl < 0:
                times.append(fact.at)
        return max(times, default=None)

    # The circuit breaker.

    def is_beyond(self, n: int, what: str, mark: Fraction | None = None) -> bool:
        """Whether the newest of n facts leaves a loss at or beyond its limit, with another mark."""
        fact, instead = self.facts[n - 1], Fraction(0)
        if mark is not None:
            instead = mark - self.mark(n)
        if what == "daily_loss":
            value, limit = self.daily_pnl(n, session_date(fact.at)), fact.limits.max_daily_loss
        else:
            value = self.equity(n) + self.mark(n) - self.high_water_mark(n)
            limit = fact.limits.max_drawdown
        return value + instead <= exact(limit)

    @of_the_past
    def breaches(self, n: int, what: str) -> bool:
        """Whether the newest of n facts is a report that opens the breaker, if it was not open."""
        fact = self.facts[n - 1]
        counts = self.marks_that_count(n)[-1:] == [n - 1]
        if isinstance(fact, Result):
            # It is believed at once, but a mark that it leaves standing is not.
            return self.is_beyond(n, what, None if counts else self.believed_mark(n - 1))
        suspicion = self.suspicions(n - 1).get(what)
        if not isinstance(fact, Marked) or not counts or suspicion is None:
            return False
        waited = fact.as_of - suspicion[0]
        least = timedelta(seconds=fact.limits.mark_confirm_seconds)
        return self.is_beyond(n, what) and waited >= least

    @of_the_past
    def daily_loss_stands(self, n: int, today: date) -> bool:
        begins = self.counters_begin(n, today)
        return any(self.breaches(index + 1, "daily_loss") for index in range(begins, n))

    @of_the_past
    def drawdown_stands(self, n: int) -> bool:
        begins = 0
        for index, fact in enumerate(self.facts[:n]):
            if isinstance(fact, Reset) and fact.everything:
                begins = index + 1
        return any(self.breaches(index + 1, "drawdown") for index in range(begins, n))

    @of_the_past
    def pause(self, n: int) -> Pause | None:
        """What consecutive losses have led to after n facts; None when they stop nothing."""
        if n == 0:
            return None
        before, fact = self.pause(n - 1), self.facts[n - 1]
        if before is None:
            seconds = fact.limits.cooldown_after_circuit_break
            until = fact.at + timedelta(seconds=seconds)
            return Pause(until, seconds) if self.breaks_the_streak(n) else None
        if isinstance(fact, Reset):
            return None
        if isinstance(fact, Approved) and not fact.reduces and self.half_open(n - 1, fact.at):
            return replace(before, probe=fact.order_id)
        if isinstance(fact, Released) and fact.order_id == before.probe:
            return replace(before, probe=None)
        return self.pause_after(before, fact) if isinstance(fact, Result) else before

    def pause_after(self, before: Pause, result: Result) -> Pause | None:
        probed = before.probe is not None and result.order_id == before.probe
        if result.pnl > 0:
            return None if probed else before
        if result.pnl == 0:
            return replace(before, probe=None) if probed else before
        seconds = before.seconds or result.limits.cooldown_after_circuit_break
        if probed:
            seconds = min(2 * seconds, max(seconds, SESSION_SECONDS))
        until = max(before.until, result.at + timedelta(seconds=seconds))
        return Pause(until, seconds, None if probed else before.probe)

    def breaks_the_streak(self, n: int) -> bool:
        """Whether the newest of n facts is a loss that opens the breaker, or opens it again."""
        fact = self.facts[n - 1]
        if not isinstance(fact, Result) or fact.pnl >= 0:
            return False
        too_many = self.streak(n) >= fact.limits.max_consecutive_losses
        return too_many or self.pause(n - 1) is not None

    def open_causes(self, n: int, now: datetime) -> list[str]:
        pause = self.pause(n)
        return [
            *(["daily_loss"] if self.daily_loss_stands(n, session_date(now)) else []),
            *(["drawdown"] if self.drawdown_stands(n) else []),
            *(["consecutive_losses"] if pause is not None and now < pause.until else []),
        ]

    def half_open(self, n: int, now: datetime) -> bool:
        return self.pause(n) is not None and not self.open_causes(n, now)

    def breaker(self, n: int, now: datetime) -> str:
        if self.open_causes(n, now):
            return "OPEN"
        return "HALF_OPEN" if self.pause(n) is not None else "CLOSED"

    # Orders.

    def approval(self, order_id: str | None) -> int | None:
        """Index of the approval that binds an order id."""
        for index, fact in enumerate(self.facts):
            if isinstance(fact, Approved) and fact.order_id == order_id is not None:
                return index
        return None

    @of_the_past
    def outcome(self, n: int, approval: int) -> str | None:
        """How the order that was approved there ended."""
        order_id = cast(Approved, self.facts[approval]).order_id
        for fact in self.facts[approval + 1 : n]:
            if isinstance(fact, Released | Result) and fact.order_id == order_id:
                return fact.outcome if isinstance(fact, Released) else "result"
        return None

    def open_orders(self, n: int, today: date) -> list[Approved]:
        found = []
        for index in range(self.day_begins(n, today), n):
            fact = self.facts[index]
            if isinstance(fact, Approved) and not fact.reduces and not self.outcome(n, index):
                found.append(fact)
        return found

    def reductions(self, n: int) -> list[tuple[str | None, Fraction]]:
        """Approved exits that no report of the position shows, and that were not released."""
        return [
            (cast(Approved, self.facts[index]).order_id, size)
            for index in range(n)
            if (size := self.reduction(n, index))
        ]

    @of_the_past
    def reduction(self, n: int, index: int) -> Fraction | None:
        """What the fact at an index takes off the reported position after n facts."""
        fact = self.facts[index]
        if not isinstance(fact, Approved) or not fact.reduces:
            return None
        if self.outcome(n, index) not in {None, "result"}:
            return None
        shown = [i for i in self.positions_that_count(n) if i > index]
        if any(cast(Any, self.facts[i]).as_of >= fact.at for i in shown):
            return None
        held = self.position(index) or Fraction(0)
        if held * fact.ask.side >= 0:
            return None
        earlier = self.reductions(index)
        left = abs(held) - sum((size for _, size in earlier), Fraction(0))
        return min(fact.size, left) if left > 0 else None

    # What a person allows.

    @of_the_past
    def operator(self, n: int) -> str:
        mode = "ACTIVE"
        for fact in self.facts[:n]:
            if isinstance(fact, Resumed) or (isinstance(fact, Halted) and mode != "HALTED"):
                mode = fact.mode
        return mode

    # Drift.

    @of_the_past
    def drift(self, n: int) -> tuple[datetime, datetime, bool] | None:
        """Of the alarm that stands: since when, its newest check, and whether somebody knows."""
        ends = [i for i in range(n) if isinstance(self.facts[i], Checked) and self.is_clean(i)]
        episode = self.facts[ends[-1] + 1 if ends else 0 : n]
        alarms = [fact for fact in episode if isinstance(fact, Checked)]
        if not alarms:
            return None
        known = any(isinstance(fact, Acknowledged) for fact in episode)
        return alarms[0].at, alarms[-1].tick, known

    def is_clean(self, index: int) -> bool:
        return cast(Checked, self.facts[index]).clean

    def halves(self, desk: Desk) -> bool:
        drift = self.drift(self.n)
        return desk.limits.on_drift == "halve" and drift is not None and not drift[2]

    def configuration(self, n: int) -> RiskLimits | None:
        recorded = [fact.recorded for fact in self.facts[:n] if isinstance(fact, Configured)]
        return recorded[-1] if recorded else None

    def limits_in_force(self, desk: Desk) -> RiskLimits:
        return self.configuration(self.n) or desk.limits

    # A decision.

    def decide(self, ask: Ask, desk: Desk) -> tuple[Told, list[Fact]]:
        """The answer, and what is on record for it.

        Raises:
            Refused: the order id is bound to another request.
        """
        facts: list[Fact] = []
        if desk.halt_file and self.operator(self.n) != "HALTED":
            facts = [Halted(desk.now, self.limits_in_force(desk), "HALTED")]
        standing = self.after(*facts)
        approval = standing.approval(ask.order_id)
        if approval is not None and ask.checked and not ask.dry_run:
            first = cast(Approved, standing.facts[approval])
            if first.ask.content != ask.content:
                raise Refused("order_conflict", facts)
            return standing.repeated(approval, first, desk), facts
        if ask.fault:
            return Told("SYSTEM_ERROR", refusals=1), facts
        told = standing.judged(ask, desk)
        if told.approved and ask.order_id is not None:
            facts.append(Approved(desk.now, desk.limits, ask, told))
        return told, facts

    def repeated(self, approval: int, first: Approved, desk: Desk) -> Told:
        again = replace(first.told, replayed=True, refusals=None)
        why = self.why_not_again(approval, first, desk)
        if why is None:
            return again
        return replace(again, status=why, approved=False, signal="HOLD", size=None)

    def why_not_again(self, approval: int, first: Approved, desk: Desk) -> str | None:
        since = self.facts[approval + 1 :]
        halts = [fact.mode for fact in since if isinstance(fact, Halted)]
        valid_until = cast(datetime, first.told.valid_until)
        tripped = any(self.trips(index + 1) for index in range(approval + 1, self.n))
        is_open = self.breaker(self.n, desk.now) == "OPEN"
        reconfigured = any(isinstance(fact, Configured) for fact in since)
        mismatch = self.configuration(self.n) not in {None, desk.limits}
        daily, drawdown = self.daily_pnl(self.n, desk.today), self.drawdown(self.n)
        limits = self.limits_in_force(desk)
        reasons = [
            ("ORDER_CLOSED", self.outcome(self.n, approval) is not None),
            ("APPROVAL_EXPIRED", desk.now > valid_until or desk.now < first.at - JITTER),
            ("CONFIG_MISMATCH", mismatch or reconfigured),
            ("TRADING_HALTED", "HALTED" in halts),
            ("REDUCE_ONLY", "REDUCING" in halts and not first.reduces),
            ("CIRCUIT_BREAKER_ACTIVE", (tripped or is_open) and not first.reduces),
            ("DAILY_LOSS_LIMIT", not first.reduces and daily <= exact(limits.max_daily_loss)),
            ("MAX_DRAWDOWN", not first.reduces and drawdown <= exact(limits.max_drawdown)),
            ("APPROVAL_EXPIRED", first.reduces and not self.still_fits(first)),
        ]
        return next((status for status, found in reasons if found), None)

    def still_fits(self, first: Approved) -> bool:
        """Whether the position that an exit was to close is still there, and nobody closes it."""
        if first.ask.position is not None:
            return True
        held = self.position(self.n) or Fraction(0)
        others = [size for order_id, size in self.reductions(self.n) if order_id != first.order_id]
        left = abs(held) - sum(others, Fraction(0))
        return held * first.ask.side < 0 and left >= first.size

    def judged(self, ask: Ask, desk: Desk) -> Told:
        held, exit_size = self.exit_of(ask, desk)
        reduces = exit_size is not None
        if not ask.checked:
            return Told("NOT_CHECKED", signal=ask.signal, reduces=reduces, refusals=0)
        refusals = self.refusals(ask, desk)
        if refusals:
            return Told(refusals[0], reduces=reduces, refusals=len(refusals))
        if ask.dry_run:
            return Told(
                "DRY_RUN", signal=ask.signal, reduces=reduces, would_approve=True, refusals=0
            )
        probe = not reduces and self.half_open(self.n, desk.now)
        size = exit_size if exit_size is not None else self.entry_size(ask, desk, held)
        until = desk.now + timedelta(seconds=desk.limits.approval_ttl_seconds)
        closes = datetime.combine(desk.today, CLOSES, UTC) + timedelta(hours=5)
        return Told(
            "APPROVED",
            approved=True,
            signal=ask.signal,
            reduces=reduces,
            probe=probe,
            size=size,
            valid_until=min(until, closes),
            refusals=0,
        )

    def exit_of(self, ask: Ask, desk: Desk) -> tuple[Fraction | None, Fraction | None]:
        """The position that counts, and what an exit may close of it; None when it is no exit."""
        if ask.position is not None:
            held: Fraction | None = exact(ask.position)
            on_its_way = Fraction(0)
        else:
            held = self.position(self.n)
            sizes = [size for _, size in self.reductions(self.n)]
            on_its_way = sum(sizes, Fraction(0))
        if held is None or held * ask.side >= 0:
            return held, None
        return held, max(Fraction(0), abs(held) - on_its_way)

    def room(self, ask: Ask, desk: Desk, held: Fraction | None) -> Fraction:
        orders = self.open_orders(self.n, desk.today)
        same_side = sum((o.size for o in orders if o.ask.side == ask.side), Fraction(0))
        return exact(desk.limits.max_position_size) - ask.side * (held or 0) - same_side

    def entry_size(self, ask: Ask, desk: Desk, held: Fraction | None) -> Fraction:
        limits, half = desk.limits, Fraction(1, 2)
        size = exact(limits.max_position_size)
        size *= min(Fraction(1), exact(ask.confidence) / exact(limits.high_confidence_threshold))
        size *= max(half, 1 - self.drawdown(self.n) / exact(limits.max_drawdown))
        size *= max(half, 1 - Fraction(self.streak(self.n), 10))
        size *= half if self.half_open(self.n, desk.now) else 1
        size *= half if self.halves(desk) else 1
        return Fraction(math.floor(min(size, self.room(ask, desk, held)) * 10**6), 10**6)

    def refusals(self, ask: Ask, desk: Desk) -> list[str]:
        """Every status that the signal fails with, in the order in which they count."""
        n, now, limits = self.n, desk.now, desk.limits
        held, exit_size = self.exit_of(ask, desk)
        for_all = [
            ("CONFIG_MISMATCH", self.configuration(n) not in {None, limits}),
            ("STALE_DATA", self.is_stale(ask, desk)),
            ("HOLD_SIGNAL", ask.side == 0),
            ("LOW_CONFIDENCE", exact(ask.confidence) < exact(limits.min_confidence)),
            *self.closed(desk),
        ]
        if exit_size is not None:
            return [
                status
                for status, found in [
                    *for_all,
                    ("TRADING_HALTED", self.operator(n) == "HALTED"),
                    ("UNRESOLVED_ORDERS", exit_size == 0),
                ]
                if found
            ]
        probes, pause = self.half_open(n, now), self.pause(n)
        no_probe = pause is not None and (pause.probe is not None or ask.order_id is None)
        streak, last_loss = self.streak(n), self.last_loss(n)
        cooling = last_loss is not None and now < last_loss + timedelta(
            seconds=limits.cooldown_after_loss
        )
        orders = self.open_orders(n, desk.today)
        trades = len(self.results_today(n, desk.today)) + len(orders)
        day, largest = self.recorded_day(n), self.room(ask, desk, held)
        for_entries = [
            ("SYSTEM_ERROR", day is not None and day > desk.today),
            ("TRADING_HALTED", self.operator(n) == "HALTED"),
            ("REDUCE_ONLY", self.operator(n) == "REDUCING"),
            ("CIRCUIT_BREAKER_ACTIVE", bool(self.open_causes(n, now)) or (probes and no_probe)),
            ("COOLDOWN_ACTIVE", streak >= 2 and cooling and not probes),
            (
                "DAILY_LOSS_LIMIT",
                self.daily_pnl(n, desk.today) <= exact(limits.max_daily_loss),
            ),
            ("MAX_DRAWDOWN", self.drawdown(n) <= exact(limits.max_drawdown)),
            ("CONSECUTIVE_LOSSES", streak >= limits.max_consecutive_losses and not probes),
            ("MAX_TRADES_REACHED", trades >= limits.max_trades_per_day),
            ("UNRESOLVED_ORDERS", len(orders) >= limits.max_unresolved_orders),
            ("POSITION_LIMIT", ask.side != 0 and largest < Fraction(1, 10**6)),
            ("ORDER_ID_REQUIRED", limits.require_order_id and ask.order_id is None),
            ("POSITION_UNKNOWN", limits.require_position and not self.knows(ask, desk)),
        ]
        return [status for status, found in [*for_all, *for_entries] if found]

    def knows(self, ask: Ask, desk: Desk) -> bool:
        return ask.position is not None or self.is_sure(self.n, desk.today)

    def is_stale(self, ask: Ask, desk: Desk) -> bool:
        if ask.observed_at is None:
            return False
        age = desk.now - ask.observed_at
        return age > timedelta(seconds=desk.limits.max_data_age_seconds) or age < -JITTER

    def closed(self, desk: Desk) -> list[tuple[str, bool]]:
        weekend = desk.today.weekday() >= 5
        holiday = not weekend and holiday_of(desk.today, us_too=desk.us_holidays_count)
        local = (desk.now - timedelta(hours=5)).time()
        return [
            ("OUTSIDE_TRADING_HOURS", weekend or not (holiday or OPENS <= local <= CLOSES)),
            ("MARKET_HOLIDAY", holiday),
        ]

    # Reports and acts: what is told of them, and what is on record for them.

    def trips(self, n: int) -> list[str]:
        """The causes that the newest of n facts opens the breaker with."""
        fact = self.facts[n - 1]
        today = session_date(fact.at)
        daily = self.breaches(n, "daily_loss") and not self.daily_loss_stands(n - 1, today)
        drawdown = self.breaches(n, "drawdown") and not self.drawdown_stands(n - 1)
        return [
            *(["daily_loss"] if daily else []),
            *(["drawdown"] if drawdown else []),
            *(["consecutive_losses"] if self.breaks_the_streak(n) else []),
        ]

    def result(self, report: Result) -> tuple[object, list[Fact]]:
        known = [f for f in self.facts if isinstance(f, Result) and f.trade_id == report.trade_id]
        refuse_the_future(report.closed_at, report.at)
        if known:
            if known[0].content != report.content:
                raise Refused("trade_conflict")
            return ("duplicate", (), False, False), []
        later = self.after(report)
        approval = self.approval(report.order_id)
        closes = approval is not None and self.outcome(self.n, approval) is None
        trips = tuple(later.trips(later.n))
        released = self.pause(self.n) is not None and later.pause(later.n) is None
        return ("recorded", trips, released, closes), [report]

    def marked(self, report: Marked) -> tuple[object, list[Fact]]:
        refuse_the_future(report.as_of, report.at)
        report = Marked(report.at, report.limits, report.unrealized, min(report.as_of, report.at))
        later = self.after(report)
        counts = later.marks_that_count(later.n)[-1:] == [self.n]
        trips = later.trips(later.n)
        today = session_date(report.at)
        stands = {
            "daily_loss": later.daily_loss_stands(later.n, today),
            "drawdown": later.drawdown_stands(later.n),
        }
        waiting = [
            what
            for what, stood in stands.items()
            if counts and later.is_beyond(later.n, what) and not stood
        ]
        return (counts, tuple(trips), tuple(waiting)), [report]

    def held(self, report: Held) -> tuple[object, list[Fact]]:
        refuse_the_future(report.as_of, report.at)
        report = Held(report.at, report.limits, report.position, min(report.as_of, report.at))
        later = self.after(report)
        return later.positions_that_count(later.n)[-1:] == [self.n], [report]

    def release(self, release: Released) -> tuple[object, list[Fact]]:
        approval = self.approval(release.order_id)
        if approval is None:
            raise Refused("order_not_found")
        outcome = self.outcome(self.n, approval)
        if outcome is not None and outcome != release.outcome:
            raise Refused("order_closed")
        if outcome is not None:
            return ("duplicate", False), []
        orders = self.open_orders(self.n, session_date(release.at))
        return ("recorded", any(o.order_id == release.order_id for o in orders)), [release]

    def halt(self, halt: Halted) -> tuple[object, list[Fact]]:
        return (self.operator(self.n), self.after(halt).operator(self.n + 1)), [halt]

    def resume(self, resume: Resumed, desk: Desk) -> tuple[object, list[Fact]]:
        if desk.halt_file:
            raise Refused("halt_file_present")
        order = ["ACTIVE", "REDUCING", "HALTED"]
        now = self.operator(self.n)
        if resume.mode == now:
            return (now, now), []
        if order.index(resume.mode) > order.index(now):
            raise Refused("not_a_resume")
        return (now, resume.mode), [resume]

    def reset(self, reset: Reset) -> tuple[object, list[Fact]]:
        used = self.resets_today(self.n, session_date(reset.at))
        if used >= reset.limits.max_daily_resets:
            raise Refused("reset_limit")
        return "recorded", [reset]

    def checked(self, check: Checked) -> tuple[object, list[Fact]]:
        refuse_the_future(check.tick, check.at)
        ticks = [fact.tick for fact in self.facts if isinstance(fact, Checked)]
        newest = not ticks or check.tick > ticks[-1] or ticks[-1] > check.at + JITTER
        changes = newest and not (check.clean and self.drift(self.n) is None)
        return changes, [check] if changes else []

    def acknowledge(self, act: Acknowledged) -> tuple[object, list[Fact]]:
        drift = self.drift(self.n)
        changes = drift is not None and not drift[2]
        return changes, [act] if changes else []

    def configure(self, change: Configured) -> tuple[object, list[Fact]]:
        if self.configuration(self.n) == change.recorded:
            return "in force", []
        return "recorded", [change]


def refuse_the_future(told: datetime | None, now: datetime) -> None:
    if told is not None and told > now + JITTER:
        raise Refused("invalid_request")
