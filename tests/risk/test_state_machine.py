"""The rules, the pipeline and every ledger, held against `tests.risk.model` on random histories.

Each step is an act by one of two services on one book: signals, results, marks, positions, halts,
resets, changes of limits, and clocks that go wrong; with links that lose a request or its answer,
somebody else who writes at the worst moment, and restarts. After each step the model and the code
must say the same, and the book must keep what no loss of an answer may break.

`HYPOTHESIS_PROFILE=long` runs for as long as it takes to be sure.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from enum import Enum
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from config.settings import CalendarSettings, OnDrift, RiskLimits, TradingHours
from errors import RequestError, StoreUnavailable
from observation import DecisionRequest
from pipeline import decide
from risk.breaker import breaker_state
from risk.calendar import SessionCalendar
from risk.changes import record_configuration
from risk.configuration import configuration_hash
from risk.events import GENESIS, Draft, Event, EventKind
from risk.fold import fold
from risk.ledger.memory import MemoryLedger
from risk.ledger.protocol import Head, Ledger, Record
from risk.ledger.redis import RedisLedger
from risk.ledger.sqlite import SqliteLedger
from risk.orders import Outcome
from risk.state import CauseKind, OperatorMode, ResetScope, RiskState
from risk.verdict import RiskStatus
from risk.verification import examine, records_of
from tests.book import MONDAY_NOON_UTC, Book
from tests.fakes import FixedVoter, desk_of
from tests.redis_server import new_book, shared_server
from tests.risk import model as by_the_book
from tests.risk.model import LIMIT_STATUSES, Ask, Desk, Fact, Model, Refused, Told, exact

PROFILES = {
    # examples on memory, on each other ledger, and steps of each example
    "default": (60, 15, 40),
    "long": (3000, 400, 60),
}
IN_MEMORY, STORED, STEPS = PROFILES[os.environ.get("HYPOTHESIS_PROFILE", "default")]
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
MICROSECOND = timedelta(microseconds=1)
LOST = "nobody knows"

CONFIDENCES = st.sampled_from([0.875, 0.75, 0.625, 0.5])
FRACTIONS = st.sampled_from([0.0, 0.05, -0.05, 0.1, -0.1, 0.02, -0.02, 0.0000005, 0.15])
PNLS = st.sampled_from(
    [-0.001, -0.005, -0.01, -0.02, -0.009999999, -0.03, 0.0, 0.001, 0.01, 0.02, 0.03]
)
MARKS = st.sampled_from([0.0, -0.01, -0.02, -0.03, -0.06, -0.019999999, 0.005, 0.03])
AGES = st.sampled_from([0, 0, 0, 1, 29, 30, 60, 600, 7200, 90_000, -3, -5, -6])
ENDS = st.sampled_from([-0.001, -0.01, 0.001, 0.0, Outcome.CANCELLED, Outcome.EXPIRED])
SIDES = st.sampled_from([1, 1, -1, -1, 0])
SELDOM = st.sampled_from([False, False, False, True])
SERVICES = st.sampled_from(["desk", "desk", "desk", "other"])
LIMITS: dict[str, st.SearchStrategy[object]] = {
    "max_daily_loss": st.sampled_from([-0.02, -0.01, -0.03]),
    "max_drawdown": st.sampled_from([-0.05, -0.03, -0.06]),
    "max_consecutive_losses": st.sampled_from([2, 3, 5]),
    "min_confidence": st.just(0.625),
    "high_confidence_threshold": st.sampled_from([0.75, 0.875]),
    "max_trades_per_day": st.sampled_from([4, 2, 50]),
    "max_position_size": st.sampled_from([0.1, 0.05, 0.12]),
    "cooldown_after_loss": st.sampled_from([60, 0, 300]),
    "cooldown_after_circuit_break": st.sampled_from([300, 60, 0, 9_500]),
    "approval_ttl_seconds": st.sampled_from([60, 30, 600]),
    "max_unresolved_orders": st.sampled_from([3, 1, 2, 10]),
    "max_daily_resets": st.sampled_from([1, 0, 2, 10]),
    "mark_confirm_seconds": st.sampled_from([30, 0, 60]),
    "require_order_id": SELDOM,
    "require_position": SELDOM,
    "on_drift": st.sampled_from([OnDrift.HALVE, OnDrift.HALVE, OnDrift.NONE]),
}
CHANGES = st.sampled_from(sorted(LIMITS)).flatmap(
    lambda name: st.fixed_dictionaries({name: LIMITS[name]})
)


def is_open(day: date) -> bool:
    return day.weekday() < 5 and not by_the_book.holiday_of(day, us_too=True)


SPECIAL_DAYS: dict[str, Callable[[date], bool]] = {
    "a weekend": lambda day: day.weekday() >= 5,
    "Colombia": lambda day: day.isoformat() in by_the_book.COLOMBIA,
    "United States": lambda day: (
        day.isoformat() in by_the_book.UNITED_STATES and day.isoformat() not in by_the_book.COLOMBIA
    ),
    "31 December": lambda day: (day.month, day.day) == (12, 31),
    "too far": lambda day: day > by_the_book.LAST_KNOWN_DAY,
}


class Trouble(Enum):
    """What may happen to an act on its way to the ledger."""

    NONE = "nothing"
    LOST_REQUEST = "it never gets there"
    LOST_ANSWER = "it is stored, and nobody is told"
    A_LOSS = "somebody reports a loss in between"
    A_WIN = "somebody reports a win in between"
    A_POSITION = "somebody reports a position in between"
    AN_ORDER = "somebody is approved in between"
    A_HALT = "somebody halts in between"
    A_RESET = "somebody resets in between"
    A_DRIFT_ALARM = "a drift check alarms in between"
    A_CONFIGURATION = "somebody records other limits in between"
    THE_SAME = "somebody does the very same in between"


TROUBLES = st.sampled_from([*[Trouble.NONE] * 2 * len(Trouble), *Trouble])


class Link:
    """A ledger behind a link that fails as it is told, once."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.loses: Trouble | None = None
        self.before_append: Callable[[], object] | None = None

    @property
    def name(self) -> str:
        return self.ledger.name

    @property
    def trouble(self) -> str | None:
        return self.ledger.trouble

    @property
    def is_armed(self) -> bool:
        return self.loses is not None or self.before_append is not None

    def disarm(self) -> None:
        self.loses = self.before_append = None

    def head(self) -> Head:
        return self.ledger.head()

    def presumed(self) -> Head:
        return self.ledger.presumed()

    def persist(self) -> None:
        self.ledger.persist()

    def append(
        self, drafts: Sequence[Draft], *, expected: int | None = None, durable: bool = False
    ) -> tuple[Event, ...]:
        interfere, loses = self.before_append, self.loses
        self.disarm()
        if interfere is not None:
            interfere()
        if loses is Trouble.LOST_REQUEST:
            raise StoreUnavailable("the request was lost")
        events = self.ledger.append(drafts, expected=expected, durable=durable)
        if loses is Trouble.LOST_ANSWER:
            raise StoreUnavailable("the answer was lost")
        return events

    def by_id(self, event_id: str) -> Event | None:
        return self.ledger.by_id(event_id)

    def by_key(self, key: str) -> Event | None:
        return self.ledger.by_key(key)

    def recent(
        self, kinds: Sequence[EventKind], *, limit: int, before: int | None = None
    ) -> list[Event]:
        return self.ledger.recent(kinds, limit=limit, before=before)

    def scan(self, *, after: int = 0, limit: int = 1000) -> list[Record]:
        return self.ledger.scan(after=after, limit=limit)

    def close(self) -> None:
        self.ledger.close()


@dataclass(frozen=True)
class Act:
    """Something that a service does, twice: by the code and by the model."""

    code: Callable[[Book], object]
    model: Callable[[Model, Desk], tuple[object, list[Fact]]]


class RiskMachine(RuleBasedStateMachine):
    """Two services on one book."""

    restarts: ClassVar[bool] = True
    """Whether a ledger of this kind can be opened again on the same data."""

    def __init__(self) -> None:
        super().__init__()
        self.link = Link(self.open())
        self.model = Model()
        self.orders: list[Ask] = []
        self.trades: list[dict[str, Any]] = []
        self.acknowledged: list[str] = []
        self.seen, self.folded = (0, GENESIS), RiskState()

    def open(self) -> Ledger:
        """The ledger, on the data that there are."""
        raise NotImplementedError

    @initialize(
        limits=st.fixed_dictionaries(LIMITS),
        recorded=SELDOM.map(lambda no: not no),
        us=st.booleans(),
    )
    def open_the_book(self, limits: dict[str, object], *, recorded: bool, us: bool) -> None:
        hours = TradingHours(trade_on_us_holidays=us)
        self.us = us
        self.services = {
            name: Book(self.link, calendar=SessionCalendar(hours, CalendarSettings()), prefix=name)
            for name in ("desk", "other")
        }
        for book in self.services.values():
            run_with(book, RiskLimits(**limits))
        self.go_to(MONDAY_NOON_UTC)
        if recorded:
            self.perform("desk", configuring())

    # What is done, and what is expected of it.

    @property
    def now(self) -> datetime:
        return self.services["desk"].now

    def desk(self, book: Book) -> Desk:
        return Desk(book.now, book.limits, book.halt_file, us_holidays_count=not self.us)

    def expected(self, act: Act, book: Book) -> tuple[object, list[Fact]]:
        try:
            return act.model(self.model, self.desk(book))
        except Refused as refused:
            return ("refused", refused.code), refused.facts

    def said(self, act: Act, book: Book) -> object:
        try:
            return act.code(book)
        except RequestError as error:
            return ("refused", error.code)
        except StoreUnavailable:
            return LOST

    def perform(self, by: str, act: Act, trouble: Trouble = Trouble.NONE) -> None:
        """Let a service act, and its act run into trouble; its caller asks again until told."""
        book = self.services[by]
        told, facts = self.expected(act, book)
        if book.halt_file and trouble not in {Trouble.LOST_REQUEST, Trouble.LOST_ANSWER}:
            trouble = Trouble.NONE  # the first append would be the halt's
        self.arm(trouble, act, "other" if by == "desk" else "desk")
        armed = self.link.is_armed
        said = self.said(act, book)
        met = armed and not self.link.is_armed
        self.link.disarm()
        if met and trouble in {Trouble.LOST_REQUEST, Trouble.LOST_ANSWER}:
            assert said == LOST
            self.happened(facts[:1] if trouble is Trouble.LOST_ANSWER else [])
            self.perform(by, act)
            return
        if met:
            # What was judged on the state before somebody else acted was not stored.
            told, facts = self.expected(act, book)
        assert said == told, f"the code says {said}, the model {told}"
        self.happened(facts)
        self.follow_the_chain()
        self.compare_the_states()

    def arm(self, trouble: Trouble, act: Act, other: str) -> None:
        if trouble in {Trouble.LOST_REQUEST, Trouble.LOST_ANSWER}:
            self.link.loses = trouble
        elif trouble is not Trouble.NONE:
            between = act if trouble is Trouble.THE_SAME else self.interruption(trouble)
            self.link.before_append = lambda: self.perform(other, between)

    def interruption(self, trouble: Trouble) -> Act:
        return {
            Trouble.A_LOSS: lambda: self.reporting(-0.01),
            Trouble.A_WIN: lambda: self.reporting(0.01),
            Trouble.A_POSITION: lambda: holding(0.05, self.now),
            Trouble.AN_ORDER: lambda: self.asking(self.new_order(Ask(1, 0.875))),
            Trouble.A_HALT: lambda: halting(OperatorMode.REDUCING),
            Trouble.A_RESET: lambda: resetting(ResetScope.DAILY),
            Trouble.A_DRIFT_ALARM: lambda: checking(self.now, clean=False),
            Trouble.A_CONFIGURATION: configuring,
        }[trouble]()

    def happened(self, facts: Sequence[Fact]) -> None:
        self.model = self.model.after(*facts)

    def acknowledge(self, event_id: str) -> None:
        self.acknowledged.append(event_id)

    def asking(self, ask: Ask) -> Act:
        def code(book: Book) -> object:
            answer = decide(request_of(ask), desk_of(book, voter_of(ask)))
            if answer["state_sequence"] is None and answer["risk_status"] == "SYSTEM_ERROR":
                return LOST
            if not answer["replayed"]:
                self.acknowledge(answer["decision_id"])
            check_by_itself(answer, ask, book)
            return told_of(answer)

        return Act(code, lambda model, desk: model.decide(ask, desk))

    def new_order(self, ask: Ask) -> Ask:
        ask = replace(ask, order_id=f"order-{len(self.orders)}")
        self.orders.append(ask)
        return ask

    def reporting(self, pnl: float, **more: Any) -> Act:
        trade = {"pnl_percent": pnl, "trade_id": f"trade-{len(self.trades)}", **more}
        self.trades.append(trade)
        return self.reporting_again(trade)

    def reporting_again(self, trade: dict[str, Any]) -> Act:
        def code(book: Book) -> object:
            recorded = book.result(**trade)
            self.acknowledge(recorded.event.event_id)
            trips = tuple(trip.kind.value for trip in recorded.trips)
            word = "duplicate" if recorded.duplicate else "recorded"
            return (word, trips, recorded.released, recorded.order_closed)

        def by_the_model(model: Model, desk: Desk) -> tuple[object, list[Fact]]:
            position = trade.get("position")
            report = by_the_book.Result(
                desk.now,
                model.limits_in_force(desk),
                trade_id=trade["trade_id"],
                pnl=exact(trade["pnl_percent"]),
                unrealized=exact(trade.get("unrealized_pnl_percent", 0.0)),
                order_id=trade.get("order_id"),
                position=None if position is None else exact(position),
                closed_at=trade.get("closed_at"),
            )
            return model.result(report)

        return Act(code, by_the_model)

    # Signals.

    @rule(
        by=SERVICES,
        side=SIDES,
        confidence=CONFIDENCES,
        named=SELDOM.map(lambda no: not no),
        position=st.none() | FRACTIONS,
        trouble=TROUBLES,
    )
    def ask(
        self,
        by: str,
        side: int,
        confidence: float,
        *,
        named: bool,
        position: float | None,
        trouble: Trouble,
    ) -> None:
        ask = Ask(side, confidence, vector=side * confidence, position=position)
        self.perform(by, self.asking(self.new_order(ask) if named else ask), trouble)

    @rule(
        by=SERVICES,
        side=st.sampled_from([1, -1]),
        named=SELDOM.map(lambda no: not no),
        trouble=TROUBLES,
    )
    def ask_to_trade(self, by: str, side: int, trouble: Trouble, *, named: bool) -> None:
        ask = Ask(side, 0.875, vector=side * 0.875)
        self.perform(by, self.asking(self.new_order(ask) if named else ask), trouble)

    @rule(
        by=SERVICES,
        side=st.sampled_from([1, -1]),
        seconds=st.sampled_from([0, 1, 30, 61]),
        end=ENDS,
        trouble=TROUBLES,
    )
    def trade(
        self, by: str, side: int, seconds: int, end: float | Outcome, trouble: Trouble
    ) -> None:
        """One order from its approval, if it is approved, to its outcome."""
        ask = self.new_order(Ask(side, 0.875, vector=side * 0.875))
        self.perform(by, self.asking(ask))
        self.go_to(self.now + timedelta(seconds=seconds))
        self.end(by, ask.order_id, end, trouble)

    @precondition(lambda self: self.model.pause(self.model.n) is not None)
    @rule(
        by=SERVICES, off=st.sampled_from([0, 0, 0, 1, -1]), end=st.none() | ENDS, trouble=TROUBLES
    )
    def probe(self, by: str, off: int, end: float | Outcome | None, trouble: Trouble) -> None:
        """Try to be the probe, as soon as the pause is over or just before; and end it, or not."""
        pause = self.model.pause(self.model.n)
        if pause is None:
            return
        if self.now < pause.until < self.now + 4 * HOUR:
            self.go_to(pause.until + off * MICROSECOND)
        ask = self.new_order(Ask(1, 0.875, vector=0.875, position=0.0))
        self.perform(by, self.asking(ask), trouble)
        if end is not None:
            self.end(by, ask.order_id, end, trouble)

    def end(self, by: str, order_id: str | None, end: float | Outcome, trouble: Trouble) -> None:
        assert order_id is not None
        if isinstance(end, Outcome):
            self.perform(by, releasing(order_id, end), trouble)
        else:
            self.perform(by, self.reporting(end, order_id=order_id), trouble)

    @rule(
        by=SERVICES,
        side=SIDES,
        kind=st.sampled_from(["dry run", "not checked", "both", "fault", "stale"]),
        age=st.sampled_from([600, 601, 0, -5, -6]),
        named=st.booleans(),
        trouble=TROUBLES,
    )
    def ask_what_cannot_trade(
        self, by: str, side: int, kind: str, age: int, *, named: bool, trouble: Trouble
    ) -> None:
        ask = Ask(
            side,
            0.75,
            vector=side * 0.75,
            fault=kind == "fault",
            dry_run=kind in {"dry run", "both"},
            checked=kind not in {"not checked", "both"},
            observed_at=self.now - timedelta(seconds=age) if kind == "stale" else None,
        )
        self.perform(by, self.asking(self.new_order(ask) if named else ask), trouble)

    @precondition(lambda self: self.orders)
    @rule(
        by=SERVICES,
        back=st.integers(0, 4),
        change=st.sampled_from(
            [None, None, None, "vector", "position", "mind", "dry run", "fault"]
        ),
        late=st.none() | st.sampled_from([-1, 0, 1]),
        trouble=TROUBLES,
    )
    def ask_again(
        self, by: str, back: int, change: str | None, late: int | None, trouble: Trouble
    ) -> None:
        approved = self.approved()
        asked = [fact.ask for fact in approved] or self.orders
        first = asked[-1 - back % len(asked)]
        until = approved[-1].told.valid_until if approved else None
        if late is not None and until is not None and until > self.now:
            self.go_to(until + late * MICROSECOND)
        again = {
            None: first,
            "vector": replace(first, vector=first.vector + 1),
            "position": replace(first, position=0.0 if first.position is None else None),
            "mind": replace(first, side=-first.side),
            "dry run": replace(first, dry_run=True),
            "fault": replace(first, fault=True),
        }[change]
        self.perform(by, self.asking(again), trouble)

    # Reports.

    @rule(
        by=SERVICES,
        pnl=PNLS,
        order=st.sampled_from([None, 0, 1, 2, "unknown"]),
        age=st.none() | AGES,
        position=st.none() | FRACTIONS,
        unrealized=st.just(0.0) | MARKS,
        tick=st.none() | MARKS,
        trouble=TROUBLES,
    )
    def report_a_trade(
        self,
        by: str,
        pnl: float,
        order: int | str | None,
        age: int | None,
        position: float | None,
        unrealized: float,
        tick: float | None,
        trouble: Trouble,
    ) -> None:
        if tick is not None:
            self.perform(by, marking(tick, self.now))
        closed_at = None if age is None else self.now - timedelta(seconds=age)
        trade = self.reporting(
            pnl,
            order_id=self.order_named(order),
            closed_at=closed_at,
            position=position,
            unrealized_pnl_percent=unrealized,
        )
        self.perform(by, trade, trouble)

    @rule(by=SERVICES, pnl=PNLS, trouble=TROUBLES)
    def report_a_simple_trade(self, by: str, pnl: float, trouble: Trouble) -> None:
        self.perform(by, self.reporting(pnl), trouble)

    @rule(losses=st.integers(2, 5))
    def lose_several_times(self, losses: int) -> None:
        for _ in range(losses):
            self.perform("desk", self.reporting(-0.001))

    @precondition(lambda self: self.model.pause(self.model.n) is not None)
    @rule(
        by=SERVICES,
        end=ENDS,
        trouble=TROUBLES,
    )
    def end_the_probe(self, by: str, end: float | Outcome, trouble: Trouble) -> None:
        pause = self.model.pause(self.model.n)
        if pause is not None and pause.probe is not None:
            self.end(by, pause.probe, end, trouble)

    @precondition(lambda self: self.trades)
    @rule(
        by=SERVICES,
        back=st.integers(0, 3),
        change=st.sampled_from([{}, {}, {"pnl_percent": -0.0011}, {"position": 0.033}]),
        trouble=TROUBLES,
    )
    def report_a_trade_again(
        self, by: str, back: int, change: dict[str, Any], trouble: Trouble
    ) -> None:
        trade = {**self.trades[-1 - back % len(self.trades)], **change}
        self.perform(by, self.reporting_again(trade), trouble)

    @rule(by=SERVICES, unrealized=MARKS, age=AGES, trouble=TROUBLES)
    def mark(self, by: str, unrealized: float, age: int, trouble: Trouble) -> None:
        self.perform(by, marking(unrealized, self.now - timedelta(seconds=age)), trouble)

    @rule(unrealized=MARKS, off=st.sampled_from([0, 0, 1, -1]), trouble=TROUBLES)
    def mark_twice(self, unrealized: float, off: int, trouble: Trouble) -> None:
        """As far apart as a second mark must be to confirm the first, or not quite."""
        limits = self.model.limits_in_force(self.desk(self.services["desk"]))
        self.perform("desk", marking(unrealized, self.now))
        self.go_to(self.now + timedelta(seconds=limits.mark_confirm_seconds) + off * MICROSECOND)
        self.perform("desk", marking(unrealized, self.now), trouble)

    @rule(by=SERVICES, position=FRACTIONS, age=AGES, trouble=TROUBLES)
    def hold(self, by: str, position: float, age: int, trouble: Trouble) -> None:
        self.perform(by, holding(position, self.now - timedelta(seconds=age)), trouble)

    @rule(
        by=SERVICES,
        position=st.sampled_from([0.1, -0.1, 0.05]),
        told=st.none() | FRACTIONS,
        left=st.none() | FRACTIONS,
        age=st.sampled_from([0, 0, 1, 60]),
        trouble=TROUBLES,
    )
    def close_the_position(
        self,
        by: str,
        position: float,
        told: float | None,
        left: float | None,
        age: int,
        trouble: Trouble,
    ) -> None:
        """Approve an exit, perhaps report what it left, and ask for another one."""
        self.perform(by, holding(position, self.now))
        side = -1 if position > 0 else 1
        ask = Ask(side, 0.875, vector=side * 0.875)
        self.perform(by, self.asking(self.new_order(replace(ask, position=told))), trouble)
        if left is not None:
            self.perform(by, holding(left, self.now - timedelta(seconds=age)))
        self.perform(by, self.asking(self.new_order(ask)))

    @rule(
        by=SERVICES,
        order=st.sampled_from([0, 0, 1, 2, 3, "unknown"]),
        outcome=st.sampled_from([Outcome.CANCELLED, Outcome.REJECTED, Outcome.EXPIRED]),
        trouble=TROUBLES,
    )
    def release(self, by: str, order: int | str, outcome: Outcome, trouble: Trouble) -> None:
        name = self.order_named(order)
        if name is not None:
            self.perform(by, releasing(name, outcome), trouble)

    def approved(self) -> list[by_the_book.Approved]:
        return [fact for fact in self.model.facts if isinstance(fact, by_the_book.Approved)]

    def order_named(self, which: int | str | None) -> str | None:
        """An order id that was approved: the newest is 0; or one that was not."""
        approved = self.approved()
        if isinstance(which, str):
            return f"{which}-{len(self.trades)}"
        if which is None or not approved:
            return None
        return approved[-1 - which % len(approved)].order_id

    # What people do. What stops everything is mostly ended soon, or little else would happen.

    @rule(
        by=SERVICES,
        mode=st.sampled_from([OperatorMode.HALTED, OperatorMode.REDUCING]),
        side=st.sampled_from([1, -1]),
        stays=SELDOM,
    )
    def halt(self, by: str, mode: OperatorMode, side: int, *, stays: bool) -> None:
        self.perform(by, halting(mode))
        self.perform(by, self.asking(Ask(side, 0.875)))
        if not stays:
            self.perform(by, resuming(OperatorMode.ACTIVE))

    @rule(
        by=SERVICES,
        mode=st.sampled_from([OperatorMode.ACTIVE, OperatorMode.ACTIVE, OperatorMode.REDUCING]),
        trouble=TROUBLES,
    )
    def resume(self, by: str, mode: OperatorMode, trouble: Trouble) -> None:
        self.perform(by, resuming(mode), trouble)

    @rule(by=SERVICES, side=st.sampled_from([1, -1]), stays=SELDOM, trouble=TROUBLES)
    def touch_the_halt_file(self, by: str, side: int, trouble: Trouble, *, stays: bool) -> None:
        self.set_halt_file(there=True)
        self.perform(by, self.asking(Ask(side, 0.875)), trouble)
        if not stays:
            self.perform(by, resuming(OperatorMode.ACTIVE))
            self.remove_the_halt_file(by)

    @rule(by=SERVICES)
    def remove_the_halt_file(self, by: str) -> None:
        self.set_halt_file(there=False)
        self.perform(by, resuming(OperatorMode.ACTIVE))

    def set_halt_file(self, *, there: bool) -> None:
        for book in self.services.values():
            book.halt_file = there

    @rule(by=SERVICES, scope=st.sampled_from(list(ResetScope)), trouble=TROUBLES)
    def reset(self, by: str, scope: ResetScope, trouble: Trouble) -> None:
        self.perform(by, resetting(scope), trouble)

    # Drift.

    @rule(by=SERVICES, age=AGES, clean=st.booleans(), trouble=TROUBLES)
    def check_for_drift(self, by: str, age: int, trouble: Trouble, *, clean: bool) -> None:
        """A check that may have been due long ago, or again."""
        self.perform(by, checking(self.now - timedelta(seconds=age), clean=clean), trouble)

    @rule(
        by=SERVICES,
        side=st.sampled_from([1, -1]),
        known=st.booleans(),
        stays=SELDOM,
        trouble=TROUBLES,
    )
    def trade_through_a_drift_alarm(
        self, by: str, side: int, trouble: Trouble, *, known: bool, stays: bool
    ) -> None:
        self.perform(by, checking(self.now, clean=False), trouble)
        if known:
            self.perform(by, acknowledging())
        ask = self.new_order(Ask(side, 0.875, vector=side * 0.875, position=0.0))
        self.perform(by, self.asking(ask))
        if not stays:
            self.go_to(self.now + timedelta(seconds=1))
            self.perform(by, checking(self.now, clean=True))
            self.perform(by, self.asking(ask))

    @rule(by=SERVICES, trouble=TROUBLES)
    def acknowledge_the_drift(self, by: str, trouble: Trouble) -> None:
        self.perform(by, acknowledging(), trouble)

    @rule(
        by=SERVICES,
        change=CHANGES,
        side=st.sampled_from([1, -1]),
        pnl=PNLS,
        stays=SELDOM,
        trouble=TROUBLES,
    )
    def run_with_other_limits(
        self,
        by: str,
        change: dict[str, object],
        side: int,
        pnl: float,
        trouble: Trouble,
        *,
        stays: bool,
    ) -> None:
        book = self.services[by]
        run_with(book, RiskLimits(**{**book.limits.model_dump(), **change}))
        self.perform(by, self.asking(Ask(side, 0.875)))
        self.perform(by, self.reporting(pnl))
        if not stays:
            self.record_the_limits(by, trouble)

    @rule(by=SERVICES, trouble=TROUBLES)
    def record_the_limits(self, by: str, trouble: Trouble) -> None:
        self.perform(by, configuring(), trouble)
        for book in self.services.values():
            run_with(book, self.services[by].limits)

    # Clocks, and what stops and starts.

    @rule(seconds=st.sampled_from([1, 5, 6, 29, 30, 31, 60, 61, 300, 301, 900]))
    def wait(self, seconds: int) -> None:
        self.go_to(self.now + timedelta(seconds=seconds))

    @rule(which=st.integers(0, 9), off=st.sampled_from([0, 0, -1, 1]))
    def wait_for_an_instant(self, which: int, off: int) -> None:
        """To where something ends: a pause, a cooldown, an approval, the session, the day."""
        model, limits = self.model, self.services["desk"].limits
        pause, last_loss = model.pause(model.n), model.last_loss(model.n)
        instants = [
            *([pause.until] if pause is not None else []),
            *([last_loss + timedelta(seconds=limits.cooldown_after_loss)] if last_loss else []),
            *(until for fact in self.approved() if (until := fact.told.valid_until) is not None),
            self.local(time(12, 55)),
            self.local(time(0, 0), days=1),
        ]
        ahead = [at for at in instants if self.now < at < self.now + 2 * DAY]
        if ahead:
            self.go_to(ahead[which % len(ahead)] + off * MICROSECOND)

    @rule(minutes=st.sampled_from([0, 1, 60, 295, 296]))
    def wait_for_the_next_session(self, minutes: int) -> None:
        day = self.next_day(is_open)
        if day is not None:
            self.go_to(self.local(time(8, 0), days=day) + timedelta(minutes=minutes))

    @rule(
        to=st.sampled_from(sorted(SPECIAL_DAYS)),
        hour=st.sampled_from([0, 8, 9, 12, 13]),
        side=st.sampled_from([1, -1]),
        stays=SELDOM,
    )
    def wait_for_a_special_day(self, to: str, hour: int, side: int, *, stays: bool) -> None:
        day = self.next_day(SPECIAL_DAYS[to])
        if day is None:
            return
        self.go_to(self.local(time(hour, 0), days=day))
        self.perform("desk", self.asking(self.new_order(Ask(side, 0.875))))
        if not stays:
            self.wait_for_the_next_session(60)

    def next_day(self, wanted: Callable[[date], bool]) -> int | None:
        """How many days ahead there is one that is wanted."""
        today = by_the_book.session_date(self.now)
        return next((ahead for ahead in range(1, 400) if wanted(today + ahead * DAY)), None)

    @rule(back=st.sampled_from([1, 4, 5, 6, 60, 600, 7200]))
    def set_the_clock_back(self, back: int) -> None:
        self.go_to(self.now - timedelta(seconds=back))

    @rule(
        ahead=st.sampled_from([HOUR, DAY, -DAY, -DAY - HOUR]),
        pnl=PNLS,
        mark=MARKS,
        stays=SELDOM,
    )
    def believe_a_wrong_clock(
        self, ahead: timedelta, pnl: float, mark: float, *, stays: bool
    ) -> None:
        right = self.now
        self.go_to(right + ahead)
        self.perform("desk", self.reporting(pnl))
        self.perform("desk", marking(mark, self.now))
        self.perform("desk", self.asking(self.new_order(Ask(1, 0.875))))
        if not stays:
            self.go_to(right)

    @precondition(lambda self: self.restarts)
    @rule()
    def restart(self) -> None:
        self.link.ledger.close()
        self.link.ledger = self.open()

    def go_to(self, now: datetime) -> None:
        for book in self.services.values():
            book.now = now

    def local(self, at: time, days: int = 0) -> datetime:
        day = by_the_book.session_date(self.now) + days * DAY
        return datetime.combine(day, at, UTC) + 5 * HOUR

    # What must hold after every step.

    def check_invariants(self, *args: Any, **kwargs: Any) -> None:
        super().check_invariants(*args, **kwargs)
        if hasattr(self, "services"):
            self.compare_the_states()

    def compare_the_states(self) -> None:
        book, now = self.services["desk"], self.now
        state, model, n = book.state, self.model, self.model.n
        today = by_the_book.session_date(now)
        streak = state.cause(CauseKind.CONSECUTIVE_LOSSES)
        pause = model.pause(n)
        found = {
            "daily_pnl": Fraction(state.daily_pnl, 10**9),
            "drawdown": Fraction(state.drawdown, 10**9),
            "equity": Fraction(state.equity, 10**9),
            "high_water_mark": Fraction(state.high_water_mark, 10**9),
            "mark": Fraction(state.mark, 10**9),
            "streak": state.loss_streak,
            "breaker": breaker_state(state, now).value,
            "daily_loss": state.cause(CauseKind.DAILY_LOSS) is not None,
            "drawdown cause": state.cause(CauseKind.DRAWDOWN) is not None,
            "pause": None if streak is None else (streak.until, streak.cooldown_seconds),
            "probe": None if streak is None else streak.probe,
            "suspicions": {suspicion.kind.value for suspicion in state.suspicions},
            "operator": state.operator.mode.value,
            "orders": [(order.order_id, Fraction(order.size, 10**9)) for order in state.orders],
            "reductions": [(out.order_id, Fraction(out.size, 10**9)) for out in state.reductions],
            "trades today": state.trades_today,
            "resets": state.today.resets if state.today.day == today else 0,
            "day": state.today.day,
            "position": (None if state.position is None else Fraction(state.position.value, 10**9)),
            "sure": state.position is not None and state.position.sure,
            "believed": Fraction(state.believed_mark, 10**9),
            "drift": drift_of(state),
        }
        recorded = model.recorded_day(n)
        orders = model.open_orders(n, today)
        expected = {
            "daily_pnl": model.daily_pnl(n, today),
            "drawdown": model.drawdown(n),
            "equity": model.equity(n),
            "high_water_mark": model.high_water_mark(n),
            "mark": model.mark(n),
            "streak": model.streak(n),
            "breaker": model.breaker(n, now),
            "daily_loss": model.daily_loss_stands(n, today),
            "drawdown cause": model.drawdown_stands(n),
            "pause": None if pause is None else (pause.until, pause.seconds),
            "probe": None if pause is None else pause.probe,
            "suspicions": set(model.suspicions(n)),
            "operator": model.operator(n),
            "orders": [(order.order_id, order.size) for order in orders],
            "reductions": model.reductions(n),
            "trades today": len(model.results_today(n, today)) + len(orders),
            "resets": model.resets_today(n, today),
            "day": today if recorded is None else max(today, recorded),
            "position": model.position(n),
            "sure": model.is_sure(n, today),
            "believed": model.believed_mark(n),
            "drift": model.drift(n),
        }
        different = {name: (found[name], expected[name]) for name in found}
        different = {name: both for name, both in different.items() if both[0] != both[1]}
        assert not different, f"code and model differ: {different}"

    def follow_the_chain(self) -> None:
        """What is on record is one chain, and the state is what it adds up to."""
        sequence, previous = self.seen
        for record in records_of(self.link.ledger, after=sequence):
            event = Event(
                record.sequence, EventKind(record.kind), previous, record.hash, record.body
            )
            assert record.sequence == sequence + 1
            assert event.is_intact()
            self.folded = fold(self.folded, event)
            sequence, previous = record.sequence, record.hash
        self.seen = sequence, previous
        head = self.link.ledger.head()
        assert (head.sequence, head.hash) == self.seen
        assert head.state == self.folded

    def teardown(self) -> None:
        if self.restarts:
            self.restart()
        assert examine(self.link.ledger).is_intact
        for event_id in self.acknowledged:
            assert self.link.ledger.by_id(event_id) is not None
        self.link.close()


def run_with(book: Book, limits: RiskLimits) -> None:
    """Give a service other limits; the hash goes with them."""
    book.limits = limits
    book.configuration = configuration_hash(values_of(book))


def values_of(book: Book) -> dict[str, Any]:
    return {"risk_limits": book.limits.model_dump(mode="json")}


def request_of(ask: Ask) -> DecisionRequest:
    observation = np.zeros(45, dtype=np.float32)
    observation[0] = ask.vector
    return DecisionRequest(
        observation,
        observed_at=ask.observed_at,
        enforce_risk_checks=ask.checked,
        order_id=ask.order_id,
        position=ask.position,
        dry_run=ask.dry_run,
    )


def voter_of(ask: Ask) -> FixedVoter:
    sure, rest = ask.confidence, (1 - ask.confidence) / 2
    says = {-1: (sure, rest, rest), 0: (rest, sure, rest), 1: (rest, rest, sure)}[ask.side]
    return FixedVoter(says=says, fault="it failed" if ask.fault else None)


def told_of(answer: dict[str, Any]) -> Told:
    recommendation, until = answer["position_recommendation"], answer["valid_until"]
    return Told(
        answer["risk_status"],
        approved=answer["approved"],
        signal=answer["signal"],
        reduces=answer["reduces"],
        probe=answer["probe"],
        replayed=answer["replayed"],
        size=recommendation and exact(recommendation["position_size_percent"]),
        valid_until=until and datetime.fromisoformat(until),
        would_approve=answer.get("would_approve", False),
        refusals=None if answer["replayed"] else len(answer["reasons"]),
    )


def check_by_itself(answer: dict[str, Any], ask: Ask, book: Book) -> None:
    """What must hold of an answer whatever the model says: the state after it is the newest."""
    status, state, limits = answer["risk_status"], book.state, book.limits
    assert answer["approved"] == (status == RiskStatus.APPROVED)
    if answer["reduces"] and not answer["replayed"]:
        assert status not in LIMIT_STATUSES
    if not answer["approved"] or answer["replayed"]:
        return
    size = exact(answer["position_recommendation"]["position_size_percent"])
    reported = Fraction(0 if state.position is None else state.position.value, 10**9)
    held = reported if ask.position is None else exact(ask.position)
    assert size > 0
    assert state.operator.mode is not OperatorMode.HALTED
    if answer["reduces"]:
        assert held * ask.side < 0
        assert size <= abs(held)
        return
    assert state.operator.mode is OperatorMode.ACTIVE
    assert breaker_state(state, book.now).value == ("HALF_OPEN" if answer["probe"] else "CLOSED")
    assert state.today.results + len(state.orders) <= limits.max_trades_per_day
    same_side = [order for order in state.orders if order.signal == ask.signal]
    on_its_way = Fraction(sum(order.size for order in same_side), 10**9)
    if ask.order_id is None:
        on_its_way += size
    assert ask.side * held + on_its_way <= exact(limits.max_position_size)


def drift_of(state: RiskState) -> tuple[datetime, datetime, bool] | None:
    alarm = state.drift
    if alarm is None:
        return None
    return alarm.since, alarm.tick, alarm.acknowledged_at is not None


def marking(unrealized: float, as_of: datetime) -> Act:
    def code(book: Book) -> object:
        reported = book.mark(unrealized, as_of)
        trips = tuple(trip.kind.value for trip in reported.trips)
        return (reported.newest, trips, tuple(trip.kind.value for trip in reported.unconfirmed))

    def by_the_model(model: Model, desk: Desk) -> tuple[object, list[Fact]]:
        limits = model.limits_in_force(desk)
        return model.marked(by_the_book.Marked(desk.now, limits, exact(unrealized), as_of))

    return Act(code, by_the_model)


def holding(position: float, as_of: datetime) -> Act:
    def by_the_model(model: Model, desk: Desk) -> tuple[object, list[Fact]]:
        limits = model.limits_in_force(desk)
        return model.held(by_the_book.Held(desk.now, limits, exact(position), as_of))

    return Act(lambda book: book.holds(position, as_of).newest, by_the_model)


def releasing(order_id: str, outcome: Outcome) -> Act:
    def code(book: Book) -> object:
        released = book.release(order_id, outcome)
        return ("duplicate" if released.duplicate else "recorded", released.was_open)

    def by_the_model(model: Model, desk: Desk) -> tuple[object, list[Fact]]:
        limits = model.limits_in_force(desk)
        return model.release(by_the_book.Released(desk.now, limits, order_id, outcome.value))

    return Act(code, by_the_model)


def halting(mode: OperatorMode) -> Act:
    def code(book: Book) -> object:
        operated = book.halt(mode)
        return (operated.before.value, operated.operator.mode.value)

    def by_the_model(model: Model, desk: Desk) -> tuple[object, list[Fact]]:
        return model.halt(by_the_book.Halted(desk.now, model.limits_in_force(desk), mode.value))

    return Act(code, by_the_model)


def resuming(mode: OperatorMode) -> Act:
    def code(book: Book) -> object:
        operated = book.resume(mode)
        return (operated.before.value, operated.operator.mode.value)

    def by_the_model(model: Model, desk: Desk) -> tuple[object, list[Fact]]:
        resumed = by_the_book.Resumed(desk.now, model.limits_in_force(desk), mode.value)
        return model.resume(resumed, desk)

    return Act(code, by_the_model)


def resetting(scope: ResetScope) -> Act:
    def code(book: Book) -> object:
        book.reset(scope, "reviewed")
        return "recorded"

    def by_the_model(model: Model, desk: Desk) -> tuple[object, list[Fact]]:
        everything = scope is ResetScope.ALL
        return model.reset(by_the_book.Reset(desk.now, model.limits_in_force(desk), everything))

    return Act(code, by_the_model)


def checking(tick: datetime, *, clean: bool) -> Act:
    def by_the_model(model: Model, desk: Desk) -> tuple[object, list[Fact]]:
        limits = model.limits_in_force(desk)
        return model.checked(by_the_book.Checked(desk.now, limits, tick, clean))

    return Act(
        lambda book: (book.is_clean(tick) if clean else book.drifts(tick)).changed, by_the_model
    )


def acknowledging() -> Act:
    def by_the_model(model: Model, desk: Desk) -> tuple[object, list[Fact]]:
        return model.acknowledge(by_the_book.Acknowledged(desk.now, model.limits_in_force(desk)))

    return Act(lambda book: book.knows_of_drift().changed, by_the_model)


def configuring() -> Act:
    def code(book: Book) -> object:
        event = record_configuration(values_of(book), "reviewed", book.act())
        return "in force" if event is None else "recorded"

    def by_the_model(model: Model, desk: Desk) -> tuple[object, list[Fact]]:
        return model.configure(
            by_the_book.Configured(desk.now, model.limits_in_force(desk), desk.limits)
        )

    return Act(code, by_the_model)


class MemoryMachine(RiskMachine):
    restarts = False

    def open(self) -> Ledger:
        return MemoryLedger()


class SqliteMachine(RiskMachine):
    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="usdcop-model-"))
        super().__init__()

    def open(self) -> Ledger:
        return SqliteLedger(self.folder / "state.db")

    def teardown(self) -> None:
        super().teardown()
        shutil.rmtree(self.folder)


class RedisMachine(RiskMachine):
    def __init__(self) -> None:
        self.name = new_book()
        super().__init__()

    def open(self) -> Ledger:
        return RedisLedger(self.name, **shared_server().address)


@pytest.mark.timeout(7200)
@pytest.mark.parametrize(
    ("machine", "examples"),
    [(MemoryMachine, IN_MEMORY), (SqliteMachine, STORED), (RedisMachine, STORED)],
    ids=["memory", "sqlite", "redis"],
)
def test_the_service_says_what_an_independent_model_says(
    machine: type[RiskMachine], examples: int
) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=STEPS,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
