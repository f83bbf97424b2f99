"""Limits and models, put on record: in force when they are the first, or when a person says so."""

from collections.abc import Mapping
from typing import Any

from risk.acts import Act
from risk.configuration import configuration_hash, configuration_on_record
from risk.events import Event, EventKind
from risk.ledger.retry import on_newest_state
from risk.state import RiskState

__all__ = ["offer_configuration", "record_configuration"]


def record_configuration(values: Mapping[str, Any], reason: str, act: Act) -> Event | None:
    """Put limits and models in force for the book; None when they are in force already.

    Raises:
        StoreError: nothing was stored.
    """
    digest = configuration_hash(values)

    def record(state: RiskState) -> Event | None:
        return None if state.configuration == digest else _append(values, reason, act, state)

    return on_newest_state(act.ledger, record, what="the configuration")


def offer_configuration(values: Mapping[str, Any], act: Act) -> bool:
    """Put limits and models in force for a book that has none; else keep them on record only.

    A service that runs with others than the book's decides HOLD, and its decisions name them.

    Returns:
        Whether they are the ones in force.

    Raises:
        StoreError: nothing was stored.
    """
    digest = configuration_hash(values)

    def offer(state: RiskState) -> bool:
        if state.configuration is None:
            _append(values, "the first of this book", act, state)
            return True
        if state.configuration != digest and configuration_on_record(act.ledger, digest) is None:
            payload = {"hash": digest, "values": values}
            act.ledger.append([act.draft(EventKind.CONFIGURATION_OFFERED, payload)])
        return state.configuration == digest

    return on_newest_state(act.ledger, offer, what="the configuration")


def _append(values: Mapping[str, Any], reason: str, act: Act, state: RiskState) -> Event:
    payload = {"hash": configuration_hash(values), "values": values, "reason": reason}
    draft = act.draft(EventKind.CONFIGURATION, payload)
    (event,) = act.ledger.append([draft], expected=state.sequence, durable=True)
    return event
