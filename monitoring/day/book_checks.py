"""Whether the book lets trading begin: configuration, limits, operator, breaker, position, orders.

Everything is judged for the instant at which the session opens, or for now where it is open: what
a day roll clears is no obstacle in the morning.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from config.settings import RiskLimits
from monitoring.day.preflight import Check, armed, not_armed, warned
from risk.breaker import breaker_state, open_causes
from risk.calendar import SessionStatus
from risk.exposure import exposure_of
from risk.fixed_point import from_nano
from risk.fold import roll
from risk.state import OperatorMode, RiskState
from risk.summary import Summary, utilization

__all__ = ["BookFacts", "book_checks"]

_NEAR: Final = 0.8
_SHOWN: Final = 5
# A position at its maximum is what a desk is there for.
_UNREMARKABLE: Final = "position"


@dataclass(frozen=True, slots=True)
class BookFacts:
    """What the checks are about.

    Attributes:
        stored: state of the book, as it is on record.
        limits: in force.
        session: at that instant.
        at: when the session opens, or now where it is open; aware.
        configuration: hash of the service's limits and models.
        halt_file: whether it is there.
        since: start of the session before; a position of before that is old. None: not known.
    """

    stored: RiskState
    limits: RiskLimits
    session: SessionStatus
    at: datetime
    configuration: str
    halt_file: bool
    since: datetime | None

    @property
    def state(self) -> RiskState:
        """As it will be when the session opens."""
        return roll(self.stored, self.session.day)


def book_checks(facts: BookFacts) -> Iterator[Check]:
    """One check after the other; the last one asks the gate itself."""
    yield _configuration(facts)
    yield _limits(facts)
    yield _halt_file(facts)
    yield _operator(facts)
    yield _breaker(facts)
    yield _position(facts)
    yield _orders(facts)
    yield _gate(facts)


def _configuration(facts: BookFacts) -> Check:
    recorded, own = facts.stored.configuration, facts.configuration
    if recorded in {None, own}:
        return armed("configuration", f"{own[:12]} is in force and on record")
    return not_armed(
        "configuration",
        f"{str(recorded)[:12]} is on record, and this is {own[:12]}: every decision would be HOLD, "
        "CONFIG_MISMATCH",
        "put the change on record with `usdcop config apply --reason ...`, or serve what is",
    )


def _limits(facts: BookFacts) -> Check:
    limits = facts.limits
    words = (
        f"daily loss {limits.max_daily_loss:.2%}, drawdown {limits.max_drawdown:.2%}, "
        f"{limits.max_consecutive_losses} losses in a row, {limits.max_trades_per_day} trades, "
        f"position {limits.max_position_size:.2%}, confidence {limits.min_confidence:.2f}"
    )
    told_by_breaker = {cause.kind.value for cause in facts.state.causes}
    used = {
        name: share
        for name, share in utilization(facts.state, limits).items()
        if name != _UNREMARKABLE and share >= _NEAR and name not in told_by_breaker
    }
    if not used:
        return armed("limits", words)
    name = max(used, key=lambda one: used[one])
    told = f"{name} is at {used[name]:.0%} of its limit; {words}"
    if used[name] < 1:
        return warned("limits", told, "know how little is left before trading begins")
    return not_armed("limits", told, "see docs/risk.md for what clears it")


def _halt_file(facts: BookFacts) -> Check:
    if not facts.halt_file:
        return armed("halt file", "it is not there")
    return not_armed(
        "halt file",
        "it is there: the book is halted wherever it is seen",
        "remove it once its reason is gone, then resume",
    )


def _operator(facts: BookFacts) -> Check:
    operator = facts.state.operator
    if operator.mode is OperatorMode.ACTIVE:
        return armed("operator", "ACTIVE")
    return not_armed(
        "operator",
        f"{operator.mode.value} by {operator.actor or 'nobody'}: "
        f"{operator.reason or 'no reason given'}",
        "POST /v1/risk/resume once its reason is gone",
    )


def _breaker(facts: BookFacts) -> Check:
    state = facts.state
    told = breaker_state(state, facts.at).value
    if not state.causes:
        return armed("breaker", told)
    causes = ", ".join(cause.kind.value for cause in state.causes)
    if open_causes(state, facts.at):
        return not_armed("breaker", f"{told}: {causes}", "see docs/risk.md for what closes it")
    return warned("breaker", f"{told}: {causes}", "the next entry is a probe; its result decides")


def _position(facts: BookFacts) -> Check:
    exposure = exposure_of(facts.state)
    right = "report what the broker says is held: POST /v1/risk/position"
    judge = not_armed if facts.limits.require_position else warned
    if exposure.position is None or exposure.as_of is None:
        return judge("position", "nobody ever reported one; it counts as flat", right)
    told = f"{from_nano(exposure.position):+.2%} as of {exposure.as_of:%Y-%m-%d %H:%M %Z}"
    if not exposure.known:
        return judge(
            "position", f"{told}; an order of an earlier day may have changed it since", right
        )
    if facts.since is not None and exposure.as_of < facts.since:
        return warned("position", f"{told}, before the session of {facts.since:%Y-%m-%d}", right)
    return armed("position", told)


def _orders(facts: BookFacts) -> Check:
    day, orders = facts.session.day, facts.stored.orders
    today = facts.stored.today.day
    if not orders:
        return armed("open orders", "none is without an outcome")
    names = ", ".join(repr(order.order_id) for order in orders[:_SHOWN])
    more = f" and {len(orders) - _SHOWN} more" if len(orders) > _SHOWN else ""
    if today == day:
        return armed("open orders", f"{len(orders)} of this session: {names}{more}")
    return warned(
        "open orders",
        f"no outcome of {names}{more} of {today} is on record",
        "report each result or release it, and then the position",
    )


def _gate(facts: BookFacts) -> Check:
    told = Summary(
        state=facts.stored,
        limits=facts.limits,
        session=facts.session,
        now=facts.at,
        configuration=facts.configuration,
        halt_file=facts.halt_file,
    ).to_json()
    if told["trading_status"] == "ACTIVE":
        return armed("gate", "an entry of full confidence would pass when the session is open")
    reasons = "; ".join(told["reasons"])
    return not_armed(
        "gate",
        f"an entry of full confidence would be refused, {told['trading_status']}: {reasons}",
        "GET /v1/risk/summary tells what would pass",
    )
