"""The risk gate: what can stop a trade, in this order.

Every rule is evaluated and reported; the first that fails names the status. A refusal is a
value: `judge` never raises to say no. To add a rule, write one function and put it in `RULES`
at its place.

A signal against the known position is an exit; any other is an entry. A losing desk must always
be able to get out, so the rules in `RULES` that are marked `entries only` let every exit pass.
"""

from collections.abc import Callable
from datetime import timedelta

from risk.breaker import BreakerState, open_causes
from risk.fixed_point import from_nano, to_nano
from risk.state import CauseKind, OperatorMode
from risk.verdict import Check, RiskStatus, Situation, Verdict
from runners.signal import Signal

__all__ = ["RULES", "judge"]

_MAX_AHEAD_SECONDS = 5
_COOLDOWN_FROM_STREAK = 2
_NAMED_VETOES = 5
_SMALLEST = 1_000
"""Nano; sizes are whole steps of 10⁻⁶ of capital, so an entry smaller than one has none."""


def judge(situation: Situation) -> Verdict:
    """Hold a signal against every rule."""
    checks = [rule(situation) for rule in RULES]
    if situation.reduces:
        checks = [
            check._replace(message="", exempt=True) if rule in _FOR_ENTRIES else check
            for rule, check in zip(RULES, checks, strict=True)
        ]
    return Verdict(
        status=next((check.status for check in checks if check.message), RiskStatus.APPROVED),
        checks=tuple(checks),
        reduces=situation.reduces,
        probe=situation.probes,
        exposure=situation.exposure,
    )


Rule = Callable[[Situation], Check]


_FOR_ENTRIES: set[Rule] = set()


def _entries_only(rule: Rule) -> Rule:
    """The rule, which from now on lets exits pass whatever it finds."""
    _FOR_ENTRIES.add(rule)
    return rule


def _configuration(situation: Situation) -> Check:
    recorded, own = situation.state.configuration, situation.configuration
    message = ""
    if recorded is not None and own is not None and recorded != own:
        message = (
            f"this service runs with other limits or models ({own[:12]}) than the book has on "
            f"record ({recorded[:12]}); `usdcop config apply --reason ...` records the change"
        )
    return Check(
        "configuration",
        RiskStatus.CONFIG_MISMATCH,
        None if own is None else own[:12],
        None if recorded is None else recorded[:12],
        message,
    )


def _freshness(situation: Situation) -> Check:
    observed_at, limit = situation.candidate.observed_at, situation.limits.max_data_age_seconds
    if observed_at is None:
        return Check("data_age_seconds", RiskStatus.STALE_DATA, None, limit)
    age = (situation.now - observed_at).total_seconds()
    message = ""
    if age > limit:
        message = f"the observation is {age:.0f} s old; at most {limit} s may pass"
    elif age < -_MAX_AHEAD_SECONDS:
        message = (
            f"the observation is {-age:.0f} s ahead of the clock; "
            f"at most {_MAX_AHEAD_SECONDS} s may be"
        )
    return Check("data_age_seconds", RiskStatus.STALE_DATA, age, limit, message)


def _feed(situation: Situation) -> Check:
    stale = situation.candidate.stale
    return Check(
        "feed", RiskStatus.STALE_DATA, "stale" if stale else "current", None, "; ".join(stale)
    )


def _distribution(situation: Situation) -> Check:
    unfamiliar = situation.candidate.unfamiliar
    message = "; ".join(unfamiliar[:_NAMED_VETOES])
    if len(unfamiliar) > _NAMED_VETOES:
        message += f"; and {len(unfamiliar) - _NAMED_VETOES} more"
    return Check(
        "distribution", RiskStatus.OUT_OF_DISTRIBUTION, float(len(unfamiliar)), 0.0, message
    )


def _signal(situation: Situation) -> Check:
    signal = situation.candidate.signal
    passed = signal is not Signal.HOLD
    message = "" if passed else "the models say HOLD"
    return Check("signal", RiskStatus.HOLD_SIGNAL, str(signal), None, message)


def _confidence(situation: Situation) -> Check:
    value, limit = situation.candidate.confidence, situation.limits.min_confidence
    passed = value >= limit
    message = "" if passed else f"confidence {value:.4g} is below min_confidence {limit:.4g}"
    return Check("confidence", RiskStatus.LOW_CONFIDENCE, value, limit, message)


def _session(situation: Situation) -> Check:
    closure = situation.session.closure
    if closure is None:
        return Check("session", RiskStatus.OUTSIDE_TRADING_HOURS, "open", None)
    status = RiskStatus.MARKET_HOLIDAY if closure.holiday else RiskStatus.OUTSIDE_TRADING_HOURS
    return Check("session", status, "closed", None, closure.message)


def _clock(situation: Situation) -> Check:
    recorded, today = situation.state.today.day, situation.session.day
    told = today.isoformat()
    if recorded is None or recorded <= today:
        return Check("clock", RiskStatus.SYSTEM_ERROR, told, None)
    message = (
        f"the clock says {today}, but {recorded} is on record: either it is wrong now or it was "
        "then; set it right, or reset with scope all"
    )
    return Check("clock", RiskStatus.SYSTEM_ERROR, told, recorded.isoformat(), message)


def _operator(situation: Situation) -> Check:
    operator = situation.state.operator
    mode = operator.mode
    status = RiskStatus.REDUCE_ONLY if mode is OperatorMode.REDUCING else RiskStatus.TRADING_HALTED
    if mode is OperatorMode.ACTIVE:
        return Check("operator", status, str(mode), None)
    if mode is OperatorMode.REDUCING and situation.reduces:
        return Check("operator", status, str(mode), None, exempt=True)
    allowed = "exits only" if mode is OperatorMode.REDUCING else "nothing"
    message = f"{operator.actor} allows {allowed} since {operator.since:%Y-%m-%d %H:%M:%S} UTC" + (
        f": {operator.reason}" if operator.reason else ""
    )
    return Check("operator", status, str(mode), None, message)


def _breaker(situation: Situation) -> Check:
    value, message = str(situation.breaker), ""
    if situation.breaker is BreakerState.OPEN:
        told = ", ".join(
            cause.kind.value + (f" until {cause.until:%H:%M:%S} UTC" if cause.until else "")
            for cause in open_causes(situation.state, situation.now)
        )
        message = f"the circuit breaker is open: {told}"
    elif situation.breaker is BreakerState.HALF_OPEN:
        message = _probe_problem(situation)
    return Check("breaker", RiskStatus.CIRCUIT_BREAKER_ACTIVE, value, None, message)


def _probe_problem(situation: Situation) -> str:
    """Why a half-open breaker lets this entry not pass as its probe; empty when it does."""
    cause = situation.state.cause(CauseKind.CONSECUTIVE_LOSSES)
    if cause is not None and cause.probe is not None:
        return (
            f"the circuit breaker is half-open and its probe, order {cause.probe!r}, has no "
            "outcome yet: report its result or its release"
        )
    if situation.candidate.order_id is None:
        return "the circuit breaker is half-open: one entry may probe it, with an order_id"
    return ""


def _cooldown(situation: Situation) -> Check:
    limit, state = situation.limits.cooldown_after_loss, situation.state
    left = 0.0
    if state.last_loss_at is not None and state.loss_streak >= _COOLDOWN_FROM_STREAK:
        ends_at = state.last_loss_at + timedelta(seconds=limit)
        left = max(0.0, (ends_at - situation.now).total_seconds())
    message = ""
    if left and not situation.probes:
        message = f"{left:.0f} s of the cooldown after a loss are left"
    return Check("cooldown_seconds", RiskStatus.COOLDOWN_ACTIVE, left, limit, message)


def _daily_loss(situation: Situation) -> Check:
    return _fraction_check(
        "daily_pnl",
        RiskStatus.DAILY_LOSS_LIMIT,
        situation.state.daily_pnl,
        situation.limits.max_daily_loss,
    )


def _drawdown(situation: Situation) -> Check:
    return _fraction_check(
        "drawdown",
        RiskStatus.MAX_DRAWDOWN,
        situation.state.drawdown,
        situation.limits.max_drawdown,
    )


def _fraction_check(name: str, status: RiskStatus, value: int, limit: float) -> Check:
    passed = value > to_nano(limit)
    told = from_nano(value)
    message = "" if passed else f"{name} {told:.4%} has reached its limit {limit:.4%}"
    return Check(name, status, told, limit, message)


def _loss_streak(situation: Situation) -> Check:
    value, limit = situation.state.loss_streak, situation.limits.max_consecutive_losses
    # A half-open breaker has taken the streak over: its probe is the way out of it.
    passed = value < limit or situation.probes
    message = "" if passed else f"{value} losses in a row; the limit is {limit}"
    return Check("consecutive_losses", RiskStatus.CONSECUTIVE_LOSSES, value, limit, message)


def _trades_today(situation: Situation) -> Check:
    value, limit = situation.state.trades_today, situation.limits.max_trades_per_day
    message = ""
    if value >= limit:
        waiting = len(situation.state.orders)
        message = f"{value} trades today, {waiting} of them open orders; the limit is {limit}"
    return Check("trades_today", RiskStatus.MAX_TRADES_REACHED, value, limit, message)


def _unresolved_orders(situation: Situation) -> Check:
    orders, limit = situation.state.orders, situation.limits.max_unresolved_orders
    message = ""
    if len(orders) >= limit:
        named = ", ".join(repr(order.order_id) for order in orders[:3])
        message = (
            f"{len(orders)} approved orders have no outcome yet ({named}"
            f"{', ...' if len(orders) > 3 else ''}); the limit is {limit}"
        )
    return Check("unresolved_orders", RiskStatus.UNRESOLVED_ORDERS, len(orders), limit, message)


def _closing(situation: Situation) -> Check:
    """An exit may take off what is held and no more: what is on its way out cannot go twice."""
    exposure = situation.exposure
    message = ""
    if situation.reduces and not exposure.left_to_close:
        message = (
            f"approved exits already close the whole position of {from_nano(exposure.held):+.4%}; "
            "release them, report the position, or send it as `position`"
        )
    left = from_nano(exposure.left_to_close)
    return Check("left_to_close", RiskStatus.UNRESOLVED_ORDERS, left, None, message)


def _position(situation: Situation) -> Check:
    signal, exposure = situation.candidate.signal, situation.exposure
    largest = situation.limits.max_position_size
    message = ""
    if signal is not Signal.HOLD and exposure.room(signal, largest) < _SMALLEST:
        message = (
            f"the position is {from_nano(exposure.held):+.4%} with "
            f"{from_nano(exposure.buying):.4%} being bought and {from_nano(exposure.selling):.4%} "
            f"being sold; a {signal.value} would exceed the largest, {largest:.4%}"
        )
    held = None if exposure.position is None else from_nano(exposure.position)
    return Check("position", RiskStatus.POSITION_LIMIT, held, largest, message)


def _order_id(situation: Situation) -> Check:
    order_id, required = situation.candidate.order_id, situation.limits.require_order_id
    message = ""
    if required and order_id is None:
        message = "an entry needs an order_id (risk_limits.require_order_id is true)"
    return Check("order_id", RiskStatus.ORDER_ID_REQUIRED, order_id, None, message)


def _position_known(situation: Situation) -> Check:
    known, required = situation.exposure.known, situation.limits.require_position
    message = ""
    if required and not known:
        message = (
            "nobody has said what is held, or not since a day ended with open orders: report it to "
            "/v1/risk/position, or send `position` (risk_limits.require_position is true)"
        )
    value = "known" if known else "unknown"
    return Check("position_known", RiskStatus.POSITION_UNKNOWN, value, None, message)


RULES: tuple[Rule, ...] = (
    _configuration,
    _freshness,
    _feed,
    _distribution,
    _signal,
    _confidence,
    _session,
    _entries_only(_clock),
    _operator,
    _entries_only(_breaker),
    _entries_only(_cooldown),
    _entries_only(_daily_loss),
    _entries_only(_drawdown),
    _entries_only(_loss_streak),
    _entries_only(_trades_today),
    _entries_only(_unresolved_orders),
    _closing,
    _entries_only(_position),
    _entries_only(_order_id),
    _entries_only(_position_known),
)
"""The rules, in the order in which they name the status."""
