"""Events in words: one line for a list, one page for whoever has to answer for a trade."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from errors import NotFound
from risk.events import Event, EventKind
from risk.fixed_point import from_nano
from risk.ledger.protocol import Ledger
from risk.orders import order_key, outcome_key
from risk.state import CauseKind

__all__ = ["DESCRIBED", "explain", "in_a_line"]

_PAGE = 100
_CONSEQUENCES = 8


def in_a_line(event: Event) -> str:
    """What an event says, in a few words."""
    describe = _LINES.get(event.kind)
    return event.kind.value if describe is None else describe(event.payload)


def explain(name: str, ledger: Ledger, zone: ZoneInfo) -> str:
    """One decision, trade or order, on one page.

    Args:
        name: a decision's or another event's id, a trade id or an order id.
        ledger: that it is on record in.
        zone: of the times that are told.

    Raises:
        NotFound: nothing of this name is on record.
        StoreError: the ledger cannot be read.
    """
    event = (
        ledger.by_id(name)
        or ledger.by_key(order_key(name))
        or ledger.by_key(f"trade:{name}")
        or ledger.by_key(outcome_key(name))
    )
    if event is None:
        raise NotFound(
            f"{name!r} is no decision, trade, order or event on record; `usdcop ledger show` "
            "lists what is"
        )
    tell = {EventKind.DECISION: _decision, EventKind.TRADE_RESULT: _trade_result}.get(
        event.kind, _other
    )
    return "\n".join([*_heading(event, zone), "", *tell(event, ledger, zone), "", *_proof(event)])


def _heading(event: Event, zone: ZoneInfo) -> list[str]:
    at = event.at.astimezone(zone)
    return [
        f"{event.kind.value.replace('_', ' ').capitalize()} {event.event_id}",
        f"{at:%A %Y-%m-%d %H:%M:%S} {zone.key}, by {event.actor}, record {event.sequence}",
    ]


def _proof(event: Event) -> list[str]:
    return [f"Hash {event.hash}", f"after {event.previous_hash}"]


def _decision(event: Event, ledger: Ledger, zone: ZoneInfo) -> Iterator[str]:
    record = event.payload
    answer = record["answer"]
    yield f"Answered {answer['signal']}: {answer['risk_status']}. " + _what_for(answer)
    yield from (f"- {reason}" for reason in answer["reasons"])
    yield ""
    yield _asked(record)
    if record.get("evidence") is not None:
        yield _made_of(record["evidence"])
    yield f"The {_voters(answer)} said {answer['raw_signal']} at {answer['confidence']:.4f}:"
    for model in answer["models"]:
        yield f"  {model['name']}:{model['version']}, weight {model['weight']:g}: " + _vote(model)
    yield ""
    yield from _where_the_book_stood(record["state"], zone)
    yield ""
    yield "Checks, in order:"
    yield from (_check(check) for check in answer["checks"])
    yield ""
    yield f"Limits and models: {record['configuration']}"
    if record["order"] is not None:
        yield ""
        yield from _life_of_order(record["order"]["order_id"], event, ledger, zone)


def _what_for(answer: Mapping[str, Any]) -> str:
    size = answer["position_recommendation"]
    if size is None:
        return "Nothing may be traded on it."
    kind = "An exit" if answer["reduces"] else "An entry"
    probe = ", the probe of a half-open breaker," if answer["probe"] else ""
    halved = ", at half size for drift," if "drift" in size["factors"] else ""
    return (
        f"{kind}{probe}{halved} of {size['position_size_percent']:.4%} of capital "
        f"({size['position_size_usd']:,.2f} USD), to be acted on until {answer['valid_until']}."
    )


def _asked(record: Mapping[str, Any]) -> str:
    asked = [f"order {record['order_id']!r}" if record["order_id"] else "without an order id"]
    if record["position"] is not None:
        asked.append(f"holding {record['position']:+.4%}")
    if record["observed_at"] is not None:
        asked.append(f"on an observation of {record['observed_at']}")
    if record["dry_run"]:
        asked.append("as a dry run")
    if not record["enforce_risk_checks"]:
        asked.append("without risk checks")
    return f"Asked {', '.join(asked)}."


def _made_of(evidence: Mapping[str, Any]) -> str:
    macro = ", ".join(
        f"{name} {known['value']:g} of {known['date']}" for name, known in evidence["macro"].items()
    )
    return (
        f"Its vector was computed from the bar of {evidence['bar']}, close {evidence['close']:g}"
        + (f"; {macro}." if macro else ", without macro values.")
    )


def _voters(answer: Mapping[str, Any]) -> str:
    one = len(answer["models"]) == 1
    return f"model {answer['model_name']}" if one else f"{len(answer['models'])} models"


def _vote(model: Mapping[str, Any]) -> str:
    said = model["action_probs"]
    if said is None:
        return f"failed: {model['fault']}"
    return ", ".join(f"{name} {value:.4f}" for name, value in said.items())


def _where_the_book_stood(state: Mapping[str, Any], zone: ZoneInfo) -> Iterator[str]:
    today, operator = state["today"], state["operator"]
    yield (
        f"The book stood at record {state['sequence']}: realised today "
        f"{from_nano(today['realised']):+.4%} in {today['results']} results, open mark "
        f"{from_nano(state['mark']):+.4%}, equity {from_nano(state['equity']):+.4%} with a "
        f"high-water mark of {from_nano(state['high_water_mark']):+.4%}, {state['loss_streak']} "
        "losses in a row."
    )
    held = state["position"]
    told = "not known" if held is None else f"{from_nano(held['value']):+.4%} ({held['as_of']})"
    yield f"Position {told}; {len(state['orders'])} open orders; operator {operator['mode']}."
    for cause in state["causes"]:
        since = datetime.fromisoformat(cause["since"]).astimezone(zone)
        yield f"Breaker: {cause['kind']} since {since:%H:%M:%S}."
    if state.get("drift") is not None:  # states of before there were alarms have no such field
        yield _drift(state["drift"], zone)


def _drift(alarm: Mapping[str, Any], zone: ZoneInfo) -> str:
    since = datetime.fromisoformat(alarm["since"]).astimezone(zone)
    known = alarm["acknowledged_by"]
    told = "not acknowledged" if known is None else f"acknowledged by {known}"
    return f"Drift alarm since {since:%Y-%m-%d %H:%M:%S}, {told}: {alarm['reason']}"


def _check(check: Mapping[str, Any]) -> str:
    verdict = "exempt" if check["exempt"] else "passed" if check["passed"] else "FAILED"
    held = "" if check["limit"] is None else f" against {check['limit']}"
    return f"  {verdict:<7} {check['check']}: {check['value']}{held}"


def _life_of_order(order_id: str, approval: Event, ledger: Ledger, zone: ZoneInfo) -> Iterator[str]:
    yield f"Order {order_id!r}:"
    yield f"  {_clock(approval, zone)} approved"
    for event in _replays(order_id, approval, ledger):
        yield f"  {_clock(event, zone)} asked again: {event.payload['risk_status']}"
    outcome = ledger.by_key(outcome_key(order_id))
    if outcome is None:
        yield "  no outcome is on record"
        return
    yield f"  {_clock(outcome, zone)} {in_a_line(outcome)}"
    result = None if outcome.payload["by"] is None else ledger.by_id(outcome.payload["by"])
    if result is not None:
        yield f"  {_clock(result, zone)} {in_a_line(result)}"


def _replays(order_id: str, approval: Event, ledger: Ledger) -> list[Event]:
    """Answers to the same order later on, oldest first; of the newest page of them."""
    events = ledger.recent([EventKind.ORDER_REPLAYED], limit=_PAGE)
    return [
        event
        for event in reversed(events)
        if event.sequence > approval.sequence and event.payload["order_id"] == order_id
    ]


def _trade_result(event: Event, ledger: Ledger, zone: ZoneInfo) -> Iterator[str]:
    result = event.payload
    yield in_a_line(event) + "."
    if result["position_nano"] is not None:
        yield f"Held since: {from_nano(result['position_nano']):+.4%} of capital."
    yield f"Still open: {from_nano(result['unrealized_nano']):+.4%}, as of {result['as_of']}."
    followed = _followed_by(event, ledger)
    if followed:
        yield ""
        yield "It was stored with:"
        yield from (f"  {in_a_line(consequence)}" for consequence in followed)
    approval = ledger.by_key(order_key(result["order_id"])) if result["order_id"] else None
    if approval is not None:
        yield ""
        yield f"The trade began with decision {approval.event_id}:"
        yield ""
        yield from _decision(approval, ledger, zone)


def _followed_by(event: Event, ledger: Ledger) -> list[Event]:
    """What was stored with an event because of it."""
    records = ledger.scan(after=event.sequence, limit=_CONSEQUENCES)
    found = [ledger.by_id(record.event_id) for record in records]
    return [each for each in found if each is not None and each.payload.get("by") == event.event_id]


def _other(event: Event, ledger: Ledger, zone: ZoneInfo) -> Iterator[str]:
    del zone
    yield in_a_line(event) + "."
    for consequence in _followed_by(event, ledger):
        yield f"- {in_a_line(consequence)}"


def _clock(event: Event, zone: ZoneInfo) -> str:
    return f"{event.at.astimezone(zone):%Y-%m-%d %H:%M:%S}"


def _decision_line(record: Mapping[str, Any]) -> str:
    answer = record["answer"]
    order = f" for order {record['order_id']!r}" if record["order_id"] else ""
    size = answer["position_recommendation"]
    sized = "" if size is None else f", {size['position_size_percent']:.4%}"
    return (
        f"{answer['raw_signal']} at {answer['confidence']:.4f}{order}: {answer['risk_status']}"
        f"{sized}"
    )


def _batch_line(record: Mapping[str, Any]) -> str:
    return f"{record['rows']} rows: " + ", ".join(
        f"{count} {status}" for status, count in sorted(record["statuses"].items())
    )


def _result_line(result: Mapping[str, Any]) -> str:
    order = f" of order {result['order_id']!r}" if result["order_id"] else ""
    return (
        f"trade {result['trade_id']!r}{order} closed at {result['pnl']:+,.2f} USD "
        f"({from_nano(result['pnl_nano']):+.4%})"
    )


def _closed_line(closed: Mapping[str, Any]) -> str:
    if closed["outcome"] == "result":
        return f"order {closed['order_id']!r} has its result"
    return f"order {closed['order_id']!r} was not executed: {closed['outcome']}"


def _trip_line(trip: Mapping[str, Any]) -> str:
    counted = trip["cause"] == CauseKind.CONSECUTIVE_LOSSES
    value, limit = (
        (trip["value"], trip["limit"])
        if counted
        else (f"{from_nano(trip['value']):.4%}", f"{from_nano(trip['limit']):.4%}")
    )
    until = f" until {trip['until']}" if trip["until"] else ""
    return f"the breaker opened: {trip['cause']} {value}, limit {limit}{until}"


def _reason(payload: Mapping[str, Any]) -> str:
    return f": {payload['reason']}" if payload.get("reason") else ""


_LINES: Mapping[EventKind, Callable[[Mapping[str, Any]], str]] = {
    EventKind.DECISION: _decision_line,
    EventKind.BATCH: _batch_line,
    EventKind.ORDER_REPLAYED: lambda again: (
        f"order {again['order_id']!r} asked again: {again['risk_status']}"
    ),
    EventKind.ORDER_CLOSED: _closed_line,
    EventKind.TRADE_RESULT: _result_line,
    EventKind.POSITION: lambda report: (
        f"{from_nano(report['position_nano']):+.4%} is held as of {report['as_of']}"
    ),
    EventKind.MARK: lambda mark: (
        f"the open book is at {from_nano(mark['unrealized_nano']):+.4%} as of {mark['as_of']}"
        + (f", beyond {', '.join(mark['beyond'])}" if mark["beyond"] else "")
    ),
    EventKind.BREAKER_TRIPPED: _trip_line,
    EventKind.BREAKER_RELEASED: lambda release: f"the breaker closed: {release['cause']}",
    EventKind.OPERATOR_HALTED: lambda halt: f"{halt['mode']}{_reason(halt)}",
    EventKind.OPERATOR_RESUMED: lambda act: f"resumed to {act['mode']}{_reason(act)}",
    EventKind.RESET: lambda reset: f"reset of {reset['scope']}{_reason(reset)}",
    EventKind.CONFIGURATION: lambda change: (
        f"limits and models {change['hash'][:12]} in force{_reason(change)}"
    ),
    EventKind.CONFIGURATION_OFFERED: lambda change: (
        f"a service started with limits and models {change['hash'][:12]}, which are not in force"
    ),
    EventKind.MODEL_PROMOTED: lambda promotion: (
        f"{promotion['model']}:{promotion['version']} promoted{_reason(promotion)}"
    ),
    EventKind.RECONCILED: lambda loss: (
        f"the loss of records acknowledged up to {loss['remembered_sequence']} was accepted, with "
        f"{loss['found_sequence']} left{_reason(loss)}"
    ),
    EventKind.MARKET_CONFIRMED: lambda market: f"confirmed: {'; '.join(market['confirmed'])}",
    EventKind.DRIFT_ALARM: lambda alarm: (
        f"the drift check of {alarm['tick']} alarmed: {'; '.join(alarm['reasons'])}"
    ),
    EventKind.DRIFT_CLEARED: lambda clean: (
        f"the drift alarm ended with the check of {clean['tick']}{_reason(clean)}"
    ),
    EventKind.PREFLIGHT: lambda look: (
        f"looked before the session: {look['state']}"
        + (f" for {', '.join(look['not_armed'])}" if look["not_armed"] else "")
    ),
    EventKind.DRIFT_ACKNOWLEDGED: lambda act: f"the drift alarm was acknowledged{_reason(act)}",
}

DESCRIBED = frozenset(_LINES)
"""Kinds that have words of their own."""
